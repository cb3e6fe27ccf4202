import * as assert from "node:assert/strict";
import type { CredentialSource } from "../../../exporter/registry/credentials";
import type { RegistryOptions } from "../../../exporter/registry/registry";
import { type FakeRegistry, type FakeRegistryOptions, startRegistry } from "../support/fakeRegistry";
import type { Fault } from "../support/faults";
import { addBlob, addImage, digestOf, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { openRegistry } from "../support/openRegistry";
import { quickIdleTimeoutMs, quickRetries } from "../support/quick";

const blob = randomBytesOf(700_000, 1);
const digest = digestOf(blob);
const login: CredentialSource = () => Promise.resolve({ username: "user", password: "secret" });

describe("openRegistries", () => {
    const settings: RegistryOptions = {
        env: {},
        concurrency: 4,
        insecure: false,
        retryPolicy: quickRetries,
        idleTimeoutMs: quickIdleTimeoutMs,
        signal: new AbortController().signal,
    };
    let server: FakeRegistry;
    let registry: ReturnType<typeof openRegistry> | undefined;

    async function start(
        options: Partial<FakeRegistryOptions> = {},
        credentials: CredentialSource = login,
    ): Promise<ReturnType<typeof openRegistry>> {
        const repository = emptyRepository("team/app");
        addImage(repository, { layers: [fileLayer("a", Buffer.from("a"))], tag: "1" });
        addBlob(repository, blob, "application/octet-stream");
        server = await startRegistry({ repository, ...options });
        registry = openRegistry(`${server.host}/team/app:1`, { ...settings, credentials });
        return registry;
    }
    async function read(
        from: ReturnType<typeof openRegistry>,
        offset = 0,
        length = blob.length - offset,
    ): Promise<void> {
        const target = new Uint8Array(length);
        const pieces: Buffer[] = [];
        await from.readBlob(digest, offset, target, (piece) => pieces.push(Buffer.from(piece)));
        const expected = blob.subarray(offset, offset + length);
        assert.ok(expected.equals(target), "these are not the blob's bytes");
        assert.ok(expected.equals(Buffer.concat(pieces)), "these pieces are not the blob's");
    }
    const blobRequests = () => server.requests.filter(({ url, method }) => url.includes(digest) && method === "GET");

    afterEach(async () => {
        registry?.close();
        await server.close();
    });

    describe("login", () => {
        for (const kind of ["basic", "bearer"] as const) {
            it(`logs in the ${kind} way, once for many requests`, async () => {
                const opened = await start({ login: kind });
                await opened.manifest("1");
                await Promise.all([read(opened, 0, 1000), read(opened, 1000, 1000)]);
                assert.equal(server.requests.filter(({ authorization }) => authorization === undefined).length, 1);
                assert.equal(
                    server.requests.filter(({ url }) => url.startsWith("/token")).length,
                    kind === "bearer" ? 1 : 0,
                );
            });
        }

        it("renews a token that has expired", async () => {
            const opened = await start({ login: "bearer", tokenUses: 2 });
            for (let at = 0; at < 6; at++) {
                await read(opened, at * 100, 100);
            }
            assert.equal(server.requests.filter(({ url }) => url.startsWith("/token")).length, 3);
        });

        it("is denied without credentials, and says what to do", async () => {
            const opened = await start({ login: "basic" }, () => Promise.resolve(undefined));
            await assert.rejects(opened.manifest("1"), { name: "AccessDenied", message: /docker login/ });
        });

        it("is denied with wrong credentials", async () => {
            const wrong: CredentialSource = () => Promise.resolve({ username: "user", password: "wrong" });
            for (const kind of ["basic", "bearer"] as const) {
                const opened = await start({ login: kind }, wrong);
                await assert.rejects(opened.manifest("1"), { name: "AccessDenied" });
                await server.close();
            }
        });
    });

    describe("manifest", () => {
        it("finds a tag and a digest", async () => {
            const opened = await start();
            const byTag = await opened.manifest("1");
            assert.deepEqual(await opened.manifest(byTag.digest), byTag);
        });
        it("says what is not there", async () => {
            const opened = await start();
            await assert.rejects(opened.manifest("2"), { name: "ImageNotFound", message: /team\/app, manifest 2/ });
        });
        it("passes on what the registry says of a refusal, where it says something", async () => {
            const denied = '{"errors":[{"code":"DENIED","message":"not authorized to perform: ecr:BatchGetImage"}]}';
            const causes: [body: string, cause: RegExp][] = [
                [denied, /the registry answered 403\. not authorized to perform: ecr:BatchGetImage For ECR the/],
                ...["", "{", "null", "{}", '{"errors":7}', '{"errors":[{"message":7}]}'].map(
                    (body): [string, RegExp] => [body, /the registry answered 403\. For ECR the/],
                ),
            ];
            for (const [body, message] of causes) {
                const opened = await start({ fault: () => ({ kind: "status", status: 403, body }) });
                await assert.rejects(opened.manifest("1"), { name: "AccessDenied", message });
                await server.close();
            }
        });
        it("refuses a document with another digest than the one asked for", async () => {
            const opened = await start({ fault: () => ({ kind: "corrupt", atByte: 30 }) });
            await assert.rejects(opened.manifest("1"), { name: "DigestMismatch" });
        });
    });

    describe("readBlob", () => {
        it("reads any range", async () => {
            const opened = await start();
            for (const [offset, length] of [
                [0, 1],
                [0, blob.length],
                [blob.length - 1, 1],
                [4096, 65_537],
            ] as const) {
                await read(opened, offset, length);
            }
        });

        it("follows a redirect without the login, and asks the registry once", async () => {
            const opened = await start({ login: "basic", redirectUses: 100 });
            await read(opened, 0, 1000);
            await read(opened, 1000, 1000);
            const asked = blobRequests();
            assert.deepEqual(
                asked.map(({ host, authorization }) => [host, authorization !== undefined]),
                [
                    ["registry", false],
                    ["registry", true],
                    ["storage", false],
                    ["storage", false],
                ],
            );
        });

        it("asks for a new URL when a redirect has expired", async () => {
            const opened = await start({ redirectUses: 2 });
            for (let at = 0; at < 7; at++) {
                await read(opened, at * 100, 100);
            }
        });

        it("is denied when the storage denies every URL", async () => {
            const opened = await start({ redirectUses: 0 });
            await assert.rejects(read(opened), { name: "AccessDenied", message: /answered 403/ });
        });

        it("takes the range out of a whole blob when ranges are ignored", async () => {
            const opened = await start({ ignoresRanges: true });
            await read(opened, 0, 10);
            await read(opened, 100_000, 200_000);
            await read(opened, blob.length - 5, 5);
        });

        it("asks once for a whole blob, though a stretch is only asked for after the one before", async () => {
            const opened = await start({ ignoresRanges: true });
            for (let offset = 0; offset < 400_000; offset += 100_000) await read(opened, offset, 100_000);
            // The first is answered with more than was asked for.
            assert.equal(blobRequests().length, 2);
        });

        it("reads an answer in chunks", async () => {
            const opened = await start({ chunked: true });
            await read(opened, 1000, 300_000);
        });

        const once = (fault: Fault) => {
            let isDone = false;
            return ({ url }: { url: string }): Fault | undefined => {
                const isNow = !isDone && url.includes("/blobs/");
                isDone ||= isNow;
                return isNow ? fault : undefined;
            };
        };
        const passing: Fault[] = [
            { kind: "status", status: 429, retryAfter: "0" },
            { kind: "status", status: 503 },
            { kind: "reset", afterBytes: 0 },
            { kind: "reset", afterBytes: 300_000 },
            { kind: "stall", afterBytes: 300_000 },
            { kind: "short", bytes: 10 },
            { kind: "lostAnswer" },
        ];
        for (const fault of passing) {
            it(`gets over ${JSON.stringify(fault)}`, async () => {
                const opened = await start({ fault: once(fault) });
                await read(opened);
                assert.equal(blobRequests().length, 2);
            });
        }

        it("goes on at the byte where a transfer broke", async () => {
            const repository = emptyRepository("team/app");
            addBlob(repository, blob, "application/octet-stream");
            server = await startRegistry({ repository, fault: once({ kind: "reset", afterBytes: 300_000 }) });
            registry = openRegistry(`${server.host}/team/app:1`, settings);
            await read(registry);
        });

        it("gives up with a named error when nothing helps", async () => {
            for (const fault of passing.filter(
                (candidate) => !("afterBytes" in candidate && candidate.afterBytes > 0),
            )) {
                const opened = await start({ fault: ({ url }) => (url.includes("/blobs/") ? fault : undefined) });
                await assert.rejects(read(opened), { name: "ExportFailed", message: /failed 5 times/ });
                opened.close();
                await server.close();
            }
        });

        it("says that a blob is missing", async () => {
            const opened = await start();
            const missing = opened.readBlob(digestOf(Buffer.from("x")), 0, new Uint8Array(1));
            await assert.rejects(missing, { name: "ImageNotFound" });
        });
    });
});
