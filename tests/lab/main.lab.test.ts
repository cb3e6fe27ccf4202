import * as assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { labVariable, run } from "../../lab/processes";
import { startDockerDaemon } from "../../lab/servers";

const main = join(__dirname, "..", "..", "lab", "main.ts");

interface Ending {
    /** Null where a signal ended it. */
    readonly code: number | null;
    readonly output: string;
}

/** Runs the lab as `npm run lab` does, with a folder for temporary files of its own. */
async function runLab(
    folder: string,
    args: string[],
    options: {
        readonly interruptAt?: string;
        readonly signal?: NodeJS.Signals;
        readonly env?: Record<string, string>;
    } = {},
): Promise<Ending> {
    const child = spawn(process.execPath, ["-r", "ts-node/register", main, ...args], {
        env: { ...process.env, ...options.env, TMPDIR: folder },
        stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (data: Buffer) => {
        output += data.toString();
        // More than once, as people do; but a process on its way out, that has told its last, dies of it.
        const isOver = output.includes("Everything that the lab started is stopped");
        if (options.interruptAt !== undefined && output.includes(options.interruptAt) && !isOver) {
            child.kill(options.signal ?? "SIGINT");
        }
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, output };
}

/** Command lines of processes that a lab in this folder has started. */
function processesOf(folder: string): string[] {
    return readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .flatMap((pid) => {
            try {
                const [environment = "", command = ""] = ["environ", "cmdline"].map((file) =>
                    readFileSync(join("/proc", pid, file), "utf8"),
                );
                return environment.includes(`${labVariable}=${folder}/`)
                    ? [command.replaceAll("\0", " ")]
                    : [];
            } catch {
                return []; // It has ended.
            }
        });
}

/** What labs in this folder have left. */
function leftIn(folder: string): string[] {
    return [
        ...processesOf(folder),
        ...readdirSync(folder).filter((name) => name.startsWith("image-export-lab-")),
        ...readFileSync("/proc/mounts", "utf8")
            .split("\n")
            .filter((line) => line.includes(folder)),
    ];
}

describe("lab: the command", () => {
    let folder: string;

    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "image-export-test-"));
    });

    afterEach(() => {
        assert.deepEqual(leftIn(folder), []);
        rmSync(folder, { recursive: true });
    });

    it("ends with a verified archive", async () => {
        const { code, output } = await runLab(folder, ["--quiet"]);
        assert.equal(code, 0, output);
        assert.match(output, /loaded into Docker, it is the image that was pushed/);
        assert.match(
            output,
            /archive {3}s3:\/\/image-export-storage-bucket-\w+\/images\/nginx-mainline-alpine3\.22\.tar/,
        );
    });

    it("exports an image of the machine's own Docker daemon", async () => {
        const machine = mkdtempSync(join(folder, "machine-"));
        const daemon = await startDockerDaemon(machine, {});
        try {
            const own = "registry.example/team/app:1.2";
            const importing = 'tar -cC /etc os-release | docker import --change "CMD true" - "$0"';
            await run("bash", ["-c", importing, own], { env: { DOCKER_HOST: daemon.host } });
            const { code, output } = await runLab(folder, ["--image", own, "--quiet"], {
                env: { DOCKER_HOST: daemon.host },
            });
            assert.equal(code, 0, output);
            assert.match(output, /image {5}\d+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com\/team\/app:1\.2/);
        } finally {
            await daemon.stop();
            rmSync(machine, { recursive: true });
        }
    });

    it("stops what it started when it is interrupted", async () => {
        for (const interruptAt of ["is in the registry", "=== Pull"]) {
            const { code, output } = await runLab(folder, [], { interruptAt });
            assert.equal(code, 130, output);
        }
    });

    for (const interruptAt of ["is in the registry", "=== Pull"]) {
        it(`leaves nothing when it is killed by SIGKILL, at "${interruptAt}"`, async () => {
            const { code, output } = await runLab(folder, [], { interruptAt, signal: "SIGKILL" });
            assert.equal(code, null, output);
            while (leftIn(folder).length > 0) await sleep(100); // until mocha's limit
        });
    }

    it("runs beside another lab that was started at the same time", async () => {
        const endings = await Promise.all(
            ["docker", "stream"].map((engine) => runLab(folder, ["--quiet", "--engine", engine])),
        );
        for (const { code, output } of endings) assert.equal(code, 0, output);
    });

    it("reports the failure of an execution by its name, and fails", async () => {
        const { code, output } = await runLab(folder, ["--input", '{"artifactBucket":"another-bucket"}']);
        assert.equal(code, 1);
        assert.match(
            output,
            /Failed with InvalidInput: artifactBucket is "another-bucket": this stack exports to/,
        );
    });

    it("says where it looked for an image that exists nowhere", async () => {
        const { code, output } = await runLab(folder, ["--image", "127.0.0.1:1/no/such-image:1"]);
        assert.equal(code, 1);
        assert.match(output, /127\.0\.0\.1:1\/no\/such-image:1 is neither in this machine's Docker daemon/);
    });

    it("refuses unknown options with the usage", async () => {
        const { code, output } = await runLab(folder, ["--frobnicate"]);
        assert.equal(code, 2);
        assert.match(output, /--frobnicate/);
        assert.match(output, /Usage: npm run lab/);
    });
});
