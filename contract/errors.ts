/**
 * The named errors: what each means, what to do, and the exit status by which a build tells it. The table in
 * docs/requests.md is made of this.
 */

/**
 * Every error that an execution of the export state machine can end in: the exit status of a build, and of the exporter, that
 * ends so; what has happened; the first thing to do about it.
 */
export const exportErrors = {
    ExportFailed: {
        exitStatus: 1,
        means: "anything else: the registry or S3 cannot be reached, the disk is full, the Docker daemon is lost, another export of something else wrote the same key at the same time",
        remedy: "read the cause, then the log that it links to",
    },
    InvalidInput: {
        exitStatus: 2,
        means: "a field of the request breaks its rule, the repository is not one that the stack may read, or what the image URI names is not a container image",
        remedy: "correct the field that the cause names; for a repository, add its ARN to `repositoryArns` or `crossAccountRepositoryArns` and run `pulumi up`",
    },
    ImageNotFound: {
        exitStatus: 3,
        means: "the tag or digest does not exist, or the image has no manifest for the platform",
        remedy: "check the tag; request one of the platforms that the cause lists",
    },
    AccessDenied: {
        exitStatus: 4,
        means: "ECR or S3 refused the build, or CodeBuild refused to start it",
        remedy: "for a repository of another account attach its policy from the output `repositoryPolicies`; otherwise look for a policy outside the stack that denies (SCP, bucket policy, key policy)",
    },
    DigestMismatch: {
        exitStatus: 5,
        means: "the registry answered with something that does not have the digest that was asked for",
        remedy: "start the export again; if it happens again, do not trust the registry or the network path to it",
    },
    BuildTimedOut: {
        exitStatus: 6,
        means: "the build reached its timeout, or CodeBuild had no capacity for it in time",
        remedy: "the cause says which: raise `compute.timeoutMinutes` or choose a larger `compute.type`; for capacity, request a higher quota of concurrent builds or start fewer exports at a time",
    },
} as const;

/** Name of an error, as executions show it. */
export type ExportErrorName = keyof typeof exportErrors;

/** The exit statuses as a build is handed them, in a variable: `ExportFailed=1 InvalidInput=2 …`. */
export const exitStatusText = Object.entries(exportErrors)
    .map(([name, { exitStatus }]) => `${name}=${exitStatus}`)
    .join(" ");

/** An export that failed for a reason that a person can act on. */
export class ExportError extends Error {
    public override readonly name: ExportErrorName;

    /**
     * @param name What kind of failure this is.
     * @param message What was given, what is expected, what to do.
     * @param cause The underlying error, for the log.
     */
    public constructor(name: ExportErrorName, message: string, cause?: unknown) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = name;
    }
}

/** Turns whatever was thrown into a named error; what has no name of its own is an `ExportFailed`. */
export function asExportError(error: unknown): ExportError {
    return error instanceof ExportError ? error : new ExportError("ExportFailed", messageOf(error), error);
}

/** The text of an error with the causes below it, which Node's network errors hide. */
export function messageOf(error: unknown): string {
    if (!(error instanceof Error)) return String(error);
    const own = error.message === "" ? error.name : error.message;
    const inner = error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : "";
    return inner === "" ? own : `${own} (${inner})`;
}
