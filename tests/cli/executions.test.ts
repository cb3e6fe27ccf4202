import assert from "node:assert/strict";

import { json, recordOf } from "../exporter/archive/craftedParts";
import { awsError, type AwsAnswer, run, startTimeMs } from "./support/context";
import { buildArn, executionArn, exported, fakeExport, machineArn, streamed } from "./support/fakeExport";

/** An export as it is so many seconds after its start. */
function at(seconds: number, refused: readonly string[] = []): AwsAnswer {
    const shifted = streamed.map((moment) => ({ ...moment, at: moment.at - seconds }));
    return fakeExport(shifted, refused);
}

describe("image-export status", () => {
    it("tells how far a running export is", async () => {
        const { exitCode, stdout } = await run({ args: ["status", executionArn], aws: at(36) });
        assert.equal(exitCode, 0);
        assert.match(stdout, /^status +running: export: 138 MB of 550 MB \(25 %\), 68\.8 MB\/s$/m);
        assert.match(stdout, new RegExp(`^execution +${executionArn}$`, "m"));
    });

    it("tells how an export ended, with the exit code of start", async () => {
        const done = await run({ args: ["status", executionArn], aws: at(50) });
        assert.equal(done.exitCode, 0);
        assert.match(done.stdout, /^digest +sha256:a{64}$/m);
        const failed = fakeExport([{ at: 0, end: { status: "FAILED", error: "ExportFailed", cause: "why" } }]);
        assert.equal((await run({ args: ["status", executionArn], aws: failed })).exitCode, 1);
    });

    it("tells it as JSON", async () => {
        const { stdout } = await run({ args: ["status", executionArn, "--json"], aws: at(50) });
        assert.deepEqual((JSON.parse(stdout) as { output: unknown }).output, exported);
    });

    it("follows with --wait", async () => {
        const { exitCode, stdout, sleepsMs } = await run({ args: ["status", executionArn, "--wait"], aws: at(36) });
        assert.equal(exitCode, 0);
        assert.match(stdout, /^status +exported$/m);
        assert.ok(sleepsMs.length > 0);
    });

    it("says what to do about an execution that does not exist", async () => {
        const { exitCode, stderr } = await run({
            args: ["status", executionArn],
            aws: () => {
                throw awsError("ExecutionDoesNotExist", "Execution Does Not Exist");
            },
        });
        assert.equal(exitCode, 1);
        assert.match(stderr, new RegExp(`^Error ExecutionDoesNotExist: .*\n +of ${executionArn}\n +next .*list`));
    });
});

describe("image-export logs", () => {
    const lines = streamed.flatMap(({ log = [] }) => log);

    it("prints what has been written so far", async () => {
        const { exitCode, stdout, stderr } = await run({ args: ["logs", executionArn], aws: at(31) });
        assert.equal(exitCode, 0);
        assert.equal(stdout, `${lines.slice(0, 3).join("\n")}\n`);
        assert.equal(stderr, "");
    });

    it("asks where the build was", async () => {
        const { stdout, calls } = await run({ args: ["logs", executionArn], aws: at(50) });
        assert.equal(stdout, `${lines.join("\n")}\n`);
        const asked = calls.find(({ operation }) => operation === "GetLogEvents");
        assert.deepEqual([asked?.service, asked?.region], ["CloudWatchLogs", "eu-west-1"]);
    });

    it("says why there is nothing to print", async () => {
        const skipped = fakeExport([{ at: 0, end: { status: "SUCCEEDED", output: exported } }]);
        const none = await run({ args: ["logs", executionArn], aws: skipped });
        assert.deepEqual([none.exitCode, none.stdout], [0, ""]);
        assert.match(none.stderr, /has no build/);
        const early = await run({ args: ["logs", executionArn], aws: at(12) });
        assert.ok(early.stderr.includes(`${buildArn} has written nothing`));
    });

    it("names the policy where the log may not be read", async () => {
        const { exitCode, stderr } = await run({ args: ["logs", executionArn], aws: at(31, ["GetLogEvents"]) });
        assert.equal(exitCode, 1);
        assert.match(
            stderr,
            /of arn:aws:logs:eu-west-1:111122223333:log-group:group:log-stream:0b5c\n.*startExportPolicy/,
        );
    });
});

describe("image-export list", () => {
    const hourMs = 3_600_000;
    /** An execution of each hour before now, every third one failed. */
    const executions = Array.from({ length: 250 }, (_, hour) => ({
        executionArn: `${executionArn}-${hour}`,
        name: `run-${hour}`,
        status: hour === 0 ? "RUNNING" : hour % 3 === 0 ? "FAILED" : "SUCCEEDED",
        startDate: new Date(startTimeMs - hour * hourMs),
        stopDate: hour === 0 ? undefined : new Date(startTimeMs - hour * hourMs + 65_000),
    }));
    const aws: AwsAnswer = (operation, input) => {
        if (operation === "DescribeExecution") {
            const found = executions.find((each) => each.executionArn === input["executionArn"]);
            return {
                ...found,
                input: JSON.stringify({ imageUri: "host/nginx:1" }),
                error: found?.status === "FAILED" ? "ImageNotFound" : undefined,
            };
        }
        assert.equal(operation, "ListExecutions");
        const from = Number(input["nextToken"] ?? 0);
        return {
            executions: executions.slice(from, from + 100),
            nextToken: from < 200 ? String(from + 100) : undefined,
        };
    };
    const list = (...args: string[]) => run({ args: ["list", "--state-machine", machineArn, ...args], aws });
    const names = (text: string) =>
        text
            .trimEnd()
            .split("\n")
            .slice(1)
            .map((line) => line.split(/\s+/).at(-1));

    it("lists those of the last day, the newest first, at most 20", async () => {
        const { exitCode, stdout, calls } = await list();
        assert.equal(exitCode, 0);
        assert.match(stdout, /^STARTED +TOOK +STATUS +IMAGE +EXECUTION\n/);
        assert.match(stdout, /\d\d:\d\d [+-]\d\d:\d\d +1 min 05 s +succeeded +host\/nginx:1 +run-1\n/);
        assert.match(stdout, /0\.0 s +running +host\/nginx:1 +run-0\n/);
        assert.deepEqual(
            names(stdout),
            executions.slice(0, 20).map(({ name }) => name),
        );
        assert.equal(calls.length, 21);
    });

    it("looks as far back as --since says, over pages", async () => {
        const { stdout, calls } = await list("--since", "5d", "--limit", "1000");
        assert.deepEqual(
            names(stdout),
            executions.slice(0, 121).map(({ name }) => name),
        );
        assert.equal(calls.filter(({ operation }) => operation === "ListExecutions").length, 2);
    });

    it("lists what failed, with the error's name", async () => {
        const { stdout } = await list("--failed", "--limit", "3");
        assert.deepEqual(names(stdout), ["run-3", "run-6", "run-9"]);
        assert.match(stdout, /ImageNotFound +host/);
    });

    it("lists as JSON", async () => {
        const { stdout } = await list("--json", "--limit", "1");
        assert.deepEqual(JSON.parse(stdout), [
            {
                executionArn: `${executionArn}-0`,
                name: "run-0",
                status: "RUNNING",
                imageUri: "host/nginx:1",
                input: { imageUri: "host/nginx:1" },
                startTime: new Date(startTimeMs).toISOString(),
            },
        ]);
    });

    it("lists a set by the number of its images and its key", async () => {
        const input = JSON.stringify({ images: ["a", "b"], artifactKey: "images/set.tar" });
        const ofSet: AwsAnswer = (operation, given) => ({ ...(aws(operation, given) as object), input });
        const listSet = (...args: string[]) =>
            run({ args: ["list", "--state-machine", machineArn, "--limit", "1", ...args], aws: ofSet });
        assert.match((await listSet()).stdout, / running +2 images in images\/set\.tar +run-0\n/);
        const [{ imageCount, artifactKey, imageUri } = {}] = JSON.parse((await listSet("--json")).stdout) as Record<
            string,
            unknown
        >[];
        assert.deepEqual([imageCount, artifactKey, imageUri], [2, "images/set.tar", undefined]);
    });

    describe("with deltas", () => {
        const base = "b".repeat(64);
        const since = { key: "images/base.tar", versionId: "v1", sha256: base };
        const place = { artifactBucket: "bucket", artifactKey: "images/delta.tar" };
        /** What S3 has of the record of a delta. */
        const bodyOf = (link: typeof since) => {
            const delta = { for: "docker", savedBytes: 0, missing: [], chain: [], ...link };
            return { transformToByteArray: () => json({ ...recordOf(Buffer.alloc(0)), since: delta }) };
        };
        /** Lists three executions, the last of them a delta. */
        const listDeltas = (answers: Readonly<Record<string, () => unknown>>, ...args: string[]) => {
            const ofDelta: AwsAnswer = (operation, input) => {
                if (operation in answers) return answers[operation]?.();
                const answer = aws(operation, input) as object;
                if (operation !== "DescribeExecution") return answer;
                const isDelta = String(input["executionArn"]).endsWith("-2");
                const output = { ...place, baseSha256: isDelta ? base : null };
                return { ...answer, output: JSON.stringify(output) };
            };
            const limit = ["--limit", "3", ...args];
            return run({ args: ["list", "--state-machine", machineArn, ...limit], aws: ofDelta });
        };
        const denied = () => {
            throw awsError("AccessDenied", "not authorized", 403);
        };
        const gone = () => {
            throw awsError("NotFound", "not there", 404);
        };
        const read = { GetObject: () => ({ Body: bodyOf(since) }), HeadObject: () => ({}) };

        it("shows what each needs, asking for nothing about the others", async () => {
            const { stdout, calls } = await listDeltas(read);
            assert.match(stdout, /^STARTED +TOOK +STATUS +IMAGE +NEEDS +EXECUTION\n/);
            assert.match(stdout, / succeeded +host\/nginx:1 +run-1\n/);
            assert.match(stdout, / succeeded +host\/nginx:1 +images\/base\.tar +run-2\n/);
            const ofS3 = calls.filter(({ service }) => service === "S3");
            assert.deepEqual(
                ofS3.map(({ operation, region, input }) => [operation, region, input]),
                [
                    [
                        "GetObject",
                        "eu-west-1",
                        { Bucket: "bucket", Key: "images/delta.tar.json", VersionId: undefined },
                    ],
                    ["HeadObject", "eu-west-1", { Bucket: "bucket", Key: since.key, VersionId: "v1" }],
                ],
            );
        });

        for (const [what, answers, cell, needs] of [
            [
                "whose base is gone",
                { ...read, HeadObject: gone },
                "images/base.tar (expired)",
                { ...since, expired: true },
            ],
            ["whose base is there", read, since.key, { ...since, expired: false }],
            ["whose record may not be read", { GetObject: denied, ListObjectsV2: denied }, "a base", { sha256: base }],
            [
                "whose base may not be looked at",
                { ...read, HeadObject: denied, ListObjectsV2: denied },
                since.key,
                since,
            ],
            ["whose record is gone", { GetObject: gone }, "a base", { sha256: base }],
            [
                "whose record is another export's",
                { GetObject: () => ({ Body: bodyOf({ ...since, sha256: "c".repeat(64) }) }) },
                "a base",
                { sha256: base },
            ],
        ] as const) {
            it(`says of one ${what}: ${cell}`, async () => {
                const { stdout, stderr, exitCode } = await listDeltas(answers);
                assert.deepEqual([exitCode, stderr], [0, ""]);
                assert.ok(stdout.includes(`  ${cell}  `), stdout);
                const asJson = (await listDeltas(answers, "--json")).stdout;
                const [first, second, third] = JSON.parse(asJson) as { needs?: unknown }[];
                assert.deepEqual([second?.needs, third?.needs], [undefined, needs]);
                assert.ok(first && second && !("needs" in second));
            });
        }
    });

    it("says so where there are none", async () => {
        const { exitCode, stdout, stderr } = await run({
            args: ["list", "--failed", "--state-machine", machineArn],
            aws: () => ({ executions: [] }),
        });
        assert.deepEqual([exitCode, stdout], [0, ""]);
        assert.match(stderr, /^No failed exports since 20/);
    });

    for (const [option, value] of [
        ["--since", "yesterday"],
        ["--since", "0h"],
        ["--limit", "0"],
        ["--limit", "1001"],
        ["--limit", "x"],
    ] as const) {
        it(`refuses ${option} ${value}`, async () => {
            const { exitCode, stderr } = await list(option, value);
            assert.equal(exitCode, 2);
            assert.match(
                stderr,
                new RegExp(`^Error Option '${option} <.*' argument '${value}' is invalid\\. Expected `),
            );
        });
    }
});

describe("image-export stop", () => {
    it("stops the execution, and says that a person did", async () => {
        const { exitCode, calls } = await run({ args: ["stop", executionArn], aws: at(0) });
        assert.equal(exitCode, 0);
        assert.equal(calls[0]?.input["executionArn"], executionArn);
        assert.equal(calls[0].input["error"], "Stopped");
    });
});
