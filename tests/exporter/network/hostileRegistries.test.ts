import * as assert from "node:assert/strict";
import { listen, type TestServer } from "../support/faults";
import { digestOf, mediaTypes } from "../support/images";
import { openRegistry } from "../support/openRegistry";
import { quickIdleTimeoutMs, quickRetries } from "../support/quick";

const own = "http://registry.lan:5000";
const login = { username: "joe", password: "secret" };
const secrets = [`Basic ${Buffer.from("joe:secret").toString("base64")}`, "Bearer own"];

/** Ways to write this machine and its services; PORT is one where somebody listens. */
const local = [
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0.0.0.0:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://a.localhost:PORT/",
    `http://registry.lan:5000@127.0.0.1:PORT/`,
    "\\\\127.0.0.1:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://[::ffff:a9fe:a9fe]/latest/meta-data/",
    "http://169.254.170.2/v2/credentials/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
];
/** Ways to write an origin that is not the registry's own. */
const foreign = [
    "http://other.lan/",
    "//other.lan/",
    "http://registry.lan/",
    "http://registry.lan:5001/",
    "http://registry.lan.:5000/",
    "http://registry.lan.other.lan:5000/",
    "http://registry.lan:5000@other.lan/",
    "http://other.lan\\@registry.lan:5000/",
];
/** What a place that a registry leads to asks for. */
const asks = {
    "a login": 'Basic realm="x"',
    "a token of the registry": `Bearer realm="${own}/token"`,
    "a token of its own": 'Bearer realm="http://other.lan/token"',
};
/** What it is that leads there, and how the registry itself is logged in to. */
const places = ["manifest", "manifest after a hop", "blob", "token", "manifest behind Basic"] as const;
type Place = (typeof places)[number] | "token server";

describe("a hostile registry", () => {
    let proxy: TestServer;
    let target: string;
    let place: Place;
    let ask = "";
    /** Every request to anybody: all names are behind this proxy, and who asks this machine finds it too. */
    let seen: { origin: string; authorization: string | undefined }[];
    const config = { mediaType: mediaTypes.oci.config, digest: digestOf(Buffer.from("{}")), size: 2 };
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.oci.manifest, config, layers: [] });

    before(async () => {
        proxy = await listen((request, response) => {
            const { origin, pathname } = new URL(request.url ?? "", proxy.origin);
            const { authorization } = request.headers;
            seen.push({ origin, authorization });
            const challenge = (text: string) => response.writeHead(401, { "www-authenticate": text }).end();
            const lead = (location: string) => response.writeHead(307, { location }).end();
            const isToken = pathname === "/token";
            if (origin !== own) {
                if (isToken) response.end('{"token":"anonymous"}');
                else challenge(ask);
            } else if (isToken) {
                if (place === "token") lead(target);
                else response.end(JSON.stringify({ token: authorization === undefined ? "anonymous" : "own" }));
            } else if (authorization === undefined) {
                const realm = place === "token server" ? target : `${own}/token`;
                challenge(place === "manifest behind Basic" ? 'Basic realm="x"' : `Bearer realm="${realm}"`);
            } else if (place === "manifest after a hop" && pathname !== "/hop") lead("/hop");
            else if (place === "blob" && pathname.includes("/manifests/")) response.end(manifest);
            else lead(target);
        });
    });
    beforeEach(() => {
        seen = [];
    });
    after(() => proxy.close());

    async function pull(): Promise<void> {
        const registry = openRegistry("registry.lan:5000/app:1", {
            env: { HTTP_PROXY: proxy.origin },
            concurrency: 2,
            insecure: true,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs,
            signal: new AbortController().signal,
            credentials: () => Promise.resolve(login),
        });
        try {
            await registry.manifest("1");
            await registry.readBlob(config.digest, 0, Buffer.alloc(config.size));
        } finally {
            registry.close();
        }
    }

    for (const from of [...places, "token server"] as const) {
        for (const to of local) {
            it(`leads from its ${from} nobody to ${to}`, async () => {
                [place, target] = [from, to.replace("PORT", proxy.host.split(":")[1] ?? "")];
                await assert.rejects(pull(), { message: /which is (an address of this machine|not a URL)/ });
                assert.deepEqual([...new Set(seen.map(({ origin }) => origin))], [own]);
            });
        }
    }
    for (const from of places) {
        for (const to of foreign) {
            for (const [what, challenge] of Object.entries(asks)) {
                it(`leads from its ${from} nobody with a login to ${to}, which asks for ${what}`, async () => {
                    [place, target, ask] = [from, to, challenge];
                    await assert.rejects(pull(), { name: "AccessDenied" });
                    const others = seen.filter(({ origin }) => origin !== own);
                    assert.ok(others.length > 0, "it leads there");
                    const given = others.flatMap(({ authorization }) => authorization ?? []);
                    assert.deepEqual(
                        given.filter((each) => secrets.includes(each)),
                        [],
                    );
                });
            }
        }
    }
});
