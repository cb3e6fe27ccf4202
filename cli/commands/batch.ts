import { randomUUID } from "node:crypto";

import { S3 } from "@aws-sdk/client-s3";
import { type MapRunItemCounts, SFN } from "@aws-sdk/client-sfn";

import { messageOf } from "../../contract/errors";
import { manifestPrefix } from "../../contract/keys";
import { call } from "../aws";
import { type Context, exitCodes, type Flags } from "../context";
import { printNote } from "../failure";
import { type Execution, poll, startExecution } from "../follow";
import { readManifestFile } from "../manifest";
import { askedBy, askedCell, executionValue, exitCodeOf, timeRows } from "../result";
import { findOutputs, type StackOptions } from "../stack";
import { block, styled, table, writeJson } from "../terminal";

export async function batch(
    file: string,
    options: Flags<"allowFailures" | "json" | "wait"> & StackOptions,
    context: Context,
): Promise<number> {
    const requests = await readManifestFile(file);
    const { batchStateMachineArn, artifactBucketName: bucket } = await findOutputs(options, context);
    const name = randomUUID();
    const key = `${manifestPrefix}${name}.json`;
    const object = { Bucket: bucket, Key: key, Body: JSON.stringify(requests) };
    await call(context, S3, batchStateMachineArn, (s3) => s3.putObject(object));
    const input = { manifest: { bucket, key }, allowFailures: options.allowFailures };
    const executionArn = await startExecution(context, batchStateMachineArn, name, input, options);
    if (options.wait === false) return exitCodes.success;
    const execution = await followBatch(context, executionArn, requests.length);
    const failed = await failedImages(context, execution).catch((error: unknown) => {
        context.signal.throwIfAborted();
        printNote(context.stderr, `Which images failed cannot be read: ${messageOf(error)}`);
        return [];
    });
    if (options.json === true) writeJson(context.stdout, { ...executionValue(execution), failed });
    else print(context, execution, failed);
    return exitCodeOf(execution);
}

/** Follows a batch by the counts of its Map Run: one call for the state of all images, once the Map Run is known. */
async function followBatch(context: Context, executionArn: string, total: number): Promise<Execution> {
    const first = `${total} images`;
    let mapRunArn: string | undefined;
    return poll(context, executionArn, () =>
        call(context, SFN, executionArn, async (sfn) => {
            mapRunArn ??= (await sfn.listMapRuns({ executionArn })).mapRuns?.[0]?.mapRunArn;
            if (mapRunArn === undefined) return first;
            const { itemCounts } = await sfn.describeMapRun({ mapRunArn });
            return itemCounts ? countsText(itemCounts) : first;
        }),
    );
}

function countsText({ total, succeeded, failed, timedOut, aborted, running }: MapRunItemCounts): string {
    const lost = (failed ?? 0) + (timedOut ?? 0) + (aborted ?? 0);
    return `${succeeded} of ${total} exported, ${running} running${lost === 0 ? "" : `, ${lost} failed`}`;
}

function outputOf({ output = "{}" }: Execution) {
    return JSON.parse(output) as { text?: string; results?: { bucket: string; key: string } };
}

/** Reads the failed images from the result files: docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html */
async function failedImages(context: Context, execution: Execution) {
    const results = resultsOf(execution);
    if (results === undefined) return [];
    const read = async (Key: string): Promise<string> =>
        call(context, S3, execution.executionArn ?? "", async (s3) => {
            const { Body } = await s3.getObject({ Bucket: results.bucket, Key });
            return (await Body?.transformToString()) ?? "";
        });
    const { ResultFiles } = JSON.parse(await read(results.key)) as { ResultFiles: { FAILED?: { Key: string }[] } };
    const files = await Promise.all((ResultFiles.FAILED ?? []).map(({ Key }) => read(Key)));
    const lines = files.flatMap((file) => file.split("\n"));
    return lines.filter((line) => line !== "").map(failedImage);
}

/** A batch that succeeded names its results in its output, one that failed in its cause. */
function resultsOf(execution: Execution): { bucket: string; key: string } | undefined {
    const [, bucket, key] = /s3:\/\/([^/\s]+)\/(\S+\/manifest\.json)/.exec(execution.cause ?? "") ?? [];
    return outputOf(execution).results ?? (bucket && key ? { bucket, key } : undefined);
}

function failedImage(line: string) {
    const row = JSON.parse(line) as { Error?: string; Cause?: string; Input?: string };
    // As the Map hands it to each image: stateMachines/batch.ts
    const { request } = JSON.parse(row.Input ?? "{}") as { request?: unknown };
    return { ...askedBy(request), error: row.Error ?? "ExportFailed", cause: row.Cause ?? "" };
}

function print(context: Context, execution: Execution, failed: Awaited<ReturnType<typeof failedImages>>): void {
    const { stdout } = context;
    const { status, error, cause, executionArn } = execution;
    const { text: summary } = outputOf(execution);
    const colour = failed.length === 0 && status === "SUCCEEDED" ? "green" : "red";
    stdout.write(
        ...block([
            ["batch", styled(summary ?? cause ?? status?.toLowerCase() ?? "", "bold", colour)],
            ["error", error],
            ...timeRows(context, execution),
            ["execution", executionArn],
        ]),
    );
    if (failed.length === 0) return;
    const rows = failed.map((each) => [askedCell(each), styled(each.error, "red"), each.cause]);
    stdout.write("\n", ...table([["FAILED IMAGE", "ERROR", "CAUSE"], ...rows]));
}
