import { connect, type NetworkOptions, plainProxyFor, proxyFor, type Receiving } from "../network/connect";
import type { Answer } from "../network/httpClient";
import { networkError } from "../network/retry";

/** A GET of `target.length` bytes from `offset` on. */
interface RangeRequest {
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    /** First byte wanted of the resource. */
    readonly offset: number;
    /** Where the bytes go; not empty. */
    readonly target: Uint8Array;
    /** Told of every piece that has arrived in `target`, so that a broken transfer can go on from there. */
    readonly onBytes: (length: number) => void;
}

/** The head of an answer, and of a failure what has come of its body. With status 200 or 206 the whole `target` has been filled. */
interface RangeAnswer extends Answer {
    readonly headers: Readonly<Record<string, string>>;
}

/** The server sends the blob as a whole, another part of it, or in chunks: it has to be read from front to back. */
export class RangeIgnored extends Error {}

const headLimitBytes = 32 * 1024;
/** What is taken from a connection at once: few enough bytes that whoever is told of them finds them in the cache. */
const pieceLimitBytes = 256 * 1024;

/**
 * A client for blob ranges that has the kernel write each body straight into its target.
 *
 * Why not node:http or undici: both take a fresh 64 KiB buffer from every read and hand it through a stream, which
 * for 500 MB costs 640 to 900 ms of CPU and 100 MB of garbage; this costs 140 ms and none (bench/README.md).
 * What it speaks is small on purpose: GET, HTTP/1.1, a body with Content-Length.
 *
 * @param keepMs a connection that nobody uses for so long is closed: servers drop one after 5 s and more (S3, nginx, Go)
 */
export function createRangeClient(options: NetworkOptions, keepMs = 4_000) {
    const { idleTimeoutMs, signal } = options;
    const alive = new Set<Connection>();
    const idle = new Set<Connection>();

    async function acquire(url: URL): Promise<Connection> {
        const kept = [...idle].findLast(({ origin, socket }) => origin === url.origin && !socket.destroyed);
        if (kept !== undefined) {
            idle.delete(kept);
            return kept;
        }
        const opened = await openConnection(url, options);
        alive.add(opened);
        opened.socket.once("close", () => {
            alive.delete(opened);
            idle.delete(opened);
        });
        if (signal.aborted) opened.socket.destroy();
        return opened;
    }

    /**
     * @throws RangeIgnored when the answer is not the range asked for
     * @throws TransientError when the connection breaks or stalls
     * @throws ExportError when the host cannot be spoken to at all; the signal's reason when aborted
     */
    async function get(request: RangeRequest): Promise<Answer> {
        try {
            signal.throwIfAborted();
            const connection = await acquire(request.url);
            connection.socket.setTimeout(idleTimeoutMs);
            const answer = await connection.exchange(request);
            connection.socket.setTimeout(keepMs);
            if (!connection.socket.destroyed) idle.add(connection);
            return answer;
        } catch (error) {
            signal.throwIfAborted();
            throw error instanceof RangeIgnored ? error : networkError(error, request.url);
        }
    }

    function close(): void {
        alive.forEach(({ socket }) => socket.destroy());
    }

    signal.addEventListener("abort", close, { once: true });
    return { get, close };
}

type Connection = Awaited<ReturnType<typeof openConnection>>;

/** Opens a socket on which one answer at a time is read. */
async function openConnection(url: URL, { env, lookup }: NetworkOptions) {
    const via = plainProxyFor(url, env);
    // Room for the head of every answer. Node asks for the room of the next bytes as soon as the last have been received, so
    // between two answers it already holds this one.
    const head = Buffer.alloc(headLimitBytes);
    let reader: Receiving | undefined;
    let fail: ((error: Error) => void) | undefined;
    const receiving: Receiving = {
        room: () => reader?.room() ?? head,
        received: (length) => {
            try {
                if (reader === undefined) throw new Error("the server sent what nobody asked for");
                reader.received(length);
            } catch (error) {
                reader = undefined;
                socket.destroy(error as Error);
            }
        },
    };
    const socket =
        via === undefined
            ? await connect(url, proxyFor(url, env), { receiving, lookup })
            : await connect(via.proxy, undefined, { receiving });
    let failure = new Error("the connection was closed");
    socket.on("error", (error: Error) => {
        failure = error;
    });
    socket.on("timeout", () => socket.destroy(new Error("the connection stalled")));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => fail?.(failure));
    return {
        origin: url.origin,
        socket,
        /** Sends a request and reads its answer; closes the socket where that is not clean for a next one. */
        exchange: (request: RangeRequest): Promise<RangeAnswer> =>
            new Promise((resolve, reject) => {
                fail = reject;
                reader = createReader(head, request, (answer, isClean) => {
                    // At once, not when the promise is taken up: Node asks for the next room before that.
                    reader = undefined;
                    if (!isClean || answer.headers["connection"]?.toLowerCase() === "close") socket.destroy();
                    resolve(answer);
                });
                if (socket.destroyed) reject(failure);
                socket.write(requestHead(request, via));
            }),
    };
}

function requestHead({ url, headers, offset, target }: RangeRequest, via: ReturnType<typeof plainProxyFor>): string {
    const fields = Object.entries({
        host: url.host,
        range: `bytes=${offset}-${offset + target.length - 1}`,
        "accept-encoding": "identity",
        ...via?.headers,
        ...headers,
    });
    const lines = fields.map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, "")}\r\n`).join("");
    return `GET ${via === undefined ? "" : url.origin}${url.pathname}${url.search} HTTP/1.1\r\n${lines}\r\n`;
}

/**
 * Reads one answer: its head into a buffer of its own, its body into the target.
 *
 * @param end told the answer, and whether nothing of it is still to come
 */
function createReader(
    head: Buffer,
    request: RangeRequest,
    end: (answer: RangeAnswer, isClean: boolean) => void,
): Receiving {
    const { target, onBytes } = request;
    let headLength = 0;
    let answer: RangeAnswer | undefined;
    let filled = 0;

    function readHead(): void {
        const headEnd = head.subarray(0, headLength).indexOf("\r\n\r\n");
        if (headEnd < 0) {
            if (headLength < head.length) return;
            throw new Error(`the head of the answer is longer than ${headLimitBytes} bytes`);
        }
        const found = parseHead(head.toString("latin1", 0, headEnd));
        const rest = Buffer.from(head.subarray(headEnd + 4, headLength));
        if (found.status < 200) {
            // 1xx: the real answer is still to come.
            head.set(rest);
            headLength = rest.length;
            readHead();
        } else if ([200, 206, 416].includes(found.status)) {
            assertRange(request, found);
            if (rest.length > target.length) throw new Error("the answer is longer than it says");
            answer = found;
            target.set(rest);
            readBody(found, rest.length);
        } else if (isWhole(found, rest) || headLength === head.length) {
            const body = found.headers["transfer-encoding"] === undefined ? rest : firstChunk(rest);
            end({ ...found, body }, found.headers["content-length"] === rest.length.toString());
        }
    }

    function readBody(found: RangeAnswer, length: number): void {
        filled += length;
        if (length > 0) onBytes(length);
        if (filled === target.length) end(found, true);
    }

    return {
        room: () =>
            answer === undefined ? head.subarray(headLength) : target.subarray(filled, filled + pieceLimitBytes),
        received: (length) => {
            if (answer !== undefined) {
                readBody(answer, length);
                return;
            }
            headLength += length;
            readHead();
        },
    };
}

/** Whether the body of a failure has come, as far as its head says how long it is. */
function isWhole({ headers }: RangeAnswer, body: Buffer): boolean {
    if (headers["transfer-encoding"] !== undefined) return body.toString("latin1").endsWith("0\r\n\r\n");
    return body.length >= Number(headers["content-length"] ?? 0);
}

/** The first piece of a body in chunks (RFC 9112, 7.1): its length as a line, then itself. */
function firstChunk(body: Buffer): Buffer {
    const start = body.indexOf("\r\n") + 2;
    return body.subarray(start, start + parseInt(body.toString("latin1", 0, start), 16));
}

/** @throws RangeIgnored when the answer is not the range asked for, or does not say how long it is */
function assertRange({ offset, target }: RangeRequest, { status, headers }: RangeAnswer): void {
    const range = headers["content-range"];
    const isRange = status === 200 ? offset === 0 : status === 206 && range?.startsWith(`bytes ${offset}-`) === true;
    const isPlain = headers["transfer-encoding"] === undefined && !headers["content-encoding"];
    const length = headers["content-length"] ?? "unknown";
    if (isRange && isPlain && Number(length) === target.length) return;
    throw new RangeIgnored(
        `asked for ${target.length} bytes from ${offset} on, was sent ${range ?? `${length} bytes`}`,
    );
}

function parseHead(text: string): RangeAnswer {
    const [statusLine = "", ...lines] = text.split("\r\n");
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1];
    if (status === undefined) {
        throw new Error(`not an HTTP/1.1 answer: ${JSON.stringify(statusLine.slice(0, 80))}`);
    }
    const headers: Record<string, string> = {};
    for (const line of lines) {
        const colon = line.indexOf(":");
        const name = line.slice(0, colon).toLowerCase();
        const value = line.slice(colon + 1).trim();
        // A list of challenges may come as several headers; of others the last counts, as for Node.
        const before = name === "www-authenticate" ? headers[name] : undefined;
        headers[name] = before === undefined ? value : `${before}, ${value}`;
    }
    return { status: Number(status), headers };
}
