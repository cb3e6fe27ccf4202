import { strict as assert } from "node:assert";

import validate from "asl-validator";

import { starterDefinition } from "../../stateMachines/starter";
import { awsError, execute, type Outcome } from "../support/execution";

const definition = starterDefinition({
    partition: "aws",
    exportMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export",
});
const input = { trigger: "push", identity: "event-1", request: { imageUri: "registry/app:1" } };

interface Start {
    readonly Name: string;
    readonly Input: unknown;
}

/** Runs the definition against `start`; gives what it was asked to start, too. */
async function run(start: (asked: Start) => unknown, given: object = input): Promise<[Outcome, Start[]]> {
    const asked: Start[] = [];
    const startExecution = (request: Start) => {
        asked.push(request);
        return start(request);
    };
    return [await execute(definition, given, { startExecution }), asked];
}

describe("starterDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("starts the request under a name made of the trigger's identity", async () => {
        const [outcome, [asked]] = await run(() => ({ ExecutionArn: "arn" }));
        assert.deepEqual(outcome, { output: { ExecutionArn: "arn" } });
        assert.match(asked?.Name ?? "", /^push-[0-9a-f]{64}$/);
        assert((asked?.Name.length ?? 81) <= 80, "Step Functions takes 80 characters");
        assert.deepEqual(asked?.Input, input.request);
    });

    it("gives the same event the same name, and another event another", async () => {
        const nameOf = async (identity: string) =>
            (await run(() => ({}), { ...input, identity }))[1][0]?.Name;
        assert.equal(await nameOf("a"), await nameOf("a"));
        assert.notEqual(await nameOf("a"), await nameOf("b"));
    });

    it("ends well where the export has been started already", async () => {
        const [outcome] = await run(() => {
            throw awsError("StepFunctions.ExecutionAlreadyExistsException", "exists");
        });
        assert("output" in outcome);
    });

    it("tries again what is throttled, and fails by the name that AWS gives to anything else", async () => {
        let calls = 0;
        const [outcome] = await run(() => {
            calls += 1;
            if (calls < 4) throw awsError("StepFunctions.ThrottlingException", "Rate exceeded");
            return {};
        });
        assert.deepEqual([outcome, calls], [{ output: {} }, 4]);
        const [denied, asked] = await run(() => {
            throw awsError("StepFunctions.AccessDeniedException", "not authorized");
        });
        assert.deepEqual(denied, { error: "StepFunctions.AccessDeniedException", cause: "not authorized" });
        assert.equal(asked.length, 1);
    });
});
