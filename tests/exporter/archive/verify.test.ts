import * as assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import type { ImageRecord } from "../../../contract/record";
import { readArchive } from "../../../exporter/archive/readArchive";
import { tarHeader } from "../../../exporter/archive/tar";
import { exportImage } from "../../../exporter/exportImage";
import { verifyArchive } from "../../../exporter/archive/verify";
import { type FakeRegistry, startRegistry } from "../support/fakeRegistry";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { layersOf, recordOf } from "../../support/readRecord";
import { verifyFile } from "../support/verifyExport";

describe("verifyArchive", () => {
    let registry: FakeRegistry;
    let directory: string;
    let archive: string;
    let layerOffset: number;
    let layerDigest: string;

    beforeEach(async () => {
        const repository = emptyRepository("app");
        addImage(repository, { layers: [fileLayer("f", randomBytesOf(100_000, 1))], tag: "1" });
        registry = await startRegistry({ repository });
        directory = await mkdtemp(path.join(tmpdir(), "verify-"));
        archive = path.join(directory, "app.tar");
        await exportImage({ image: `${registry.host}/app:1`, destination: archive });
        const record = recordOf(await readFile(`${archive}.json`, "utf8"));
        const [layer = assert.fail("no layer")] = layersOf(record);
        [layerOffset, layerDigest] = [layer.offset, layer.digest];
    });
    afterEach(async () => {
        await Promise.all([registry.close(), rm(directory, { recursive: true })]);
    });

    async function change(edit: (bytes: Buffer) => Buffer): Promise<readonly string[]> {
        await writeFile(archive, edit(await readFile(archive)));
        return (await verifyFile(archive)).problems;
    }
    async function changeRecord(from: string | RegExp, to: string): Promise<readonly string[]> {
        const text = await readFile(`${archive}.json`, "utf8");
        assert.match(text, new RegExp(from));
        await writeFile(`${archive}.json`, text.replace(from, to));
        return (await verifyFile(archive)).problems;
    }
    const flip = (at: number) => (bytes: Buffer) => {
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        return bytes;
    };
    const some = (problems: readonly string[], pattern: RegExp): void => {
        assert.ok(
            problems.some((problem) => pattern.test(problem)),
            `${pattern} is not among ${problems.join("; ")}`,
        );
    };

    it("finds nothing wrong with a good archive", async () => {
        const { problems, contents } = await verifyFile(archive);
        assert.deepEqual([problems, contents.roots[0]?.digest], [[], registry.options.repository.tags.get("1")]);
    });
    it("names the blob that is damaged", async () => {
        const problems = await change(flip(layerOffset + 50_000));
        some(problems, new RegExp(`^blob ${layerDigest} has the content of sha256:`));
        some(problems, /^the archive's sha256 is/);
    });
    it("sees an archive that ends early", async () => {
        const problems = await change((bytes) => bytes.subarray(0, layerOffset + 1000));
        const name = layerDigest.replace("sha256:", "blobs/sha256/");
        some(problems, new RegExp(`^the archive ends early, at byte ${layerOffset + 1000}, within ${name}$`));
        some(problems, /^the archive's size is/);
    });
    it("sees a damaged header", async () => {
        some(await change(flip(layerOffset - 512)), /header/);
    });
    it("sees bytes after the end", async () => {
        some(await change((bytes) => Buffer.concat([bytes, Buffer.alloc(512)])), /size/);
    });
    it("sees another image than the record's", async () => {
        some(await changeRecord(/"imageDigest": "sha256:./, '"imageDigest": "sha256:0'), /image's digest/);
    });
    it("sees a layer at another place than the record's", async () => {
        some(
            await changeRecord(`"offset": ${layerOffset}`, '"offset": 1'),
            new RegExp(`offset of blob ${layerDigest}`),
        );
    });
    it("sees files that lead a loader to another image, although the record's hash is theirs", async () => {
        const { files, sizeBytes } = await readArchive(createReadStream(archive));
        const record = recordOf(await readFile(`${archive}.json`, "utf8"));
        const bytes = await readFile(archive);
        async function assertRefused(forged: Buffer, expected: RegExp): Promise<void> {
            const sha256 = createHash("sha256").update(forged).digest("hex");
            const itsRecord = { ...record, archive: { ...record.archive, sha256, sizeBytes: forged.length } };
            some((await verifyArchive(Readable.from([forged]), itsRecord)).problems, expected);
        }
        const list = files.get("manifest.json") ?? assert.fail();
        const other = Buffer.from(bytes);
        // Go's decoder takes keys in any case, and the last of two.
        other.write(
            other.toString("latin1", list.offset, list.offset + list.sizeBytes).replace("Config", "config"),
            list.offset,
            "latin1",
        );
        await assertRefused(other, /^manifest\.json is damaged: byte \d+ is not/);

        const second = Buffer.concat([tarHeader("manifest.json", 2), Buffer.from("[]"), Buffer.alloc(510)]);
        const end = sizeBytes - 1024;
        await assertRefused(
            Buffer.concat([bytes.subarray(0, end), second, bytes.subarray(end)]),
            /^manifest\.json is there twice/,
        );
        const surplus = tarHeader("extra", 0);
        await assertRefused(
            Buffer.concat([bytes.subarray(0, end), surplus, bytes.subarray(end)]),
            /^extra .* not what/,
        );

        // Some readers take a folder's size for a body, others for nothing.
        const folder = files.get("blobs/sha256/") ?? assert.fail();
        const at = folder.offset - 512;
        const hiding = tarHeader("blobs/sha256/", 1024);
        await assertRefused(
            Buffer.concat([bytes.subarray(0, at), hiding, Buffer.alloc(1024), bytes.subarray(at + 512)]),
            /^blobs\/sha256\/ is no file and has a size/,
        );
    });
    it("sees a record of engine docker over another image", async () => {
        const record = recordOf(await readFile(`${archive}.json`, "utf8"));
        const images = record.images.map((image) => ({ ...image, configDigest: `sha256:${"1".repeat(64)}` }));
        const other: ImageRecord = { ...record, engine: { name: "docker", version: "1" }, images };
        const { problems } = await verifyArchive(createReadStream(archive), other);
        some(problems, /^the image's configuration is sha256:/);
    });
    it("says what an archive without an index lacks", async () => {
        async function* nothing(): AsyncIterable<Buffer> {
            yield await Promise.resolve(Buffer.alloc(1024));
        }
        assert.deepEqual((await verifyArchive(nothing())).problems, ["index.json is missing"]);
    });
});
