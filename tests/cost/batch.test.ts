import { strict as assert } from "node:assert";

import { batchDefinition } from "../../components/batchDefinition";
import { type BatchUsage, batchTransitions, estimateBatch, limits, requestBytes } from "../../cost/batch";
import { assumptions, type Measured, monthlyCost, total } from "../../cost/estimate";
import { executeBatch } from "../support/batchExecution";

const measured: Measured = { mb: 100, unpackedRatio: 3, dockerSeconds: 10, streamSeconds: 5 };
const usage: BatchUsage = {
    region: "us-east-1",
    exports: 0,
    mb: 100,
    unpackedRatio: 3,
    computeType: "BUILD_GENERAL1_MEDIUM",
    archiveDays: 60,
    oldVersionDays: 0,
    images: 1000,
    maxConcurrency: 10,
};

describe("the cost of a batch", () => {
    it("runs so many builds at a time, round by round", () => {
        const hours = (changes: Partial<BatchUsage>) =>
            estimateBatch("docker", { ...usage, ...changes }, measured)?.hours;
        assert.equal(hours({}), (100 * 60) / 3600);
        assert.equal(hours({ maxConcurrency: 300 }), (4 * 60) / 3600);
        assert.equal(hours({ images: 1, maxConcurrency: 300 }), 60 / 3600);
    });

    it("costs its exports, and what the batch adds to each", () => {
        const batch = estimateBatch("stream", usage, measured);
        const exports = total(monthlyCost("stream", { ...usage, exports: 1000 }, measured) ?? []);
        const transitions = 1000 * batchTransitions.image + batchTransitions.batch;
        assert(batch !== undefined);
        assert.equal(batch.usd.toFixed(6), (exports + transitions * 0.000025).toFixed(6));
        const skipped = transitions + 1000 * assumptions.stateTransitions;
        assert.equal(batch.againUsd.toFixed(6), (skipped * 0.000025).toFixed(6));
    });

    it("needs a manifest where the list is larger than the input of an execution", () => {
        const most = Math.floor(limits.inputBytes / requestBytes);
        for (const [images, fits] of [
            [most, true],
            [most + 1, false],
        ] as const) {
            assert.equal(estimateBatch("stream", { ...usage, images }, measured)?.fitsInput, fits);
        }
    });

    it("knows no batch of what a way cannot export", () => {
        assert.equal(
            estimateBatch("stream on Lambda compute", { ...usage, mb: 100_000 }, measured),
            undefined,
        );
    });

    it("counts the states that a batch enters", async () => {
        const definition = batchDefinition({
            partition: "aws",
            exportMachineArn: "arn:aws:states:us-east-1:111122223333:stateMachine:export",
            artifactBucket: "artifacts",
            maxConcurrency: 2,
        });
        const statesOf = async (count: number) => {
            const images = Array.from({ length: count }, (_, index) => ({ imageUri: `registry/${index}` }));
            return (await executeBatch(definition, { images }, () => ({}))).states.length;
        };
        const [one, three] = [await statesOf(1), await statesOf(3)];
        assert.equal(three - one, 2 * batchTransitions.image);
        assert.equal(one - batchTransitions.image, batchTransitions.batch);
    });
});
