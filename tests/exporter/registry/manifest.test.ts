import * as assert from "node:assert/strict";
import { parseConfig, parseManifest, selectPlatform } from "../../../exporter/registry/manifest";
import { parsePlatform, type Platform, platformText } from "../../../contract/platform";
import { mediaTypes } from "../support/images";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const text = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));

describe("parseManifest", () => {
    const config = { mediaType: mediaTypes.oci.config, digest: digest("1"), size: 2 };

    it("reads a manifest that names its own type", () => {
        const manifest = parseManifest(
            text({ schemaVersion: 2, mediaType: mediaTypes.docker.manifest, config, layers: [config] }),
            "text/plain",
        );
        assert.deepEqual(manifest, {
            kind: "image",
            mediaType: mediaTypes.docker.manifest,
            config,
            layers: [config],
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

    const refused: [string, Buffer, string | undefined, RegExp][] = [
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

describe("selectPlatform", () => {
    const describePlatform = (platform: string): Platform => parsePlatform(platform) as Platform;
    const index = (...platforms: string[]) => ({
        kind: "index" as const,
        mediaType: mediaTypes.oci.index,
        manifests: platforms.map((platform, at) => ({
            mediaType: mediaTypes.oci.manifest,
            digest: digest(at.toString()),
            size: 1,
            platform: describePlatform(platform),
        })),
    });
    const cases: [string[], string, string][] = [
        [["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"],
        [["linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v6"],
        [["linux/arm/v6", "linux/arm/v7"], "linux/arm", "linux/arm/v7"],
        [["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"],
        [["linux/arm64"], "linux/arm64/v8", "linux/arm64"],
        [["linux/amd64/v3", "linux/amd64"], "linux/amd64", "linux/amd64"],
        [["linux/arm/v5"], "linux/arm", "linux/arm/v5"],
    ];
    for (const [available, request, expected] of cases) {
        it(`finds ${request} among ${available.join(", ")}`, () => {
            const { platform } = selectPlatform(index(...available), describePlatform(request));
            assert.equal(platform && platformText(platform), expected);
        });
    }

    it("says what there is when the platform is missing, and does not count attestations", () => {
        assert.throws(() => selectPlatform(index("linux/arm64", "unknown/unknown"), describePlatform("linux/amd64")), {
            name: "ImageNotFound",
            message: "The image has no platform linux/amd64. It has: linux/arm64.",
        });
    });
    it("does not take a newer variant than the one asked for", () => {
        assert.throws(() => selectPlatform(index("linux/arm/v7"), describePlatform("linux/arm/v6")), {
            name: "ImageNotFound",
        });
    });
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
