import { createHash, randomFillSync } from "node:crypto";
import { gzipSync } from "node:zlib";

import { tarHeader, trailer } from "../exporter/archive/tar";
import { addImage, emptyRepository } from "../tests/exporter/support/images";

/** The image that is measured. */
export interface BenchImage {
    /** `HOST/REPOSITORY:TAG` */
    readonly reference: string;
    /** Sum of its layers in the registry, in bytes. */
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
    const tag = `${compressedMb}mb-${layerCount}`;
    const layers = Array.from({ length: layerCount }, () => makeLayer((compressedMb * 1e6) / layerCount));
    const repository = emptyRepository("bench/app");
    addImage(repository, { layers, family: "docker", tag });
    const base = `http://${host}/v2/bench/app`;
    for (const [digest, bytes] of repository.blobs) {
        const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
        const url = new URL(begun.headers.get("location") ?? "", base);
        url.searchParams.set("digest", digest);
        await put(url, bytes, "application/octet-stream");
    }
    for (const { bytes, mediaType } of repository.manifests.values()) {
        await put(new URL(`${base}/manifests/${tag}`), bytes, mediaType);
    }
    return {
        reference: `${host}/bench/app:${tag}`,
        compressedBytes: layers.reduce((sum, { bytes }) => sum + bytes.length, 0),
        uncompressedBytes: layers.reduce((sum, { uncompressedBytes }) => sum + uncompressedBytes, 0),
        layers: [...repository.blobs.keys()].slice(-layerCount),
    };
}

/** Makes a layer of about a compressed size. */
function makeLayer(compressedBytes: number) {
    const diff = createHash("sha256");
    const members: Buffer[] = [];
    let [size, uncompressedBytes] = [0, 0];
    // Each piece is a member of the gzip stream (RFC 1952), so that the size is known at once.
    for (let isLast = false; !isLast;) {
        isLast = size >= compressedBytes;
        const header = tarHeader(`data/${process.hrtime.bigint()}`, fileBytes);
        const piece = isLast ? trailer : Buffer.concat([header, fileContent()]);
        const member = gzipSync(piece, { level: 1 });
        diff.update(piece);
        members.push(member);
        size += member.length;
        uncompressedBytes += piece.length;
    }
    return { bytes: Buffer.concat(members), diffId: `sha256:${diff.digest("hex")}`, uncompressedBytes };
}

function fileContent(): Buffer {
    const content = Buffer.alloc(fileBytes, "the quick brown fox jumps over the lazy dog ");
    for (let at = 0; at < fileBytes; at += 3072) randomFillSync(content, at, Math.min(1024, fileBytes - at));
    return content;
}

async function put(url: URL, bytes: Buffer, type: string): Promise<void> {
    const response = await fetch(url, {
        method: "PUT",
        body: new Uint8Array(bytes),
        headers: { "content-type": type },
    });
    if (response.status !== 201) throw new Error(`The registry answered ${response.status}: ${await response.text()}`);
}
