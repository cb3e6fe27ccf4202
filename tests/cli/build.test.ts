import assert from "node:assert/strict";

import { stageOfBuild, stageOfLine } from "../../cli/build";

describe("the stage of an export", () => {
    it("is the build's phase, and in the phase BUILD what the log said last", () => {
        const logged = stageOfLine("=== pull: Pull sha256:1 (after 3 s)");
        assert.equal(logged, "pull");
        assert.equal(stageOfLine("a1: Pull complete"), undefined);
        assert.equal(stageOfBuild("QUEUED", logged), "queued");
        assert.equal(stageOfBuild("BUILD", logged), "pull");
        assert.equal(stageOfBuild("BUILD", undefined), "build");
        assert.equal(stageOfBuild("SOMETHING_NEW", logged), "something new");
        assert.equal(stageOfBuild("FINALIZING", logged), "finalizing");
    });

    it("has no rate before there is time", () => {
        assert.equal(stageOfLine("1.0 of 4.0 MB in 0.0 s"), "export: 1.00 MB of 4.00 MB (25 %)");
        assert.equal(stageOfLine("1.0 of 4.0 MB in 2.0 s"), "export: 1.00 MB of 4.00 MB (25 %), 500 kB/s");
        assert.equal(stageOfLine("0.0 of 0.0 MB in 0.0 s"), "export: 0 B of 0 B (0 %)");
    });
});
