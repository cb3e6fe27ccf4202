import * as net from "node:net";

/*
 * An object store that is not the bottleneck: it reads what it is sent and forgets it. It answers as S3 does, remembers
 * the metadata of objects (so that a second export finds the first) and keeps small objects (records).
 * A process of its own, which sends its parent its port.
 *
 * It reads HTTP itself, with `onread` into one buffer a connection: node:http takes 0.7 s of CPU for 500 MB, which on a
 * small machine are taken from the program that is measured, and S3 takes none of them.
 */

/** An object, an upload of which one comes, or an answer that is none. */
interface Stored {
    readonly metadata: readonly (readonly [name: string, value: string])[];
    readonly body: Buffer;
    sizeBytes: number;
}

/** A request; its size is that of its body. */
type RequestHead = ReturnType<typeof parseHead>;

const bufferBytes = 256 * 1024;
const keptBytes = 64 * 1024;
const objects = new Map<string, Stored>();
/** By the keys of their objects: nobody uploads one twice at a time. */
const uploads = new Map<string, Stored>();
const textAnswer = (text: string): Stored => ({ metadata: [], body: Buffer.from(text), sizeBytes: 0 });

/** Does what a request asks for. @returns undefined for an object that does not exist */
function answer({ method, url, headers, sizeBytes }: RequestHead, body: Buffer): Stored | undefined {
    const { pathname: key, searchParams } = url;
    if (method === "HEAD" || method === "GET") return objects.get(key);
    const stored = { metadata: [...headers].filter(([name]) => name.startsWith("x-amz-meta-")), body, sizeBytes };
    const upload = uploads.get(key);
    if (searchParams.has("uploads")) {
        uploads.set(key, stored);
        return textAnswer("<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>");
    }
    if (method === "POST") {
        objects.set(key, upload ?? stored);
        return textAnswer('<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>');
    }
    if (upload && searchParams.has("uploadId")) upload.sizeBytes += sizeBytes;
    else objects.set(key, stored);
    return textAnswer("");
}

function answerText(request: RequestHead, body: Buffer): Buffer {
    const found = answer(request, body);
    const isHead = request.method === "HEAD";
    const { metadata, body: content, sizeBytes } = found ?? textAnswer("");
    const fields = [...metadata, ["etag", '"x"'], ["content-length", isHead ? sizeBytes : content.length]] as const;
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`HTTP/1.1 ${found ? "200 OK" : "404 Not Found"}\r\n${lines.join("")}\r\n`);
    return isHead ? head : Buffer.concat([head, content]);
}

function parseHead(text: string) {
    const [requestLine = "", ...lines] = text.split("\r\n");
    const [method = "", target = ""] = requestLine.split(" ");
    const headers = new Headers(lines.map((line) => [line.replace(/:.*/, ""), line.replace(/^[^:]*:/, "")]));
    if (headers.has("transfer-encoding")) throw new Error("Only bodies of a known length can be read.");
    const url = new URL(target, "http://store");
    return { method, url, headers, sizeBytes: Number(headers.get("content-length")) };
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
                if (request.headers.has("expect")) send("HTTP/1.1 100 Continue\r\n\r\n");
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
