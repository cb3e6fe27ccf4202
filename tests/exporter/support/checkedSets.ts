/** Exports random sets, and holds them against what they should be. */
import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { ImageExport } from "../../../contract/record";
import { recordKey } from "../../../contract/keys";
import { readArchive } from "../../../exporter/archive/readArchive";
import { verifyArchive } from "../../../exporter/archive/verify";
import { exportImage, type ExportOptions } from "../../../exporter/exportImage";
import { anyRecordOf, recordOf } from "../../support/readRecord";
import { startS3 } from "./fakeS3";
import { quickRetries } from "./quick";
import { randomSet } from "./randomSets";

/** What was exported of an image, whichever archive it is in. */
function withoutPlaces({ imageName, platform, imageDigest, indexDigest, images }: ImageExport) {
    const placeless = images.map(({ layers, ...image }) => ({
        ...image,
        layers: layers?.map(({ digest, sizeBytes }) => ({ digest, sizeBytes })),
    }));
    return { imageName, platform, imageDigest, indexDigest, images: placeless };
}

async function blobBytes(archive: Buffer): Promise<number> {
    const { files } = await readArchive(Readable.from([archive]), false);
    const blobs = [...files.values()].filter(({ name }) => /^blobs\/sha256\/./.test(name));
    return blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Exports a random set twice, each of its images by itself, and compares. @returns the number of its images */
export async function checkSet(seed: number): Promise<number> {
    const { images, requests, registries } = await randomSet(seed);
    const s3 = await startS3();
    const object = (key: string): Buffer => s3.objects.get(`bucket/${key}`)?.body ?? assert.fail(`no ${key}`);
    const run = async (image: ExportOptions["image"], key: string, options: Partial<ExportOptions> = {}) => {
        const credentials = () => Promise.resolve({ username: "user", password: "secret" });
        const shared = { env: s3.env, retryPolicy: quickRetries, credentials };
        const result = await exportImage({ image, destination: `s3://bucket/${key}`, ...shared, ...options });
        return { result, archive: object(key), record: anyRecordOf(object(recordKey(key)).toString()) };
    };
    try {
        const [first, second] = [await run(requests[0], "one.tar"), await run(requests[1], "two.tar")];
        assert.ok(first.archive.equals(second.archive), "the same set has other bytes");
        const comparable = ({ record }: typeof first) => {
            return { ...record, archive: record.archive.sha256, time: "" };
        };
        assert.deepEqual(comparable(first), comparable(second));
        assert.equal((await run(requests[1], "one.tar")).result.skipped, true);

        const { record, archive } = first;
        assert.ok("set" in record && record.set.length === images.length);
        for (const known of [record, undefined]) {
            const { problems } = await verifyArchive(Readable.from([archive]), known, { deep: true });
            assert.deepEqual(problems, [], known ? "by its record" : "by itself");
        }
        let alone = 0;
        for (const { imageUri, platform, digest } of images) {
            const own = await run(imageUri, "own.tar", { force: true, ...(platform && { platform }) });
            const single = recordOf(object("own.tar.json").toString());
            const member: ImageExport | undefined = record.set.find(({ imageName }) => imageName === single.imageName);
            assert.ok(member !== undefined, imageUri);
            assert.deepEqual(withoutPlaces(member), withoutPlaces(single));
            assert.equal(member.indexDigest ?? member.imageDigest, digest);
            alone += await blobBytes(own.archive);
        }
        assert.equal(record.savedBytes, alone - (await blobBytes(archive)));
        return images.length;
    } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    } finally {
        await Promise.all([s3, ...registries].map((server) => server.close()));
    }
}
