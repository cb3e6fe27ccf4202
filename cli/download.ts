/** Downloads of archives: resumed where they broke off, and under their name only when they are what was exported. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";

import { recordKey, signatureKey } from "../contract/keys";
import { type ObjectVersion, readInOrder, type RecordedArchive, uriOf } from "./archiveObject";
import { type Context, Interruption } from "./context";
import { asFailure, Failure, printNote } from "./failure";
import { formatBytes, withProgress } from "./terminal";

/**
 * Downloads an archive, and beside it its record and the signature of that. Until it is complete it is FILE.part. Bytes are
 * written in their order, so what is there is the archive's beginning at any time: a download that was broken off goes on at its
 * end.
 *
 * @throws Failure when the bytes are not those that the record describes; nothing is left then
 */
export async function download(
    context: Context,
    { object, record, bytes: recorded, signature }: RecordedArchive,
    file: string,
    partBytes?: number,
): Promise<void> {
    const { stderr, signal } = context;
    const part = `${file}.part`;
    let bytes = 0;
    try {
        const from = await findPart(context, part, object);
        await writeFile(recordKey(part), boundTo(object));
        const hash = from > 0 ? await hashOf(part, signal) : createHash("sha256");
        const target = await open(part, from > 0 ? "a" : "w");
        try {
            bytes = from;
            const chunks = readInOrder(context, object, from, partBytes);
            for await (const chunk of withProgress(context, "Downloading", chunks, object.sizeBytes, from)) {
                await target.writeFile(chunk);
                hash.update(chunk);
                bytes += chunk.length;
            }
            await target.sync();
        } finally {
            await target.close();
        }
        const sha256 = hash.digest("hex");
        if (sha256 !== record.archive.sha256) {
            await Promise.all([part, recordKey(part)].map((each) => rm(each, { force: true })));
            bytes = 0;
            const found = `has the sha256 ${sha256}, its record says ${record.archive.sha256}`;
            const next = "Repeat the command. If it happens again, export the image to this key again.";
            throw new Failure(`The download of ${uriOf(object)} ${found}. It was removed.`, {
                code: "DigestMismatch",
                next,
            });
        }
        // First what is beside it: whoever sees the archive finds its record.
        await writeFile(recordKey(file), recorded);
        if (signature === undefined) await rm(signatureKey(file), { force: true });
        else await writeFile(signatureKey(file), signature);
        await rename(part, file);
        await rm(recordKey(part), { force: true });
    } catch (error) {
        if (error instanceof Interruption) {
            stderr.write(`${part} is kept. To go on from there:\n  image-export get ${uriOf(object)} ${file}\n`);
            throw error;
        }
        const { message, details } = asFailure(error);
        const kept = `${part} has ${formatBytes(bytes)} of ${formatBytes(object.sizeBytes)}: the same command goes on from there.`;
        const next = bytes === 0 ? details.next : [details.next ?? [], kept].flat().join("\n");
        throw new Failure(message, { ...details, next });
    }
}

/** The sha256 of a file, to which more can be added. */
export async function hashOf(file: string, signal: AbortSignal): Promise<Hash> {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
        signal.throwIfAborted();
        hash.update(chunk as Buffer);
    }
    return hash;
}

/** What a part is bound to. Not the sha256: that is of the record, and compared at the end. */
function boundTo({ bucket, key, versionId, eTag, sizeBytes }: ObjectVersion): string {
    return `${JSON.stringify({ bucket, key, versionId, eTag, sizeBytes })}\n`;
}

/** How many bytes of the object are there already; says so, and when they are of something else. */
async function findPart({ stderr }: Context, part: string, object: ObjectVersion): Promise<number> {
    const { size = 0 } = (await stat(part).catch(() => undefined)) ?? {};
    const bound = await readFile(recordKey(part), "utf8").catch(() => undefined);
    const isSame = bound === boundTo(object) && size <= object.sizeBytes;
    if (size > 0 && !isSame) printNote(stderr, `${part} is of something else: beginning again.`);
    if (size > 0 && isSame) stderr.write(`Going on at ${formatBytes(size)} of ${part}.\n`);
    return isSame ? size : 0;
}
