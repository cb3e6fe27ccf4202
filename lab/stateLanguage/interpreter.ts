/**
 * Runs a machine of the states language as Step Functions does: variables and their sizes, Retry and Catch, what escapes them,
 * Maps; and tells its history. What a Task calls is served by its host.
 */
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";

import { createLimit } from "../../exporter/network/pool";
import { evaluate, typeError, type Values } from "./expressions";
import { type Clock, type ExecutionContext, type Host, type Outcome, StateError } from "./host";
import type { Machine, MapState, State } from "./machine";
import { type Child, readItems, type S3Folder, writeResults } from "./mapFiles";

/** The clock on the wall. */
export const realClock: Clock = { wait: sleep, timeout: sleep, random: Math.random };

/** The same, but no state waits, nor an attempt: what is denied in a lab stays denied. */
export const eagerClock: Clock = { ...realClock, wait: () => Promise.resolve() };

async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    // Longer waits than a timer takes are as good as none.
    await setTimeout(Math.min(milliseconds, 2 ** 31 - 1), undefined, { signal }).catch(() => undefined);
}

/** Bytes of an input, an output, of one variable, and of all that one state assigns. */
const payloadLimitBytes = 256 * 1024;

/** Bytes of all variables together. */
const variablesLimitBytes = 10 * 1024 * 1024;

/**
 * Runs an execution to its end.
 *
 * @param outer Variables of the machine around it, for an item of an inline Map.
 */
export async function execute(
    machine: Machine,
    input: unknown,
    context: ExecutionContext,
    host: Host,
    outer: Readonly<Record<string, unknown>> = {},
): Promise<Outcome> {
    const variables: Record<string, unknown> = { ...outer };
    const execution: Running = { host, variables, context };
    let name: string | undefined = machine.StartAt;
    let value = input;
    try {
        limit(input, "The input");
        while (name !== undefined) {
            if (host.signal.aborted) return { status: "ABORTED" };
            const state = machine.States[name];
            if (state === undefined) throw new Error(`There is no state ${name}.`);
            host.tell({ type: "entered", state: name });
            if (state.Type === "Fail") {
                const values = valuesOf(value, execution);
                const error = await stringOf(state.Error, "Error", values);
                return { status: "FAILED", error, cause: await stringOf(state.Cause, "Cause", values) };
            }
            const left: Left = await step(name, state, value, execution);
            Object.assign(variables, left.assigned);
            if (byteLength(variables) > variablesLimitBytes) {
                const cause = `The variables have more than ${variablesLimitBytes} bytes.`;
                throw new StateError("States.DataLimitExceeded", cause);
            }
            value = left.output;
            name = left.next;
        }
        return { status: "SUCCEEDED", output: value };
    } catch (error) {
        if (host.signal.aborted) return { status: "ABORTED" };
        if (!(error instanceof StateError)) throw error;
        host.tell({ type: "failed", state: name ?? "", error: error.error, cause: error.reason });
        return { status: "FAILED", error: error.error, cause: error.reason ?? "" };
    }
}

interface Running {
    readonly host: Host;
    readonly variables: Readonly<Record<string, unknown>>;
    readonly context: ExecutionContext;
}

/** What a state leaves behind. */
interface Left {
    readonly assigned: Readonly<Record<string, unknown>>;
    readonly output: unknown;
    readonly next: string | undefined;
}

type AttemptedState = Extract<State, { readonly Type: "Task" }> | MapState;
type Retrier = AttemptedState["Retry"][number];

async function step(
    name: string,
    state: Exclude<State, { readonly Type: "Fail" }>,
    input: unknown,
    execution: Running,
): Promise<Left> {
    if (state.Type === "Task" || state.Type === "Map") return attempt(name, state, input, execution);
    const values = valuesOf(input, execution);
    if (state.Type === "Wait") await execution.host.clock.wait(state.Seconds * 1000, execution.host.signal);
    if (state.Type !== "Choice") return leave(state, "", input, values);
    for (const [index, rule] of state.Choices.entries()) {
        const field = `Choices[${index}]/`;
        const isMet = await evaluate(rule.Condition, `${field}Condition`, values);
        if (typeof isMet !== "boolean") throw typeError(`${field}Condition`, "boolean", isMet);
        if (isMet) return leave(rule, field, input, values);
    }
    return leave({ ...state, Next: state.Default }, "", input, values);
}

/** Tries a state until it succeeds, its Retry is used up, or nothing catches its error. */
async function attempt(name: string, state: AttemptedState, input: unknown, execution: Running): Promise<Left> {
    const { host } = execution;
    const used = new Map<Retrier, number>();
    const values = valuesOf(input, execution);
    for (;;) {
        try {
            const result = await perform(state, values, execution);
            limit(result, "The result");
            const done = { ...values, states: { ...values.states, result } };
            return await leave(state, "", result, done);
        } catch (error) {
            if (!(error instanceof StateError) || host.signal.aborted) throw error;
            host.tell({ type: "failed", state: name, error: error.error, cause: error.reason });
            const retrier = state.Retry.find(({ ErrorEquals }) => isNamed(error.error, ErrorEquals));
            const attempts = retrier && (used.get(retrier) ?? 0);
            if (retrier !== undefined && attempts !== undefined && attempts < retrier.MaxAttempts) {
                used.set(retrier, attempts + 1);
                const afterSeconds = delaySeconds(retrier, attempts, host.clock);
                host.tell({ type: "retried", state: name, error: error.error, afterSeconds });
                await host.clock.wait(afterSeconds * 1000, host.signal);
                continue;
            }
            const index = state.Catch.findIndex(({ ErrorEquals }) => isNamed(error.error, ErrorEquals));
            const catcher = state.Catch[index];
            if (catcher === undefined) throw error;
            host.tell({ type: "caught", state: name, error: error.error, next: catcher.Next });
            const errorOutput = { Error: error.error, ...(error.reason !== undefined && { Cause: error.reason }) };
            const caught = { ...values, states: { ...values.states, errorOutput } };
            return leave(catcher, `Catch[${index}]/`, errorOutput, caught);
        }
    }
}

function delaySeconds(retrier: Retrier, attempts: number, clock: Clock): number {
    const { IntervalSeconds, BackoffRate, MaxDelaySeconds, JitterStrategy } = retrier;
    const seconds = Math.min(IntervalSeconds * BackoffRate ** attempts, MaxDelaySeconds);
    return JitterStrategy === "FULL" ? seconds * clock.random() : seconds;
}

/** What escapes `States.ALL` and `States.TaskFailed`: docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html */
function isNamed(error: string, names: readonly string[]): boolean {
    if (error === "States.Runtime") return false;
    if (names.includes(error)) return true;
    if (error === "States.DataLimitExceeded") return false;
    return names.includes("States.ALL") || (names.includes("States.TaskFailed") && error !== "States.Timeout");
}

async function perform(state: AttemptedState, values: Values, execution: Running): Promise<unknown> {
    const { host } = execution;
    if (state.Type === "Map") {
        const isInline = state.ItemProcessor.ProcessorConfig.Mode === "INLINE";
        return isInline ? performInline(state, values, execution) : performMap(state, values, execution);
    }
    const parameters = await evaluate(state.Arguments, "Arguments", values);
    limit(parameters, "Arguments");
    if (state.TimeoutSeconds === undefined) return host.call(state.Resource, parameters, host.signal);
    const ended = new AbortController();
    const signal = AbortSignal.any([host.signal, ended.signal]);
    const call = host.call(state.Resource, parameters, signal);
    const timeout = host.clock.timeout(state.TimeoutSeconds * 1000, signal).then(() => {
        if (!signal.aborted) throw new StateError("States.Timeout", undefined);
        return call;
    });
    try {
        return await Promise.race([call, timeout]);
    } finally {
        ended.abort();
    }
}

/** Runs the states of an inline Map for each item, so many at a time; the first item that fails is its failure. */
async function performInline(map: MapState, values: Values, { host, context, variables }: Running): Promise<unknown[]> {
    const items = await evaluate(map.Items, "Items", values);
    if (!Array.isArray(items)) throw typeError("Items", "array", items);
    const atATime = createLimit(Math.min(map.MaxConcurrency, items.length));
    const runItem = async (item: unknown): Promise<unknown> => {
        const outcome = await execute(map.ItemProcessor, item, context, host, variables);
        if (outcome.status === "ABORTED") throw new StateError("States.TaskFailed", undefined);
        if (outcome.status === "FAILED") throw new StateError(outcome.error, outcome.cause);
        return outcome.output;
    };
    return Promise.all(items.map((item) => atATime(() => runItem(item))));
}

/** Runs an execution for each item, so many at a time; its result is that of a Map with a ResultWriter. */
async function performMap(map: MapState, values: Values, { host, context }: Running): Promise<unknown> {
    const { ResultWriter: writer, Label = "" } = map;
    if (writer === undefined) throw new Error("A Distributed Map without a ResultWriter is refused before it runs.");
    const source = await evaluate(map.ItemReader?.Arguments, "ItemReader/Arguments", values);
    const target = await evaluate(writer.Arguments, "ResultWriter/Arguments", values);
    const items = map.ItemReader
        ? await readItems(map.ItemReader, source, host)
        : await evaluate(map.Items, "Items", values);
    if (!Array.isArray(items)) throw typeError("Items", "array", items);
    const arnOf = (kind: string) => `${context.StateMachine.Id.replace(":stateMachine:", `:${kind}:`)}/${Label}`;
    const run = randomUUID();
    const mapRunArn = `${arnOf("mapRun")}:${run}`;
    const children: Child[] = [];
    const counts = { SUCCEEDED: 0, FAILED: 0, ABORTED: 0 };
    let next = 0;
    const count = (isEnded = false) => {
        const { SUCCEEDED: succeeded, FAILED: failed, ABORTED: aborted } = counts;
        const [total, running] = [items.length, next - succeeded - failed - aborted];
        const rest = { pending: total - next, timedOut: 0, resultsWritten: isEnded ? total : 0 };
        const itemCounts = { total, running, succeeded, failed, aborted, ...rest };
        host.countMap({ mapRunArn, status: isEnded ? "SUCCEEDED" : "RUNNING", itemCounts });
    };
    const worker = async (): Promise<void> => {
        while (next < items.length && !host.signal.aborted) {
            const Item = { Index: next, Value: items[next++] as unknown };
            count();
            const states = { ...values.states, context: { ...context, Map: { Item } } };
            const input = await evaluate(map.ItemSelector ?? Item.Value, "ItemSelector", { ...values, states });
            limit(input, "The input of an item");
            const Name = randomUUID();
            const Id = `${arnOf("execution")}:${Name}`;
            await host.startChild(Id);
            const outcome = await execute(map.ItemProcessor, input, { ...context, Execution: { Id, Name } }, host);
            children[Item.Index] = { input, outcome };
            counts[outcome.status] += 1;
        }
    };
    count();
    await Promise.all(Array.from({ length: Math.min(map.MaxConcurrency, items.length) }, worker));
    if (host.signal.aborted) throw new StateError("States.TaskFailed", undefined);
    const details = await writeResults(writer, target as S3Folder, run, children, host);
    count(true);
    return { MapRunArn: mapRunArn, ResultWriterDetails: details };
}

function valuesOf(input: unknown, { variables, context }: Running): Values {
    return { states: { input, context }, variables };
}

/** Leaves a state as it says itself, or a rule of a Choice, or a Catch. */
async function leave(
    { Assign, Output, Next }: Pick<Extract<State, { readonly Type: "Pass" }>, "Assign" | "Output" | "Next">,
    field: string,
    otherwise: unknown,
    values: Values,
): Promise<Left> {
    const assigned = (await evaluate(Assign ?? {}, `${field}Assign`, values)) as Left["assigned"];
    limit(assigned, "Assign");
    const output = Output === undefined ? otherwise : await evaluate(Output, `${field}Output`, values);
    limit(output, "The output");
    return { assigned, output, next: Next };
}

async function stringOf(payload: string, field: string, values: Values): Promise<string> {
    const value = await evaluate(payload, field, values);
    if (typeof value === "string") return value;
    throw typeError(field, "string", value);
}

function byteLength(value: unknown): number {
    return Buffer.byteLength(JSON.stringify(value));
}

function limit(value: unknown, what: string): void {
    if (byteLength(value) <= payloadLimitBytes) return;
    throw new StateError("States.DataLimitExceeded", `${what} has more than ${payloadLimitBytes} bytes.`);
}
