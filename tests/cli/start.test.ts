import assert from "node:assert/strict";

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { awsError, type FakeOptions, type FakeRun, run, startTimeMs } from "./support/context";
import { executionArn, exported, fakeExport, machineArn, type Moment, streamed } from "./support/fakeExport";

/** Starts an export; its timeline is that of engine `stream` by default. */
function start(args: readonly string[] = [], options: Partial<FakeOptions> = {}): Promise<FakeRun> {
    return run({ args: ["start", "--state-machine", machineArn, ...args], aws: fakeExport(streamed), ...options });
}

/** An export that ends at once. */
const ending = (end: Moment["end"] & object) => ({ aws: fakeExport([{ at: 0, end }]) });

/** The input of the execution that was started. */
function requestOf({ calls }: FakeRun): unknown {
    const { input } = calls.find(({ operation }) => operation === "StartExecution")?.input ?? {};
    return JSON.parse(String(input));
}

describe("image-export start", () => {
    it("sends what was asked for, and nothing else", async () => {
        assert.deepEqual(requestOf(await start()), {});
        const args = ["uri", "--key", "images/a.tar", "--platform", "linux/arm64", "--referrers", "--force"];
        assert.deepEqual(requestOf(await start(args)), {
            imageUri: "uri",
            artifactKey: "images/a.tar",
            platform: "linux/arm64",
            referrers: true,
            force: true,
        });
    });

    it("sends what the other side has already, and refuses unknown receivers", async () => {
        const since = ["--since", "images/base.tar"];
        assert.deepEqual(requestOf(await start(since)), { since: "images/base.tar" });
        const object = { key: "images/base.tar", for: "containerd" };
        assert.deepEqual(requestOf(await start([...since, "--since-for", "containerd"])), { since: object });
        for (const args of [
            [...since, "--since-for", "podman"],
            ["--since-for", "containerd"],
        ]) {
            const { exitCode, stderr, calls } = await start(args);
            assert.deepEqual([exitCode, calls], [2, []]);
            assert.match(stderr, /--since-for is "\w+"\.\n +next Give docker or containerd, and --since/);
        }
    });

    describe("of a set", () => {
        const uri = (tag: string) => `111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx:${tag}`;
        const key = ["--key", "images/set.tar"];
        let folder: string;
        let files = 0;
        before(() => {
            folder = mkdtempSync(join(tmpdir(), "image-export-start-"));
        });
        after(() => {
            rmSync(folder, { recursive: true });
        });
        /** The option that reads these lines from a file. */
        function from(lines: string): string[] {
            const file = join(folder, `images-${++files}.txt`);
            writeFileSync(file, lines);
            return ["--from", file];
        }

        it("sends its images, of arguments and of a file", async () => {
            for (const [args, images] of [
                [
                    [uri("1"), uri("2")],
                    [uri("1"), uri("2")],
                ],
                [from(uri("1")), [{ imageUri: uri("1") }]],
                [
                    [uri("1"), ...from(`${uri("1")} all`)],
                    [uri("1"), { imageUri: uri("1"), platform: "all" }],
                ],
                [
                    [uri("1"), ...from(`# ours\n${uri("2")} linux/arm64\n`)],
                    [uri("1"), { imageUri: uri("2"), platform: "linux/arm64" }],
                ],
            ] as const) {
                const platform = ["--platform", "all"];
                assert.deepEqual(requestOf(await start([...args, ...key, ...platform])), {
                    images,
                    artifactKey: "images/set.tar",
                    platform: "all",
                });
            }
        });

        it("is refused before it is started", async () => {
            for (const [args, message] of [
                [[uri("1"), uri("2")], /^Error A set of images has no key by default\.\n +next Give .*--key/],
                [from(uri("1")), /has no key by default/],
                [
                    [...from("nginx:1"), ...key],
                    /images-\d+\.txt line 1 has the imageUri "nginx:1": expected an image in Amazon/,
                ],
                [[...from("# none"), ...key], /images-\d+\.txt names no image/],
                [[uri("1"), ...from(`${uri("1")} all`), ...key], /InvalidInput: An archive has one image of a name/],
                [[...Array.from({ length: 501 }, (_, at) => uri(String(at))), ...key], /this one has 501/],
            ] as const) {
                const { exitCode, stderr, calls } = await start(args);
                assert.deepEqual([exitCode, calls], [2, []], stderr);
                assert.match(stderr, message);
            }
        });

        it("shows how many images there are, and what sharing saves", async () => {
            const digest = exported.imageDigest;
            const ofSet = { setDigest: digest, imageCount: 2, savedBytes: 1_500_000 };
            const output = { ...exported, ...ofSet, imageUri: undefined, imageDigest: undefined, platform: undefined };
            const { stdout } = await start([uri("1"), uri("2"), ...key], ending({ status: "SUCCEEDED", output }));
            assert.match(stdout, /^images +2, 1\.50 MB saved by what they share$/m);
            assert.match(stdout, new RegExp(`^digest +${digest}$`, "m"));
            assert.doesNotMatch(stdout, /^(image|platform) /m);
        });
    });

    it("tells each stage in a line where there is no terminal, and the outcome on stdout", async () => {
        const { exitCode, stdout, stderr } = await start();
        assert.equal(exitCode, 0);
        assert.deepEqual(
            stderr.split("\n").map((line) => line.replace(/ .*/, "")),
            ["execution", "checking", "queued", "provisioning", "download", "check", "export", "post", ""],
        );
        for (const control of ["\u001b", "\r"]) assert.ok(!(stderr + stdout).includes(control));
        assert.match(stdout, /^status +exported$/m);
        assert.match(stdout, /^archive +s3:\/\/bucket\/images\/nginx\/1\.29\.tar$/m);
        assert.match(stdout, /^size +550 MB \(550000000 bytes\)$/m);
        assert.match(stdout, /^took +50 s$/m);
    });

    it("shows bytes and rate in the one live line of a terminal", async () => {
        const { stdout, stderr } = await start([], { isTty: true });
        assert.match(stderr, /export: 138 MB of 550 MB \(25 %\), 68\.8 MB\/s/);
        assert.match(stderr, /export: 413 MB of 550 MB \(75 %\), 103 MB\/s/);
        // The clock of the line goes on between two polls.
        assert.match(stderr, /queued.* 3\.3 s since/);
        assert.equal(stderr.split("\n").length, 2, "one line that stays, the execution's ARN");
        assert.ok(stderr.endsWith("\r\u001b[K\u001b[?7l\u001b[?7h"), "the status is taken away");
        assert.ok(stdout.includes("\u001b[32mexported"));
        const plain = await start([], { isTty: true, env: { NO_COLOR: "1" } });
        // eslint-disable-next-line no-control-regex -- it is what is looked for
        assert.doesNotMatch(plain.stderr + plain.stdout, /\u001b\[\d+m/);
    });

    it("prints every line of the log once with --logs, on stderr", async () => {
        const { stderr, stdout } = await start(["--logs"]);
        for (const line of streamed.flatMap(({ log = [] }) => log).filter((each) => each !== "")) {
            assert.equal(stderr.split(`${line}\n`).length, 2, line);
            assert.ok(!stdout.includes(line));
        }
    });

    it("prints JSON alone on stdout with --json", async () => {
        const { stdout } = await start(["--json"]);
        assert.deepEqual(JSON.parse(stdout), {
            executionArn,
            status: "SUCCEEDED",
            startTime: new Date(startTimeMs).toISOString(),
            stopTime: new Date(startTimeMs + 50_000).toISOString(),
            input: {},
            output: exported,
        });
    });

    it("only starts with --no-wait", async () => {
        const { exitCode, stdout, calls } = await start(["--no-wait"]);
        assert.deepEqual([exitCode, stdout, calls.length], [0, `${executionArn}\n`, 1]);
        const json = await start(["--no-wait", "--json"]);
        assert.deepEqual(JSON.parse(json.stdout), { executionArn });
    });

    for (const [what, end, exitCode, shown] of [
        ["there already", { status: "SUCCEEDED", output: { ...exported, skipped: true } }, 0, /already exported/],
        [
            "one with referrers",
            { status: "SUCCEEDED", output: { ...exported, referrerCount: 2 } },
            0,
            /^referrers +2$/m,
        ],
        [
            "a delta",
            { status: "SUCCEEDED", output: { ...exported, baseSha256: "b".repeat(64) } },
            0,
            /^needs +the archive with the SHA-256 b{64}$/m,
        ],
        [
            "failed",
            { status: "FAILED", error: "ImageNotFound", cause: "no such tag" },
            1,
            /^error +ImageNotFound\ncause +no such tag\n[^]*^ +next check the tag; /m,
        ],
        [
            "out of time in its build",
            { status: "FAILED", error: "BuildTimedOut", cause: "30 minutes" },
            3,
            /BuildTimedOut/,
        ],
        ["out of time", { status: "TIMED_OUT" }, 3, /timed out/],
        ["stopped", { status: "ABORTED" }, 1, /stopped/],
    ] as const) {
        it(`exits with ${exitCode} for an export that is ${what}`, async () => {
            const result = await start([], ending(end));
            assert.equal(result.exitCode, exitCode);
            assert.match(result.stdout, shown);
        });
    }

    it("shows what others wrote as text", async () => {
        const cause = "no tag \u001b]0;title\u0007\u202e";
        const { stdout } = await start([], ending({ status: "FAILED", error: "ImageNotFound", cause }));
        assert.match(stdout, /^cause +no tag \\u001b\]0;title\\u0007\\u202e$/m);
    });

    it("polls more slowly while nothing changes, at most every six seconds or so", async () => {
        const { sleepsMs } = await start([], {
            aws: fakeExport([
                { at: 1, phase: "QUEUED" },
                { at: 300, end: { status: "SUCCEEDED", output: exported } },
            ]),
        });
        assert.equal(sleepsMs[0], 1000);
        assert.equal(Math.max(...sleepsMs), 5000);
        assert.ok(sleepsMs.length < 75, `${sleepsMs.length} polls in five minutes`);
    });

    it("follows without the build where the credentials may not see it, and says so once", async () => {
        for (const refused of ["GetExecutionHistory", "BatchGetBuilds", "GetLogEvents"]) {
            const { exitCode, stderr } = await start([], { aws: fakeExport(streamed, [refused]) });
            assert.equal(exitCode, 0, refused);
            assert.equal(stderr.split("cannot be seen").length, 2, refused);
            assert.match(stderr, new RegExp(`startExportPolicy.*not authorized to perform ${refused}`));
        }
    });

    it("goes on through throttling and expired credentials", async () => {
        const inner = fakeExport(streamed);
        let count = 0;
        const { exitCode, renewals } = await start([], {
            aws: (operation, ...rest) => {
                count++;
                if (count % 5 === 2) throw awsError("ThrottlingException", "Rate exceeded");
                if (count % 7 === 3) throw awsError("ExpiredTokenException", "expired");
                return inner(operation, ...rest);
            },
        });
        assert.equal(exitCode, 0);
        assert.ok(renewals > 2);
    });

    it("starts the same execution when the call has to be repeated", async () => {
        const inner = fakeExport(streamed);
        let isFirst = true;
        const { calls } = await start(["--no-wait"], {
            aws: (...given) => {
                if (isFirst) {
                    isFirst = false;
                    throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
                }
                return inner(...given);
            },
        });
        const names = calls.map(({ input }) => input["name"]);
        assert.equal(names.length, 2);
        assert.equal(names[0], names[1]);
    });

    it("says whose policy is missing where the start is refused", async () => {
        const { exitCode, stderr } = await start([], { aws: fakeExport(streamed, ["StartExecution"]) });
        assert.equal(exitCode, 1);
        assert.match(
            stderr,
            /^Error AccessDeniedException: .*\n +of arn:.*:stateMachine:export\n +next .*startExportPolicy/,
        );
    });

    describe("after Ctrl-C", () => {
        const interruptAt = (seconds: number): Partial<FakeOptions> => ({
            onSleep: (nowMs, interrupt) => {
                if (nowMs >= startTimeMs + seconds * 1000) interrupt();
            },
        });
        const operations = ({ calls }: FakeRun) => calls.map(({ operation }) => operation);

        for (const [answer, stops] of [
            ["y", true],
            ["YES", true],
            ["n", false],
            ["", false],
            ["what?", false],
        ] as const) {
            it(`${stops ? "stops" : "leaves"} the execution when it is answered "${answer}"`, async () => {
                const questions: string[] = [];
                const ask = (question: string) => {
                    questions.push(question);
                    return answer;
                };
                const result = await start([], { ...interruptAt(12), ask, isTty: true });
                assert.equal(result.exitCode, 130);
                assert.equal(questions.length, 1);
                assert.equal(operations(result).includes("StopExecution"), stops);
                assert.equal(result.stderr.includes(`image-export stop ${executionArn}`), !stops);
                assert.equal(result.stdout, "");
            });
        }

        it("stops watching where nobody can be asked, and prints how to stop and to watch again", async () => {
            const result = await start([], interruptAt(12));
            assert.equal(result.exitCode, 130);
            assert.ok(!operations(result).includes("StopExecution"));
            assert.ok(result.stderr.includes(`\n  image-export stop ${executionArn}\n`));
            assert.ok(result.stderr.includes(`\n  image-export status ${executionArn} --wait\n`));
        });

        it("asks nothing when the process is terminated", async () => {
            const result = await start([], {
                ...interruptAt(12),
                interruptedBy: "SIGTERM",
                ask: () => assert.fail("asked"),
            });
            assert.equal(result.exitCode, 143);
        });
    });
});
