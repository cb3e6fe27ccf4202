/** Runs a state machine's definition in an interpreter, with a build that is simulated. */
import { strict as assert } from "node:assert";

import {
    ExecutionError,
    StateMachine,
    type StateMachineDefinition as Definition,
} from "aws-local-stepfunctions";

import type { StateMachineDefinition } from "../../components/definition";

/** How an execution ended: well, or as its Fail state says. */
export type Outcome =
    { readonly output: Record<string, unknown> } | { readonly error: string; readonly cause: string };

/** The parameters of `codebuild:startBuild.sync`, as the state machine gives them. */
export interface StartBuild {
    readonly ProjectName: string;
    readonly EnvironmentVariablesOverride: readonly { Name: string; Type: string; Value: string }[];
}

/** Simulates CodeBuild: answers with the output of the task, or throws an {@link awsError}. */
export type Build = (request: StartBuild) => unknown;

/** The one task of the definition. */
export const task = "Export image";

type Json = Parameters<StateMachine["run"]>[0];

/** An error as Step Functions reports it: `Error` is its name, `Cause` its message. */
export function awsError(name: string, cause: string): Error {
    return Object.assign(new Error(cause), { name });
}

/** Starts an execution; retries happen at once. */
export function start(
    definition: StateMachineDefinition,
    input: unknown,
    build: Build,
    taskName: string = task,
): { readonly outcome: Promise<Outcome>; readonly abort: () => void } {
    const machine = new StateMachine(structuredClone(definition) as unknown as Definition, {
        validationOptions: { noValidate: true }, // a test of its own validates
    });
    const asSent = JSON.parse(JSON.stringify(input)) as Json; // StartExecution takes a text
    const { result, abort } = machine.run(asSent, {
        overrides: {
            taskResourceLocalHandlers: {
                [taskName]: async (request) => (await build(request as unknown as StartBuild)) as Json,
            },
            retryIntervalOverrides: { [taskName]: 0 },
        },
        context: { Execution: { Id: "arn:aws:states:::execution:export:1", Input: asSent } },
    });
    const outcome = result.then(
        (output) => ({ output: output as Record<string, unknown> }),
        (error: unknown) => {
            if (!(error instanceof ExecutionError)) throw error;
            assert(error.cause instanceof Error, "an execution that failed has a cause");
            return { error: error.cause.name, cause: error.cause.message };
        },
    );
    return { outcome, abort };
}

/** Runs an execution to its end. */
export function execute(
    definition: StateMachineDefinition,
    input: unknown,
    build: Build,
    taskName: string = task,
): Promise<Outcome> {
    return start(definition, input, build, taskName).outcome;
}
