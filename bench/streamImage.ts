import { createHash, randomFillSync } from "node:crypto";
import { gzipSync } from "node:zlib";

import { tarHeader, trailer } from "../exporter/archive/tar";

/** The image that is measured. */
export interface BenchImage {
    /** `HOST/REPOSITORY:TAG` */
    readonly reference: string;
    /** Sum of its blobs in the registry, in bytes. */
    readonly compressedBytes: number;
    readonly uncompressedBytes: number;
    readonly layers: readonly string[];
}

/** A multiple of the blocks of a tar: nothing has to be padded. */
const fileBytes = 64 * 1024;

/**
 * Makes an image of about a compressed size and pushes it. Like real layers it holds many files, of 64 KiB, that gzip makes
 * three times smaller: a third of every file is random, the rest repeats.
 */
export async function makeImage(host: string, compressedMb: number, layerCount: number): Promise<BenchImage> {
    const reference = `${host}/bench/app:${compressedMb}mb-${layerCount}`;
    const layers = [];
    for (let at = 0; at < layerCount; at++) {
        layers.push(await pushLayer(host, (compressedMb * 1e6) / layerCount));
    }
    const rootfs = { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) };
    const config = Buffer.from(JSON.stringify({ os: "linux", architecture: "amd64", config: {}, rootfs }));
    await pushBlob(host, config);
    const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
    const configType = "application/vnd.docker.container.image.v1+json";
    const layerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType,
        config: { mediaType: configType, digest: digestOf(config), size: config.length },
        layers: layers.map(({ digest, size }) => ({ mediaType: layerType, digest, size })),
    });
    const url = `http://${host}/v2/bench/app/manifests/${compressedMb}mb-${layerCount}`;
    await expectCreated(await fetch(url, { method: "PUT", body: manifest, headers: { "content-type": mediaType } }));
    return {
        reference,
        compressedBytes: layers.reduce((sum, { size }) => sum + size, 0),
        uncompressedBytes: layers.reduce((sum, { uncompressedBytes }) => sum + uncompressedBytes, 0),
        layers: layers.map(({ digest }) => digest),
    };
}

/** Makes a layer of about a compressed size and pushes it. */
async function pushLayer(host: string, compressedBytes: number) {
    const diff = createHash("sha256");
    const members: Buffer[] = [];
    let size = 0;
    let uncompressedBytes = 0;
    // Each piece is a member of the gzip stream (RFC 1952), so that the size is known at once.
    const add = (...pieces: Uint8Array[]): void => {
        const bytes = Buffer.concat(pieces);
        const member = gzipSync(bytes, { level: 1 });
        diff.update(bytes);
        members.push(member);
        size += member.length;
        uncompressedBytes += bytes.length;
    };
    for (let at = 0; size < compressedBytes; at++) {
        add(tarHeader(`data/${process.hrtime.bigint()}-${at}`, fileBytes), fileContent());
    }
    add(trailer);
    const bytes = Buffer.concat(members);
    await pushBlob(host, bytes);
    return { digest: digestOf(bytes), diffId: `sha256:${diff.digest("hex")}`, size, uncompressedBytes };
}

function fileContent(): Buffer {
    const content = Buffer.alloc(fileBytes);
    for (let at = 0; at < fileBytes; at += 3072) {
        randomFillSync(content, at, Math.min(1024, fileBytes - at));
        content.fill("the quick brown fox jumps over the lazy dog ", at + 1024, Math.min(at + 3072, fileBytes));
    }
    return content;
}

async function pushBlob(host: string, bytes: Buffer): Promise<void> {
    const begun = await fetch(`http://${host}/v2/bench/app/blobs/uploads/`, { method: "POST" });
    const url = new URL(begun.headers.get("location") ?? "", `http://${host}`);
    url.searchParams.set("digest", digestOf(bytes));
    const headers = { "content-type": "application/octet-stream" };
    await expectCreated(await fetch(url, { method: "PUT", body: new Uint8Array(bytes), headers }));
}

async function expectCreated(response: Response): Promise<void> {
    if (response.status !== 201) throw new Error(`The registry answered ${response.status}: ${await response.text()}`);
}

function digestOf(bytes: Uint8Array): string {
    return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
