import * as assert from "node:assert/strict";
import { createAuthorization, parseChallenge } from "../../../exporter/registry/authorization";
import { createAgents } from "../../../exporter/network/connect";
import { createHttpClient, type HttpClient } from "../../../exporter/network/httpClient";
import { isLoopback } from "../../../exporter/network/origin";
import { listen, readBody, type TestServer } from "../support/faults";
import { quickIdleTimeoutMs } from "../support/quick";

const { signal } = new AbortController();

describe("createHttpClient", () => {
    let first: TestServer;
    let second: TestServer;
    let seen: (string | undefined)[];
    let client: HttpClient;

    beforeEach(async () => {
        seen = [];
        second = await listen((request, response) => {
            seen.push(request.headers.authorization);
            response.end("there");
        });
        first = await listen((request, response) => {
            seen.push(request.headers.authorization);
            const location = {
                "/away": second.origin,
                "/here": "/end",
                "/loop": "/loop",
                "/unsafe": "http://registry.lan/",
            }[request.url ?? ""];
            if (request.url === "/stall") {
                return;
            }
            response
                .writeHead(location === undefined ? 200 : 307, location === undefined ? {} : { location })
                .end("end");
        });
        client = createHttpClient(
            createAgents({}, 2),
            (url) => url.protocol === "https:" || isLoopback(url.hostname),
            quickIdleTimeoutMs,
        );
    });
    afterEach(async () => {
        await Promise.all([first.close(), second.close()]);
    });
    const get = (path: string) =>
        client({
            method: "GET",
            url: new URL(path, first.origin),
            headers: { Authorization: "secret" },
            signal,
        });

    it("keeps the login on its host", async () => {
        assert.equal((await get("/here")).body.toString(), "end");
        assert.deepEqual(seen, ["secret", "secret"]);
    });
    it("does not carry the login to another host", async () => {
        assert.equal((await get("/away")).body.toString(), "there");
        assert.deepEqual(seen, ["secret", undefined]);
    });
    it("does not follow redirects without end", async () => {
        await assert.rejects(get("/loop"), { name: "ExportFailed", message: /more than 5 times/ });
    });
    it("does not go on without TLS", async () => {
        await assert.rejects(get("/unsafe"), {
            name: "ExportFailed",
            message: /registry\.lan, which is not TLS/,
        });
    });
    it("sees a stall", async () => {
        await assert.rejects(get("/stall"), /stalled/);
    });
    it("does not try again what cannot pass", async () => {
        const url = new URL("https://127.0.0.1:1/");
        url.port = new URL(first.origin).port; // TLS spoken to a server of plain HTTP
        await assert.rejects(client({ method: "GET", url, headers: {}, signal }), { name: "ExportFailed" });
    });
});

describe("createAuthorization", () => {
    it("gives a refresh token to the token server, and only there", async () => {
        let form = new URLSearchParams();
        const server = await listen((request, response) => {
            void readBody(request).then((body) => {
                form = new URLSearchParams(body.toString());
                response.end('{"access_token":"granted"}');
            });
        });
        const http = createHttpClient(createAgents({}, 1), () => true, quickIdleTimeoutMs);
        const source = () => Promise.resolve({ identityToken: "refresh" });
        const authorization = createAuthorization("registry.io", "repository:app:pull", source, http, signal);
        const header = await authorization.renew(undefined, `Bearer realm="${server.origin}/t",service="s"`);
        await server.close();
        assert.equal(header, "Bearer granted");
        assert.deepEqual(Object.fromEntries(form), {
            service: "s",
            scope: "repository:app:pull",
            grant_type: "refresh_token",
            client_id: "ecr-image-export",
            refresh_token: "refresh",
        });
    });
    it("refuses a login of a kind that it does not know", async () => {
        const http = createHttpClient(createAgents({}, 1), () => true, quickIdleTimeoutMs);
        const source = () => Promise.resolve({ username: "a", password: "b" });
        const authorization = createAuthorization("registry.io", "", source, http, signal);
        await assert.rejects(authorization.renew(undefined, "Negotiate"), {
            name: "AccessDenied",
            message: /negotiate/,
        });
        await assert.rejects(authorization.renew(undefined, 'Bearer realm="x"'), {
            name: "AccessDenied",
            message: /"x"/,
        });
    });
});

describe("parseChallenge", () => {
    it("reads parameters with and without quotes", () => {
        assert.deepEqual(parseChallenge('Bearer realm="https://a/t?x=1,2",service=b,scope="repository:c:pull,push"'), {
            scheme: "bearer",
            parameters: { realm: "https://a/t?x=1,2", service: "b", scope: "repository:c:pull,push" },
        });
    });
    it("takes the challenge that it knows out of several", () => {
        assert.equal(parseChallenge('Negotiate, Basic realm="x"').scheme, "basic");
    });
});
