import { randomUUID } from "node:crypto";

import { StartExecutionCommand } from "@aws-sdk/client-sfn";

import type { ExportRequest } from "../../contract/request";
import { call } from "../call";
import { type Context, exitCodes } from "../context";
import { followExecution, stopExecution, Watch } from "../follow";
import { printExecution } from "../result";
import { findExecution, findStack, type StackOptions } from "../stack";
import { stageText } from "../stage";
import { styled, writeJson } from "../terminal";

/** How an export is followed, and what is printed of it. */
interface FollowOptions extends StackOptions {
    readonly wait?: boolean | undefined;
    readonly logs?: boolean | undefined;
    readonly json?: boolean | undefined;
}

interface StartOptions extends FollowOptions, Pick<ExportRequest, "force" | "platform"> {
    readonly image?: string | undefined;
    readonly key?: string | undefined;
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
    { wait, json }: Pick<FollowOptions, "json" | "wait">,
): boolean {
    if (wait !== false) stderr.write(styled("execution", "dim"), ` ${executionArn}\n`);
    else if (json === true) writeJson(stdout, { executionArn });
    else stdout.write(`${executionArn}\n`);
    return wait === false;
}

/** `image-export status EXECUTION` */
export async function status(given: string, options: FollowOptions, context: Context): Promise<number> {
    const { wait, logs = false, json } = options;
    const arn = await findExecution(given, options, context);
    if (wait === true) return printExecution(context, await followExecution(context, arn, logs), json);
    const { execution, stage } = await new Watch(context, arn).look();
    return printExecution(context, execution, json, stageText(stage));
}

/** `image-export stop EXECUTION` */
export async function stop(given: string, options: StackOptions, context: Context): Promise<number> {
    const arn = await findExecution(given, options, context);
    await stopExecution(context, arn);
    context.stdout.write(`Stopped ${arn}\n`);
    return exitCodes.success;
}
