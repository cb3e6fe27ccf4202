import { randomUUID } from "node:crypto";

import { StartExecutionCommand } from "@aws-sdk/client-sfn";

import { call } from "../call";
import { type Context, exitCodes, type Flags } from "../context";
import { followExecution } from "../follow";
import { printExecution } from "../result";
import { findStack, type StackOptions } from "../stack";
import { styled, writeJson } from "../terminal";

interface StartOptions extends StackOptions, Flags<"force" | "json" | "logs" | "wait"> {
    readonly image?: string | undefined;
    readonly key?: string | undefined;
    readonly platform?: string | undefined;
}

/** `image-export start` */
export async function start(options: StartOptions, context: Context): Promise<number> {
    const { image, key, platform, force, json, logs = false } = options;
    const { stateMachineArn } = await findStack(options, context);
    const request = { imageUri: image, artifactKey: key, platform, force };
    const executionArn = await startExecution(context, stateMachineArn, randomUUID(), request);
    if (isStartedOnly(context, executionArn, options)) return exitCodes.success;
    return printExecution(context, await followExecution(context, executionArn, logs), json);
}

/**
 * Starts an execution.
 *
 * @param name Its own makes it safe to send the call again: the same execution is not started twice.
 * @returns its ARN
 */
export async function startExecution(
    context: Context,
    stateMachineArn: string,
    name: string,
    input: object,
): Promise<string> {
    const { executionArn = "" } = await call(context, "sfn", stateMachineArn, (sfn) =>
        sfn.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) })),
    );
    return executionArn;
}

/** Prints the ARN of what was started: as the outcome where that is all that was asked for, otherwise on stderr. */
export function isStartedOnly(
    { stdout, stderr }: Context,
    executionArn: string,
    { wait, json }: Flags<"json" | "wait">,
): boolean {
    if (wait !== false) stderr.write(styled("execution", "dim"), ` ${executionArn}\n`);
    else if (json === true) writeJson(stdout, { executionArn });
    else stdout.write(`${executionArn}\n`);
    return wait === false;
}
