import * as assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { mergeArchives } from "../../exporter/archive/merge";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import { anyRecordOf } from "../support/readRecord";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { addImage, addIndex, emptyRepository, fileLayer, randomBytesOf, type Repository } from "./support/images";
import { quickIdleTimeoutMs, quickRetries } from "./support/quick";
import { verifyFile } from "./support/verifyExport";

describe("a delta", () => {
    let registry: FakeRegistry;
    let repository: Repository;
    let directory: string;
    const base = fileLayer("base", randomBytesOf(300_000, 1));
    const own = (name: string) => fileLayer(name, Buffer.from(name));

    beforeEach(async () => {
        repository = emptyRepository("team/app");
        addImage(repository, { layers: [base, own("1")], tag: "1" });
        addImage(repository, { layers: [base, own("2")], tag: "2" });
        addImage(repository, { layers: [base, own("2"), own("3")], tag: "3" });
        registry = await startRegistry({ repository });
        directory = await mkdtemp(path.join(tmpdir(), "delta-"));
    });
    afterEach(async () => {
        await Promise.all([registry.close(), rm(directory, { recursive: true })]);
    });

    const at = (name: string) => path.join(directory, `${name}.tar`);
    const run = (tag: string, name: string, options: Partial<ExportOptions> = {}) =>
        exportImage({
            image: `${registry.host}/team/app:${tag}`,
            destination: at(name),
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            ...options,
        });
    const record = async (name: string) => anyRecordOf(await readFile(`${at(name)}.json`, "utf8"));

    it("leaves out the first layers that its base has, and is merged with it to what is exported whole", async () => {
        const first = await run("1", "first");
        const { sizeBytes, baseSha256 } = await run("2", "delta", { since: at("first") });
        assert.ok(sizeBytes < 20_000, String(sizeBytes));
        assert.equal(baseSha256, first.sha256);
        assert.deepEqual((await verifyFile(at("delta"))).problems, []);
        await run("2", "whole");
        const merged = await mergeArchives(at("first"), at("delta"), at("merged"));
        assert.ok((await readFile(at("merged"))).equals(await readFile(at("whole"))));
        assert.deepEqual([merged.since, merged.mergedFrom], [null, (await record("delta")).archive.sha256]);
        assert.deepEqual((await verifyFile(at("merged"))).problems, []);
        // Of the next one, too.
        await run("3", "next", { since: at("delta") });
        assert.deepEqual(
            (await record("next")).since?.chain.map(({ sha256 }) => sha256),
            [first.sha256],
        );
        await run("3", "whole");
        await mergeArchives(at("merged"), at("next"), at("again"));
        assert.ok((await readFile(at("again"))).equals(await readFile(at("whole"))));
    });

    it("has all its documents, though one of them may be a layer of the base, too", async () => {
        const first = addImage(repository, { layers: [own("1")] });
        const bytes = repository.manifests.get(first.digest)?.bytes ?? assert.fail();
        const layers = [{ bytes, diffId: first.digest }, base];
        addIndex(repository, [first, addImage(repository, { layers, architecture: "arm64" })], { tag: "index" });
        addIndex(repository, [addImage(repository, { layers, architecture: "arm64" })], { tag: "based" });
        await run("based", "first", { platform: "all" });
        await run("index", "delta", { platform: "all", since: at("first") });
        const { problems, files } = await verifyFile(at("delta"));
        assert.deepEqual([problems, files.has(`blobs/${first.digest.replace(":", "/")}`)], [[], true]);
        assert.equal((await record("delta")).since?.missing.length, 1);
    });
});
