import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import { verifyArchive } from "../../exporter/archive/verify";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import type { Descriptor } from "../../exporter/registry/manifest";
import { anyRecordOf, recordOf } from "../support/readRecord";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import {
    addBlob,
    addImage,
    addIndex,
    addManifest,
    addReferrer,
    addReferrersTag,
    emptyRepository,
    fileLayer,
    mediaTypes,
    type Repository,
    tagOf,
} from "./support/images";
import { quickIdleTimeoutMs, quickRetries } from "./support/quick";

describe("what belongs to an image", () => {
    let registry: FakeRegistry;
    let s3: FakeS3;
    let repository: Repository;
    let amd: Descriptor;
    let index: Descriptor;
    const own = (name: string) => fileLayer(name, Buffer.from(name));

    beforeEach(async () => {
        repository = emptyRepository("team/app");
        amd = addImage(repository, { layers: [own("amd")], tag: "1" });
        const arm = addImage(repository, { layers: [own("arm")], architecture: "arm64" });
        index = addIndex(repository, [amd, arm], { tag: "index", attestation: true });
        registry = await startRegistry({ repository, referrers: 2 });
        s3 = await startS3();
    });
    afterEach(async () => {
        await Promise.all([registry.close(), s3.close()]);
    });

    const uri = (tag: string) => `${registry.host}/team/app:${tag}`;
    const run = (image: string | string[], options: Partial<ExportOptions> = {}) =>
        exportImage({
            image,
            destination: "s3://bucket/images/app.tar",
            referrers: true,
            env: s3.env,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            ...options,
        });
    const archive = () => s3.objects.get("bucket/images/app.tar")?.body ?? assert.fail("no archive");
    const recordText = () => s3.objects.get("bucket/images/app.tar.json")?.body.toString();
    const record = () => recordOf(recordText());
    const verify = (withRecord = true) =>
        verifyArchive(Readable.from([archive()]), withRecord ? anyRecordOf(recordText()) : undefined, { deep: true });
    const links = () => (record().referrers ?? []).map(({ type, subject, tag }) => [type, subject, tag]);

    it("comes along by the registry's own list, page by page, and under cosign's tags; what belongs to that, too", async () => {
        const sboms = ["one", "two", "three", "four", "five"].map((content) =>
            addReferrer(repository, amd, { content }),
        );
        const [sbom = amd] = sboms;
        const signature = addReferrer(repository, sbom, { type: "application/vnd.dev.sigstore.bundle.v0.3+json" });
        const simple = "application/vnd.dev.cosign.simplesigning.v1+json";
        addReferrer(repository, amd, { type: simple, tag: tagOf(amd, ".sig") });
        addReferrer(repository, signature, { type: simple, content: "other", tag: tagOf(signature, ".att") });
        const { referrerCount } = await run(uri("1"));
        assert.equal(referrerCount, 8);
        assert.deepEqual(
            new Set(links()),
            new Set([
                ...sboms.map(() => ["application/spdx+json", amd.digest, null]),
                ["application/vnd.dev.sigstore.bundle.v0.3+json", sbom.digest, null],
                [simple, amd.digest, tagOf(amd, ".sig")],
                [simple, signature.digest, tagOf(signature, ".att")],
            ]),
        );
        for (const withRecord of [true, false]) {
            const { problems, contents } = await verify(withRecord);
            assert.deepEqual(problems, []);
            assert.deepEqual(
                [contents.names, contents.roots.length, contents.referrers.entries.length],
                [[uri("1")], 1, 11],
            );
        }
    });

    it("comes along under the tag that clients keep, where the registry knows no referrers", async () => {
        delete registry.options.referrers;
        const sbom = addReferrer(repository, amd);
        addReferrersTag(repository, amd);
        addReferrer(repository, sbom, { type: "text/plain" });
        addReferrersTag(repository, sbom);
        await run(uri("1"));
        assert.deepEqual(
            new Set(links()),
            new Set([
                ["application/spdx+json", amd.digest, null],
                ["text/plain", sbom.digest, null],
            ]),
        );
        assert.deepEqual((await verify()).problems, []);
    });

    it("of one platform are its attestations, and the signatures of its index, which comes along for them", async () => {
        await run(uri("index"));
        assert.deepEqual(links(), [["application/vnd.in-toto+json", amd.digest, null]]);
        assert.deepEqual([(await verify()).problems, (await verify(false)).problems], [[], []]);
        assert.ok(!archive().includes(`blobs/${index.digest.replace(":", "/")}`));
        for (const tag of [undefined, tagOf(index, ".sig")]) {
            addReferrer(repository, index, { type: "application/vnd.example", ...(tag && { tag }) });
            await run(uri("index"));
            assert.ok(archive().includes(`blobs/${index.digest.replace(":", "/")}`));
            assert.ok(links().some(([, subject, named]) => subject === index.digest && named === (tag ?? null)));
            for (const withRecord of [true, false]) assert.deepEqual((await verify(withRecord)).problems, []);
        }
    });

    it("is marked for cosign where its signature is: at the image, or at the index that this was chosen from", async () => {
        const marked = async () => {
            await run(uri("index"));
            const { entries } = (await verify()).contents.referrers;
            return entries.flatMap(({ digest, annotations }) => {
                const kind = annotations?.["kind"]?.replace("dev.cosignproject.cosign/", "");
                return kind ? [[digest, kind]] : [];
            });
        };
        assert.deepEqual(await marked(), [[amd.digest, "image"]]);
        addReferrer(repository, amd, { tag: tagOf(amd, ".sbom") });
        addReferrer(repository, index, { type: "application/vnd.dev.sigstore.bundle.v0.3+json" });
        assert.deepEqual(await marked(), [[index.digest, "image"]]);
        const signature = addReferrer(repository, index, { tag: tagOf(index, ".sig") });
        assert.deepEqual(await marked(), [
            [index.digest, "imageIndex"],
            [signature.digest, "sigs"],
        ]);
    });

    it("of all platforms belongs to any of its manifests", async () => {
        addReferrer(repository, index, { content: "index" });
        addReferrer(repository, amd, { content: "image" });
        await run(uri("index"), { platform: "all" });
        assert.deepEqual(new Set(links().map(([, subject]) => subject)), new Set([index.digest, amd.digest]));
        assert.deepEqual([(await verify()).problems, (await verify(false)).problems], [[], []]);
    });

    it("makes the same archive in any order, and none where there is nothing", async () => {
        await run(uri("1"), { referrers: false });
        const without = archive();
        assert.equal(record().referrers, null);
        const { skipped, referrerCount } = await run(uri("1"));
        assert.deepEqual([skipped, referrerCount, record().referrers], [false, 0, []]);
        assert.ok(archive().equals(without));
        for (const content of ["one", "two", "three"]) addReferrer(repository, amd, { content });
        await run(uri("1"));
        const first = archive();
        repository.manifests = new Map([...repository.manifests].reverse());
        await run(uri("1"), { force: true });
        assert.ok(archive().equals(first));
    });

    it("is exported again when a signature has come since, and skipped when none has", async () => {
        const skips = async () => (await run(uri("1"))).skipped;
        assert.deepEqual([await skips(), await skips()], [false, true]);
        addReferrer(repository, amd, { tag: tagOf(amd, ".sig") });
        assert.deepEqual([await skips(), await skips()], [false, true]);
        addReferrer(repository, amd);
        assert.deepEqual([await skips(), await skips()], [false, true]);
        assert.equal((await run(uri("1"), { referrers: false })).skipped, false);
        assert.equal(await skips(), false);
    });

    it("of a set belongs to each of its images, once where they share it", async () => {
        addReferrer(repository, amd);
        addImage(repository, { layers: [own("other")], tag: "2" });
        repository.tags.set("again", amd.digest);
        const { referrerCount } = await run(["1", "2", "again"].map(uri));
        assert.equal(referrerCount, 2);
        const { problems, contents } = await verify();
        assert.deepEqual([problems, contents.roots.length, contents.referrers.entries.length], [[], 3, 5]);
        assert.deepEqual((await verify(false)).problems, []);
    });

    it("may be what is exported: an artifact by itself, with a word that docker load does not load it", async () => {
        const { manifest } = mediaTypes.oci;
        const config = addBlob(repository, Buffer.from("{}"), "application/vnd.cncf.helm.config.v1+json");
        const layer = addBlob(repository, Buffer.from("chart"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
        const chart = addManifest(
            repository,
            { schemaVersion: 2, mediaType: manifest, config, layers: [layer] },
            manifest,
            "chart",
        );
        addReferrer(repository, chart, { type: "application/vnd.cncf.notary.signature" });
        const notes: string[] = [];
        await run(uri("chart"), { onNote: (note) => notes.push(note) });
        assert.match(notes.join(), /helm\.config.*docker load does not load it/);
        assert.deepEqual(links(), [["application/vnd.cncf.notary.signature", chart.digest, null]]);
        assert.deepEqual((await verify()).problems, []);
    });
});
