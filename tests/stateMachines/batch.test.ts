import { strict as assert } from "node:assert";

import validate from "asl-validator";
import fc from "fast-check";

import { exportErrors } from "../../contract/errors";
import { requestFields } from "../../contract/request";
import { at } from "../../lab/awsTypes";
import { batchDefinition } from "../../stateMachines/batch";
import type { StateMachineDefinition } from "../../stateMachines/language";
import { awsError, type Ended, execute, FakeExecutions, fails, type Given, type Services } from "../support/execution";

const bucket = "artifacts-0a1b2c3";
const args = {
    at,
    exportMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export-0a1b2c3",
    artifactBucket: bucket,
    maxConcurrency: 3,
};
const definition = batchDefinition(args);

type Serve = (request: unknown) => unknown;

const exported: Serve = (request) => ({ ...(request as object), skipped: false });

/** Fails for the image `missing`, exports the others. */
const allButMissing: Serve = (request) => {
    const { imageUri } = request as { imageUri: unknown };
    if (imageUri === "registry/missing") {
        throw awsError("ImageNotFound", 'registry/missing is "not" in C:\\ the registry');
    }
    return exported(request);
};

function imagesOf(...names: string[]): { imageUri: string }[] {
    return names.map((name) => ({ imageUri: `registry/${name}` }));
}

interface Batch extends Ended {
    readonly executions: FakeExecutions;
    /** What the Map has written about images of a status. */
    readonly rows: (status: "SUCCEEDED" | "FAILED") => Record<string, unknown>[];
}

async function run(
    input: unknown,
    serve = exported,
    objects: Given["objects"] = {},
    services: Services = {},
    machine: StateMachineDefinition = definition,
): Promise<Batch> {
    const executions = new FakeExecutions(serve);
    const ended = await execute(machine, input, { ...executions.services, ...services }, { objects });
    const rows = (status: string) =>
        [...ended.objects]
            .filter(([key]) => key.endsWith(`/${status}_0.jsonl`))
            .flatMap(([, text]) => text.trimEnd().split("\n"))
            .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { ...ended, executions, rows };
}

function outputOf({ outcome }: Ended): Record<string, unknown> {
    assert(outcome.status === "SUCCEEDED", JSON.stringify(outcome));
    return outcome.output as Record<string, unknown>;
}

function failureOf({ outcome }: Ended): { error: string; cause: string } {
    assert(outcome.status === "FAILED", JSON.stringify(outcome));
    return outcome;
}

/** Error and cause of each image that failed. */
function failuresOf(batch: Batch): unknown[] {
    return batch.rows("FAILED").map((row) => [row["Error"], row["Cause"]]);
}

function asText(request: unknown): string {
    return JSON.stringify(Object.entries(request as object).sort());
}

describe("batchDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("exports every image and counts", async () => {
        const images = imagesOf("a", "b", "c", "d", "e", "f", "g");
        const batch = await run({ images });
        const { results, ...summary } = outputOf(batch);
        assert.deepEqual(summary, { total: 7, exported: 7, text: "7 of 7 exported" });
        assert.deepEqual(batch.executions.started, images);
        assert.equal(batch.executions.mostAtATime, args.maxConcurrency);
        const { key } = results as { bucket: string; key: string };
        assert.match(key, /^batch-results\/1\/[0-9a-f-]{36}\/manifest\.json$/);
        assert(batch.objects.has(key));
        assert.deepEqual(batch.rows("SUCCEEDED"), images.map(exported));
    });

    it("exports an image that is given by its URI", async () => {
        assert.deepEqual((await run({ images: ["registry/a"] })).executions.started, imagesOf("a"));
    });

    it("has nothing to do for no image", async () => {
        const batch = await run({ images: [] });
        assert.deepEqual(
            [outputOf(batch), batch.objects.size],
            [{ total: 0, exported: 0, text: "0 of 0 exported" }, 0],
        );
    });

    it("hands every field of a request on", async () => {
        const place = { imageUri: "registry/a", artifactKey: "images/a.tar" };
        for (const since of ["latest", { key: "images/base.tar", for: "containerd" }]) {
            const request = { ...place, platform: "all", referrers: true, since, force: true };
            assert.deepEqual((await run({ images: [request] })).executions.started, [request]);
        }
    });

    it("gives its exports names that only this batch knows", async () => {
        const names = async (start: string): Promise<string[]> => {
            const asked: string[] = [];
            const service = ({ Name, StateMachineArn }: { Name: string; StateMachineArn: string }) => {
                assert.equal(StateMachineArn, args.exportMachineArn);
                asked.push(Name);
                return { Output: {} };
            };
            const changed = JSON.parse(
                JSON.stringify(definition).replaceAll("$states.context.Execution.StartTime", `'${start}'`),
            ) as StateMachineDefinition;
            await run({ images: ["a", "b"] }, exported, {}, { "states:startExecution.sync:2": service }, changed);
            return asked;
        };
        const all = [...(await names("1")), ...(await names("2"))];
        assert.equal(new Set(all).size, 4);
        for (const name of all) assert.match(name, /^batch-[0-9a-f]{64}$/);
    });

    describe("with an image that fails", () => {
        const images = imagesOf("a", "missing", "b", "c", "d", "e", "f", "g");

        it("exports the others, fails at the end, and says which one and why", async () => {
            const batch = await run({ images }, allButMissing);
            assert.equal(batch.executions.started.length, 8);
            const { error, cause } = failureOf(batch);
            assert.equal(error, "ExportFailed");
            assert.match(cause, /^7 of 8 exported\. .*s3:\/\/artifacts-0a1b2c3\/batch-results\/1\/.*manifest\.json/);
            assert.equal(batch.rows("SUCCEEDED").length, 7);
            assert.deepEqual(failuresOf(batch), [["ImageNotFound", 'registry/missing is "not" in C:\\ the registry']]);
            const [failed] = batch.rows("FAILED");
            assert.deepEqual((JSON.parse(String(failed?.["Input"])) as { request: unknown }).request, images[1]);
        });

        it("succeeds where failures are allowed", async () => {
            const { results, ...summary } = outputOf(await run({ images, allowFailures: true }, allButMissing));
            assert(results !== undefined);
            assert.deepEqual(summary, { total: 8, exported: 7, text: "7 of 8 exported" });
        });

        it("says that an export was aborted, which has neither error nor cause", async () => {
            const batch = await run({ images: imagesOf("a") }, fails("ABORTED"));
            const [[error, cause] = []] = failuresOf(batch) as [string, string][];
            assert.equal(error, "ExportFailed");
            assert.match(cause ?? "", /^The export ended as ABORTED, without a cause\. Its execution is called batch-/);
        });

        it("names what AWS says where no execution could be started, or where it says nothing", async () => {
            for (const [reason, cause] of [
                ["not authorized", "StepFunctions.AWSStepFunctionsException: not authorized"],
                [undefined, "StepFunctions.AWSStepFunctionsException: "],
            ] as const) {
                const batch = await run(
                    { images: imagesOf("a") },
                    fails("StepFunctions.AWSStepFunctionsException", reason),
                );
                assert.deepEqual(failuresOf(batch), [["ExportFailed", cause]]);
            }
        });

        it("reads what is left of a cause that was cut", async () => {
            const serve = fails("DigestMismatch", `Blob "1" is damaged. ${'"\\'.repeat(20_000)}`);
            const [[error, cause] = []] = failuresOf(await run({ images: imagesOf("a") }, serve)) as [string, string][];
            assert.equal(error, "ExportFailed", "the name comes after the cause, and was cut off");
            assert.match(cause ?? "", /^States\.TaskFailed: \{"Cause":"Blob/);
        });

        it("tries again what Step Functions throttles", async () => {
            let calls = 0;
            const throttled: Serve = (request) => {
                calls += 1;
                if (calls < 3) throw awsError("StepFunctions.AWSStepFunctionsException", "Rate exceeded");
                return exported(request);
            };
            assert.equal(outputOf(await run({ images: imagesOf("a") }, throttled))["text"], "1 of 1 exported");
        });

        it("says where the results are when it cannot count them", async () => {
            for (const describe of [fails("StepFunctions.AWSStepFunctionsException", "denied"), () => ({})]) {
                const batch = await run({ images }, exported, {}, { "aws-sdk:sfn:describeMapRun": describe });
                const { error, cause } = failureOf(batch);
                assert.equal(error, "ExportFailed");
                assert.match(cause, /results cannot be counted: .*s3:\/\/artifacts-0a1b2c3\/batch-results\/1\//);
            }
        });
    });

    describe("with the same request twice", () => {
        const images = [...imagesOf("a", "a"), ...imagesOf("b", "c", "d"), "registry/a"];

        it("starts one execution while it runs, and another that finds what it has exported", async () => {
            const batch = await run({ images });
            const uris = batch.executions.started.map((request) => (request as { imageUri: string }).imageUri);
            assert.deepEqual(uris.sort(), ["registry/a", "registry/a", "registry/b", "registry/c", "registry/d"]);
            assert.equal(outputOf(batch)["text"], "6 of 6 exported");
        });

        it("fails for each where it fails", async () => {
            const batch = await run({ images: imagesOf("missing", "b", "c", "d", "missing") }, allButMissing);
            assert.deepEqual(
                failuresOf(batch).map((each) => (each as string[])[0]),
                ["ImageNotFound", "ImageNotFound"],
            );
        });

        it("takes no execution of somebody else for its own", async () => {
            const names: string[] = [];
            const start = ({ Name }: { Name: string }) => {
                names.push(Name);
                if (names.length < 3) throw awsError("StepFunctions.ExecutionAlreadyExistsException", "exists");
                return { Output: { skipped: false } };
            };
            const services = { "states:startExecution.sync:2": start, "aws-sdk:sfn:describeExecution": () => ({}) };
            const batch = await run({ images: ["a"] }, exported, {}, services);
            assert.deepEqual(batch.rows("SUCCEEDED"), [{ skipped: false }]);
            assert.equal(new Set(names).size, 3);
            for (const name of names) assert.match(name, /^batch-[0-9a-f]{64}$/);
        });

        it("starts no others where it may not look at executions, which are then never seen to end", async () => {
            const taken = fails("StepFunctions.ExecutionAlreadyExistsException", "exists");
            const denied = fails("StepFunctions.AWSStepFunctionsException", "not authorized: states:DescribeExecution");
            const services = { "states:startExecution.sync:2": taken, "aws-sdk:sfn:describeExecution": denied };
            const [row] = (await run({ images: ["a"] }, exported, {}, services)).rows("FAILED");
            assert.equal(row?.["Error"], "ExportFailed");
            assert.match(String(row["Cause"]), /not authorized: states:DescribeExecution/);
        });
    });

    describe("with a manifest", () => {
        const read = (ending: string, text: string | undefined): Promise<Batch> => {
            const key = `batches/list${ending}`;
            return run({ manifest: { bucket, key } }, exported, text === undefined ? {} : { [key]: text });
        };

        it("reads JSON and JSON Lines", async () => {
            assert.deepEqual(
                (await read(".json", '[{"imageUri":"registry/a"},"registry/b"]')).executions.started,
                imagesOf("a", "b"),
            );
            assert.deepEqual(
                (await read(".jsonl", '{"imageUri":"registry/a"}\n"registry/b"\n')).executions.started,
                imagesOf("a", "b"),
            );
        });

        const rows = [
            { imageUri: "registry/a", platform: "linux/arm64", referrers: false, force: true },
            { imageUri: "registry/b", platform: "linux/amd64", referrers: true, force: false },
        ];
        const table =
            "imageUri,platform,referrers,force\nregistry/a,linux/arm64,false,true\n" +
            '"registry/b",linux/amd64,true,false\n';
        for (const [what, text] of [
            ["as it should be", table],
            ["with a byte order mark", `\uFEFF${table}`],
            ["with blanks around names and cells", table.replaceAll(/(?<!")([,\n])(?!")/g, " $1 ")],
            ["with carriage returns", table.replaceAll("\n", "\r\n")],
        ] as const) {
            it(`reads CSV ${what}`, async () => {
                // Which of two that run at a time is first does not matter.
                const { started } = (await read(".csv", text)).executions;
                assert.deepEqual(started.map(asText).sort(), rows.map(asText).sort());
            });
        }

        it("hands on what the other side has, as a key or as an object, of CSV as a key", async () => {
            const [one, other] = imagesOf("a", "b");
            const since = { key: "images/base.tar", for: "containerd" };
            for (const [ending, text, expected] of [
                [
                    ".json",
                    JSON.stringify([
                        { ...one, since: "latest" },
                        { ...other, since },
                    ]),
                    ["latest", since],
                ],
                [".jsonl", `${JSON.stringify({ ...one, since })}\n${JSON.stringify(other)}\n`, [since, undefined]],
                [".csv", "imageUri,since\nregistry/a,images/base.tar\nregistry/b,\n", ["images/base.tar", undefined]],
            ] as const) {
                const { started } = (await read(ending, text)).executions;
                const rows = [one, other].map((each, at) => ({
                    ...each,
                    ...(expected[at] && { since: expected[at] }),
                }));
                assert.deepEqual(started.map(asText).sort(), rows.map(asText).sort());
            }
        });

        it("takes an empty cell for a field that is not given", async () => {
            const batch = await read(".csv", "imageUri,platform,artifactKey\nregistry/a,,images/a.tar\n");
            assert.deepEqual(batch.executions.started, [{ imageUri: "registry/a", artifactKey: "images/a.tar" }]);
        });

        const refused: [string, string, RegExp][] = [
            [".csv", "image,platform\nregistry/a,linux/arm64\n", /the unknown field "image": expected imageUri/],
            [".csv", "imageuri\nregistry/a\n", /the unknown field "imageuri"/],
            [".csv", "platform,imageUri\nlinux/arm64,\n", /names neither imageUri nor images/],
            [".csv", "imageUri, imageUri\nregistry/a,registry/b\n", /Two columns of the table have the same name/],
            [".json", '[{"platform":"linux/arm64"}]', /names neither imageUri nor images/],
            [".json", '[{"imageUri":"registry/a","x":1}]', /the unknown field "x"/],
            [".json", "[5]", /The request is 5: expected an object of imageUri/],
            [".json", "[null]", /The request is null/],
            [".jsonl", "[[]]\n", /The request is \[\[\]\]/],
        ];
        for (const [ending, text, words] of refused) {
            it(`does not export the stack's own image for ${JSON.stringify(text)}`, async () => {
                const batch = await read(ending, text);
                assert.deepEqual(batch.executions.started, []);
                const [[error, cause] = []] = failuresOf(batch) as [string, string][];
                assert.equal(error, "InvalidInput");
                assert.match(cause ?? "", words);
            });
        }

        it("refuses a request that is too long, and exports the others", async () => {
            // $hash counts those beyond U+FFFF as two.
            const long = ["x".repeat(150_000), "😀".repeat(8_000)].map((imageUri) => ({ imageUri }));
            const batch = await run({ images: [...long, ...imagesOf("a")], allowFailures: true });
            assert.equal(outputOf(batch)["text"], "2 of 3 exported");
            const refused = ["InvalidInput", "The request is longer than 150000 characters."];
            assert.deepEqual(failuresOf(batch), [refused]);
        });

        it("names a manifest that is not there, or is no list", async () => {
            for (const [ending, text] of [
                [".json", undefined],
                [".json", '{"images":[]}'],
                [".jsonl", "{"],
                [".json", "\uFEFF[]"],
            ] as const) {
                const { error, cause } = failureOf(await read(ending, text));
                assert.equal(error, "InvalidInput");
                assert.match(cause, new RegExp(`^The manifest batches/list\\${ending} cannot be read: .`));
            }
        });

        it("refuses a manifest elsewhere, or in another form", async () => {
            for (const manifest of [
                { bucket: "other", key: "batches/list.json" },
                { bucket, key: "images/list.json" },
                { bucket, key: "batches/list.txt" },
                { bucket, key: "batches/list.json\n" },
                { bucket, key: `batches/${"x".repeat(1024)}.json` },
                { bucket },
                { key: "batches/list.json" },
                "batches/list.json",
                [],
                null,
            ]) {
                const { error, cause } = failureOf(await run({ manifest }));
                assert.equal(error, "InvalidInput");
                assert.match(cause, /^manifest is .*: expected an object of the bucket artifacts-0a1b2c3/);
            }
        });
    });

    it("exports 1,000 images, 100 at a time", async () => {
        const images = imagesOf(...Array.from({ length: 1000 }, (_, index) => `image-${index}`));
        const batch = await run({ images }, exported, {}, {}, batchDefinition({ ...args, maxConcurrency: 100 }));
        assert.deepEqual([outputOf(batch)["text"], batch.executions.mostAtATime], ["1000 of 1000 exported", 100]);
    });

    it("refuses what is no batch", async () => {
        for (const [input, words] of [
            [{}, /is not a batch/],
            [[], /is not a batch/],
            ["x", /is not a batch/],
            [null, /is not a batch/],
            [{ images: [], manifest: {} }, /one of the two/],
            [{ images: {} }, /images is \{\}: expected a list/],
            [{ images: null }, /images is null: expected a list/],
            [{ images: "registry/a" }, /images is "registry\/a": expected a list/],
            [{ images: [], allowFailures: "yes" }, /allowFailures is "yes": expected true or false/],
            [{ images: [], image: "x" }, /the unknown field "image": expected images, manifest, allowFailures/],
            [{ images: "x".repeat(250_000) }, /images is "x+…: expected a list/],
        ] as const) {
            const { error, cause } = failureOf(await run(input));
            assert.equal(error, "InvalidInput");
            assert.match(cause, words);
        }
    });

    it("ends every input in success or a named error, and each of its images", async () => {
        const item = fc.oneof(
            fc.constantFrom("registry/a", "registry/missing"),
            fc.record({ imageUri: fc.string() }),
            fc.dictionary(fc.constantFrom(...requestFields, " imageUri", "\uFEFFforce", "__proto__"), fc.jsonValue()),
            fc.jsonValue({ maxDepth: 2 }),
        );
        const manifest = fc.oneof(fc.jsonValue(), fc.record({ bucket: fc.constant(bucket), key: fc.string() }));
        const input = fc.oneof(
            fc.record({ images: fc.array(item, { maxLength: 5 }), allowFailures: fc.boolean() }),
            fc.record(
                { images: fc.jsonValue(), manifest, allowFailures: fc.oneof(fc.boolean(), fc.jsonValue()) },
                { requiredKeys: [] },
            ),
            fc.jsonValue({ maxDepth: 3 }),
        );
        await fc.assert(
            fc.asyncProperty(input, async (value) => {
                const batch = await run(value, allButMissing);
                if (batch.outcome.status !== "SUCCEEDED") {
                    assert(failureOf(batch).error in exportErrors, JSON.stringify(batch.outcome));
                }
                for (const { Error: error } of batch.rows("FAILED")) {
                    assert(String(error) in exportErrors, String(error));
                }
            }),
            { numRuns: 100 },
        );
    });
});
