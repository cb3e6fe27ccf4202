/** Which stack a command is about: its outputs, from a flag, the environment, or Pulumi. */
import type { Context, Option, Options, Values } from "./command";
import { Failure, UsageFailure } from "./failure";

/** The outputs of a stack that the command line uses. Without Pulumi only the state machine's ARN is known. */
export interface StackOutputs {
    readonly stateMachineArn?: string;
    readonly batchStateMachineArn?: string;
    readonly artifactBucketName?: string;
    readonly artifactPrefix?: string;
    readonly buildProjectName?: string;
    readonly logGroupNames?: { readonly builds?: string; readonly executions?: string };
}

/** Options of every command that is about a stack. */
export const stackOptions = {
    stack: { type: "string", value: "NAME", description: "Pulumi stack whose outputs say where to look" },
    "state-machine": {
        type: "string",
        value: "ARN",
        description: "state machine of the exports; Pulumi is not needed then",
    },
} as const satisfies Options & Record<string, Option>;

/** Variables that say the same; an option goes before them. */
export const stackVariables = {
    stateMachine: "IMAGE_EXPORT_STATE_MACHINE_ARN",
    stack: "IMAGE_EXPORT_STACK",
} as const;

type StackValues = Partial<Values<typeof stackOptions>>;

/**
 * Finds the outputs of the stack that was asked for: `--state-machine`, `--stack`, the variables, and else the stack that
 * is selected in Pulumi.
 */
export async function findStack(values: StackValues, context: Context): Promise<StackOutputs> {
    const { stack, "state-machine": stateMachineArn } = values;
    if (stack !== undefined && stateMachineArn !== undefined) {
        throw new UsageFailure("Both --stack and --state-machine are given.", "Give one of them.");
    }
    if (stateMachineArn !== undefined) return machineOnly(stateMachineArn, "--state-machine");
    if (stack !== undefined) return readOutputs(stack, context);
    const arnOfEnvironment = context.env[stackVariables.stateMachine] ?? "";
    if (arnOfEnvironment !== "") return machineOnly(arnOfEnvironment, stackVariables.stateMachine);
    const stackOfEnvironment = context.env[stackVariables.stack] ?? "";
    return readOutputs(stackOfEnvironment === "" ? undefined : stackOfEnvironment, context);
}

/** ARN of the state machine of the exports. */
export async function findStateMachine(values: StackValues, context: Context): Promise<string> {
    const { stateMachineArn } = await findStack(values, context);
    if (stateMachineArn === undefined) throw missingOutput("stateMachineArn");
    return stateMachineArn;
}

/** An output that a stack of this program has, and that this one has not. */
export function missingOutput(name: keyof StackOutputs): Failure {
    return new Failure(`The stack has no output ${name}.`, {
        next: "Deploy the stack with this version of the program: pulumi up",
    });
}

function machineOnly(stateMachineArn: string, source: string): StackOutputs {
    if (!/^arn:[\w-]+:states:[\w-]+:\d{12}:stateMachine:[^:]+$/.test(stateMachineArn)) {
        throw new UsageFailure(
            `${source} is "${stateMachineArn}": expected arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME.`,
            "The stack's output stateMachineArn has it: pulumi stack output stateMachineArn",
        );
    }
    return { stateMachineArn };
}

async function readOutputs(stack: string | undefined, context: Context): Promise<StackOutputs> {
    const args = ["stack", "output", "--json", ...(stack === undefined ? [] : ["--stack", stack])];
    const otherwise = `or give --state-machine ARN, or set ${stackVariables.stateMachine}.`;
    const result = await context
        .runProcess("pulumi", args, { cwd: context.root, signal: context.signal })
        .catch((error: unknown) => {
            if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
            throw new Failure("Pulumi is not installed, which knows the outputs of the stack.", {
                next: `Install it (https://www.pulumi.com/docs/install/), ${otherwise}`,
                cause: error,
            });
        });
    if (result.exitCode !== 0) {
        const said = result.stderr.trim().replace(/^error: /, "");
        throw new Failure(`\`pulumi ${args.join(" ")}\` failed: ${said}`, {
            next: `Give the stack with --stack NAME (pulumi stack ls shows them), ${otherwise}`,
        });
    }
    const outputs = parseOutputs(result.stdout, args);
    if (Object.keys(outputs).length === 0) {
        throw new Failure(`The stack${stack === undefined ? "" : ` ${stack}`} has no outputs.`, {
            next: "Deploy it: pulumi up",
        });
    }
    return outputs;
}

function parseOutputs(text: string, args: readonly string[]): StackOutputs {
    try {
        return JSON.parse(text) as StackOutputs;
    } catch (error) {
        throw new Failure(`\`pulumi ${args.join(" ")}\` printed no JSON: ${text.slice(0, 200)}`, {
            cause: error,
        });
    }
}
