import * as assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { mock } from "node:test";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import type { ImageRecord } from "../../contract/record";
import { exportImage } from "../../exporter/exportImage";
import { type Bench, openBench } from "./support/bench";
import type { FakeRegistry } from "./support/fakeRegistry";
import {
    addBlob,
    addImage,
    addIndex,
    addManifest,
    digestOf,
    fileLayer,
    mediaTypes,
    randomBytesOf,
    type Repository,
} from "./support/images";
import { quickRetries } from "./support/quick";

/** Images and registries that people have reported elsewhere, as they are. */
describe("exportImage", () => {
    let bench: Bench;
    let repository: Repository;
    let registry: FakeRegistry;
    let archive: string;
    let notes: string[];
    const layer = (text: string) => fileLayer("f", Buffer.from(text));
    const run: Bench["run"] = (...given) => bench.run(...given);

    beforeEach(async () => {
        bench = await openBench();
        ({ repository, registry, archive, notes } = bench);
    });
    afterEach(() => bench.close());

    const platforms = ({ images }: ImageRecord) => images.map(({ platform }) => platform);
    const bare = ({ mediaType, digest, size }: { mediaType: string; digest: string; size: number }) => ({
        mediaType,
        digest,
        size,
    });

    describe("of images as they are", () => {
        it("reads the configurations where an index names no platforms", async () => {
            const [arm, amd] = ["arm64", "amd64"].map((architecture) =>
                addImage(repository, { layers: [layer(architecture)], architecture }),
            );
            assert.ok(arm && amd);
            addIndex(repository, [bare(arm), bare(amd)], { tag: "1" });
            assert.equal((await run("1")).imageDigest, amd.digest);
            const all = await run("1", { platform: "all" });
            assert.deepEqual(platforms(all), ["linux/arm64", "linux/amd64"]);
            await assert.rejects(run("1", { platform: "linux/s390x" }), {
                name: "ImageNotFound",
                message: /It has: linux\/arm64, linux\/amd64\./,
            });
        });
        it("goes down through indexes, with their platforms and without, and not for ever", async () => {
            const images = ["arm64", "amd64"].map((architecture) =>
                addImage(repository, { layers: [layer(architecture)], architecture }),
            );
            const nested = images.map((image) => ({ ...addIndex(repository, [image]), platform: image.platform }));
            addIndex(repository, nested, { tag: "platforms" });
            const wrapped = addIndex(repository, images, {});
            addIndex(repository, [wrapped], { tag: "wrapped" });
            for (const tag of ["platforms", "wrapped"]) {
                assert.equal((await run(tag)).imageDigest, images[1]?.digest);
                assert.deepEqual(platforms(await run(tag, { platform: "all" })), ["linux/arm64", "linux/amd64"]);
            }
            let deep = wrapped;
            for (let level = 0; level < 4; level++) deep = addIndex(repository, [deep], { tag: "deep" });
            for (const platform of ["all", "linux/amd64"]) {
                await assert.rejects(run("deep", { platform }), { name: "InvalidInput", message: /deeper than 4/ });
            }
        });
        it("exports what an index leads to, and says where the configuration contradicts it", async () => {
            const image = addImage(repository, { layers: [layer("a")], architecture: "arm64" });
            addIndex(repository, [{ ...image, platform: { os: "linux", architecture: "amd64" } }], { tag: "1" });
            assert.equal((await run("1")).imageDigest, image.digest);
            assert.match(notes.join("\n"), /as linux\/amd64, its configuration says linux\/arm64/);
        });
        for (const layers of [[], null, undefined]) {
            it(`takes layers that are ${JSON.stringify(layers)} for none`, async () => {
                const { oci } = mediaTypes;
                const text = JSON.stringify({
                    os: "linux",
                    architecture: "amd64",
                    rootfs: { type: "layers", diff_ids: [] },
                });
                const config = addBlob(repository, Buffer.from(text), oci.config);
                addManifest(
                    repository,
                    { schemaVersion: 2, mediaType: oci.manifest, config, layers },
                    oci.manifest,
                    "1",
                );
                assert.deepEqual((await run("1")).images[0]?.layers, []);
            });
        }
        for (const type of ["application/octet-stream", undefined]) {
            it(`takes a configuration of the type ${type ?? "none"}`, async () => {
                const { oci } = mediaTypes;
                const text = JSON.stringify({ os: "linux", architecture: "amd64", rootfs: { diff_ids: [] } });
                const { digest, size } = addBlob(repository, Buffer.from(text), "");
                const config = { mediaType: type, digest, size };
                addManifest(repository, { schemaVersion: 2, config, layers: [] }, oci.manifest, "1");
                assert.deepEqual(platforms(await run("1")), ["linux/amd64"]);
            });
        }
        it("takes an empty configuration that only its descriptor has", async () => {
            const { oci } = mediaTypes;
            const empty = Buffer.from("{}");
            const config = {
                mediaType: "application/vnd.oci.empty.v1+json",
                digest: digestOf(empty),
                size: 2,
                data: "e30=",
            };
            const artifact = addManifest(
                repository,
                { schemaVersion: 2, mediaType: oci.manifest, config, layers: [] },
                oci.manifest,
            );
            addIndex(repository, [addImage(repository, { layers: [layer("a")] }), artifact], { tag: "1" });
            assert.deepEqual(platforms(await run("1", { platform: "all" })), ["linux/amd64"]);
        });
        it("says that a build cache and schema 1 are no images", async () => {
            const { oci } = mediaTypes;
            const cache = { ...addBlob(repository, Buffer.from("{}"), "application/vnd.buildkit.cacheconfig.v0") };
            addManifest(repository, { schemaVersion: 2, manifests: [cache] }, oci.index, "cache");
            addManifest(
                repository,
                { schemaVersion: 1, fsLayers: [] },
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "old",
            );
            for (const platform of ["all", "linux/amd64"]) {
                await assert.rejects(run("cache", { platform }), {
                    name: "InvalidInput",
                    message: /build cache of BuildKit/,
                });
                await assert.rejects(run("old", { platform }), { name: "InvalidInput", message: /schema 1/ });
            }
        });
    });

    const before: Bench["before"] = (answer) => bench.before(answer);
    const login = `Basic ${Buffer.from("joe:secret").toString("base64")}`;
    const credentials = () => Promise.resolve({ username: "joe", password: "secret" });

    describe("of registries as they are", () => {
        beforeEach(() => {
            addImage(repository, { layers: [fileLayer("f", randomBytesOf(100_000, 1))], tag: "1" });
        });
        const challenges: [string, (host: string) => string[]][] = [
            ["Bearer", (host) => [`Bearer realm="http://${host}/token",service="s"`]],
            ["Bearer, then Basic", (host) => [`Bearer realm="http://${host}/token",service="s"`, 'Basic realm="s"']],
            ["Basic, then Bearer", (host) => ['Basic realm="s"', `Bearer realm="http://${host}/token"`]],
            ["both in one header", (host) => [`Basic realm="s", Bearer realm="http://${host}/token"`]],
            ["Digest", (host) => ['Digest realm="basic zone", nonce="x"', `Bearer realm="http://${host}/token"`]],
        ];
        for (const [what, headers] of challenges) {
            it(`logs in without a login where the challenges are ${what}`, async () => {
                const server = await before((request, response, url) => {
                    if (url.pathname === "/token") {
                        assert.equal(request.headers.authorization, undefined);
                        response.end('{"token":"","access_token":"tok"}');
                        return true;
                    }
                    if (request.headers.authorization === "Bearer tok") return false;
                    response.writeHead(401, { "www-authenticate": headers(server.host) }).end("{}");
                    return true;
                });
                await run("1", { host: server.host, credentials: () => Promise.resolve(undefined) });
            });
        }
        it("keeps the login where a redirect stays at the origin, and takes every relative form", async () => {
            for (const to of [
                (digest: string) => `/content/${digest}`,
                (digest: string) => `../../../content/${digest}`,
            ]) {
                const server = await before((request, response, url) => {
                    if (request.headers.authorization !== login) {
                        response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
                        return true;
                    }
                    const digest = url.pathname.split("/").at(-1) ?? "";
                    if (url.pathname.includes("/blobs/")) response.writeHead(302, { location: to(digest) }).end();
                    if (url.pathname.startsWith("/content/")) response.end(repository.blobs.get(digest));
                    return response.headersSent || response.writableEnded;
                });
                await run("1", { host: server.host, credentials });
            }
        });
        it("follows a vanity host to the registry, where it takes an anonymous token and gives no login", async () => {
            const seen: (string | undefined)[] = [];
            const real = await before((request, response, url) => {
                seen.push(request.headers.authorization);
                if (url.pathname === "/token") response.end('{"token":"tok"}');
                else if (request.headers.authorization !== "Bearer tok") {
                    response.writeHead(401, { "www-authenticate": `Bearer realm="${real.origin}/token"` }).end();
                } else return false;
                return true;
            });
            const vanity = await before((request, response, url) => {
                if (request.headers.authorization === login) {
                    response.writeHead(307, { location: `${real.origin}${url.pathname}` }).end();
                } else response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
                return true;
            });
            await run("1", { host: vanity.host, credentials });
            assert.deepEqual([...new Set(seen)], [undefined, "Bearer tok"]);
        });
        it("asks a place that wants a login once, and gives none", async () => {
            let asked = 0;
            const elsewhere = await bench.serve((request, response) => {
                asked += 1;
                assert.equal(request.headers.authorization, undefined);
                response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
            });
            const server = await before((_, response, url) => {
                if (!url.pathname.includes("/blobs/")) return false;
                response.writeHead(302, { location: elsewhere.origin }).end();
                return true;
            });
            await assert.rejects(run("1", { host: server.host, credentials }), { name: "AccessDenied" });
            assert.equal(asked, 1);
        });
        for (const [status, message] of [
            [400, "Your Authorization Token is invalid."],
            [403, "denied: not yours"],
            [429, "You have reached your unauthenticated pull rate limit."],
            [500, "storage backend: no such bucket"],
            [501, "not implemented here"],
        ] as const) {
            for (const kind of ["manifests", "blobs"]) {
                it(`says what a registry says of ${status} for ${kind}, and how often it waits`, async () => {
                    let asked = 0;
                    const server = await before((_, response, url) => {
                        if (!url.pathname.includes(`/${kind}/`)) return false;
                        asked += 1;
                        const body = JSON.stringify({ errors: [{ code: "X", message }] });
                        response.writeHead(status, { "content-length": body.length }).end(body);
                        return true;
                    });
                    await assert.rejects(run("1", { host: server.host }), (error: Error) => {
                        assert.ok(error.message.includes(message), error.message);
                        return true;
                    });
                    const isTransient = status === 429 || status === 500;
                    assert.equal(asked, isTransient ? quickRetries.attempts : 1);
                    assert.equal(notes.length, asked - 1);
                });
            }
        }
        it("gives up at once where a registry asks for an hour", async () => {
            const server = await before((_, response) => {
                response.writeHead(429, { "retry-after": "3600" }).end();
                return true;
            });
            await assert.rejects(run("1", { host: server.host }), {
                name: "ExportFailed",
                message: /left alone for 3600/,
            });
        });
    });

    it("reads a blob once, from front to back, where a registry knows no ranges", async () => {
        const blob = randomBytesOf(40 * 1024 * 1024, 1);
        const { oci } = mediaTypes;
        const config = addBlob(repository, Buffer.from('{"os":"linux","architecture":"amd64"}'), oci.config);
        const layers = [addBlob(repository, blob, oci.layer)];
        addManifest(repository, { schemaVersion: 2, mediaType: oci.manifest, config, layers }, oci.manifest, "1");
        for (const status of [200, 206]) {
            let sent = 0;
            const server = await before((request, response, url) => {
                if (!url.pathname.endsWith(digestOf(blob))) return false;
                const isRange = request.headers.range !== undefined && status === 206;
                const headers = isRange ? { "content-range": `bytes 0-${blob.length - 1}/${blob.length}` } : {};
                response.writeHead(isRange ? 206 : 200, { ...headers, "content-length": blob.length });
                async function* pieces(): AsyncIterable<Buffer> {
                    for (let at = 0; at < blob.length; at += 65_536) {
                        sent += Math.min(65_536, blob.length - at);
                        yield await Promise.resolve(blob.subarray(at, at + 65_536));
                    }
                }
                Readable.from(pieces())
                    .on("error", () => undefined)
                    .pipe(response);
                return true;
            });
            await exportImage({
                image: `${server.host}/app:1`,
                destination: archive,
                retryPolicy: quickRetries,
                force: true,
            });
            const archived = await buffer(Readable.from([await readFile(archive)]));
            assert.ok(archived.includes(blob.subarray(0, 1000)) && archived.includes(blob.subarray(-1000)));
            // What was under way at the first answers is lost: the buffers of eight connections.
            assert.ok(sent < 2.5 * blob.length, `${sent} bytes were sent`);
        }
    });

    it("ends by itself in time, and says how far it came", async () => {
        addImage(repository, { layers: [layer("a")], tag: "1" });
        const server = await before((_, __, url) => url.pathname.includes("/blobs/")); // never answers
        const { setTimeout: start } = globalThis;
        const soon = (action: () => void, ms: number, ...rest: []) => start(action, ms / 100, ...rest);
        const timers = mock.method(globalThis, "setTimeout", soon);
        const options = { host: server.host, env: { TIMEOUT_MINUTES: "1" }, idleTimeoutMs: 60_000 };
        await assert
            .rejects(run("1", options), { name: "BuildTimedOut", message: /had 0\.5 minutes, and nothing had/ })
            .finally(() => {
                timers.mock.restore();
            });
        await assert.rejects(readFile(archive), { code: "ENOENT" });
        await assert.rejects(run("1", { env: { TIMEOUT_MINUTES: "soon" } }), { name: "InvalidInput" });
    });

    it("refuses a file of logins of any shape with its name", async () => {
        registry.options.login = "basic";
        addImage(repository, { layers: [layer("a")], tag: "1" });
        await bench.put("config.json", "[]");
        await assert.rejects(run("1", { env: { DOCKER_CONFIG: bench.directory } }), {
            name: "InvalidInput",
            message: /config\.json is not a JSON object/,
        });
    });
});
