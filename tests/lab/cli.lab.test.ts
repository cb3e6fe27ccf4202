/** The command line as people run it: a process of its own, against the API of the lab, with a published policy's rights. */
import * as assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";

import { HeadObjectCommand } from "@aws-sdk/client-s3";

import type { EngineName } from "../../contract/engine";
import { buildSteps } from "../../contract/progress";
import { permission } from "../../lab/iam";
import type { Lab } from "../../lab/lab";
import { sharedLab, uriOf } from "./support/sharedLab";

const root = join(__dirname, "../..");

/** What a run of the command line left. */
interface Run {
    readonly exitCode: number | null;
    readonly stdout: string;
    readonly stderr: string;
}

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: the command line, engine ${engine}`, () => {
        testCommandLine(engine);
    });
}

function testCommandLine(engine: EngineName): void {
    let lab: Lab;
    let environment: Record<string, string>;
    let path: string;

    before(async () => {
        lab = await sharedLab(engine);
        environment = environmentOf(lab, "startExportPolicy");
        path = lab.buildEnvironment["PATH"] ?? "";
    });

    afterEach(() => {
        lab.buildEnvironment["PATH"] = path;
    });

    it("starts an export, shows how far it is, and reports the archive", async () => {
        takeTime(lab);
        const { exitCode, stdout, stderr } = await imageExport(["start", "--json", "--logs", "--force"]);
        assert.equal(exitCode, 0, stderr);
        const { status, output } = JSON.parse(stdout) as {
            status: string;
            output: { artifactBucket: string; artifactKey: string; sizeBytes: number };
        };
        assert.equal(status, "SUCCEEDED");
        const head = await lab.s3.send(
            new HeadObjectCommand({ Bucket: output.artifactBucket, Key: output.artifactKey }),
        );
        assert.equal(head.ContentLength, output.sizeBytes);
        // Told by the build's phases and its log, both read with nothing but the published policy.
        assert.doesNotMatch(stderr, /cannot be seen/);
        assert.match(stderr, /^=== done: .* \(after \d+ s\)$/m);
        const stages = stderr.split("\n").map((line) => line.split(/[: ]/)[0]);
        // The small image of the lab passes some of the stages between two polls.
        assert.ok(stages.includes("checking") && buildSteps.some((step) => stages.includes(step)), stderr);
        if (engine === "stream") assert.match(stderr, /^[\d.]+ of [\d.]+ MB in [\d.]+ s$/m);
    });

    it("skips what is there, and lists, shows and explains what was done", async () => {
        const skipped = await imageExport(["start"]);
        assert.equal(skipped.exitCode, 0, skipped.stderr);
        assert.match(skipped.stdout, /^status +already exported$/m);
        const failed = await imageExport(["start", "--image", uriOf(lab, "missing")]);
        assert.equal(failed.exitCode, 1);
        assert.match(failed.stdout, /^error +ImageNotFound$/m);

        const { stdout } = await imageExport(["list", "--json"]);
        const [newest, , oldest] = JSON.parse(stdout) as {
            executionArn: string;
            name: string;
            error?: string;
        }[];
        assert.equal(newest?.error, "ImageNotFound");
        const status = await imageExport(["status", oldest?.name ?? ""]);
        assert.match(status.stdout, /^status +exported$/m);
        const logs = await imageExport(["logs", oldest?.executionArn ?? ""]);
        assert.match(logs.stdout, /^=== check: .* \(after \d+ s\)$/m);
        assert.match(logs.stdout, /^=== done: /m);
    });

    it("stops watching at Ctrl-C without a terminal, watches again, and stops the execution", async () => {
        await lab.push(lab.image.repository.name, "slow");
        takeTime(lab);
        const watching = start(["start", "--image", uriOf(lab, "slow"), "--force"]);
        const output = collected(watching);
        await firstOutput(watching);
        watching.kill("SIGINT");
        const { exitCode, stderr, stdout } = await output;
        assert.deepEqual([exitCode, stdout], [130, ""]);
        const [, arn = ""] = /image-export stop (arn:\S+)/.exec(stderr) ?? [];
        const running = await imageExport(["status", arn]);
        assert.match(running.stdout, /^status +running: /m);
        assert.equal((await imageExport(["stop", arn])).exitCode, 0);
        const stopped = await imageExport(["status", arn, "--wait"]);
        assert.equal(stopped.exitCode, 1);
        assert.match(stopped.stdout, /^status +stopped$/m);
        assert.match(stopped.stdout, /^error +Stopped$/m);
    });

    if (engine === "docker") return; // who may call what is the same for both

    it("needs each permission of the policy", async () => {
        const shown: [string, string, string[], RegExp][] = [
            ["StartExports", "states:StartExecution", ["start", "--no-wait"], /states:StartExecution on/],
            ["StartExports", "states:ListExecutions", ["list"], /states:ListExecutions on/],
            ["FollowExports", "states:DescribeExecution", ["start"], /states:DescribeExecution on/],
            [
                "FollowExports",
                "states:GetExecutionHistory",
                ["start", "--force"],
                /cannot be seen.*GetExecutionHistory on/,
            ],
            ["FollowBuilds", "codebuild:BatchGetBuilds", ["start", "--force"], /cannot be seen.*BatchGetBuilds on/],
            ["ReadBuildLogs", "logs:GetLogEvents", ["start", "--force"], /cannot be seen.*GetLogEvents on/],
        ];
        for (const [statement, action, args, says] of shown) {
            lab.iam.removed.add(permission(statement, action));
            const { stderr } = await imageExport(args);
            lab.iam.removed.clear();
            assert.match(stderr, says, action);
        }
    });

    it("exports a batch, counts it, and lists what failed", async () => {
        await lab.push(lab.image.repository.name, "one");
        const file = join(lab.folder, "images.txt");
        writeFileSync(file, [uriOf(lab, "one"), uriOf(lab, "nowhere")].join("\n"));
        // Somebody who has the outputs of the stack from Pulumi, and the policy for batches.
        const bin = mkdtempSync(join(lab.folder, "pulumi-"));
        writeFileSync(join(bin, "outputs.json"), JSON.stringify(lab.stack.outputs));
        writeFileSync(join(bin, "pulumi"), `#!/bin/sh\ncat ${bin}/outputs.json\n`, { mode: 0o755 });
        const holder = environmentOf(lab, "startBatchPolicy");
        delete holder["IMAGE_EXPORT_STATE_MACHINE_ARN"];
        const PATH = `${bin}:${holder["PATH"] ?? ""}`;
        const { exitCode, stdout, stderr } = await imageExport(["batch", file, "--stack", "dev"], {
            ...holder,
            PATH,
        });
        assert.equal(exitCode, 1, stderr);
        assert.doesNotMatch(stderr, /cannot be seen/);
        assert.match(stderr, /^\d of 2 exported, \d running/m);
        assert.match(stdout, /^batch +1 of 2 exported\. /m);
        assert.match(stdout, /\nFAILED IMAGE +ERROR +CAUSE\n\S+:nowhere +ImageNotFound +\S/);
    });

    function start(args: readonly string[], env = environment): ChildProcess {
        return spawn(process.execPath, [join(root, "cli/launch.js"), ...args], { env });
    }

    function imageExport(args: readonly string[], env = environment): Promise<Run> {
        return collected(start(args, env));
    }
}

/**
 * Lets the exporter of engine stream begin after a few seconds: the lab's small image is exported between two of the polls
 * that show how far an export is.
 */
function takeTime(lab: Lab): void {
    const bin = mkdtempSync(join(lab.folder, "node-"));
    const script = `#!/bin/sh\nif [ "$1" = exporter.mjs ]; then sleep 3; fi\nexec ${process.execPath} "$@"\n`;
    writeFileSync(join(bin, "node"), script, { mode: 0o755 });
    lab.buildEnvironment["PATH"] = `${bin}:${lab.buildEnvironment["PATH"] ?? ""}`;
}

/** The environment of somebody who holds one of the stack's policies and knows the stack's state machine. */
function environmentOf(lab: Lab, policy: string): Record<string, string> {
    const { accessKeyId, secretAccessKey, sessionToken } = lab.holderOf(policy);
    return {
        PATH: process.env["PATH"] ?? "",
        HOME: lab.folder,
        AWS_ENDPOINT_URL: lab.endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
        IMAGE_EXPORT_STATE_MACHINE_ARN: String(lab.stack.outputs["stateMachineArn"]),
    };
}

async function collected(child: ChildProcess): Promise<Run> {
    const exit = new Promise<number | null>((resolve) => {
        child.once("close", resolve);
    });
    const read = async (stream: Readable | null) => (stream === null ? "" : text(stream));
    const [stdout, stderr] = await Promise.all([read(child.stdout), read(child.stderr)]);
    return { exitCode: await exit, stdout, stderr };
}

/** Waits until the command line shows the first status. */
async function firstOutput(child: ChildProcess): Promise<void> {
    await new Promise<void>((resolve) => {
        child.stderr?.on("data", (data: Buffer) => {
            if (String(data).includes("since the start")) resolve();
        });
    });
}
