import * as assert from "node:assert/strict";
import { text as textOf } from "node:stream/consumers";
import { extract, pack } from "tar-stream";
import * as fc from "fast-check";
import { parseReference } from "../../../contract/image";
import type { Platform } from "../../../contract/platform";
import type { ImageDocument, ResolvedImage } from "../../../exporter/registry/image";
import { type Descriptor, parseManifest } from "../../../exporter/registry/manifest";
import { type ArchivePlan, blobName, planArchive, recordedImages } from "../../../exporter/archive/plan";
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
    return { name, documents: [document(root), ...rest.map(document)], configs: new Map() };
}

/** The archive's bytes, with blobs out of the repository. */
function bytesOf(plan: ArchivePlan, repository: Repository): Buffer {
    const pieces = plan.segments.map((segment) =>
        "bytes" in segment ? segment.bytes : (repository.blobs.get(segment.digest) ?? assert.fail(segment.digest)),
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
        const kind = file.endsWith("/")
            ? { type: "directory" as const, mode: 0o755 }
            : { size: content.length, mode: 0o644 };
        writer.entry({ name: file, mtime: new Date(0), ...kind }, content);
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
            { maxLength: 12 },
        );
        const family = fc.constantFrom<Family>("oci", "docker");
        await fc.assert(
            fc.asyncProperty(contents, family, async (texts, kind) => {
                const repository = emptyRepository("app");
                const root = addImage(repository, { layers: texts.map(layer), family: kind });
                const plan = planArchive([resolved(repository, root)]);
                const tar = bytesOf(plan, repository);
                assert.equal(tar.length, plan.sizeBytes);
                const files = await filesOf(tar);
                const contentOf = ([file, text]: [string, string]): [string, Buffer] => {
                    const digest = file.replace("blobs/sha256/", "sha256:");
                    const known = repository.blobs.get(digest) ?? repository.manifests.get(digest)?.bytes;
                    return [file, known ?? Buffer.from(text)];
                };
                assert.deepEqual(tar, await referenceTar(files.map(contentOf)));
                for (const file of plan.files.filter((each) => each.name.startsWith("blobs/sha256/"))) {
                    const bytes = tar.subarray(file.offset, file.offset + file.sizeBytes);
                    if (file.sizeBytes > 0) assert.equal(blobName(digestOf(bytes)), file.name);
                }
            }),
            { seed: 1, numRuns: 100 },
        );
    });

    it("is an OCI layout and a docker archive at once", async () => {
        const repository = emptyRepository("app");
        const layers = [layer("one"), layer("two")];
        const root = addImage(repository, { layers });
        const files = await filesOf(bytesOf(planArchive([resolved(repository, root)]), repository));
        const path = (digest: string): string => `blobs/sha256/${digest.slice(7)}`;
        const [config] = repository.blobs.keys();
        const layerPaths = layers.map(({ bytes }) => path(digestOf(bytes)));

        assert.deepEqual(
            files.map(([file]) => file),
            [
                "oci-layout",
                "index.json",
                "manifest.json",
                "blobs/",
                "blobs/sha256/",
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
                    annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1.2" },
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
        const plan = planArchive([resolved(repository, root)]);
        assert.equal(plan.files.length, 5 + 2 + 2); // two documents, two layers
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
            bytesOf(planArchive([{ name: untagged, documents, configs: new Map() }]), repository),
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
        const plan = planArchive([resolved(repository, index, ...manifest.manifests)]);
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

    describe("names for Docker", () => {
        /** The tags that the images of an index get; `none` for those without. */
        function tagsOf(tag: string, platforms: readonly (Platform | undefined)[]): string[] {
            const repository = emptyRepository("app");
            const documents = platforms.map((platform, at): ImageDocument => {
                const { mediaType, digest, size } = addImage(repository, { layers: [layer(at.toString())] });
                const descriptor = { mediaType, digest, size, ...(platform && { platform }) };
                return documentOf(repository, descriptor);
            });
            const root = documentOf(
                repository,
                addIndex(
                    repository,
                    documents.map((each) => each.descriptor),
                ),
            );
            const [base] = name.split(":");
            const image = { name: `${base}:${tag}`, configs: new Map() };
            const { files } = planArchive([{ ...image, documents: [root, ...documents] }]);
            const content = files.find((file) => file.name === "manifest.json")?.content;
            assert.ok(content && "bytes" in content);
            const images = JSON.parse(Buffer.from(content.bytes).toString()) as { RepoTags: string[] | null }[];
            return images.map(({ RepoTags }) => {
                if (RepoTags === null) return "none";
                const reference = parseReference(RepoTags.join());
                assert.equal(`${reference.registry}/${reference.repository}`, base);
                return reference.tag ?? "none";
            });
        }
        const linux = (architecture: string, variant?: string): Platform => ({
            os: "linux",
            architecture,
            ...(variant !== undefined && { variant }),
        });

        it("are the tag for linux/amd64, else for the first, and the tag with the platform for the others", () => {
            const arms = [linux("arm64", "v8"), linux("arm", "v7")];
            assert.deepEqual(tagsOf("1", [...arms, linux("amd64", "v1"), linux("amd64", "v2")]), [
                "1-linux-arm64-v8",
                "1-linux-arm-v7",
                "1",
                "1-linux-amd64-v2",
            ]);
            assert.deepEqual(tagsOf("1", arms), ["1", "1-linux-arm-v7"]);
        });

        it("cut the tag and not the platform where there is no room for both", () => {
            const images = [linux("amd64"), linux("arm64"), linux("arm", "v7")];
            for (const length of [118, 128]) {
                const tag = "t".repeat(length);
                const [first, second = "", third = ""] = tagsOf(tag, images);
                assert.equal(first, tag);
                assert.match(second, /^t+-linux-arm64-[0-9a-f]{12}$/);
                assert.match(third, /^t+-linux-arm-v7-[0-9a-f]{12}$/);
                assert.deepEqual([second.length, third.length], [128, 128]);
            }
            const [, second] = tagsOf("t".repeat(116), images);
            assert.equal(second, `${"t".repeat(116)}-linux-arm64`);
        });

        it("tell images of one platform apart, and those of a strange one or of none", () => {
            const windows = (osVersion: string): Platform => ({ os: "windows", architecture: "amd64", osVersion });
            const [first, second = ""] = tagsOf("1", [windows("10.0.17763.1"), windows("10.0.20348.1")]);
            assert.deepEqual([first, second], ["1", "1-windows-amd64"]);
            const same = tagsOf("1", [linux("amd64"), linux("amd64"), linux("amd64")]);
            assert.deepEqual(same.slice(0, 2), ["1", "1-linux-amd64"]);
            assert.match(same[2] ?? "", /^1-linux-amd64-[0-9a-f]{12}$/);
            const strange = [linux("amd64"), linux("ARM.64"), linux("x..y"), linux("a".repeat(100)), undefined];
            for (const tag of tagsOf("1", strange).slice(1)) assert.match(tag, /^1-(?:linux-x\.\.y|[0-9a-f]{12})$/);
        });

        it("are different and valid for any index", () => {
            const word = fc.oneof(
                fc.constantFrom("linux", "amd64", "arm", "v7", "arm-v7"),
                fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/),
            );
            const platform = fc.record(
                {
                    os: fc.constantFrom("linux", "windows", "Strange.OS"),
                    architecture: word,
                    variant: word,
                    osVersion: word,
                },
                { requiredKeys: ["os", "architecture"] },
            );
            const offered = fc.array(fc.option(platform, { nil: undefined }), { minLength: 1, maxLength: 8 });
            const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/);
            fc.assert(
                fc.property(fc.oneof(tag, fc.constant("t".repeat(128))), offered, (asked, platforms) => {
                    const tags = tagsOf(asked, platforms);
                    assert.ok(!tags.includes("none") || asked === "none");
                    assert.equal(new Set(tags).size, tags.length, tags.join(" "));
                    assert.equal(tags.filter((each) => each === asked).length, 1);
                    assert.deepEqual(tagsOf(asked, platforms), tags);
                }),
                { seed: 1, numRuns: 300 },
            );
        });
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
        const config = { ...huge, mediaType: mediaTypes.oci.config, digest: digestOf(Buffer.from("c")), size: 10 };
        const document: ImageDocument = {
            descriptor: { ...config, mediaType: mediaTypes.oci.manifest, digest: digestOf(Buffer.from("m")) },
            bytes: Buffer.alloc(10),
            manifest: { kind: "image", mediaType: mediaTypes.oci.manifest, config, layers: [huge, ...layers] },
        };
        const plan = planArchive([{ name, documents: [document], configs: new Map() }]);
        assert.equal(
            plan.sizeBytes,
            plan.segments.reduce((sum, { length }) => sum + length, 0),
        );
        const [{ layers: places } = assert.fail()] = recordedImages(
            { name, documents: [document], configs: new Map() },
            plan,
        );
        assert.equal(places?.length, 500);
        assert.deepEqual(new Set(places.map(({ offset }) => (offset ?? assert.fail()) % 512)), new Set([0]));
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
        assert.throws(() => planArchive([{ ...image, documents }]), { name: "InvalidInput", message: /size/ });
    });
});
