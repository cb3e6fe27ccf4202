/** Errors as people read them: what happened, AWS's code for it, what it is about, what to do. */
import type { ExecFileException } from "node:child_process";

import { ExportError, messageOf } from "../contract/errors";
import { exitCodes } from "./context";
import { type Output, styled } from "./terminal";

export interface FailureDetails {
    /** Of the process. @default 1 */
    readonly exitCode?: number | undefined;
    /** Error code of AWS, or error name of an export. */
    readonly code?: string | undefined;
    /** What the failed call was about. */
    readonly arn?: string | undefined;
    /** What to do. A command to copy is on a line of its own. */
    readonly next?: string | undefined;
    readonly cause?: unknown;
}

/** An error that a person can act on. */
export class Failure extends Error {
    public constructor(
        message: string,
        public readonly details: FailureDetails = {},
    ) {
        super(message, { cause: details.cause });
    }
}

/** Arguments that cannot work. */
export function usageFailure(message: string, next?: string): Failure {
    return new Failure(message, { exitCode: exitCodes.usage, next });
}

const expired = /^(ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired)$/;
const denied = /^(AccessDenied(Exception)?|UnauthorizedOperation|Forbidden|403)$/;
const throttled = /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown/;
const unreachable = /^(ENOTFOUND|EAI_AGAIN|ECONN\w+|EPIPE|ETIMEDOUT|ENETUNREACH|TimeoutError|NetworkingError)$/;

/** What to do about errors of the AWS SDK and of the file system, by their codes. */
const remedies: readonly (readonly [codes: RegExp, next: string])[] = [
    [
        /^(CredentialsProviderError|TokenProviderError|NoCredentials)$/,
        "Sign in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ],
    [
        expired,
        "Sign in again (`aws sso login`, or new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), then repeat the command.",
    ],
    [
        /^(UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSignatureException|AuthFailure)$/,
        "AWS does not accept these credentials: check that they are complete and belong to this account, and that this machine's clock is right.",
    ],
    [
        denied,
        "Attach the stack's output startExportPolicy (startBatchPolicy for batches, readArtifactsPolicy for files) to the owner of these credentials.",
    ],
    [throttled, "AWS was asked too often and still refuses. Repeat the command in a minute."],
    [
        /^(ExecutionDoesNotExist|StateMachineDoesNotExist|ResourceNotFound|ResourceNotFoundException)$/,
        "Check ARN, region and account. `image-export list` shows what there is.",
    ],
    [
        /^RegionIsMissing$/,
        "Set AWS_REGION, give the profile a region (`aws configure set region …`), or give a whole ARN.",
    ],
    [/^PermanentRedirect$/, "The bucket is in another region: set AWS_REGION to it."],
    [/^NoSuchBucket$/, "The stack's output artifactBucketName has the name of its bucket."],
    [/^PreconditionFailed$/, "The archive was replaced while it was being read: repeat the command to begin again."],
    [
        /^InvalidObjectState$/,
        "The archive has to be restored first: aws s3api restore-object --bucket BUCKET --key KEY --restore-request Days=1",
    ],
    [unreachable, "Check that this machine reaches AWS: network, proxy (HTTPS_PROXY), VPN, and the region's name."],
    [/^(ENOSPC|EDQUOT|EFBIG)$/, "The disk is full: make room, or name a file on another disk."],
    [/^(EACCES|EPERM|EROFS)$/, "You may not do that here: check the permissions, or name a file in a folder of yours."],
    [/^(ENOENT|ENOTDIR)$/, "There is no such file or folder: check the path; `mkdir -p` creates folders."],
    [/^EISDIR$/, "There is a folder of this name: name another file."],
];

// The remedies of contract/errors.ts are for the pipeline; for the exporter on this machine there is none but this one.
const logIn =
    "Log in (docker login HOST, or AWS credentials that may pull from this repository), then repeat the command.";

/** Whether AWS said that the credentials are no longer valid. */
export function isExpired(error: unknown): boolean {
    return expired.test(codeOf(error));
}

/** Whether AWS refused the call to these credentials. */
export function isDenied(error: unknown): boolean {
    return denied.test(codeOf(error));
}

/** Whether AWS said that it was asked too often, or could not be reached: the same call may succeed later. */
export function isPassing(error: unknown): boolean {
    const status = statusOf(error);
    const code = codeOf(error);
    return status === 429 || status >= 500 || throttled.test(code) || unreachable.test(code);
}

/** Status of AWS's answer; 0 where there is none. */
export function statusOf(error: unknown): number {
    return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
}

/** The code of an error of AWS or of the system; empty for others. */
export function codeOf(error: unknown): string {
    if (error instanceof Failure) return error.details.code ?? "";
    if (!(error instanceof Error)) return "";
    const { code, name } = error as { code?: unknown; name: string };
    if (typeof code === "string" && /^E[A-Z_]+$/.test(code)) return code;
    if (error.message === "Region is missing") return "RegionIsMissing";
    // The answer to a HEAD has no body, so its status is all that it says.
    if (name === "Unknown") return { 301: "PermanentRedirect", 403: "AccessDenied" }[statusOf(error)] ?? name;
    return name === "Error" || name === "TypeError" ? "" : name;
}

/**
 * Any error as a {@link Failure}.
 *
 * @param arn What the failed call was about, where the caller knows it.
 */
export function asFailure(error: unknown, arn?: string): Failure {
    if (error instanceof Failure) return error;
    if (error instanceof ExportError) {
        const exitCode = error.name === "InvalidInput" ? exitCodes.usage : exitCodes.failed;
        const next = error.name === "AccessDenied" ? logIn : undefined;
        return new Failure(error.message, { code: error.name, exitCode, next, cause: error });
    }
    const code = codeOf(error);
    const said = code === "" ? messageOf(error) : messageOf(error).replace(`${code}: `, "");
    const message = said === "UnknownError" ? `AWS answered with status ${statusOf(error)}.` : said;
    const [, next] = remedies.find(([codes]) => codes.test(code)) ?? [];
    return new Failure(message, { code, arn, next, cause: error });
}

/**
 * To catch what running a program rejects with.
 *
 * @param missing What to do where it is not installed.
 * @param failed What to do where it failed.
 */
export function explainProgram(commandLine: string, missing: string, failed: string): (error: unknown) => never {
    return (cause) => {
        if (codeOf(cause) === "ENOENT") {
            throw new Failure(`There is no program ${commandLine.split(" ")[0]}.`, { next: missing, cause });
        }
        const { stderr, code } = cause as ExecFileException;
        if (stderr === undefined || typeof code === "string") throw cause; // it was not even started
        const said = stderr.trim().replace(/^error: /, "");
        throw new Failure(`\`${commandLine}\` failed: ${said}`, { next: failed, cause });
    };
}

/** Prints an error. The only place that does. */
export function printFailure(stderr: Output, { message, details }: Failure): void {
    const { code = "", arn, next } = details;
    stderr.write(styled("Error", "red", "bold"), ` ${code === "" ? "" : `${code}: `}${message}\n`);
    if (arn !== undefined && !message.includes(arn)) stderr.write(styled("      of", "dim"), ` ${arn}\n`);
    printNext(stderr, next);
}

/** Prints what to do about something. */
export function printNext(output: Output, next: string | undefined): void {
    for (const line of next?.split("\n") ?? []) output.write(styled("    next", "dim"), ` ${line}\n`);
}

/** Prints what is worth knowing, and no failure. */
export function printNote(stderr: Output, text: string): void {
    stderr.write(styled("Note", "yellow"), ` ${text}\n`);
}
