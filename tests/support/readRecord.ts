/** Export records, read as other programs do. */
import { strict as assert } from "node:assert";

import { type ExportRecord, type ImageRecord, parseRecord, type RecordedLayer } from "../../contract/record";

/** The record that a text is, of an image or of a set; fails where it is none. */
export function anyRecordOf(text: string | undefined): ExportRecord {
    const read = parseRecord(text ?? "");
    return "record" in read ? read.record : assert.fail(`The record ${read.problem}: ${String(text)}`);
}

/** The record of one image that a text is; fails where it is none. */
export function recordOf(text: string | undefined): ImageRecord {
    const record = anyRecordOf(text);
    return "set" in record ? assert.fail("The record is that of a set.") : record;
}

/** The record of a set that a text is; fails where it is none. */
export function setRecordOf(text: string | undefined): Extract<ExportRecord, { set: unknown }> {
    const record = anyRecordOf(text);
    return "set" in record ? record : assert.fail("The record is that of one image.");
}

/** The layers of all images of a record, which are all in the archive. */
export function layersOf({ images }: ImageRecord): (RecordedLayer & { readonly offset: number })[] {
    return images.flatMap(({ layers }) =>
        (layers ?? []).map((layer) => ({ ...layer, offset: layer.offset ?? assert.fail(`no ${layer.digest}`) })),
    );
}
