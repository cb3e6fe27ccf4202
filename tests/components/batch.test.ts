import { strict as assert } from "node:assert";

import { BatchOrchestration, type BatchOrchestrationArgs } from "../../components/batch";
import { batchDefinition } from "../../stateMachines/batch";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf } from "../support/houseRules";
import { evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

const states = "arn:aws:states:ap-northeast-1:111122223333";
const artifactBucketArn = "arn:aws:s3:::artifacts-0a1b2c3";
const args: BatchOrchestrationArgs = {
    at,
    exportMachineArn: `${states}:stateMachine:export-0a1b2c3`,
    exportMachineName: "export-0a1b2c3",
    artifactBucket: "artifacts-0a1b2c3",
    artifactBucketArn,
    maxConcurrency: 25,
};

/** What the role may do, and what a person needs to start a batch. */
const own = [
    ...["ExportEachImage", "FollowEachExport", "AwaitExports", "ReadManifests", "WriteResults"],
    ...["DeliverExecutionLog", "TraceExecutions"],
];
const starting = [...["StartExports", "FollowExports", "FindMapRuns", "CountResults", "PutManifests", "ReadResults"]];

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
        assert.deepEqual(typesAndNamesOf(batch), [
            "aws:cloudwatch/logGroup:LogGroup test-machine-log",
            "aws:iam/role:Role test-machine-role",
            "aws:iam/rolePolicy:RolePolicy test-machine-policy",
            "aws:iam/rolePolicy:RolePolicy test-map-policy",
            "aws:sfn/stateMachine:StateMachine test-machine",
            "ecr-image-export:index:BatchOrchestration test",
        ]);
    });

    it("runs the definition of batchDefinition.ts", () => {
        const { definition } = resourceOf(batch, "test-machine").inputs;
        const expected = batchDefinition(args);
        assert.deepEqual(JSON.parse(String(definition)), structuredClone(expected));
    });

    it("lets the role export, read manifests and write results, and run its own Maps", () => {
        assert.deepEqual(sidsOf(resourceOf(batch, "test-machine-policy")), own);
        assert.deepEqual(sidsOf(resourceOf(batch, "test-map-policy")), ["RunMap", "FollowMap", "CountResults"]);
    });

    it("publishes what a person needs to start a batch", () => {
        const { startBatchPolicy, stateMachine } = componentOf(batch, "BatchOrchestration").outputs ?? {};
        assert.deepEqual(stateMachine, {
            arn: `${states}:stateMachine:test-machine-0a1b2c3`,
            name: "test-machine-0a1b2c3",
            logGroupName: "/aws/vendedlogs/states/test-machine-20250101000000000000000001",
        });
        assert.deepEqual(sidsOf(String(startBatchPolicy)), starting);
    });

    it("encrypts manifests, results and log with a KMS key", async () => {
        const encryptionKeyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        const encrypted = await evaluateBatch({ encryptionKeyArn });
        assert.equal(resourceOf(encrypted, "test-machine-log").inputs["kmsKeyId"], encryptionKeyArn);
        assert.deepEqual(sidsOf(resourceOf(encrypted, "test-machine-policy")), own.toSpliced(5, 0, "WriteEncrypted"));
        const { startBatchPolicy } = componentOf(encrypted, "BatchOrchestration").outputs ?? {};
        assert.deepEqual(sidsOf(String(startBatchPolicy)), [...starting, "WriteEncrypted"]);
    });
});
