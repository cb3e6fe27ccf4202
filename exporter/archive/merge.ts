/** Deltas at the other side: whether a file is the base of one, and both put together. */
import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { ExportError, messageOf } from "../../contract/errors";
import { recordKey } from "../../contract/keys";
import { type ExportRecord, type ImageExport, parseRecord, type Since } from "../../contract/record";
import { fileDestination } from "../destination/fileDestination";
import type { ResolvedImage } from "../registry/image";
import { blobName, planArchive, recordedImages } from "./plan";
import { readArchive, type ReadArchive } from "./readArchive";
import { imagesIn, verifyArchive } from "./verify";

/** Bytes that are copied at a time. */
const chunkBytes = 1024 * 1024;

/** Which archive a delta needs, in words. */
export function baseText({ key, sha256 }: Since): string {
    return `${key} (SHA-256 ${sha256})`;
}

/** What keeps anything from being the base of an archive that has no record, or one without a base. */
export const needsNoBase = "it is whole as far as is known, and needs no base";

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
    const needs = `the delta needs ${baseText(since)}`;
    if (damages.length > 0) return [`the base is damaged, and ${needs}`, ...damages];
    const isMerged = record?.mergedFrom === since.sha256 && record.archive.sha256 === sha256;
    if (sha256 !== since.sha256 && !isMerged) {
        return [`the base has the SHA-256 ${sha256}, and ${needs}`];
    }
    return since.missing.flatMap(({ digest, sizeBytes }) => {
        const file = files.get(blobName(digest));
        if (file === undefined) {
            return [`the base has no blob ${digest}, and ${needs}; a delta is first merged with its own base`];
        }
        const isGood = `sha256:${file.sha256}` === digest && file.sizeBytes === sizeBytes;
        return isGood ? [] : [`the base has another content for blob ${digest}`];
    });
}

/**
 * The record beside a file; undefined where there is none.
 *
 * @throws ExportError `InvalidInput` for what is no record
 */
export async function recordBeside(path: string): Promise<ExportRecord | undefined> {
    const text = await readFile(recordKey(path), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const read = parseRecord(text);
    if ("record" in read) return read.record;
    throw new ExportError("InvalidInput", `${recordKey(path)} ${read.problem}.`);
}

/** An archive that is read, with the record beside it. */
interface Source {
    readonly path: string;
    readonly file: FileHandle;
    readonly record: ExportRecord | undefined;
}

async function openSource(path: string): Promise<Source> {
    const record = await recordBeside(path);
    return { path, file: await open(path), record };
}

function refuse({ path }: Source, problems: readonly string[]): void {
    if (problems.length > 0) throw new ExportError("InvalidInput", `${path}: ${problems.slice(0, 5).join("; ")}.`);
}

/** What a merge may be given beside its files. */
interface MergeOptions {
    /** Ends it: nothing is left of the target. */
    readonly signal?: AbortSignal | undefined;
    /** Called with the bytes that have been written, of how many. */
    readonly onProgress?: ((writtenBytes: number, totalBytes: number) => void) | undefined;
}

/**
 * Makes of a base and a delta the archive that an export without `since` would have made, byte for byte, with its record beside it.
 * Both are read to their ends before anything is written, and every blob is hashed again while it is copied. The target appears
 * when it is whole.
 *
 * @returns the record, which names the delta
 * @throws ExportError `InvalidInput` for another or a damaged base or delta, and a target that is one of them, `DigestMismatch` for
 *     one that changes meanwhile, `ExportFailed` where the target cannot be written
 */
export async function mergeArchives(
    basePath: string,
    deltaPath: string,
    target: string,
    options: MergeOptions = {},
): Promise<ExportRecord> {
    const { signal } = options;
    const sources: Source[] = [];
    async function* contentOf({ file }: Source): AsyncGenerator<Buffer> {
        const stream = file.createReadStream({ autoClose: false, start: 0, highWaterMark: chunkBytes });
        for await (const bytes of stream as AsyncIterable<Buffer>) {
            signal?.throwIfAborted();
            yield bytes;
        }
    }
    try {
        const delta = await openSource(deltaPath);
        sources.push(delta);
        const { record } = delta;
        if (record === undefined) throw new ExportError("InvalidInput", `${deltaPath}: there is no record beside it.`);
        const { since } = record;
        if (since === null) throw new ExportError("InvalidInput", `${deltaPath} is whole: it needs no base.`);
        const refuseBase = (error: unknown): never => {
            const message = `${basePath} cannot be read, and the delta needs ${baseText(since)}: ${messageOf(error)}`;
            throw new ExportError("InvalidInput", message, error);
        };
        const base = await openSource(basePath).catch(refuseBase);
        sources.push(base);
        await assertOther(target, sources);
        const found = await verifyArchive(contentOf(delta), record);
        refuse(delta, found.problems);
        const based = await readArchive(contentOf(base)).catch(refuseBase);
        refuse(base, baseProblems(since, based, base.record));
        const images = await imagesIn(found.files, found.contents, record);
        const blobAt = (digest: string) => {
            const name = blobName(digest);
            const [source, file] = found.files.has(name)
                ? [delta, found.files.get(name)]
                : [base, based.files.get(name)];
            return { source, offset: file?.offset ?? 0 };
        };
        return await writeMerged(record, images, blobAt, target, options);
    } catch (error) {
        signal?.throwIfAborted();
        throw error;
    } finally {
        for (const { file } of sources) await file.close();
    }
}

/** Keeps a merge from replacing what it reads, under whatever name. */
async function assertOther(target: string, sources: readonly Source[]): Promise<void> {
    const identity = (file: string) =>
        stat(file, { bigint: true }).then(
            ({ dev, ino }) => `${dev} ${ino}`,
            () => undefined,
        );
    const filesAt = (path: string) => Promise.all([path, recordKey(path)].map(identity));
    const replaced = new Set(await filesAt(target));
    replaced.delete(undefined);
    for (const { path } of sources) {
        const isReplaced = (await filesAt(path)).some((each) => replaced.has(each));
        if (isReplaced) throw new ExportError("InvalidInput", `${target} would replace ${path}: name another file.`);
    }
}

async function writeMerged(
    record: ExportRecord,
    images: readonly ResolvedImage[],
    blobAt: (digest: string) => { readonly source: Source; readonly offset: number },
    target: string,
    { signal, onProgress }: MergeOptions,
): Promise<ExportRecord> {
    const plan = planArchive(images);
    const whole = createHash("sha256");
    const chunk = Buffer.alloc(chunkBytes);
    const writer = await fileDestination(target).begin([], {});
    const write = async (bytes: Uint8Array, offset: number): Promise<void> => {
        signal?.throwIfAborted();
        whole.update(bytes);
        await writer.write({ number: 1, offset, length: bytes.length }, bytes, 0);
        onProgress?.(offset + bytes.length, plan.sizeBytes);
    };
    try {
        for (const segment of plan.segments) {
            if ("bytes" in segment) {
                await write(segment.bytes, segment.offset);
                continue;
            }
            const { source, offset } = blobAt(segment.digest);
            const hash = createHash("sha256");
            for (let done = 0; done < segment.length;) {
                const length = Math.min(chunk.length, segment.length - done);
                const { bytesRead } = await source.file.read(chunk, 0, length, offset + done);
                if (bytesRead === 0) refuse(source, ["it has become shorter while it was read"]);
                const bytes = chunk.subarray(0, bytesRead);
                hash.update(bytes);
                await write(bytes, segment.offset + done);
                done += bytesRead;
            }
            if (`sha256:${hash.digest("hex")}` !== segment.digest) {
                const message = `${source.path}: blob ${segment.digest} has changed while it was read.`;
                throw new ExportError("DigestMismatch", message);
            }
        }
        const merged = mergedRecord(record, images, plan, whole.digest("hex"));
        await writer.commit(merged, 0);
        return merged;
    } catch (error) {
        await writer.abort();
        throw error;
    }
}

/** That of the delta, but for what is another archive's. */
function mergedRecord(
    record: ExportRecord,
    images: readonly ResolvedImage[],
    plan: ReturnType<typeof planArchive>,
    sha256: string,
): ExportRecord {
    // The platform of an image that was chosen from an index may be known from there only.
    const placed = (exported: ImageExport, at: number) => {
        const found = images.slice(at, at + 1).flatMap((image) => recordedImages(image, plan));
        return { images: exported.images.map((each, place) => ({ ...each, layers: found[place]?.layers ?? null })) };
    };
    return {
        ...record,
        ...("set" in record
            ? { set: record.set.map((each, at) => ({ ...each, ...placed(each, at) })) }
            : placed(record, 0)),
        archive: { sha256, sizeBytes: plan.sizeBytes, bucket: null, key: null, versionId: null },
        since: null,
        mergedFrom: record.archive.sha256,
        signingKeyArn: null,
    };
}
