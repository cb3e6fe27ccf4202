/** Which stack a command is about, and which of its executions: from options, the environment, or Pulumi. */
import { messageOf } from "../contract/errors";
import { readStackOutputs, type StackOutputs } from "../contract/outputs";
import type { Context, Values } from "./context";
import { explainProgram, Failure, usageFailure } from "./failure";

/** Options of every command that is about a stack. */
export type StackOptions = Values<"stack" | "stateMachine">;

/** Variable that says the same as `--state-machine`; an option goes before it. */
export const stateMachineVariable = "IMAGE_EXPORT_STATE_MACHINE_ARN";

/**
 * Finds the outputs of the stack that was asked for: `--state-machine`, `--stack`, the variable, and else the stack that
 * is selected in Pulumi. Without Pulumi only the state machine's ARN is known.
 */
export async function findStack(
    { stack, stateMachine }: StackOptions,
    context: Context,
): Promise<Partial<StackOutputs> & Pick<StackOutputs, "stateMachineArn">> {
    const arn = stateMachine ?? (stack === undefined ? (context.env[stateMachineVariable] ?? "") : "");
    if (arn === "" && stateMachine === undefined) return readOutputs(stack, context);
    if (!/^arn:[\w-]+:states:[\w-]+:\d{12}:stateMachine:[^:]+$/.test(arn)) {
        throw usageFailure(
            `${stateMachine === undefined ? stateMachineVariable : "--state-machine"} is "${arn}": expected arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME.`,
            "The stack's output stateMachineArn has it: pulumi stack output stateMachineArn",
        );
    }
    return { stateMachineArn: arn };
}

/** All outputs of the stack that was asked for. @throws Failure where only the state machine is known */
export async function findOutputs(options: StackOptions, context: Context): Promise<StackOutputs> {
    const outputs = await findStack(options, context);
    if (outputs.artifactBucketName !== undefined) return outputs as StackOutputs;
    throw usageFailure(
        "Only the state machine is known, not the other outputs of the stack.",
        "Give the stack with --stack NAME; or, for an archive, s3://BUCKET/KEY.",
    );
}

async function readOutputs(stack: string | undefined, context: Context): Promise<StackOutputs> {
    const args = ["stack", "output", "--json", ...(stack === undefined ? [] : ["--stack", stack])];
    const otherwise = `or give --state-machine ARN, or set ${stateMachineVariable}.`;
    const missing = `It knows the outputs of the stack. Install it (https://www.pulumi.com/docs/install/), ${otherwise}`;
    const failed = `Give the stack with --stack NAME (pulumi stack ls shows them), ${otherwise}`;
    const { stdout } = await context
        .runProgram("pulumi", args)
        .catch(explainProgram(`pulumi ${args.join(" ")}`, missing, failed));
    try {
        return readStackOutputs(JSON.parse(stdout));
    } catch (error) {
        throw new Failure(messageOf(error), { next: "Deploy the stack: pulumi up", cause: error });
    }
}

/** The ARN of an execution that was given by ARN, or by its name in the stack's state machine. */
export async function findExecution(given: string, options: StackOptions, context: Context): Promise<string> {
    if (/^arn:[\w-]+:states:[\w-]+:\d{12}:(execution|express):.+$/.test(given)) return given;
    if (!/^[\w.-]{1,80}$/.test(given)) {
        throw usageFailure(
            `EXECUTION is "${given}": expected an ARN, arn:PARTITION:states:REGION:ACCOUNT:execution:MACHINE:NAME, or its NAME.`,
            "List the executions of the stack: image-export list",
        );
    }
    const { stateMachineArn } = await findStack(options, context);
    return `${stateMachineArn.replace(":stateMachine:", ":execution:")}:${given}`;
}
