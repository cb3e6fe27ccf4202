import { strict as assert } from "node:assert";

import validate from "asl-validator";
import * as fc from "fast-check";

import { notifierDefinition } from "../../stateMachines/notifier";
import { at } from "../../lab/awsTypes";
import type { Outcome } from "../../lab/stateLanguage/host";
import { awsError, execute } from "../support/execution";

const topicArn = "arn:aws:sns:ap-northeast-1:111122223333:export-topic";
const executionArn = "arn:aws:states:ap-northeast-1:111122223333:execution:export:1";
const buildsUrl = "https://console/builds";
const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const definition = notifierDefinition({
    at,
    topicArn,
    imageUri: `${registry}/nginx:1.29`,
    artifactKey: "images/nginx/1.29.tar",
    artifactBucket: "artifacts",
    buildsUrl,
});
const executionUrl = `https://ap-northeast-1.console.aws.amazon.com/states/home?region=ap-northeast-1#/v2/executions/details/${executionArn}`;

/** The parameters of `sns:publish`, as the state machine gives them. */
interface Published {
    readonly TopicArn: string;
    readonly Subject: string;
    readonly MessageStructure: string;
    readonly Message: Record<string, string>;
}

/** What Step Functions answers of an execution. */
interface Answer {
    readonly Input?: string;
    readonly Output?: string;
    readonly Error?: string;
    readonly Cause?: string;
}

/** Runs the definition; `answer` throws where Step Functions does not answer. */
async function tell(
    event: { subject?: string; status: string },
    answer: () => Answer,
): Promise<{ outcome: Outcome; published: Published[] }> {
    const published: Published[] = [];
    const { outcome } = await execute(
        definition,
        { subject: "export", executionArn, ...event },
        {
            "aws-sdk:sfn:describeExecution": ({ ExecutionArn }: { ExecutionArn: string }) => {
                assert.equal(ExecutionArn, executionArn);
                return answer();
            },
            "sns:publish": (request: Published) => {
                published.push(request);
                return { MessageId: "1" };
            },
        },
    );
    return { outcome, published };
}

/** The text of the one message, as people read it. */
async function textOf(event: { subject?: string; status: string }, answer: Answer): Promise<string> {
    const { published } = await tell(event, () => answer);
    assert.equal(published.length, 1);
    const { Message } = published[0] ?? assert.fail();
    return Message["default"] ?? assert.fail();
}

describe("notifierDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("tells of a failed export: image, error, cause, key, and where to look", async () => {
        const text = await textOf(
            { status: "FAILED" },
            {
                Input: JSON.stringify({ imageUri: `${registry}/app:2`, artifactKey: "images/app.tar" }),
                Error: "DigestMismatch",
                Cause: "Blob sha256:1 is damaged. (Log: https://console/log)",
            },
        );
        assert.equal(
            text,
            [
                `The export of ${registry}/app:2 ended as FAILED.`,
                "",
                "Error: DigestMismatch",
                "Cause: Blob sha256:1 is damaged. (Log: https://console/log)",
                "Key: images/app.tar",
                `Execution: ${executionUrl}`,
                `Builds and their logs: ${buildsUrl}`,
                "",
                'What to do: docs/operations.md, "When an export fails".',
            ].join("\n"),
        );
    });

    it("publishes a text for people, and the form that the chat service takes", async () => {
        const { published } = await tell({ status: "ABORTED" }, () => ({ Input: "{}" }));
        const [{ Message, ...rest } = assert.fail()] = published;
        assert.deepEqual(rest, { TopicArn: topicArn, Subject: "Image export ABORTED", MessageStructure: "json" });
        assert.deepEqual(Object.keys(Message), ["default", "https"]);
        assert.deepEqual(JSON.parse(Message["https"] ?? ""), {
            version: "1.0",
            source: "custom",
            content: {
                textType: "client-markdown",
                title: "Image export ABORTED",
                description: `${registry}/nginx:1.29: (none) (none)`,
                nextSteps: [`Execution: ${executionUrl}`, `Builds and their logs: ${buildsUrl}`],
            },
        });
    });

    it("names the stack's image and its key where the request names none", async () => {
        const text = await textOf({ status: "FAILED" }, { Input: " { } ", Error: "ImageNotFound", Cause: "x" });
        assert.match(text, /^The export of \S+\/nginx:1\.29 ended as FAILED\./);
        assert.match(text, /\nKey: images\/nginx\/1\.29\.tar\n/);
    });

    it("does not take the key of the stack's image for that of another", async () => {
        const text = await textOf(
            { status: "TIMED_OUT" },
            { Input: JSON.stringify({ imageUri: `${registry}/app:2` }) },
        );
        assert.match(text, /\nError: \(none\)\nCause: \(none\)\nKey: made of repository and tag\n/);
    });

    it("tells of a set by its number of images, and what sharing has saved", async () => {
        const images = [`${registry}/app:1`, `${registry}/app:2`];
        const Input = JSON.stringify({ images, artifactKey: "images/set.tar" });
        const Output = JSON.stringify({
            setDigest: "sha256:2",
            imageCount: 2,
            savedBytes: 1024,
            artifactKey: "images/set.tar",
        });
        const text = await textOf({ status: "SUCCEEDED" }, { Input, Output });
        assert.match(
            text,
            /^The set of 2 images is in s3:\/\/\S+\/images\/set\.tar\.\n\nDigest: sha256:2\nBytes saved by what the images share: 1024\n/,
        );
        const failed = await textOf(
            { status: "FAILED" },
            { Input, Error: "ImageNotFound", Cause: "1 of the 2 images" },
        );
        assert.match(
            failed,
            /^The export of the set ended as FAILED\.\n\nError: ImageNotFound\nCause: 1 of the 2 images\nKey: images\/set\.tar\n/,
        );
    });

    it("tells what was exported, and whether it was there already", async () => {
        const Output = JSON.stringify({
            imageUri: `${registry}/app:2`,
            artifactBucket: "artifacts",
            artifactKey: "images/app/2.tar",
            imageDigest: "sha256:1",
            skipped: false,
            buildId: null,
        });
        assert.equal(
            await textOf({ status: "SUCCEEDED" }, { Input: "{}", Output }),
            [
                `${registry}/app:2 is in s3://artifacts/images/app/2.tar.`,
                "",
                "Digest: sha256:1",
                "Already there: false",
                `Execution: ${executionUrl}`,
            ].join("\n"),
        );
    });

    it("tells of batches by their own words", async () => {
        const failed = await textOf(
            { subject: "batch", status: "FAILED" },
            { Input: "[1]", Error: "ExportFailed", Cause: "7 of 8 exported." },
        );
        assert.match(failed, /^The batch ended as FAILED\.\n\nError: ExportFailed\nCause: 7 of 8 exported\./);
        assert.match(failed, /"When a batch fails"\.$/);
        const done = await textOf(
            { subject: "batch", status: "SUCCEEDED" },
            { Input: "{}", Output: JSON.stringify({ total: 8, exported: 8, text: "8 of 8 exported" }) },
        );
        assert.equal(done, `8 of 8 exported.\n\nExecution: ${executionUrl}`);
    });

    it("tells what the event knows where Step Functions does not answer", async () => {
        let asked = 0;
        const { outcome, published } = await tell({ status: "FAILED" }, () => {
            asked += 1;
            throw awsError("StepFunctions.AWSStepFunctionsException", "Rate exceeded");
        });
        assert(outcome.status === "SUCCEEDED");
        assert.equal(asked, 6);
        assert.match(published[0]?.Message["default"] ?? "", /ended as FAILED[^]*Error: \(none\)/);
    });

    it("says of odd requests what they are", async () => {
        for (const [Input, image] of [
            ['"x"', `${registry}/nginx:1.29`],
            ["[{}]", `${registry}/nginx:1.29`],
            ["null", `${registry}/nginx:1.29`],
            ['{"imageUri":{"a":[1]}}', '{"a":[1]}'],
            ['{"imageUri":null}', "null"],
        ] as const) {
            const text = await textOf({ status: "FAILED" }, { Input });
            assert(text.startsWith(`The export of ${image} ended as FAILED.`), `${Input}: ${text}`);
        }
    });

    it("sends one message whatever the event is, with a subject that SNS takes", async () => {
        for (const event of [
            null,
            [],
            5,
            "x",
            {},
            { status: "x\ny", subject: 5, executionArn: {} },
            { x: "x".repeat(250_000) },
        ]) {
            const published: Published[] = [];
            const { outcome } = await execute(definition, event, {
                "aws-sdk:sfn:describeExecution": () => {
                    throw awsError("StepFunctions.InvalidArnException", "Invalid Arn");
                },
                "sns:publish": (request: Published) => published.push(request),
            });
            assert.equal(outcome.status, "SUCCEEDED");
            assert.deepEqual(
                published.map(({ Subject }) => Subject),
                ["Image export ENDED"],
            );
        }
    });

    it("sends a message about an execution whose input and output are as large as they may be", async () => {
        const large = JSON.stringify({ imageUri: `${registry}/app:2`, x: "x".repeat(250_000) });
        const { outcome, published } = await tell({ status: "FAILED" }, () => ({
            Input: large,
            Output: large,
            Cause: "x".repeat(32_768),
        }));
        assert.equal(outcome.status, "SUCCEEDED");
        assert.match(published[0]?.Message["default"] ?? "", /ended as FAILED/);
    });

    it("sends one message whatever was requested and however it ended", async () => {
        await fc.assert(
            fc.asyncProperty(
                fc.constantFrom("export", "batch"),
                fc.constantFrom("FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"),
                fc.record(
                    {
                        Input: fc.oneof(
                            fc.json(),
                            fc
                                .record({ imageUri: fc.jsonValue(), artifactKey: fc.jsonValue() })
                                .map((request) => JSON.stringify(request)),
                        ),
                        Error: fc.string(),
                        Cause: fc.string(),
                    },
                    { requiredKeys: [] },
                ),
                async (subject, status, answer) => {
                    const { outcome, published } = await tell({ subject, status }, () => ({ ...answer }));
                    assert(outcome.status === "SUCCEEDED", JSON.stringify(outcome));
                    assert.equal(published.length, 1);
                },
            ),
            { numRuns: 200 },
        );
    });
});
