import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { awsError, type AwsAnswer, type FakeOptions, run, startTimeMs } from "./support/context";
import { outputs } from "./support/outputs";

const execution = "arn:aws:states:eu-west-1:111122223333:execution:batch:run";
const mapRun = "arn:aws:states:eu-west-1:111122223333:mapRun:batch/JSON:run";
const uris = ["one", "two", "three"].map((tag) => `111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx:${tag}`);

/** How the batch ends after 20 s. */
const lost = {
    status: "FAILED",
    error: "ExportFailed",
    cause: "2 of 3 exported. Which ones failed and why is listed by s3://bucket/batch-results/run/x/manifest.json. Start the same batch again to export what is left.",
};
const whole = {
    status: "SUCCEEDED",
    output: JSON.stringify({
        total: 3,
        exported: 3,
        text: "3 of 3 exported",
        results: { bucket: "bucket", key: "batch-results/run/x/manifest.json" },
    }),
};

function batch(end: object, refused: readonly string[] = [], request: unknown = uris[2]): AwsAnswer {
    return (operation, input, nowMs = startTimeMs) => {
        if (refused.includes(operation)) throw awsError("AccessDeniedException", `not authorized: ${operation}`);
        const seconds = (nowMs - startTimeMs) / 1000;
        const done = Math.min(3, Math.floor(seconds / 5));
        const failedRow = JSON.stringify({
            Error: "ImageNotFound",
            Cause: "no such tag",
            Input: JSON.stringify({ request, batch: execution }),
        });
        const objects: Record<string, string> = {
            "batch-results/run/x/manifest.json": JSON.stringify({
                ResultFiles:
                    end === lost ? { FAILED: [{ Key: "batch-results/run/x/FAILED_0.jsonl" }], SUCCEEDED: [] } : {},
            }),
            "batch-results/run/x/FAILED_0.jsonl": `${failedRow}\n`,
        };
        const answers: Record<string, () => unknown> = {
            PutObject: () => ({}),
            StartExecution: () => ({ executionArn: execution }),
            StopExecution: () => ({}),
            DescribeExecution: () => ({
                executionArn: execution,
                startDate: new Date(startTimeMs),
                ...(seconds < 20 ? { status: "RUNNING" } : { ...end, stopDate: new Date(startTimeMs + 20_000) }),
            }),
            ListMapRuns: () => ({ mapRuns: seconds < 4 ? [] : [{ mapRunArn: mapRun }] }),
            DescribeMapRun: () => ({
                itemCounts: {
                    total: 3,
                    succeeded: Math.min(2, done),
                    failed: done === 3 ? 1 : 0,
                    timedOut: 0,
                    aborted: 0,
                    running: 3 - done,
                },
            }),
            GetObject: () => ({
                Body: { transformToString: () => Promise.resolve(objects[String(input["Key"])] ?? assert.fail()) },
            }),
        };
        return answers[operation]?.() ?? assert.fail(operation);
    };
}

describe("image-export batch", () => {
    let folder: string;
    let file: string;

    before(() => {
        folder = mkdtempSync(join(tmpdir(), "image-export-batch-"));
        file = join(folder, "images.txt");
        writeFileSync(file, uris.join("\n"));
    });

    after(() => {
        rmSync(folder, { recursive: true });
    });

    const start = (args: readonly string[] = [], options: Partial<FakeOptions> = {}) =>
        run({
            args: ["batch", file, ...args],
            aws: batch(whole),
            runProcess: () => ({ exitCode: 0, stdout: JSON.stringify(outputs), stderr: "" }),
            ...options,
        });

    it("uploads the manifest under batches/, and starts the batch with it", async () => {
        const { exitCode, calls, stdout } = await start(["--no-wait", "--allow-failures", "--stack", "dev"]);
        assert.equal(exitCode, 0);
        assert.equal(stdout, `${execution}\n`);
        const [put, started] = calls;
        assert.deepEqual(
            calls.map(({ service, operation }) => `${service} ${operation}`),
            ["S3 PutObject", "SFN StartExecution"],
        );
        assert.match(String(put?.input["Key"]), /^batches\/[0-9a-f-]{36}\.json$/);
        assert.deepEqual(
            JSON.parse(String(put?.input["Body"])),
            uris.map((imageUri) => ({ imageUri })),
        );
        assert.deepEqual(JSON.parse(String(started?.input["input"])), {
            manifest: { bucket: "bucket", key: put?.input["Key"] },
            allowFailures: true,
        });
    });

    it("counts while it goes on, and says that all were exported", async () => {
        const { exitCode, stdout, stderr } = await start();
        assert.equal(exitCode, 0);
        assert.match(stderr, /\n3 images 0\.0 s since the start\n/);
        assert.match(stderr, /\n1 of 3 exported, 2 running \d/);
        assert.match(stderr, /\n2 of 3 exported, 0 running, 1 failed \d/);
        assert.match(stdout, /^batch +3 of 3 exported$/m);
        assert.doesNotMatch(stdout, /FAILED IMAGE/);
    });

    it("lists what failed and why, from the result files", async () => {
        const { exitCode, stdout } = await start([], { aws: batch(lost) });
        assert.equal(exitCode, 1);
        assert.match(stdout, /^batch +2 of 3 exported\. /m);
        assert.match(stdout, /\nFAILED IMAGE +ERROR +CAUSE\n.*nginx:three +ImageNotFound +no such tag\n$/);
        const json = await start(["--json"], { aws: batch(lost) });
        assert.deepEqual((JSON.parse(json.stdout) as { failed: unknown }).failed, [
            { imageUri: uris[2], error: "ImageNotFound", cause: "no such tag" },
        ]);
        for (const [request, shown] of [
            [{ images: uris, artifactKey: "images/set.tar" }, "3 images in images/set\\.tar"],
            [{ platform: "all" }, "\\(the stack's\\)"],
        ] as const) {
            const other = await start([], { aws: batch(lost, [], request) });
            assert.match(other.stdout, new RegExp(`CAUSE\n${shown} +ImageNotFound`));
        }
    });

    it("follows without counts where the credentials may not see them", async () => {
        const { exitCode, stderr } = await start([], { aws: batch(whole, ["ListMapRuns"]) });
        assert.equal(exitCode, 0);
        assert.equal(stderr.split("cannot be seen").length, 2);
    });

    it("goes on after Ctrl-C, unless it is told to stop", async () => {
        const { exitCode, calls, stderr } = await start([], {
            onSleep: (_, interrupt) => {
                interrupt();
            },
        });
        assert.equal(exitCode, 130);
        assert.ok(!calls.some(({ operation }) => operation === "StopExecution"));
        assert.ok(stderr.includes(`image-export stop ${execution}`));
    });

    it("uploads what was checked, not the file: Excel's byte order mark and blanks are no part of it", async () => {
        const table = join(folder, "images.csv");
        writeFileSync(table, `\uFEFFimageUri, platform\r\n${uris[0]},linux/arm64\r\n`);
        const { calls } = await start([], { args: ["batch", table, "--no-wait"] });
        assert.match(String(calls[0]?.input["Key"]), /\.json$/);
        assert.deepEqual(JSON.parse(String(calls[0]?.input["Body"])), [{ imageUri: uris[0], platform: "linux/arm64" }]);
    });

    it("refuses a file that does not exist, or names no image in a row, before anything is started", async () => {
        const missing = await run({ args: ["batch", join(folder, "none.txt")] });
        assert.equal(missing.exitCode, 1);
        assert.match(missing.stderr, /^Error ENOENT: .*none\.txt'\n +next There is no such file or folder/);
        const table = join(folder, "bad.csv");
        writeFileSync(table, "imageUri,platform\n,linux/arm64\n");
        const bad = await start([], { args: ["batch", table] });
        assert.deepEqual([bad.exitCode, bad.calls], [2, []]);
        assert.match(bad.stderr, /bad\.csv line 2 has no imageUri/);
    });

    it("needs the stack's outputs", async () => {
        const { exitCode, stderr } = await start([], {
            env: { IMAGE_EXPORT_STATE_MACHINE_ARN: outputs.stateMachineArn },
        });
        assert.equal(exitCode, 2);
        assert.match(stderr, /next Give the stack with --stack NAME/);
    });
});
