import * as assert from "node:assert/strict";
import { createAuthorization, parseChallenges } from "../../../exporter/registry/authorization";
import { createHttpClient, follow, type HttpClient, said } from "../../../exporter/network/httpClient";
import { createLeads } from "../../../exporter/network/origin";
import type { RegistryCredentials } from "../../../exporter/registry/credentials";
import { listen, readBody, type TestServer } from "../support/faults";
import { quickIdleTimeoutMs } from "../support/quick";

const { signal } = new AbortController();
const clientOptions = { env: {}, concurrency: 2, idleTimeoutMs: quickIdleTimeoutMs, signal };

describe("createHttpClient", () => {
    let first: TestServer;
    let second: TestServer;
    let client: HttpClient;

    beforeEach(async () => {
        second = await listen((_, response) => {
            response.end("there");
        });
        first = await listen((request, response) => {
            const location = {
                "/away": second.origin,
                "/here": "/end",
                "/loop": "/loop",
                "/unsafe": "http://registry.lan/",
            }[request.url ?? ""];
            if (request.url === "/stall") {
                return;
            }
            if (request.url === "/upgrade") {
                response.socket?.end("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                return;
            }
            response
                .writeHead(location === undefined ? 200 : 307, location === undefined ? {} : { location })
                .end("end");
        });
        client = createHttpClient(clientOptions);
    });
    afterEach(async () => {
        await Promise.all([first.close(), second.close()]);
    });
    const get = async (path: string) => {
        const { lead } = createLeads(new URL(first.origin), false);
        const { answer } = await follow(new URL(path, first.origin), lead, (url) => client.send({ url, headers: {} }));
        return answer;
    };

    it("follows redirects, relative ones and to other origins", async () => {
        assert.equal((await get("/here")).body.toString(), "end");
        assert.equal((await get("/away")).body.toString(), "there");
    });
    it("does not follow redirects without end", async () => {
        await assert.rejects(get("/loop"), { name: "ExportFailed", message: /more than 5 times/ });
    });
    it("does not go on without TLS", async () => {
        await assert.rejects(get("/unsafe"), {
            name: "ExportFailed",
            message: /registry\.lan, which is not TLS; allow it with --insecure/,
        });
    });
    it("sees a stall", async () => {
        await assert.rejects(get("/stall"), /stalled/);
    });
    it("does not wait after an answer that is none", async () => {
        await assert.rejects(get("/upgrade"), /without an answer/);
    });
    it("does not try again what cannot pass", async () => {
        const url = new URL("https://127.0.0.1:1/");
        url.port = new URL(first.origin).port; // TLS spoken to a server of plain HTTP
        await assert.rejects(client.send({ url, headers: {} }), {
            name: "ExportFailed",
            message: /No TLS is spoken there; a registry that has none is read with --insecure/,
        });
    });
});

describe("said", () => {
    const bodies: [string, string][] = [
        ['{"errors":[{"code":"DENIED","message":"not yours"}]}', " not yours"],
        ['{"errors":[{"code":"UNAUTHORIZED","message":""}]}', " UNAUTHORIZED"],
        ['{"details":"incorrect username or password"}', " incorrect username or password"],
        ['{"error":"invalid_grant","error_description":"expired"}', " expired"],
        ['{"error":"invalid_grant"}', " invalid_grant"],
        ['{"message":"403 Forbidden","error":7}', " 403 Forbidden"],
        ["<Error><Code>A</Code><Message>Request has expired</Message></Error>", " Request has expired"],
        ["<!DOCTYPE html><html><head><TITLE>Blocked\nby policy</TITLE>", " Blocked by policy"],
        ["Client sent an HTTP request to an HTTPS server.\n", " Client sent an HTTP request to an HTTPS server."],
        ...["", "<html>", "{", "[", "null", "7", '"', "{}", '{"errors":[]}', '{"errors":[null]}'].map(
            (body): [string, string] => [body, ""],
        ),
    ];
    for (const [body, words] of bodies) {
        it(`is${words === "" ? " nothing" : words} for ${JSON.stringify(body)}`, () => {
            assert.equal(said(Buffer.from(body)), words);
        });
    }
});

describe("createAuthorization", () => {
    const http = createHttpClient(clientOptions);
    const origin = new URL("http://127.0.0.1:5000");
    const options = { origin, registry: "registry.io", scope: "repository:app:pull", http };
    const { lead } = createLeads(origin, false);

    /** The login with which a request is sent that was answered with a challenge. */
    async function loginFor(challenge: string, credentials: () => Promise<RegistryCredentials | undefined>) {
        const authorized = createAuthorization({ ...options, lead, credentials });
        const { login } = await authorized((headers) => {
            const isFirst = headers["authorization"] === undefined;
            const asked = isFirst ? { "www-authenticate": challenge } : {};
            return Promise.resolve({ status: isFirst ? 401 : 200, headers: asked, login: headers["authorization"] });
        });
        return login;
    }

    it("gives a refresh token to the token server, and only there", async () => {
        let form = new URLSearchParams();
        const server = await listen((request, response) => {
            void readBody(request).then((body) => {
                form = new URLSearchParams(body.toString());
                response.end('{"token":"","access_token":"granted"}');
            });
        });
        const credentials = () => Promise.resolve({ identityToken: "refresh" });
        const header = await loginFor(`Bearer realm="${server.origin}/t",service="s"`, credentials);
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
        const credentials = () => Promise.resolve({ username: "a", password: "b" });
        await assert.rejects(loginFor("Negotiate", credentials), { name: "AccessDenied", message: /negotiate/ });
        await assert.rejects(loginFor('Bearer realm="x"', credentials), { name: "AccessDenied", message: /"x"/ });
        const token = () => Promise.resolve({ identityToken: "refresh" });
        await assert.rejects(loginFor('Basic realm="x"', token), {
            message: /"basic", and there is an identity token/,
        });
    });
    it("says what a token server sends that is no token", async () => {
        let answer = "";
        const server = await listen((_, response) => response.end(answer));
        const credentials = () => Promise.resolve(undefined);
        for (const each of [
            "<html>",
            "null",
            "[]",
            "{}",
            '{"token":7}',
            '{"token":"a\\nb"}',
            '{"token":"a","token":"b"}',
        ]) {
            answer = each;
            await assert.rejects(loginFor(`Bearer realm="${server.origin}/t"`, credentials), {
                name: "AccessDenied",
                message: new RegExp(`^The token server ${server.origin} `),
            });
        }
        await server.close();
    });
});

describe("parseChallenges", () => {
    const bearer = (realm: string) => ({ scheme: "bearer", parameters: { realm } });
    const cases: [string, unknown[]][] = [
        [
            'Bearer realm="https://a/t?x=1,2",service=b,scope="repository:c:pull,push"',
            [
                {
                    scheme: "bearer",
                    parameters: { realm: "https://a/t?x=1,2", service: "b", scope: "repository:c:pull,push" },
                },
            ],
        ],
        [
            'Negotiate, Basic realm="x"',
            [
                { scheme: "negotiate", parameters: {} },
                { scheme: "basic", parameters: { realm: "x" } },
            ],
        ],
        [
            'Basic realm="x", Bearer realm = "https://a"',
            [{ scheme: "basic", parameters: { realm: "x" } }, bearer("https://a")],
        ],
        [
            'Digest realm="basic zone \\"q\\", Bearer", nonce="x", Bearer realm="https://a"',
            [{ scheme: "digest", parameters: { realm: 'basic zone "q", Bearer', nonce: "x" } }, bearer("https://a")],
        ],
        [
            'NTLM TlRMTVNTUAACAAAA=, Negotiate YIIB/a+b.c==,bearer\trealm="https://a"',
            [{ scheme: "ntlm", parameters: {} }, { scheme: "negotiate", parameters: {} }, bearer("https://a")],
        ],
        ["Bearer realm=https://a?b=c", [bearer("https://a?b=c")]],
        ['BEARER REALM="https://a" , , Basic', [bearer("https://a"), { scheme: "basic", parameters: {} }]],
        ["", []],
    ];
    for (const [header, expected] of cases) {
        it(`tells apart ${header}`, () => {
            assert.deepEqual(parseChallenges(header), expected);
        });
    }
});
