import assert from "node:assert/strict";

import { stageOfBuild, stageOfLine } from "../../cli/build";

describe("the stage of an export", () => {
    it("is the build's phase, and in the phase BUILD what the log said last", () => {
        const stage = (name: string) => ({ name, text: name });
        const logged = stageOfLine("=== pull: Pull sha256:1 (after 3 s)");
        assert.deepEqual(logged, stage("pull"));
        assert.equal(stageOfLine("a1: Pull complete"), undefined);
        assert.deepEqual(stageOfBuild("QUEUED", logged), stage("queued"));
        assert.deepEqual(stageOfBuild("BUILD", logged), stage("pull"));
        assert.deepEqual(stageOfBuild("BUILD", undefined), stage("build"));
        assert.deepEqual(stageOfBuild("SOMETHING_NEW", logged), stage("something new"));
        assert.deepEqual(stageOfBuild("FINALIZING", logged), stage("finalizing"));
    });

    it("has no rate before there is time", () => {
        const text = (line: string) => stageOfLine(line)?.text;
        assert.equal(text("1.0 of 4.0 MB in 0.0 s"), "export: 1.00 MB of 4.00 MB (25 %)");
        assert.equal(text("1.0 of 4.0 MB in 2.0 s"), "export: 1.00 MB of 4.00 MB (25 %), 500 kB/s");
        assert.equal(text("0.0 of 0.0 MB in 0.0 s"), "export: 0 B of 0 B (0 %)");
    });
});
