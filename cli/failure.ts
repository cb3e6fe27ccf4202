/** Errors as people read them: what happened, AWS's code for it, what it is about, what to do. */
import { type Context, exitCodes } from "./command";
import { styles } from "./terminal";

/** What is known of a failure besides its message. */
export interface FailureDetails {
    /** @default 1 */
    readonly exitCode?: number;
    /** Error code of AWS, or error name of an export. */
    readonly code?: string;
    /** What the failed call was about. */
    readonly arn?: string;
    /** What to do. A command to copy is on a line of its own. */
    readonly next?: string;
    readonly cause?: unknown;
}

/** An error that a person can act on. */
export class Failure extends Error {
    /** Exit code of the process. */
    public readonly exitCode: number;
    /** Error code of AWS, or error name of an export. */
    public readonly code: string | undefined;
    /** What the failed call was about. */
    public readonly arn: string | undefined;
    /** What to do. */
    public readonly next: string | undefined;

    public constructor(message: string, details: FailureDetails = {}) {
        super(message, details.cause === undefined ? undefined : { cause: details.cause });
        this.exitCode = details.exitCode ?? exitCodes.failed;
        this.code = details.code;
        this.arn = details.arn;
        this.next = details.next;
    }
}

/** Arguments that cannot work. */
export class UsageFailure extends Failure {
    public constructor(message: string, next?: string) {
        super(message, { exitCode: exitCodes.usage, ...(next === undefined ? {} : { next }) });
    }
}

const signIn =
    "Sign in again (`aws sso login`, or new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), then repeat the command.";

/** What to do about errors of the AWS SDK: codes, and the message and advice for each. */
const awsErrors: readonly { readonly codes: RegExp; readonly says?: string; readonly next: string }[] = [
    {
        codes: /^(CredentialsProviderError|TokenProviderError|NoCredentials)$/,
        says: "No AWS credentials were found.",
        next: "Sign in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    },
    {
        codes: /^(ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired)$/,
        says: "The AWS credentials have expired.",
        next: signIn,
    },
    {
        codes: /^(UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSignatureException|AuthFailure)$/,
        next: "AWS does not accept these credentials: look whether they are complete and of this account, and whether this machine's clock is right.",
    },
    {
        codes: /^(AccessDenied(Exception)?|UnauthorizedOperation|Forbidden|403)$/,
        next: "Attach the stack's output startExportPolicy (startBatchPolicy for batches, readArtifactsPolicy for files) to whom these credentials belong to.",
    },
    {
        codes: /^(Throttling(Exception)?|ThrottledException|TooManyRequestsException|RequestLimitExceeded|SlowDown)$/,
        next: "AWS was asked too often and still refuses. Repeat the command in a minute.",
    },
    {
        codes: /^(ExecutionDoesNotExist|StateMachineDoesNotExist|ResourceNotFound|ResourceNotFoundException)$/,
        next: "Look whether ARN, region and account are right. `image-export list` shows what there is.",
    },
    { codes: /^InvalidArn$/, next: "Give a whole ARN, arn:PARTITION:states:REGION:ACCOUNT:…" },
    {
        codes: /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|TimeoutError|NetworkingError)$/,
        next: "Look whether this machine reaches AWS: network, proxy (HTTPS_PROXY), VPN, and the region's name.",
    },
];

/** Whether AWS said that the credentials are no longer good. */
export function isExpired(error: unknown): boolean {
    return /^(ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired)$/.test(codeOf(error) ?? "");
}

/** Whether AWS said that it was asked too often, or could not be reached: the same call may succeed later. */
export function isPassing(error: unknown): boolean {
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
    return (
        status === 429 ||
        status >= 500 ||
        /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENETUNREACH|TimeoutError)$/.test(
            codeOf(error) ?? "",
        )
    );
}

/** Whether AWS refused the call to these credentials. */
export function isDenied(error: unknown): boolean {
    return /^(AccessDenied(Exception)?|UnauthorizedOperation|Forbidden|403)$/.test(codeOf(error) ?? "");
}

/** The code of an error of AWS or of the network; undefined for others. */
export function codeOf(error: unknown): string | undefined {
    if (error instanceof Failure) return error.code;
    if (!(error instanceof Error)) return undefined;
    const { code, name } = error as { code?: unknown; name: string };
    if (typeof code === "string" && /^E[A-Z_]+$/.test(code)) return code;
    return name === "Error" || name === "TypeError" ? undefined : name;
}

/**
 * Any error as a {@link Failure}.
 *
 * @param arn What the failed call was about, where the caller knows it.
 */
export function asFailure(error: unknown, arn?: string): Failure {
    if (error instanceof Failure) return error;
    const code = codeOf(error);
    const message = textOf(error);
    if (message === "Region is missing") {
        return new Failure("No AWS region is set.", {
            code: "RegionIsMissing",
            next: "Set AWS_REGION, give the profile a region (`aws configure set region …`), or give a whole ARN.",
            cause: error,
        });
    }
    const known = awsErrors.find(({ codes }) => codes.test(code ?? ""));
    const about = arn ?? /arn:[\w-]+:[^\s"',]+/.exec(message)?.[0];
    return new Failure(known?.says ?? (message === "" ? (code ?? "Unknown error") : message), {
        ...(code === undefined ? {} : { code }),
        ...(about === undefined ? {} : { arn: about }),
        ...(known === undefined ? {} : { next: known.next }),
        cause: error,
    });
}

function textOf(error: unknown): string {
    if (!(error instanceof Error)) return String(error);
    if (error.message === "" && error instanceof AggregateError) return error.errors.map(textOf).join("; ");
    return error.message;
}

/** Prints an error to stderr. The only place that does. */
export function printFailure({ stderr, env }: Pick<Context, "stderr" | "env">, failure: Failure): void {
    const { red, bold, dim } = styles(stderr, env);
    const code = failure.code === undefined ? "" : `${failure.code}: `;
    stderr.write(`${red(bold("Error"))} ${code}${failure.message}\n`);
    if (failure.arn !== undefined && !failure.message.includes(failure.arn)) {
        stderr.write(`${dim("      of")} ${failure.arn}\n`);
    }
    for (const line of failure.next?.split("\n") ?? []) stderr.write(`${dim("    next")} ${line}\n`);
}
