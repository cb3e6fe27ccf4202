import { buffer } from "node:stream/consumers";
import { type Header, pack } from "tar-stream";
import type { RecordedImage } from "../../../contract/record";
import { digestOf, randomBytesOf } from "./images";

/** Layouts of `docker save`: before Docker 25 a folder a layer, since then an image layout besides. */
export type DockerLayout = "folders" | "blobs";

const layers = [randomBytesOf(3000, 1), randomBytesOf(1024, 2)] as const;
const diffIds = [layers[0], layers[1], layers[0]].map(digestOf);
const config = json({
    os: "linux",
    architecture: "arm64",
    variant: "v8",
    rootfs: { type: "layers", diff_ids: diffIds },
});

/** The image of {@link dockerSave}, as a record of engine `docker` has it. */
export const savedImage: RecordedImage = {
    platform: "linux/arm64/v8",
    configDigest: digestOf(config),
    diffIds,
    layers: null,
};

/** An archive as `docker save` writes it, with two layers; the first of them is in it twice. */
export async function dockerSave(layout: DockerLayout, name = "app:1"): Promise<Buffer> {
    const files = layout === "folders" ? folders(config, layers, name) : blobs(config, layers, name);
    const tar = pack();
    for (const [name, content, more = {}] of files) {
        const isFolder = name.endsWith("/");
        tar.entry({ name, type: isFolder ? "directory" : "file", ...more }, content);
    }
    tar.finalize();
    return buffer(tar);
}

type File = readonly [name: string, content: Buffer, more?: Partial<Header>];
const none = Buffer.alloc(0);

function folders(config: Buffer, [first, second]: readonly [Buffer, Buffer], name: string): File[] {
    const [one, two, three] = ["1", "2", "3"].map((digit) => digit.repeat(64));
    const configName = `${hex(config)}.json`;
    const layer = (id = "", content: Buffer = none, more: Partial<Header> = {}): File[] => [
        [`${id}/`, none],
        [`${id}/VERSION`, Buffer.from("1.0")],
        [`${id}/json`, json({ id })],
        [`${id}/layer.tar`, content, more],
    ];
    return [
        ...layer(one, first),
        ...layer(two, second),
        ...layer(three, none, { type: "symlink", linkname: `../${one ?? ""}/layer.tar` }),
        [configName, config],
        [
            "manifest.json",
            manifestJson(
                configName,
                [one, two, three].map((id) => `${id ?? ""}/layer.tar`),
                name,
            ),
        ],
        ["repositories", json({ app: { "1": three } })],
    ];
}

function blobs(config: Buffer, layers: readonly [Buffer, Buffer], name: string): File[] {
    const [first, second] = layers;
    const descriptor = (bytes: Buffer, mediaType: string) => ({
        mediaType: `application/vnd.oci.image.${mediaType}`,
        digest: digestOf(bytes),
        size: bytes.length,
    });
    const manifest = json({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: descriptor(config, "config.v1+json"),
        layers: [first, second, first].map((layer) => descriptor(layer, "layer.v1.tar")),
    });
    const index = json({ schemaVersion: 2, manifests: [descriptor(manifest, "manifest.v1+json")] });
    const path = (bytes: Buffer) => `blobs/sha256/${hex(bytes)}`;
    return [
        ["blobs/", none],
        ["blobs/sha256/", none],
        ...[config, ...layers, manifest].map((bytes): File => [path(bytes), bytes]),
        ["index.json", index],
        ["manifest.json", manifestJson(path(config), [first, second, first].map(path), name)],
        ["oci-layout", json({ imageLayoutVersion: "1.0.0" })],
    ];
}

function manifestJson(Config: string, Layers: readonly string[], name: string): Buffer {
    return json([{ Config, RepoTags: [name], Layers }]);
}

function json(value: unknown): Buffer {
    return Buffer.from(JSON.stringify(value));
}

function hex(bytes: Buffer): string {
    return digestOf(bytes).replace("sha256:", "");
}
