import { open, readFile, rename, rm, stat } from "node:fs/promises";
import type { ArchiveWriter, Destination } from "./destination";
import { recordNameOf } from "./destination";
import { ExportError, messageOf } from "../errors";
import { type ExportRecord, parseRecord, recordText } from "../record";

/**
 * A file and its record beside it. The archive grows under another name in the same directory and gets its own by
 * a rename, so a half-written one is never taken for an archive.
 */
export function fileDestination(path: string): Destination {
    return { find: () => find(path), begin: () => begin(path), close: () => undefined };
}

async function find(path: string): Promise<ExportRecord | undefined> {
    try {
        const [record, { size }] = [
            parseRecord(await readFile(recordNameOf(path), "utf8")),
            await stat(path),
        ];
        return record?.archive.sizeBytes === size ? record : undefined;
    } catch {
        return undefined; // no such file
    }
}

async function begin(path: string): Promise<ArchiveWriter> {
    const partial = `${path}.partial-${process.pid}`;
    const partialRecord = `${partial}.json`;
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
                await rename(partialRecord, recordNameOf(path));
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

async function writeAll(
    file: Awaited<ReturnType<typeof open>>,
    bytes: Uint8Array,
    offset: number,
): Promise<void> {
    for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
    }
}

function cannotWrite(path: string, error: unknown): ExportError {
    return new ExportError("ExportFailed", `${path} cannot be written: ${messageOf(error)}`, error);
}
