/** What an execution runs with, tells and fails with: the borders of the interpreter. */

/** Time, as an execution sees it. */
export interface Clock {
    /** Waits before another attempt, or in a Wait. */
    readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
    /** Waits for the timeout of a task, which mostly ends before. */
    readonly timeout: (milliseconds: number, signal: AbortSignal) => Promise<void>;
    /** A number from 0 to below 1, for the jitter of waits. */
    readonly random: () => number;
}

/** What happened in an execution, one step of its history. */
export type HistoryEvent = { readonly state: string } & (
    | { readonly type: "entered" }
    | { readonly type: "failed"; readonly error: string; readonly cause: string | undefined }
    | { readonly type: "retried"; readonly error: string; readonly afterSeconds: number }
    | { readonly type: "caught"; readonly error: string; readonly next: string }
);

/** An event as a line that a person follows. */
export function storyLine(event: HistoryEvent): string {
    switch (event.type) {
        case "entered":
            return `state: ${event.state}`;
        case "failed":
            return `error: ${event.error}${event.cause === undefined ? "" : `, ${short(event.cause)}`}`;
        case "retried":
            return `retry: after ${event.afterSeconds.toFixed(1)} s`;
        case "caught":
            return `caught: the error leads to "${event.next}"`;
    }
}

function short(cause: string): string {
    const line = cause.replace(/\s+/g, " ");
    return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/** Whom an execution belongs to, and what it calls. */
export interface Host {
    readonly clock: Clock;
    /** Aborts the execution. */
    readonly signal: AbortSignal;
    /** Serves a Task, an ItemReader or a ResultWriter; throws a StateError for a Task. */
    readonly call: (resource: string, parameters: unknown, signal: AbortSignal) => Promise<unknown>;
    /** Takes what happens, in the executions of a Map's items as well. */
    readonly tell: (event: HistoryEvent) => void;
    /** Called before the execution of an item is started; may refuse with a StateError. */
    readonly startChild: (executionArn: string) => Promise<void>;
    /** Called when a Map Run begins, when one of its executions begins or ends, and at its end. */
    readonly countMap: (run: MapRun) => void;
}

/** How an execution ended. */
export type Outcome =
    | { readonly status: "SUCCEEDED"; readonly output: unknown }
    | { readonly status: "FAILED"; readonly error: string; readonly cause: string }
    | { readonly status: "ABORTED" };

/** `$states.context` of an execution, as far as a definition here reads it. */
export interface ExecutionContext {
    readonly Execution: { readonly Id: string; readonly Name: string; readonly StartTime?: string };
    readonly StateMachine: { readonly Id: string; readonly Name: string };
}

/** How far a Map Run is, as `DescribeMapRun` says it. */
export interface MapRun {
    readonly mapRunArn: string;
    readonly status: "RUNNING" | "SUCCEEDED";
    readonly itemCounts: Readonly<Record<string, number>>;
}

/** An error that a state fails with, and that its Retry and Catch may name. */
export class StateError extends Error {
    /**
     * @param error Its name, for instance `States.TaskFailed`.
     * @param reason Its cause; undefined where there is none, as after an abort.
     */
    public constructor(
        public readonly error: string,
        public readonly reason: string | undefined,
    ) {
        super(`${error}: ${reason ?? ""}`);
    }
}

/** A definition that this interpreter refuses: what CreateStateMachine would refuse, and what it does not know itself. */
export class DefinitionError extends Error {}
