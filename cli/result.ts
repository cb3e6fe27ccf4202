/** What became of an execution, for people, for programs, and for shell scripts. */
import { type Context, exitCodes } from "./command";
import type { Execution } from "./follow";
import { block, formatBytes, formatDuration, formatTime, styles } from "./terminal";

/** Output of an export that succeeded, as components/definition.ts shapes it. */
interface ExportResult {
    readonly imageUri: string;
    readonly imageDigest: string;
    readonly platform: string;
    readonly artifactBucket: string;
    readonly artifactKey: string;
    readonly artifactVersionId: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly skipped: boolean;
    readonly engine: string;
    readonly buildId: string | null;
}

/** Exit code for an execution: of one that still runs, success. */
export function exitCodeOf({ status, error }: Pick<Execution, "error" | "status">): number {
    if (status === "SUCCEEDED" || status === "RUNNING") return exitCodes.success;
    return status === "TIMED_OUT" || error === "BuildTimedOut" ? exitCodes.timedOut : exitCodes.failed;
}

/** An execution as JSON. */
export function executionJson(execution: Execution): string {
    const { executionArn, status, startDate, stopDate, error, cause } = execution;
    const shown = {
        executionArn,
        status,
        startTime: startDate?.toISOString(),
        stopTime: stopDate?.toISOString(),
        input: parsed(execution.input),
        output: parsed(execution.output),
        error,
        cause,
    };
    return `${JSON.stringify(shown, undefined, 2)}\n`;
}

/**
 * An execution as a block of lines.
 *
 * @param stage What it is doing, while it runs.
 */
export function executionText(
    { stdout, env, now }: Pick<Context, "env" | "now" | "stdout">,
    execution: Execution,
    stage?: string,
): string {
    const { bold, cyan, green, red, yellow } = styles(stdout, env);
    const { status, startDate, stopDate, error, cause, executionArn } = execution;
    const result = resultOf(execution);
    const took = startDate && formatDuration((stopDate?.getTime() ?? now()) - startDate.getTime());
    const title = {
        RUNNING: cyan(`running: ${stage ?? ""}`),
        SUCCEEDED: green(result?.skipped === true ? "already exported" : "exported"),
        FAILED: red("failed"),
        TIMED_OUT: red("timed out"),
        ABORTED: yellow("stopped"),
        PENDING_REDRIVE: cyan("waiting to be redriven"),
    }[status ?? "RUNNING"];
    const rows: [string, string | undefined][] = [
        ["status", bold(title)],
        ["image", result?.imageUri ?? imageOf(execution)],
        ["digest", result?.imageDigest],
        ["platform", result?.platform],
        ["archive", result && `s3://${result.artifactBucket}/${result.artifactKey}`],
        ["version", result?.artifactVersionId],
        ["size", result && `${formatBytes(result.sizeBytes)} (${result.sizeBytes} bytes)`],
        ["sha256", result?.sha256],
        ["error", error],
        ["cause", cause],
        ["started", startDate && formatTime(startDate)],
        ["took", took],
        ["build", result?.buildId ?? undefined],
        ["execution", executionArn],
    ];
    return block(rows.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== ""));
}

/** The image that an execution was asked for; undefined where it was the stack's own, or the input cannot be read. */
export function imageOf({ input }: Pick<Execution, "input">): string | undefined {
    const request = parsed(input) as { readonly imageUri?: unknown } | undefined;
    return typeof request?.imageUri === "string" ? request.imageUri : undefined;
}

function resultOf(execution: Execution): ExportResult | undefined {
    const output = parsed(execution.output);
    return typeof output === "object" && output !== null && "artifactKey" in output
        ? (output as ExportResult)
        : undefined;
}

function parsed(text: string | undefined): unknown {
    try {
        return text === undefined ? undefined : JSON.parse(text);
    } catch {
        // A batch's input may be cut off; an execution's is JSON.
        return text;
    }
}
