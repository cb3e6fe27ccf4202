/** Export records, read as other programs do. */
import { strict as assert } from "node:assert";

import { type ImageRecord, parseRecord, type RecordedLayer } from "../../contract/record";

/** The record that a text is; fails where it is none. */
export function recordOf(text: string | undefined): ImageRecord {
    const read = parseRecord(text ?? "");
    if (!("record" in read)) return assert.fail(`The record ${read.problem}: ${String(text)}`);
    return "set" in read.record ? assert.fail("The record is that of a set.") : read.record;
}

/** The layers of all images of a record. */
export function layersOf({ images }: ImageRecord): RecordedLayer[] {
    return images.flatMap(({ layers }) => layers ?? []);
}
