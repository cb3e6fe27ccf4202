import * as assert from "node:assert/strict";
import type { RequestedImage } from "../../contract/request";
import { setLimit } from "../../contract/set";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import { addBlob, addImage, addManifest, digestOf, emptyRepository, fileLayer, mediaTypes } from "./support/images";
import { quickRetries } from "./support/quick";
import { verifyObject } from "./support/verifyExport";

const shared = fileLayer("shared", Buffer.alloc(3000, "s"));
const own = (name: string) => fileLayer(name, Buffer.from(name));

describe("a hostile set", () => {
    const app = emptyRepository("app");
    const other = emptyRepository("team/other");
    let registry: FakeRegistry;
    let second: FakeRegistry;
    let s3: FakeS3;

    beforeEach(async () => {
        for (const { blobs, manifests, tags } of [app, other]) {
            for (const each of [blobs, manifests, tags]) each.clear();
        }
        for (let at = 0; at < 20; at++) addImage(app, { layers: [shared, own(`${at}`)], tag: `v${at}` });
        addImage(other, { layers: [shared, own("other")], tag: "1" });
        [registry, second] = await Promise.all([
            startRegistry({ repository: app, others: [other] }),
            startRegistry({ repository: other, login: "basic" }),
        ]);
        s3 = await startS3();
    });
    afterEach(() => Promise.all([registry, second, s3].map((server) => server.close())));

    const uri = (name: string) => `${registry.host}/${name}`;
    const many = () => Array.from({ length: 20 }, (_, at) => uri(`app:v${at}`));
    const run = (image: readonly RequestedImage[], options: Partial<ExportOptions> = {}) =>
        exportImage({
            image,
            destination: "s3://bucket/set.tar",
            env: s3.env,
            retryPolicy: quickRetries,
            credentials: () => Promise.resolve(undefined),
            ...options,
        });

    /** Adds an image of the shared layer with another descriptor of it. @returns the digest of its configuration */
    function addLying(changes: { size?: number; mediaType?: string }): string {
        const { manifest, config: type, layer } = mediaTypes.oci;
        const rootfs = { type: "layers", diff_ids: [shared.diffId] };
        const text = JSON.stringify({ os: "linux", architecture: "amd64", rootfs, author: "bad" });
        const config = addBlob(app, Buffer.from(text), type);
        const layers = [{ ...addBlob(app, shared.bytes, layer), ...changes }];
        addManifest(app, { schemaVersion: 2, mediaType: manifest, config, layers }, manifest, "bad");
        return config.digest;
    }

    /** What is wrong with one image among many: how it comes about, and what the export ends in. */
    const bad: Readonly<Record<string, [() => unknown, string, RegExp]>> = {
        "is not there": [() => undefined, "ImageNotFound", /^1 of the 21 images are missing: \S+\/app:bad\. /],
        "is of another platform": [
            () => addImage(app, { layers: [shared], os: "windows", tag: "bad" }),
            "ImageNotFound",
            /^1 of the 21 images are missing: \S+\/app:bad\. .*windows/,
        ],
        "is no image": [
            () => addManifest(app, { schemaVersion: 2, config: "?" }, mediaTypes.oci.manifest, "bad"),
            "InvalidInput",
            /\/app:bad: /,
        ],
        "has a manifest of another digest": [
            () => {
                addImage(app, { layers: [shared], tag: "bad" });
                app.tags.set("bad", `sha256:${"0".repeat(64)}`);
                app.manifests.set(`sha256:${"0".repeat(64)}`, [...app.manifests.values()][0] ?? assert.fail());
            },
            "DigestMismatch",
            /\/app:bad: .*expected sha256:0000/,
        ],
        "has a configuration of another content": [
            () => {
                const digest = addLying({});
                const text = app.blobs.get(digest)?.toString() ?? "";
                app.blobs.set(digest, Buffer.from(text.replace("bad", "bat")));
            },
            "DigestMismatch",
            /\/app:bad: The configuration /,
        ],
        "gives a layer that others have another size": [
            () => {
                addLying({ size: shared.bytes.length - 1 });
            },
            "InvalidInput",
            /the size/,
        ],
        "has a foreign layer": [
            () => {
                addLying({ mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" });
                app.blobs.delete(digestOf(shared.bytes));
            },
            "InvalidInput",
            /\/app:bad: The layer .* is a foreign one/,
        ],
        "has a layer that is not there": [
            () => {
                addImage(app, { layers: [own("lost")], tag: "bad" });
                app.blobs.delete(digestOf(own("lost").bytes));
            },
            "ImageNotFound",
            /\/app, blob sha256:/,
        ],
        "has a layer of another content": [
            () => {
                const lost = own("lost");
                addImage(app, { layers: [lost], tag: "bad" });
                app.blobs.set(digestOf(lost.bytes), Buffer.alloc(lost.bytes.length));
            },
            "DigestMismatch",
            /^The blob sha256:/,
        ],
    };
    for (const [what, [make, name, message]] of Object.entries(bad)) {
        it(`fails as a whole where one of many ${what}`, async () => {
            make();
            await assert.rejects(run([...many(), uri("app:bad")]), { name, message });
            assert.deepEqual([s3.objects.size, s3.uploads.size], [0, 0]);
        });
    }

    it("fails with the image whose registry refuses it", async () => {
        await assert.rejects(run([...many(), `${second.host}/team/other:1`]), {
            name: "AccessDenied",
            message: new RegExp(`^${second.host}/team/other:1: `),
        });
        const wrong = [uri("no-such:1"), uri("app:v1")];
        await assert.rejects(run(wrong), { name: "ImageNotFound", message: /missing: \S+no-such:1\. / });
        assert.deepEqual([s3.objects.size, s3.uploads.size], [0, 0]);
    });

    it("does not take a login to another registry", async () => {
        registry.options.login = "bearer";
        const asked = new Set<string>();
        const image = [uri("app:v1"), uri("team/other:1"), `${second.host}/team/other:1`];
        const logins = { [registry.host]: { username: "user", password: "secret" } };
        const credentials = (host: string, repository: string) => {
            asked.add(`${host}/${repository}`);
            return Promise.resolve(logins[host]);
        };
        await assert.rejects(run(image, { credentials }), { name: "AccessDenied" });
        assert.deepEqual([...asked].sort(), image.map((each) => each.replace(/:\w+$/, "")).sort());
        assert.ok(registry.requests.some(({ authorization }) => authorization?.startsWith("Bearer ")));
        const sent = second.requests.flatMap(({ authorization }) => authorization ?? []);
        assert.deepEqual([second.requests.length > 0, sent], [true, []]);
    });

    it("takes each blob from a repository that has the image", async () => {
        // Another image of the set has the layer, and its repository has it.
        other.blobs.delete(digestOf(shared.bytes));
        await run([uri("app:v1"), uri("team/other:1")]);
        assert.deepEqual((await verifyObject(s3, "set.tar")).problems, []);
        const read = registry.requests.filter(({ url }) => url.endsWith(digestOf(shared.bytes)));
        assert.deepEqual([...new Set(read.map(({ url }) => url.split("/blobs/")[0]))], ["/v2/app"]);
    });

    it("is refused where its documents are more than the memory is for, before all are read", async () => {
        const count = 100;
        for (let at = 0; at < count; at++) {
            addImage(app, { layers: [shared], tag: `huge${at}`, history: "x".repeat(1_000_000) + at.toString() });
        }
        const images = Array.from({ length: count }, (_, at) => uri(`app:huge${at}`));
        await assert.rejects(run(images), { name: "InvalidInput", message: /^\S+huge\d+: .*Make two sets of it\.$/ });
        const read = registry.requests.filter(({ url }) => url.includes("/manifests/huge")).length;
        assert.ok(read < count / 2, `${read} of ${count}`);
        assert.equal(s3.objects.size, 0);
        await run(images.slice(0, 1));
    });

    it("is refused where it has too many images, though each be named often", async () => {
        const images = Array.from({ length: setLimit + 1 }, () => uri("app:v1"));
        await assert.rejects(run(images), { name: "InvalidInput", message: /1 to 500 images, and this one has 501/ });
        await run(images.slice(1));
        assert.deepEqual((await verifyObject(s3, "set.tar")).problems, []);
    });
});
