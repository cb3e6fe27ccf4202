/** Deltas at the other side: whether a file is the base of one, and both put together. */
import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { ExportError, messageOf } from "../../contract/errors";
import { recordKey } from "../../contract/keys";
import { type ExportRecord, parseRecord, recordText, type Since } from "../../contract/record";
import type { ResolvedImage } from "../registry/image";
import { blobName, planArchive, recordedImages } from "./plan";
import { readArchive, type ReadArchive } from "./readArchive";
import { imagesIn, verifyArchive } from "./verify";

/** Bytes that are copied at a time. */
const chunkBytes = 4 * 1024 * 1024;

/** Which archive a delta needs, in words. */
export function baseText({ key, sha256 }: Since): string {
    return `${key} (SHA-256 ${sha256})`;
}

/**
 * What keeps an archive from being the base of a delta; nothing where it is.
 *
 * @param record beside the base, if there is one: that of a merged archive says which delta it was
 */
export function baseProblems(
    since: Since,
    { damages, files, sha256 }: Pick<ReadArchive, "damages" | "files" | "sha256">,
    record: ExportRecord | undefined,
): string[] {
    if (damages.length > 0) return damages.map((each) => `the base is damaged: ${each}`);
    const isMerged = record?.mergedFrom === since.sha256 && record.archive.sha256 === sha256;
    if (sha256 !== since.sha256 && !isMerged) {
        return [`the base has the SHA-256 ${sha256}, and the delta needs ${baseText(since)}`];
    }
    return since.missing.flatMap(({ digest, sizeBytes }) => {
        const file = files.get(blobName(digest));
        if (file === undefined) {
            return [`the base has no blob ${digest}: it is a delta, merge it with its own base first`];
        }
        const isGood = `sha256:${file.sha256}` === digest && file.sizeBytes === sizeBytes;
        return isGood ? [] : [`the base has another content for blob ${digest}`];
    });
}

/** An archive that is read, with the record beside it. */
interface Source {
    readonly path: string;
    readonly file: FileHandle;
    readonly record: ExportRecord | undefined;
}

async function openSource(path: string): Promise<Source> {
    const text = await readFile(recordKey(path), "utf8").catch(() => undefined);
    const read = text === undefined ? { record: undefined } : parseRecord(text);
    if ("problem" in read) throw new ExportError("InvalidInput", `${recordKey(path)} ${read.problem}.`);
    return { path, file: await open(path), record: read.record };
}

function contentOf({ file }: Source): AsyncIterable<Uint8Array> {
    return file.createReadStream({ autoClose: false, start: 0, highWaterMark: chunkBytes });
}

function refuse({ path }: Source, problems: readonly string[]): void {
    if (problems.length > 0) throw new ExportError("InvalidInput", `${path}: ${problems.slice(0, 5).join("; ")}.`);
}

/** Called with the bytes that have been written, of how many. */
type OnProgress = (writtenBytes: number, totalBytes: number) => void;

/**
 * Makes of a base and a delta the archive that an export without `since` would have made, byte for byte, with its record beside it.
 * Both are read to their ends before anything is written, and every blob is hashed again while it is copied. The target appears
 * when it is whole.
 *
 * @returns the record, which names the delta
 * @throws ExportError `InvalidInput` for another or a damaged base or delta, `DigestMismatch` for one that changes meanwhile,
 *     `ExportFailed` where the target cannot be written
 */
export async function mergeArchives(
    basePath: string,
    deltaPath: string,
    target: string,
    onProgress?: OnProgress,
): Promise<ExportRecord> {
    const sources: Source[] = [];
    try {
        const delta = await openSource(deltaPath);
        sources.push(delta);
        const { record } = delta;
        if (record === undefined) refuse(delta, ["there is no record beside the delta"]);
        if (!record?.since) throw new ExportError("InvalidInput", `${deltaPath} is whole: it needs no base.`);
        const base = await openSource(basePath);
        sources.push(base);
        const found = await verifyArchive(contentOf(delta), record);
        refuse(delta, found.problems);
        const based = await readArchive(contentOf(base));
        refuse(base, baseProblems(record.since, based, base.record));
        const images = await imagesIn(found.files, found.contents, record);
        const blobAt = (digest: string) => {
            const name = blobName(digest);
            const [source, file] = found.files.has(name)
                ? [delta, found.files.get(name)]
                : [base, based.files.get(name)];
            return { source, offset: file?.offset ?? 0 };
        };
        return await writeMerged(record, images, blobAt, target, onProgress);
    } finally {
        for (const { file } of sources) await file.close();
    }
}

async function writeMerged(
    record: ExportRecord,
    images: readonly ResolvedImage[],
    blobAt: (digest: string) => { readonly source: Source; readonly offset: number },
    target: string,
    onProgress?: OnProgress,
): Promise<ExportRecord> {
    const plan = planArchive(images);
    const partial = `${target}.partial-${process.pid}`;
    const whole = createHash("sha256");
    const chunk = Buffer.alloc(chunkBytes);
    try {
        const file = await open(partial, "w");
        try {
            for (const segment of plan.segments) {
                if ("bytes" in segment) {
                    whole.update(segment.bytes);
                    await file.write(segment.bytes, 0, segment.bytes.length, segment.offset);
                } else {
                    const { source, offset } = blobAt(segment.digest);
                    const hash = createHash("sha256");
                    for (let done = 0; done < segment.length;) {
                        const length = Math.min(chunk.length, segment.length - done);
                        const { bytesRead } = await source.file.read(chunk, 0, length, offset + done);
                        const bytes = chunk.subarray(0, bytesRead);
                        if (bytesRead === 0) refuse(source, ["it has become shorter while it was read"]);
                        for (const each of [whole, hash]) each.update(bytes);
                        await file.write(bytes, 0, bytesRead, segment.offset + done);
                        done += bytesRead;
                    }
                    if (`sha256:${hash.digest("hex")}` !== segment.digest) {
                        throw new ExportError(
                            "DigestMismatch",
                            `${source.path}: blob ${segment.digest} has changed while it was read.`,
                        );
                    }
                }
                onProgress?.(segment.offset + segment.length, plan.sizeBytes);
            }
            await file.sync();
        } finally {
            await file.close();
        }
        const sha256 = whole.digest("hex");
        const merged = mergedRecord(record, images, plan, sha256);
        await writeFile(recordKey(partial), recordText(merged), { flush: true });
        await rename(recordKey(partial), recordKey(target));
        await rename(partial, target);
        return merged;
    } catch (error) {
        await rm(partial, { force: true });
        await rm(recordKey(partial), { force: true });
        if (error instanceof ExportError) throw error;
        throw new ExportError("ExportFailed", `${target} cannot be written: ${messageOf(error)}`, error);
    }
}

/** That of the delta, but for what is another archive's. */
function mergedRecord(
    record: ExportRecord,
    images: readonly ResolvedImage[],
    plan: ReturnType<typeof planArchive>,
    sha256: string,
): ExportRecord {
    const placed = images.map((image) => ({ images: recordedImages(image, plan) }));
    return {
        ...record,
        ...("set" in record ? { set: record.set.map((each, at) => ({ ...each, ...placed[at] })) } : placed[0]),
        archive: { sha256, sizeBytes: plan.sizeBytes, bucket: null, key: null, versionId: null },
        since: null,
        mergedFrom: record.archive.sha256,
        signingKeyArn: null,
    };
}
