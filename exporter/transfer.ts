import { crc32 } from "node:zlib";
import { combineCrc32 } from "./archive/crc32";
import type { ArchiveWriter } from "./destination/destination";
import { ExportError } from "../contract/errors";
import { createHasher } from "./archive/hasher";
import type { ArchivePlan, Part } from "./archive/plan";
import { createLimit, createPool } from "./network/pool";
import type { Registry } from "./registry/registry";

/** Memory for parts under way, where it holds one; the program itself needs some 80 MB beside it. */
const memoryBytes = 80 * 1024 * 1024;

/** What is moved, from where, to where, and with how much of the machine. */
export interface TransferOptions {
    readonly plan: Pick<ArchivePlan, "segments">;
    readonly parts: readonly Part[];
    readonly registry: Pick<Registry, "readBlob">;
    readonly writer: Pick<ArchiveWriter, "write" | "needsCrc32">;
    /** Blob ranges fetched at a time, and parts written at a time. */
    readonly concurrency: number;
    /** Aborted by the first failure, so that everything under way stops; its reason is that failure. */
    readonly abort: AbortController;
    /** Aborted with it, and by whoever stops the export. */
    readonly signal: AbortSignal;
    /** Told after every part that has been written, of the bytes written so far. */
    readonly onWritten: (bytes: number) => void;
}

/**
 * Moves a planned archive: parts are filled from the registry in parallel, hashed in order, written in parallel.
 * A part has its own memory from its first byte until it is hashed and written, and there is a fixed amount of it;
 * parts are begun in order, so the one that everything waits for is always under way.
 * When it returns, every part is written and every blob has had the digest it should have. When it throws, nothing
 * is under way any more.
 *
 * @returns checksums of the whole archive, the SHA-256 in hexadecimal
 * @throws ExportError `DigestMismatch` when a blob is not what the manifest says, and what reading and writing end in
 */
export async function transfer(options: TransferOptions): Promise<{ sha256: string; crc32: number }> {
    const { plan, parts, registry, writer, concurrency, abort, signal, onWritten } = options;
    const useSlot = createPool(createSlots(parts, concurrency));
    const whileDownloading = createLimit(concurrency);
    const whileUploading = createLimit(concurrency);
    signal.throwIfAborted();
    const hasher = createHasher();
    // Parts are hashed in their order: what waits for a part that will not come any more is let go.
    signal.addEventListener("abort", () => void hasher.close(), { once: true });
    const crcOf: typeof crc32 = writer.needsCrc32 ? crc32 : () => 0;
    const checksums: number[] = [];
    let sha256 = "";
    let written = 0;

    const fail = (error: unknown): void => {
        abort.abort(error);
    };

    async function movePart(part: Part, memory: SharedArrayBuffer): Promise<void> {
        const slices = slicesOf(plan, part);
        const filled = await Promise.all(slices.map((slice) => fill(slice, memory).catch(fail)));
        signal.throwIfAborted();
        const checksum = slices.reduce((all, { from, to }, at) => combineCrc32(all, filled[at] ?? 0, to - from), 0);
        await Promise.all([hash(part, slices, memory).catch(fail), write(part, memory, checksum).catch(fail)]);
    }

    /** @returns CRC-32 of the slice */
    async function fill(slice: Slice, memory: SharedArrayBuffer): Promise<number> {
        const { offset, from, to } = slice;
        const target = new Uint8Array(memory, from, to - from);
        if ("bytes" in slice) {
            target.set(slice.bytes.subarray(offset, offset + target.length));
            return crcOf(target);
        }
        let checksum = 0;
        const onPiece = (piece: Uint8Array): void => {
            checksum = crcOf(piece, checksum);
        };
        await whileDownloading(() => registry.readBlob(slice.digest, offset, target, onPiece));
        return checksum;
    }

    async function hash(part: Part, slices: readonly Slice[], memory: SharedArrayBuffer): Promise<void> {
        const blobs = slices.filter((slice) => "digest" in slice);
        const result = await hasher.add({ turn: part.number - 1, memory, length: part.length, blobs });
        result.finished.forEach(assertDigest);
        if (part.number === parts.length) sha256 = result.sha256;
    }

    async function write(part: Part, memory: SharedArrayBuffer, checksum: number): Promise<void> {
        const bytes = new Uint8Array(memory, 0, part.length);
        checksums[part.number - 1] = checksum;
        await whileUploading(() => writer.write(part, bytes, checksum));
        written += part.length;
        onWritten(written);
    }

    try {
        const move = (part: Part) => async (memory: SharedArrayBuffer) => {
            if (!signal.aborted) await movePart(part, memory).catch(fail);
        };
        await Promise.all(parts.map((part) => useSlot(move(part))));
        signal.throwIfAborted();
        return {
            sha256,
            crc32: parts.reduce((all, { length }, at) => combineCrc32(all, checksums[at] ?? 0, length), 0),
        };
    } finally {
        await hasher.close();
    }
}

type Slice = ReturnType<typeof slicesOf>[number];

/** The stretches of a part, each of one segment. */
function slicesOf(plan: TransferOptions["plan"], part: Part) {
    const partEnd = part.offset + part.length;
    const touching = plan.segments.filter(({ offset, length }) => offset < partEnd && offset + length > part.offset);
    return touching.map((segment) => {
        const end = segment.offset + segment.length;
        const from = Math.max(segment.offset - part.offset, 0);
        return {
            ...segment,
            /** Where it starts in the segment. */
            offset: part.offset + from - segment.offset,
            /** Where it starts and ends in the part. */
            from,
            to: Math.min(end, partEnd) - part.offset,
            /** Whether it is the segment's end. */
            isLast: end <= partEnd,
        };
    });
}

function assertDigest([expected, actual]: readonly [string, string]): void {
    if (expected !== actual) {
        throw new ExportError("DigestMismatch", `The blob ${expected} arrived as ${actual}. Nothing was exported.`);
    }
}

/** As much memory as may be used, in pieces of the longest part, and no more pieces than can be used at once. */
function createSlots(parts: readonly Part[], concurrency: number): SharedArrayBuffer[] {
    const longest = parts.reduce((length, part) => Math.max(length, part.length), 0);
    const count = Math.max(1, Math.min(Math.floor(memoryBytes / longest), 2 * concurrency, parts.length));
    return Array.from({ length: count }, () => new SharedArrayBuffer(longest));
}
