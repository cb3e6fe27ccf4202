import assert from "node:assert/strict";

import { type AwsAnswer, awsError, type FakeOptions, type ProcessResult, run } from "./support/context";
import { outputs } from "./support/outputs";

const said = (stdout: string, exitCode = 0): ProcessResult => ({ exitCode, stdout, stderr: "" });

/** Pulumi, by its first word. */
const pulumi =
    (answers: Record<string, ProcessResult> = {}): NonNullable<FakeOptions["runProcess"]> =>
    (command, [word = ""]) => {
        const whole: Record<string, ProcessResult> = { stack: said(JSON.stringify(outputs)) };
        return { ...whole, ...answers }[word] ?? assert.fail(`${command} ${word}`);
    };

const answers: Record<string, unknown> = {
    GetCallerIdentity: { Arn: "arn:aws:sts::111122223333:assumed-role/developer/me" },
    ListExecutions: { executions: [] },
    BatchGetBuilds: { builds: [] },
    ListObjectsV2: { Contents: [{ Key: "images/app.tar" }] },
    GetObject: {},
};
const aws: AwsAnswer = (operation) => answers[operation] ?? assert.fail(operation);

interface Finding {
    readonly name: string;
    readonly state: string;
    readonly found: string;
    readonly next?: string;
}

/** Runs doctor; gives the names of what is missing and what could not be tried. */
async function doctor(options: Partial<FakeOptions> = {}, ...args: string[]) {
    const given = { aws, runProcess: pulumi(), ...options };
    const result = await run({ ...given, args: ["doctor", ...args, "--json"] });
    const { ready, findings } = JSON.parse(result.stdout) as { ready: boolean; findings: Finding[] };
    assert.equal(result.exitCode, ready ? 0 : 1);
    const named = (state: string) => findings.filter((each) => each.state === state).map(({ name }) => name);
    return { ...result, findings, missing: named("missing"), unknown: named("unknown") };
}

describe("image-export doctor", () => {
    it("finds nothing missing where there is all, with calls that change nothing", async () => {
        const { missing, unknown, calls } = await doctor();
        assert.deepEqual([missing, unknown], [[], ["states:StartExecution"]]);
        assert.deepEqual(
            new Set(calls.map(({ operation }) => operation)),
            new Set(["GetCallerIdentity", "ListExecutions", "BatchGetBuilds", "ListObjectsV2", "GetObject"]),
        );
        assert.equal(calls.find(({ operation }) => operation === "GetObject")?.input["Range"], "bytes=0-0");
        assert.ok(calls.filter(({ service }) => service !== "STS").every(({ region }) => region === "eu-west-1"));
    });

    it("is readable, and names a remedy for what is missing", async () => {
        const { exitCode, stdout } = await run({ args: ["doctor"], aws });
        assert.equal(exitCode, 1);
        assert.match(stdout, /^ok {7}AWS credentials +arn:aws:sts::/m);
        assert.match(stdout, /^missing {2}stack +There is no program pulumi\.\n {4}next .*Install it/m);
    });

    it("wants credentials", async () => {
        const { missing, findings } = await doctor({
            aws: () => {
                throw awsError("CredentialsProviderError", "Could not load credentials");
            },
        });
        assert.ok(missing.includes("AWS credentials"));
        assert.match(findings[0]?.next ?? "", /aws sso login/);
    });

    it("wants a stack, and tries no permission without one", async () => {
        const { missing, unknown } = await doctor({ runProcess: pulumi({ stack: said("{}") }) });
        assert.deepEqual(missing, ["stack"]);
        assert.equal(unknown.length, 4);
    });

    for (const [operation, name] of [
        ["ListExecutions", "states:ListExecutions"],
        ["BatchGetBuilds", "codebuild:BatchGetBuilds"],
        ["ListObjectsV2", "reading of archives"],
        ["GetObject", "reading of archives"],
    ] as const) {
        it(`names what ${operation} needs, and the policy that has it`, async () => {
            const { missing, findings } = await doctor({
                aws: (asked, input) => {
                    if (asked === operation) throw awsError("AccessDeniedException", "not authorized");
                    return aws(asked, input);
                },
            });
            assert.deepEqual(missing, [name]);
            const { next = "" } = findings.find((finding) => finding.name === name) ?? {};
            assert.match(next, /startExportPolicy/);
        });
    }

    it("does without Pulumi where the state machine is given", async () => {
        const args = ["--state-machine", outputs.stateMachineArn];
        const { missing, unknown } = await doctor({ runProcess: () => assert.fail("asked") }, ...args);
        assert.deepEqual(missing, []);
        assert.ok(unknown.includes("reading of archives"));
    });
});
