import { createHash } from "node:crypto";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf } from "../../contract/errors";

/**
 * The SHA-256 of a layer's tar, which may be packed by gzip or Zstandard, as its first byte tells (RFC 1952, 2.3.1; RFC 8878,
 * 3.1.1), or not at all. It takes the file piece by piece.
 */
export function createUnpackedHash(firstByte: number | undefined) {
    const unpacker =
        firstByte === 0x1f ? createGunzip() : firstByte === 0x28 ? createZstdDecompress() : new PassThrough();
    let isDone = false;
    const unpacked = pipeline(unpacker, async (source: AsyncIterable<Buffer>) => {
        const hash = createHash("sha256");
        for await (const bytes of source) hash.update(bytes);
        return { sha256: hash.digest("hex") };
    })
        .catch((error: unknown) => ({ problem: messageOf(error) }))
        .finally(() => (isDone = true));
    return {
        update: async (piece: Uint8Array): Promise<void> => {
            if (isDone || unpacker.write(Uint8Array.from(piece))) return;
            await Promise.race([once(unpacker, "drain"), unpacked]).catch(() => undefined);
        },
        end: () => {
            unpacker.end();
            return unpacked;
        },
    };
}
