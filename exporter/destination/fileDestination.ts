import { open, readFile, rename, rm, stat } from "node:fs/promises";
import type { ArchiveWriter, Destination } from "./destination";
import { recordKey } from "../../contract/keys";
import { ExportError, messageOf } from "../../contract/errors";
import { type ExportRecord, parseRecord, recordText } from "../../contract/record";

/**
 * A file and its record beside it. The archive grows under another name in the same directory and gets its own by
 * a rename, so a half-written one is never taken for an archive.
 */
export function fileDestination(path: string): Destination {
    return { find: () => find(path), begin: () => begin(path), close: () => undefined };
}

async function find(path: string): Promise<ExportRecord | undefined> {
    try {
        const read = parseRecord(await readFile(recordKey(path), "utf8"));
        const { size } = await stat(path);
        return "record" in read && read.record.archive.sizeBytes === size ? read.record : undefined;
    } catch {
        return undefined; // no such file
    }
}

async function begin(path: string): Promise<ArchiveWriter> {
    const partial = `${path}.partial-${process.pid}`;
    const partialRecord = recordKey(partial);
    const file = await open(partial, "w").catch((error: unknown) => {
        throw cannotWrite(path, error);
    });

    return {
        async write(part, bytes) {
            try {
                await writeAll(file, bytes, part.offset);
            } catch (error) {
                throw cannotWrite(path, error);
            }
        },
        async commit(describe) {
            const record = describe(null);
            try {
                await file.sync();
                await file.close();
                const recordFile = await open(partialRecord, "w");
                await recordFile.writeFile(recordText(record));
                await recordFile.sync();
                await recordFile.close();
                // The record first: whoever sees the archive finds its record.
                await rename(partialRecord, recordKey(path));
                await rename(partial, path);
            } catch (error) {
                throw cannotWrite(path, error);
            }
            return record;
        },
        async abort() {
            await file.close().catch(() => undefined);
            await rm(partial, { force: true });
            await rm(partialRecord, { force: true });
        },
    };
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
    }
}

function cannotWrite(path: string, error: unknown): ExportError {
    return new ExportError("ExportFailed", `${path} cannot be written: ${messageOf(error)}`, error);
}
