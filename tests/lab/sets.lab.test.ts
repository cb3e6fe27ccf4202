/** Sets of images through the whole pipeline: one archive, loaded by Docker under every name. */
import { strict as assert } from "node:assert";
import { Readable } from "node:stream";

import { GetObjectCommand, ListObjectVersionsCommand } from "@aws-sdk/client-s3";

import { exportsOf } from "../../contract/record";
import { verifyArchive } from "../../exporter/archive/verify";
import { permission } from "../../lab/iam";
import { type Lab, uriOf } from "../../lab/lab";
import { setRecordOf } from "../support/readRecord";
import { assertRecord } from "../support/recordSchema";
import { exportImage, failToExport, sharedLab, succeeded } from "./support/sharedLab";

describe("lab: a set of images", () => {
    let lab: Lab;
    let bucket: string;
    const artifactKey = "images/sets/release.tar";
    const tags = ["set-1", "set-2", "set-3"];

    before(async () => {
        lab = await sharedLab("stream");
        bucket = String(lab.stack.outputs["artifactBucketName"]);
        for (const tag of tags) await lab.push(lab.image.repository.name, tag);
    });

    const images = (): string[] => tags.map((tag) => uriOf(lab, tag));

    async function fetch(Key: string): Promise<Buffer> {
        const { Body } = await lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        return Buffer.from((await Body?.transformToByteArray()) ?? assert.fail(Key));
    }
    async function versions(Prefix: string): Promise<number> {
        return (await lab.s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix }))).Versions?.length ?? 0;
    }

    it("becomes one archive with every image, and is not made again", async () => {
        const result = await exportImage(lab, { images: images(), artifactKey });
        assert.deepEqual([result["imageCount"], result["skipped"]], [3, false]);
        const text = (await fetch(`${artifactKey}.json`)).toString();
        assertRecord(text);
        const record = setRecordOf(text);
        assert.equal(record.setDigest, result["setDigest"]);
        assert.deepEqual(
            exportsOf(record).map(({ imageName }) => imageName),
            images(),
        );
        const { problems } = await verifyArchive(Readable.from([await fetch(artifactKey)]), record, { deep: true });
        assert.deepEqual(problems, []);

        const again = await exportImage(lab, { images: images().reverse(), artifactKey });
        assert.deepEqual([again["skipped"], again["buildId"]], [true, null]);
        assert.deepEqual(
            { ...again, skipped: false, buildId: result["buildId"] },
            { ...result, sizeBytes: again["sizeBytes"] },
        );
    });

    it("leaves nothing where one image is missing, and names all that are", async () => {
        const key = "images/sets/missing.tar";
        const gone = ["gone-1", "gone-2"].map((tag) => uriOf(lab, tag));
        const { error, cause } = await failToExport(lab, { images: [...images(), ...gone], artifactKey: key });
        assert.equal(error, "ImageNotFound");
        assert.match(cause, new RegExp(`^2 of the 5 images do not exist in the registry: ${gone.join(", ")}`));
        assert.equal(await versions(key), 0);
    });

    it("needs the permission to hand its images to the build, and says so", async () => {
        const request = { images: images(), artifactKey: "images/sets/denied.tar" };
        lab.iam.removed.add(permission("WriteSets", "s3:PutObject"));
        assert.match((await failToExport(lab, request)).cause, /s3:PutObject/);
        lab.iam.removed.clear();
        lab.iam.removed.add(permission("ReadSets", "s3:GetObject"));
        const { error, cause } = await failToExport(lab, request);
        assert.deepEqual([error, cause.includes("s3:GetObject")], ["AccessDenied", true], cause);
        assert.equal(await versions(request.artifactKey), 0);
    });

    it("can be a row of a batch", async () => {
        const set = { images: images().slice(1), artifactKey: "images/sets/of-batch.tar" };
        const { text } = succeeded(await lab.executeBatch({ images: [set, uriOf(lab, "set-1")] }));
        assert.equal(text, "2 of 2 exported");
        assertRecord((await fetch(`${set.artifactKey}.json`)).toString());
    });
});
