/** Runs the state machine of batches in an interpreter, with an export state machine that is simulated. */
import { strict as assert } from "node:assert";

import {
    ExecutionError,
    StateMachine,
    type StateMachineDefinition as Definition,
} from "aws-local-stepfunctions";

import type { StateMachineDefinition } from "../../stateMachines/export";
import {
    type ChildResult,
    type Definition as MapDefinition,
    type MapItem,
    type MapRun,
    withoutDistributedMaps,
} from "../../lab/distributedMap";
import { awsError, type Outcome } from "./execution";

type Json = Parameters<StateMachine["run"]>[0];

/** Simulates the export state machine: gives the output of an execution, or throws an {@link awsError}. */
export type Export = (request: unknown) => unknown;

/** A batch that has ended, and what happened on the way. */
export interface BatchOutcome {
    readonly outcome: Outcome;
    /** Requests of the executions of the export state machine, in the order of their start. */
    readonly exports: readonly unknown[];
    /** The most executions of the export state machine that ran at a time. */
    readonly mostAtATime: number;
    /** Names of the states that were entered, those of the child executions among them. */
    readonly states: readonly string[];
    /** Objects by key: those that were given, and those that the Map has written. */
    readonly objects: ReadonlyMap<string, string>;
    /** The rows of the result files, by status. */
    readonly rows: (status: "SUCCEEDED" | "FAILED") => Record<string, unknown>[];
}

/** Runs a batch to its end. */
export async function executeBatch(
    definition: StateMachineDefinition,
    input: unknown,
    doExport: Export,
    given: Record<string, string> = {},
): Promise<BatchOutcome> {
    const objects = new Map(Object.entries(given));
    const states: string[] = [];
    const machine = createExportMachine(doExport);
    const runs = new Map<string, MapRun>();
    const { definition: runnable, maps } = withoutDistributedMaps(structuredClone(definition));
    const asSent = JSON.parse(JSON.stringify(input)) as Json;
    const execution = { Id: "arn:aws:states:::execution:batch:1", Name: "1" };
    const exportHandlers = ({ States }: MapDefinition) => {
        const tasks = Object.entries(States).filter(([, { Type }]) => Type === "Task");
        const start = async (task: Json) =>
            (await machine.start(task as unknown as { Name: string; Input: unknown })) as Json;
        return Object.fromEntries(tasks.map(([name]) => [name, start]));
    };
    const host = {
        stateMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:batch",
        readObject: (bucket: string, key: string) => {
            const text = objects.get(key);
            return text === undefined
                ? Promise.reject(new Error(`s3://${bucket}/${key} does not exist`))
                : Promise.resolve(text);
        },
        writeObject: (_: string, key: string, text: string) => {
            objects.set(key, text);
            return Promise.resolve();
        },
        startChild: () => Promise.resolve(),
        report: () => undefined,
        run: (child: MapDefinition, childInput: unknown, item: MapItem): Promise<ChildResult> =>
            interpret(
                child,
                childInput as Json,
                { Execution: execution, Map: { Item: item as unknown as Json } },
                exportHandlers(child),
                // What selects the input of a child is no state of it.
                child.StartAt === "Select" ? [] : states,
            ).then((outcome): ChildResult =>
                "output" in outcome
                    ? outcome
                    : { error: outcome.error || undefined, cause: outcome.cause || undefined },
            ),
    };
    const handlers = Object.fromEntries(
        [...maps].map(([name, run]) => [
            name,
            async (parameters: Json) => {
                const ended = await run(host, parameters);
                runs.set(ended.MapRunArn, ended);
                return ended as unknown as Json;
            },
        ]),
    );
    const outcome = await interpret(
        runnable,
        asSent,
        { Execution: { ...execution, Input: asSent } },
        {
            ...handlers,
            "Count results": (parameters) => {
                const { MapRunArn } = parameters as { MapRunArn: string };
                return Promise.resolve(runs.get(MapRunArn) as unknown as Json);
            },
        },
        states,
    );
    return {
        outcome,
        exports: machine.started,
        get mostAtATime() {
            return machine.mostAtATime();
        },
        states,
        objects,
        rows: (status) =>
            [...objects]
                .filter(([key]) => key.endsWith(`/${status}_0.jsonl`))
                .flatMap(([, text]) => text.trimEnd().split("\n"))
                .map((line) => JSON.parse(line) as Record<string, unknown>),
    };
}

type Handler = (parameters: Json) => Promise<Json>;

async function interpret(
    definition: MapDefinition,
    input: Json,
    context: object,
    handlers: Record<string, Handler>,
    states: string[],
): Promise<Outcome> {
    const machine = new StateMachine(definition as unknown as Definition, {
        validationOptions: { noValidate: true }, // a test of its own validates
    });
    const noWait = Object.keys(handlers).map((name) => [name, 0]);
    const { result, eventLogs } = machine.run(input, {
        overrides: {
            taskResourceLocalHandlers: handlers,
            retryIntervalOverrides: Object.fromEntries(noWait) as Record<string, number>,
        },
        context: context as never,
    });
    const outcome = result.then(
        (output) => ({ output: output as Record<string, unknown> }),
        (error: unknown) => {
            if (!(error instanceof ExecutionError)) throw error;
            assert(error.cause instanceof Error, "an execution that failed has a cause");
            return { error: error.cause.name, cause: error.cause.message };
        },
    );
    for await (const event of eventLogs) {
        if (event.type === "StateEntered") states.push(event.state.name);
    }
    return outcome;
}

/**
 * Starts executions as `startExecution.sync:2` does: the name of an execution that runs gives that execution, the name of one
 * that has ended is refused (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
 */
function createExportMachine(doExport: Export) {
    const running = new Map<string, Promise<unknown>>();
    const ended = new Set<string>();
    const started: unknown[] = [];
    let most = 0;

    async function run(name: string, request: unknown): Promise<unknown> {
        started.push(request);
        most = Math.max(most, running.size + 1);
        await new Promise((resolve) => setImmediate(resolve));
        try {
            const result = { Status: "SUCCEEDED", Output: await doExport(request) };
            ended.add(name);
            return result;
        } catch (error) {
            assert(error instanceof Error);
            // The start itself was refused: nothing has run under this name.
            if (error.name.startsWith("StepFunctions.")) throw error;
            ended.add(name);
            const described = { Error: error.name, Cause: error.message, Status: "FAILED" };
            throw awsError("States.TaskFailed", JSON.stringify(described));
        } finally {
            running.delete(name);
        }
    }

    return {
        started,
        mostAtATime: () => most,
        start: ({ Name, Input }: { Name: string; Input: unknown }): Promise<unknown> => {
            if (ended.has(Name)) {
                throw awsError("StepFunctions.ExecutionAlreadyExistsException", `Execution ${Name} exists`);
            }
            const execution = running.get(Name) ?? run(Name, Input);
            running.set(Name, execution);
            return execution;
        },
    };
}
