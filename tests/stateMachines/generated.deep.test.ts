/** Whatever the state machines are given, they end in success or in a named error, and nothing crosses a boundary. */
import { strict as assert } from "node:assert";

import fc from "fast-check";

import { type ExportErrorName, exportErrors } from "../../contract/errors";
import { at } from "../../lab/awsTypes";
import type { Outcome } from "../../lab/stateLanguage/host";
import { batchDefinition } from "../../stateMachines/batch";
import { notifierDefinition } from "../../stateMachines/notifier";
import { starterDefinition } from "../../stateMachines/starter";
import { awsError, execute, fails, FakeExecutions } from "../support/execution";
import {
    assertHarmless,
    bucket,
    buildsUrl,
    definitions,
    exportArgs,
    image,
    runExport,
    type World,
} from "../support/exportExecution";
import { anyRequest } from "../support/hostileRequests";

const runs = { numRuns: 1000, endOnFailure: true };
const request = anyRequest({ imageUri: image.uri, artifactBucket: bucket, artifactPrefix: "images/" });
const exportMachineArn = "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export-0a1b2c3";

function assertNamed(outcome: Outcome): void {
    if (outcome.status === "SUCCEEDED") return;
    assert(outcome.status === "FAILED" && outcome.error in exportErrors, JSON.stringify(outcome));
    assert.notEqual(outcome.cause, "");
}

describe("1,000 inputs", () => {
    const failure = fc.tuple(
        fc.constantFrom("States.TaskFailed", "S3.S3Exception", "CodeBuild.AWSCodeBuildException", "States.Timeout"),
        fc.option(fc.string({ unit: "binary" }), { nil: undefined }),
    );
    const answer = fc.oneof(
        fc.jsonValue(),
        fc.record(
            {
                ImageDetails: fc.jsonValue(),
                Metadata: fc.jsonValue(),
                VersionId: fc.jsonValue(),
                ContentLength: fc.jsonValue(),
            },
            { requiredKeys: [] },
        ),
    );

    for (const [engine, definition] of Object.entries(definitions)) {
        it(`to the export state machine with engine ${engine}, whatever AWS answers`, async () => {
            const worlds = fc.record({
                describeImages: fc.option(answer, { nil: undefined }),
                headObject: fc.option(answer, { nil: undefined }),
                build: fc.option(failure, { nil: undefined }),
            });
            await fc.assert(
                fc.asyncProperty(
                    fc.oneof(fc.constant({}), fc.constant({ force: true }), request),
                    worlds,
                    async (input, answers) => {
                        const world: World = {
                            definition,
                            ...(answers.describeImages !== undefined && {
                                describeImages: () => answers.describeImages,
                            }),
                            ...(answers.headObject !== undefined && { headObject: () => answers.headObject }),
                            ...(answers.build !== undefined && { build: fails(...answers.build) }),
                        };
                        const { outcome, builds, stored } = await runExport(input, world);
                        assertNamed(outcome);
                        for (const build of builds) assertHarmless(build, stored);
                    },
                ),
                runs,
            );
        });
    }

    it("to the batch state machine", async () => {
        const definition = batchDefinition({ at, exportMachineArn, artifactBucket: bucket, maxConcurrency: 3 });
        const manifest = fc.oneof(
            request,
            fc.record({
                bucket: fc.oneof(fc.constant(bucket), fc.jsonValue()),
                key: fc.constantFrom("batches/a.json", "batches/a.csv", "batches/a.jsonl", "batches/a.csv\n"),
            }),
        );
        const inputs = fc.oneof(
            request,
            fc.record(
                { images: fc.array(request, { maxLength: 3 }), allowFailures: fc.oneof(fc.boolean(), fc.jsonValue()) },
                { requiredKeys: ["images"] },
            ),
            fc.record({ manifest, images: request, allowFailures: request }, { requiredKeys: [] }),
        );
        const sized = inputs.filter((each) => Buffer.byteLength(JSON.stringify(each)) <= 256 * 1024);
        const rows = fc
            .array(fc.array(fc.string({ unit: "binary", maxLength: 8 }), { maxLength: 4 }), { maxLength: 4 })
            .map((all) => ["imageUri,platform", ...all.map((row) => row.join(","))].join("\n"));
        await fc.assert(
            fc.asyncProperty(sized, fc.oneof(rows, fc.string(), fc.json()), async (input, text) => {
                const executions = new FakeExecutions(async (each) => {
                    const { outcome, builds, stored } = await runExport(each);
                    for (const build of builds) assertHarmless(build, stored);
                    if (outcome.status === "FAILED") throw awsError(outcome.error, outcome.cause);
                    return outcome.status === "SUCCEEDED" ? outcome.output : {};
                });
                const objects = Object.fromEntries(
                    [".json", ".csv", ".jsonl"].map((ending) => [`batches/a${ending}`, text]),
                );
                const ended = await execute(definition, input, executions.services, { objects });
                assertNamed(ended.outcome);
                for (const event of ended.events) {
                    if (event.type === "failed") assert(!event.error.startsWith("States.Query"), JSON.stringify(event));
                }
                for (const [key, lines] of ended.objects) {
                    if (!key.includes("/FAILED_")) continue;
                    for (const line of lines.trim().split("\n")) {
                        assert((JSON.parse(line) as { Error: ExportErrorName }).Error in exportErrors, line);
                    }
                }
            }),
            runs,
        );
    });

    it("to the starter", async () => {
        const definition = starterDefinition({ at, exportMachineArn });
        const event = fc.record(
            {
                trigger: fc.oneof(fc.constantFrom("push", "schedule"), fc.jsonValue()),
                identity: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
                request,
            },
            { requiredKeys: [] },
        );
        await fc.assert(
            fc.asyncProperty(fc.oneof(event, request), async (input) => {
                const executions = new FakeExecutions(() => ({}));
                assertNamed((await execute(definition, input, executions.services)).outcome);
            }),
            runs,
        );
    });

    it("to the notifier, which sends a message about each", async () => {
        const definition = notifierDefinition({
            at: exportArgs.at,
            topicArn: "arn:t",
            imageUri: image.uri,
            artifactKey: "images/x.tar",
            artifactBucket: bucket,
            buildsUrl,
        });
        const event = fc.record(
            {
                subject: fc.oneof(fc.constantFrom("export", "batch"), request),
                executionArn: request,
                status: fc.oneof(fc.constantFrom("FAILED", "SUCCEEDED"), request),
            },
            { requiredKeys: [] },
        );
        const sized = fc.oneof(event, request).filter((each) => Buffer.byteLength(JSON.stringify(each)) <= 256 * 1024);
        const described = fc.record(
            {
                Input: request.map((each) => JSON.stringify(each)),
                Output: request.map((each) => JSON.stringify(each)),
                Error: fc.string(),
                Cause: fc.string({ unit: "binary" }),
            },
            { requiredKeys: [] },
        );
        await fc.assert(
            fc.asyncProperty(sized, fc.option(described, { nil: undefined }), async (input, answer) => {
                const published: { Subject: string; Message: Record<string, string> }[] = [];
                const { outcome } = await execute(definition, input, {
                    "aws-sdk:sfn:describeExecution": () =>
                        answer ?? fails("StepFunctions.InvalidArnException", "Invalid Arn")(),
                    "sns:publish": (message: { Subject: string; Message: Record<string, string> }) =>
                        published.push(message),
                });
                assert.equal(outcome.status, "SUCCEEDED", JSON.stringify(outcome));
                assert.equal(published.length, 1);
                // docs.aws.amazon.com/sns/latest/api/API_Publish.html
                for (const { Subject, Message } of published) {
                    assert.match(Subject, /^[A-Za-z _]{1,99}$/);
                    JSON.parse(Message["https"] ?? "");
                }
            }),
            runs,
        );
    });
});
