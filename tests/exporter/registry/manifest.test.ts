import * as assert from "node:assert/strict";
import { parseConfig, parseManifest } from "../../../exporter/registry/manifest";
import { digestOf, mediaTypes } from "../support/images";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const text = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));

describe("parseManifest", () => {
    const config = { mediaType: mediaTypes.oci.config, digest: digest("1"), size: 2 };

    it("reads a manifest that names its own type", () => {
        const manifest = parseManifest(
            text({ schemaVersion: 2, mediaType: mediaTypes.docker.manifest, config, layers: [config] }),
            "text/plain",
        );
        const read = { ...config, platform: undefined, annotations: undefined, data: undefined };
        assert.deepEqual(manifest, {
            kind: "image",
            mediaType: mediaTypes.docker.manifest,
            config: read,
            layers: [read],
            subject: undefined,
            artifactType: undefined,
            annotations: undefined,
        });
    });

    it("takes the type of an OCI document without one from the answer", () => {
        const manifest = parseManifest(
            text({ schemaVersion: 2, manifests: [config] }),
            `${mediaTypes.oci.index}; charset=x`,
        );
        assert.equal(manifest.kind, "index");
    });

    it("takes a list that is null or not there for an empty one", () => {
        for (const layers of [null, undefined]) {
            const manifest = parseManifest(text({ config, layers }), mediaTypes.oci.manifest);
            assert.deepEqual(manifest.kind === "image" && manifest.layers, []);
        }
        const index = parseManifest(text({ manifests: null }), mediaTypes.oci.index);
        assert.deepEqual(index.kind === "index" && index.manifests, []);
    });

    it("takes the word of the index before that of the answer", () => {
        const bytes = text({ config, layers: [] });
        const types = ["application/octet-stream", mediaTypes.oci.manifest, mediaTypes.docker.manifest];
        assert.equal(parseManifest(bytes, ...types).mediaType, mediaTypes.oci.manifest);
    });

    it("reads a blob that a descriptor carries", () => {
        const empty = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(Buffer.from("{}")), size: 2 };
        const manifest = parseManifest(text({ config: { ...empty, data: "e30=" } }), mediaTypes.oci.manifest);
        assert.equal(manifest.kind === "image" && manifest.config.data?.toString(), "{}");
    });

    /** A manifest whose first descriptor, or itself, has a name twice. */
    function double(name: string): Buffer {
        const once = JSON.stringify({ config, layers: [] });
        return Buffer.from(once.replace(`"${name}":`, `"${name}":0,"${name}":`));
    }

    const refused: [string, Buffer, string | undefined, RegExp][] = [
        ["a name that is there twice", double("layers"), mediaTypes.oci.manifest, /"layers" twice/],
        ["a double name deep within", double("size"), mediaTypes.oci.manifest, /"size" twice/],
        ["Layers", text({ config, layers: [], Layers: [config] }), mediaTypes.oci.manifest, /"Layers".*"layers"/],
        ["a long s", text({ config, layerſ: [config] }), mediaTypes.oci.manifest, /"layerſ".*"layers"/],
        ["Digest", text({ config: { ...config, Digest: digest("2") } }), mediaTypes.oci.manifest, /"Digest"/],
        [
            "an image that is an index too",
            text({ config, manifests: [config] }),
            mediaTypes.oci.manifest,
            /"manifests" too/,
        ],
        [
            "an index that is an image too",
            text({ layers: [config], manifests: [] }),
            mediaTypes.oci.index,
            /"layers" too/,
        ],
        ["data of another blob", text({ config: { ...config, data: "e30=" } }), mediaTypes.oci.manifest, /"data"/],
        [
            "words that no platform has",
            text({ manifests: [{ ...config, platform: { os: "linux", architecture: "a:b\n" } }] }),
            mediaTypes.oci.index,
            /"architecture" "a:b\\n"/,
        ],
        [
            "a build cache",
            text({ manifests: [{ ...config, mediaType: "application/vnd.buildkit.cacheconfig.v0" }] }),
            mediaTypes.oci.index,
            /build cache of BuildKit/,
        ],
        [
            "signed schema 1",
            text({ name: "a" }),
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            /schema 1.*skopeo copy/,
        ],
        ["a million values", Buffer.from(`[${"[],".repeat(600_000)}1]`), mediaTypes.oci.manifest, /more than 1000000/],
        ["schema 1", text({ schemaVersion: 1, fsLayers: [] }), undefined, /schema 1/],
        ["an unknown type", text({ schemaVersion: 2 }), "application/x", /application\/x/],
        ["what is not JSON", Buffer.from("<html>"), mediaTypes.oci.manifest, /not JSON/],
        ["a list", text([]), mediaTypes.oci.manifest, /not a JSON object/],
        ["layers that are no list", text({ config, layers: 1 }), mediaTypes.oci.manifest, /"layers"/],
        [
            "another digest",
            text({ config: { ...config, digest: "md5:1" }, layers: [] }),
            mediaTypes.oci.manifest,
            /md5:1/,
        ],
        ["a negative size", text({ config: { ...config, size: -1 }, layers: [] }), mediaTypes.oci.manifest, /size -1/],
    ];
    for (const [what, bytes, contentType, message] of refused) {
        it(`refuses ${what}`, () => {
            assert.throws(() => parseManifest(bytes, contentType), { name: "InvalidInput", message });
        });
    }
});

describe("parseConfig", () => {
    it("reads the platform and the digests of the unpacked layers", () => {
        const windows = { os: "windows", architecture: "amd64", "os.version": "10.0.20348.1" };
        assert.deepEqual(parseConfig(text({ ...windows, rootfs: { diff_ids: [digest("1")] } })), {
            platform: { os: "windows", architecture: "amd64", osVersion: "10.0.20348.1" },
            diffIds: [digest("1")],
        });
    });
    it("gives nothing for what is not there, or not as it has to be", () => {
        for (const config of [{}, { os: "linux", rootfs: { diff_ids: [1] } }, { architecture: "arm", rootfs: 1 }]) {
            assert.deepEqual(parseConfig(text(config)), { platform: undefined, diffIds: undefined });
        }
    });
});
