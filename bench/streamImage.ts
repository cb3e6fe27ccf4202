import { createHash, randomFillSync } from "node:crypto";
import { createGzip } from "node:zlib";
import { paddingBytes, tarHeader, trailer } from "../exporter/archive/tar";

/** The image that is measured. */
export interface BenchImage {
    /** `HOST/REPOSITORY:TAG` */
    readonly reference: string;
    /** Sum of its blobs in the registry, in bytes. */
    readonly compressedBytes: number;
    readonly uncompressedBytes: number;
    readonly layers: readonly string[];
}

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
    const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType,
        config: {
            mediaType: "application/vnd.docker.container.image.v1+json",
            digest: digestOf(config),
            size: config.length,
        },
        layers: layers.map(({ digest, size }) => ({
            mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            digest,
            size,
        })),
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

interface Layer {
    readonly digest: string;
    readonly diffId: string;
    readonly size: number;
    readonly uncompressedBytes: number;
}

async function pushLayer(host: string, compressedBytes: number): Promise<Layer> {
    const diff = createHash("sha256");
    const gzip = createGzip({ level: 1 });
    const compressed: Buffer[] = [];
    let size = 0;
    let uncompressedBytes = 0;
    gzip.on("data", (chunk: Buffer) => {
        compressed.push(chunk);
        size += chunk.length;
    });
    const ended = new Promise((resolve) => gzip.once("end", resolve));
    const write = async (bytes: Uint8Array): Promise<void> => {
        diff.update(bytes);
        uncompressedBytes += bytes.length;
        if (!gzip.write(bytes)) await new Promise((resolve) => gzip.once("drain", resolve));
    };
    for (let at = 0; size < compressedBytes - fileBytes / 3; at++) {
        await write(tarHeader(`data/${process.hrtime.bigint()}-${at}`, fileBytes));
        await write(fileContent());
        await write(new Uint8Array(paddingBytes(fileBytes)));
    }
    await write(trailer);
    gzip.end();
    await ended;
    const bytes = Buffer.concat(compressed);
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
    if (response.status !== 201) {
        throw new Error(`The registry answered ${response.status}: ${await response.text()}`);
    }
}

function digestOf(bytes: Uint8Array): string {
    return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
