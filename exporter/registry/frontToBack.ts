import { TransientError } from "../network/retry";

/** Stretches of one blob, which may have to be read one after the other. */
export interface FrontToBack {
    /**
     * Runs `action` with the stretch at `offset` known to the others, so that they wait for it in {@link FrontToBack.read}.
     */
    during<T>(offset: number, action: () => Promise<T>): Promise<T>;
    /**
     * Fills `target` from `from` on, once every stretch before the one at `offset` is done: so one answer, read from front to
     * back, serves them all.
     *
     * @param open asks for the whole blob
     */
    read(
        offset: number,
        from: number,
        target: Uint8Array,
        open: () => Promise<AsyncIterable<Uint8Array>>,
        onBytes: (length: number) => void,
    ): Promise<void>;
}

/** For blobs of a server that does not know ranges. */
export function createFrontToBack(): FrontToBack {
    const pending = new Set<number>();
    const waiting: { readonly offset: number; readonly wake: () => void }[] = [];
    let source: AsyncIterator<Uint8Array> | undefined;
    let position = 0;
    let rest = new Uint8Array();

    const isFirst = (offset: number): boolean => [...pending].every((other) => other >= offset);

    async function during<T>(offset: number, action: () => Promise<T>): Promise<T> {
        pending.add(offset);
        try {
            return await action();
        } finally {
            pending.delete(offset);
            waiting.find((each) => isFirst(each.offset))?.wake();
            if (pending.size === 0) await close();
        }
    }

    async function turn(offset: number): Promise<void> {
        if (isFirst(offset)) return;
        await new Promise<void>((wake) => waiting.push({ offset, wake }));
        waiting.splice(
            waiting.findIndex((each) => each.offset === offset),
            1,
        );
    }

    async function close(): Promise<void> {
        const old = source;
        source = undefined;
        await old?.return?.();
    }

    async function next(): Promise<Uint8Array> {
        const found = await source?.next();
        if (found === undefined || found.done === true) {
            throw new TransientError("the answer is shorter than the blob");
        }
        return found.value;
    }

    const read: FrontToBack["read"] = async (offset, from, target, open, onBytes) => {
        await turn(offset);
        if (source === undefined || from < position) {
            await close();
            source = (await open())[Symbol.asyncIterator]();
            [position, rest] = [0, new Uint8Array()];
        }
        try {
            for (let filled = 0; filled < target.length;) {
                if (rest.length === 0) rest = Uint8Array.from(await next());
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
    };

    return { during, read };
}
