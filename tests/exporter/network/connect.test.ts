import * as assert from "node:assert/strict";
import { once } from "node:events";
import * as http from "node:http";
import type * as net from "node:net";
import { proxyFor } from "../../../exporter/network/connect";
import { type FakeRegistry, startRegistry } from "../support/fakeRegistry";
import { listen, type TestServer } from "../support/faults";
import { addBlob, addImage, digestOf, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { openRegistry } from "../support/openRegistry";
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
        ["https://10.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/8" }, undefined],
        ["https://11.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/8" }, proxy],
        ["https://10.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.1.2.3:443" }, undefined],
        ["https://10.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/33,10.0.0.0/x" }, proxy],
        ["https://a.io/", { HTTPS_PROXY: proxy, NO_PROXY: "A.IO" }, undefined],
        ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "[fd00::1]" }, undefined],
        ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "[fd00::1]:8443" }, proxy],
        ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "fd00::1" }, undefined],
        ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "fd00::/8" }, undefined],
        ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "[fe00::]/8, 10.0.0.0/8" }, proxy],
        ["http://127.0.0.1:5000/", { HTTP_PROXY: proxy }, undefined],
    ];
    for (const [url, env, expected] of cases) {
        it(`is ${expected ?? "none"} for ${url} with ${JSON.stringify(env)}`, () => {
            assert.equal(proxyFor(new URL(url), env)?.origin, expected);
        });
    }
    it("refuses what is no proxy", () => {
        for (const value of ["socks5://me:secret@a", "http://me:secret#1@a:3128", "me:secret/@a:3128"]) {
            assert.throws(
                () => proxyFor(new URL("https://a.io"), { HTTPS_PROXY: value }),
                (error: Error) => {
                    assert.equal(error.name, "InvalidInput");
                    assert.match(
                        error.message,
                        /^HTTPS_PROXY is "(\w+:\/\/)?…@a(:3128)?": expected http:.*%23 for a #/,
                    );
                    return true;
                },
            );
        }
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
        // Whatever name was asked for, the registry is what is there. As Squid does by default, it has no tunnels but to 443.
        proxy = await listen((request, response) => {
            const { "proxy-authorization": login, ...headers } = request.headers;
            asked.push({ url: request.url, login });
            if (login === undefined) {
                response.writeHead(407).end();
                return;
            }
            const { pathname } = new URL(request.url ?? "");
            http.get(new URL(pathname, registry.origin), { headers }, (answer) => {
                response.writeHead(answer.statusCode ?? 0, answer.headers);
                answer.pipe(response);
            });
        });
    });
    afterEach(async () => {
        await Promise.all([registry.close(), proxy.close()]);
    });

    function open(login: string, image = "registry.lan:5000/app:1") {
        return openRegistry(image, {
            env: { HTTP_PROXY: `http://${login}${proxy.host}`, HTTPS_PROXY: `http://${login}${proxy.host}` },
            concurrency: 2,
            insecure: image.includes("5000"),
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs,
            signal: new AbortController().signal,
            credentials: () => Promise.resolve(undefined),
        });
    }

    it("is what manifests and blobs go through, with its login", async () => {
        const opened = open("me:p%40%ss@");
        await opened.manifest("1");
        const target = new Uint8Array(blob.length);
        await opened.readBlob(digestOf(blob), 0, target);
        opened.close();
        assert.ok(blob.equals(target));
        const login = `Basic ${Buffer.from("me:p@%ss").toString("base64")}`;
        assert.deepEqual(asked, [
            { url: "http://registry.lan:5000/v2/app/manifests/1", login },
            { url: `http://registry.lan:5000/v2/app/blobs/${digestOf(blob)}`, login },
        ]);
    });

    it("that refuses is named in the error", async () => {
        const plain = open("");
        await assert.rejects(plain.manifest("1"), { message: /answered 407/ });
        plain.close();
        // TLS goes through a tunnel.
        const tunnels = http.createServer().on("connect", (_, client: net.Socket) => {
            client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        });
        await proxy.close();
        tunnels.listen(Number(proxy.host.split(":")[1]), "127.0.0.1");
        await once(tunnels, "listening");
        const opened = open("", "registry.lan/app:1");
        await assert.rejects(opened.manifest("1"), { name: "ExportFailed", message: /proxy .* answered 407/ });
        opened.close();
        tunnels.close();
    });
});
