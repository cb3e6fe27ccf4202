import * as net from "node:net";

/*
 * An object store that is not the bottleneck: it reads what it is sent and forgets it. It answers as S3 does, remembers
 * the metadata of objects (so that a second export finds the first) and keeps small objects (records).
 * A process of its own: `node -r ts-node/register bench/streamStore.ts`; it prints its port.
 *
 * It reads HTTP itself, with `onread` into one buffer a connection: node:http takes 0.7 s of CPU for 500 MB, which on a
 * small machine are taken from the program that is measured, and S3 takes none of them.
 */

interface Stored {
    readonly headers: Record<string, string>;
    readonly body: Buffer | undefined;
    readonly sizeBytes: number;
}

interface RequestHead {
    readonly method: string;
    readonly url: URL;
    readonly headers: Record<string, string>;
}

const bufferBytes = 256 * 1024;
const keptBytes = 64 * 1024;
const objects = new Map<string, Stored>();
const uploads = new Map<string, { headers: Record<string, string>; sizeBytes: number }>();

function metadataOf({ headers }: RequestHead): Record<string, string> {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-")));
}

function answer(request: RequestHead, sizeBytes: number, body: Buffer | undefined): [number, Stored | string] {
    const { method, url } = request;
    const uploadId = url.searchParams.get("uploadId");
    const stored = objects.get(url.pathname);
    if (method === "HEAD" || method === "GET") return stored ? [200, stored] : [404, ""];
    if (method === "DELETE") return [204, ""];
    if (method === "POST" && uploadId === null) {
        const id = `upload-${uploads.size}`;
        uploads.set(id, { headers: metadataOf(request), sizeBytes: 0 });
        return [200, `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`];
    }
    const upload = uploads.get(uploadId ?? "");
    if (method === "POST") {
        objects.set(url.pathname, { headers: {}, sizeBytes: 0, ...upload, body: undefined });
        return [200, '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>'];
    }
    if (upload) {
        upload.sizeBytes += sizeBytes;
    } else {
        objects.set(url.pathname, { headers: metadataOf(request), body, sizeBytes });
    }
    return [200, ""];
}

function answerText(request: RequestHead, sizeBytes: number, body: Buffer | undefined): Buffer {
    const [status, found] = answer(request, sizeBytes, body);
    const isText = typeof found === "string";
    const content = isText ? Buffer.from(found) : (found.body ?? Buffer.alloc(0));
    const headers: Record<string, string | number> = {
        ...(isText ? {} : found.headers),
        etag: '"x"',
        "content-length": request.method === "HEAD" && !isText ? found.sizeBytes : content.length,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`HTTP/1.1 ${status} ${status < 300 ? "OK" : "Not Found"}\r\n${lines.join("")}\r\n`);
    return request.method === "HEAD" ? head : Buffer.concat([head, content]);
}

function parseHead(text: string): RequestHead {
    const [requestLine = "", ...lines] = text.split("\r\n");
    const [method = "", target = ""] = requestLine.split(" ");
    const fields = lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    return { method, url: new URL(target, "http://store"), headers: Object.fromEntries(fields) };
}

/** Reads requests one after the other from the pieces that a connection receives, and answers them. */
function createReader(send: (bytes: Buffer | string) => void): (piece: Buffer) => void {
    /** Bytes of a head or of the line before a chunk, until it is whole. */
    let text = Buffer.alloc(0);
    let request: RequestHead | undefined;
    /** Bytes of the body, or of the chunk, that are still to come. */
    let missing = 0;
    let isChunked = false;
    let isLastChunk = false;
    let sizeBytes = 0;
    let kept: Buffer[] = [];

    /** Takes what ends with `end` off the piece; undefined as long as it is not whole. */
    function take(piece: Buffer, end: string): [taken: string, rest: Buffer] | undefined {
        const all = text.length === 0 ? piece : Buffer.concat([text, piece]);
        const at = all.indexOf(end);
        if (at < 0) {
            text = Buffer.from(all); // a copy: the connection's buffer is used again
            return undefined;
        }
        text = Buffer.alloc(0);
        return [all.toString("latin1", 0, at), all.subarray(at + end.length)];
    }

    function begin(head: RequestHead): void {
        request = head;
        isChunked = head.headers["transfer-encoding"] === "chunked";
        isLastChunk = false;
        missing = isChunked ? 0 : Number(head.headers["content-length"] ?? 0);
        sizeBytes = 0;
        kept = [];
        if (head.headers["expect"] === "100-continue") send("HTTP/1.1 100 Continue\r\n\r\n");
    }

    function receive(bytes: Buffer): void {
        missing -= bytes.length;
        sizeBytes += bytes.length;
        if (sizeBytes <= keptBytes) kept.push(Buffer.from(bytes));
    }

    function finish(head: RequestHead): void {
        send(answerText(head, sizeBytes, sizeBytes <= keptBytes ? Buffer.concat(kept) : undefined));
        request = undefined;
    }

    /** Reads the line before a chunk, or the empty one after it. */
    function readChunkLine(line: string, head: RequestHead): void {
        if (line !== "") {
            missing = Number.parseInt(line, 16);
            isLastChunk = missing === 0;
        } else if (isLastChunk) {
            finish(head);
        }
    }

    return (piece) => {
        let rest = piece;
        while (rest.length > 0) {
            if (missing > 0) {
                const length = Math.min(missing, rest.length);
                receive(rest.subarray(0, length));
                rest = rest.subarray(length);
            } else {
                const taken = take(rest, request === undefined ? "\r\n\r\n" : "\r\n");
                if (taken === undefined) return;
                rest = taken[1];
                if (request === undefined) {
                    begin(parseHead(taken[0]));
                } else {
                    readChunkLine(taken[0], request);
                }
            }
            if (request !== undefined && missing === 0 && !isChunked) finish(request);
        }
    };
}

// A server hands out sockets that allocate for every read. Paused, they have read nothing yet, and their handle can be
// given to a socket with a buffer of its own.
const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    const { _handle: handle } = accepted as unknown as { _handle: unknown };
    const buffer = Buffer.alloc(bufferBytes);
    const socket: net.Socket = new net.Socket({
        handle,
        onread: {
            buffer,
            callback: (length) => {
                read(buffer.subarray(0, length));
                return true;
            },
        },
    } as net.SocketConstructorOpts);
    const read = createReader((bytes) => socket.write(bytes));
    socket.on("error", () => socket.destroy());
    socket.resume();
});
server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    console.log(typeof address === "object" ? address?.port : address);
});
