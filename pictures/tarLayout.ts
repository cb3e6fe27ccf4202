/** The archive of engine `stream`, drawn from the exporter's own plan of a small image. */
import { createHash } from "node:crypto";

import type { ResolvedImage } from "../exporter/image";
import { parseManifest } from "../exporter/manifest";
import { planArchive } from "../exporter/plan";
import { box, ink, line, looks, picture, text } from "./svg";

const digestOf = (content: string | Buffer) => `sha256:${createHash("sha256").update(content).digest("hex")}`;

/** An image of two layers, as the registry would describe it. */
function exampleImage(): ResolvedImage {
    const layer = (name: string, size: number) => ({
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest: digestOf(name),
        size,
    });
    const bytes = Buffer.from(
        JSON.stringify({
            schemaVersion: 2,
            mediaType: "application/vnd.oci.image.manifest.v1+json",
            config: {
                mediaType: "application/vnd.oci.image.config.v1+json",
                digest: digestOf("configuration"),
                size: 8_391,
            },
            layers: [layer("lower layer", 3_626_897), layer("upper layer", 19_174_402)],
        }),
    );
    const manifest = parseManifest(bytes, undefined);
    const descriptor = { mediaType: manifest.mediaType, digest: digestOf(bytes), size: bytes.length };
    return {
        name: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.29",
        tag: "1.29",
        documents: [{ descriptor, bytes, manifest }],
    };
}

/** A file in the tar. */
interface Entry {
    readonly name: string;
    readonly offset: number;
    readonly sizeBytes: number;
    readonly paddingBytes: number;
    readonly meaning: string;
    /** The digests that its text names. */
    readonly names: readonly string[];
}

const blockBytes = 512;
const top = 112;
const rowHeight = 56;
const table = { left: 170, width: 700 };
const number = (value: number) => value.toLocaleString("en-US");

/** Draws the layout of the archive. */
export function drawTarLayout(): string {
    const image = exampleImage();
    const { sizeBytes } = planArchive(image);
    const entries = entriesOf(image);
    const end = entries.length;
    const middle = (row: number) => top + row * rowHeight + rowHeight / 2 - 4;
    return picture(
        {
            title: "One tar that is an OCI image layout and a Docker archive",
            description: `The files of the archive in their order: ${entries.map(({ name, meaning }) => `${name} (${meaning})`).join(", ")}. OCI tools go from index.json to the manifest and from there to configuration and layers; docker load goes from manifest.json to the same configuration and layers.`,
            width: 1040,
            height: top + (end + 1) * rowHeight + 16,
        },
        [
            text(table.left + table.width / 2, 36, "One tar, two ways in", {
                size: 16,
                bold: true,
                anchor: "middle",
            }),
            text(24, 66, "OCI tools", { bold: true, fill: looks.blue.stroke }),
            text(24, 84, "skopeo, containerd"),
            text(1016, 66, "docker load", { bold: true, anchor: "end", fill: looks.pink.stroke }),
            text(1016, 84, "and readers of", { anchor: "end" }),
            text(1016, 102, "Docker archives", { anchor: "end" }),
            text(table.left, 98, "offset", { size: 12, fill: ink.muted }),
            text(table.left + 120, 98, "header 512, content, padding", { size: 12, fill: ink.muted }),
            text(table.left + 700, 98, "bytes", { size: 12, anchor: "end", fill: ink.muted }),
            ...entries.flatMap((entry, row) => drawEntry(entry, top + row * rowHeight)),
            text(table.left, middle(end) + 4, number(sizeBytes - 2 * blockBytes), { code: true }),
            box(table.left + 120, top + end * rowHeight, 48, rowHeight - 8, looks.quiet),
            text(table.left + 180, middle(end) + 4, "end of the archive: two blocks of zeros"),
            text(table.left + 700, middle(end) + 4, number(2 * blockBytes), { code: true, anchor: "end" }),
            ...ways(entries, middle),
        ],
    );
}

function drawEntry({ name, offset, sizeBytes, paddingBytes, meaning }: Entry, y: number): string[] {
    const height = rowHeight - 8;
    const contentWidth = paddingBytes > 0 ? 500 : 532;
    const look = name.startsWith("blobs/") ? looks.green : looks.yellow;
    return [
        text(table.left, y + height / 2 + 5, number(offset), { code: true }),
        box(table.left + 120, y, 48, height, looks.quiet),
        box(table.left + 168, y, contentWidth, height, look),
        ...(paddingBytes > 0 ? [box(table.left + 668, y, 32, height, looks.quiet)] : []),
        text(table.left + 180, y + 20, name.replace(/([0-9a-f]{12})[0-9a-f]{52}$/, "$1…"), { code: true }),
        text(table.left + 180, y + 39, meaning, { size: 12, fill: ink.muted }),
        text(table.left + 656, y + 20, number(sizeBytes), { code: true, anchor: "end" }),
    ];
}

/** Arrows from each text to what it names: on the left those of the OCI layout, on the right those of the Docker archive. */
function ways(entries: readonly Entry[], middle: (row: number) => number): string[] {
    const rowOf = (digest: string) =>
        entries.findIndex(({ name }) => name.endsWith(digest.replace(":", "/")));
    return entries.flatMap(({ name, names }, row) => {
        const isDocker = name === "manifest.json";
        const x = isDocker ? 950 : name === "index.json" ? 110 : 140;
        const side = isDocker ? table.left + table.width + 6 : table.left - 6;
        const stroke = (isDocker ? looks.pink : looks.blue).stroke;
        const from = middle(row) + (name.startsWith("blobs/") ? 8 : 0);
        return names.map((digest) => {
            const to = middle(rowOf(digest)) - (name === "index.json" ? 8 : 0);
            return line(
                [
                    [side, from],
                    [x, from],
                    [x, to],
                    [side, to],
                ],
                stroke,
            );
        });
    });
}

/** The files of the plan, each from its header to its padding. */
function entriesOf(image: ResolvedImage): Entry[] {
    const { segments } = planArchive(image);
    const entries: Entry[] = [];
    let at = 0;
    for (;;) {
        const header = segments[at];
        const name = header && "bytes" in header ? nameIn(header.bytes) : "";
        if (header === undefined || name === "") return entries;
        const content = segments[at + 1];
        if (content === undefined) throw new Error(`${name} has no content.`);
        const paddingBytes = (blockBytes - (content.length % blockBytes)) % blockBytes;
        const known = "bytes" in content ? Buffer.from(content.bytes).toString() : "";
        const names = [...known.matchAll(/sha256[:/]([0-9a-f]{64})/g)].map(
            ([, hex]) => `sha256:${hex ?? ""}`,
        );
        const meaning = meaningOf(name, image);
        entries.push({
            name,
            offset: header.offset,
            sizeBytes: content.length,
            paddingBytes,
            meaning,
            names,
        });
        at += paddingBytes > 0 ? 3 : 2;
    }
}

/** The name in a tar header, which begins with it. */
function nameIn(header: Uint8Array): string {
    const name = Buffer.from(header).toString("latin1", 0, 100);
    return name.slice(0, name.indexOf("\0"));
}

function meaningOf(name: string, { documents }: ResolvedImage): string {
    const [{ descriptor, manifest }] = documents;
    if (manifest.kind !== "image") throw new Error("The example is an image.");
    const blob = (digest: string) => name.endsWith(digest.replace(":", "/"));
    const layer = manifest.layers.findIndex(({ digest }) => blob(digest));
    if (name === "oci-layout") return "says that this is an OCI image layout";
    if (name === "index.json") return "names the manifest, by its digest in the registry";
    if (name === "manifest.json") return "names configuration, layers and the image's name";
    if (blob(descriptor.digest)) return "the manifest, bit for bit as in the registry";
    if (blob(manifest.config.digest)) return "the configuration";
    return `layer ${layer + 1} of ${manifest.layers.length}, compressed as in the registry`;
}
