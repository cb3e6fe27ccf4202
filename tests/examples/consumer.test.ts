import { strict as assert } from "node:assert";
import { createRequire } from "node:module";

import * as pulumi from "@pulumi/pulumi";

import { evaluate, type Evaluation } from "../../lab/evaluation";
import { evaluateStack } from "../../lab/program";

const load = createRequire(__filename);
const stackName = "acme/ecr-image-export/prod";

/** Evaluates the consumer beside a stack that has these outputs. */
function consume(outputs: Record<string, unknown>, preview = false): Promise<Evaluation> {
    return evaluate(
        () => {
            pulumi.runtime.setAllConfig({ "ecr-image-export-consumer:exportStack": stackName });
            const program = load.resolve("../../examples/consumer");
            Reflect.deleteProperty(load.cache, program);
            return { ...(load(program) as Record<string, unknown>) };
        },
        { project: "ecr-image-export-consumer", preview, otherStacks: { [stackName]: outputs } },
    );
}

describe("examples/consumer", function () {
    this.timeout(30_000);
    let outputs: Record<string, unknown>;
    let consumer: Evaluation;
    before(async () => {
        outputs = (await evaluateStack("prod", false)).result;
        consumer = await consume(outputs);
    });

    it("gives its role the policies of the stack, as they are", () => {
        for (const policy of ["startExportPolicy", "readArtifactsPolicy"]) {
            const { inputs } = consumer.resource(policy);
            assert.deepEqual(inputs, { role: "releaser-0a1b2c3", policy: outputs[policy] });
            const { Statement: statements } = JSON.parse(String(inputs.policy)) as {
                Statement: unknown[];
            };
            assert.notDeepEqual(statements, []);
        }
    });

    it("hears of every end of an execution of the stack's state machine", () => {
        const rules = consumer.customResources().filter(({ type }) => type.endsWith(":EventRule"));
        assert.deepEqual(
            rules.map(({ inputs }) => JSON.parse(String(inputs["eventPattern"])) as unknown),
            [
                {
                    source: ["aws.states"],
                    "detail-type": ["Step Functions Execution Status Change"],
                    detail: {
                        stateMachineArn: [outputs["stateMachineArn"]],
                        status: ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
                    },
                },
            ],
        );
    });

    it("lets that rule alone send to the queue, which the role receives from", () => {
        const of = (type: string) =>
            consumer.customResources().filter((each) => each.type.endsWith(`:${type}`));
        const [queuePolicy] = of("QueuePolicy");
        const { Statement: statements } = JSON.parse(String(queuePolicy?.inputs["policy"])) as {
            Statement: unknown;
        };
        const queueArn = "arn:aws:sqs:ap-northeast-1:111122223333:finished-exports-0a1b2c3";
        assert.deepEqual(statements, [
            {
                Effect: "Allow",
                Principal: { Service: "events.amazonaws.com" },
                Action: "sqs:SendMessage",
                Resource: queueArn,
                Condition: {
                    ArnEquals: {
                        "aws:SourceArn":
                            "arn:aws:events:ap-northeast-1:111122223333:rule/finished-exports-0a1b2c3",
                    },
                },
            },
        ]);
        const [target] = of("EventTarget");
        assert.equal(target?.inputs["arn"], queueArn);
        assert(target.dependencies.includes("finished-exports"));
        assert.deepEqual(consumer.resource("receive").inputs["policy"], {
            Version: "2012-10-17",
            Statement: [
                { Effect: "Allow", Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage"], Resource: queueArn },
            ],
        });
    });

    it("tells where the archives are", () => {
        assert.deepEqual(consumer.result["archives"], {
            bucket: outputs["artifactBucketName"],
            prefix: outputs["artifactPrefix"],
        });
    });

    it("can be previewed", async () => {
        const { inputs } = (await consume(outputs, true)).resource("startExportPolicy");
        assert.equal(inputs["policy"], outputs["startExportPolicy"]);
    });

    for (const output of [
        "startExportPolicy",
        "readArtifactsPolicy",
        "stateMachineArn",
        "artifactBucketName",
        "artifactPrefix",
    ]) {
        it(`fails where ${output} of the stack is renamed, dropped or of another type`, async () => {
            const { [output]: value, ...others } = outputs;
            assert.notEqual(value, undefined);
            for (const changed of [
                { ...others, [`${output}2`]: value },
                others,
                { ...others, [output]: [value] },
            ]) {
                await assert.rejects(consume(changed), {
                    message: new RegExp(`The output ${output} of the stack ${stackName} is `),
                });
            }
        });
    }
});
