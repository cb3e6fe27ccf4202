import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf } from "../../contract/errors";

/** Hashes what is packed in a file, piece by piece. */
export interface UnpackedHash {
    update(piece: Uint8Array): Promise<void>;
    end(): Promise<{ readonly sha256: string } | { readonly problem: string }>;
}

/** The SHA-256 of a layer's tar, which may be packed by gzip or Zstandard, as its first bytes tell, or not at all. */
export function createUnpackedHash(): UnpackedHash {
    const hash = createHash("sha256");
    let unpacker: Transform | undefined;
    let isBegun = false;
    let problem: string | undefined;

    function begin(piece: Uint8Array): void {
        isBegun = true;
        // RFC 1952, 2.3.1; RFC 8878, 3.1.1. Pieces of an archive are longer than this, but where one ends a chunk.
        if (piece[0] === 0x1f) unpacker = createGunzip();
        if (piece[0] === 0x28) unpacker = createZstdDecompress();
        unpacker?.on("data", (bytes: Buffer) => hash.update(bytes));
        unpacker?.on("error", (error) => (problem ??= messageOf(error)));
    }

    return {
        update: async (piece) => {
            if (!isBegun) begin(piece);
            if (unpacker === undefined) hash.update(piece);
            else if (problem === undefined && !unpacker.write(Uint8Array.from(piece))) {
                await Promise.race([once(unpacker, "drain"), once(unpacker, "close")]).catch(() => undefined);
            }
        },
        end: async () => {
            if (unpacker !== undefined && problem === undefined) {
                const ended = once(unpacker, "close").catch(() => undefined);
                unpacker.end();
                await ended;
            }
            return problem === undefined ? { sha256: hash.digest("hex") } : { problem };
        },
    };
}
