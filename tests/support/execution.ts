/** Runs state machines' definitions in the lab's interpreter, with builds and AWS services that are simulated. */
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";

import {
    type Clock,
    type HistoryEvent,
    type Host,
    type MapRun,
    type Outcome,
    StateError,
} from "../../lab/stateLanguage/host";
import { execute as interpret } from "../../lab/stateLanguage/interpreter";
import { type Machine, readMachine } from "../../lab/stateLanguage/machine";
import type { StateMachineDefinition } from "../../stateMachines/language";

/** How an execution ended, with what happened on the way. */
export interface Ended {
    readonly outcome: Outcome;
    /** The states that were entered, those of a Map's items as well. */
    readonly states: readonly string[];
    readonly events: readonly HistoryEvent[];
    /** Seconds of each wait between two attempts. */
    readonly waits: readonly number[];
    /** Objects in S3, by key: those that were given, and those that were written. */
    readonly objects: ReadonlyMap<string, string>;
}

/** A call of a service: gives the result of the task, or throws an {@link awsError}. */
export type Service = (parameters: never) => unknown;

/** The services of an execution, by resource without `arn:aws:states:::`. What is not simulated fails. */
export type Services = Readonly<Record<string, Service>>;

/** What an execution is started with, besides its input. */
export interface Given {
    /** Objects in S3, by key. */
    readonly objects?: Readonly<Record<string, string>>;
    /** Aborts the execution. */
    readonly signal?: AbortSignal;
    readonly clock?: Partial<Clock>;
}

/** The id of every execution. */
export const executionId = "arn:aws:states:ap-northeast-1:111122223333:execution:machine:1";

/** An error as AWS reports it; after an abort it has no cause. */
export function awsError(name: string, cause?: string): StateError {
    return new StateError(name, cause);
}

/** A service that fails. */
export function fails(name: string, cause?: string): () => never {
    return () => {
        throw awsError(name, cause);
    };
}

const machines = new WeakMap<StateMachineDefinition, Machine>();

function machineOf(definition: StateMachineDefinition): Machine {
    const known = machines.get(definition);
    if (known !== undefined) return known;
    const machine = readMachine(structuredClone(definition), (resource) => resource.startsWith("arn:aws:states:::"));
    machines.set(definition, machine);
    return machine;
}

/** Runs an execution to its end; waits take no time. */
export async function execute(
    definition: StateMachineDefinition,
    input: unknown,
    services: Services,
    given: Given = {},
): Promise<Ended> {
    const events: HistoryEvent[] = [];
    const waits: number[] = [];
    const objects = new Map(Object.entries(given.objects ?? {}));
    const mapRuns = new Map<string, MapRun>();
    const served: Services = {
        "aws-sdk:sfn:describeMapRun": ({ MapRunArn }: { MapRunArn: string }) => {
            const { total, succeeded, failed } = mapRuns.get(MapRunArn)?.itemCounts ?? {};
            return { ItemCounts: { Total: total, Succeeded: succeeded, Failed: failed } };
        },
        "s3:getObject": ({ Bucket, Key }: { Bucket: string; Key: string }) =>
            objects.get(Key) ?? assert.fail(`s3://${Bucket}/${Key} does not exist`),
        "s3:putObject": ({ Key, Body }: { Key: string; Body: string }) => objects.set(Key, Body),
        ...services,
    };
    const host: Host = {
        clock: {
            wait: (milliseconds) => {
                waits.push(milliseconds / 1000);
                return Promise.resolve();
            },
            timeout: () => new Promise(() => undefined),
            random: () => 1,
            ...given.clock,
        },
        signal: given.signal ?? new AbortController().signal,
        call: async (resource, parameters) => {
            const service = served[resource.replace("arn:aws:states:::", "")];
            if (service === undefined) throw new Error(`nothing simulates ${resource}`);
            const result = await service(parameters as never);
            return result === undefined ? {} : (JSON.parse(JSON.stringify(result)) as unknown);
        },
        tell: (event) => events.push(event),
        startChild: () => Promise.resolve(),
        countMap: (run) => mapRuns.set(run.mapRunArn, run),
    };
    const context = {
        Execution: { Id: executionId, Name: "1", StartTime: "2026-01-01T00:00:00.000Z" },
        StateMachine: { Id: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:machine", Name: "machine" },
    };
    // StartExecution takes a string.
    const asSent = JSON.parse(JSON.stringify(input)) as unknown;
    const outcome = await interpret(machineOf(definition), asSent, context, host);
    const states = events.flatMap((event) => (event.type === "entered" ? [event.state] : []));
    return { outcome, states, events, waits, objects };
}

/** What `startExecution` is called with. */
export interface StartExecution {
    readonly StateMachineArn: string;
    readonly Name: string;
    readonly Input: unknown;
}

/** Executions by their names, as Step Functions keeps them: the name of one that has ended is taken. */
export class FakeExecutions {
    /** Requests of all that were started, the first one first. */
    public readonly started: unknown[] = [];
    /** The most that ran at a time. */
    public mostAtATime = 0;
    private readonly running = new Map<string, Promise<unknown>>();
    private readonly ended = new Map<string, Readonly<Record<string, unknown>>>();

    /** @param run Serves a request: gives the output of its execution, or throws an {@link awsError}. */
    public constructor(private readonly run: (request: unknown) => unknown) {}

    /** The services of a machine that starts them. */
    public get services(): Services {
        return {
            "states:startExecution.sync:2": (call: StartExecution) => this.start(call),
            "states:startExecution": (call: StartExecution) => {
                if (this.ended.has(call.Name)) throw alreadyExists(call.Name);
                this.put(call.Name, call.Input, { Status: "RUNNING" });
                this.started.push(call.Input);
                return { ExecutionArn: `arn:${call.Name}`, StartDate: "2026-01-01T00:00:00Z" };
            },
            "aws-sdk:sfn:describeExecution": ({ ExecutionArn }: { ExecutionArn: string }) => {
                const ended = this.ended.get(ExecutionArn.split(":").at(-1) ?? "");
                if (ended === undefined) throw awsError("StepFunctions.ExecutionDoesNotExistException", ExecutionArn);
                return ended;
            },
        };
    }

    /** Takes a name, as somebody else who has guessed it does. */
    public put(name: string, input: unknown, described: object): void {
        this.ended.set(name, { Input: JSON.stringify(input), ...described });
    }

    private start({ Name, Input }: StartExecution): Promise<unknown> {
        if (this.ended.has(Name)) throw alreadyExists(Name);
        const execution = this.running.get(Name) ?? this.runOne(Name, Input);
        this.running.set(Name, execution);
        return execution;
    }

    private async runOne(name: string, request: unknown): Promise<unknown> {
        this.started.push(request);
        this.mostAtATime = Math.max(this.mostAtATime, this.running.size + 1);
        await new Promise((resolve) => setImmediate(resolve));
        try {
            const output = (await this.run(request)) ?? {};
            this.put(name, request, { Status: "SUCCEEDED", Output: JSON.stringify(output) });
            return { Status: "SUCCEEDED", Output: output };
        } catch (error) {
            if (!(error instanceof StateError)) throw error;
            // The start itself was refused: nothing has run under this name.
            if (error.error.startsWith("StepFunctions.")) throw error;
            const isAborted = error.error === "ABORTED";
            const described = isAborted
                ? { Status: "ABORTED" }
                : { Status: "FAILED", Error: error.error, Cause: error.reason };
            this.put(name, request, described);
            const told = {
                Cause: described.Cause,
                Error: described.Error,
                ExecutionArn: randomUUID(),
                Input: JSON.stringify(request),
                Status: described.Status,
            };
            throw awsError("States.TaskFailed", JSON.stringify(told).slice(0, 32_768));
        } finally {
            this.running.delete(name);
        }
    }
}

function alreadyExists(name: string): StateError {
    return awsError("StepFunctions.ExecutionAlreadyExistsException", `Execution Already Exists: '${name}'`);
}
