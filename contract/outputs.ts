/**
 * The outputs of a stack, and a reader of them for other programs, which compile this file with a configuration of their own:
 * it takes nothing that ES2015 does not have.
 */

/** The outputs of a stack of this project: a contract with other programs, described in docs/outputs.md. */
export interface StackOutputs {
    /** Name of the bucket of the archives. */
    readonly artifactBucketName: string;
    /** ARN of the bucket of the archives. */
    readonly artifactBucketArn: string;
    /** The only key prefix that builds write. */
    readonly artifactPrefix: string;
    /** ARN of the KMS key that encrypts; missing where S3's own keys do. */
    readonly encryptionKeyArn?: string;
    /** JSON policy of what a given key's own policy has to allow; missing without a given key. */
    readonly encryptionKeyPolicy?: string;
    /** ARN of the state machine that exports one image. */
    readonly stateMachineArn: string;
    /** Name of that state machine. */
    readonly stateMachineName: string;
    /** ARN of the state machine that exports a batch. */
    readonly batchStateMachineArn: string;
    /** Name of the CodeBuild project. */
    readonly buildProjectName: string;
    /** ARN of the builds' service role. */
    readonly buildRoleArn: string;
    /** ARN of the topic of alarms and messages; missing without `notifications`. */
    readonly notificationTopicArn?: string;
    /** The address under which builds appear in the internet; with `network: private` only. */
    readonly egressAddress?: string;
    /** The CloudWatch dashboard in the console. */
    readonly dashboardUrl: string;
    /**
     * Names of the log groups, by what they hold: `builds`, `executions`, `batches`, and where there are any `notifications`,
     * `triggers`, `flows`.
     */
    readonly logGroupNames: Readonly<Record<string, string>>;
    /** JSON policy that lets a principal start exports, follow and stop them. */
    readonly startExportPolicy: string;
    /** JSON policy that lets a principal start batches, follow and stop them. */
    readonly startBatchPolicy: string;
    /** JSON policy that lets a principal list and read archives. */
    readonly readArtifactsPolicy: string;
    /**
     * JSON policies that owners in other accounts have to attach: by ARN of a repository its own policy, by ARN of a pattern, which
     * ends in `/*`, statements for the policy of its registry.
     */
    readonly repositoryPolicies: Readonly<Record<string, string>>;
}

type Kind = "string" | "string, or missing" | "object of strings";

const kinds: { readonly [Name in keyof Required<StackOutputs>]: Kind } = {
    artifactBucketName: "string",
    artifactBucketArn: "string",
    artifactPrefix: "string",
    encryptionKeyArn: "string, or missing",
    encryptionKeyPolicy: "string, or missing",
    stateMachineArn: "string",
    stateMachineName: "string",
    batchStateMachineArn: "string",
    buildProjectName: "string",
    buildRoleArn: "string",
    notificationTopicArn: "string, or missing",
    egressAddress: "string, or missing",
    dashboardUrl: "string",
    logGroupNames: "object of strings",
    startExportPolicy: "string",
    startBatchPolicy: "string",
    readArtifactsPolicy: "string",
    repositoryPolicies: "object of strings",
};

/** The names of the outputs. */
export const stackOutputNames = Object.keys(kinds) as readonly (keyof StackOutputs)[];

/**
 * Checks the outputs of another stack, which are of no type: all of them at once, so that a wrong stack is one message.
 *
 * examples/consumer does so before anything depends on them.
 *
 * @param values Names and values, as a StackReference or `pulumi stack output --json` has them.
 * @throws Error that names every output that is not as expected.
 */
export function readStackOutputs(values: unknown): StackOutputs {
    const given = typeof values === "object" && values !== null ? (values as Record<string, unknown>) : {};
    const problems = stackOutputNames
        .filter((name) => !isOfKind(given[name], kinds[name]))
        .map((name) => `${name} (${kindOf(given[name])}, expected ${kinds[name]})`);
    if (problems.length > 0) {
        throw new Error(
            `These are not the outputs of an ecr-image-export stack of this version: ${problems.join("; ")}. Check the name of ` +
                "the stack, and that it is deployed with this version.",
        );
    }
    return given as unknown as StackOutputs;
}

function isOfKind(value: unknown, kind: Kind): boolean {
    if (kind !== "object of strings") {
        return typeof value === "string" || (value === undefined && kind === "string, or missing");
    }
    if (kindOf(value) !== "object") return false;
    const fields = value as Record<string, unknown>;
    return Object.keys(fields).every((name) => typeof fields[name] === "string");
}

function kindOf(value: unknown): string {
    if (value === undefined || value === null) return "missing";
    return Array.isArray(value) ? "list" : typeof value;
}
