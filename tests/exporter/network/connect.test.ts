import * as assert from "node:assert/strict";
import * as http from "node:http";
import * as net from "node:net";
import { proxyFor } from "../../../exporter/network/connect";
import { parseReference } from "../../../contract/image";
import { openRegistry } from "../../../exporter/registry/registry";
import { type FakeRegistry, startRegistry } from "../support/fakeRegistry";
import { listen, type TestServer } from "../support/faults";
import { addBlob, addImage, digestOf, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { quickIdleTimeoutMs, quickRetries } from "../support/quick";

describe("proxyFor", () => {
    const proxy = "http://proxy.lan:3128";
    const cases: [string, NodeJS.ProcessEnv, string | undefined][] = [
        ["https://a.io/", { HTTPS_PROXY: proxy }, proxy],
        ["https://a.io/", { https_proxy: proxy, HTTPS_PROXY: "http://other" }, proxy],
        ["https://a.io/", { HTTPS_PROXY: "proxy.lan:3128" }, proxy],
        ["https://a.io/", { HTTP_PROXY: proxy }, undefined],
        ["http://a.io/", { HTTP_PROXY: proxy }, proxy],
        ["https://a.io/", { HTTPS_PROXY: "" }, undefined],
        ["https://a.io/", { HTTPS_PROXY: proxy, NO_PROXY: "*" }, undefined],
        ["https://b.a.io/", { HTTPS_PROXY: proxy, NO_PROXY: "x.io, .a.io" }, undefined],
        ["https://b.a.io/", { HTTPS_PROXY: proxy, no_proxy: "a.io" }, undefined],
        ["https://ba.io/", { HTTPS_PROXY: proxy, NO_PROXY: "a.io" }, proxy],
        ["https://a.io/", { HTTPS_PROXY: proxy, NO_PROXY: "a.io:8443" }, proxy],
        ["https://a.io:8443/", { HTTPS_PROXY: proxy, NO_PROXY: "a.io:8443" }, undefined],
        ["http://127.0.0.1:5000/", { HTTP_PROXY: proxy }, undefined],
    ];
    for (const [url, env, expected] of cases) {
        it(`is ${expected ?? "none"} for ${url} with ${JSON.stringify(env)}`, () => {
            assert.equal(proxyFor(new URL(url), env)?.origin, expected);
        });
    }
    it("refuses what is no proxy", () => {
        assert.throws(() => proxyFor(new URL("https://a.io"), { HTTPS_PROXY: "socks5://a" }), {
            name: "InvalidInput",
        });
    });
});

describe("a proxy", () => {
    const blob = randomBytesOf(300_000, 1);
    let registry: FakeRegistry;
    let proxy: TestServer;
    let asked: { url: string | undefined; login: string | undefined }[];

    beforeEach(async () => {
        const repository = emptyRepository("app");
        addImage(repository, { layers: [fileLayer("a", Buffer.from("a"))], tag: "1" });
        addBlob(repository, blob, "application/octet-stream");
        registry = await startRegistry({ repository });
        asked = [];
        const server = http.createServer();
        server.on("connect", (request, client: net.Socket) => {
            asked.push({ url: request.url, login: request.headers["proxy-authorization"] });
            if (request.headers["proxy-authorization"] === undefined) {
                client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
                return;
            }
            // Whatever name was asked for, the registry is what is there.
            const upstream = net.connect(Number(registry.host.split(":")[1]), "127.0.0.1", () => {
                client.write("HTTP/1.1 200 OK\r\n\r\n");
                client.pipe(upstream).pipe(client);
            });
            upstream.on("error", () => client.destroy());
            client.on("error", () => upstream.destroy());
        });
        proxy = await listen(() => undefined);
        await proxy.close();
        await new Promise<void>((resolve) => server.listen(Number(proxy.host.split(":")[1]), "127.0.0.1", resolve));
        proxy.close = () =>
            new Promise((resolve) => {
                server.close(() => {
                    resolve();
                });
                server.closeAllConnections();
            });
    });
    afterEach(async () => {
        await Promise.all([registry.close(), proxy.close()]);
    });

    function open(login: string) {
        return openRegistry(parseReference("registry.lan:5000/app:1"), {
            env: { HTTP_PROXY: `http://${login}${proxy.host}` },
            concurrency: 2,
            insecure: true,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs,
            signal: new AbortController().signal,
            credentials: () => Promise.resolve(undefined),
        });
    }

    it("is what manifests and blobs go through, with its login", async () => {
        const opened = open("me:p%40ss@");
        await opened.manifest("1");
        const target = new Uint8Array(blob.length);
        await opened.readBlob(digestOf(blob), 0, target);
        opened.close();
        assert.ok(blob.equals(target));
        const login = `Basic ${Buffer.from("me:p@ss").toString("base64")}`;
        assert.deepEqual(asked, [
            { url: "registry.lan:5000", login },
            { url: "registry.lan:5000", login },
        ]);
    });

    it("that refuses is named in the error", async () => {
        const opened = open("");
        await assert.rejects(opened.manifest("1"), {
            name: "ExportFailed",
            message: /proxy .* answered 407/,
        });
        opened.close();
    });
});
