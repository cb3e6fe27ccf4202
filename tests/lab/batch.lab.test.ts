import * as assert from "node:assert/strict";

import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";

import { type Lab, startLab } from "../../lab/lab";
import type { ExecutionResult } from "../../lab/executions";

describe("lab: a batch", () => {
    let lab: Lab;
    let bucket: string;
    const tags = ["one", "two", "three", "four"];
    const missing = "five";

    before(async () => {
        // With a KMS key: manifests and results need permissions on it, too.
        const configuration = { "ecr-image-export:encryption": "kms" };
        lab = await startLab({ engine: "stream", configuration, tell: () => undefined });
        bucket = String(lab.stack.outputs["artifactBucketName"]);
        for (const tag of tags) await lab.push("nginx", tag);
    });

    after(async () => {
        await lab.stop();
    });

    const uriOf = (tag: string) => lab.image.uri.replace(/:[^:]*$/, `:${tag}`);

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

    function failed(result: ExecutionResult): { cause: string; manifestKey: string } {
        assert.equal(result.status, "FAILED", JSON.stringify(result));
        assert.equal(result.error, "ExportFailed");
        const [, manifestKey = ""] = /s3:\/\/[^/]+\/(\S+manifest\.json)/.exec(result.cause) ?? [];
        return { cause: result.cause, manifestKey };
    }

    it("exports four of five images, and says which one is missing", async () => {
        const images = [...tags, missing].map((tag) => ({ imageUri: uriOf(tag) }));
        const key = "batches/five.json";
        await lab.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: JSON.stringify(images) }));
        const { cause, manifestKey } = failed(await lab.executeBatch({ manifest: { bucket, key } }));
        assert.match(cause, /^4 of 5 exported/);
        const rows = await rowsOf(manifestKey);
        assert.deepEqual(
            rows["SUCCEEDED"]?.map(({ imageUri, skipped }) => [imageUri, skipped]),
            tags.map((tag) => [uriOf(tag), false]),
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
        const images = [...tags, missing].map(uriOf);
        const result = await lab.executeBatch({ images });
        assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
        assert.equal(result.output["text"], "5 of 5 exported");
        const rows = await rowsOf((result.output["results"] as { key: string }).key);
        assert.deepEqual(
            rows["SUCCEEDED"]?.map(({ imageUri, skipped }) => [imageUri, skipped]),
            [...tags.map((tag) => [uriOf(tag), true]), [uriOf(missing), false]],
        );
    });
});
