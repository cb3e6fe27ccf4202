/**
 * The outputs of a stack, and a reader of them for other programs, which compile this file with a configuration of their own:
 * it takes nothing that ES2015 does not have.
 */

/** Outputs that are strings. */
const strings = [
    "artifactBucketName",
    "artifactBucketArn",
    "artifactPrefix",
    "stateMachineArn",
    "stateMachineName",
    "batchStateMachineArn",
    "buildProjectName",
    "buildRoleArn",
    "dashboardUrl",
    "startExportPolicy",
    "startBatchPolicy",
    "readArtifactsPolicy",
] as const;
/** Strings that only some stacks have. */
const optionalStrings = [
    "encryptionKeyArn",
    "encryptionKeyPolicy",
    "signingKeyArn",
    "signingPublicKey",
    "notificationTopicArn",
    "egressAddress",
] as const;
/** Outputs that are objects of strings. */
const objects = ["logGroupNames", "repositoryPolicies"] as const;

/** The outputs of a stack of this project: a contract with other programs; docs/outputs.md says what each is. */
export type StackOutputs = Readonly<
    Record<(typeof strings)[number], string> &
        Partial<Record<(typeof optionalStrings)[number], string>> &
        Record<(typeof objects)[number], Readonly<Record<string, string>>>
>;

/** The names of the outputs. */
export const stackOutputNames: readonly (keyof StackOutputs)[] = [...strings, ...optionalStrings, ...objects];

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
    const problemsOf = (names: readonly string[], expected: string, isGood: (value: unknown) => boolean): string[] =>
        names
            .filter((name) => !isGood(given[name]))
            .map((name) => `${name} (${kindOf(given[name])}, expected ${expected})`);
    const problems = [
        ...problemsOf(strings, "string", isString),
        ...problemsOf(optionalStrings, "string, or missing", (value) => value === undefined || isString(value)),
        ...problemsOf(objects, "object of strings", isObjectOfStrings),
    ];
    if (problems.length > 0) {
        throw new Error(
            `These are not the outputs of an ecr-image-export stack of this version: ${problems.join("; ")}. Check the name of ` +
                "the stack, and that it is deployed with this version.",
        );
    }
    return given as unknown as StackOutputs;
}

function isString(value: unknown): boolean {
    return typeof value === "string";
}

function isObjectOfStrings(value: unknown): boolean {
    const fields = value as Record<string, unknown>;
    return kindOf(value) === "object" && Object.keys(fields).every((name) => isString(fields[name]));
}

function kindOf(value: unknown): string {
    if (value === undefined || value === null) return "missing";
    return Array.isArray(value) ? "list" : typeof value;
}
