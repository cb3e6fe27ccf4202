import { randomUUID } from "node:crypto";

import { type ExecutionListItem, type ExecutionStatus, paginateListExecutions, SFN } from "@aws-sdk/client-sfn";

import { requestDefaults } from "../../contract/request";
import { readSet } from "../../exporter/images";
import { createLimit } from "../../exporter/network/pool";
import { type Base, findBase } from "../archiveObject";
import { call, regionOf } from "../aws";
import { buildFollower } from "../build";
import { type Context, exitCodes, type Flags, type Values } from "../context";
import { isDenied, usageFailure } from "../failure";
import { describeExecution, type Execution, followExecution, startExecution, stopExecution } from "../follow";
import { ecrImage, readImages, readSince } from "../manifest";
import { askedCell, askedOf, executionValue, printExecution, resultOf } from "../result";
import { findExecution, findStack, type StackOptions } from "../stack";
import { formatDuration, formatTime, type Piece, styled, table, writeJson } from "../terminal";

/** How an execution ends when nothing was exported. */
const failures: readonly ExecutionStatus[] = ["FAILED", "TIMED_OUT", "ABORTED"];

// Each row needs a call of its own for its image. An account may make 15 a second.
const describe = createLimit(4);

export async function start(
    given: readonly string[],
    options: StackOptions &
        Flags<"force" | "json" | "logs" | "referrers" | "wait"> &
        Values<"from" | "key" | "platform" | "since" | "sinceFor">,
    context: Context,
): Promise<number> {
    const { from, key, platform, referrers, force, json, logs = false } = options;
    const image = await readImages(given, from, ecrImage);
    const isSet = typeof image === "object";
    if (isSet && key === undefined) {
        throw usageFailure("A set of images has no key by default.", "Give the key of its archive with --key.");
    }
    const asked = isSet ? { images: image } : { imageUri: image };
    if (isSet) readSet(image, platform ?? requestDefaults.platform);
    const since = readSince(options);
    const { stateMachineArn } = await findStack(options, context);
    const request = { ...asked, artifactKey: key, platform, referrers, since, force };
    const executionArn = await startExecution(context, stateMachineArn, randomUUID(), request, options);
    if (options.wait === false) return exitCodes.success;
    return printExecution(context, await followExecution(context, executionArn, logs), json);
}

export async function status(
    given: string,
    options: Flags<"json" | "logs" | "wait"> & StackOptions,
    context: Context,
): Promise<number> {
    const { wait, logs = false, json } = options;
    const arn = await findExecution(given, options, context);
    if (wait === true) return printExecution(context, await followExecution(context, arn, logs), json);
    const execution = await describeExecution(context, arn);
    if (execution.status !== "RUNNING" || json === true) return printExecution(context, execution, json);
    const { stage } = await buildFollower(context, arn)().catch((error: unknown) => {
        if (isDenied(error)) return { stage: "how far cannot be seen with these credentials" };
        throw error;
    });
    return printExecution(context, execution, json, stage);
}

interface ListOptions extends StackOptions, Flags<"failed" | "json"> {
    /** Milliseconds to look back. */
    readonly since: number;
    readonly limit: number;
}

export async function list(options: ListOptions, context: Context): Promise<void> {
    const sinceMs = context.now() - options.since;
    const { stateMachineArn } = await findStack(options, context);
    const found = await findExecutions(context, stateMachineArn, sinceMs, options);
    const rows = await Promise.all(
        found.map(({ executionArn = "" }) =>
            describe(async () => {
                const execution = await describeExecution(context, executionArn);
                return { execution, needs: await baseOf(context, execution) };
            }),
        ),
    );
    if (options.json === true) {
        const values = rows.map(({ execution, needs }) => ({ ...executionValue(execution), needs }));
        writeJson(context.stdout, values);
    } else if (rows.length === 0) {
        const what = options.failed === true ? "failed exports" : "exports";
        context.stderr.write(`No ${what} since ${formatTime(sinceMs)}.\n`);
    } else {
        const cells = rows.map(({ execution, needs }): Piece[] => [
            ...rowCells(context, execution),
            needs === undefined ? "" : needsCell(needs),
            execution.name ?? "",
        ]);
        const all: Piece[][] = [["STARTED", "TOOK", "STATUS", "IMAGE", "NEEDS", "EXECUTION"], ...cells];
        const hasDeltas = rows.some(({ needs }) => needs !== undefined);
        context.stdout.write(...table(hasDeltas ? all : all.map((row) => row.toSpliced(4, 1))));
    }
}

/** What an export needs, if it is a delta. */
async function baseOf(context: Context, execution: Execution): Promise<Base | undefined> {
    const { artifactBucket: bucket, artifactKey: key, baseSha256 } = resultOf(execution);
    if (bucket === undefined || key === undefined || !baseSha256) return undefined;
    return findBase(context, { bucket, key, region: regionOf(execution.executionArn ?? "") }, baseSha256);
}

function needsCell({ key, expired }: Base): Piece {
    if (key === undefined) return "a base";
    return expired === true ? styled(`${key} (expired)`, "red") : key;
}

/** The newest executions come first, so that the search ends at the first one that is too old. */
async function findExecutions(context: Context, stateMachineArn: string, sinceMs: number, options: ListOptions) {
    return call(context, SFN, stateMachineArn, async (client) => {
        const found: ExecutionListItem[] = [];
        for await (const { executions = [] } of paginateListExecutions({ client }, { stateMachineArn })) {
            context.signal.throwIfAborted();
            for (const execution of executions) {
                if ((execution.startDate?.getTime() ?? 0) < sinceMs) return found;
                const isWanted = options.failed !== true || failures.includes(execution.status ?? "RUNNING");
                if (isWanted) found.push(execution);
                if (found.length === options.limit) return found;
            }
        }
        return found;
    });
}

function rowCells({ now }: Context, execution: Execution): Piece[] {
    const { status = "RUNNING", error, startDate, stopDate } = execution;
    const colour = failures.includes(status) ? "red" : status === "SUCCEEDED" ? "green" : "cyan";
    const startMs = startDate?.getTime() ?? now();
    return [
        formatTime(startMs),
        formatDuration((stopDate?.getTime() ?? now()) - startMs),
        styled(error ?? status.toLowerCase().replace("_", " "), colour),
        askedCell(askedOf(execution)),
    ];
}

export async function logs(given: string, options: StackOptions, context: Context): Promise<void> {
    const { arn, lines } = await buildFollower(context, await findExecution(given, options, context))();
    for (const line of lines) context.stdout.write(`${line}\n`);
    if (lines.length === 0) {
        context.stderr.write(
            arn === undefined
                ? "The export has no build: it was skipped or refused, or has only just begun.\n"
                : `The build ${arn} has written nothing so far.\n`,
        );
    }
}

export async function stop(given: string, options: StackOptions, context: Context): Promise<void> {
    const arn = await findExecution(given, options, context);
    await stopExecution(context, arn);
    context.stdout.write(`Stopped ${arn}\n`);
}
