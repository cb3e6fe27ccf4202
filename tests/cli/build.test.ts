import assert from "node:assert/strict";

import { followLog, stageOfBuild, stageText } from "../../cli/build";

describe("the stage of an export", () => {
    it("is the build's phase, and in the phase BUILD what the log said last", () => {
        const logged = followLog(undefined, ["=== pull: Pull sha256:1 (after 3 s)", "a1: Pull complete"]);
        assert.deepEqual(logged, { name: "pull" });
        assert.deepEqual(stageOfBuild("QUEUED", logged), { name: "queued" });
        assert.deepEqual(stageOfBuild("BUILD", logged), { name: "pull" });
        assert.deepEqual(stageOfBuild("BUILD", undefined), { name: "build" });
        assert.deepEqual(stageOfBuild("SOMETHING_NEW", logged), { name: "something new" });
        assert.deepEqual(stageOfBuild("FINALIZING", logged), { name: "finalizing" });
    });

    it("has no rate before there is time, and no percentage of nothing", () => {
        const progress = { writtenBytes: 1e6, totalBytes: 4e6, seconds: 0 };
        assert.equal(stageText({ name: "upload", progress }), "upload: 1.00 MB of 4.00 MB (25 %)");
        assert.equal(stageText({ name: "upload", progress: { ...progress, totalBytes: 0 } }), "upload");
    });
});
