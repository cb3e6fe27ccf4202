import * as pulumi from "@pulumi/pulumi";

/**
 * The outputs of a stack of this project: a contract with other programs. The README describes them; one that can be
 * undefined here is missing under the conditions that it names.
 */
export interface StackOutputs {
    /** Name of the bucket of the archives. */
    readonly artifactBucketName: string;
    /** ARN of the bucket of the archives. */
    readonly artifactBucketArn: string;
    /** The only key prefix that builds write. */
    readonly artifactPrefix: string;
    /** ARN of the KMS key that encrypts; missing where S3's own keys do. */
    readonly encryptionKeyArn: string | undefined;
    /** JSON policy of what a given key's own policy has to allow; missing without a given key. */
    readonly encryptionKeyPolicy: string | undefined;
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
    /** ARN of the topic of alarms and messages; missing where nobody is to be told. */
    readonly notificationTopicArn: string | undefined;
    /** The CloudWatch dashboard in the console. */
    readonly dashboardUrl: string;
    /**
     * Names of the log groups, by what they hold: `builds`, `executions`, `batches`, where there are any `notifications`,
     * `triggers`, `flows`.
     */
    readonly logGroupNames: Readonly<Record<string, string>>;
    /** JSON policy that lets a principal start exports, follow and stop them. */
    readonly startExportPolicy: string;
    /** JSON policy that lets a principal start batches, follow and stop them. */
    readonly startBatchPolicy: string;
    /** JSON policy that lets a principal list and read archives. */
    readonly readArtifactsPolicy: string;
    /** JSON policy that the owner of each other account's repository has to attach, by ARN of the repository. */
    readonly repositoryPolicies: Readonly<Record<string, string>>;
}

/** What an output has to be: a check, and the words for what it checks. */
interface Kind<T> {
    readonly expectation: string;
    readonly matches: (value: unknown) => value is T;
}

const text: Kind<string> = {
    expectation: "a text",
    matches: (value) => typeof value === "string",
};

const textOrMissing: Kind<string | undefined> = {
    expectation: "a text, or no such output",
    matches: (value) => value === undefined || typeof value === "string",
};

const texts: Kind<Readonly<Record<string, string>>> = {
    expectation: "an object of texts",
    matches: (value): value is Record<string, string> =>
        typeof value === "object" &&
        value !== null &&
        !Array.isArray(value) &&
        Object.values(value).every((each) => typeof each === "string"),
};

const kinds: { readonly [Name in keyof StackOutputs]: Kind<StackOutputs[Name]> } = {
    artifactBucketName: text,
    artifactBucketArn: text,
    artifactPrefix: text,
    encryptionKeyArn: textOrMissing,
    encryptionKeyPolicy: textOrMissing,
    stateMachineArn: text,
    stateMachineName: text,
    batchStateMachineArn: text,
    buildProjectName: text,
    buildRoleArn: text,
    notificationTopicArn: textOrMissing,
    dashboardUrl: text,
    logGroupNames: texts,
    startExportPolicy: text,
    startBatchPolicy: text,
    readArtifactsPolicy: text,
    repositoryPolicies: texts,
};

/** The names of the outputs. */
export const stackOutputNames = Object.keys(kinds) as readonly (keyof StackOutputs)[];

/**
 * Reads an output of another stack with its type, which a `StackReference` alone does not know, and checks it: each output is
 * looked at when it is read, so that a program does not depend on those that it does not use.
 *
 * @example
 * const exports = new pulumi.StackReference("acme/ecr-image-export/prod");
 * const policy = readStackOutput(exports, "startExportPolicy"); // pulumi.Output<string>
 *
 * @param stack Reference to a stack of ecr-image-export.
 * @param name Name of the output.
 * @throws Error, when the output is awaited, that names the stack, the output, what it is and what is expected.
 */
export function readStackOutput<Name extends keyof StackOutputs>(
    stack: pulumi.StackReference,
    name: Name,
): pulumi.Output<StackOutputs[Name]> {
    const { expectation, matches } = kinds[name];
    return pulumi.all([stack.name, stack.getOutput(name)]).apply(([stackName, value]: [string, unknown]) => {
        if (matches(value)) return pulumi.output(value);
        throw new Error(
            `The output ${name} of the stack ${stackName} is ${describe(value)}: expected ${expectation}. Is it a stack of ` +
                "ecr-image-export, deployed with a version that has this output?",
        );
    }) as pulumi.Output<StackOutputs[Name]>;
}

function describe(value: unknown): string {
    if (value === undefined || value === null) return "missing";
    return Array.isArray(value) ? "a list" : `of type ${typeof value}`;
}
