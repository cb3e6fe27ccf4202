import assert from "node:assert/strict";

import { stateMachineVariable } from "../../cli/stack";
import { run } from "./support/context";
import { outputs } from "./support/outputs";

const machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:export";
const execution = "arn:aws:states:eu-west-1:111122223333:execution:export:run";

/** Stops an execution that is named, so that the stack has to be found; gives the run and what was asked of Pulumi. */
async function stop(args: string[], env: Record<string, string> = {}, found: unknown = outputs) {
    const asked: string[] = [];
    const stopped: unknown[] = [];
    const result = await run({
        args: ["stop", "run", ...args],
        env,
        aws: (_, input) => {
            stopped.push(input["executionArn"]);
            return {};
        },
        runProcess: (command, given) => {
            asked.push([command, ...given].join(" "));
            return { exitCode: 0, stdout: typeof found === "string" ? found : JSON.stringify(found), stderr: "" };
        },
    });
    return { ...result, asked, stopped };
}

describe("the stack", () => {
    it("is found by --state-machine, without Pulumi", async () => {
        const { asked, stopped, calls } = await stop(["--state-machine", machine]);
        assert.deepEqual([asked, stopped], [[], [execution]]);
        // The region is the ARN's, not the environment's.
        assert.equal(calls[0]?.region, "eu-west-1");
    });

    it("is found by --stack, before the variable", async () => {
        const { asked, stopped } = await stop(["--stack", "dev"], { [stateMachineVariable]: "ignored" });
        assert.deepEqual([asked, stopped], [["pulumi stack output --json --stack dev"], [execution]]);
    });

    it("is found by the variable, which may be empty", async () => {
        const { asked, stopped } = await stop([], { [stateMachineVariable]: machine });
        assert.deepEqual([asked, stopped], [[], [execution]]);
        const empty = await stop([], { [stateMachineVariable]: "" });
        assert.deepEqual(empty.asked, ["pulumi stack output --json"]);
    });

    it("is the one that is selected in Pulumi where nothing else is said", async () => {
        assert.deepEqual((await stop([])).asked, ["pulumi stack output --json"]);
    });

    it("is not needed for an execution's ARN", async () => {
        const { exitCode, stdout } = await run({ args: ["stop", execution], aws: () => ({}) });
        assert.equal(exitCode, 0);
        assert.equal(stdout, `Stopped ${execution}\n`);
    });

    it("says what to do where Pulumi is missing", async () => {
        const { exitCode, stderr } = await run({ args: ["stop", "run"] });
        assert.equal(exitCode, 1);
        assert.match(
            stderr,
            /^Error There is no program pulumi\.\n +next .*Install it .*--state-machine ARN.*IMAGE_EXPORT_STATE/,
        );
    });

    it("repeats what Pulumi says", async () => {
        const { exitCode, stderr } = await run({
            args: ["stop", "run", "--stack", "no"],
            runProcess: () => ({ exitCode: 255, stdout: "", stderr: "error: no stack named 'no' found\n" }),
        });
        assert.equal(exitCode, 1);
        assert.match(stderr, /--stack no` failed: no stack named 'no' found\n +next .*pulumi stack ls/);
    });

    for (const [what, given, says] of [
        ["no outputs", {}, /not the outputs of an ecr-image-export stack.*\n +next Deploy the stack: pulumi up/],
        ["outputs of something else", { url: "x" }, /stateMachineArn \(missing, expected string\)/],
        ["what is not JSON", "warning", /is not valid JSON/],
    ] as const) {
        it(`refuses ${what}`, async () => {
            const { exitCode, stderr } = await stop([], {}, given);
            assert.equal(exitCode, 1);
            assert.match(stderr, says);
        });
    }

    it("refuses what is no ARN of a state machine, and two ways at once", async () => {
        const wrong = await stop(["--state-machine", execution]);
        assert.equal(wrong.exitCode, 2);
        assert.match(wrong.stderr, /^Error --state-machine is "arn.*expected arn:PARTITION:states/);
        const both = await stop(["--state-machine", machine, "--stack", "dev"]);
        assert.equal(both.exitCode, 2);
        assert.match(
            both.stderr,
            /^Error Option '--stack <NAME>' cannot be used with option '--state-machine <ARN>'\./,
        );
    });

    it("refuses what is neither an execution's ARN nor a name", async () => {
        const { exitCode, stderr } = await run({ args: ["stop", "a b"] });
        assert.equal(exitCode, 2);
        assert.match(stderr, /EXECUTION is "a b"/);
    });
});
