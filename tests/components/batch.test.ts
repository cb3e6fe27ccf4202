import { strict as assert } from "node:assert";

import { BatchOrchestration, type BatchOrchestrationArgs } from "../../components/batch";
import { batchDefinition } from "../../stateMachines/batch";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, statementsOf } from "../support/houseRules";
import { evaluate, type Evaluation } from "../../lab/evaluation";

const states = "arn:aws:states:ap-northeast-1:111122223333";
const artifactBucketArn = "arn:aws:s3:::artifacts-0a1b2c3";
const args: BatchOrchestrationArgs = {
    at,
    exportMachineArn: `${states}:stateMachine:export-0a1b2c3`,
    exportMachineName: "export-0a1b2c3",
    artifactBucketName: "artifacts-0a1b2c3",
    artifactBucketArn,
    maxConcurrency: 25,
};

function evaluateBatch(changes: Partial<BatchOrchestrationArgs> = {}): Promise<Evaluation> {
    return evaluate(() => ({ machine: new BatchOrchestration("test", { ...args, ...changes }).urn }));
}

describe("BatchOrchestration", () => {
    let batch: Evaluation;
    before(async () => {
        batch = await evaluateBatch();
    });

    itKeepsTheHouseRules(() => batch);

    it("is a state machine with its role, the role's policies and a log group", () => {
        assert.deepEqual(batch.typesAndNames(), [
            "aws:cloudwatch/logGroup:LogGroup test-machine-log",
            "aws:iam/role:Role test-machine-role",
            "aws:iam/rolePolicy:RolePolicy test-machine-policy",
            "aws:iam/rolePolicy:RolePolicy test-map-policy",
            "aws:sfn/stateMachine:StateMachine test-machine",
            "ecr-image-export:index:BatchOrchestration test",
            "ecr-image-export:index:LoggedStateMachine test-machine",
        ]);
    });

    it("runs the definition of batchDefinition.ts", () => {
        const { definition } = batch.resource("test-machine").inputs;
        const expected = batchDefinition({
            ...args,
            partition: "aws",
            artifactBucket: args.artifactBucketName,
        });
        assert.deepEqual(JSON.parse(String(definition)), structuredClone(expected));
    });

    it("lets the role export, read manifests and write results, each in its own place", () => {
        const { policy } = batch.resource("test-machine-policy").inputs as {
            policy: { Statement: { Sid: string; Action: unknown; Resource: unknown }[] };
        };
        const own = policy.Statement.slice(0, 5).map(({ Sid, Action, Resource }) => [Sid, Action, Resource]);
        assert.deepEqual(own, [
            ["ExportEachImage", "states:StartExecution", `${states}:stateMachine:export-0a1b2c3`],
            [
                "FollowEachExport",
                ["states:DescribeExecution", "states:StopExecution"],
                `${states}:execution:export-0a1b2c3:*`,
            ],
            [
                "AwaitExports",
                ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                "arn:aws:events:ap-northeast-1:111122223333:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule",
            ],
            ["ReadManifests", "s3:GetObject", `${artifactBucketArn}/batches/*`],
            [
                "WriteResults",
                ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                `${artifactBucketArn}/batch-results/*`,
            ],
        ]);
        assert.deepEqual(
            policy.Statement.slice(5).map(({ Sid }) => Sid),
            ["DeliverExecutionLog", "TraceExecutions"],
        );
    });

    it("lets the role run its own Maps, and count what they did", () => {
        assert.deepEqual(batch.resource("test-map-policy").inputs["policy"], {
            Version: "2012-10-17",
            Statement: [
                {
                    Sid: "RunMap",
                    Effect: "Allow",
                    Action: "states:StartExecution",
                    Resource: `${states}:stateMachine:test-machine-0a1b2c3`,
                },
                {
                    Sid: "FollowMap",
                    Effect: "Allow",
                    Action: ["states:DescribeExecution", "states:StopExecution"],
                    Resource: [
                        `${states}:execution:test-machine-0a1b2c3:*`,
                        `${states}:execution:test-machine-0a1b2c3/*`,
                    ],
                },
                {
                    Sid: "CountResults",
                    Effect: "Allow",
                    Action: "states:DescribeMapRun",
                    Resource: `${states}:mapRun:test-machine-0a1b2c3/*`,
                },
            ],
        });
    });

    it("publishes what a person needs to start a batch", () => {
        const { startBatchPolicy, ...names } = batch.component("BatchOrchestration").outputs ?? {};
        assert.deepEqual(names, {
            stateMachineArn: `${states}:stateMachine:test-machine-0a1b2c3`,
            stateMachineName: "test-machine-0a1b2c3",
            logGroupName: "/aws/vendedlogs/states/test-machine-20250101000000000000000001",
        });
        const { Statement: statements } = JSON.parse(String(startBatchPolicy)) as {
            Statement: { Sid: string; Action: unknown; Resource: unknown }[];
        };
        assert.deepEqual(
            statements.map(({ Sid, Action, Resource }) => [Sid, Action, Resource]),
            [
                [
                    "StartExports",
                    ["states:ListExecutions", "states:StartExecution"],
                    `${states}:stateMachine:test-machine-0a1b2c3`,
                ],
                [
                    "FollowExports",
                    ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
                    `${states}:execution:test-machine-0a1b2c3:*`,
                ],
                ["FindMapRuns", "states:ListMapRuns", `${states}:execution:test-machine-0a1b2c3:*`],
                ["CountResults", "states:DescribeMapRun", `${states}:mapRun:test-machine-0a1b2c3/*`],
                ["PutManifests", "s3:PutObject", `${artifactBucketArn}/batches/*`],
                ["ReadResults", "s3:GetObject", `${artifactBucketArn}/batch-results/*`],
            ],
        );
    });

    it("encrypts manifests, results and log with a KMS key", async () => {
        const encryptionKeyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        const encrypted = await evaluateBatch({ encryptionKeyArn });
        assert.equal(encrypted.resource("test-machine-log").inputs["kmsKeyId"], encryptionKeyArn);
        const useKey = {
            Sid: "WriteEncrypted",
            Effect: "Allow",
            Action: ["kms:Decrypt", "kms:GenerateDataKey"],
            Resource: encryptionKeyArn,
            Condition: {
                StringEquals: { "kms:ViaService": "s3.ap-northeast-1.amazonaws.com" },
                StringLike: { "kms:EncryptionContext:aws:s3:arn": artifactBucketArn },
            },
        };
        assert.deepEqual(statementsOf(encrypted.resource("test-machine-policy"))[5], useKey);
        const { startBatchPolicy } = encrypted.component("BatchOrchestration").outputs ?? {};
        const published = JSON.parse(String(startBatchPolicy)) as { Statement: unknown[] };
        assert.deepEqual(published.Statement.at(-1), useKey);
    });
});
