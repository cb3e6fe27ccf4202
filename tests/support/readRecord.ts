/** Export records, read as other programs do. */
import { strict as assert } from "node:assert";

import { type ExportRecord, parseRecord, type RecordedLayer } from "../../contract/record";

/** The record that a text is; fails where it is none. */
export function recordOf(text: string | undefined): ExportRecord {
    const read = parseRecord(text ?? "");
    return "record" in read ? read.record : assert.fail(`The record ${read.problem}: ${String(text)}`);
}

/** The layers of all images of a record. */
export function layersOf({ images }: ExportRecord): RecordedLayer[] {
    return images.flatMap(({ layers }) => layers ?? []);
}
