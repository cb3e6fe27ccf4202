/**
 * The state machine's definition, in Amazon States Language (states-language.net/spec.html). Pure: arguments in,
 * document out. JSONPath throughout.
 *
 * The document is written so that no request can end an execution in `States.Runtime`, which nothing can catch: each
 * path is tested for presence before it is read, and no intrinsic function is given what it might refuse. The one
 * text that cannot be tested beforehand, what AWS says of a failed build, is parsed inside a Parallel state of one
 * branch, the language's only way to catch the failure of a Pass state.
 */
import type * as pulumi from "@pulumi/pulumi";

import { type EcrRepository, repositoryUris } from "./imageReference";

/** A state machine's definition; values may still be Outputs. Serialize it with `pulumi.jsonStringify`. */
export interface StateMachineDefinition {
    readonly Comment: string;
    readonly StartAt: string;
    readonly States: Record<string, State>;
}

/** One state. Its fields depend on its type and are checked by the tests, with `asl-validator`. */
export interface State {
    readonly Type: "Choice" | "Fail" | "Map" | "Parallel" | "Pass" | "Succeed" | "Task";
    readonly [field: string]: unknown;
}

/** Arguments of {@link exportDefinition}. */
export interface ExportDefinitionArgs {
    /** AWS partition of the stack, for instance `aws`. */
    readonly partition: string;
    /** Name of the CodeBuild project that exports one image. */
    readonly projectName: pulumi.Input<string>;
    /** How that project makes the archive; part of the result. */
    readonly engine: EngineName;
    /** Image that is exported when a request names none. */
    readonly imageUri: string;
    /** Repositories whose images may be requested. */
    readonly repositories: readonly EcrRepository[];
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Key prefix of the archives, with its closing slash. */
    readonly artifactPrefix: string;
    /** Minutes that a build may run. */
    readonly timeoutMinutes: number;
    /** Minutes that a build may wait in CodeBuild's queue. */
    readonly queuedTimeoutMinutes: number;
}

/** The platform that is exported when a request names none. */
export const defaultPlatform = "linux/amd64";

/** The errors that a build can name; `BuildTimedOut` is found by the state machine. */
export const buildErrors = [
    "InvalidInput",
    "ImageNotFound",
    "AccessDenied",
    "DigestMismatch",
    "ExportFailed",
] as const;

/** How an archive is made: by the Docker daemon of a privileged build, or streamed from registry to S3. */
export type EngineName = "docker" | "stream";

const variablesOfBoth = {
    IMAGE_URI: "$.request.imageUri",
    PLATFORM: "$.request.platform",
    ARTIFACT_BUCKET: "$.request.artifactBucket",
    ARTIFACT_KEY: "$.archive.artifactKey",
};

/** The variables that the state machine sets for each build, over those of the project, and where each comes from. */
export const requestVariables: Record<EngineName, Record<string, string>> = {
    docker: variablesOfBoth,
    stream: {
        ...variablesOfBoth,
        FORCE: "States.Format('{}', $.request.force)",
        EXECUTION_ID: "$$.Execution.Id",
    },
};

/** The variables that a build reports with, and the field of the execution's output that each one becomes. */
export const resultVariables = {
    IMAGE_DIGEST: "imageDigest",
    ARTIFACT_VERSION_ID: "artifactVersionId",
    ARCHIVE_SIZE_BYTES: "sizeBytes",
    ARCHIVE_SHA256: "sha256",
    SKIPPED: "skipped",
} as const;

/**
 * What is known of a build that says nothing. It is put behind every Build, so that a path that looks for a value in
 * both always finds one: a path without any match may end an execution in `States.Runtime`.
 */
const silentBuild = {
    Id: "(unknown)",
    BuildStatus: "FAILED",
    ExportedEnvironmentVariables: [...Object.keys(resultVariables), "EXPORT_ERROR", "EXPORT_CAUSE"].map(
        (Name) => ({
            Name,
            Value: "",
        }),
    ),
    Logs: { DeepLink: "none was written." },
};

// What the timeout of the task leaves for provisioning and for the event that tells of the build's end.
const marginMinutes = 10;

/**
 * The state machine that serves one request: checks it, starts a build, waits for it, and reports the result or a
 * named error.
 */
export function exportDefinition(args: ExportDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Exports one container image from Amazon ECR to S3 as a tar archive",
        StartAt: "Read input",
        States: {
            ...readRequest(args),
            ...findRepository(args.repositories),
            ...chooseKey(),
            ...build(args),
            ...report(args),
            ...explainFailure(args),
            Failed: { Type: "Fail", ErrorPath: "$.error", CausePath: "$.cause" },
        },
    };
}

/** Merges the request over the defaults and refuses what cannot work, before anything is started. */
function readRequest(args: ExportDefinitionArgs): Record<string, State> {
    const { artifactBucket, artifactPrefix, imageUri } = args;
    return {
        "Read input": {
            Type: "Pass",
            Parameters: { "text.$": "States.JsonToString($$.Execution.Input)" },
            Next: "Is input an object?",
        },
        "Is input an object?": {
            Type: "Choice",
            Choices: [{ Variable: "$.text", ...matches("{*"), Next: "Take input" }],
            Default: "Reject input",
        },
        "Take input": {
            Type: "Pass",
            Parameters: {
                "input.$": "$$.Execution.Input",
                defaults: { imageUri, artifactBucket, platform: defaultPlatform, force: false },
            },
            Next: "Merge defaults",
        },
        "Merge defaults": {
            Type: "Pass",
            Parameters: {
                "request.$": "States.JsonMerge($.defaults, $.input, false)",
                stack: { artifactBucket, artifactPrefix, projectName: args.projectName, silentBuild },
            },
            Next: "Check request",
        },
        "Check request": {
            Type: "Choice",
            Choices: [
                { Not: string("$.request.imageUri", matches("*/*")), Next: "Reject imageUri" },
                { Not: platform(args.engine), Next: "Reject platform" },
                { Not: { Variable: "$.request.force", IsBoolean: true }, Next: "Reject force" },
                {
                    Not: string("$.request.artifactBucket", { StringEquals: artifactBucket }),
                    Next: "Reject artifactBucket",
                },
                {
                    And: [
                        { Variable: "$.request.artifactKey", IsPresent: true },
                        { Not: string("$.request.artifactKey", matches(`${artifactPrefix}*`)) },
                    ],
                    Next: "Reject artifactKey",
                },
            ],
            Default: "Split off digest",
        },
        "Reject input": {
            Type: "Pass",
            Result: {
                error: "InvalidInput",
                cause: "The input of the execution is not a JSON object. Give the fields of the request in one, or {} for the defaults.",
            },
            Next: "Failed",
        },
        "Reject imageUri": fail(
            "InvalidInput",
            "'imageUri is {}: expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@sha256:DIGEST].', States.JsonToString($.request.imageUri)",
        ),
        "Reject platform": fail(
            "InvalidInput",
            `'platform is {}: expected os/architecture or os/architecture/variant, for instance linux/arm64${args.engine === "stream" ? ", or all" : "; engine docker exports one platform"}.', States.JsonToString($.request.platform)`,
        ),
        "Reject force": fail(
            "InvalidInput",
            "'force is {}: expected true or false.', States.JsonToString($.request.force)",
        ),
        "Reject artifactBucket": fail(
            "InvalidInput",
            "'artifactBucket is {}: this stack exports to {} alone. Give that bucket, or leave the field out.', States.JsonToString($.request.artifactBucket), $.stack.artifactBucket",
        ),
        "Reject artifactKey": fail(
            "InvalidInput",
            "'artifactKey is {}: expected a key that begins with {}. Leave the field out for a key made of repository and tag.', States.JsonToString($.request.artifactKey), $.stack.artifactPrefix",
        ),
    };
}

/**
 * Finds the repository of the requested image among those that the stack may read, by comparing host and name as a
 * whole. What is left of the URI, tag and digest, is checked by the build, which has regular expressions.
 */
function findRepository(repositories: readonly EcrRepository[]): Record<string, State> {
    const found = (index: number) => `Repository ${index + 1}`;
    return {
        "Split off digest": {
            Type: "Pass",
            // The URI has a slash, as was tested: at least one part is left of it.
            Parameters: { "byDigest.$": "States.StringSplit($.request.imageUri, '@')" },
            ResultPath: "$.image",
            Next: "Split off tag",
        },
        "Split off tag": {
            Type: "Pass",
            Parameters: {
                "byDigest.$": "$.image.byDigest",
                "byTag.$": "States.StringSplit($.image.byDigest[0], ':')",
            },
            ResultPath: "$.image",
            Next: "Find repository",
        },
        "Find repository": {
            Type: "Choice",
            Choices: [
                { Not: present("$.image.byTag[0]"), Next: "Reject imageUri" },
                ...repositories.map((repository, index) => ({
                    Or: repositoryUris(repository).map((uri) => ({
                        Variable: "$.image.byTag[0]",
                        StringEquals: uri,
                    })),
                    Next: found(index),
                })),
            ],
            Default: "Reject repository",
        },
        ...Object.fromEntries(
            repositories.map(({ name }, index): [string, State] => [
                found(index),
                { Type: "Pass", Result: name, ResultPath: "$.image.repository", Next: "Choose key" },
            ]),
        ),
        "Reject repository": fail(
            "InvalidInput",
            "'imageUri is {}: this stack may not read that repository. Request an image of one that it may read, or add the ARN of the repository to repositoryArns or crossAccountRepositoryArns in the configuration of the stack.', States.JsonToString($.request.imageUri)",
        ),
    };
}

/** Takes the requested key, or makes one of repository and tag, or digest, as `defaultArtifactKey` does. */
function chooseKey(): Record<string, State> {
    const tag = "$.image.byTag[1]";
    const digest = "$.image.byDigest[1]";
    const key = (lastPart: string): State => ({
        Type: "Pass",
        Parameters: {
            "artifactKey.$": `States.Format('{}{}/{}.tar', $.stack.artifactPrefix, $.image.repository, ${lastPart})`,
        },
        ResultPath: "$.archive",
        Next: "Export image",
    });
    return {
        "Choose key": {
            Type: "Choice",
            Choices: [
                { ...present("$.request.artifactKey"), Next: "Key as requested" },
                { ...present(tag), Next: "Key of tag" },
                { Not: present(digest), Next: "Key of latest" },
                // A colon with something on both sides, so that there is a second part to split off.
                {
                    And: [
                        { Variable: digest, ...matches("sha256:*") },
                        { Not: { Variable: digest, ...matches("sha256:") } },
                        { Not: { Variable: digest, ...matches("sha256::*") } },
                    ],
                    Next: "Key of digest",
                },
            ],
            Default: "Reject imageUri",
        },
        "Key as requested": {
            Type: "Pass",
            Parameters: { "artifactKey.$": "$.request.artifactKey" },
            ResultPath: "$.archive",
            Next: "Export image",
        },
        "Key of tag": key(tag),
        "Key of digest": key(`States.ArrayGetItem(States.StringSplit(${digest}, ':'), 1)`),
        "Key of latest": key("'latest'"),
    };
}

/** Runs the build. Only what can pass is tried again: lack of capacity and throttling, never a failed build. */
function build(args: ExportDefinitionArgs): Record<string, State> {
    const totalMinutes = args.queuedTimeoutMinutes + args.timeoutMinutes + marginMinutes;
    return {
        "Export image": {
            Type: "Task",
            Resource: `arn:${args.partition}:states:::codebuild:startBuild.sync`,
            Parameters: {
                ProjectName: args.projectName,
                EnvironmentVariablesOverride: Object.entries(requestVariables[args.engine]).map(
                    ([name, value]) => ({
                        Name: name,
                        // Written out, so that no request can have a parameter or a secret read instead.
                        Type: "PLAINTEXT",
                        "Value.$": value,
                    }),
                ),
            },
            TimeoutSeconds: totalMinutes * 60,
            ResultPath: "$.done",
            Retry: [
                {
                    // The last three are the names under which a throttled or dropped call may show.
                    ErrorEquals: [
                        "CodeBuild.AccountLimitExceededException",
                        "CodeBuild.CodeBuildException",
                        "CodeBuild.AWSCodeBuildException",
                        "CodeBuild.ThrottlingException",
                        "CodeBuild.SdkClientException",
                    ],
                    IntervalSeconds: 5,
                    BackoffRate: 2,
                    MaxAttempts: 6,
                    MaxDelaySeconds: 60,
                    JitterStrategy: "FULL",
                },
            ],
            Catch: [
                { ErrorEquals: ["States.Timeout"], ResultPath: "$.failure", Next: "No end of build" },
                {
                    ErrorEquals: ["CodeBuild.InvalidInputException"],
                    ResultPath: "$.failure",
                    Next: "Reject values",
                },
                { ErrorEquals: ["States.ALL"], ResultPath: "$.failure", Next: "Does cause tell of build?" },
            ],
            Next: "Read results",
        },
        "No end of build": fail(
            "BuildTimedOut",
            `'No build came to its end within ${totalMinutes} minutes, the time in the queue included. See the builds of the project {}; if they wait in the queue, the account is at its limit of concurrent builds.', $.stack.projectName`,
        ),
        "Reject values": fail(
            "InvalidInput",
            "'CodeBuild refused the values of the request: {}', $.failure.Cause",
        ),
    };
}

/** Shapes the execution's output out of the variables that the build exported. */
function report(args: ExportDefinitionArgs): Record<string, State> {
    const results = Object.entries(resultVariables);
    return {
        "Read results": {
            Type: "Pass",
            Parameters: { "builds.$": "States.Array($.done.Build, $.stack.silentBuild)" },
            ResultPath: "$.found",
            Next: "Pick results",
        },
        "Pick results": {
            Type: "Pass",
            Parameters: {
                "ids.$": "$.found.builds[*].Id",
                ...Object.fromEntries(
                    results.map(([name, field]) => [`${field}.$`, valuesOf("$.found.builds", name)]),
                ),
            },
            ResultPath: "$.results",
            Next: "Any result missing?",
        },
        "Any result missing?": {
            Type: "Choice",
            Choices: [
                {
                    Or: results.map(([, field]) => ({ Variable: `$.results.${field}[0]`, StringEquals: "" })),
                    Next: "Result missing",
                },
            ],
            Default: "Exported",
        },
        "Result missing": fail(
            "ExportFailed",
            "'The build {} succeeded without reporting its results.', $.results.ids[0]",
        ),
        Exported: {
            Type: "Pass",
            Parameters: {
                "imageUri.$": "$.request.imageUri",
                "imageDigest.$": "$.results.imageDigest[0]",
                "platform.$": "$.request.platform",
                "artifactBucket.$": "$.request.artifactBucket",
                "artifactKey.$": "$.archive.artifactKey",
                "artifactVersionId.$": "$.results.artifactVersionId[0]",
                "sizeBytes.$": "States.StringToJson($.results.sizeBytes[0])",
                "sha256.$": "$.results.sha256[0]",
                "skipped.$": "States.StringToJson($.results.skipped[0])",
                engine: args.engine,
                "buildId.$": "$.results.ids[0]",
            },
            End: true,
        },
    };
}

/**
 * Turns the failure of the build into a named error. A failed build is reported as `States.TaskFailed` with the build
 * as JSON text in `Cause`. Whether bare or wrapped as in the result (`{ "Build": … }`) is not documented, so its fields
 * are looked for at any depth; whatever the text lacks, the execution still ends in a named error.
 */
function explainFailure(args: ExportDefinitionArgs): Record<string, State> {
    return {
        "Does cause tell of build?": {
            Type: "Choice",
            Choices: [{ ...string("$.failure.Cause", matches("{*}")), Next: "Read failed build" }],
            Default: "Fail as AWS says",
        },
        "Read failed build": {
            Type: "Parallel",
            Parameters: { "cause.$": "$.failure.Cause", silentBuild },
            Branches: [
                {
                    StartAt: "Parse build",
                    States: {
                        "Parse build": {
                            Type: "Pass",
                            Parameters: {
                                "builds.$": "States.Array(States.StringToJson($.cause), $.silentBuild)",
                            },
                            Next: "Pick error",
                        },
                        "Pick error": {
                            Type: "Pass",
                            Parameters: {
                                "statuses.$": "$.builds..BuildStatus",
                                "logs.$": "$.builds..DeepLink",
                                "errors.$": valuesOf("$.builds", "EXPORT_ERROR"),
                                "causes.$": valuesOf("$.builds", "EXPORT_CAUSE"),
                            },
                            End: true,
                        },
                    },
                },
            ],
            ResultSelector: { "build.$": "$[0]" },
            ResultPath: "$.failed",
            Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.unread", Next: "Fail as AWS says" }],
            Next: "What failed?",
        },
        "What failed?": {
            Type: "Choice",
            Choices: [
                {
                    Or: buildErrors.map((error) => ({
                        Variable: "$.failed.build.errors[0]",
                        StringEquals: error,
                    })),
                    Next: "Fail as build says",
                },
                {
                    Variable: "$.failed.build.statuses[0]",
                    StringEquals: "TIMED_OUT",
                    Next: "Build timed out",
                },
            ],
            Default: "Build failed",
        },
        "Fail as build says": {
            Type: "Pass",
            Parameters: {
                "error.$": "$.failed.build.errors[0]",
                "cause.$": "States.Format('{} (Log: {})', $.failed.build.causes[0], $.failed.build.logs[0])",
            },
            Next: "Failed",
        },
        "Build timed out": fail(
            "BuildTimedOut",
            `'The build was stopped at its timeout of ${args.timeoutMinutes} minutes, or waited ${args.queuedTimeoutMinutes} minutes in the queue. Raise compute.timeoutMinutes or choose a larger compute.type. Log: {}', $.failed.build.logs[0]`,
        ),
        "Build failed": fail(
            "ExportFailed",
            "'The build ended as {} without naming an error. Log: {}', $.failed.build.statuses[0], $.failed.build.logs[0]",
        ),
        "Fail as AWS says": fail("ExportFailed", "'{}: {}', $.failure.Error, $.failure.Cause"),
    };
}

/** A state that names the error, for the Fail state to report. `cause` is the argument list of `States.Format`. */
export function fail(error: string, cause: string): State {
    return {
        Type: "Pass",
        Parameters: { error, "cause.$": `States.Format(${cause})` },
        Next: "Failed",
    };
}

/** A test for `os/architecture[/variant]`, or, with engine `stream`, the word for every platform of an index. */
function platform(engine: EngineName): object {
    const one = string("$.request.platform", matches("*/*"));
    return engine === "docker" ? one : { Or: [one, string("$.request.platform", { StringEquals: "all" })] };
}

/** A test that a value is a string and passes `test`: comparisons of other types are never made. */
export function string(variable: string, test: object): object {
    return {
        And: [present(variable), { Variable: variable, IsString: true }, { Variable: variable, ...test }],
    };
}

/** The values of an exported variable in a list of builds, bare or wrapped, that of the first build first. */
function valuesOf(builds: string, name: string): string {
    return `${builds}..ExportedEnvironmentVariables[?(@.Name=='${name}')].Value`;
}

/** A test that there is a value. */
export function present(variable: string): object {
    return { Variable: variable, IsPresent: true };
}

/** A test of a text against a pattern whose `*` stands for any characters. */
export function matches(pattern: string): object {
    return { StringMatches: pattern };
}
