import * as assert from "node:assert/strict";
import { text as textOf } from "node:stream/consumers";
import { extract, pack } from "tar-stream";
import * as fc from "fast-check";
import type { ImageDocument, ResolvedImage } from "../../../exporter/registry/image";
import { type Descriptor, parseManifest } from "../../../exporter/registry/manifest";
import { type ArchivePlan, planArchive } from "../../../exporter/archive/plan";
import {
    addImage,
    addIndex,
    digestOf,
    emptyRepository,
    type Family,
    mediaTypes,
    type Repository,
} from "../support/images";

const name = "registry.example/team/app:1.2";
const layer = (text: string) => ({ diffId: digestOf(Buffer.from(`diff ${text}`)), bytes: Buffer.from(text) });

function documentOf(repository: Repository, descriptor: Descriptor): ImageDocument {
    const { bytes, mediaType } = repository.manifests.get(descriptor.digest) ?? assert.fail("no manifest");
    return { descriptor, bytes, manifest: parseManifest(bytes, mediaType) };
}

function resolved(repository: Repository, root: Descriptor, ...rest: Descriptor[]): ResolvedImage {
    const document = (descriptor: Descriptor): ImageDocument => documentOf(repository, descriptor);
    return { name, tag: "1.2", documents: [document(root), ...rest.map(document)], configs: new Map() };
}

/** The archive's bytes, with blobs out of the repository. */
function bytesOf(plan: ArchivePlan, repository: Repository): Buffer {
    const pieces = plan.segments.map((segment) =>
        "bytes" in segment
            ? segment.bytes
            : (repository.blobs.get(segment.digest) ?? assert.fail(segment.digest)),
    );
    return Buffer.concat(pieces);
}

/** Reads a tar with another implementation. */
async function filesOf(tar: Buffer): Promise<[string, string][]> {
    const reader = extract();
    reader.end(tar);
    const files: [string, string][] = [];
    for await (const entry of reader) {
        files.push([entry.header.name, await textOf(entry)]);
    }
    return files;
}

/** Writes the same files with another implementation. */
async function referenceTar(files: readonly [string, Buffer][]): Promise<Buffer> {
    const writer = pack();
    for (const [file, content] of files) {
        writer.entry({ name: file, mode: 0o644, mtime: new Date(0), size: content.length }, content);
    }
    writer.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of writer as AsyncIterable<Buffer>) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

const parse = (files: readonly [string, string][], wanted: string): unknown =>
    JSON.parse(files.find(([file]) => file === wanted)?.[1] ?? "null");

describe("planArchive", () => {
    it("plans what a reference tar writer makes, for any image", async () => {
        const contents = fc.array(
            fc.oneof(fc.string({ maxLength: 2000 }), fc.constantFrom("", "same", "x".repeat(512))),
            {
                maxLength: 12,
            },
        );
        const family = fc.constantFrom<Family>("oci", "docker");
        await fc.assert(
            fc.asyncProperty(contents, family, async (texts, kind) => {
                const repository = emptyRepository("app");
                const root = addImage(repository, { layers: texts.map(layer), family: kind });
                const plan = planArchive(resolved(repository, root));
                const tar = bytesOf(plan, repository);
                assert.equal(tar.length, plan.sizeBytes);
                const files = await filesOf(tar);
                const contentOf = ([file, text]: [string, string]): [string, Buffer] => {
                    const digest = file.replace("blobs/sha256/", "sha256:");
                    const known = repository.blobs.get(digest) ?? repository.manifests.get(digest)?.bytes;
                    return [file, known ?? Buffer.from(text)];
                };
                assert.deepEqual(tar, await referenceTar(files.map(contentOf)));
                for (const { digest, offset, sizeBytes } of plan.blobs) {
                    assert.equal(digestOf(tar.subarray(offset, offset + sizeBytes)), digest);
                }
            }),
            { seed: 1, numRuns: 100 },
        );
    });

    it("is an OCI layout and a docker archive at once", async () => {
        const repository = emptyRepository("app");
        const layers = [layer("one"), layer("two")];
        const root = addImage(repository, { layers });
        const files = await filesOf(bytesOf(planArchive(resolved(repository, root)), repository));
        const path = (digest: string): string => `blobs/sha256/${digest.slice(7)}`;
        const [config] = repository.blobs.keys();
        const layerPaths = layers.map(({ bytes }) => path(digestOf(bytes)));

        assert.deepEqual(
            files.map(([file]) => file),
            [
                "oci-layout",
                "index.json",
                "manifest.json",
                path(root.digest),
                path(config ?? ""),
                ...layerPaths,
            ],
        );
        assert.deepEqual(parse(files, "oci-layout"), { imageLayoutVersion: "1.0.0" });
        assert.deepEqual(parse(files, "index.json"), {
            schemaVersion: 2,
            mediaType: mediaTypes.oci.index,
            manifests: [
                {
                    mediaType: root.mediaType,
                    digest: root.digest,
                    size: root.size,
                    annotations: {
                        "io.containerd.image.name": name,
                        "org.opencontainers.image.ref.name": "1.2",
                    },
                },
            ],
        });
        assert.deepEqual(parse(files, "manifest.json"), [
            { Config: path(config ?? ""), RepoTags: [name], Layers: layerPaths },
        ]);
    });

    it("holds a blob once and lists it as often as the image does", async () => {
        const repository = emptyRepository("app");
        const root = addImage(repository, { layers: [layer("same"), layer("other"), layer("same")] });
        const plan = planArchive(resolved(repository, root));
        assert.equal(plan.layers.length, 2);
        const files = await filesOf(bytesOf(plan, repository));
        const [image] = parse(files, "manifest.json") as { Layers: string[] }[];
        assert.equal(image?.Layers.length, 3);
    });

    it("gives an image without a tag no name in Docker, and its digest in containerd", async () => {
        const repository = emptyRepository("app");
        const root = addImage(repository, { layers: [layer("one")] });
        const { documents } = resolved(repository, root);
        const untagged = `registry.example/app@${root.digest}`;
        const files = await filesOf(
            bytesOf(planArchive({ name: untagged, documents, configs: new Map() }), repository),
        );
        const [image] = parse(files, "manifest.json") as { RepoTags: unknown }[];
        assert.equal(image?.RepoTags, null);
        const { manifests } = parse(files, "index.json") as { manifests: { annotations: object }[] };
        assert.deepEqual(manifests[0]?.annotations, { "io.containerd.image.name": untagged });
    });

    it("keeps an index with everything in it, and names for Docker what Docker can load", async () => {
        const repository = emptyRepository("app");
        const arm = addImage(repository, { layers: [layer("arm")], architecture: "arm", variant: "v7" });
        const amd = addImage(repository, { layers: [layer("amd")] });
        const windows = addImage(repository, { layers: [layer("win")], os: "windows" });
        const index = addIndex(repository, [arm, amd, windows], { attestation: true });
        const { manifest } = documentOf(repository, index);
        assert.ok(manifest.kind === "index");
        const plan = planArchive(resolved(repository, index, ...manifest.manifests));
        const files = await filesOf(bytesOf(plan, repository));

        for (const digest of [...repository.blobs.keys(), ...repository.manifests.keys()]) {
            assert.ok(
                files.some(([file]) => file === `blobs/sha256/${digest.slice(7)}`),
                `${digest} is missing`,
            );
        }
        const images = parse(files, "manifest.json") as { RepoTags: string[] }[];
        assert.deepEqual(
            images.map(({ RepoTags }) => RepoTags),
            [[`${name}-linux-arm-v7`], [name]],
        );
    });

    it("plans a layer above 8 GiB and 500 layers without reading any", () => {
        const huge: Descriptor = {
            mediaType: mediaTypes.oci.layer,
            digest: digestOf(Buffer.from("h")),
            size: 20 * 1024 ** 3,
        };
        const layers = Array.from({ length: 499 }, (_, at) => ({
            ...huge,
            digest: digestOf(Buffer.from(at.toString())),
            size: at + 1,
        }));
        const config = {
            ...huge,
            mediaType: mediaTypes.oci.config,
            digest: digestOf(Buffer.from("c")),
            size: 10,
        };
        const document: ImageDocument = {
            descriptor: { ...config, mediaType: mediaTypes.oci.manifest, digest: digestOf(Buffer.from("m")) },
            bytes: Buffer.alloc(10),
            manifest: {
                kind: "image",
                mediaType: mediaTypes.oci.manifest,
                config,
                layers: [huge, ...layers],
            },
        };
        const plan = planArchive({ name, documents: [document], configs: new Map() });
        assert.equal(plan.layers.length, 500);
        assert.equal(
            plan.sizeBytes,
            plan.segments.reduce((sum, { length }) => sum + length, 0),
        );
        const places = plan.layers.map(({ offset }) => offset % 512);
        assert.deepEqual(new Set(places), new Set([0]));
    });

    it("refuses descriptors that contradict each other", () => {
        const repository = emptyRepository("app");
        const root = addImage(repository, { layers: [layer("one")] });
        const image = resolved(repository, root);
        const { manifest } = image.documents[0];
        assert.ok(manifest.kind === "image");
        const [first = assert.fail()] = manifest.layers;
        const wrong = { ...manifest, layers: [first, { ...first, size: first.size + 1 }] };
        const documents: [ImageDocument] = [{ ...image.documents[0], manifest: wrong }];
        assert.throws(() => planArchive({ ...image, documents }), { name: "InvalidInput", message: /size/ });
    });
});
