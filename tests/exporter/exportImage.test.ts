import * as assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { type ExportOptions, exportImage, type ExportOutcome } from "../../exporter/exportImage";
import type { ImageResult } from "../../contract/request";
import { verifyArchive } from "../../exporter/archive/verify";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import type { Fault } from "./support/faults";
import {
    addImage,
    addIndex,
    addManifest,
    emptyRepository,
    fileLayer,
    mediaTypes,
    randomBytesOf,
} from "./support/images";
import { quickIdleTimeoutMs, quickRetries } from "./support/quick";
import { layersOf, recordOf } from "../support/readRecord";
import { verifyFile, verifyObject } from "./support/verifyExport";

const mebibyte = 1024 ** 2;
const large = fileLayer("large", randomBytesOf(6 * mebibyte, 1));
const small = fileLayer("small", Buffer.from("small"));

describe("exportImage", () => {
    let registry: FakeRegistry;
    let s3: FakeS3;
    let directory: string;

    beforeEach(async () => {
        const repository = emptyRepository("team/app");
        const amd = addImage(repository, { layers: [small, large], tag: "1" });
        addImage(repository, { layers: [small], tag: "small", family: "docker" });
        const arm = addImage(repository, { layers: [small], architecture: "arm64", variant: "v8", tag: "arm" });
        addIndex(repository, [amd, arm], { tag: "index", attestation: true });
        registry = await startRegistry({ repository });
        s3 = await startS3();
        directory = await mkdtemp(path.join(tmpdir(), "export-"));
    });
    afterEach(async () => {
        await Promise.all([registry.close(), s3.close(), rm(directory, { recursive: true })]);
    });

    function run(
        tag: string,
        options: Partial<ExportOptions & { image: string }> = {},
    ): Promise<ExportOutcome<ImageResult>> {
        return exportImage({
            image: `${registry.host}/team/app:${tag}`,
            destination: "s3://bucket/images/app.tar",
            env: s3.env,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            ...options,
        });
    }
    const archive = () => s3.objects.get("bucket/images/app.tar") ?? assert.fail("no archive");
    const record = () => recordOf(s3.objects.get("bucket/images/app.tar.json")?.body.toString());
    async function* chunks(body: Buffer): AsyncIterable<Buffer> {
        yield await Promise.resolve(body);
    }

    it("puts a large image into S3 in parts, with its record and its metadata", async () => {
        const env = { ...s3.env, EXECUTION_ID: "execution", CODEBUILD_BUILD_ID: "build" };
        const result = await run("1", { env });
        const digest = registry.options.repository.tags.get("1");
        const { body, headers } = archive();
        assert.deepEqual(result, {
            imageUri: `${registry.host}/team/app:1`,
            imageDigest: digest,
            platform: "linux/amd64",
            artifactBucket: "bucket",
            artifactKey: "images/app.tar",
            artifactVersionId: null,
            sizeBytes: body.length,
            sha256: record().archive.sha256,
            referrerCount: null,
            baseSha256: null,
            skipped: false,
            engine: "stream",
            buildId: "build",
        });
        assert.equal(headers["x-amz-meta-image-digest"], digest);
        assert.equal(headers["x-amz-meta-platform"], "linux/amd64");
        assert.equal(headers["content-type"], "application/x-tar");
        const { imageUri, imageDigest, images, engine, executionId, buildId } = record();
        assert.deepEqual([imageUri, imageDigest], [result.imageUri, digest]);
        assert.deepEqual(engine, { name: "stream", version: "0.1.0" });
        const [image = assert.fail(), ...others] = images;
        assert.deepEqual([image.platform, others], ["linux/amd64", []]);
        assert.deepEqual(image.diffIds, [small.diffId, large.diffId]);
        assert.ok(registry.options.repository.blobs.has(image.configDigest));
        assert.deepEqual([executionId, buildId], ["execution", "build"]);
        assert.deepEqual(
            layersOf(record()).map(({ sizeBytes }) => sizeBytes),
            [small.bytes.length, large.bytes.length],
        );
        assert.deepEqual((await verifyObject(s3, "images/app.tar")).problems, []);
        assert.equal(s3.uploads.size, 0);
        assert.ok(s3.requests.filter(({ url }) => url.includes("partNumber")).length >= 2);
    });

    it("puts a small image as one part", async () => {
        await run("small");
        assert.deepEqual((await verifyArchive(chunks(archive().body), record())).problems, []);
        assert.equal(s3.requests.filter(({ url }) => url.includes("partNumber")).length, 1);
    });

    it("writes the record last, naming the version of the archive", async () => {
        s3.versioned = true;
        for (const tag of ["1", "small"]) {
            s3.requests.length = 0;
            const { artifactVersionId } = await run(tag);
            const writes = s3.requests.filter(({ method }) => method === "PUT" || method === "POST");
            assert.match(writes.at(-1)?.url ?? "", /app\.tar\.json/);
            assert.equal(writes.filter(({ url }) => url.includes("app.tar.json")).length, 1);
            assert.equal(artifactVersionId, archive().headers["x-amz-version-id"]);
            assert.equal(record().archive.versionId, artifactVersionId);
        }
    });

    it("takes the version `null` of a bucket whose versioning is suspended for none, also where a look does not show it", async () => {
        s3.versioned = "suspended";
        for (const shows of [true, false]) {
            s3.gate = ({ method }) => {
                const headers = s3.objects.get("bucket/images/app.tar")?.headers;
                if (method === "HEAD" && !shows && headers) delete headers["x-amz-version-id"];
                return Promise.resolve();
            };
            const { artifactVersionId, skipped } = await run("1", { force: true });
            assert.deepEqual([artifactVersionId, record().archive.versionId, skipped], [null, null, false]);
            assert.equal((await run("1")).skipped, true);
        }
    });

    it("says in the metadata of the record's object what it takes to report the export again", async () => {
        s3.versioned = true;
        const { sha256, artifactVersionId, imageDigest } = await run("index");
        const { headers } = s3.objects.get("bucket/images/app.tar.json") ?? assert.fail("no record");
        const metadata = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-"));
        assert.deepEqual(Object.fromEntries(metadata), {
            "x-amz-meta-engine": "stream",
            "x-amz-meta-layout": "1",
            "x-amz-meta-image-name": `${registry.host}/team/app:index`,
            "x-amz-meta-image-digest": imageDigest,
            "x-amz-meta-index-digest": registry.options.repository.tags.get("index"),
            "x-amz-meta-platform": "linux/amd64",
            "x-amz-meta-archive-sha256": sha256,
            "x-amz-meta-archive-version-id": artifactVersionId,
        });
    });

    it("makes the same bytes whatever the concurrency, login and redirects", async () => {
        const first = await run("1", { concurrency: 1 });
        const { body } = archive();
        registry.options.redirectUses = 3;
        registry.options.login = "bearer";
        const credentials = () => Promise.resolve({ username: "user", password: "secret" });
        const second = await run("1", { concurrency: 7, force: true, credentials });
        assert.equal(first.sha256, second.sha256);
        assert.ok(body.equals(archive().body));
    });

    it("makes the same bytes for a tag of an index as for the platform's own digest under that name", async () => {
        const viaIndex = await run("index", { platform: "linux/amd64" });
        const { tags } = registry.options.repository;
        assert.equal(record().indexDigest, tags.get("index"));
        const digest = tags.get("1") ?? "";
        const direct = await run(`index@${digest}`, { force: true });
        assert.deepEqual([viaIndex.sha256, viaIndex.imageDigest], [direct.sha256, digest]);
        assert.equal(record().indexDigest, null);
    });

    describe("with the digest that the state machine was told", () => {
        const tagDigest = (tag: string): string => registry.options.repository.tags.get(tag) ?? assert.fail(tag);

        it("exports exactly that under the tag's name, wherever the tag points by now", async () => {
            const env = { ...s3.env, IMAGE_DIGEST: tagDigest("small") };
            const { imageUri, imageDigest } = await run("1", { env });
            assert.deepEqual([imageUri, imageDigest], [`${registry.host}/team/app:1`, tagDigest("small")]);
            assert.deepEqual([record().imageUri, record().imageName], [imageUri, imageUri]);
            assert.equal((await run("1", { env })).skipped, true);
        });
        it("chooses the platform from it", async () => {
            const env = { ...s3.env, IMAGE_DIGEST: tagDigest("index") };
            const { imageDigest } = await run("1", { env, platform: "linux/arm64" });
            assert.equal(imageDigest, tagDigest("arm"));
            assert.equal(record().indexDigest, tagDigest("index"));
        });
        it("goes by the digest of the URI where it has one, and asks for the tag where none was told", async () => {
            const env = { ...s3.env, IMAGE_DIGEST: tagDigest("small") };
            assert.equal((await run(`small@${tagDigest("1")}`, { env })).imageDigest, tagDigest("1"));
            const none = { ...s3.env, IMAGE_DIGEST: "" };
            assert.equal((await run("1", { env: none })).imageDigest, tagDigest("1"));
        });
        it("refuses what is no digest", async () => {
            const env = { ...s3.env, IMAGE_DIGEST: "sha256:1" };
            const message = /^IMAGE_DIGEST is "sha256:1": expected/;
            await assert.rejects(run("1", { env }), { name: "InvalidInput", message });
        });
    });

    describe("from a pull-through cache that has yet to import the image", () => {
        const asked = () =>
            registry.requests.filter(({ url }) => url.includes("/manifests/")).map(({ url }) => url.split("/").at(-1));
        let digest: string;
        beforeEach(() => {
            registry.options.importsByTag = true;
            digest = registry.options.repository.tags.get("1") ?? "";
        });

        it("finds a digest by way of its tag", async () => {
            const { imageDigest } = await run(`1@${digest}`);
            assert.equal(imageDigest, digest);
            assert.deepEqual(asked(), [digest, "1", digest]);
        });

        it("does not find a digest without a tag", async () => {
            const image = `${registry.host}/team/app@${digest}`;
            await assert.rejects(run("", { image }), { name: "ImageNotFound" });
            assert.deepEqual(asked(), [digest]);
        });

        it("says of a tag that does not exist either that it is not there", async () => {
            await assert.rejects(run(`2@${digest}`), { name: "ImageNotFound", message: /manifest 2/ });
        });

        it("asks for the tag for no other reason", async () => {
            registry.options.fault = ({ url }) => (url.includes(digest) ? { kind: "status", status: 403 } : undefined);
            await assert.rejects(run(`1@${digest}`), { name: "AccessDenied" });
            assert.deepEqual(asked(), [digest]);
        });
    });

    describe("skip", () => {
        it("does nothing when the same export is there", async () => {
            const first = await run("1");
            registry.requests.length = 0;
            s3.requests.length = 0;
            const second = await run("1");
            assert.deepEqual(second, { ...first, skipped: true });
            assert.deepEqual(s3.requests.map(({ method }) => method).sort(), ["GET", "HEAD"]);
            assert.ok(registry.requests.every(({ url }) => !url.includes(large.diffId)));
        });
        it("exports again when forced", async () => {
            await run("1");
            assert.equal((await run("1", { force: true })).skipped, false);
        });
        it("exports again for another image, platform or name at the key", async () => {
            await run("small");
            assert.equal((await run("1")).skipped, false);
            assert.equal((await run("index")).skipped, false); // the same image by another name
            assert.equal((await run("index", { platform: "all" })).skipped, false);
            assert.equal((await run("index", { platform: "all" })).skipped, true);
        });
        it("exports again when the record is missing or not the archive's", async () => {
            await run("small");
            s3.objects.delete("bucket/images/app.tar.json");
            assert.equal((await run("small")).skipped, false);
            archive().body = archive().body.subarray(1);
            assert.equal((await run("small")).skipped, false);
        });
        it("exports again when the record is that of another version", async () => {
            s3.versioned = true;
            await run("small");
            archive().headers["x-amz-version-id"] = "put-by-hand";
            assert.equal((await run("small")).skipped, false);
            assert.equal((await run("small")).skipped, true);
        });
    });

    describe("platforms", () => {
        const platforms = () => record().images.map(({ platform }) => platform);
        it("exports the one asked for", async () => {
            const { imageDigest } = await run("index", { platform: "linux/arm64" });
            assert.equal(imageDigest, registry.options.repository.tags.get("arm"));
            assert.deepEqual(platforms(), ["linux/arm64/v8"]);
        });
        it("exports all: the index, its images and its attestations", async () => {
            const { imageDigest } = await run("index", { platform: "all" });
            assert.equal(imageDigest, registry.options.repository.tags.get("index"));
            assert.deepEqual(platforms(), ["linux/amd64", "linux/arm64/v8"]);
            assert.ok(record().images.every(({ diffIds, layers }) => diffIds?.length === layers?.length));
            assert.deepEqual((await verifyArchive(chunks(archive().body), record())).problems, []);
        });
        it("does not export an image of another platform", async () => {
            const message = /no platform linux\/amd64. It has: linux\/arm64\/v8/;
            await assert.rejects(run("arm"), { name: "ImageNotFound", message });
        });
    });

    describe("refuses", () => {
        const types = mediaTypes.oci;
        function add(tag: string, configType: string, layerType: string): void {
            const { repository } = registry.options;
            const config = { mediaType: configType, digest: `sha256:${"1".repeat(64)}`, size: 2 };
            const layer = { mediaType: layerType, digest: `sha256:${"2".repeat(64)}`, size: 2 };
            const document = { schemaVersion: 2, mediaType: types.manifest, config, layers: [layer] };
            addManifest(repository, document, types.manifest, tag);
        }
        it("foreign layers without bytes", async () => {
            add("windows", types.config, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
            await assert.rejects(run("windows"), { name: "InvalidInput", message: /foreign/ });
        });
        it("a tag that does not exist", async () => {
            await assert.rejects(run("none"), { name: "ImageNotFound" });
        });
        it("a bucket that does not exist", async () => {
            await assert.rejects(run("1", { destination: "s3://elsewhere/x.tar" }), {
                name: "InvalidInput",
                message: /NoSuchBucket/,
            });
        });
        for (const [option, value] of [
            ["image", "UPPER/case"],
            ["destination", "s3://bucket"],
            ["destination", "directory/"],
            ["destination", "s3://bucket/app.tar.json"],
            ["platform", "linux"],
        ] as const) {
            it(`${option} ${JSON.stringify(value)}`, async () => {
                await assert.rejects(run("1", { [option]: value }), { name: "InvalidInput" });
            });
        }
    });

    describe("failure", () => {
        function assertNothingLeft(): void {
            assert.deepEqual([[...s3.objects.keys()], [...s3.uploads.keys()]], [[], []]);
        }
        it("of a blob with another digest leaves nothing", async () => {
            registry.options.fault = ({ url }) =>
                url.includes("/blobs/") ? { kind: "corrupt", atByte: 1000 } : undefined;
            await assert.rejects(run("1"), { name: "DigestMismatch" });
            assertNothingLeft();
        });
        it("of a layer leaves nothing", async () => {
            const { repository } = registry.options;
            const [, , last = ""] = repository.blobs.keys();
            repository.blobs.delete(last);
            await assert.rejects(run("1"), { name: "ImageNotFound" });
            assertNothingLeft();
        });
        it("of the store leaves nothing", async () => {
            s3.fault = ({ url }) => (url.includes("partNumber=2") ? { kind: "status", status: 503 } : undefined);
            await assert.rejects(run("1"), { name: "ExportFailed", message: /part 2/ });
            assertNothingLeft();
        });
        it("at the very end leaves nothing", async () => {
            s3.fault = ({ method, url }) =>
                method === "POST" && url.includes("uploadId") ? { kind: "status", status: 500 } : undefined;
            await assert.rejects(run("1"), { name: "ExportFailed" });
            assertNothingLeft();
        });
        it("at the very end leaves the archive of before with its record, untouched", async () => {
            await run("small");
            const before = [archive(), s3.objects.get("bucket/images/app.tar.json")];
            s3.fault = ({ method, url }) =>
                method === "POST" && url.includes("uploadId") ? { kind: "status", status: 403 } : undefined;
            await assert.rejects(run("1"), { name: "AccessDenied" });
            assert.deepEqual([archive(), s3.objects.get("bucket/images/app.tar.json")], before);
        });
        it("of the record says so, and the archive without it counts for nothing", async () => {
            s3.fault = ({ method, url }) =>
                method === "PUT" && url.includes("app.tar.json") ? { kind: "status", status: 403 } : undefined;
            const message = /s3:\/\/bucket\/images\/app\.tar is complete, but its record could not be written: .*403/;
            await assert.rejects(run("1"), { name: "AccessDenied", message });
            s3.fault = undefined;
            assert.equal((await run("1")).skipped, false);
        });
        it("to see the archive that was just written is no race", async () => {
            s3.fault = ({ method }) => (method === "HEAD" ? { kind: "status", status: 403 } : undefined);
            await assert.rejects(run("1"), { name: "AccessDenied", message: /record .*s3:GetObject/ });
        });
        it("to hear that the record was written is made up for by looking", async () => {
            let isLost = false;
            s3.fault = ({ method, url }) => {
                const isNow = !isLost && method === "PUT" && url.includes("app.tar.json");
                isLost ||= isNow;
                return isNow ? { kind: "lostAnswer" } : undefined;
            };
            assert.equal((await run("1")).skipped, false);
            assert.equal((await run("1")).skipped, true);
        });
        it("to hear, however often it asks, that the record was written is made up for by looking", async () => {
            s3.fault = ({ method, url }) =>
                method === "PUT" && url.includes("app.tar.json") ? { kind: "lostAnswer" } : undefined;
            assert.equal((await run("1")).skipped, false);
            s3.fault = undefined;
            assert.equal((await run("1")).skipped, true);
        });
        it("by a signal leaves nothing", async () => {
            const abort = new AbortController();
            const onProgress = ({ writtenBytes }: { writtenBytes: number }): void => {
                if (writtenBytes > 0) {
                    abort.abort(new Error("stopped by a test"));
                }
            };
            const stopped = run("1", { signal: abort.signal, onProgress, concurrency: 1 });
            await assert.rejects(stopped, { name: "ExportFailed", message: "stopped by a test" });
            assertNothingLeft();
        });
        it("to hear that the upload was completed is made up for by looking", async () => {
            let isLost = false;
            s3.fault = ({ method, url }) => {
                const isNow = !isLost && method === "POST" && url.includes("uploadId");
                isLost ||= isNow;
                return isNow ? { kind: "lostAnswer" } : undefined;
            };
            assert.equal((await run("1")).skipped, false);
            assert.ok(archive());
        });
        it("to hear, however often it asks, that the upload was completed is made up for by looking", async () => {
            s3.fault = ({ method, url }) =>
                method === "POST" && url.includes("uploadId") ? { kind: "lostAnswer" } : undefined;
            assert.equal((await run("1")).skipped, false);
            assert.equal(s3.uploads.size, 0);
        });
        const ofListing: Record<string, Fault | undefined> = {
            "": undefined,
            ", though the list of uploads arrives damaged": { kind: "corrupt", atByte: 0 },
            ", though the list of uploads is cut off": { kind: "short", bytes: 30 },
        };
        for (const [what, fault] of Object.entries(ofListing)) {
            it(`to hear that an upload was created leaves no upload${what}`, async () => {
                const faults: (Fault | undefined)[] = [{ kind: "lostAnswer" }, fault];
                s3.fault = ({ url }) => (/[?&]uploads/.test(url) ? faults.shift() : undefined);
                await run("1");
                assert.deepEqual([faults.length, s3.uploads.size], [0, 0]);
            });
        }
    });

    describe("to a file", () => {
        it("writes archive and record, skips, and writes again when forced", async () => {
            const destination = path.join(directory, "app.tar");
            const first = await run("1", { destination });
            assert.deepEqual([first.artifactBucket, first.artifactKey], [null, destination]);
            assert.deepEqual((await verifyFile(destination)).problems, []);
            assert.equal((await run("1", { destination })).skipped, true);
            assert.equal((await run("1", { destination, force: true })).skipped, false);
            await run("1");
            assert.ok(archive().body.equals(await readFile(destination)), "S3 has other bytes than the file");
        });
        it("leaves no file after a failure", async () => {
            registry.options.fault = ({ url }) =>
                url.includes("/blobs/") ? { kind: "corrupt", atByte: 9 } : undefined;
            await assert.rejects(run("1", { destination: path.join(directory, "app.tar") }), {
                name: "DigestMismatch",
            });
            assert.deepEqual(await readdir(directory), []);
        });
        it("says that it cannot write", async () => {
            const destination = path.join(directory, "none", "app.tar");
            await assert.rejects(run("1", { destination }), { name: "ExportFailed", message: /ENOENT/ });
        });
    });

    it("tells how far it is", async () => {
        let last = { writtenBytes: 0, totalBytes: 0 };
        const { sizeBytes } = await run("1", {
            onProgress: (progress) => {
                assert.ok(progress.writtenBytes >= last.writtenBytes);
                last = { ...progress };
            },
        });
        assert.deepEqual([last.writtenBytes, last.totalBytes], [sizeBytes, sizeBytes]);
    });
});
