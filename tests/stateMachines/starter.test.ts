import { strict as assert } from "node:assert";

import validate from "asl-validator";
import fc from "fast-check";

import { batchExecutionPrefix } from "../../contract/request";
import { at } from "../../lab/awsTypes";
import { starterDefinition } from "../../stateMachines/starter";
import {
    awsError,
    type Ended,
    execute,
    FakeExecutions,
    type Services,
    type StartExecution,
} from "../support/execution";

const exportMachineArn = "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export-0a1b2c3";
const definition = starterDefinition({ at, exportMachineArn });
const event = { trigger: "push", identity: "13cde686-328b", request: { imageUri: "registry/app@sha256:1" } };

/** Runs an event against services that keep what was started. */
async function run(input: unknown, services: Services): Promise<Ended & { readonly asked: readonly StartExecution[] }> {
    const asked: StartExecution[] = [];
    const start = services["states:startExecution"] as unknown as (call: StartExecution) => unknown;
    const ended = await execute(definition, input, {
        ...services,
        "states:startExecution": (call: StartExecution) => {
            asked.push(call);
            return start(call);
        },
    });
    return { ...ended, asked };
}

async function nameOf(input: object): Promise<string> {
    const { asked } = await run(input, new FakeExecutions(() => ({})).services);
    return asked[0]?.Name ?? assert.fail();
}

describe("starterDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("starts the request under a name made of the event and the request", async () => {
        const { asked, outcome } = await run(event, new FakeExecutions(() => ({})).services);
        assert.equal(outcome.status, "SUCCEEDED");
        assert.equal(asked.length, 1);
        assert.equal(asked[0]?.StateMachineArn, exportMachineArn);
        assert.deepEqual(asked[0].Input, event.request);
        assert.match(asked[0].Name, /^push-[0-9a-f]{64}$/);
    });

    it("gives the same event the same name, and another event or request another", async () => {
        const names = await Promise.all(
            [event, { ...event, identity: "2" }, { ...event, request: {} }, { ...event, trigger: "schedule" }].map(
                nameOf,
            ),
        );
        assert.equal(await nameOf(event), names[0]);
        assert.equal(new Set(names).size, 4);
    });

    it("starts the export of an event that is delivered twice once", async () => {
        const executions = new FakeExecutions(() => ({}));
        const outcomes = [await run(event, executions.services), await run(event, executions.services)];
        for (const { outcome } of outcomes) assert.equal(outcome.status, "SUCCEEDED");
        assert.deepEqual(executions.started, [event.request]);
    });

    it("starts the export although somebody has taken its name", async () => {
        const name = await nameOf(event);
        for (const input of [{}, { imageUri: "registry/other" }]) {
            const executions = new FakeExecutions(() => ({}));
            executions.put(name, input, { Status: "FAILED" });
            const { outcome } = await run(event, executions.services);
            assert.equal(outcome.status, "SUCCEEDED");
            assert.deepEqual(executions.started, [event.request]);
        }
    });

    it("starts it under another name, too, where the execution of that name cannot be read", async () => {
        const executions = new FakeExecutions(() => ({}));
        executions.put(await nameOf(event), event.request, {});
        const describe = () => {
            throw awsError("StepFunctions.AWSStepFunctionsException", "is not authorized");
        };
        const { outcome } = await run(event, { ...executions.services, "aws-sdk:sfn:describeExecution": describe });
        assert.deepEqual([outcome.status, executions.started.length], ["SUCCEEDED", 1]);
    });

    it("tries again what is throttled, and fails by the name that AWS gives to anything else", async () => {
        let calls = 0;
        const throttled = () => {
            calls += 1;
            if (calls < 4) throw awsError("StepFunctions.AWSStepFunctionsException", "Rate exceeded");
            return {};
        };
        assert.equal((await run(event, { "states:startExecution": throttled })).outcome.status, "SUCCEEDED");
        const gone = () => {
            throw awsError("StepFunctions.StateMachineDoesNotExistException", "gone");
        };
        const { outcome, asked } = await run(event, { "states:startExecution": gone });
        assert.deepEqual(outcome, {
            status: "FAILED",
            error: "StepFunctions.StateMachineDoesNotExistException",
            cause: "gone",
        });
        assert.equal(asked.length, 1);
    });

    it("refuses what is no event", async () => {
        const none = [
            null,
            5,
            "x",
            [],
            {},
            { ...event, trigger: "a b" },
            { ...event, trigger: "push\n" },
            { ...event, trigger: batchExecutionPrefix.slice(0, -1) },
            { ...event, identity: 5 },
            { trigger: "push", identity: "x" },
            { ...event, request: { a: "x".repeat(250_000) } },
        ];
        for (const input of none) {
            const { outcome, asked } = await run(input, { "states:startExecution": () => ({}) });
            assert(outcome.status === "FAILED" && outcome.error === "InvalidInput", JSON.stringify(outcome));
            assert.deepEqual(asked, []);
        }
        await fc.assert(
            fc.asyncProperty(fc.jsonValue(), async (input) => {
                const { outcome } = await run(input, { "states:startExecution": () => ({}) });
                assert(outcome.status === "FAILED" && outcome.error === "InvalidInput", JSON.stringify(outcome));
            }),
            { numRuns: 50 },
        );
    });
});
