import { TransientError } from "../network/retry";

/**
 * For a blob of a server that does not know ranges: who reads it stretch by stretch, each after the one before it, needs one
 * answer for all of them.
 *
 * @param open asks for the whole blob
 */
export function createFrontToBack(open: () => Promise<AsyncIterable<Uint8Array>>) {
    let source: AsyncIterator<Uint8Array> | undefined;
    let position = 0;
    let rest: Uint8Array = new Uint8Array();

    /** Gives up the answer that is under way. */
    async function close(): Promise<void> {
        const old = source;
        source = undefined;
        await old?.return?.();
    }

    /** Fills `target` with the blob's bytes from `from` on. */
    async function read(from: number, target: Uint8Array, onBytes: (length: number) => void): Promise<void> {
        if (source === undefined || from < position) {
            await close();
            source = (await open())[Symbol.asyncIterator]();
            [position, rest] = [0, new Uint8Array()];
        }
        try {
            for (let filled = 0; filled < target.length;) {
                while (rest.length === 0) {
                    const found = await source.next();
                    if (found.done === true) throw new TransientError("the answer is shorter than the blob");
                    rest = found.value;
                }
                const skipped = Math.min(from + filled - position, rest.length);
                const piece = rest.subarray(skipped, skipped + target.length - filled);
                target.set(piece, filled);
                filled += piece.length;
                position += skipped + piece.length;
                rest = rest.subarray(skipped + piece.length);
                if (piece.length > 0) onBytes(piece.length);
            }
        } catch (error) {
            await close().catch(() => undefined);
            throw error;
        }
    }

    return { read, close };
}
