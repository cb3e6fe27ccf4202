import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import {
    DescribeMapRunCommand,
    ListMapRunsCommand,
    type MapRunItemCounts,
    StartExecutionCommand,
} from "@aws-sdk/client-sfn";

import { manifestPrefix } from "../../stateMachines/batch";
import { call } from "../call";
import { type Context, defineCommand, exitCodes } from "../command";
import { isDenied, UsageFailure } from "../failure";
import { describeExecution, type Execution, pause } from "../follow";
import { watchInterruptibly } from "../interruption";
import { readManifest } from "../manifest";
import { executionJson, exitCodeOf } from "../result";
import { findStack, missingOutput, stackOptions } from "../stack";
import { block, formatDuration, formatTime, statusLine, styles, table } from "../terminal";

const pollMs = 3000;
const shownFailures = 50;

/** `image-export batch FILE` */
export const command = defineCommand({
    positionals: ["FILE"],
    options: {
        "allow-failures": { type: "boolean", description: "end well whatever becomes of the images" },
        wait: { type: "boolean", description: "follow the batch to its end (the default)" },
        "no-wait": { type: "boolean", description: "only start it, and print its ARN" },
        json: { type: "boolean", description: "print the outcome and the failed images as JSON" },
        stack: stackOptions.stack,
    } as const,
    description:
        "Exports many images. FILE is a JSON list (.json), JSON Lines (.jsonl) or CSV with a header (.csv) of requests, or any other\n" +
        `file with one image URI a line; - reads such lines from stdin. It is uploaded under ${manifestPrefix} in the stack's bucket.\n` +
        "What failed is listed with its reason. The same batch again exports what is left, and skips the rest.\n" +
        "Exit codes: 0 all exported or there already, 1 some failed, 2 wrong usage, 3 timed out, 130 interrupted.",
    examples: [
        {
            command: "image-export batch images.txt --stack dev",
            does: "exports each image that the file names",
        },
        {
            command: "grep backend/ images.txt | image-export batch -",
            does: "exports those that are piped in",
        },
        {
            command: "image-export batch release.csv --json > outcome.json",
            does: "keeps what became of them",
        },
    ],
    async run({ values, positionals: [file = ""] }, context) {
        const { json = false } = values;
        if (values.wait === true && values["no-wait"] === true) {
            throw new UsageFailure("Both --wait and --no-wait are given.", "Give one of them.");
        }
        const manifest = readManifest(file, await textOf(file));
        const { batchStateMachineArn, artifactBucketName } = await findStack(values, context);
        if (batchStateMachineArn === undefined) throw missingOutput("batchStateMachineArn");
        if (artifactBucketName === undefined) throw missingOutput("artifactBucketName");

        const name = randomUUID();
        const key = `${manifestPrefix}${name}${manifest.ending}`;
        await call(context, "s3", batchStateMachineArn, (s3) =>
            s3.send(new PutObjectCommand({ Bucket: artifactBucketName, Key: key, Body: manifest.text })),
        );
        const batch = {
            manifest: { bucket: artifactBucketName, key },
            ...(values["allow-failures"] === true && { allowFailures: true }),
        };
        const { executionArn = "" } = await call(context, "sfn", batchStateMachineArn, (sfn) =>
            sfn.send(
                new StartExecutionCommand({
                    stateMachineArn: batchStateMachineArn,
                    name,
                    input: JSON.stringify(batch),
                }),
            ),
        );
        const { stdout, stderr } = context;
        if (values["no-wait"] === true) {
            stdout.write(json ? `${JSON.stringify({ executionArn }, undefined, 2)}\n` : `${executionArn}\n`);
            return exitCodes.success;
        }
        stderr.write(`${styles(stderr, context.env).dim("execution")} ${executionArn}\n`);
        const execution = await watchInterruptibly(context, executionArn, () =>
            followBatch(context, executionArn, manifest.count),
        );
        const failed = await failedImages(context, execution);
        if (json) {
            const outcome = JSON.parse(executionJson(execution)) as object;
            stdout.write(`${JSON.stringify({ ...outcome, failed }, undefined, 2)}\n`);
        } else {
            stdout.write(batchText(context, execution, failed));
        }
        return exitCodeOf(execution);
    },
});

async function textOf(file: string): Promise<string> {
    if (file === "-") {
        const { text } = await import("node:stream/consumers");
        return text(process.stdin);
    }
    try {
        return await readFile(file, "utf8");
    } catch (error) {
        throw new UsageFailure(`${file} cannot be read: ${error instanceof Error ? error.message : ""}`);
    }
}

/** Follows a batch by the counts of its Map Run: one call for the state of all images. */
async function followBatch(context: Context, executionArn: string, total: number): Promise<Execution> {
    const { stderr, env, now } = context;
    const { cyan, dim, yellow } = styles(stderr, env);
    const status = statusLine(stderr);
    let mapRunArn: string | undefined;
    let isHidden = false;
    try {
        for (;;) {
            const execution = await describeExecution(context, executionArn);
            if (execution.status !== "RUNNING") return execution;
            let counts: MapRunItemCounts | undefined;
            try {
                if (!isHidden) mapRunArn ??= await findMapRun(context, executionArn);
                if (!isHidden && mapRunArn !== undefined) counts = await countItems(context, mapRunArn);
            } catch (error) {
                if (!isDenied(error)) throw error;
                isHidden = true;
                status.print(
                    yellow(
                        "How far the batch is cannot be seen with these credentials: see the output startBatchPolicy.",
                    ),
                );
            }
            const startMs = execution.startDate?.getTime() ?? now();
            await pause(context, pollMs * (0.75 + context.random() / 2), () => {
                const elapsed = dim(`${formatDuration(now() - startMs)} since the start`);
                const text = counts === undefined ? `${total} images` : countsText(counts);
                status.show(`${cyan(text)} ${elapsed}`, text);
            });
        }
    } finally {
        status.clear();
    }
}

async function findMapRun(context: Context, executionArn: string): Promise<string | undefined> {
    const { mapRuns } = await call(context, "sfn", executionArn, (sfn) =>
        sfn.send(new ListMapRunsCommand({ executionArn })),
    );
    return mapRuns?.[0]?.mapRunArn;
}

async function countItems(context: Context, mapRunArn: string): Promise<MapRunItemCounts | undefined> {
    const { itemCounts } = await call(context, "sfn", mapRunArn, (sfn) =>
        sfn.send(new DescribeMapRunCommand({ mapRunArn })),
    );
    return itemCounts;
}

function countsText({ total, succeeded, failed, timedOut, aborted, running }: MapRunItemCounts): string {
    const lost = (failed ?? 0) + (timedOut ?? 0) + (aborted ?? 0);
    return `${succeeded} of ${total} exported, ${running} running${lost === 0 ? "" : `, ${lost} failed`}`;
}

/** An image that was not exported, and why. */
interface FailedImage {
    readonly imageUri: string;
    readonly error: string;
    readonly cause: string;
}

/** Reads the failed images from the result files: docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html */
async function failedImages(context: Context, execution: Execution): Promise<FailedImage[]> {
    const results = resultsOf(execution);
    if (results === undefined) return [];
    const read = async (Key: string) => {
        const { Body } = await call(context, "s3", execution.executionArn, (s3) =>
            s3.send(new GetObjectCommand({ Bucket: results.bucket, Key })),
        );
        return (await Body?.transformToString()) ?? "";
    };
    const { ResultFiles } = JSON.parse(await read(results.key)) as {
        readonly ResultFiles: Readonly<Record<string, readonly { readonly Key: string }[] | undefined>>;
    };
    const files = await Promise.all((ResultFiles["FAILED"] ?? []).map(({ Key }) => read(Key)));
    return files
        .flatMap((text) => text.split("\n"))
        .filter((line) => line !== "")
        .map(failedImage);
}

/** A batch that succeeded names its results in its output, one that failed in its cause. */
function resultsOf({
    output,
    cause,
}: Execution): { readonly bucket: string; readonly key: string } | undefined {
    if (output !== undefined) {
        return (JSON.parse(output) as { results?: { readonly bucket: string; readonly key: string } })
            .results;
    }
    const [, bucket, key] = /s3:\/\/([^/\s]+)\/(\S+\/manifest\.json)/.exec(cause ?? "") ?? [];
    return bucket === undefined || key === undefined ? undefined : { bucket, key };
}

function failedImage(line: string): FailedImage {
    const row = JSON.parse(line) as { Error?: string; Cause?: string; Input?: string };
    // As the Map hands it to each image: components/batchDefinition.ts
    const { request } = JSON.parse(row.Input ?? "{}") as { request?: string | { imageUri?: string } };
    const imageUri = typeof request === "string" ? request : (request?.imageUri ?? "(the stack's)");
    return { imageUri, error: row.Error ?? "ExportFailed", cause: row.Cause ?? "" };
}

function batchText(context: Context, execution: Execution, failed: readonly FailedImage[]): string {
    const { bold, green, red, dim } = styles(context.stdout, context.env);
    const { status, output, error, cause, startDate, stopDate, executionArn } = execution;
    const summary = output === undefined ? undefined : (JSON.parse(output) as { text?: string }).text;
    const says = summary ?? cause ?? status?.toLowerCase() ?? "";
    const rows: [string, string][] = [
        ["batch", bold(failed.length === 0 && status === "SUCCEEDED" ? green(says) : red(says))],
        ...(error === undefined ? [] : [["error", error] as [string, string]]),
        ...(startDate === undefined || stopDate === undefined
            ? []
            : ([
                  ["started", formatTime(startDate)],
                  ["took", formatDuration(stopDate.getTime() - startDate.getTime())],
              ] as [string, string][])),
        ["execution", executionArn],
    ];
    const list = failed.slice(0, shownFailures).map((each) => [each.imageUri, red(each.error), each.cause]);
    const more = failed.length - list.length;
    return [
        block(rows),
        failed.length === 0 ? "" : `\n${table(["FAILED IMAGE", "ERROR", "CAUSE"], list)}`,
        more > 0 ? dim(`and ${more} more; --json has them all\n`) : "",
    ].join("");
}
