import assert from "node:assert/strict";
import { resolve } from "node:path";

import type { Finding } from "../../cli/checks";
import type { ProcessResult } from "../../cli/command";
import { type AwsAnswer, awsError, type FakeOptions, run } from "./support/context";

const root = resolve(__dirname, "../..");
const account = "111122223333";
const outputs = {
    stateMachineArn: `arn:aws:states:eu-west-1:${account}:stateMachine:image-export`,
    artifactBucketName: "archives",
    artifactPrefix: "images/",
    buildProjectName: "image-export-project",
};
const said = (stdout: string, exitCode = 0): ProcessResult => ({ exitCode, stdout, stderr: "" });

/** The programs of a machine: what each one prints. */
function machine(programs: Record<string, ProcessResult>): NonNullable<FakeOptions["runProcess"]> {
    return (command, args) => {
        const result = programs[[command, ...args].join(" ")] ?? programs[`${command} ${args[0] ?? ""}`];
        if (result === undefined)
            throw Object.assign(new Error(`spawn ${command} ENOENT`), { code: "ENOENT" });
        return result;
    };
}

const whole = {
    "uname -s": said("Linux\n"),
    "id -u": said("0\n"),
    "sh -c": said(""),
    "pulumi version": said("v3.270.0\n"),
    "pulumi whoami": said("somebody\n"),
    "pulumi stack": said(JSON.stringify(outputs)),
};
const answers: Record<string, unknown> = {
    GetCallerIdentity: { Account: account, Arn: `arn:aws:sts::${account}:assumed-role/developer/me` },
    ListExecutions: { executions: [] },
    BatchGetBuilds: { builds: [] },
    ListObjectsV2: { Contents: [{ Key: "images/app.tar" }] },
    GetObject: {},
};
const aws: AwsAnswer = (operation) => answers[operation] ?? assert.fail(operation);

/** Runs doctor; tells the findings that are not ok. */
async function doctor(options: Partial<FakeOptions> = {}, ...args: string[]) {
    const given = { aws, runProcess: machine(whole), ...options };
    const result = await run({ ...given, args: ["doctor", ...args, "--json"], root });
    const { ready, findings } = JSON.parse(result.stdout) as { ready: boolean; findings: Finding[] };
    assert.equal(result.exitCode, ready ? 0 : 1);
    for (const { state, next, name } of findings) assert.equal(next === undefined, state !== "missing", name);
    return { ...result, ready, findings, missing: findings.filter(({ state }) => state === "missing") };
}
const find = (findings: readonly Finding[], name: string) =>
    findings.find((finding) => finding.name === name) ?? assert.fail(`no ${name}`);

describe("doctor", () => {
    it("finds nothing missing where all is there, and says what cannot be tried", async () => {
        const { ready, findings, missing, calls } = await doctor();
        assert.deepEqual([ready, missing], [true, []]);
        assert.deepEqual(
            findings.filter(({ state }) => state === "unknown").map(({ name }) => name),
            ["states:StartExecution"],
        );
        assert.ok(
            calls.filter(({ service }) => service !== "sts").every(({ region }) => region === "eu-west-1"),
        );
    });

    it("makes no call that changes anything", async () => {
        const { calls } = await doctor();
        assert.deepEqual(
            new Set(calls.map(({ operation }) => operation)),
            new Set(["GetCallerIdentity", "ListExecutions", "BatchGetBuilds", "ListObjectsV2", "GetObject"]),
        );
        assert.equal(calls.find(({ operation }) => operation === "GetObject")?.input["Range"], "bytes=0-0");
    });

    it("is readable, and names a remedy for each thing that is missing", async () => {
        const { exitCode, stdout } = await run({
            args: ["doctor", "deploy"],
            aws,
            runProcess: machine({}),
            root,
        });
        assert.equal(exitCode, 1);
        assert.match(stdout, /^To deploy a stack: something is missing\n/);
        assert.match(stdout, /^ {2}missing {2}Pulumi +not installed\n {4}next Install it: https:/m);
        assert.match(stdout, /^ {2}unknown {2}Pulumi's state +not asked/m);
        assert.doesNotMatch(stdout, /To run the lab/);
        const all = await run({ args: ["doctor"], aws, runProcess: machine(whole), root });
        assert.match(all.stdout, /^To run the lab: ready$/m);
        assert.match(all.stdout, /^To start exports and fetch archives: ready$/m);
    });

    it("refuses a purpose that there is not", async () => {
        const { exitCode, stderr } = await run({ args: ["doctor", "lunch"], root });
        assert.equal(exitCode, 2);
        assert.match(stderr, /PURPOSE is "lunch": expected lab, deploy, start\./);
    });

    describe("lab", () => {
        it("wants Linux and root", async () => {
            const runProcess = machine({ ...whole, "uname -s": said("Darwin\n"), "id -u": said("501\n") });
            const { missing, findings } = await doctor({ runProcess }, "lab");
            assert.deepEqual(
                missing.map(({ name, found }) => [name, found]),
                [["Linux and root", "Darwin, as user 501"]],
            );
            assert.equal(find(findings, "commands").state, "unknown");
        });

        it("lets the lab install commands where it can, and names the packages where it cannot", async () => {
            const absent = said("htpasswd\ndocker\ndockerd\n");
            const able = await doctor({ runProcess: machine({ ...whole, "sh -c": absent }) }, "lab");
            assert.match(
                find(able.findings, "commands").found,
                /the lab installs apache2-utils docker\.io when/,
            );
            const other = said("jq\napt-get\n");
            const unable = await doctor({ runProcess: machine({ ...whole, "sh -c": other }) }, "lab");
            assert.deepEqual(
                unable.missing.map(({ found, next }) => [found, next]),
                [["no jq", "Install them. On Debian the packages are called: jq"]],
            );
        });
    });

    it("wants a login of Pulumi", async () => {
        const runProcess = machine({ ...whole, "pulumi whoami": said("", 255) });
        const { missing } = await doctor({ runProcess }, "deploy");
        assert.deepEqual(
            missing.map(({ name, found }) => [name, found]),
            [["Pulumi's state", "not logged in"]],
        );
    });

    describe("start", () => {
        it("wants credentials, and does not wait for them", async () => {
            const { missing, findings, sleepsMs } = await doctor(
                {
                    aws: () => {
                        throw awsError("CredentialsProviderError", "Could not load credentials");
                    },
                },
                "start",
            );
            assert.deepEqual(
                missing.map(({ name }) => name),
                ["AWS credentials and region"],
            );
            assert.match(missing[0]?.next ?? "", /aws sso login/);
            assert.equal(find(findings, "permissions").state, "unknown");
            assert.deepEqual(sleepsMs, []);
        });

        it("wants a stack that is deployed", async () => {
            const empty = await doctor(
                { runProcess: machine({ ...whole, "pulumi stack": said("{}") }) },
                "start",
            );
            assert.match(find(empty.missing, "stack").found, /has no outputs/);
            const none = await doctor({ runProcess: machine({}) }, "start");
            assert.match(find(none.missing, "stack").next ?? "", /--state-machine ARN/);
        });

        it("wants credentials of the stack's account", async () => {
            const identity = { Account: "999999999999", Arn: "arn:aws:iam::999999999999:user/me" };
            const { missing } = await doctor(
                {
                    aws: (operation, input) =>
                        operation === "GetCallerIdentity" ? identity : aws(operation, input),
                },
                "start",
            );
            assert.equal(
                find(missing, "account").found,
                `the credentials are of 999999999999, the stack is in ${account}`,
            );
        });

        for (const [operation, name] of [
            ["ListExecutions", "states:ListExecutions"],
            ["BatchGetBuilds", "codebuild:BatchGetBuilds"],
            ["ListObjectsV2", "s3:ListBucket"],
            ["GetObject", "s3:GetObject"],
        ] as const) {
            it(`names a missing ${name} and the policy that has it`, async () => {
                const { missing } = await doctor(
                    {
                        aws: (asked, input) => {
                            if (asked === operation)
                                throw awsError("AccessDeniedException", "not authorized");
                            return aws(asked, input);
                        },
                    },
                    "start",
                );
                assert.deepEqual(
                    missing.map((finding) => finding.name),
                    [name],
                );
                assert.match(missing[0]?.next ?? "", /startExportPolicy/);
            });
        }

        it("says that reading was not tried where there is no archive", async () => {
            const { findings, ready } = await doctor(
                { aws: (operation, input) => (operation === "ListObjectsV2" ? {} : aws(operation, input)) },
                "start",
            );
            assert.equal(find(findings, "s3:GetObject").state, "unknown");
            assert.equal(ready, true);
        });

        it("does without Pulumi where the state machine is given", async () => {
            const args = ["start", "--state-machine", outputs.stateMachineArn];
            const { ready, findings } = await doctor({ runProcess: machine({}) }, ...args);
            assert.equal(ready, true);
            assert.ok(findings.every(({ name }) => !name.startsWith("s3:")));
        });
    });
});
