import * as assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { exportImage } from "../../../exporter/exportImage";
import type { ImageRecord } from "../../../contract/record";
import { readArchive } from "../../../exporter/archive/readArchive";
import { type Verification, verifyArchive } from "../../../exporter/archive/verify";
import { flip, isNamed } from "../support/damage";
import { dockerSave, savedImage } from "../support/dockerSave";
import { startRegistry } from "../support/fakeRegistry";
import { addImage, addIndex, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { recordOf } from "../../support/readRecord";

interface Archive {
    bytes: Buffer;
    record: ImageRecord;
}

/** An archive of engine `stream`. */
export async function streamed(tag: "one" | "all"): Promise<Archive> {
    const repository = emptyRepository("app");
    const layers = [fileLayer("a", randomBytesOf(3000, 1)), fileLayer("b", randomBytesOf(600, 2))];
    const one = addImage(repository, { layers, tag: "one" });
    const other = addImage(repository, { layers: layers.slice(1), architecture: "arm64" });
    addIndex(repository, [one, other], { tag: "all", attestation: true });
    const registry = await startRegistry({ repository });
    const folder = await mkdtemp(path.join(tmpdir(), "damage-"));
    try {
        const destination = path.join(folder, "app.tar");
        const platform = tag === "all" ? "all" : "linux/amd64";
        await exportImage({ image: `${registry.host}/app:${tag}`, destination, platform });
        const record = recordOf(await readFile(`${destination}.json`, "utf8"));
        return { bytes: await readFile(destination), record };
    } finally {
        await Promise.all([registry.close(), rm(folder, { recursive: true })]);
    }
}

/** An archive of engine `docker`. */
export async function saved(layout: "folders" | "blobs"): Promise<Archive> {
    const { record } = await streamed("one");
    const bytes = await dockerSave(layout, record.imageName);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const archive = { ...record.archive, sha256, sizeBytes: bytes.length };
    const engine = { name: "docker", version: "28.2.2" } as const;
    return { bytes, record: { ...record, archive, engine, images: [savedImage] } };
}

const archives: Record<string, () => Promise<Archive>> = {
    "engine stream, one platform": () => streamed("one"),
    "engine stream, every platform": () => streamed("all"),
    "engine docker before Docker 25": () => saved("folders"),
    "engine docker since Docker 25": () => saved("blobs"),
};

/** Verifies bytes that come in pieces of some length. */
export function verify(bytes: Buffer, record?: ImageRecord, pieceBytes = 4096): Promise<Verification> {
    const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
        bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
    );
    return verifyArchive(Readable.from(pieces), record);
}

/**
 * Damages archives of every kind.
 *
 * @param numRuns bytes anywhere that are damaged
 * @param step of the bytes that no digest covers every so many are damaged; odd, so that in the blocks of 512 bytes it meets every place
 */
export function describeDamage(numRuns: number, step: number): void {
    for (const [name, create] of Object.entries(archives)) {
        describe(`a damaged archive of ${name}`, () => {
            let archive: Archive;
            before(async () => {
                archive = await create();
            });

            it("is found good before it is damaged, with its record and without, however it arrives", async () => {
                for (const pieceBytes of [1, 511, 1 << 20]) {
                    assert.deepEqual((await verify(archive.bytes, archive.record, pieceBytes)).problems, []);
                    assert.deepEqual((await verify(archive.bytes, undefined, pieceBytes)).problems, []);
                }
            });

            it("is recognized whatever byte is damaged, and the place is named", async () => {
                const { bytes, record } = archive;
                const place = fc.integer({ min: 0, max: bytes.length - 1 });
                const mask = fc.integer({ min: 1, max: 255 });
                await fc.assert(
                    fc.asyncProperty(place, mask, async (at, change) => {
                        const { problems } = await verify(flip(bytes, at, change), record);
                        assert.ok(isNamed(problems, at), `${at}: ${problems.join("; ")}`);
                    }),
                    { numRuns },
                );
            });

            it("is recognized all over its headers, its padding and its end", async () => {
                const { bytes, record } = archive;
                const { files } = await readArchive(Readable.from([bytes]));
                const inside = new Set(
                    [...files.values()].flatMap(({ offset, sizeBytes }) =>
                        Array.from({ length: sizeBytes }, (_, at) => offset + at),
                    ),
                );
                for (let at = 0; at < bytes.length; at += step) {
                    // Another bit, or other bits, each time.
                    const change = (at * 37) % 255 || 1;
                    if (!inside.has(at)) {
                        const { problems } = await verify(flip(bytes, at, change));
                        assert.ok(isNamed(problems, at), `${at}: ${problems.join("; ")}`);
                    }
                }
                assert.equal(record.archive.sizeBytes, bytes.length);
            });

            if (name.startsWith("engine stream")) {
                it("is recognized to the byte in the files that no digest covers", async () => {
                    const { bytes, record } = archive;
                    const { files } = await readArchive(Readable.from([bytes]));
                    for (const file of ["oci-layout", "index.json", "manifest.json"]) {
                        const { offset = 0, sizeBytes = 0 } = files.get(file) ?? {};
                        assert.notEqual(sizeBytes, 0);
                        for (let at = offset; at < offset + sizeBytes; at += step) {
                            const { problems } = await verify(flip(bytes, at, 1 + (at % 255)), record);
                            const expected = `${file} is damaged: byte ${at} is not what the engine writes`;
                            assert.ok(problems.includes(expected), problems.join("; "));
                        }
                    }
                });
            }

            it("is recognized without its record too, but in the files that it says are not covered", async () => {
                const { bytes } = archive;
                const { files } = await readArchive(Readable.from([bytes]));
                const { uncovered } = await verify(bytes);
                const covered = [...files.values()].filter(({ name: file }) => !uncovered.includes(file));
                for (const { offset, sizeBytes } of covered.filter((file) => file.sizeBytes > 0)) {
                    for (const at of [offset, offset + sizeBytes - 1]) {
                        const { problems } = await verify(flip(bytes, at, 1));
                        assert.ok(isNamed(problems, at), `${at}: ${problems.join("; ")}`);
                    }
                }
                assert.ok(uncovered.every((file) => !file.includes("layer.tar") && !file.startsWith("blobs/")));
            });

            it("is recognized wherever it ends early, and when something follows it", async () => {
                const { bytes, record } = archive;
                const length = fc.integer({ min: 0, max: bytes.length - 1 });
                await fc.assert(
                    fc.asyncProperty(length, async (left) => {
                        const { problems } = await verify(bytes.subarray(0, left), record);
                        assert.ok(problems.some((problem) => problem.startsWith("the archive ends early")));
                    }),
                    { numRuns: numRuns / 4 },
                );
                const longer = await verify(Buffer.concat([bytes, Buffer.from("x")]), record);
                assert.match(longer.problems.join(), new RegExp(`byte ${bytes.length} is not zero`));
            });
        });
    }
}
