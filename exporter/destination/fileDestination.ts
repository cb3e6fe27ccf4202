import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
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
    const orRefuse = <T>(action: Promise<T>): Promise<T> =>
        action.catch((error: unknown) => {
            throw new ExportError("ExportFailed", `${path} cannot be written: ${messageOf(error)}`, error);
        });
    const file = await orRefuse(open(partial, "w"));

    async function finish(record: ExportRecord): Promise<ExportRecord> {
        await file.sync();
        await file.close();
        await writeFile(recordKey(partial), recordText(record), { flush: true });
        // The record first: whoever sees the archive finds its record.
        await rename(recordKey(partial), recordKey(path));
        await rename(partial, path);
        return record;
    }

    return {
        needsCrc32: false,
        write: (part, bytes) => orRefuse(writeAll(file, bytes, part.offset)),
        commit: (record) => orRefuse(finish(record)),
        async abort() {
            await file.close().catch(() => undefined);
            await rm(partial, { force: true });
            await rm(recordKey(partial), { force: true });
        },
    };
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
    }
}
