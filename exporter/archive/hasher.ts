import { Worker } from "node:worker_threads";

/** Bytes of the archive, with the blobs that lie in them. */
interface HashJob {
    /** Place of these bytes in the archive, counted from 0. Jobs may come in any order. */
    readonly turn: number;
    readonly memory: SharedArrayBuffer;
    readonly length: number;
    /** Where stretches of blobs start and end in the bytes, and whether that is the blob's end. */
    readonly blobs: readonly { digest: string; from: number; to: number; isLast: boolean }[];
}

/** What became known by hashing a job's bytes. */
interface HashResult {
    readonly turn: number;
    /** SHA-256 of the archive up to their end, in hexadecimal. */
    readonly sha256: string;
    /** Blobs that end in these bytes, by the digest expected, with the digest they have. */
    readonly finished: readonly (readonly [expected: string, actual: string])[];
}

/**
 * The thread's program. Every byte is hashed twice, once for its blob's digest and once for the archive's, at some
 * 2 GB/s each with the processor's SHA instructions; beside it the main thread has the sockets to itself.
 * Both hashes take the bytes in pieces that stay in the processor's cache: a second walk through the memory of a whole
 * part costs two fifths more (bench/README.md).
 * It is carried as text, so it may use nothing from outside the function: a bundle of one file has no other file to
 * start a worker from.
 */
function hashingThread(): void {
    const { createHash } = process.getBuiltinModule("node:crypto");
    const { parentPort } = process.getBuiltinModule("node:worker_threads");
    const pieceBytes = 64 * 1024;
    const archive = createHash("sha256");
    const waiting = new Map<number, HashJob>();
    let next = 0;
    let blob = createHash("sha256");

    function hash({ turn, memory, length, blobs }: HashJob): HashResult {
        const finished: [string, string][] = [];
        let hashed = 0;
        for (const { digest, from, to, isLast } of blobs) {
            archive.update(new Uint8Array(memory, hashed, from - hashed));
            for (let at = from; at < to; at += pieceBytes) {
                const piece = new Uint8Array(memory, at, Math.min(pieceBytes, to - at));
                archive.update(piece);
                blob.update(piece);
            }
            hashed = to;
            if (isLast) {
                finished.push([digest, `sha256:${blob.digest("hex")}`]);
                blob = createHash("sha256");
            }
        }
        archive.update(new Uint8Array(memory, hashed, length - hashed));
        return { turn, sha256: archive.copy().digest("hex"), finished };
    }

    parentPort?.on("message", (message: HashJob) => {
        waiting.set(message.turn, message);
        for (let job = waiting.get(next); job !== undefined; job = waiting.get(next)) {
            waiting.delete(next);
            next += 1;
            parentPort.postMessage(hash(job));
        }
    });
}

/** Hashes an archive and the blobs in it, in order, on a thread of its own. */
export function createHasher() {
    const worker = new Worker(`(${hashingThread.toString()})()`, {
        eval: true,
        // It holds a few hash states; without a limit V8 reserves for it what it would for a whole program.
        resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 },
        execArgv: [],
        env: {},
    });
    const waiting = new Map<number, (result: HashResult) => void>();
    worker.on("message", (result: HashResult) => {
        waiting.get(result.turn)?.(result);
        waiting.delete(result.turn);
    });
    const ended = new Promise<never>((_resolve, reject) => {
        worker.on("error", reject);
        worker.on("exit", () => {
            reject(new Error("the hashing thread has ended"));
        });
    });
    ended.catch(() => undefined);
    return {
        /** Hashes when all earlier turns have been hashed. The memory must not change before that. */
        add: (job: HashJob): Promise<HashResult> => {
            const hashed = new Promise<HashResult>((resolve) => waiting.set(job.turn, resolve));
            worker.postMessage(job);
            return Promise.race([hashed, ended]);
        },
        /** Ends the thread; what has not been hashed will not be. */
        close: (): Promise<unknown> => worker.terminate(),
    };
}
