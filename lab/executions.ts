/** The executions of the lab, by their names: what keeps a request from being started twice. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import type { Event } from "./events";
import type { ExecutionResult } from "./stepFunctions";

/** An execution that was started. */
export interface Execution {
    readonly arn: string;
    readonly machineArn: string;
    readonly input: unknown;
    readonly startDate: Date;
    /** How it ends. */
    readonly result: Promise<ExecutionResult>;
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
        run: () => Promise<ExecutionResult>,
    ): Execution | undefined {
        const arn = executionArn(machineArn, name);
        const other = this.started.get(arn);
        if (other !== undefined) {
            return this.running.has(arn) && isDeepStrictEqual(other.input, input) ? other : undefined;
        }
        this.running.add(arn);
        const result = run().finally(() => this.running.delete(arn));
        // Whoever waits for it learns of an error; nobody may.
        result.catch(() => undefined);
        const execution = { arn, machineArn, input, startDate: new Date(), result };
        this.started.set(arn, execution);
        return execution;
    }
}
