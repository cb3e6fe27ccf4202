import * as assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { folderOfLabs, nothingLeftIn, runLab } from "./support/runLab";

describe("lab: the command", () => {
    const folder = folderOfLabs();

    it("ends with a verified archive, beside another lab that was started at the same time", async () => {
        const endings = await Promise.all(
            ["docker", "stream"].map((engine) => runLab(folder(), ["--quiet", "--engine", engine])),
        );
        for (const { code, output } of endings) {
            assert.equal(code, 0, output);
            assert.match(output, /loaded into Docker, it is the image that was pushed/);
            assert.match(output, /artifactBucket +image-export-storage-bucket-\w+$/m);
            assert.match(output, /artifactKey +images\/nginx-mainline-alpine3\.22\.tar$/m);
        }
        // What differs from run to run: names, digests and sizes.
        const steady = (text: string) => text.replaceAll(/bucket-[0-9a-z]+|[0-9a-f]{64}|\b[0-9]{7,}$/gm, "…");
        const output = steady(endings[0]?.output ?? "");
        for (const readme of ["README.md", "README.ja.md"]) {
            const [, excerpt] = /```text\n(.*?)```/s.exec(readFileSync(join(root, readme), "utf8")) ?? [];
            const lines = steady(excerpt ?? "").split("\n");
            for (const line of lines) assert.ok(line === "[…]" || output.includes(line), `${readme}: ${line}`);
        }
    });

    it("shows a release and its patch, a delta of some KB, both loaded by a daemon that has nothing", async () => {
        const { code, output } = await runLab(folder(), ["--quiet", "--delta"]);
        assert.equal(code, 0, output);
        const [, base] = /^ +sha256 +(\w{64})$/m.exec(output) ?? [];
        const [, sizeBytes, needed] =
            /^ +(\d+) bytes, for whoever has the archive with the SHA-256 (\w+)\.$/m.exec(output) ?? [];
        assert.ok(Number(sizeBytes) < 20_000, sizeBytes);
        assert.equal(needed, base);
        assert.match(
            output,
            /docker load --input nginx-mainline-alpine3\.22\.tar: Loaded image: \S+:mainline-alpine3\.22\n/,
        );
        assert.match(output, /docker load --input nginx-mainline-alpine3\.22-patch\.tar: Loaded image: \S+:patched\n/);
        assert.match(output, /Both are the images that were pushed/);
    });

    it("stops what it started when it is interrupted", async () => {
        const { code, output } = await runLab(folder(), [], { interruptAt: "=== pull" });
        assert.equal(code, 130, output);
    });

    it("leaves nothing when it is killed by SIGKILL", async () => {
        const { code, output } = await runLab(folder(), [], { interruptAt: "=== pull", signal: "SIGKILL" });
        assert.equal(code, null, output);
        await nothingLeftIn(folder());
    });

    it("refuses unknown options with the usage", async () => {
        const { code, output } = await runLab(folder(), ["--frobnicate"]);
        assert.equal(code, 2);
        assert.match(output, /--frobnicate/);
        assert.match(output, /Usage: npm run lab/);
        assert.equal((await runLab(folder(), ["--delta", "--engine", "docker"])).code, 2);
    });
});
