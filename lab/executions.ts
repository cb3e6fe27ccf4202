/** The executions of the lab, as Step Functions tells of them: docs.aws.amazon.com/step-functions/latest/apireference */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import { AwsError } from "./account";
import type { Event } from "./events";
import type { MapRun, Outcome } from "./stateLanguage/host";

/** How an execution ended; what the machines of the stack give are objects. */
export type ExecutionResult =
    | Exclude<Outcome, { readonly status: "SUCCEEDED" }>
    | { readonly status: "SUCCEEDED"; readonly output: Record<string, unknown> };

/** An execution that was started. */
export class Execution {
    /** Its history, as `GetExecutionHistory` has it. */
    public readonly events: object[] = [];
    /** How far its Map Runs are, by their ARNs. */
    public readonly mapRuns = new Map<string, MapRun>();
    /** How it has ended; undefined while it runs. */
    public ended: ExecutionResult | undefined;
    /** How it ends, once what its end starts was started. */
    public readonly result: Promise<ExecutionResult>;
    private readonly controller = new AbortController();
    /** Aborted when somebody stops the execution. */
    public readonly signal = this.controller.signal;
    private readonly startDate = seconds();
    private stopDate: number | undefined;
    private reason: object = {};

    public constructor(
        public readonly arn: string,
        public readonly machineArn: string,
        public readonly name: string,
        public readonly input: unknown,
        run: Executions["run"],
    ) {
        this.record("ExecutionStarted", {});
        this.result = run(this);
        // Whoever waits for it learns of an error; nobody may.
        this.result.catch(() => undefined);
    }

    /** Writes an event of the history. */
    public record(type: string, details: object): void {
        const id = this.events.length + 1;
        this.events.push({ id, previousEventId: id - 1, timestamp: seconds(), type, ...details });
    }

    /** Stops it; whoever does may give an error and a cause. */
    public stop(reason: object = {}): void {
        this.reason = reason;
        this.controller.abort();
    }

    public end(result: ExecutionResult): void {
        this.stopDate = seconds();
        this.ended = result;
    }

    /** What `ListExecutions` says of it. */
    public summary() {
        const { arn: executionArn, machineArn: stateMachineArn, name, startDate, stopDate } = this;
        const status = this.ended?.status ?? "RUNNING";
        return { executionArn, stateMachineArn, name, status, startDate, stopDate };
    }

    /** What `DescribeExecution` says of it. */
    public description(): object {
        const { status, ...rest } = this.ended ?? { status: "RUNNING" };
        const outcome = "output" in rest ? { output: JSON.stringify(rest.output) } : rest;
        const reason = status === "ABORTED" ? this.reason : outcome;
        return { ...this.summary(), input: JSON.stringify(this.input), ...reason };
    }

    /**
     * The event by which Step Functions reports the end. It has neither error nor cause, as documented.
     *
     * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html}
     */
    public endEvent(): Event {
        const [, , , region = "", account = ""] = this.arn.split(":");
        const input = JSON.stringify(this.input);
        const output = this.ended?.status === "SUCCEEDED" ? JSON.stringify(this.ended.output) : null;
        return {
            id: randomUUID(),
            source: "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            account,
            region,
            time: new Date().toISOString(),
            resources: [this.arn],
            detail: { ...this.summary(), input, output },
        };
    }
}

/** The time as AWS's JSON has it. */
export function seconds(): number {
    return Date.now() / 1000;
}

/** All executions that were started. */
export class Executions {
    public readonly byArn = new Map<string, Execution>();

    /** @param run Runs an execution to its end, and what that starts. */
    public constructor(private readonly run: (execution: Execution) => Promise<ExecutionResult>) {}

    /** @throws AwsError where there is none. */
    public get(arn: string): Execution {
        const execution = this.byArn.get(arn);
        if (execution !== undefined) return execution;
        throw new AwsError("ExecutionDoesNotExist", `Execution Does Not Exist: '${arn}'`);
    }

    /**
     * Starts an execution, once: the same name with the same input is the execution that runs already.
     *
     * @throws AwsError where the name is that of an execution that has ended, or has another input.
     * @see {@link https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html}
     */
    public start(machineArn: string, input: unknown, name: string = randomUUID()): Execution {
        const arn = `${machineArn.replace(":stateMachine:", ":execution:")}:${name}`;
        const other = this.byArn.get(arn);
        if (other !== undefined) {
            if (other.ended === undefined && isDeepStrictEqual(other.input, input)) return other;
            throw new AwsError("ExecutionAlreadyExists", `Execution Already Exists: '${name}'`);
        }
        const execution = new Execution(arn, machineArn, name, input, this.run);
        this.byArn.set(arn, execution);
        return execution;
    }
}
