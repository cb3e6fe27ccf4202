import { combineCrc32, crc32Of } from "./archive/crc32";
import type { ArchiveWriter } from "./destination/destination";
import { ExportError } from "../contract/errors";
import { type BlobStretch, createHasher } from "./archive/hasher";
import type { Part } from "./archive/parts";
import type { ArchivePlan, Segment } from "./archive/plan";
import { createLimit, createPool } from "./network/pool";
import type { Registry } from "./registry/registry";

/** What is moved, from where, to where, and with how much of the machine. */
export interface TransferOptions {
    readonly plan: ArchivePlan;
    readonly parts: readonly Part[];
    readonly registry: Pick<Registry, "readBlob">;
    readonly writer: Pick<ArchiveWriter, "write">;
    /** Blob ranges fetched at a time, and parts written at a time. */
    readonly concurrency: number;
    /** Memory for parts under way, in bytes. */
    readonly memoryBytes: number;
    /** Aborted by the first failure, so that everything under way stops; its reason is that failure. */
    readonly abort: AbortController;
    /** Told after every part that has been written, of the bytes written so far. */
    readonly onWritten: (bytes: number) => void;
}

/** Checksums of the whole archive. */
export interface TransferResult {
    /** In hexadecimal. */
    readonly sha256: string;
    readonly crc32: number;
}

/**
 * Moves a planned archive: parts are filled from the registry in parallel, hashed in order, written in parallel.
 * A part has its own memory from its first byte until it is hashed and written, and there is a fixed amount of it;
 * parts are begun in order, so the one that everything waits for is always under way.
 * When it returns, every part is written and every blob has had the digest it should have. When it throws, nothing
 * is under way any more.
 *
 * @throws ExportError `InvalidInput` when the memory does not hold one part, `DigestMismatch` when a blob is not what
 *     the manifest says, and what reading and writing end in
 */
export async function transfer(options: TransferOptions): Promise<TransferResult> {
    const { plan, parts, registry, writer, concurrency, abort, onWritten } = options;
    const { signal } = abort;
    const slots = createPool(createSlots(options));
    const downloads = createLimit(concurrency);
    const uploads = createLimit(concurrency);
    signal.throwIfAborted();
    const hasher = createHasher();
    // Parts are hashed in their order: what waits for a part that will not come any more is let go.
    signal.addEventListener("abort", () => void hasher.close(), { once: true });
    const checked: Checked[] = [];
    let written = 0;

    const fail = (error: unknown): void => {
        abort.abort(error);
    };

    async function movePart(part: Part, memory: SharedArrayBuffer): Promise<void> {
        const slices = slicesOf(plan, part);
        const filled = await Promise.all(slices.map((slice) => fill(slice, memory).catch(fail)));
        signal.throwIfAborted();
        const checksum = combineAll(filled.filter((stretch) => stretch !== undefined));
        await Promise.all([hash(part, slices, memory).catch(fail), write(part, memory, checksum).catch(fail)]);
    }

    async function fill({ segment, from, to, at }: Slice, memory: SharedArrayBuffer): Promise<Checked> {
        const target = new Uint8Array(memory, at, to - from);
        if ("bytes" in segment) {
            target.set(segment.bytes.subarray(from, to));
            return { crc32: crc32Of(target), length: target.length };
        }
        const { digest } = segment;
        let crc32 = 0;
        const onPiece = (piece: Uint8Array): void => {
            crc32 = crc32Of(piece, crc32);
        };
        await downloads.use(() => registry.readBlob(digest, from, target, onPiece));
        return { crc32, length: target.length };
    }

    async function hash(part: Part, slices: readonly Slice[], memory: SharedArrayBuffer): Promise<void> {
        const blobs = slices.flatMap(blobStretch);
        const { finished } = await hasher.add({ turn: part.number - 1, memory, length: part.length, blobs });
        finished.forEach(assertDigest);
    }

    async function write(part: Part, memory: SharedArrayBuffer, checksum: number): Promise<void> {
        const bytes = new Uint8Array(memory, 0, part.length);
        checked[part.number - 1] = { crc32: checksum, length: part.length };
        await uploads.use(() => writer.write(part, bytes, checksum));
        written += part.length;
        onWritten(written);
    }

    try {
        const moving: Promise<void>[] = [];
        for (const part of parts) {
            const memory = await slots.acquire();
            if (signal.aborted) break;
            const release = (): void => {
                slots.release(memory);
            };
            moving.push(movePart(part, memory).catch(fail).finally(release));
        }
        await Promise.all(moving);
        signal.throwIfAborted();
        return { sha256: await hasher.digest(), crc32: combineAll(checked) };
    } finally {
        await hasher.close();
    }
}

/** The CRC-32 of a stretch of the archive, and how long it is in bytes. */
interface Checked {
    readonly crc32: number;
    readonly length: number;
}

/** One stretch of a segment, and where it goes in its part. */
interface Slice {
    readonly segment: Segment;
    readonly from: number;
    readonly to: number;
    readonly at: number;
}

function slicesOf(plan: ArchivePlan, part: Part): Slice[] {
    const partEnd = part.offset + part.length;
    const touching = plan.segments.filter(({ offset, length }) => offset < partEnd && offset + length > part.offset);
    return touching.map((segment) => {
        const from = Math.max(part.offset - segment.offset, 0);
        const to = Math.min(partEnd - segment.offset, segment.length);
        return { segment, from, to, at: segment.offset + from - part.offset };
    });
}

function blobStretch({ segment, from, to, at }: Slice): BlobStretch[] {
    return "digest" in segment
        ? [{ digest: segment.digest, from: at, to: at + to - from, isLast: to === segment.length }]
        : [];
}

function assertDigest([expected, actual]: readonly [string, string]): void {
    if (expected !== actual) {
        throw new ExportError("DigestMismatch", `The blob ${expected} arrived as ${actual}. Nothing was exported.`);
    }
}

/** As much memory as may be used, in pieces of the longest part, and no more pieces than can be used at once. */
function createSlots({ parts, concurrency, memoryBytes }: TransferOptions): SharedArrayBuffer[] {
    const longest = parts.reduce((length, part) => Math.max(length, part.length), 0);
    const count = Math.min(Math.floor(memoryBytes / longest), 2 * concurrency, parts.length);
    if (count < 1) {
        throw new ExportError(
            "InvalidInput",
            `The parts of this archive measure ${longest} bytes, but the memory for parts is ${memoryBytes}: give more.`,
        );
    }
    return Array.from({ length: count }, () => new SharedArrayBuffer(longest));
}

/** The CRC-32 of stretches one after the other. */
function combineAll(stretches: readonly Checked[]): number {
    return stretches.reduce((all, { crc32, length }) => combineCrc32(all, crc32, length), 0);
}
