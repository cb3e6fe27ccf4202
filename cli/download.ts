/** Downloads of archives: resumed where they broke off, and under their name only when they are what was exported. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";

import { recordKey } from "../contract/keys";
import { recordText } from "../contract/record";
import { type ObjectVersion, readInOrder, type ReadOptions, type RecordedArchive, uriOf } from "./archiveObject";
import { type Context, Interruption } from "./context";
import { asFailure, codeOf, Failure } from "./failure";
import { formatBytes } from "./terminal";

/** Is told how a download goes. */
export interface DownloadWatcher {
    /** Bytes that are there already, before the first of this run; and that of another archive were thrown away. */
    readonly begin: (found: { readonly bytes: number; readonly isOther: boolean }) => void;
    readonly progress: (bytes: number) => void;
}

/**
 * Downloads an archive and its record beside it. Bytes are written in their order, so what is there is the archive's
 * beginning at any time: a download that was broken off goes on at its end.
 *
 * @throws Failure when the bytes are not those that the record describes; nothing is left then
 */
export async function download(
    context: Context,
    { object, record }: RecordedArchive,
    file: string,
    watcher: DownloadWatcher,
    options: Omit<ReadOptions, "from"> = {},
): Promise<void> {
    const part = partOf(file);
    const hash = createHash("sha256");
    let bytes = 0;
    try {
        const found = await findPart(part, object);
        watcher.begin(found);
        await writeFile(recordKey(part), boundTo(object));
        const target = await open(part, found.bytes > 0 ? "a" : "w");
        try {
            if (found.bytes > 0) await addFile(hash, part, context.signal);
            bytes = found.bytes;
            for await (const chunk of readInOrder(context, object, { ...options, from: bytes })) {
                await target.writeFile(chunk);
                hash.update(chunk);
                bytes += chunk.length;
                watcher.progress(bytes);
            }
            await target.sync();
        } finally {
            await target.close();
        }
    } catch (error) {
        throw brokenOff(error, part, bytes, object);
    }
    const sha256 = hash.digest("hex");
    if (sha256 !== record.archive.sha256) {
        await Promise.all([part, recordKey(part)].map((each) => rm(each, { force: true })));
        throw new Failure(
            `The download of ${uriOf(object)} has the sha256 ${sha256}, its record says ${record.archive.sha256}. It was removed.`,
            {
                code: "DigestMismatch",
                next: "Repeat the command. If it happens again, export the image to this key again.",
            },
        );
    }
    try {
        // The record first: whoever sees the archive finds its record.
        await writeFile(recordKey(file), recordText(record));
        await rename(part, file);
        await rm(recordKey(part), { force: true });
    } catch (error) {
        throw brokenOff(error, part, bytes, object);
    }
}

/** Where a download is until it is complete. */
export function partOf(file: string): string {
    return `${file}.part`;
}

/** The sha256 of a file, in hexadecimal. */
export async function sha256Of(file: string, signal: AbortSignal): Promise<string> {
    const hash = createHash("sha256");
    await addFile(hash, file, signal);
    return hash.digest("hex");
}

async function addFile(hash: Hash, file: string, signal: AbortSignal): Promise<void> {
    for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
        signal.throwIfAborted();
        hash.update(chunk as Buffer);
    }
}

/** What a part is bound to. Not the sha256: that is of the record, and compared at the end. */
function boundTo({ bucket, key, versionId, eTag, sizeBytes }: ObjectVersion): string {
    return `${JSON.stringify({ bucket, key, versionId, eTag, sizeBytes })}\n`;
}

async function findPart(part: string, object: ObjectVersion): Promise<{ bytes: number; isOther: boolean }> {
    const bytes = await stat(part).then(
        ({ size }) => size,
        () => 0,
    );
    const bound = await readFile(recordKey(part), "utf8").catch(() => undefined);
    const isSame = bound === boundTo(object) && bytes <= object.sizeBytes;
    return isSame ? { bytes, isOther: false } : { bytes: 0, isOther: bytes > 0 };
}

/** A failure with what is left of the download, and how to go on. */
function brokenOff(error: unknown, part: string, bytes: number, { sizeBytes }: ObjectVersion): unknown {
    if (error instanceof Interruption) return error;
    const { message, details } = onDisk(error, part, sizeBytes - bytes) ?? asFailure(error);
    const left = `${part} has ${formatBytes(bytes)} of ${formatBytes(sizeBytes)}: the same command goes on from there.`;
    const next = [details.next, bytes === 0 ? undefined : left].filter((line) => line !== undefined);
    return new Failure(message, { ...details, next: next.length === 0 ? undefined : next.join("\n") });
}

/** Errors of the file system as people read them; undefined for others. */
function onDisk(cause: unknown, part: string, missingBytes: number): Failure | undefined {
    const code = codeOf(cause);
    const advice: readonly (readonly [codes: RegExp, what: string, next: string])[] = [
        [
            /^(ENOSPC|EDQUOT|EFBIG)$/,
            "The disk is full",
            `Make room for ${formatBytes(missingBytes)} more, or name a file on another disk.`,
        ],
        [/^(EACCES|EPERM|EROFS)$/, "You may not write here", "Name a file in a folder of yours."],
        [/^(ENOENT|ENOTDIR)$/, "There is no such folder", "Create it (mkdir -p), or name a file elsewhere."],
        [/^EISDIR$/, "There is a folder of this name", "Name another file."],
    ];
    const [, what, next] = advice.find(([codes]) => codes.test(code)) ?? [];
    if (what === undefined) return undefined;
    return new Failure(`${what}: ${part} cannot be written.`, { code, next, cause });
}
