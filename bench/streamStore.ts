import * as net from "node:net";

/*
 * An object store that is not the bottleneck: it reads what it is sent, forgets it, and answers as S3 does.
 * A process of its own, which sends its parent its port, and how many bytes it has read to every message.
 *
 * It reads HTTP itself, with `onread` into one buffer a connection: node:http takes 0.7 s of CPU for 500 MB, which on a
 * small machine are taken from the program that is measured, and S3 takes none of them.
 */

const bufferBytes = 256 * 1024;
/** Of bodies. */
let readBytes = 0;

/** The answer to a request: every archive is there, and no record. */
function answerTo(method: string, target: string): string {
    const begun = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
    const completed = '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>';
    const body = method !== "POST" ? "" : /[?&]uploads\b/.test(target) ? begun : completed;
    const status = method === "GET" ? "404 Not Found" : "200 OK";
    return `HTTP/1.1 ${status}\r\netag: "x"\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** Reads requests one after the other from the pieces that a connection receives, and answers them. */
function createReader(send: (text: string) => void): (piece: Buffer) => void {
    /** Beginning of a head, until it is whole. */
    let text = Buffer.alloc(0);
    let answer: string | undefined;
    let missingBytes = 0;
    return (piece) => {
        let rest = piece;
        while (rest.length > 0) {
            if (answer === undefined) {
                const all = Buffer.concat([text, rest]); // a copy: the connection's buffer is used again
                const end = all.indexOf("\r\n\r\n");
                text = end < 0 ? all : Buffer.alloc(0);
                if (end < 0) return;
                const head = all.toString("latin1", 0, end);
                if (/^transfer-encoding:/im.test(head)) throw new Error("Only bodies of a known length can be read.");
                if (/^expect:/im.test(head)) send("HTTP/1.1 100 Continue\r\n\r\n");
                const [method = "", target = ""] = head.split(" ");
                answer = answerTo(method, target);
                missingBytes = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
                rest = all.subarray(end + 4);
            }
            const length = Math.min(rest.length, missingBytes);
            rest = rest.subarray(length);
            missingBytes -= length;
            readBytes += length;
            if (missingBytes > 0) continue;
            send(answer);
            answer = undefined;
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
process.on("message", () => process.send?.(readBytes));
