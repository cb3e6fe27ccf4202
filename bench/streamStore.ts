import * as net from "node:net";

/*
 * An object store that is not the bottleneck: it reads what it is sent and forgets it. It answers as S3 does, remembers
 * the metadata of objects (so that a second export finds the first) and keeps small objects (records).
 * A process of its own, which sends its parent its port.
 *
 * It reads HTTP itself, with `onread` into one buffer a connection: node:http takes 0.7 s of CPU for 500 MB, which on a
 * small machine are taken from the program that is measured, and S3 takes none of them.
 */

/** An object, or an upload of which one comes. */
interface Stored {
    readonly headers: Record<string, string>;
    readonly body?: Buffer | undefined;
    sizeBytes: number;
}

interface RequestHead {
    readonly method: string;
    readonly url: URL;
    readonly headers: Record<string, string>;
    /** Of the body. */
    readonly sizeBytes: number;
}

const bufferBytes = 256 * 1024;
const keptBytes = 64 * 1024;
const objects = new Map<string, Stored>();
const uploads = new Map<string, Stored>();

function metadataOf({ headers }: RequestHead): Record<string, string> {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-")));
}

function answer(request: RequestHead, body: Buffer): [number, Stored | string] {
    const { method, url, sizeBytes } = request;
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
        objects.set(url.pathname, upload ?? { headers: {}, sizeBytes: 0 });
        return [200, '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>'];
    }
    if (upload) upload.sizeBytes += sizeBytes;
    else objects.set(url.pathname, { headers: metadataOf(request), body, sizeBytes });
    return [200, ""];
}

function answerText(request: RequestHead, body: Buffer): Buffer {
    const [status, found] = answer(request, body);
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
    const headers = Object.fromEntries(fields);
    if (headers["transfer-encoding"] !== undefined) throw new Error("Only bodies of a known length can be read.");
    return { method, url: new URL(target, "http://store"), headers, sizeBytes: Number(headers["content-length"] ?? 0) };
}

/** Reads requests one after the other from the pieces that a connection receives, and answers them. */
function createReader(send: (bytes: Buffer | string) => void): (piece: Buffer) => void {
    /** Beginning of a head, until it is whole. */
    let text = Buffer.alloc(0);
    let request: RequestHead | undefined;
    let missingBytes = 0;
    let kept: Buffer[] = [];
    return (piece) => {
        let rest = piece;
        while (rest.length > 0) {
            if (request === undefined) {
                const all = Buffer.concat([text, rest]); // a copy: the connection's buffer is used again
                const end = all.indexOf("\r\n\r\n");
                text = end < 0 ? all : Buffer.alloc(0);
                if (end < 0) return;
                request = parseHead(all.toString("latin1", 0, end));
                if (request.headers["expect"] === "100-continue") send("HTTP/1.1 100 Continue\r\n\r\n");
                rest = all.subarray(end + 4);
                missingBytes = request.sizeBytes;
                kept = [];
            }
            const bytes = rest.subarray(0, missingBytes);
            rest = rest.subarray(bytes.length);
            missingBytes -= bytes.length;
            if (request.sizeBytes <= keptBytes) kept.push(Buffer.from(bytes));
            if (missingBytes > 0) continue;
            send(answerText(request, Buffer.concat(kept)));
            request = undefined;
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
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as net.AddressInfo).port));
