/** Executions by ARN or by name. */
import type { Context, Values } from "./command";
import { UsageFailure } from "./failure";
import { findStateMachine, type stackOptions } from "./stack";

/** The ARN of an execution that was given by ARN, or by its name in the stack's state machine. */
export async function executionArn(
    given: string,
    values: Partial<Values<typeof stackOptions>>,
    context: Context,
): Promise<string> {
    if (/^arn:[\w-]+:states:[\w-]+:\d{12}:(execution|express):.+$/.test(given)) return given;
    if (!/^[\w.-]{1,80}$/.test(given)) {
        throw new UsageFailure(
            `EXECUTION is "${given}": expected an ARN, arn:PARTITION:states:REGION:ACCOUNT:execution:MACHINE:NAME, or its NAME.`,
            "List the executions of the stack: image-export list",
        );
    }
    const machine = await findStateMachine(values, context);
    return `${machine.replace(":stateMachine:", ":execution:")}:${given}`;
}
