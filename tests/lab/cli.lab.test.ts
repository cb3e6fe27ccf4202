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
import { type Lab, uriOf } from "../../lab/lab";
import { sharedLab } from "./support/sharedLab";

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
    let release = (): void => undefined;

    before(async () => {
        lab = await sharedLab(engine);
        environment = environmentOf(lab, "startExportPolicy");
    });

    afterEach(() => {
        release();
    });

    it("starts an export, shows how far it is, and reports the archive", async () => {
        hold();
        const starting = start(["start", "--json", "--logs", "--force"]);
        // Once the status shows a step of the build, not only its phases.
        releaseAt(starting, new RegExp(`^(${buildSteps.join("|")}) [\\d.]+ s since the start`, "m"));
        const { exitCode, stdout, stderr } = await collected(starting);
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
        assert.match(stderr, /^checking [\d.]+ s since the start/m);
        if (engine === "stream") assert.match(stderr, /^[\d.]+ of [\d.]+ MB in [\d.]+ s$/m);
    });

    it("skips what is there, and lists, shows and explains what was done", async () => {
        const skipped = await imageExport(["start"]);
        assert.equal(skipped.exitCode, 0, skipped.stderr);
        assert.match(skipped.stdout, /^status +already exported$/m);
        const failed = await imageExport(["start", uriOf(lab, "missing")]);
        assert.equal(failed.exitCode, 1);
        assert.match(failed.stdout, /^error +ImageNotFound$/m);

        const { stdout } = await imageExport(["list", "--json"]);
        const [newest, , oldest] = JSON.parse(stdout) as { executionArn: string; name: string; error?: string }[];
        assert.equal(newest?.error, "ImageNotFound");
        const status = await imageExport(["status", oldest?.name ?? ""]);
        assert.match(status.stdout, /^status +exported$/m);
        const logs = await imageExport(["logs", oldest?.executionArn ?? ""]);
        assert.match(logs.stdout, /^=== check: .* \(after \d+ s\)$/m);
        assert.match(logs.stdout, /^=== done: /m);
    });

    it("stops watching at Ctrl-C without a terminal, watches again, and stops the execution", async () => {
        await lab.push(lab.image.repository.name, "slow");
        hold();
        const watching = start(["start", uriOf(lab, "slow"), "--force"]);
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
        hold();
        const watching = start(["batch", file, "--stack", "dev"], { ...holder, PATH });
        releaseAt(watching, /^\d of 2 exported, \d running/m);
        const { exitCode, stdout, stderr } = await collected(watching);
        assert.equal(exitCode, 1, stderr);
        assert.doesNotMatch(stderr, /cannot be seen/);
        assert.match(stdout, /^batch +1 of 2 exported\. /m);
        assert.match(stdout, /\nFAILED IMAGE +ERROR +CAUSE\n\S+:nowhere +ImageNotFound +\S/);
    });

    /** Has builds wait before they take the image, until `release` is called. */
    function hold(): void {
        const folder = mkdtempSync(join(lab.folder, "held-"));
        const isReleased = join(folder, "released");
        const [name, argument, command] =
            engine === "docker" ? ["docker", "pull", "docker"] : ["node", "exporter.mjs", process.execPath];
        const path = lab.buildEnvironment["PATH"] ?? "";
        const waiting = `if [ "$1" = ${argument} ]; then until [ -e ${isReleased} ]; do sleep 0.1; done; fi`;
        writeFileSync(join(folder, name), `#!/bin/sh\n${waiting}\nPATH='${path}' exec ${command} "$@"\n`, {
            mode: 0o755,
        });
        lab.buildEnvironment["PATH"] = `${folder}:${path}`;
        release = () => {
            lab.buildEnvironment["PATH"] = path;
            writeFileSync(isReleased, "");
        };
    }

    /** Calls `release` as soon as the command line shows this. */
    function releaseAt(child: ChildProcess, shown: RegExp): void {
        let stderr = "";
        child.stderr?.on("data", (data: Buffer) => {
            stderr += String(data);
            if (shown.test(stderr)) release();
        });
    }

    function start(args: readonly string[], env = environment): ChildProcess {
        return spawn(process.execPath, [join(root, "cli/launch.js"), ...args], { env });
    }

    function imageExport(args: readonly string[], env = environment): Promise<Run> {
        return collected(start(args, env));
    }
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
