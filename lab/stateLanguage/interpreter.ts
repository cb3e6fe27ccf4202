/**
 * Runs a machine of the states language as Step Functions does: variables and their sizes, Retry and Catch, what escapes them,
 * Distributed Maps; and tells its history. What a Task calls is served by its host.
 */
import { type Template, typeError, type Values } from "./expressions";
import type { Clock, ExecutionContext, Host, Outcome } from "./host";
import type { DistributedMap, Effect, Machine, Retrier, State } from "./machine";
import { type MapItem, runMap } from "./map";
import { StateError } from "./stateError";

/** The clock on the wall. */
export const realClock: Clock = {
    now: () => new Date(),
    wait: sleep,
    timeout: sleep,
    random: Math.random,
};

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
        if (signal.aborted) {
            resolve();
            return;
        }
        const end = () => {
            clearTimeout(timer);
            signal.removeEventListener("abort", end);
            resolve();
        };
        // Longer waits than a timer takes are as good as none.
        const timer = setTimeout(end, Math.min(milliseconds, 2 ** 31 - 1));
        signal.addEventListener("abort", end);
    });
}

/** Bytes of an input, an output, of one variable, and of all that one state assigns. */
export const payloadLimitBytes = 256 * 1024;

/** Bytes of all variables together. */
const variablesLimitBytes = 10 * 1024 * 1024;

/** Runs an execution to its end. */
export async function execute(
    machine: Machine,
    input: unknown,
    context: ExecutionContext,
    host: Host,
): Promise<Outcome> {
    const variables: Record<string, unknown> = {};
    const execution: Running = {
        host,
        variables,
        context: { ...context, Execution: { ...context.Execution, Input: input } },
    };
    let name: string | undefined = machine.startAt;
    let value = input;
    try {
        limit(input, "The input");
        while (name !== undefined) {
            if (host.signal.aborted) return { status: "ABORTED" };
            const state = machine.states.get(name);
            if (state === undefined) throw new Error(`There is no state ${name}.`);
            host.tell({ type: "entered", state: name, kind: state.type });
            const left: Left = await step(state, value, execution);
            if ("error" in left) return { status: "FAILED", ...left };
            Object.assign(variables, left.assigned);
            if (byteLength(variables) > variablesLimitBytes) {
                throw new StateError(
                    "States.DataLimitExceeded",
                    `The variables have more than ${variablesLimitBytes} bytes.`,
                );
            }
            host.tell({ type: "left", state: name, next: left.next });
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

/** What a state leaves behind, or how it ends the execution. */
type Left =
    | {
          readonly assigned: Readonly<Record<string, unknown>>;
          readonly output: unknown;
          readonly next: string | undefined;
      }
    | { readonly error: string; readonly cause: string };

async function step(state: State, input: unknown, execution: Running): Promise<Left> {
    const values = valuesOf(state, input, execution, 0);
    switch (state.type) {
        case "Pass":
            return { ...(await takeEffect(state.effect, input, values)), next: state.next };
        case "Succeed":
            return { ...(await takeEffect(state.effect, input, values)), next: undefined };
        case "Choice": {
            for (const rule of state.rules) {
                const isMet = await rule.condition(values);
                if (typeof isMet !== "boolean") throw typeError(rule.field, "boolean", isMet);
                if (isMet) return { ...(await takeEffect(rule, input, values)), next: rule.next };
            }
            return { ...(await takeEffect(state.otherwise, input, values)), next: state.otherwise.next };
        }
        case "Fail":
            return {
                error: await stringOf(state.error, "Error", values),
                cause: await stringOf(state.cause, "Cause", values),
            };
        case "Task":
        case "Map":
            return attempt(state, input, execution);
    }
}

type AttemptedState = Extract<State, { readonly type: "Task" | "Map" }>;

/** Tries a state until it succeeds, its Retry is used up, or nothing catches its error. */
async function attempt(state: AttemptedState, input: unknown, execution: Running): Promise<Left> {
    const { host } = execution;
    const used = new Map<Retrier, number>();
    for (let retryCount = 0; ; retryCount++) {
        const values = valuesOf(state, input, execution, retryCount);
        try {
            const result = await perform(state, values, execution);
            limit(result, "The result");
            const done = { ...values, states: { ...values.states, result } };
            return { ...(await takeEffect(state.effect, result, done)), next: state.next };
        } catch (error) {
            if (!(error instanceof StateError) || host.signal.aborted) throw error;
            host.tell({ type: "failed", state: state.name, error: error.error, cause: error.reason });
            const retrier = state.retriers.find(({ errors }) => isNamed(error.error, errors));
            const attempts = retrier && (used.get(retrier) ?? 0);
            if (retrier !== undefined && attempts !== undefined && attempts < retrier.maxAttempts) {
                used.set(retrier, attempts + 1);
                const afterSeconds = delaySeconds(retrier, attempts, host.clock);
                host.tell({ type: "retried", state: state.name, error: error.error, afterSeconds });
                await host.clock.wait(afterSeconds * 1000, host.signal);
                continue;
            }
            const catcher = state.catchers.find(({ errors }) => isNamed(error.error, errors));
            if (catcher === undefined) throw error;
            host.tell({ type: "caught", state: state.name, error: error.error, next: catcher.next });
            const errorOutput = {
                Error: error.error,
                ...(error.reason !== undefined && { Cause: error.reason }),
            };
            const caught = { ...values, states: { ...values.states, errorOutput } };
            return { ...(await takeEffect(catcher, errorOutput, caught)), next: catcher.next };
        }
    }
}

function delaySeconds(
    { intervalSeconds, backoffRate, maxDelaySeconds, hasJitter }: Retrier,
    attempts: number,
    clock: Clock,
): number {
    const seconds = Math.min(intervalSeconds * backoffRate ** attempts, maxDelaySeconds);
    return hasJitter ? seconds * clock.random() : seconds;
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
    if (state.type === "Map") return performMap(state.map, values, execution);
    const parameters = await state.arguments(values);
    limit(parameters, "Arguments");
    if (state.timeoutSeconds === undefined) return host.call(state.resource, parameters, host.signal);
    const ended = new AbortController();
    const call = host.call(state.resource, parameters, AbortSignal.any([host.signal, ended.signal]));
    const timeout = host.clock
        .timeout(state.timeoutSeconds * 1000, AbortSignal.any([host.signal, ended.signal]))
        .then(() => {
            if (!host.signal.aborted && !ended.signal.aborted) throw new StateError("States.Timeout", undefined);
            return call;
        });
    try {
        return await Promise.race([call, timeout]);
    } finally {
        ended.abort();
    }
}

async function performMap(map: DistributedMap, values: Values, execution: Running): Promise<unknown> {
    const { host, context } = execution;
    const itemsOf = async (): Promise<unknown> => {
        const items = await map.items?.(values);
        if (!Array.isArray(items)) throw typeError("Items", "array", items);
        return items;
    };
    const child = async (input: unknown, executionArn: string): Promise<Outcome> => {
        const own = { Id: executionArn, Name: executionArn.split(":").at(-1) ?? "" };
        return execute(map.processor, input, { ...context, Execution: own }, host);
    };
    const select = async (item: MapItem): Promise<unknown> => {
        const inner = { ...(values.states.context as object), Map: { Item: item } };
        const selected = map.selector
            ? await map.selector({ ...values, states: { ...values.states, context: inner } })
            : item.Value;
        limit(selected, "The input of an item");
        return selected;
    };
    return runMap({
        map,
        stateMachineArn: context.StateMachine.Id,
        items: map.reader === undefined ? ((await itemsOf()) as unknown[]) : undefined,
        source: (await map.reader?.arguments(values)) as { Bucket: string; Key: string } | undefined,
        target: (await map.writer(values)) as { Bucket: string; Prefix: string },
        select,
        child,
        host,
    });
}

function valuesOf(state: State, input: unknown, { variables, context, host }: Running, retryCount: number): Values {
    const own = { Name: state.name, EnteredTime: host.clock.now().toISOString(), RetryCount: retryCount };
    return { states: { input, context: { ...context, State: own } }, variables };
}

async function takeEffect(
    { assign, output }: Effect,
    otherwise: unknown,
    values: Values,
): Promise<{ assigned: Record<string, unknown>; output: unknown }> {
    const assigned = ((await assign?.(values)) ?? {}) as Record<string, unknown>;
    limit(assigned, "Assign");
    const result = output === undefined ? otherwise : await output(values);
    limit(result, "The output");
    return { assigned, output: result };
}

async function stringOf(template: Template, field: string, values: Values): Promise<string> {
    const value = await template(values);
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
