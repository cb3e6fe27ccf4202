/** What crafted archives are made of: a good image, another one to lead readers to, and tars whose headers can be anything. */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import type { ImageRecord } from "../../../contract/record";
import { paddingBytes, tarHeader, trailer } from "../../../exporter/archive/tar";
import { digestOf, fileLayer, mediaTypes } from "../support/images";

/** An entry of an archive, with what is changed of its header. */
export interface Entry {
    readonly name: string;
    readonly body: Buffer;
    readonly header?: ((block: Buffer) => void) | undefined;
}

interface Image {
    readonly layer: Buffer;
    readonly config: Buffer;
    readonly manifest: Buffer;
    readonly listed: { readonly Config: string; readonly RepoTags: string[]; readonly Layers: string[] };
}

/** The name of the good image. */
export const name = "127.0.0.1:5999/app:1";
const { oci } = mediaTypes;

/** A value as the bytes of a file. */
export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
/** The name of a blob's file. */
export const blobFile = (bytes: Buffer): string => digestOf(bytes).replace("sha256:", "blobs/sha256/");

/** A file. */
export function entry(file: string, body: unknown = Buffer.alloc(0), header?: Entry["header"]): Entry {
    return { name: file, body: Buffer.isBuffer(body) ? body : json(body), header };
}

/** A blob under its own name. */
export const blob = (bytes: Buffer): Entry => entry(blobFile(bytes), bytes);

/** What points to a blob. */
export function descriptor(bytes: Buffer, mediaType: string = oci.manifest) {
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function imageOf(content: string): Image {
    const { bytes: layer, diffId } = fileLayer(content, Buffer.from(content));
    const rootfs = { type: "layers", diff_ids: [diffId] };
    return image(layer, json({ architecture: "amd64", os: "linux", config: { Cmd: [content] }, rootfs }));
}

/** An image of one layer, with its manifest. */
export function image(layer: Buffer, config: Buffer): Image {
    const manifest = json({
        schemaVersion: 2,
        mediaType: oci.manifest,
        config: descriptor(config, oci.config),
        layers: [descriptor(layer, oci.layer)],
    });
    const listed = { Config: blobFile(config), RepoTags: [name], Layers: [blobFile(layer)] };
    return { layer, config, manifest, listed };
}

/** An `index.json` of these descriptors, which get the name of the image unless they have annotations. */
export function indexOf(...manifests: readonly (Buffer | object)[]) {
    const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1" };
    return {
        schemaVersion: 2,
        mediaType: oci.index,
        manifests: manifests.map((each) =>
            Buffer.isBuffer(each) ? { ...descriptor(each), annotations } : { annotations, ...each },
        ),
    };
}

/** The image of the record. */
export const good = imageOf("good");
/** The image that readers are led to. */
export const evil = imageOf("evil");

/** An archive as engine `stream` writes it. */
export function archiveOf({ layer, config, manifest, listed }: Image): Entry[] {
    return [
        entry("oci-layout", { imageLayoutVersion: "1.0.0" }),
        entry("index.json", indexOf(manifest)),
        entry("manifest.json", [listed]),
        entry("blobs/"),
        entry("blobs/sha256/"),
        ...[manifest, config, layer].map(blob),
    ];
}

/** The archive of the good image as engine `stream` writes it. */
export function goodEntries(): Entry[] {
    return archiveOf(good);
}

/** The archive of the good image as Docker before 25 writes it, with another configuration. */
export function oldEntries(config: string): Entry[] {
    return [
        entry("a/"),
        ...["a/VERSION", "a/json"].map((file) => entry(file, { id: "a" })),
        entry("a/layer.tar", gunzipSync(good.layer)),
        entry("manifest.json", [{ Config: config, RepoTags: [name], Layers: ["a/layer.tar"] }]),
    ];
}

/** The header with another type, and what a link leads to. */
export function withType(type: string, link = ""): (block: Buffer) => void {
    return (block) => {
        block.write(type, 156, "latin1");
        block.write(link, 157);
    };
}

/** Puts entries into a tar. */
export function tarOf(entries: readonly Entry[]): Buffer {
    return Buffer.concat([...entries.flatMap(blocksOf), trailer]);
}

function blocksOf({ name: file, body, header }: Entry): Uint8Array[] {
    const block = tarHeader(file, body.length);
    // A checksum that the change has written itself is left as it is.
    const checksum = block.toString("latin1", 148, 156);
    header?.(block);
    if (header && block.toString("latin1", 148, 156) === checksum) writeChecksum(block);
    return [block, body, Buffer.alloc(paddingBytes(body.length))];
}

/** Writes the checksum of a header, of bytes or of signed bytes as tar of Sun has it. */
export function writeChecksum(block: Buffer, isSigned = false): void {
    block.write("        ", 148);
    const sum = block.reduce((all, byte) => all + (isSigned && byte > 127 ? byte - 256 : byte), 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
}

/** An extended header, or another one of its kind. */
export function extended(records: readonly (readonly [string, string])[], type = "x"): Entry {
    const lines = records.map(([key, value]) => {
        const rest = ` ${key}=${value}\n`;
        return `${rest.length + String(rest.length + 2).length}${rest}`;
    });
    return entry("PaxHeader", Buffer.from(lines.join("")), withType(type));
}

/** The record of the good image over an archive. */
export function recordOf(bytes: Buffer): ImageRecord {
    const offset = tarOf(goodEntries()).length - trailer.length - good.layer.length - paddingBytes(good.layer.length);
    const { rootfs } = JSON.parse(good.config.toString()) as { rootfs: { diff_ids: string[] } };
    const layer = { digest: digestOf(good.layer), sizeBytes: good.layer.length, offset };
    return {
        schemaVersion: 1,
        layout: 1,
        engine: { name: "stream", version: "0.1.0" },
        imageUri: name,
        imageName: name,
        platform: "linux/amd64",
        imageDigest: digestOf(good.manifest),
        indexDigest: null,
        referrers: null,
        since: null,
        mergedFrom: null,
        images: [
            { platform: "linux/amd64", configDigest: digestOf(good.config), diffIds: rootfs.diff_ids, layers: [layer] },
        ],
        archive: {
            sha256: createHash("sha256").update(bytes).digest("hex"),
            sizeBytes: bytes.length,
            bucket: null,
            key: null,
            versionId: null,
        },
        signingKeyArn: null,
        executionId: null,
        buildId: null,
        time: "2026-01-01T00:00:00.000Z",
    };
}
