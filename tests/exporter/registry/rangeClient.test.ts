import * as assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import type { Answer } from "../../../exporter/network/httpClient";
import { createRangeClient } from "../../../exporter/registry/rangeClient";
import { randomBytesOf } from "../support/images";
import { quickIdleTimeoutMs } from "../support/quick";

type RangeClient = ReturnType<typeof createRangeClient>;

const content = randomBytesOf(3_000_000, 1);

function read(client: RangeClient, url: URL, offset: number, target: Uint8Array): Promise<Answer> {
    return client.get({ url, headers: {}, offset, target, onBytes: () => undefined });
}

function open(idleTimeoutMs: number, keepMs?: number): RangeClient {
    return createRangeClient({ env: {}, concurrency: 1, idleTimeoutMs, signal: new AbortController().signal }, keepMs);
}

describe("createRangeClient", () => {
    let client: RangeClient;
    beforeEach(() => {
        client = open(quickIdleTimeoutMs);
    });
    afterEach(() => {
        client.close();
    });

    it("does not use connections that have been idle for too long", async () => {
        const server = http.createServer((_, response) => {
            response.writeHead(206, { "content-length": 10, "content-range": "bytes 0-9/10" });
            // Late enough for the requests to be under way at the same time.
            setTimeout(() => response.end(Buffer.alloc(10)), 50);
        });
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
        const keepMs = 100;
        const forgetful = open(10_000, keepMs);
        try {
            const readOnce = () => read(forgetful, url, 0, new Uint8Array(10));
            await Promise.all(Array.from({ length: 4 }, readOnce));
            await sleep(5 * keepMs);
            await readOnce(); // fails when it is sent over one of the four
        } finally {
            forgetful.close();
            server.close();
        }
    });

    describe("over TLS", () => {
        let server: https.Server;
        let url: URL;
        let certificate: string;
        let connections = 0;

        before(async () => {
            const directory = mkdtempSync(path.join(tmpdir(), "tls-"));
            const [key, cert] = [path.join(directory, "key.pem"), path.join(directory, "cert.pem")];
            execFileSync(
                "openssl",
                [
                    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
                    ...["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                ],
                { stdio: "ignore" },
            );
            certificate = readFileSync(cert, "utf8");
            server = https.createServer({ key: readFileSync(key), cert: certificate }, (request, response) => {
                const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
                const body = content.subarray(Number(from), Number(to) + 1);
                response.writeHead(206, { "content-range": `bytes ${from}-${to}/x`, "content-length": body.length });
                response.end(body);
            });
            server.on("secureConnection", () => (connections += 1));
            await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
            url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/blob`);
            rmSync(directory, { recursive: true });
        });
        after(() => {
            server.closeAllConnections();
            server.close();
        });

        it("does not speak to a host whose certificate is not trusted, and does not try again", async () => {
            await assert.rejects(read(client, url, 0, new Uint8Array(1)), {
                name: "ExportFailed",
                message: /certificate/,
            });
        });

        it("reads ranges, and uses a connection again", async () => {
            const trusted = tls.getCACertificates("default");
            tls.setDefaultCACertificates([...trusted, certificate]);
            connections = 0;
            try {
                for (const [offset, length] of [
                    [0, content.length],
                    [1_234_567, 1_000_000],
                    [5, 1],
                ] as const) {
                    const target = new Uint8Array(length);
                    const { status } = await read(client, url, offset, target);
                    assert.equal(status, 206);
                    assert.ok(content.subarray(offset, offset + length).equals(target));
                }
                assert.equal(connections, 1);
            } finally {
                tls.setDefaultCACertificates(trusted);
            }
        });
    });

    describe("of answers as they come from a socket", () => {
        let server: net.Server;
        let url: URL;
        let answers: string[][];

        beforeEach(async () => {
            // Sends the pieces of an answer one by one, so that they arrive one by one.
            server = net.createServer({ noDelay: true }, (socket) => {
                socket.on("error", () => undefined);
                socket.on("data", () => {
                    void (async () => {
                        for (const piece of answers.shift() ?? []) {
                            socket.write(piece);
                            await new Promise((resolve) => setTimeout(resolve, 5));
                        }
                    })();
                });
            });
            await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
            url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
        });
        afterEach(() => {
            client.close();
            server.close();
        });
        const ok = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/9\r\nContent-Length: 4\r\n\r\n";
        async function readText(): Promise<string> {
            const target = Buffer.alloc(4);
            await read(client, url, 2, target);
            return target.toString();
        }

        it("reads one that comes byte by byte", async () => {
            answers = [Array.from(`${ok}abcd`)];
            assert.equal(await readText(), "abcd");
        });
        it("reads one after the other on the same connection", async () => {
            answers = [[`${ok}abcd`], [ok, "efgh"], [ok.slice(0, 30), ok.slice(30), "ij", "kl"]];
            assert.deepEqual([await readText(), await readText(), await readText()], ["abcd", "efgh", "ijkl"]);
        });
        it("passes over 1xx answers", async () => {
            answers = [[`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${ok}ab`, "cd"]];
            assert.equal(await readText(), "abcd");
        });
        for (const [how, length, framed] of [
            ["by its length", "Content-Length: 8", ["<Er", "ror/>"]],
            ["in chunks", "Transfer-Encoding: chunked", ["8\r\n<Er", "ror/>\r\n0\r\n\r\n"]],
        ] as const) {
            it(`reads what a failure says, ${how}, and goes on`, async () => {
                const [first, ...more] = framed;
                answers = [[`HTTP/1.1 403 Forbidden\r\n${length}\r\n\r\n${first}`, ...more], [`${ok}abcd`]];
                const { status, body = Buffer.alloc(0) } = await read(client, url, 2, Buffer.alloc(4));
                assert.deepEqual([status, Buffer.from(body).toString()], [403, "<Error/>"]);
                assert.equal(await readText(), "abcd");
            });
        }

        const wrong: [string, string, RegExp, string][] = [
            ["what is not HTTP", "SSH-2.0-x\r\n\r\n", /not an HTTP/, "TransientError"],
            [
                "that there is no such range",
                "HTTP/1.1 416 No\r\nContent-Range: bytes */9\r\n\r\n",
                /sent bytes \*/,
                "RangeIgnored",
            ],
            [
                "several parts",
                ok.replace("Content-Range: bytes 2-5/9", "Content-Type: multipart/byteranges"),
                /sent 4 bytes/,
                "RangeIgnored",
            ],
            ["another range", ok.replace("2-5", "3-6"), /was sent bytes 3-6/, "RangeIgnored"],
            ["a range of another length", ok.replace("Length: 4", "Length: 5"), /asked for 4 bytes/, "RangeIgnored"],
            ["the whole", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcde", /was sent 9 bytes/, "RangeIgnored"],
            [
                "chunks",
                ok.replace("Content-Length: 4", "Transfer-Encoding: chunked"),
                /was sent bytes 2-5/,
                "RangeIgnored",
            ],
            ["more than it says", `${ok}abcdefgh`, /longer than it says/, "TransientError"],
            ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}`, /longer than/, "TransientError"],
            ["silence", "HTTP/1.1 206", /stalled/, "TransientError"],
        ];
        for (const [what, text, message, kind] of wrong) {
            it(`says of ${what} that it is a ${kind}`, async () => {
                answers = [[text]];
                await assert.rejects(readText(), (error: Error) => {
                    assert.equal(error.constructor.name, kind);
                    assert.match(error.message, message);
                    return true;
                });
            });
        }
    });
});
