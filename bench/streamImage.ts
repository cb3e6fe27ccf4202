import { createHash, randomFillSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import * as path from "node:path";
import { gzipSync } from "node:zlib";

import { tarHeader, trailer } from "../exporter/archive/tar";
import { addImage, emptyRepository, type Repository } from "../tests/exporter/support/images";
import { run } from "../tests/exporter/support/tools";

/** The image that is measured. */
export type BenchImage = Awaited<ReturnType<typeof makeImage>>;

/** A multiple of the blocks of a tar: nothing has to be padded. */
const fileBytes = 64 * 1024;

/**
 * Makes an image of about a compressed size and pushes it. Like real layers it holds many files, of 64 KiB, that gzip makes
 * three times smaller: a third of every file is random, the rest repeats.
 *
 * @param directory an empty one
 */
export async function makeImage(directory: string, host: string, compressedMb: number, layerCount: number) {
    const tag = `${compressedMb}mb-${layerCount}`;
    const layers = Array.from({ length: layerCount }, () => makeLayer((compressedMb * 1e6) / layerCount));
    const repository = emptyRepository("bench/app");
    addImage(repository, { layers, family: "docker", tag });
    const reference = `${host}/bench/app:${tag}`;
    await push(repository, directory, reference);
    return {
        reference,
        /** Sum of its layers in the registry. */
        compressedBytes: layers.reduce((sum, { bytes }) => sum + bytes.length, 0),
        uncompressedBytes: layers.reduce((sum, { uncompressedBytes }) => sum + uncompressedBytes, 0),
        layers: [...repository.blobs.keys()].slice(-layerCount),
    };
}

/**
 * Makes the images of a release, 12 that share layers, and pushes them: a base that all have takes 30 % of the compressed size, three
 * runtimes, each of four images, take 10 % each, and 40 % are the images' own.
 *
 * @param directory an empty one
 * @returns their references
 */
export async function makeSet(directory: string, host: string, compressedMb: number): Promise<string[]> {
    const layerOf = (share: number) => makeLayer(compressedMb * 1e6 * share);
    const [base, runtimes] = [layerOf(0.3), [layerOf(0.1), layerOf(0.1), layerOf(0.1)]];
    const references: string[] = [];
    for (let at = 0; at < 12; at++) {
        const repository = emptyRepository("bench/release");
        const layers = [base, ...runtimes.slice(at % 3, (at % 3) + 1), layerOf(0.4 / 12)];
        addImage(repository, { layers, family: "docker" });
        const reference = `${host}/bench/release:${compressedMb}mb-${at}`;
        await push(repository, directory, reference);
        references.push(reference);
    }
    return references;
}

/**
 * Makes an image of about a compressed size, and its next release, of which one layer of 1 MB, the last, is another; pushes both.
 *
 * @param directory an empty one
 */
export async function makeReleases(directory: string, host: string, compressedMb: number, layerCount: number) {
    const layers = Array.from({ length: layerCount - 1 }, () => makeLayer((compressedMb * 1e6) / (layerCount - 1)));
    const references: string[] = [];
    let changedBytes = 0;
    for (const tag of ["base", "next"]) {
        const repository = emptyRepository("bench/app");
        const last = makeLayer(1e6);
        changedBytes = last.bytes.length;
        addImage(repository, { layers: [...layers, last], family: "docker" });
        references.push(`${host}/bench/app:${tag}`);
        await push(repository, directory, `${host}/bench/app:${tag}`);
    }
    const [base = "", next = ""] = references;
    return { base, next, changedBytes };
}

/** Pushes the one image of a repository, by way of a directory. */
async function push({ blobs, manifests }: Repository, directory: string, reference: string): Promise<void> {
    for (const [digest, bytes] of blobs) {
        await writeFile(path.join(directory, digest.replace("sha256:", "")), bytes);
    }
    for (const { bytes } of manifests.values()) {
        await writeFile(path.join(directory, "manifest.json"), bytes);
    }
    await run("skopeo", "copy", "--dest-tls-verify=false", `dir:${directory}`, `docker://${reference}`);
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
