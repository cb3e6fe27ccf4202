import * as http from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one request. */
export type Fault =
    | { kind: "status"; status: number; retryAfter?: string; body?: string }
    /** The connection breaks after so many bytes of the answer's body. */
    | { kind: "reset"; afterBytes: number }
    /** Nothing more comes after so many bytes, and the connection stays open. */
    | { kind: "stall"; afterBytes: number }
    /** One bit of the answer's body is wrong. */
    | { kind: "corrupt"; atByte: number }
    /** A proper answer, with fewer bytes than asked for. */
    | { kind: "short"; bytes: number }
    /** The request is carried out and its answer never arrives. */
    | { kind: "lostAnswer" };

/** Decides on the fault of a request; undefined lets it pass. */
export type FaultRule = (request: { method: string; url: string; count: number }) => Fault | undefined;

/** A server on this machine. */
export interface TestServer {
    origin: string;
    host: string;
    close(): Promise<void>;
}

export async function listen(handler: http.RequestListener): Promise<TestServer> {
    const server = http.createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const host = `127.0.0.1:${port}`;
    return {
        host,
        origin: `http://${host}`,
        close: () =>
            new Promise((resolve) => {
                server.close(() => {
                    resolve();
                });
                server.closeAllConnections();
            }),
    };
}

export async function readBody(request: http.IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

/** Sends an answer with a body, and what goes wrong with it. */
export function send(
    response: http.ServerResponse,
    status: number,
    headers: Record<string, string>,
    body: Buffer,
    fault?: Fault,
): void {
    switch (fault?.kind) {
        case "status":
            response
                .writeHead(fault.status, fault.retryAfter ? { "retry-after": fault.retryAfter } : {})
                .end(fault.body);
            return;
        case "lostAnswer":
            response.destroy();
            return;
        case "corrupt": {
            const wrong = Buffer.from(body);
            const at = fault.atByte % Math.max(body.length, 1);
            wrong[at] = (wrong[at] ?? 0) ^ 1;
            response.writeHead(status, { ...headers, "content-length": wrong.length }).end(wrong);
            return;
        }
        case "short": {
            const fewer = body.subarray(0, Math.min(fault.bytes, body.length - 1));
            response.writeHead(status, { ...headers, "content-length": fewer.length }).end(fewer);
            return;
        }
        case "reset":
        case "stall":
            response.writeHead(status, { ...headers, "content-length": body.length });
            response.flushHeaders();
            response.write(body.subarray(0, Math.min(fault.afterBytes, body.length - 1)), () => {
                if (fault.kind === "reset") {
                    response.socket?.end(); // what was written still arrives
                }
            });
            return;
        default:
            response.writeHead(status, { ...headers, "content-length": body.length }).end(body);
    }
}
