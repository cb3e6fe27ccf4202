import * as assert from "node:assert/strict";

import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";

import { type Lab, uriOf } from "../../lab/lab";
import { failed, sharedLab, succeeded } from "./support/sharedLab";

describe("lab: a batch", () => {
    let lab: Lab;
    let bucket: string;
    const tags = ["one", "two", "three", "four"];
    const missing = "five";

    before(async () => {
        lab = await sharedLab("stream");
        bucket = String(lab.stack.outputs["artifactBucketName"]);
        for (const tag of tags) await lab.push("nginx", tag);
    });

    async function text(key: string): Promise<string> {
        const object = await lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return (await object.Body?.transformToString()) ?? "";
    }

    /** The rows of the results, from the manifest that an execution names. */
    async function rowsOf(manifestKey: string): Promise<Record<string, Record<string, unknown>[]>> {
        const { ResultFiles } = JSON.parse(await text(manifestKey)) as {
            ResultFiles: Record<string, { Key: string }[]>;
        };
        const rows: Record<string, Record<string, unknown>[]> = {};
        for (const [status, files] of Object.entries(ResultFiles)) {
            const texts = await Promise.all(files.map(({ Key }) => text(Key)));
            const lines = texts.flatMap((each) => each.trimEnd().split("\n"));
            rows[status] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        }
        return rows;
    }

    it("exports four of five images, and says which one is missing", async () => {
        const images = [...tags, missing].map((tag) => ({ imageUri: uriOf(lab, tag) }));
        const key = "batches/five.json";
        await lab.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: JSON.stringify(images) }));
        const { error, cause } = failed(await lab.executeBatch({ manifest: { bucket, key } }));
        assert.equal(error, "ExportFailed");
        assert.match(cause, /^4 of 5 exported/);
        const rows = await rowsOf(/s3:\/\/[^/]+\/(\S+manifest\.json)/.exec(cause)?.[1] ?? "");
        assert.deepEqual(
            rows["SUCCEEDED"]?.map(({ imageUri, skipped }) => [imageUri, skipped]),
            tags.map((tag) => [uriOf(lab, tag), false]),
        );
        const [row, ...others] = rows["FAILED"] ?? [];
        assert.deepEqual(others, []);
        assert.equal(row?.["Error"], "ImageNotFound");
        assert.match(String(row["Cause"]), /nginx.*five/);
        for (const tag of tags) {
            await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: `images/nginx/${tag}.tar` }));
        }
    });

    it("exports what was left when the batch is started again, and skips the rest", async () => {
        await lab.push("nginx", missing);
        const images = [...tags, missing].map((tag) => uriOf(lab, tag));
        const output = succeeded(await lab.executeBatch({ images }));
        assert.equal(output["text"], "5 of 5 exported");
        const rows = await rowsOf((output["results"] as { key: string }).key);
        assert.deepEqual(
            rows["SUCCEEDED"]?.map(({ imageUri, skipped }) => [imageUri, skipped]),
            [...tags.map((tag) => [uriOf(lab, tag), true]), [uriOf(lab, missing), false]],
        );
    });
});
