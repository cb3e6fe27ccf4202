import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { followLog, progressOfLine, stageOfBuild, stageOfLine, stageText } from "../../cli/stage";

const root = join(__dirname, "../..");

describe("the stage of an export", () => {
    for (const engine of ["docker", "stream"]) {
        it(`is known for every step of engine ${engine}`, () => {
            const buildspec = readFileSync(join(root, "buildspec", `${engine}.yml`), "utf8");
            const steps = [...buildspec.matchAll(/^ +step "(.+)"$/gm)].map(([, step = ""]) => step);
            assert.ok(steps.length >= 3);
            for (const step of steps) {
                assert.notEqual(stageOfLine(`=== ${step} (after 12 s)`), undefined, step);
            }
            // As the step is printed: printf '\n=== %s (after %s s)\n'
            assert.ok(buildspec.includes(String.raw`printf '\n=== %s (after %s s)\n'`));
        });
    }

    it("is not taken from lines that only look like a step", () => {
        for (const line of [
            "=== Pull (after x s)",
            "Pull x",
            "=== Unknown (after 1 s)",
            "== Done (after 1 s)",
        ]) {
            assert.equal(stageOfLine(line), undefined);
        }
    });

    it("reads the progress of engine stream, as the exporter writes it", () => {
        assert.deepEqual(progressOfLine("12.5 of 550.0 MB in 0.5 s"), {
            writtenBytes: 12_500_000,
            totalBytes: 550_000_000,
            seconds: 0.5,
        });
        assert.equal(progressOfLine("12.5 of 550.0 MB in 0.5 s, or so"), undefined);
        const exporter = readFileSync(join(root, "exporter/main.ts"), "utf8");
        assert.ok(exporter.includes("of ${megabytes(totalBytes)} MB in ${seconds.toFixed(1)} s\\n`"));
    });

    it("is the build's phase, and in the phase BUILD what the log told last", () => {
        const told = followLog(undefined, ["=== Pull sha256:1 (after 3 s)", "a1: Pull complete"]);
        assert.deepEqual(told, { name: "pulling" });
        assert.deepEqual(stageOfBuild("QUEUED", told), { name: "queued" });
        assert.deepEqual(stageOfBuild("BUILD", told), { name: "pulling" });
        assert.deepEqual(stageOfBuild("BUILD", undefined), { name: "building" });
        assert.deepEqual(stageOfBuild("SOMETHING_NEW", told), { name: "pulling" });
        assert.deepEqual(stageOfBuild("FINALIZING", told), { name: "finishing" });
    });

    it("has no rate before there is time, and no percentage of nothing", () => {
        const progress = { writtenBytes: 1e6, totalBytes: 4e6, seconds: 0 };
        assert.equal(stageText({ name: "uploading", progress }), "uploading 1.00 MB of 4.00 MB (25 %)");
        assert.equal(stageText({ name: "uploading", progress: { ...progress, totalBytes: 0 } }), "uploading");
    });
});
