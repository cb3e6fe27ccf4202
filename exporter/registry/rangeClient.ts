import type { LookupFunction, Socket } from "node:net";
import { connect, deliver, plainProxyFor, type PlainProxy, proxyFor, type Receiving } from "../network/connect";
import type { HttpClient } from "../network/httpClient";
import { networkError } from "../network/networkError";
import { TransientError } from "../network/retry";

/** A GET of `target.length` bytes from `offset` on. */
export interface RangeRequest {
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    /** First byte wanted of the resource. */
    readonly offset: number;
    /** Where the bytes go. */
    readonly target: Uint8Array;
    readonly signal: AbortSignal;
    /** Told of every piece that has arrived in `target`, so that a broken transfer can go on from there. */
    readonly onBytes: (length: number) => void;
}

/** The head of the answer. With status 200 or 206 the whole `target` has been filled. */
export interface RangeResponse {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    /** What has come of the body of a failure. */
    readonly body?: Uint8Array;
}

/** The server sends the blob as a whole, or another part of it: it has to be read from front to back. */
export class RangeIgnored extends Error {}

/** Reads ranges over kept connections. */
export interface RangeClient {
    /**
     * @throws RangeIgnored when the answer is not the range asked for
     * @throws TransientError when the connection breaks or stalls
     * @throws ExportError when the host cannot be spoken to at all; the signal's reason when aborted
     */
    get(request: RangeRequest): Promise<RangeResponse>;
    /** Closes the kept connections. */
    close(): void;
}

const headLimitBytes = 32 * 1024;
/** What is taken from a connection at once: few enough bytes that whoever is told of them finds them in the cache. */
const pieceLimitBytes = 256 * 1024;
/** Servers drop a kept connection after 5 s and more (S3, nginx, Go): one older than this is not used again. */
const defaultKeepMs = 4_000;

/** What a {@link RangeClient} needs. */
export interface RangeClientOptions {
    /** Names the proxies. */
    readonly env: NodeJS.ProcessEnv;
    /** Looks up names; Node's own by default. */
    readonly lookup?: LookupFunction;
    /** For answers that this client cannot read. */
    readonly http: Pick<HttpClient, "open">;
    /** A connection without a byte for so long is stalled. */
    readonly idleTimeoutMs: number;
    /**
     * A connection that nobody uses for so long is closed.
     * @default 4000
     */
    readonly keepMs?: number;
}

/**
 * A client for blob ranges that has the kernel write each body straight into its target.
 *
 * Why not node:http or undici: both take a fresh 64 KiB buffer from every read and hand it through a stream, which
 * for 500 MB costs 640 to 900 ms of CPU and 100 MB of garbage; this costs 140 ms and none (bench/README.md).
 * What it speaks is small on purpose: GET, HTTP/1.1, a body with Content-Length. An answer framed otherwise is asked
 * for again through node:http.
 */
export function createRangeClient(options: RangeClientOptions): RangeClient {
    const { idleTimeoutMs, keepMs = defaultKeepMs } = options;
    const kept = new Map<string, Connection[]>();
    const alive = new Set<Connection>();

    async function acquire(url: URL): Promise<Connection> {
        const idle = kept.get(url.origin)?.pop();
        const connection = idle === undefined || idle.socket.destroyed ? await open(url) : idle;
        connection.socket.setTimeout(idleTimeoutMs);
        return connection;
    }

    async function open(url: URL): Promise<Connection> {
        const connection = await openConnection(url, options);
        alive.add(connection);
        connection.socket.once("close", () => {
            forget(url, connection);
        });
        return connection;
    }

    function forget(url: URL, connection: Connection): void {
        alive.delete(connection);
        kept.set(
            url.origin,
            (kept.get(url.origin) ?? []).filter((other) => other !== connection),
        );
    }

    function release(url: URL, connection: Connection): void {
        connection.socket.setTimeout(keepMs);
        kept.set(url.origin, [...(kept.get(url.origin) ?? []), connection]);
    }

    async function get(request: RangeRequest): Promise<RangeResponse> {
        request.signal.throwIfAborted();
        const connection = await acquire(request.url).catch((error: unknown) => {
            throw networkError(error, request.url);
        });
        try {
            const { response, reusable } = await exchange(connection, request);
            if (reusable) {
                release(request.url, connection);
            } else {
                connection.socket.destroy();
            }
            return response;
        } catch (error) {
            connection.socket.destroy();
            request.signal.throwIfAborted();
            if (error instanceof UnreadableFraming) return getThroughNode(request, options.http);
            if (error instanceof RangeIgnored) throw error;
            throw networkError(error, request.url);
        }
    }

    return {
        get,
        close: () => {
            alive.forEach(({ socket }) => socket.destroy());
        },
    };
}

/** A socket and the reader of the answer that is under way on it. */
interface Connection {
    socket: Socket;
    /**
     * Room for the head of every answer. Node asks for the room of the next bytes as soon as the last have been
     * received, so between two answers it already holds this one.
     */
    readonly head: Buffer;
    /** The proxy that it leads to, for plain HTTP. */
    readonly via: PlainProxy | undefined;
    reader?: (Receiving & { failed(error: Error): void }) | undefined;
}

interface Outcome {
    readonly response: RangeResponse;
    /** Whether the connection is clean for a next request. */
    readonly reusable: boolean;
}

class UnreadableFraming extends Error {}

async function openConnection(url: URL, { env, lookup }: RangeClientOptions): Promise<Connection> {
    const via = plainProxyFor(url, env);
    const connection: Partial<Connection> & Pick<Connection, "head" | "via"> = {
        head: Buffer.alloc(headLimitBytes),
        via,
    };
    const receiving: Receiving = {
        room: () => connection.reader?.room() ?? connection.head,
        received: (length) => {
            if (connection.reader) {
                connection.reader.received(length);
            } else {
                connection.socket?.destroy(); // bytes that nobody asked for
            }
        },
    };
    const socket =
        via === undefined
            ? await connect(url, proxyFor(url, env), { receiving, lookup })
            : await connect(via.proxy, undefined, { receiving });
    connection.socket = socket;
    let failure = new Error("the connection was closed");
    socket.on("error", (error: Error) => {
        failure = error;
    });
    socket.on("timeout", () => {
        failure = new Error("the connection stalled");
        socket.destroy();
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => connection.reader?.failed(failure));
    return Object.assign(connection, { socket });
}

async function exchange(connection: Connection, request: RangeRequest): Promise<Outcome> {
    const { socket } = connection;
    const abort = (): void => {
        socket.destroy();
    };
    request.signal.addEventListener("abort", abort, { once: true });
    try {
        return await new Promise<Outcome>((resolve, reject) => {
            const finish = (outcome: Outcome): void => {
                // At once, not when the promise is taken up: Node asks for the next room before that.
                connection.reader = undefined;
                resolve(outcome);
            };
            connection.reader = { ...createReader(connection.head, request, finish, reject), failed: reject };
            if (socket.destroyed) {
                reject(new Error("the connection was closed"));
                return;
            }
            socket.write(requestHead(request, connection.via));
        });
    } finally {
        request.signal.removeEventListener("abort", abort);
        connection.reader = undefined;
    }
}

function requestHead(request: RangeRequest, via: PlainProxy | undefined): string {
    const { url, headers } = request;
    const fields = Object.entries({
        host: url.host,
        ...rangeHeaders(request),
        ...via?.headers,
        ...headers,
    });
    const lines = fields.map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, "")}\r\n`).join("");
    const target = `${via === undefined ? "" : url.origin}${url.pathname}${url.search}`;
    return `GET ${target} HTTP/1.1\r\n${lines}\r\n`;
}

function rangeHeaders({ offset, target }: RangeRequest): Record<string, string> {
    return { range: `bytes=${offset}-${offset + target.length - 1}`, "accept-encoding": "identity" };
}

/** Reads one answer: its head into a buffer of its own, its body into the target. */
function createReader(
    head: Buffer,
    request: RangeRequest,
    resolve: (outcome: Outcome) => void,
    reject: (error: Error) => void,
): Receiving {
    let headLength = 0;
    let body: Receiving | undefined;

    function readHead(): void {
        const end = head.subarray(0, headLength).indexOf("\r\n\r\n");
        if (end < 0) {
            if (headLength === head.length) {
                reject(new Error(`the head of the answer is longer than ${headLimitBytes} bytes`));
            }
            return;
        }
        const response = parseHead(head.toString("latin1", 0, end));
        const rest = head.subarray(end + 4, headLength);
        if (response.status < 200) {
            // 1xx: the real answer is still to come.
            headLength = rest.copy(head, 0);
            readHead();
            return;
        }
        const outcome = { response, reusable: response.headers["connection"]?.toLowerCase() !== "close" };
        if (response.status !== 200 && response.status !== 206) {
            const isWhole = response.headers["content-length"] === rest.length.toString();
            const failure = { ...response, body: Uint8Array.from(rest) };
            resolve({ response: failure, reusable: outcome.reusable && isWhole });
            return;
        }
        body = createBodyReader(head, request, outcome, resolve);
        // A copy: the reader of the body may put what it skips where the head was.
        deliver(Buffer.from(rest), body);
    }

    return {
        room: () => body?.room() ?? head.subarray(headLength),
        received: (length) => {
            try {
                if (body) {
                    body.received(length);
                } else {
                    headLength += length;
                    readHead();
                }
            } catch (error) {
                reject(error as Error);
            }
        },
    };
}

/** Puts the wanted bytes into the target. */
function createBodyReader(
    spare: Buffer,
    request: RangeRequest,
    outcome: Outcome,
    resolve: (outcome: Outcome) => void,
): Receiving {
    const { target, onBytes } = request;
    assertFraming(request, outcome.response);
    let filled = 0;

    return {
        room: () => (filled < target.length ? target.subarray(filled, filled + pieceLimitBytes) : spare),
        received: (length) => {
            if (filled === target.length) return;
            filled += length;
            onBytes(length);
            if (filled === target.length) resolve(outcome);
        },
    };
}

/**
 * @throws RangeIgnored when the answer is not the range asked for
 * @throws UnreadableFraming when the body has no Content-Length
 */
function assertFraming({ offset, target }: RangeRequest, { status, headers }: RangeResponse): void {
    const length = headers["content-length"];
    if (length === undefined || headers["transfer-encoding"] !== undefined || headers["content-encoding"]) {
        throw new UnreadableFraming();
    }
    const isRange = status === 200 ? offset === 0 : startsAt(headers["content-range"], offset);
    if (isRange && Number(length) === target.length) return;
    const got = headers["content-range"] ?? `${length} bytes`;
    throw new RangeIgnored(`asked for ${target.length} bytes from ${offset} on, was sent ${got}`);
}

function startsAt(contentRange: string | undefined, offset: number): boolean {
    return contentRange?.startsWith(`bytes ${offset}-`) ?? false;
}

function parseHead(text: string): RangeResponse {
    const [statusLine = "", ...lines] = text.split("\r\n");
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1];
    if (status === undefined) {
        throw new Error(`not an HTTP/1.1 answer: ${JSON.stringify(statusLine.slice(0, 80))}`);
    }
    const fields = lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    const headers: Record<string, string> = {};
    for (const [name, value] of fields) {
        // A list of challenges may come as several headers; of others the last counts, as for Node.
        const before = name === "www-authenticate" ? headers[name] : undefined;
        headers[name] = before === undefined ? value : `${before}, ${value}`;
    }
    return { status: Number(status), headers };
}

/** The slow way, for answers in chunks. */
async function getThroughNode(request: RangeRequest, http: Pick<HttpClient, "open">): Promise<RangeResponse> {
    const { url, offset, target, signal, onBytes } = request;
    const headers = { ...request.headers, ...rangeHeaders(request) };
    const response = await http.open({ method: "GET", url, headers, signal });
    const { statusCode: status = 0 } = response;
    if (status !== 206 || !startsAt(response.headers["content-range"], offset)) {
        response.destroy();
        if (status !== 200 && status !== 206) return { status, headers: {} };
        throw new RangeIgnored(`was sent ${response.headers["content-range"] ?? "no range"}`);
    }
    let filled = 0;
    try {
        for await (const chunk of response as AsyncIterable<Buffer>) {
            const wanted = chunk.subarray(0, target.length - filled);
            target.set(wanted, filled);
            filled += wanted.length;
            onBytes(wanted.length);
        }
    } catch (error) {
        signal.throwIfAborted();
        throw networkError(error, url);
    }
    if (filled === target.length) return { status, headers: {} };
    throw new TransientError("the answer is shorter than the range asked for");
}
