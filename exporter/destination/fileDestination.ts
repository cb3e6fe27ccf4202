import { type FileHandle, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import * as path from "node:path";
import type { ArchiveWriter, Destination } from "./destination";
import { recordKey } from "../../contract/keys";
import { ExportError, messageOf } from "../../contract/errors";
import { type ExportRecord, parseRecord, recordText } from "../../contract/record";

/**
 * A file and its record beside it. The archive grows under another name in the same directory and gets its own by
 * a rename, so a half-written one is never taken for an archive.
 */
export function fileDestination(file: string): Destination {
    return {
        find: () => find(file),
        expires: () => Promise.resolve(undefined),
        newest: () => newest(file),
        begin: () => begin(file),
        close: () => undefined,
    };
}

async function find(file: string): Promise<ExportRecord | undefined> {
    try {
        const read = parseRecord(await readFile(recordKey(file), "utf8"));
        const { size } = await stat(file);
        return "record" in read && read.record.archive.sizeBytes === size ? read.record : undefined;
    } catch {
        return undefined; // no such file
    }
}

async function newest(file: string): Promise<string[]> {
    const folder = path.dirname(file);
    const beside = await readdir(folder).catch((): string[] => []);
    const names = beside.filter((name) => beside.includes(recordKey(name))).map((name) => path.join(folder, name));
    const others = names.filter((name) => name !== path.join(file));
    const times = await Promise.all(others.map(async (name) => ({ name, time: (await stat(name)).mtimeMs })));
    return times.sort((one, other) => other.time - one.time).map(({ name }) => name);
}

async function begin(target: string): Promise<ArchiveWriter> {
    const partial = `${target}.partial-${process.pid}`;
    const orRefuse = <T>(action: Promise<T>): Promise<T> =>
        action.catch((error: unknown) => {
            throw new ExportError("ExportFailed", `${target} cannot be written: ${messageOf(error)}`, error);
        });
    const file = await orRefuse(open(partial, "w"));

    async function finish(record: ExportRecord): Promise<ExportRecord> {
        await file.sync();
        await file.close();
        await writeFile(recordKey(partial), recordText(record), { flush: true });
        // The record first: whoever sees the archive finds its record.
        await rename(recordKey(partial), recordKey(target));
        await rename(partial, target).catch(async (error: unknown) => {
            await rm(recordKey(target), { force: true });
            throw error;
        });
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
