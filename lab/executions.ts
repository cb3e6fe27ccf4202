/** The executions of the lab, by their names: what keeps a request from being started twice. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import type { Event } from "./events";
import type { MapRun } from "./stateLanguage/host";

/** How an execution ended. */
export type ExecutionResult =
    | { readonly status: "SUCCEEDED"; readonly output: Record<string, unknown> }
    | { readonly status: "FAILED"; readonly error: string; readonly cause: string }
    | { readonly status: "ABORTED" };

/** An execution that was started, and what is to be told of it. */
export class Execution {
    public readonly startDate = new Date();
    /** Its history, as `GetExecutionHistory` has it. */
    public readonly events: object[] = [];
    /** How far its Map Runs are, by their ARNs. */
    public readonly mapRuns = new Map<string, MapRun>();
    /** What whoever stopped it gave as error and cause. */
    public stopped: { readonly error: unknown; readonly cause: unknown } | undefined;
    /** How it has ended; undefined while it runs. */
    public ended: (ExecutionResult & { readonly date: Date }) | undefined;
    /** How it ends. */
    public readonly result: Promise<ExecutionResult>;
    private readonly controller = new AbortController();

    public constructor(
        public readonly arn: string,
        public readonly machineArn: string,
        public readonly input: unknown,
        run: (execution: Execution) => Promise<ExecutionResult>,
    ) {
        this.tell("ExecutionStarted", {});
        this.result = run(this).then((result) => {
            this.ended = { ...result, date: new Date() };
            return result;
        });
    }

    /** Aborted when somebody stops the execution. */
    public get signal(): AbortSignal {
        return this.controller.signal;
    }

    /** Writes an event of the history. */
    public tell(type: string, details: object): void {
        const id = this.events.length + 1;
        this.events.push({ id, previousEventId: id - 1, timestamp: Date.now() / 1000, type, ...details });
    }

    /** Stops it, and its build. */
    public stop(error: unknown, cause: unknown): void {
        this.stopped = { error, cause };
        this.controller.abort();
    }
}

/** ARN of the execution of a state machine that has this name. */
export function executionArn(machineArn: string, name: string): string {
    return `${machineArn.replace(":stateMachine:", ":execution:")}:${name}`;
}

/**
 * The event that Step Functions tells of the end of an execution with. It has neither error nor cause, as documented.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html}
 */
export function endOf(machineArn: string, name: string, input: unknown, result: ExecutionResult): Event {
    const arn = executionArn(machineArn, name);
    const [, , , region = "", account = ""] = arn.split(":");
    return {
        id: randomUUID(),
        source: "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        account,
        region,
        time: new Date().toISOString(),
        resources: [arn],
        detail: {
            executionArn: arn,
            stateMachineArn: machineArn,
            name,
            status: result.status,
            input: JSON.stringify(input),
            output: result.status === "SUCCEEDED" ? JSON.stringify(result.output) : null,
        },
    };
}

/** All executions that were started. */
export class Executions {
    private readonly started = new Map<string, Execution>();
    private readonly running = new Set<string>();

    /** Each by its ARN. */
    public get byArn(): ReadonlyMap<string, Execution> {
        return this.started;
    }

    /**
     * Starts an execution, once: the same name with the same input is the execution that runs already.
     *
     * @returns undefined where the name is that of an execution that has ended, or has another input
     * @see {@link https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html}
     */
    public start(
        machineArn: string,
        name: string,
        input: unknown,
        run: (execution: Execution) => Promise<ExecutionResult>,
    ): Execution | undefined {
        const arn = executionArn(machineArn, name);
        const other = this.started.get(arn);
        if (other !== undefined) {
            return this.running.has(arn) && isDeepStrictEqual(other.input, input) ? other : undefined;
        }
        this.running.add(arn);
        const execution = new Execution(arn, machineArn, input, (itself) =>
            run(itself).finally(() => this.running.delete(arn)),
        );
        // Whoever waits for it learns of an error; nobody may.
        execution.result.catch(() => undefined);
        this.started.set(arn, execution);
        return execution;
    }
}
