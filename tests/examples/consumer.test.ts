/** examples/consumer beside a stack of this program, and beside one that is none. */
import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";

import { customResourcesOf, evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { evaluateStack } from "../../lab/program";
import { loadOtherProgram } from "../support/otherProgram";

const stackName = "acme/ecr-image-export/prod";

/** Evaluates the consumer beside a stack that has these outputs. */
function consume(outputs: Record<string, unknown>, preview = false): Promise<Evaluation> {
    return evaluate(
        () => {
            pulumi.runtime.setAllConfig({ "ecr-image-export-consumer:exportStack": stackName });
            return loadOtherProgram("examples/consumer");
        },
        { project: "ecr-image-export-consumer", preview, otherStacks: { [stackName]: outputs } },
    );
}

describe("examples/consumer", () => {
    let outputs: Record<string, unknown>;
    let consumer: Evaluation;
    before(async () => {
        outputs = (await evaluateStack("prod", false)).result;
        consumer = await consume(outputs);
    });

    it("gives its role the policies of the stack", () => {
        for (const [name, output] of [
            ["start-exports", "startExportPolicy"],
            ["read-archives", "readArtifactsPolicy"],
        ] as const) {
            const policy = outputs[output];
            assert.match(String(policy), /"Effect":"Allow"/);
            assert.deepEqual(resourceOf(consumer, name).inputs, { role: "releaser-0a1b2c3", policy });
        }
    });

    it("has every end of an execution of the stack's state machine sent to a queue that takes nothing else", () => {
        const [rule, target, queuePolicy] = ["EventRule", "EventTarget", "QueuePolicy"].map((type) =>
            customResourcesOf(consumer).find((each) => each.type.endsWith(`:${type}`)),
        );
        assert.deepEqual(JSON.parse(String(rule?.inputs["eventPattern"])), {
            source: ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            detail: {
                stateMachineArn: [outputs["stateMachineArn"]],
                status: ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
            },
        });
        assert.deepEqual(JSON.parse(String(queuePolicy?.inputs["policy"])), {
            Version: "2012-10-17",
            Statement: [
                {
                    Effect: "Allow",
                    Principal: { Service: "events.amazonaws.com" },
                    Action: "sqs:SendMessage",
                    Resource: target?.inputs["arn"],
                    Condition: {
                        ArnEquals: {
                            "aws:SourceArn": "arn:aws:events:ap-northeast-1:111122223333:rule/finished-exports-0a1b2c3",
                        },
                    },
                },
            ],
        });
        assert(target?.dependencies.includes("finished-exports"));
    });

    it("exports where the archives are", () => {
        const { artifactBucketName: bucket, artifactPrefix: prefix } = outputs;
        assert.deepEqual(consumer.result["archives"], { bucket, prefix });
    });

    it("can be previewed", async () => {
        const { inputs } = resourceOf(await consume(outputs, true), "start-exports");
        assert.equal(inputs["policy"], outputs["startExportPolicy"]);
    });

    it("refuses a stack that is none of ecr-image-export with one message, which has no stack trace", async () => {
        const { artifactBucketName: dropped, ...others } = outputs;
        assert.notEqual(dropped, undefined);
        await assert.rejects(consume({ ...others, stateMachineArn: [] }), (error: Error) => {
            assert(pulumi.RunError.isInstance(error), "the CLI prints the stack trace of any other error");
            assert.match(error.message, /^The configuration value exportStack is "acme\/ecr-image-export\/prod"\. /);
            assert.match(error.message, /artifactBucketName \(missing, expected string\); stateMachineArn \(list,/);
            return true;
        });
    });
});
