import { createHash } from "node:crypto";
import type { ExportRecord } from "../../../contract/record";
import { paddingBytes, tarHeader, trailer } from "../../../exporter/archive/tar";
import { digestOf, fileLayer, mediaTypes } from "../support/images";

/** An entry of an archive, with what is changed of its header. */
interface Entry {
    readonly name: string;
    readonly body: Buffer;
    readonly header?: (block: Buffer) => void;
}

/** An archive that leads some reader to another image than the one of its record, or that costs too much to read. */
export interface Crafted {
    readonly kind: string;
    /** Whether it is the size or the depth that is too much, whatever a record says. */
    readonly isCostly: boolean;
    readonly bytes: Buffer;
    /** A record that fits the archive in size and hash, and names the good image. */
    readonly record: ExportRecord;
}

const name = "127.0.0.1:5999/app:1";
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const blobFile = (bytes: Buffer): string => digestOf(bytes).replace("sha256:", "blobs/sha256/");
const entry = (file: string, body: unknown = Buffer.alloc(0)): Entry => ({
    name: file,
    body: Buffer.isBuffer(body) ? body : json(body),
});
const blob = (bytes: Buffer): Entry => entry(blobFile(bytes), bytes);

interface Image {
    readonly layer: Buffer;
    readonly config: Buffer;
    readonly manifest: Buffer;
    readonly listed: { readonly Config: string; readonly RepoTags: string[]; readonly Layers: string[] };
}

function imageOf(content: string): Image {
    const { bytes: layer, diffId } = fileLayer(content, Buffer.from(content));
    const rootfs = { type: "layers", diff_ids: [diffId] };
    const config = json({ architecture: "amd64", os: "linux", config: { Cmd: [content] }, rootfs });
    return image(layer, config);
}

function image(layer: Buffer, config: Buffer): Image {
    const { oci } = mediaTypes;
    const manifest = json({
        schemaVersion: 2,
        mediaType: oci.manifest,
        config: descriptor(config, oci.config),
        layers: [descriptor(layer, oci.layer)],
    });
    return {
        layer,
        config,
        manifest,
        listed: { Config: blobFile(config), RepoTags: [name], Layers: [blobFile(layer)] },
    };
}

function descriptor(bytes: Buffer, mediaType: string) {
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function indexOf(...manifests: readonly Buffer[]) {
    const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1" };
    return {
        schemaVersion: 2,
        mediaType: mediaTypes.oci.index,
        manifests: manifests.map((bytes) => ({ ...descriptor(bytes, mediaTypes.oci.manifest), annotations })),
    };
}

const good = imageOf("good");
const evil = imageOf("evil");
const evilBlobs = [evil.manifest, evil.config, evil.layer].map(blob);
const evilList = [evil.listed];

/** The archive as engine `stream` writes it. */
export function goodEntries(): Entry[] {
    return archiveOf(good);
}

function archiveOf({ layer, config, manifest, listed }: Image): Entry[] {
    return [
        entry("oci-layout", { imageLayoutVersion: "1.0.0" }),
        entry("index.json", indexOf(manifest)),
        entry("manifest.json", [listed]),
        entry("blobs/"),
        entry("blobs/sha256/"),
        ...[manifest, config, layer].map(blob),
    ];
}

/** Puts entries into a tar. */
export function tarOf(entries: readonly Entry[]): Buffer {
    const blocks = entries.flatMap(({ name: file, body, header }) => {
        const block = tarHeader(file, body.length);
        if (header) {
            header(block);
            block.write("        ", 148);
            const sum = block.reduce((all, byte) => all + byte, 0);
            block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
        }
        return [block, body, Buffer.alloc(paddingBytes(body.length))];
    });
    return Buffer.concat([...blocks, trailer]);
}

function withType(type: string, link = ""): (block: Buffer) => void {
    return (block) => {
        block.write(type, 156);
        block.write(link, 157);
    };
}

/** An extended header, or another one of its kind. */
function extended(records: Readonly<Record<string, string>>, type = "x"): Entry {
    const lines = Object.entries(records).map(([key, value]) => line(key, value));
    return { ...entry("PaxHeader", Buffer.from(lines.join(""))), header: withType(type) };
}

function line(key: string, value: string): string {
    const rest = ` ${key}=${value}\n`;
    const length = rest.length + String(rest.length + 2).length;
    return `${length}${rest}`;
}

const replaced = (file: string, body: unknown, more: readonly Entry[] = evilBlobs): Entry[] => [
    ...goodEntries().map((each) => (each.name === file ? entry(file, body) : each)),
    ...more,
];
const added = (...entries: readonly Entry[]): Entry[] => [...goodEntries(), ...evilBlobs, ...entries];
const before = (...entries: readonly Entry[]): Entry[] => [...entries, ...goodEntries(), ...evilBlobs];
const renamed = (file: string): Entry[] => added(entry(file, evilList));
const raw = (file: string, text: string): Entry[] => replaced(file, Buffer.from(text));
const listText = JSON.stringify([good.listed]);
const evilText = JSON.stringify(evil.listed);

/** Good but for a document, and what depends on it. */
function withConfig(change: (text: string) => string): Entry[] {
    return archiveOf(image(good.layer, Buffer.from(change(good.config.toString()))));
}

function withManifest(change: (text: string) => string): Entry[] {
    return archiveOf({ ...good, manifest: Buffer.from(change(good.manifest.toString())) });
}

const lists: Readonly<Record<string, () => Entry[]>> = {
    "another list": () => replaced("manifest.json", evilList),
    "a list of two": () => replaced("manifest.json", [good.listed, evil.listed]),
    "a list of none": () => replaced("manifest.json", []),
    "a list with another name": () => replaced("manifest.json", [{ ...good.listed, RepoTags: ["other:1"] }], []),
    "a list with no name that is one": () =>
        replaced("manifest.json", [{ ...good.listed, RepoTags: [name, "A B"] }], []),
    "a list with another layer": () => replaced("manifest.json", [{ ...good.listed, Layers: evil.listed.Layers }]),
    "a list with another configuration": () =>
        replaced("manifest.json", [{ ...good.listed, Config: evil.listed.Config }]),
    "a list with a layer more": () =>
        replaced("manifest.json", [{ ...good.listed, Layers: [...good.listed.Layers, ...evil.listed.Layers] }]),
    "a list with Config and config": () =>
        raw("manifest.json", listText.replace("{", `{"config":${JSON.stringify(evil.listed.Config)},`)),
    "a list with Config and CONFIG": () =>
        raw("manifest.json", listText.replace("}", `,"CONFIG":${JSON.stringify(evil.listed.Config)}}`)),
    "a list with Layers and a long s": () =>
        raw("manifest.json", listText.replace("}", `,"Layerſ":${JSON.stringify(evil.listed.Layers)}}`)),
    "a list with two of Config": () =>
        raw("manifest.json", listText.replace("}", `,"Config":${JSON.stringify(evil.listed.Config)}}`)),
    "a list with an escaped Config": () =>
        raw("manifest.json", listText.replace("}", `,"\\u0043onfig":${JSON.stringify(evil.listed.Config)}}`)),
    "a list with two of Layers": () =>
        raw("manifest.json", listText.replace("{", `{"Layers":${JSON.stringify(evil.listed.Layers)},`)),
    "a list, and another one after it": () => raw("manifest.json", `${listText}[${evilText}]`),
    "a list after a byte order mark": () => raw("manifest.json", `\ufeff${listText}`),
    "an object for a list": () => replaced("manifest.json", good.listed),
    "null for a list": () => replaced("manifest.json", null),
    "another index": () => replaced("index.json", indexOf(evil.manifest)),
    "an index of two": () => replaced("index.json", indexOf(good.manifest, evil.manifest)),
    "an index with Manifests": () =>
        replaced("index.json", { ...indexOf(good.manifest), Manifests: indexOf(evil.manifest).manifests }),
    "an index that is a manifest too": () => replaced("index.json", { ...indexOf(good.manifest), layers: [] }),
    "an index of nothing": () => replaced("index.json", { ...indexOf(), manifests: null }, []),
};

const documents: Readonly<Record<string, () => Entry[]>> = {
    "a manifest with two of layers": () => withManifest((text) => text.replace('"layers"', '"layers":[],"layers"')),
    "a manifest with Layers": () => withManifest((text) => text.replace('"layers"', '"Layers":[],"layers"')),
    "a manifest with a Digest": () => withManifest((text) => text.replace('"digest"', '"Digest":"","digest"')),
    "a manifest that is an index too": () =>
        withManifest((text) => text.replace('"layers"', '"manifests":[],"layers"')),
    "a manifest with two of config": () => withManifest((text) => text.replace('"config"', '"config":{},"config"')),
    "a configuration with two of rootfs": () => withConfig((text) => text.replace('"rootfs"', '"rootfs":{},"rootfs"')),
    "a configuration with Rootfs": () => withConfig((text) => text.replace('"rootfs"', '"Rootfs":{},"rootfs"')),
    "a configuration with Diff_ids": () => withConfig((text) => text.replace('"diff_ids"', '"Diff_ids":[],"diff_ids"')),
    "a configuration with OS": () => withConfig((text) => text.replace('"os"', '"OS":"windows","os"')),
    "a configuration of no layers": () => withConfig((text) => text.replace(/"diff_ids":\[[^\]]*\]/, '"diff_ids":[]')),
    "a configuration that is none": () => withConfig(() => "[]"),
    "blobs that nothing leads to": () => added(),
    "a file that nothing leads to": () => [...goodEntries(), entry("layer.tar", evil.layer)],
    "a layer with another content": () => [...goodEntries().slice(0, -1), entry(blobFile(good.layer), evil.layer)],
    "no layer": () => goodEntries().slice(0, -1),
    "no index": () => goodEntries().filter((each) => each.name !== "index.json" && each.name !== "manifest.json"),
};

const names: Readonly<Record<string, () => Entry[]>> = {
    "a second list": () => renamed("manifest.json"),
    "a list before the list": () => before(entry("manifest.json", evilList)),
    "a second index": () => added(entry("index.json", indexOf(evil.manifest))),
    "Manifest.json": () => renamed("Manifest.json"),
    "INDEX.JSON": () => added(entry("INDEX.JSON", indexOf(evil.manifest))),
    "./manifest.json": () => renamed("./manifest.json"),
    "/manifest.json": () => renamed("/manifest.json"),
    "blobs/../manifest.json": () => renamed("blobs/../manifest.json"),
    "../manifest.json": () => renamed("../manifest.json"),
    "blobs//../manifest.json": () => renamed("blobs//../manifest.json"),
    ".//manifest.json": () => renamed(".//manifest.json"),
    "manifest.json with a blank": () => renamed("manifest.json "),
    "manifest.json with a control character": () => renamed("manifest.json\u0001"),
    "a backslash": () => renamed("blobs\\..\\manifest.json"),
    "a name beyond ASCII": () => renamed("manifeſt.json"),
    "manifest.json and what is after its zero byte": () =>
        added({ ...entry("manifest.json", evilList), header: (block) => block.write("x", 50) }),
    "a file with the name of a folder": () => added({ ...entry("manifest.json/", evilList), header: withType("0") }),
};

const headers: Readonly<Record<string, () => Entry[]>> = {
    "an extended header that names a list": () => added(extended({ path: "manifest.json" }), entry("x", evilList)),
    "a global header that names a list": () => before(extended({ path: "manifest.json" }, "g")),
    "a long name of GNU": () =>
        added(
            { ...entry("././@LongLink", Buffer.from("manifest.json\0")), header: withType("L") },
            entry("x", evilList),
        ),
    "a long link of GNU": () =>
        added(
            { ...entry("././@LongLink", Buffer.from("manifest.json\0")), header: withType("K") },
            entry("x", evilList),
        ),
    "a sparse file of GNU": () => added({ ...entry("manifest.json", evilList), header: withType("S") }),
    "a sparse file of an extended header": () =>
        added(
            extended({
                "GNU.sparse.major": "1",
                "GNU.sparse.name": "manifest.json",
                "GNU.sparse.realsize": "999999999999",
            }),
            entry("x", evilList),
        ),
    "an extended size that is smaller": () =>
        added(extended({ size: "512" }), entry("x", tarOf([entry("manifest.json", evilList)]))),
    "an extended size that is larger": () =>
        added(extended({ size: "1024" }), entry("x"), entry("manifest.json", evilList)),
    "two names in an extended header": () =>
        added(
            entryOf("PaxHeader", line("path", "x") + line("path", "manifest.json"), withType("x")),
            entry("y", evilList),
        ),
    "an extended header with a wrong length": () =>
        added(entryOf("PaxHeader", "99 path=manifest.json\n", withType("x")), entry("y", evilList)),
    "two extended headers": () =>
        added(extended({ path: "manifest.json" }), extended({ mtime: "1" }), entry("x", evilList)),
    "an extended header at the end": () => [...goodEntries(), extended({ path: "manifest.json" })],
    "a folder with a body": () => [
        ...goodEntries().map((each) =>
            each.name === "blobs/"
                ? {
                      name: "blobs/",
                      body: tarOf([entry("manifest.json", evilList), ...evilBlobs]),
                      header: withType("5"),
                  }
                : each,
        ),
    ],
    "a link with a body": () =>
        added({ name: "link", body: tarOf([entry("manifest.json", evilList)]), header: withType("2", "oci-layout") }),
    "a list that is a symbolic link": () => [
        ...goodEntries().filter((each) => each.name !== "manifest.json"),
        ...evilBlobs,
        entry("list", evilList),
        { ...entry("manifest.json"), header: withType("2", "list") },
    ],
    "a list that is a hard link": () => [
        ...goodEntries().filter((each) => each.name !== "manifest.json"),
        ...evilBlobs,
        entry("list", evilList),
        { ...entry("manifest.json"), header: withType("1", "list") },
    ],
    "a layer that leads out of the archive": () => [
        ...goodEntries().slice(0, -1),
        { ...entry(blobFile(good.layer)), header: withType("2", "../../../../etc/passwd") },
    ],
    "a device": () => added({ ...entry("device"), header: withType("3") }),
    "a contiguous file": () => added({ ...entry("manifest.json", evilList), header: withType("7") }),
    "a type that nobody knows": () => added({ ...entry("manifest.json", evilList), header: withType("Z") }),
    "a prefix with GNU's magic": () =>
        added({
            ...entry("manifest.json", evilList),
            header: (block) => {
                block.write("ustar  \0", 257);
                block.write("x", 345);
            },
        }),
    "no magic": () => added({ ...entry("manifest.json", evilList), header: (block) => block.fill(0, 257, 265) }),
    "a small size in base 256": () =>
        added({
            ...entry("x", evilList),
            header: (block) => {
                block.fill(0, 124, 136);
                block[124] = 0x80;
                block.writeUInt32BE(json(evilList).length, 132);
            },
        }),
    "a size with a sign": () => added({ ...entry("x"), header: (block) => block.write("-0000000000 ", 124) }),
};

function entryOf(file: string, text: string, header: (block: Buffer) => void): Entry {
    return { ...entry(file, Buffer.from(text)), header };
}

const costly: Readonly<Record<string, () => Entry[]>> = {
    "indexes that lead to each other many times over": () => {
        let below: Buffer = good.manifest;
        const all: Entry[] = [];
        for (let level = 0; level < 6; level++) {
            const type = level === 0 ? mediaTypes.oci.manifest : mediaTypes.oci.index;
            const manifests = Array.from({ length: 60 }, () => descriptor(below, type));
            below = json({ schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests, level });
            all.push(blob(below));
        }
        const index = { ...indexOf(), manifests: [descriptor(below, mediaTypes.oci.index)] };
        return [...replaced("index.json", index, []), ...all];
    },
    "30,000 files": () => [...goodEntries(), ...Array.from({ length: 30_000 }, (_, at) => entry(`f${at}`))],
    "a list that is nested 100,000 deep": () => raw("manifest.json", "[".repeat(100_000) + "]".repeat(100_000)),
    "a list of two million values": () => raw("manifest.json", `[${"{},".repeat(2_000_000)}{}]`),
    "a list of a million names": () =>
        raw("manifest.json", `[{${Array.from({ length: 1_100_000 }, (_, at) => `"${at}":0`).join()}}]`),
};

/** All kinds, made anew. */
export function craftedArchives(): Crafted[] {
    const kinds = { ...lists, ...documents, ...names, ...headers, ...costly };
    const made = Object.entries(kinds).map(([kind, make]) => ({
        kind,
        isCostly: kind in costly,
        bytes: tarOf(make()),
    }));
    const whole = tarOf(goodEntries());
    const after = Buffer.concat([whole, tarOf([entry("manifest.json", evilList), ...evilBlobs])]);
    const wrapped = [
        { kind: "an archive after the end", isCostly: false, bytes: after },
        { kind: "the other image as a whole", isCostly: false, bytes: tarOf(archiveOf(evil)) },
    ];
    return [...made, ...wrapped].map((archive) => ({ ...archive, record: recordOf(archive.bytes) }));
}

/** The record of the good image over an archive. */
export function recordOf(bytes: Buffer): ExportRecord {
    const layerFile = blobFile(good.layer);
    const offset = tarOf(goodEntries()).length - trailer.length - good.layer.length - paddingBytes(good.layer.length);
    const { rootfs } = JSON.parse(good.config.toString()) as { rootfs: { diff_ids: string[] } };
    const layer = { digest: layerFile.replace("blobs/sha256/", "sha256:"), sizeBytes: good.layer.length, offset };
    return {
        schemaVersion: 1,
        layout: 1,
        engine: { name: "stream", version: "0.1.0" },
        imageUri: name,
        imageName: name,
        platform: "linux/amd64",
        imageDigest: digestOf(good.manifest),
        indexDigest: null,
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
