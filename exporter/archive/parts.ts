import { ExportError } from "../../contract/errors";
import type { PlannedFile } from "./plan";

/** A stretch of the archive that is moved, retried and uploaded as one. */
export interface Part {
    /** From 1, as S3 numbers parts. */
    readonly number: number;
    readonly offset: number;
    readonly length: number;
}

/** What is known of an archive before it is cut. */
export interface Outline {
    readonly sizeBytes: number;
    readonly files: readonly Pick<PlannedFile, "offset" | "sizeBytes">[];
}

const mebibyte = 1024 * 1024;

/** S3's limits (Amazon S3 user guide, "Amazon S3 multipart upload limits"). */
export const s3Limits = {
    /** Smallest part but the last. */
    minPartBytes: 5 * mebibyte,
    maxPartBytes: 5 * 1024 * mebibyte,
    maxParts: 10_000,
} as const;

/** What a part should measure while 10,000 of them are enough: the smallest, since parts under way fill the memory. */
export const defaultPartBytes = s3Limits.minPartBytes;

/**
 * Cuts an archive into parts that S3 takes. A cut lies at the first byte of every layer that is large enough to be
 * a part of its own, so that a later export can have S3 copy an unchanged layer from an older archive
 * (UploadPartCopy). Parts grow with the archive beyond 10,000 × `partBytes`; near S3's object limit, where no part can
 * be spared, the cuts no longer keep to the layers.
 *
 * @param partBytes what a part should measure; parts are at least 5 MiB and, with the default, less than 10 MiB
 * @throws ExportError `InvalidInput` when the archive is larger than an S3 object can be (48.8 TiB)
 */
export function planParts(plan: Outline, partBytes = defaultPartBytes): Part[] {
    const { minPartBytes, maxPartBytes, maxParts } = s3Limits;
    if (plan.sizeBytes > maxPartBytes * maxParts) {
        throw new ExportError(
            "InvalidInput",
            `The archive has ${plan.sizeBytes} bytes, more than an S3 object can have.`,
        );
    }
    const smallestThatCanDo = Math.ceil(plan.sizeBytes / maxParts);
    const first = Math.max(partBytes, minPartBytes, smallestThatCanDo);
    for (let target = first; target <= maxPartBytes; target = Math.ceil(target * 1.25)) {
        const lengths = alignedLengths(plan, target);
        if (lengths.length <= maxParts) return numbered(lengths);
    }
    return numbered(splitEvenly(plan.sizeBytes, Math.ceil(plan.sizeBytes / maxPartBytes)));
}

function alignedLengths({ sizeBytes, files }: Outline, target: number): number[] {
    const smallest = Math.max(s3Limits.minPartBytes, Math.floor(target / 2));
    const cuts = [0];
    for (const file of files) {
        const last = cuts.at(-1) ?? 0;
        if (file.sizeBytes >= smallest && file.offset - last >= smallest) cuts.push(file.offset);
    }
    return cuts.flatMap((from, at) => {
        const length = (cuts[at + 1] ?? sizeBytes) - from;
        const wanted = Math.ceil(length / target);
        const possible = Math.max(1, Math.floor(length / s3Limits.minPartBytes));
        return splitEvenly(length, Math.min(wanted, possible));
    });
}

/** Lengths that differ by one at most. */
function splitEvenly(length: number, count: number): number[] {
    const shorter = Math.floor(length / count);
    const longer = length - shorter * count;
    return Array.from({ length: count }, (_, at) => (at < longer ? shorter + 1 : shorter));
}

function numbered(lengths: readonly number[]): Part[] {
    let offset = 0;
    return lengths.map((length, at) => {
        const part = { number: at + 1, offset, length };
        offset += length;
        return part;
    });
}
