import * as assert from "node:assert/strict";
import { exportImage } from "../../exporter/exportImage";
import { parseRecord } from "../../contract/record";
import { assertRecord } from "../support/recordSchema";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import { addImage, addIndex, emptyRepository, fileLayer } from "./support/images";
import { quickRetries } from "./support/quick";

describe("the export record of engine stream", () => {
    let registry: FakeRegistry;
    let s3: FakeS3;

    before(async () => {
        const repository = emptyRepository("app");
        const layers = [fileLayer("a", Buffer.from("a")), fileLayer("b", Buffer.from("b"))];
        const image = addImage(repository, { layers, tag: "1" });
        addIndex(repository, [image], { tag: "index" });
        [registry, s3] = await Promise.all([startRegistry({ repository }), startS3()]);
    });
    after(async () => {
        await Promise.all([registry.close(), s3.close()]);
    });

    async function recordOf(tag: string | string[], platform: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
        const uriOf = (each: string): string => `${registry.host}/app:${each}`;
        await exportImage({
            image: typeof tag === "string" ? uriOf(tag) : tag.map(uriOf),
            destination: "s3://bucket/app.tar",
            platform,
            env: { ...s3.env, ...env },
            retryPolicy: quickRetries,
            force: true,
        });
        return s3.objects.get("bucket/app.tar.json")?.body.toString() ?? assert.fail("no record");
    }

    it("is what its schema says: of an image, of an index's platform, of a whole index, of a set, with versions and ids", async () => {
        assertRecord(await recordOf("1", "linux/amd64"));
        assertRecord(await recordOf("index", "linux/amd64"));
        assertRecord(await recordOf("index", "all"));
        assertRecord(await recordOf(["1", "index"], "all"));
        s3.versioned = true;
        assertRecord(await recordOf("1", "linux/amd64", { EXECUTION_ID: "arn", CODEBUILD_BUILD_ID: "id" }));
    });

    it("is not what its schema says when a field is missing, unknown or wrong", async () => {
        const text = await recordOf("1", "linux/amd64");
        const record = JSON.parse(text) as Record<string, unknown>;
        const wrong: Record<string, unknown>[] = [
            ...Object.keys(record).map((field) => ({ ...record, [field]: undefined })),
            { ...record, surplus: 1 },
            { ...record, schemaVersion: 2 },
            { ...record, imageDigest: "sha256:abc" },
            { ...record, layout: 2 },
            { ...record, images: [{ configDigest: record["imageDigest"] }] },
            { ...record, archive: { sha256: "abc", sizeBytes: 1, versionId: null } },
            { ...record, engine: { name: "podman", version: "1" } },
            { ...record, time: "yesterday" },
        ];
        const set = JSON.parse(await recordOf(["1", "index"], "all")) as Record<string, unknown>;
        const ofSet = ["setDigest", "savedBytes", "set"].map((field) => ({ [field]: set[field] }));
        const ofImage = Object.keys(record).flatMap((field) => (field in set ? [] : [{ [field]: record[field] }]));
        assert.equal(ofImage.length, 7);
        wrong.push(
            ...Object.keys(set).map((field) => ({ ...set, [field]: undefined })),
            ...ofImage.map((fields) => ({ ...set, ...fields })),
            ...ofSet.map((fields) => ({ ...record, ...fields })),
            { ...set, ...record },
            { ...set, set: [record] },
            { ...set, savedBytes: -1 },
        );
        for (const each of wrong) {
            assert.throws(() => assertRecord(JSON.stringify(each)), JSON.stringify(each));
        }
    });

    it("is read back as it was written", async () => {
        const text = await recordOf("index", "all");
        assert.deepEqual(parseRecord(text), { record: JSON.parse(text) as unknown });
    });
});
