import { strict as assert } from "node:assert";

import validate from "asl-validator";
import fc from "fast-check";

import { batchDefinition, type BatchDefinitionArgs } from "../../stateMachines/batch";
import { type BatchOutcome, executeBatch, type Export } from "../support/batchExecution";
import { awsError } from "../support/execution";

const bucket = "artifacts-0a1b2c3";
const args: BatchDefinitionArgs = {
    partition: "aws",
    exportMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export-0a1b2c3",
    artifactBucket: bucket,
    maxConcurrency: 3,
};
const definition = batchDefinition(args);

const exported: Export = (request) => ({ ...(request as object), skipped: false });

/** Fails for the image `missing`, exports the others. */
const allButMissing: Export = (request) => {
    const { imageUri } = request as { imageUri: string };
    if (imageUri.endsWith("missing")) throw awsError("ImageNotFound", `${imageUri} is not in the registry`);
    return exported(request);
};

function imagesOf(...names: string[]): { imageUri: string }[] {
    return names.map((name) => ({ imageUri: `registry/${name}` }));
}

function run(
    input: unknown,
    doExport = exported,
    objects: Record<string, string> = {},
): Promise<BatchOutcome> {
    return executeBatch(definition, input, doExport, objects);
}

function outputOf({ outcome }: BatchOutcome): Record<string, unknown> {
    assert("output" in outcome, JSON.stringify(outcome));
    return outcome.output;
}

function failureOf({ outcome }: BatchOutcome): { error: string; cause: string } {
    assert("error" in outcome, `no failure: ${JSON.stringify(outcome)}`);
    return outcome;
}

describe("batchDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("exports every image and counts", async () => {
        const batch = await run({ images: imagesOf("a", "b", "c", "d", "e", "f", "g") });
        const { results, ...summary } = outputOf(batch);
        assert.deepEqual(summary, { total: 7, exported: 7, text: "7 of 7 exported" });
        assert.deepEqual(batch.exports, imagesOf("a", "b", "c", "d", "e", "f", "g"));
        assert.equal(batch.mostAtATime, args.maxConcurrency);
        const { key } = results as { bucket: string; key: string };
        assert.match(key, /^batch-results\/1\/[0-9a-f-]{36}\/manifest\.json$/);
        assert(batch.objects.has(key));
        assert.deepEqual(
            batch.rows("SUCCEEDED").map(({ imageUri }) => imageUri),
            imagesOf("a", "b", "c", "d", "e", "f", "g").map(({ imageUri }) => imageUri),
        );
    });

    it("exports one image, given as a request or as its URI", async () => {
        const [asRequest, asUri] = [
            await run({ images: imagesOf("a") }),
            await run({ images: ["registry/a"] }),
        ];
        assert.deepEqual(asUri.exports, asRequest.exports);
        assert.equal(outputOf(asUri)["text"], "1 of 1 exported");
    });

    it("has nothing to do for no image", async () => {
        const batch = await run({ images: [] });
        assert.deepEqual(outputOf(batch), { total: 0, exported: 0, text: "0 of 0 exported" });
        assert.equal(batch.objects.size, 0);
    });

    it("hands every field of a request on", async () => {
        const request = { imageUri: "registry/a", artifactKey: "images/a.tar", platform: "all", force: true };
        const batch = await run({ images: [request] });
        assert.deepEqual(batch.exports, [request]);
    });

    describe("with an image that fails", () => {
        const images = imagesOf("a", "missing", "b", "c", "d", "e", "f", "g");

        it("exports the others, fails at the end, and says which one and why", async () => {
            const batch = await run({ images }, allButMissing);
            assert.equal(batch.exports.length, 8);
            const { error, cause } = failureOf(batch);
            assert.equal(error, "ExportFailed");
            assert.match(
                cause,
                /^7 of 8 exported\. .*s3:\/\/artifacts-0a1b2c3\/batch-results\/1\/.*manifest\.json/,
            );
            assert.equal(batch.rows("SUCCEEDED").length, 7);
            const [failed, ...others] = batch.rows("FAILED");
            assert.deepEqual(others, []);
            assert.equal(failed?.["Error"], "ImageNotFound");
            assert.match(String(failed["Cause"]), /registry\/missing is not in the registry/);
            assert.deepEqual(
                (JSON.parse(String(failed["Input"])) as { request: unknown }).request,
                images[1],
            );
        });

        it("ends well where failures are allowed", async () => {
            const batch = await run({ images, allowFailures: true }, allButMissing);
            const { results, ...summary } = outputOf(batch);
            assert(results !== undefined);
            assert.deepEqual(summary, { total: 8, exported: 7, text: "7 of 8 exported" });
        });

        it("names what AWS says where no execution could be started", async () => {
            const denied: Export = () => {
                throw awsError("StepFunctions.AccessDeniedException", "not authorized");
            };
            const batch = await run({ images: imagesOf("a") }, denied);
            assert.deepEqual(
                batch.rows("FAILED").map((row) => [row["Error"], row["Cause"]]),
                [["ExportFailed", "StepFunctions.AccessDeniedException: not authorized"]],
            );
        });

        it("tries again what Step Functions throttles", async () => {
            let calls = 0;
            const throttled: Export = (request) => {
                calls += 1;
                if (calls < 3) throw awsError("StepFunctions.ThrottlingException", "Rate exceeded");
                return exported(request);
            };
            // A start that was throttled has started nothing: its name is free.
            const batch = await executeBatch(definition, { images: imagesOf("a") }, throttled);
            assert.equal(calls, 3);
            assert.equal(outputOf(batch)["text"], "1 of 1 exported");
        });
    });

    it("exports what is twice in a batch once", async () => {
        const images = [...imagesOf("a", "a"), ...imagesOf("b", "c", "d"), "registry/a"];
        const batch = await run({ images });
        assert.deepEqual(batch.exports.map((request) => (request as { imageUri: string }).imageUri).sort(), [
            "registry/a",
            "registry/b",
            "registry/c",
            "registry/d",
        ]);
        assert.equal(outputOf(batch)["text"], "6 of 6 exported");
        assert.equal(batch.rows("SUCCEEDED").length, 6);
        assert(batch.rows("SUCCEEDED").some(({ duplicate }) => duplicate === true));
    });

    it("exports the same image for two platforms", async () => {
        const [image] = imagesOf("a");
        const images = ["linux/amd64", "linux/arm64"].map((platform) => ({ ...image, platform }));
        assert.equal((await run({ images })).exports.length, 2);
    });

    describe("with a manifest", () => {
        const manifests: Record<string, string> = {
            "batches/list.json": JSON.stringify([...imagesOf("a"), "registry/b"]),
            "batches/list.jsonl": '{"imageUri":"registry/a"}\n"registry/b"\n',
            "batches/list.csv":
                'imageUri,platform,force\nregistry/a,linux/arm64,true\n"registry/b",linux/amd64,false\n',
        };

        it("reads JSON and JSON Lines", async () => {
            for (const key of ["batches/list.json", "batches/list.jsonl"]) {
                const batch = await run({ manifest: { bucket, key } }, exported, manifests);
                assert.deepEqual(batch.exports, imagesOf("a", "b"), key);
            }
        });

        it("reads CSV, whose first row names the fields", async () => {
            const batch = await run({ manifest: { bucket, key: "batches/list.csv" } }, exported, manifests);
            assert.deepEqual(batch.exports, [
                { imageUri: "registry/a", platform: "linux/arm64", force: true },
                { imageUri: "registry/b", platform: "linux/amd64", force: false },
            ]);
        });

        it("names a manifest that is not there, or is no list", async () => {
            for (const [key, text] of [
                ["batches/none.json", undefined],
                ["batches/object.json", '{"images":[]}'],
                ["batches/broken.jsonl", "{"],
            ] as const) {
                const objects = text === undefined ? {} : { [key]: text };
                const { error, cause } = failureOf(
                    await run({ manifest: { bucket, key } }, exported, objects),
                );
                assert.equal(error, "InvalidInput");
                assert.match(cause, new RegExp(`^The manifest ${key} cannot be read: .`));
            }
        });

        it("refuses a manifest elsewhere, or in another form", async () => {
            for (const manifest of [
                { bucket: "other", key: "batches/list.json" },
                { bucket, key: "images/list.json" },
                { bucket, key: "batches/list.txt" },
                { bucket },
                "batches/list.json",
                null,
            ]) {
                const { error, cause } = failureOf(await run({ manifest }, exported, manifests));
                assert.equal(error, "InvalidInput");
                assert.match(cause, /^manifest is .*: expected an object of the bucket artifacts-0a1b2c3/);
            }
        });
    });

    it("exports 5,000 images", async () => {
        const names = Array.from({ length: 5000 }, (_, index) => `image-${index}`);
        const wide = batchDefinition({ ...args, maxConcurrency: 100 });
        const batch = await executeBatch(wide, { images: imagesOf(...names) }, exported);
        assert.equal(outputOf(batch)["text"], "5000 of 5000 exported");
        assert.equal(batch.mostAtATime, 100);
    });

    it("refuses what is no batch", async () => {
        for (const [input, words] of [
            [{}, /is not a batch/],
            [[], /is not a batch/],
            ["x", /is not a batch/],
            [{ images: [], manifest: {} }, /one of the two/],
            [{ images: {} }, /images is \{\}: expected a list/],
            [{ images: "registry/a" }, /images is "registry\/a": expected a list/],
            [{ images: [], allowFailures: "yes" }, /allowFailures is "yes": expected true or false/],
        ] as const) {
            const { error, cause } = failureOf(await run(input));
            assert.equal(error, "InvalidInput");
            assert.match(cause, words);
        }
    });

    it("ends every input well or with a named error", async () => {
        const item = fc.oneof(
            fc.constantFrom("registry/a", "registry/missing"),
            fc.record({ imageUri: fc.string() }),
            fc.jsonValue({ maxDepth: 2 }),
        );
        const input = fc.oneof(
            fc.record({ images: fc.array(item, { maxLength: 5 }), allowFailures: fc.boolean() }),
            fc.record(
                {
                    images: fc.jsonValue(),
                    manifest: fc.oneof(
                        fc.jsonValue(),
                        fc.record({ bucket: fc.constant(bucket), key: fc.string() }),
                    ),
                    allowFailures: fc.oneof(fc.boolean(), fc.jsonValue()),
                },
                { requiredKeys: [] },
            ),
            fc.jsonValue({ maxDepth: 3 }),
        );
        const strict: Export = (request) => {
            const isRequest = typeof request === "object" && request !== null && !Array.isArray(request);
            if (!isRequest) throw awsError("InvalidInput", "not a request");
            const { imageUri } = request as { imageUri?: unknown };
            if (imageUri === "registry/missing") throw awsError("ImageNotFound", "missing");
            return exported(request);
        };
        const names = ["InvalidInput", "ImageNotFound", "ExportFailed"];
        await fc.assert(
            fc.asyncProperty(input, async (value) => {
                const batch = await run(value, strict);
                if ("error" in batch.outcome) {
                    assert(names.includes(batch.outcome.error), JSON.stringify(batch.outcome));
                }
                for (const { Error: error } of batch.rows("FAILED")) assert(names.includes(String(error)));
            }),
            { numRuns: 200 },
        );
    });
});
