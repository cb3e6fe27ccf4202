import * as assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import { exportsOf, parseRecord, setDigestOf } from "../../contract/record";
import type { RequestedImage, SetResult } from "../../contract/request";
import { setLimit } from "../../contract/set";
import { exportImage, type ExportOptions, type ExportOutcome } from "../../exporter/exportImage";
import { verifyArchive } from "../../exporter/archive/verify";
import { setRecordOf } from "../support/readRecord";
import { checkSet } from "./support/checkedSets";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import {
    addBlob,
    addImage,
    addIndex,
    addManifest,
    emptyRepository,
    fileLayer,
    mediaTypes,
    randomBytesOf,
} from "./support/images";
import { quickIdleTimeoutMs, quickRetries } from "./support/quick";

describe("a set of images", () => {
    let registry: FakeRegistry;
    let s3: FakeS3;
    let directory: string;
    const base = fileLayer("base", randomBytesOf(300_000, 1));
    const own = (name: string) => fileLayer(name, Buffer.from(name));

    beforeEach(async () => {
        const repository = emptyRepository("team/app");
        for (const tag of ["1", "2", "3"]) addImage(repository, { layers: [base, own(tag)], tag });
        const amd = addImage(repository, { layers: [base, own("amd")] });
        const arm = addImage(repository, { layers: [own("arm")], architecture: "arm64", variant: "v8" });
        addIndex(repository, [amd, arm], { tag: "index", attestation: true });
        registry = await startRegistry({ repository });
        s3 = await startS3();
        directory = await mkdtemp(path.join(tmpdir(), "set-"));
    });
    afterEach(async () => {
        await Promise.all([registry.close(), s3.close(), rm(directory, { recursive: true })]);
    });

    const uri = (tag: string) => `${registry.host}/team/app:${tag}`;
    const uris = (...tags: string[]) => tags.map(uri);
    function run(image: readonly RequestedImage[], options: Partial<ExportOptions> = {}) {
        return exportImage({
            image,
            destination: "s3://bucket/images/set.tar",
            env: s3.env,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            ...options,
        }) as Promise<ExportOutcome<SetResult>>;
    }
    const archive = () => s3.objects.get("bucket/images/set.tar") ?? assert.fail("no archive");
    const record = () => setRecordOf(s3.objects.get("bucket/images/set.tar.json")?.body.toString());
    const verify = async (bytes: Buffer, options = {}) =>
        (await verifyArchive(Readable.from([bytes]), record(), { deep: true, ...options })).problems;

    it("is one archive with every blob once, and a record that lists its images by name", async () => {
        const result = await run([...uris("3", "1"), { imageUri: uri("index"), platform: "all" }]);
        const { setDigest, imageCount, savedBytes, sizeBytes, skipped } = result;
        assert.deepEqual([imageCount, skipped, sizeBytes], [3, false, archive().body.length]);
        assert.deepEqual(
            record().set.map(({ imageName, platform, imageDigest }) => [imageName, platform, imageDigest]),
            [
                [uri("1"), "linux/amd64"],
                [uri("3"), "linux/amd64"],
                [uri("index"), "all"],
            ].map(([name = "", platform]) => [
                name,
                platform,
                registry.options.repository.tags.get(name.split(":").at(-1) ?? ""),
            ]),
        );
        assert.deepEqual([record().setDigest, record().savedBytes], [setDigest, savedBytes]);
        assert.equal(setDigestOf(exportsOf(record())), setDigest);
        // The base is in all three.
        assert.ok(savedBytes >= 600_000 && sizeBytes < 400_000, `${savedBytes} of ${sizeBytes}`);
        assert.deepEqual(await verify(archive().body), []);
        const { contents } = await verifyArchive(Readable.from([archive().body]));
        assert.deepEqual(
            contents.roots.map(({ annotations }) => annotations?.["org.opencontainers.image.ref.name"]),
            record().set.map(({ imageName }) => imageName),
        );
        const { headers } = archive();
        assert.deepEqual(
            [headers["x-amz-meta-set-digest"], headers["x-amz-meta-image-digest"]],
            [setDigest, undefined],
        );
    });

    it("has the same bytes in any order, and once where an image is named twice", async () => {
        await run(uris("1", "2", "3"));
        const first = archive().body;
        for (const order of [uris("3", "2", "1"), uris("2", "3", "1", "2", "1")]) {
            assert.equal((await run(order)).skipped, true);
            await run(order, { force: true });
            assert.ok(archive().body.equals(first));
        }
        assert.equal((await run(uris("1", "2"))).skipped, false);
    });

    it("of images that Docker cannot load together is good, too", async () => {
        const { repository } = registry.options;
        addImage(repository, { layers: [own("win")], os: "windows", tag: "win" });
        const config = addBlob(repository, Buffer.from("{}"), "application/vnd.cncf.helm.config.v1+json");
        const { manifest } = mediaTypes.oci;
        addManifest(repository, { schemaVersion: 2, mediaType: manifest, config, layers: [] }, manifest, "chart");
        await run([
            uri("1"),
            { imageUri: uri("win"), platform: "windows/amd64" },
            { imageUri: uri("chart"), platform: "all" },
            `${registry.host}/team/app@${repository.tags.get("2") ?? ""}`,
        ]);
        assert.deepEqual(await verify(archive().body), []);
        assert.deepEqual((await verifyArchive(Readable.from([archive().body]))).problems, []);
    });

    it("of one image has the bytes of that image's own archive, and another record", async () => {
        await run(uris("1"));
        const [bytes, { archive: described }] = [archive().body, record()];
        const one = await exportImage({ image: uri("1"), destination: path.join(directory, "a.tar"), env: {} });
        assert.deepEqual([one.sha256, one.sizeBytes], [described.sha256, bytes.length]);
    });

    it("becomes a file too, with nothing else left", async () => {
        const destination = path.join(directory, "set.tar");
        const { sha256 } = await run(uris("1", "2"), { destination, env: {} });
        assert.deepEqual((await readdir(directory)).sort(), ["set.tar", "set.tar.json"]);
        const read = parseRecord(await readFile(`${destination}.json`, "utf8"));
        assert.ok("record" in read && read.record.archive.sha256 === sha256);
    });

    it("fails as a whole, and names all images that are missing", async () => {
        await assert.rejects(run(uris("1", "gone", "2", "lost")), {
            name: "ImageNotFound",
            message: new RegExp(`^2 of the 4 images are missing: ${uri("gone")}, ${uri("lost")}\\. `),
        });
        await assert.rejects(run([uri("gone"), { imageUri: uri("1"), platform: "all" }, "localhost:1/a"]), {
            name: "ExportFailed",
            message: /^localhost:1\/a: /,
        });
        assert.deepEqual([s3.objects.size, s3.uploads.size], [0, 0]);
    });

    it("refuses what is no set", async () => {
        const refused: [readonly RequestedImage[], RegExp][] = [
            [[], /^A set has 1 to 500 images, and this one has 0\.$/],
            [Array.from({ length: setLimit + 1 }, (_, at) => uri(String(at))), /this one has 501\.$/],
            [
                [uri("1"), { imageUri: uri("1"), platform: "linux/arm64" }],
                /one image of a name, .* for linux\/arm64\.$/,
            ],
            [[uri("1"), `${uri("1")}@sha256:${"0".repeat(64)}`], /one image of a name/],
            [["UPPER"], /"UPPER" is not an image reference/],
            [[{ imageUri: uri("1"), platform: "linux" }], /platform/],
        ];
        for (const [images, message] of refused) await assert.rejects(run(images), { name: "InvalidInput", message });
        assert.equal(registry.requests.length, 0);
    });

    it("is what the archives of its images are, whatever is in it", async () => {
        for (const seed of [1010, 1027]) await checkSet(seed);
    });

    it("is not good where a byte, an image or the record is another's", async () => {
        await run(uris("1", "2"));
        const { body } = archive();
        const good = record();
        const [one = assert.fail(), other = assert.fail()] = good.set;
        assert.deepEqual(await verify(body, { image: uri("2"), digest: other.imageDigest }), []);
        assert.match(
            (await verify(body, { image: uri("2"), digest: one.imageDigest })).join(),
            /digest is .* expected/,
        );
        assert.match((await verify(body, { image: uri("3") })).join(), /name is .* expected/);
        const records: [Partial<typeof good>, RegExp][] = [
            [{ set: [one] }, /number of images|not what the engine writes/],
            [{ set: [other, one] }, /in the order of their names/],
            [{ set: [one, { ...other, imageName: uri("9") }] }, /not what the engine writes|damaged/],
            [{ savedBytes: 0 }, /sharing saves \d+ bytes, the record says 0/],
            [{ setDigest: `sha256:${"0".repeat(64)}` }, /digest of the set/],
        ];
        for (const [changes, problem] of records) {
            const { problems } = await verifyArchive(
                (async function* () {
                    yield await Promise.resolve(body);
                })(),
                { ...good, ...changes },
            );
            assert.match(problems.join("; "), problem);
        }
    });
});
