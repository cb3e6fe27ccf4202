import * as assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

import { run } from "../../lab/processes";
import { startDockerDaemon } from "../../lab/servers";
import { folderOfLabs, nothingLeftIn, runLab } from "./support/runLab";

describe("lab: the command", () => {
    const folder = folderOfLabs();

    it("exports an image of the machine's own Docker daemon", async () => {
        const machine = mkdtempSync(join(folder(), "machine-"));
        const daemon = await startDockerDaemon(machine, {});
        try {
            const own = "registry.example/team/app:1.2";
            const importing = 'tar -cC /etc os-release | docker import --change "CMD true" - "$0"';
            await run("bash", ["-c", importing, own], { env: { DOCKER_HOST: daemon.host } });
            const { code, output } = await runLab(folder(), ["--image", own, "--quiet"], {
                env: { DOCKER_HOST: daemon.host },
            });
            assert.equal(code, 0, output);
            assert.match(output, /imageUri +\d+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com\/team\/app:1\.2/);
        } finally {
            await daemon.stop();
            rmSync(machine, { recursive: true });
        }
    });

    it("leaves nothing when it is interrupted or killed while it starts", async () => {
        for (const signal of ["SIGINT", "SIGKILL"] as const) {
            const { code, output } = await runLab(folder(), [], { interruptAt: "is in the registry", signal });
            assert.equal(code, signal === "SIGINT" ? 130 : null, output);
            await nothingLeftIn(folder());
        }
    });

    it("leaves nothing of its second daemon when it is interrupted or killed", async () => {
        for (const signal of ["SIGINT", "SIGKILL"] as const) {
            const { code, output } = await runLab(folder(), ["--delta", "--quiet"], {
                interruptAt: "docker load --input",
                signal,
            });
            assert.equal(code, signal === "SIGINT" ? 0 : null, output);
            await nothingLeftIn(folder());
        }
    });

    it("reports the failure of an execution by its name, and fails", async () => {
        const { code, output } = await runLab(folder(), ["--input", '{"artifactBucket":"another-bucket"}']);
        assert.equal(code, 1);
        assert.match(output, /Failed with InvalidInput: artifactBucket is "another-bucket": this stack only exports/);
    });

    it("says where it looked for an image that exists nowhere", async () => {
        const { code, output } = await runLab(folder(), ["--image", "127.0.0.1:1/no/such-image:1"]);
        assert.equal(code, 1);
        assert.match(output, /127\.0\.0\.1:1\/no\/such-image:1 is neither in this machine's Docker daemon/);
    });
});
