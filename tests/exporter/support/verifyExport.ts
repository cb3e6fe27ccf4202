import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { recordKey } from "../../../contract/keys";
import { type Verification, verifyArchive } from "../../../exporter/archive/verify";
import { anyRecordOf } from "../../support/readRecord";
import type { FakeS3 } from "./fakeS3";

/** Verifies an archive in a file by the record beside it. */
export async function verifyFile(file: string): Promise<Verification> {
    return verifyArchive(createReadStream(file), anyRecordOf(await readFile(recordKey(file), "utf8")));
}

/** Verifies what is at a key of the store by the record beside it; a record of another version is a problem as well. */
export async function verifyObject({ objects }: FakeS3, key: string): Promise<Verification> {
    const archive = objects.get(`bucket/${key}`);
    const record = anyRecordOf(objects.get(`bucket/${recordKey(key)}`)?.body.toString());
    const verification = await verifyArchive(Readable.from([archive?.body ?? Buffer.alloc(0)]), record);
    const isOther = record.archive.versionId !== (archive?.headers["x-amz-version-id"] ?? null);
    return { ...verification, problems: [...(isOther ? ["another version"] : []), ...verification.problems] };
}
