import { ExportError } from "../../contract/errors";

/** A stretch of the archive that is moved, retried and uploaded as one; its number is from 1 on, as S3 has it. */
export type Part = ReturnType<typeof planParts>[number];

const mebibyte = 1024 * 1024;

// S3's limits (Amazon S3 user guide, "Amazon S3 multipart upload limits"); the last part may be smaller.
const minPartBytes = 5 * mebibyte;
const maxPartBytes = 5 * 1024 * mebibyte;
const maxParts = 10_000;

/**
 * Cuts an archive into parts that S3 takes: the smallest, since parts under way fill the memory, and larger ones where 10,000 of
 * those are not enough.
 *
 * @throws ExportError `InvalidInput` when the archive is larger than an S3 object can be (48.8 TiB)
 */
export function planParts(sizeBytes: number) {
    const partBytes = Math.max(minPartBytes, Math.ceil(sizeBytes / maxParts));
    if (partBytes > maxPartBytes) {
        throw new ExportError("InvalidInput", `The archive has ${sizeBytes} bytes, more than an S3 object can have.`);
    }
    return Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, at) => {
        const offset = at * partBytes;
        return { number: at + 1, offset, length: Math.min(partBytes, sizeBytes - offset) };
    });
}
