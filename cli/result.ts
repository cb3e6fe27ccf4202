/** What an execution came to, for people, for programs, and for shell scripts. */
import { exportErrors } from "../contract/errors";
import { type ExportRecord, referrerCountOf } from "../contract/record";
import type { ArchiveResult, ImageResult, SetResult } from "../contract/request";
import { type Context, exitCodes } from "./context";
import { printNext } from "./failure";
import type { Execution } from "./follow";
import { block, formatBytes, formatDuration, formatTime, type Piece, type Row, styled, writeJson } from "./terminal";

/** Exit code for an execution: of one that still runs, success. */
export function exitCodeOf({ status, error }: Execution): number {
    if (status === "SUCCEEDED" || status === "RUNNING") return exitCodes.success;
    return status === "TIMED_OUT" || error === "BuildTimedOut" ? exitCodes.timedOut : exitCodes.failed;
}

/** An execution as a program reads it. */
export function executionValue(execution: Execution): object {
    const { executionArn, name, status, startDate, stopDate, input, output, error, cause } = execution;
    return {
        executionArn,
        name,
        status,
        ...askedOf(execution),
        startTime: startDate?.toISOString(),
        stopTime: stopDate?.toISOString(),
        input: parse(input),
        output: parse(output),
        error,
        cause,
    };
}

/** The output of an execution; empty where it has none. */
export function resultOf({ output }: Execution): Partial<ArchiveResult & ImageResult & SetResult> {
    return parse(output) ?? {};
}

/**
 * Prints an execution.
 *
 * @param stage What it is doing, while it runs.
 * @returns the exit code
 */
export function printExecution(context: Context, execution: Execution, isJson = false, stage = ""): number {
    const { status = "RUNNING", error, cause } = execution;
    if (isJson) {
        writeJson(context.stdout, executionValue(execution));
        return exitCodeOf(execution);
    }
    const result = resultOf(execution);
    const titles: Readonly<Record<string, Piece>> = {
        RUNNING: styled(`running: ${stage}`, "bold", "cyan"),
        SUCCEEDED: exportedTitle(result.skipped),
        FAILED: styled("failed", "bold", "red"),
        TIMED_OUT: styled("timed out", "bold", "red"),
        ABORTED: styled("stopped", "bold", "yellow"),
    };
    const place = result.artifactKey && `s3://${String(result.artifactBucket)}/${result.artifactKey}`;
    context.stdout.write(
        ...block([
            ["status", titles[status] ?? status],
            ...archiveRows({ ...askedOf(execution), ...result }),
            ["archive", place],
            ["version", result.artifactVersionId],
            ["error", error],
            ["cause", cause],
            ...timeRows(context, execution),
            ["build", result.buildId],
            ["execution", execution.executionArn],
        ]),
    );
    printNext(context.stdout, Object.entries(exportErrors).find(([name]) => name === error)?.[1].remedy);
    return exitCodeOf(execution);
}

export function exportedTitle(isSkipped: boolean | undefined): Piece {
    return styled(isSkipped === true ? "already exported" : "exported", "bold", "green");
}

/** What was exported, as a result says it. */
export function exportOf(record: ExportRecord): (ImageResult | SetResult) & Pick<ArchiveResult, "referrerCount"> {
    const referrerCount = referrerCountOf(record);
    if ("set" in record) {
        const { setDigest, set, savedBytes } = record;
        return { setDigest, imageCount: set.length, savedBytes, referrerCount };
    }
    const { imageUri, imageDigest, platform } = record;
    return { imageUri, imageDigest, platform, referrerCount };
}

type Known<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** What an archive is, as results and records have it. */
export function archiveRows(
    archive: Known<
        Pick<ArchiveResult, "sha256" | "sizeBytes" | "referrerCount" | "baseSha256"> & ImageResult & SetResult
    >,
): Row[] {
    const { imageUri, imageDigest, platform, imageCount, setDigest, savedBytes = 0, sizeBytes, sha256 } = archive;
    const referrers = archive.referrerCount?.toString();
    const needs = archive.baseSha256 ? `the archive with the SHA-256 ${archive.baseSha256}` : undefined;
    const size = sizeBytes === undefined ? undefined : `${formatBytes(sizeBytes)} (${sizeBytes} bytes)`;
    const saved = savedBytes === 0 ? "" : `, ${formatBytes(savedBytes)} saved by what they share`;
    const images = imageCount === undefined ? undefined : `${imageCount}${saved}`;
    return Object.entries({
        image: imageUri,
        images,
        digest: imageDigest ?? setDigest,
        platform,
        referrers,
        needs,
        size,
        sha256,
    });
}

/** When an execution began, and how long it took. */
export function timeRows({ now }: Context, { startDate, stopDate }: Execution): Row[] {
    if (startDate === undefined) return [];
    const took = formatDuration((stopDate?.getTime() ?? now()) - startDate.getTime());
    return Object.entries({ started: formatTime(startDate), took });
}

/** What was asked for: an image, or so many for one key. Neither is known where it was the stack's image, or cannot be read. */
interface Asked {
    readonly imageUri?: string;
    readonly imageCount?: number;
    readonly artifactKey?: string;
}

/** What a request asks for; one of a batch may be the image URI only. */
export function askedBy(request: unknown): Asked {
    if (typeof request === "string") return { imageUri: request };
    const { imageUri, images, artifactKey } = (request ?? {}) as Readonly<Record<string, unknown>>;
    if (Array.isArray(images)) return { imageCount: images.length, artifactKey: String(artifactKey) };
    return typeof imageUri === "string" ? { imageUri } : {};
}

/** The same in a cell of a table. */
export function askedCell({ imageUri, imageCount, artifactKey }: Asked): Piece {
    if (imageCount !== undefined) return `${imageCount} images in ${artifactKey}`;
    return imageUri ?? styled("(the stack's)", "dim");
}

/** What an execution was asked for. */
export function askedOf({ input }: Execution): Asked {
    return askedBy(parse(input));
}

function parse(text: string | undefined): unknown {
    try {
        return text === undefined ? undefined : JSON.parse(text);
    } catch {
        // A batch's input may be cut off; an execution's is JSON.
        return text;
    }
}
