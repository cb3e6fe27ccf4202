/**
 * Public reports of people who save, copy or load images, each as the input that it comes to here. tests/exporter/reports.test.ts tries
 * them, docs/results/reports.md lists them (`npm run docs`).
 */
import { strict as assert } from "node:assert";
import type * as http from "node:http";

import type { ExportErrorName } from "../../contract/errors";
import { proxyFor } from "../../exporter/network/connect";
import { createHttpClient } from "../../exporter/network/httpClient";
import { createLeads } from "../../exporter/network/origin";
import { networkError } from "../../exporter/network/retry";
import { loginFiles } from "../../exporter/registry/credentials";
import type { Descriptor } from "../../exporter/registry/manifest";
import type { Bench } from "./support/bench";
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

/** A report, and what comes of it here. */
export interface Report {
    /** `OWNER/REPOSITORY#NUMBER` on GitHub. */
    readonly report: string;
    /** What failed there. */
    readonly failed: string;
    /** What it comes to here. */
    readonly input: string;
    /** What comes of it, or the error that it ends in, with some of its words. */
    readonly result: string | readonly [error: ExportErrorName, says: string];
    /** Whether it ended otherwise here, until this was tried. */
    readonly mended?: true;
    /** Tries it; asserts what an export has to be. */
    readonly attempt: (bench: Bench) => unknown;
}

const { oci, docker } = mediaTypes;
const layer = (text: string) => fileLayer("f", Buffer.from(text));
const blob = randomBytesOf(100_000, 1);
const login = `Basic ${Buffer.from("user:secret").toString("base64")}`;
const credentials = () => Promise.resolve({ username: "user", password: "secret" });
const anonymous = () => Promise.resolve(undefined);

const addLinux = ({ repository }: Bench, architecture = "amd64"): Descriptor =>
    addImage(repository, { layers: [layer(architecture)], architecture, tag: "1" });

function addWindows(repository: Repository, version?: string): Descriptor {
    const image = addImage(repository, { layers: [layer(version ?? "none")], os: "windows" });
    const platform = { os: "windows", architecture: "amd64", ...(version !== undefined && { "os.version": version }) };
    return { ...image, platform };
}

/** An image whose manifest or whose configuration's type is another. */
function addOdd(
    { repository }: Bench,
    change: object,
    type: string = oci.manifest,
    configType: string = oci.config,
): void {
    const image = { os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [] } };
    const config = addBlob(repository, Buffer.from(JSON.stringify(image)), configType);
    addManifest(repository, { schemaVersion: 2, mediaType: oci.manifest, config, layers: [], ...change }, type, "1");
}

async function assertExports(
    bench: Bench,
    image: Descriptor,
    options: Parameters<Bench["run"]>[1] = {},
): Promise<void> {
    assert.equal((await bench.run("1", { force: true, ...options })).imageDigest, image.digest);
}

const unauthorized = (response: http.ServerResponse, ...challenges: readonly string[]): boolean => {
    response.writeHead(401, { "www-authenticate": [...challenges] }).end("{}");
    return true;
};

/** Exports from behind a server that asks for a login by these challenges, with a token server, and takes one of these. */
async function exportsWithLogin(
    bench: Bench,
    challenges: (realm: string) => readonly string[],
    accepted: string,
    options: Parameters<Bench["run"]>[1] = { credentials },
    token: (request: http.IncomingMessage) => string = () => '{"token":"tok"}',
): Promise<void> {
    const image = addLinux(bench);
    const server = await bench.before((request, response, url) => {
        if (url.pathname === "/token") response.end(token(request));
        else if (request.headers.authorization !== accepted) {
            return unauthorized(response, ...challenges(`http://${request.headers.host ?? ""}/token`));
        } else return false;
        return true;
    });
    await assertExports(bench, image, { host: server.host, ...options });
}

/** Exports from behind a server that answers for blobs itself. */
async function exportsBlobs(
    bench: Bench,
    answer: (request: http.IncomingMessage, response: http.ServerResponse, digest: string) => boolean,
): Promise<void> {
    const image = addImage(bench.repository, { layers: [{ diffId: digestOf(blob), bytes: blob }], tag: "1" });
    const server = await bench.before((request, response, { pathname }) => {
        const digest = pathname.split("/blobs/")[1];
        return digest !== undefined && answer(request, response, digest);
    });
    await assertExports(bench, image, { host: server.host });
}

/** Refuses the first requests of a bench, or all of them. */
async function refusing(bench: Bench, count: number, status: number, headers: http.OutgoingHttpHeaders, body: string) {
    let left = count;
    return bench.before((_, response) => {
        if (left === 0) return false;
        left -= 1;
        response.writeHead(status, headers).end(body);
        return true;
    });
}

async function exportsWithFile(bench: Bench, name: string, content: object, options: object = {}): Promise<void> {
    const image = addLinux(bench);
    bench.registry.options.login = "basic";
    await bench.put(name, content);
    await assertExports(bench, image, { env: { DOCKER_CONFIG: bench.directory, PATH: bench.directory }, ...options });
}

const entry = { auth: Buffer.from("user:secret").toString("base64") };
const schema1 = (bench: Bench, type: string): Promise<unknown> => {
    const payload = { schemaVersion: 1, name: "app", tag: "1", fsLayers: [], history: [] };
    addManifest(bench.repository, payload, type, "1");
    const [[digest, { bytes }] = assert.fail()] = bench.repository.manifests;
    // The digest is that of the document without its signatures.
    bench.repository.manifests.set(digest, { mediaType: type, bytes: Buffer.concat([bytes, Buffer.from("\n")]) });
    return bench.run("1");
};

/** The reports. */
export const reports: readonly Report[] = [
    {
        report: "pelagos-containers/pelagos#533",
        failed: "`nested image index not supported`",
        input: "an index whose entries are indexes, with an image and its attestation each",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const inner = { ...addIndex(bench.repository, [image], { attestation: true }), platform: image.platform };
            addIndex(bench.repository, [inner], { tag: "1" });
            await assertExports(bench, image);
        },
    },
    {
        report: "oras-project/oras-go#692",
        failed: "a panic where an index names no platform",
        input: "an index without platforms",
        result: "exported, chosen by the configurations",
        attempt: async (bench) => {
            const bare = ["arm64", "amd64"].map((architecture) => ({
                ...addLinux(bench, architecture),
                platform: undefined,
            }));
            addIndex(bench.repository, bare, { tag: "1" });
            await assertExports(bench, bare[1] ?? assert.fail());
        },
    },
    {
        report: "zarf-dev/zarf#5272",
        failed: "a copy of one platform trips over attestations",
        input: "an index with an attestation, of which a registry has no blobs",
        result: "exported without it",
        attempt: async (bench) => {
            const image = addLinux(bench);
            addIndex(bench.repository, [image], { attestation: true, tag: "1" });
            bench.repository.blobs.delete(digestOf(Buffer.from('{"predicateType":"https://slsa.dev"}')));
            await assertExports(bench, image);
        },
    },
    {
        report: "link-assistant/hive-mind#962",
        failed: "`no matching manifest for linux/arm64/v8`",
        input: "an index without the platform",
        result: ["ImageNotFound", "It has: linux/amd64."],
        attempt: (bench) => {
            addIndex(bench.repository, [addLinux(bench)], { attestation: true, tag: "1" });
            return bench.run("1", { platform: "linux/arm64/v8" });
        },
    },
    {
        report: "google/go-containerregistry#1173",
        failed: "the wrong one of several images of Windows",
        input: "an index of Windows images, `windows(10.0.17763.2114)/amd64`",
        result: "exported",
        mended: true,
        attempt: async (bench) => {
            const other = addWindows(bench.repository, "10.0.20348.169");
            const image = addWindows(bench.repository, "10.0.17763.2114");
            addIndex(bench.repository, [other, image], { tag: "1" });
            await assertExports(bench, image, { platform: "windows(10.0.17763.2114)/amd64" });
            await assert.rejects(bench.run("1", { platform: "windows(10.0.14393)/amd64" }), {
                message: /It has: windows\(10\.0\.20348\.169\)\/amd64, windows\(10\.0\.17763\.2114\)\/amd64/,
            });
        },
    },
    {
        report: "rancher/rke2#10941",
        failed: "`no child with platform windows/amd64:10.0.17763.7919`",
        input: "an index whose Windows image names no version, asked for with one",
        result: "exported, as containerd takes it",
        mended: true,
        attempt: async (bench) => {
            const image = addWindows(bench.repository);
            addIndex(bench.repository, [image], { tag: "1" });
            await assertExports(bench, image, { platform: "windows(10.0.17763.7919)/amd64" });
        },
    },
    {
        report: "moby/moby#27568",
        failed: "a pull that says nothing and does nothing",
        input: "a manifest without `layers`",
        result: "exported",
        attempt: async (bench) => {
            addOdd(bench, { layers: undefined });
            assert.deepEqual((await bench.run("1")).images[0]?.layers, []);
        },
    },
    {
        report: "moby/moby#30083",
        failed: "`target is unknown`",
        input: "a configuration of the type `text/html`",
        result: "exported, as Docker takes it",
        mended: true,
        attempt: async (bench) => {
            addOdd(bench, {}, oci.manifest, "text/html");
            assert.equal((await bench.run("1")).images[0]?.platform, "linux/amd64");
        },
    },
    {
        report: "moby/moby#31318",
        failed: "`unsupported schema version 2`",
        input: "a static file server: Docker's manifest without `Content-Type`",
        result: "exported",
        attempt: async (bench) => {
            addOdd(bench, { mediaType: docker.manifest }, "");
            await bench.run("1");
        },
    },
    {
        report: "GoogleContainerTools/jib#2824",
        failed: "an OCI manifest without `mediaType` cannot be read",
        input: "one, with its `Content-Type`",
        result: "exported",
        attempt: async (bench) => {
            addOdd(bench, { mediaType: undefined });
            await bench.run("1");
        },
    },
    {
        report: "regclient/regclient#436",
        failed: "a manifest without `mediaType`, and nothing that tells it",
        input: "one, sent as `application/json`",
        result: ["InvalidInput", 'has the media type "application/json", which is no image manifest or index'],
        attempt: (bench) => {
            addOdd(bench, { mediaType: undefined }, "application/json");
            return bench.run("1");
        },
    },
    {
        report: "google/go-containerregistry#411",
        failed: "schema 1 ends in `MANIFEST_UNKNOWN`",
        input: "a manifest of schema 1",
        result: ["InvalidInput", "is a Docker schema 1 manifest"],
        attempt: (bench) => schema1(bench, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    },
    {
        report: "google/go-containerregistry#617",
        failed: "schema 1 of the type `text/plain`",
        input: "a manifest of schema 1, sent as `text/plain`, with the digest of its payload",
        result: ["InvalidInput", "push the image anew, for instance with skopeo copy --format v2s2"],
        mended: true,
        attempt: (bench) => schema1(bench, "text/plain"),
    },
    {
        report: "goharbor/harbor#14774",
        failed: "a registry that does not take BuildKit's cache",
        input: "a tag that is such a cache",
        result: ["InvalidInput", "is a build cache of BuildKit, not an image"],
        attempt: (bench) => {
            const config = addBlob(bench.repository, Buffer.from("{}"), "application/vnd.buildkit.cacheconfig.v0");
            addManifest(bench.repository, { schemaVersion: 2, manifests: [config] }, oci.index, "1");
            return bench.run("1");
        },
    },
    {
        report: "aboutcode-org/scancode.io#1675",
        failed: "`Unknown media type during manifest conversion`",
        input: "a Helm chart, as one platform",
        result: "Exported; the log says that `docker load` does not load it.",
        attempt: async (bench) => {
            addOdd(bench, {}, oci.manifest, "application/vnd.cncf.helm.config.v1+json");
            await bench.run("1", { platform: "all" });
            await bench.run("1");
        },
    },
    {
        report: "project-zot/zot#2977",
        failed: "no content for the empty configuration",
        input: "an artifact whose configuration is only in `data`, in an index, as `all`",
        result: "exported",
        attempt: async (bench) => {
            const bytes = Buffer.from("{}");
            const type = "application/vnd.oci.empty.v1+json";
            const config = { mediaType: type, digest: digestOf(bytes), size: 2, data: bytes.toString("base64") };
            const document = { schemaVersion: 2, mediaType: oci.manifest, config, layers: [] };
            addIndex(bench.repository, [addLinux(bench), addManifest(bench.repository, document, oci.manifest)], {
                tag: "1",
            });
            await bench.run("1", { platform: "all" });
        },
    },
    {
        report: "containers/image#503",
        failed: "an archive that `docker load` refuses, of an image that has a layer twice",
        input: "such an image",
        result: "exported, with the layer once",
        attempt: async (bench) => {
            const image = addImage(bench.repository, { layers: [layer("a"), layer("b"), layer("a")], tag: "1" });
            await assertExports(bench, image);
        },
    },
    {
        report: "docker/hub-feedback#2132",
        failed: "`blob unknown to registry`",
        input: "a foreign layer that the registry does not have",
        result: ["InvalidInput", "is a foreign one that the registry does not have"],
        attempt: (bench) => {
            const digest = digestOf(blob);
            addOdd(bench, {
                layers: [
                    {
                        mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                        digest,
                        size: blob.length,
                    },
                ],
            });
            return bench.run("1");
        },
    },
    {
        report: "distribution/distribution#4420",
        failed: "a registry that takes no `sha512`",
        input: "a layer with the digest `sha512:…`",
        result: ["InvalidInput", "expected sha256:…"],
        attempt: (bench) => {
            addOdd(bench, { layers: [{ mediaType: oci.layer, digest: `sha512:${"0".repeat(128)}`, size: 1 }] });
            return bench.run("1");
        },
    },
    {
        report: "containerd/containerd#3238",
        failed: "a pull from a registry without `Docker-Content-Digest`",
        input: "such a registry",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const server = await bench.before(({ url = "" }, response, { pathname }) => {
                if (!pathname.includes("/manifests/")) return false;
                const { bytes } = bench.repository.manifests.get(image.digest) ?? assert.fail(url);
                response.writeHead(200, { "content-type": oci.manifest }).end(bytes);
                return true;
            });
            await assertExports(bench, image, { host: server.host });
        },
    },
    {
        report: "NotGlop/docker-drag#41",
        failed: "`OCI index found, but accept header does not support OCI indexes`",
        input: "a registry that reads `Accept`",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            addIndex(bench.repository, [image], { tag: "1" });
            const server = await bench.before(({ headers: { accept = "" } }, response, { pathname }) => {
                if (!pathname.includes("/manifests/") || accept.includes(oci.index)) return false;
                response.writeHead(404).end();
                return true;
            });
            await assertExports(bench, image, { host: server.host });
        },
    },
    {
        report: "docker/cli#5304",
        failed: "`missing or empty Content-Type header`: a firewall answers in the registry's place",
        input: "a page of HTML with status 200 for a manifest",
        result: ["ExportFailed", "got a page of HTML. Forbidden A proxy or a firewall may have answered"],
        mended: true,
        attempt: async (bench) => {
            const page = "<html>\n<head>\n<title>Forbidden</title>\n</head></html>";
            const { host } = await refusing(bench, Infinity, 200, {}, page);
            await bench.run("1", { host });
        },
    },
    {
        report: "moby/moby#17595",
        failed: "blobs sent with `Content-Encoding: x-gzip` do not verify",
        input: "such a server",
        result: "exported, with the bytes as they are sent",
        attempt: (bench) =>
            exportsBlobs(bench, (_, response, digest) => {
                response.writeHead(200, { "content-encoding": "x-gzip" }).end(bench.repository.blobs.get(digest));
                return true;
            }),
    },
    {
        report: "google/go-containerregistry#1075",
        failed: "`unrecognized challenge` where Kerberos comes before Basic",
        input: "the challenges `Negotiate` and `Basic`, in two headers",
        result: "exported",
        attempt: (bench) => exportsWithLogin(bench, () => ["Negotiate", 'Basic realm="x"'], login),
    },
    {
        report: "prowler-cloud/prowler#12691",
        failed: "no token where Basic comes before Bearer",
        input: "both in one header",
        result: "exported, with a token",
        attempt: (bench) =>
            exportsWithLogin(bench, (realm) => [`Basic realm="registry", Bearer realm="${realm}"`], "Bearer tok"),
    },
    {
        report: "siderolabs/image-factory#573",
        failed: "the login is never sent: Bearer is asked for beside Basic, and there is no token server",
        input: "`Bearer` without a URL, and `Basic`",
        result: "exported, by Basic",
        mended: true,
        attempt: (bench) =>
            exportsWithLogin(bench, () => ['Bearer realm="image-factory"', 'Basic realm="image-factory"'], login),
    },
    {
        report: "SgtSilvio/gradle-oci#144",
        failed: "ECR Public answers 400 to a login that it has not asked for",
        input: "a registry that refuses Basic with 400, and asks for a token",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const server = await bench.before(({ headers }, response, { pathname }) => {
                const { authorization = "", host = "" } = headers;
                if (pathname === "/token") response.end('{"token":"tok"}');
                else if (authorization.startsWith("Basic")) response.writeHead(400).end();
                else if (authorization === "") return unauthorized(response, `Bearer realm="http://${host}/token"`);
                else return false;
                return true;
            });
            await assertExports(bench, image, { host: server.host, credentials });
        },
    },
    {
        report: "containerd/overlaybd#35",
        failed: "Azure's token server sends `access_token` only",
        input: "such a token server",
        result: "exported",
        attempt: (bench) =>
            exportsWithLogin(
                bench,
                (realm) => [`Bearer realm="${realm}"`],
                "Bearer tok",
                { credentials: anonymous },
                () => '{"access_token":"tok"}',
            ),
    },
    {
        report: "testcontainers/testcontainers-node#1196",
        failed: "the identity token of `az acr login` is not used",
        input: "Docker's config with `identitytoken` and an `auth` of zeros",
        result: "exported: the token is posted to the token server",
        attempt: async (bench) => {
            const zeros = "00000000-0000-0000-0000-000000000000:";
            const auth = { auth: Buffer.from(zeros).toString("base64"), identitytoken: "refresh" };
            const file = { auths: {} as Record<string, object> };
            await exportsWithLogin(
                bench,
                (realm) => {
                    file.auths[new URL(realm).host] = auth;
                    bench.registry.options.login = "none";
                    return [`Bearer realm="${realm}"`];
                },
                "Bearer tok",
                { credentials: () => Promise.resolve({ identityToken: auth.identitytoken }) },
                ({ method }) => (method === "POST" ? '{"access_token":"tok"}' : "{}"),
            );
        },
    },
    {
        report: "cesanta/docker_auth#174",
        failed: "`unable to decode token response: invalid character '<'`",
        input: "a token server that answers with HTML",
        result: ["AccessDenied", "answered with something that is not JSON"],
        attempt: (bench) =>
            exportsWithLogin(
                bench,
                (realm) => [`Bearer realm="${realm}"`],
                "",
                { credentials },
                () => "<html></html>",
            ),
    },
    {
        report: "goharbor/harbor#3933",
        failed: "the login would go to `http://`, behind a proxy that ends TLS",
        input: "a registry with TLS whose token server has none",
        result: [
            "ExportFailed",
            "https://registry.example.com leads to http://registry.example.com, which is not TLS.",
        ],
        attempt: () => {
            const registry = new URL("https://registry.example.com/");
            return createLeads(registry, false).lead(registry, "http://registry.example.com/service/token");
        },
    },
    {
        report: "open-policy-agent/opa#6580",
        failed: "`Only one auth mechanism allowed`: the login is sent on to S3",
        input: "a registry with a login that redirects to a store that refuses one",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const store = await bench.serve(({ headers, url = "" }, response) => {
                if (headers.authorization !== undefined) response.writeHead(400).end();
                else response.end(bench.repository.blobs.get(url.slice(1)));
            });
            const server = await bench.before(({ headers }, response, { pathname }) => {
                if (headers.authorization !== login) return unauthorized(response, 'Basic realm="x"');
                const [, digest] = pathname.split("/blobs/");
                if (digest === undefined) return false;
                response.writeHead(307, { location: `${store.origin}/${digest}` }).end();
                return true;
            });
            await assertExports(bench, image, { host: server.host, credentials });
        },
    },
    {
        report: "containers/image#641",
        failed: "the login is lost where a redirect stays at the registry",
        input: "a redirect to another path, which wants the login too",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const server = await bench.before(({ headers, url = "" }, response, { pathname }) => {
                if (headers.authorization !== login) return unauthorized(response, 'Basic realm="x"');
                if (pathname.startsWith("/files/")) {
                    response.end(bench.repository.blobs.get(pathname.slice("/files/".length)));
                } else if (pathname.includes("/blobs/")) {
                    response.writeHead(302, { location: `/files/${url.split("/").at(-1) ?? ""}` }).end();
                } else return false;
                return true;
            });
            await assertExports(bench, image, { host: server.host, credentials });
        },
    },
    {
        report: "dragonflyoss/nydus#2002",
        failed: "`RelativeUrlWithoutBase`: Google's registry redirects by a path",
        input: "redirects of the forms `/p`, `../p`, `//host/p` and `?q`",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            for (const form of ["/files/DIGEST;x=1", "../../../files/DIGEST", "//HOST/files/DIGEST", "?files/DIGEST"]) {
                const server = await bench.before(({ url = "", headers: { host = "" } }, response, { pathname }) => {
                    const [, digest] = /files\/(sha256:\w+)/.exec(url) ?? [];
                    const [, asked] = pathname.split("/blobs/");
                    if (digest !== undefined) response.end(bench.repository.blobs.get(digest));
                    else if (asked !== undefined) {
                        const location = form.replace("DIGEST", asked).replace("HOST", host);
                        response.writeHead(307, { location }).end();
                    } else return false;
                    return true;
                });
                await assertExports(bench, image, { host: server.host });
            }
        },
    },
    {
        report: "google/go-containerregistry#2333",
        failed: "the token of a registry that was redirected to is not sent there",
        input: "a host that redirects everything to a registry with anonymous tokens",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const real = await bench.before(({ headers }, response, { pathname }) => {
                if (pathname === "/token") response.end('{"token":"tok"}');
                else if (headers.authorization !== "Bearer tok") {
                    return unauthorized(response, `Bearer realm="${real.origin}/token"`);
                } else return false;
                return true;
            });
            const vanity = await bench.serve(({ url = "" }, response) => {
                response.writeHead(307, { location: `${real.origin}${url}` }).end();
            });
            await assertExports(bench, image, { host: vanity.host, credentials: anonymous });
        },
    },
    {
        report: "getnora-io/nora#654",
        failed: "a registry that knows no `Range`",
        input: "such a registry",
        result: "exported, the blob read once more from its start",
        attempt: async (bench) => {
            bench.registry.options.ignoresRanges = true;
            await assertExports(bench, addLinux(bench));
        },
    },
    {
        report: "openai/tart#1255",
        failed: "bytes of the wrong place: a 206 of another range than the one asked for",
        input: "a server that answers each range with `bytes 0-2/…`",
        result: "exported, the blob read as a whole",
        attempt: (bench) =>
            exportsBlobs(bench, ({ headers }, response, digest) => {
                const bytes = bench.repository.blobs.get(digest) ?? assert.fail(digest);
                const wrong = { "content-range": `bytes 0-2/${bytes.length}` };
                if (headers.range === undefined) response.end(bytes);
                else response.writeHead(206, wrong).end(bytes.subarray(0, 3));
                return true;
            }),
    },
    {
        report: "anchore/stereoscope#695",
        failed: "416 for a range that a registry cannot read",
        input: "a server that answers each range with 416",
        result: "exported, the blob read as a whole",
        mended: true,
        attempt: (bench) =>
            exportsBlobs(bench, ({ headers }, response, digest) => {
                if (headers.range === undefined) response.end(bench.repository.blobs.get(digest));
                else response.writeHead(416).end();
                return true;
            }),
    },
    {
        report: "containers/image#618",
        failed: "429 ends the copy at once",
        input: "429, three times, with `Retry-After: 0`",
        result: "exported, with a line in the log for each wait",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const { host } = await refusing(bench, 3, 429, { "retry-after": "0" }, "");
            await assertExports(bench, image, { host });
            assert.equal(bench.notes.filter((note) => note.includes("answered 429")).length, 3);
        },
    },
    {
        report: "dependabot/cli#380",
        failed: "`toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute`",
        input: "429 with these words, and a `Retry-After` that is no number of seconds",
        result: "exported",
        attempt: async (bench) => {
            const image = addLinux(bench);
            const words = {
                errors: [{ code: "TOOMANYREQUESTS", message: "retry-after: 880.092µs, allowed: 44000/minute" }],
            };
            const { host } = await refusing(bench, 1, 429, { "retry-after": "880.092us" }, JSON.stringify(words));
            await assertExports(bench, image, { host });
            assert.match(bench.notes.join("\n"), /retry-after: 880\.092µs, allowed: 44000\/minute/);
        },
    },
    {
        report: "distribution/distribution#4175",
        failed: "400 from S3: the URL of a large layer has expired meanwhile",
        input: "a registry whose redirects are good for two requests",
        result: "exported, with new URLs",
        attempt: async (bench) => {
            bench.registry.options.redirectUses = 2;
            const layers = Array.from({ length: 4 }, (_, at) => layer(`${at}`));
            await assertExports(bench, addImage(bench.repository, { layers, tag: "1" }));
        },
    },
    {
        report: "docker-archive-public/docker.kitematic#4713",
        failed: "`error parsing HTTP 403 response body: invalid character '<'`",
        input: "a store that answers 403 with XML to every URL",
        result: ["AccessDenied", "Request has expired"],
        attempt: async (bench) => {
            addLinux(bench);
            const store = await bench.serve((_, response) => {
                const xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
                response.writeHead(403, { "content-length": xml.length }).end(xml);
            });
            const server = await bench.before((_, response, { pathname }) => {
                if (!pathname.includes("/blobs/")) return false;
                response.writeHead(307, { location: `${store.origin}${pathname}` }).end();
                return true;
            });
            await bench.run("1", { host: server.host });
        },
    },
    {
        report: "lux4rd0/grafana-loki-syslog-aio#16",
        failed: '`exec: "docker-credential-desktop": executable file not found`, for a public image',
        input: "`credsStore: desktop` that is not installed, and a registry with anonymous tokens",
        result: "exported; the log says that the helper gave no login",
        mended: true,
        attempt: async (bench) => {
            await bench.put("config.json", { credsStore: "desktop" });
            const env = { DOCKER_CONFIG: bench.directory, PATH: bench.directory };
            await exportsWithLogin(bench, (realm) => [`Bearer realm="${realm}"`], "Bearer tok", { env });
            assert.match(
                bench.notes.join("\n"),
                /docker-credential-desktop gave no login for 127\.0\.0\.1:\d+: .*ENOENT/,
            );
        },
    },
    {
        report: "bazel-contrib/rules_oci#653",
        failed: "`credentials not found in native keychain`, for a public image",
        input: "a helper that knows nothing of the registry, and says so without reading which",
        result: "exported",
        mended: true,
        attempt: async (bench) => {
            await bench.put(
                "docker-credential-osxkeychain",
                "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n",
            );
            await bench.put("config.json", { credsStore: "osxkeychain" });
            const env = { DOCKER_CONFIG: bench.directory, PATH: bench.directory };
            await exportsWithLogin(bench, (realm) => [`Bearer realm="${realm}"`], "Bearer tok", { env });
            assert.deepEqual(bench.notes, []);
        },
    },
    {
        report: "google/containerregistry#144",
        failed: '`Unsupported entry in "auth" section of Docker config: {}`',
        input: "an entry `{}` beside the helper that has the login",
        result: "exported",
        attempt: async (bench) => {
            await bench.put("docker-credential-test", '#!/bin/sh\necho \'{"Username":"user","Secret":"secret"}\'\n');
            await exportsWithFile(bench, "config.json", { credsStore: "test", auths: { [bench.registry.host]: {} } });
        },
    },
    {
        report: "kubernetes/kubernetes#3813",
        failed: "a login stored as `https://quay.io/v1/` is not found for `quay.io/foo/bar`",
        input: "the key `https://HOST/v1/`",
        result: "exported",
        attempt: (bench) =>
            exportsWithFile(bench, "config.json", { auths: { [`https://${bench.registry.host}/v1/`]: entry } }),
    },
    {
        report: "moby/moby#30779",
        failed: "a login with a path is stored, and not used",
        input: "the key `https://HOST/some/path`, which Docker takes for its host",
        result: "exported",
        mended: true,
        attempt: (bench) =>
            exportsWithFile(bench, "config.json", { auths: { [`https://${bench.registry.host}/some/path`]: entry } }),
    },
    {
        report: "kurtosis-tech/kurtosis#2937",
        failed: "a login stored as `ghcr.io` is not found for `https://ghcr.io`",
        input: "the key `HOST`",
        result: "exported",
        attempt: (bench) => exportsWithFile(bench, "config.json", { auths: { [bench.registry.host]: entry } }),
    },
    {
        report: "podman-container-tools/buildah#5333",
        failed: "where the login of `podman login` is, without `XDG_RUNTIME_DIR`",
        input: "an environment without it",
        result: "looked for in `/run/containers/UID/auth.json`",
        mended: true,
        attempt: () => {
            assert.ok(loginFiles({}).includes(`/run/containers/${process.getuid?.() ?? 0}/auth.json`));
        },
    },
    {
        report: "podman-container-tools/podman#26189",
        failed: "a login in `XDG_CONFIG_HOME`, which outlives a reboot",
        input: "`$XDG_CONFIG_HOME/auth.json` in the folder `containers`",
        result: "looked for there",
        mended: true,
        attempt: () => {
            assert.ok(loginFiles({ XDG_CONFIG_HOME: "/config" }).includes("/config/containers/auth.json"));
        },
    },
    {
        report: "docker/docs#8191",
        failed: "`NO_PROXY=192.168.0.0/24` is not heeded",
        input: "the same for `https://192.168.0.2:5000`",
        result: "asked directly",
        attempt: () => {
            const env = { HTTPS_PROXY: "http://proxy.example.com:80", NO_PROXY: "localhost,127.0.0.1,192.168.0.0/24" };
            assert.equal(proxyFor(new URL("https://192.168.0.2:5000"), env), undefined);
        },
    },
    {
        report: "docker/for-mac#5844",
        failed: "`no_proxy=….dev.example.com` is not heeded",
        input: "the same for `https://registry.dev.example.com`, and a proxy without a scheme",
        result: "asked directly; others through the proxy",
        attempt: () => {
            const env = { https_proxy: "proxy.example.com:81", no_proxy: "localhost,172.16.0.0/12,.dev.example.com" };
            assert.equal(proxyFor(new URL("https://registry.dev.example.com"), env), undefined);
            assert.equal(proxyFor(new URL("https://registry-1.docker.io"), env)?.host, "proxy.example.com:81");
        },
    },
    {
        report: "minishift/minishift#2283",
        failed: "a proxy whose password has a `#`",
        input: "`http://username:HashTag#Password@proxy.company.com:8080`",
        result: ["InvalidInput", 'HTTPS_PROXY is "http://…@proxy.company.com:8080": expected'],
        mended: true,
        attempt: () =>
            proxyFor(new URL("https://a.io"), {
                HTTPS_PROXY: "http://username:HashTag#Password@proxy.company.com:8080",
            }),
    },
    {
        report: "distribution/distribution#1874",
        failed: "`server gave HTTP response to HTTPS client`",
        input: "TLS spoken to a registry that has none",
        result: ["ExportFailed", "No TLS is spoken there; a registry that has none is read with --insecure."],
        mended: true,
        attempt: async ({ registry }) => {
            const { signal } = new AbortController();
            const client = createHttpClient({ env: {}, concurrency: 1, idleTimeoutMs: 1000, signal });
            await client.send({ url: new URL(`https://${registry.host}/v2/`), headers: {} }).finally(client.close);
        },
    },
    {
        report: "getwud/wud#227",
        failed: "`unable to verify the first certificate`: an authority of one's own",
        input: "a certificate that nobody here has signed",
        result: ["ExportFailed", "name the file with its certificate in NODE_EXTRA_CA_CERTS"],
        attempt: () => {
            const cause = Object.assign(new Error("unable to verify the first certificate"), {
                code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            });
            throw networkError(cause, new URL("https://registry.example.com"));
        },
    },
];

/** The rows of the page. */
export function reportRows(): string[][] {
    return reports.map(({ report, failed, input, result, mended }) => {
        const [repository = "", number = ""] = report.split("#");
        const what = typeof result === "string" ? result : `\`${result[0]}\`: “${result[1]}”`;
        const link = `[${report}](https://github.com/${repository}/issues/${number})`;
        return [link, failed, input, `${what}${mended ? " (mended)" : ""}`];
    });
}
