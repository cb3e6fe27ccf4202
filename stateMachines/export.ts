/**
 * The state machine's definition, in Amazon States Language (states-language.net/spec.html). Pure: arguments in,
 * document out. JSONPath throughout.
 *
 * The document is written so that no request can end an execution in `States.Runtime`, which nothing can catch: each
 * path is tested for presence before it is read, and no intrinsic function is given what it might refuse. The one
 * text that cannot be tested beforehand, what AWS says of a failed build, is parsed inside a Parallel state of one
 * branch, the language's only way to catch the failure of a Pass state.
 */
import type { AwsLocation } from "../contract/aws";
import type * as pulumi from "@pulumi/pulumi";

import type { EngineName } from "../contract/engine";
import { type EcrRepository, repositoryArn, repositoryUris } from "../contract/image";

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
    /** Where the stack lives. */
    readonly at: AwsLocation<pulumi.Input<string>>;
    /** Name of the CodeBuild project that exports one image. */
    readonly projectName: pulumi.Input<string>;
    /** How that project makes the archive; part of the result. */
    readonly engine: EngineName;
    /** Image that is exported when a request names none. */
    readonly imageUri: string;
    /** Repositories whose images may be requested. */
    readonly repositories: readonly EcrRepository[];
    /**
     * Those of them that a pull-through cache fills when a build pulls.
     *
     * @default none
     */
    readonly cachedRepositories?: readonly EcrRepository[];
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Key prefix of the archives, with its closing slash. */
    readonly artifactPrefix: string;
    /** Minutes that a build may run. */
    readonly timeoutMinutes: number;
    /** Minutes that a request may wait for CodeBuild to accept its build, and that the build may wait in the queue. */
    readonly queuedTimeoutMinutes: number;
}

/** The platform that is exported when a request names none. */
export const defaultPlatform = "linux/amd64";

/** The errors that a build can name, and its exit status for each; `BuildTimedOut` is found by the state machine. */
export const buildErrors = {
    ExportFailed: 1,
    InvalidInput: 2,
    ImageNotFound: 3,
    AccessDenied: 4,
    DigestMismatch: 5,
} as const;

export type { EngineName };

/** The variables that the state machine sets for each build, over those of the project, and where each comes from. */
export const requestVariables = {
    IMAGE_URI: "$.request.imageUri",
    PLATFORM: "$.request.platform",
    FORCE: "States.Format('{}', $.request.force)",
    EXECUTION_ID: "$$.Execution.Id",
    ARTIFACT_BUCKET: "$.request.artifactBucket",
    ARTIFACT_KEY: "$.archive.artifactKey",
} as const;

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
    Phases: [
        { PhaseType: "BUILD", PhaseStatus: "FAILED", Contexts: [{ Message: "" }] },
        { PhaseType: "BUILD", PhaseStatus: "TIMED_OUT" },
    ],
    Logs: { DeepLink: "none was written." },
};

// For one call that answers within a second; on no answer the build decides.
const lookUpSeconds = 30;

// What the timeout of the task leaves for provisioning and for the event that tells of the build's end.
const marginMinutes = 10;

/**
 * The state machine that serves one request: checks it, looks whether the export is there already, starts a build if it is
 * not, waits for that, and reports the result or a named error.
 */
export function exportDefinition(args: ExportDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Exports one container image from Amazon ECR to S3 as a tar archive",
        StartAt: "Read input",
        States: {
            ...readRequest(args),
            ...findRepository(args),
            ...readReference(),
            ...chooseKey(),
            ...findDigest(args.at),
            ...findExport(args),
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
                        {
                            Or: [
                                { Not: string("$.request.artifactKey", matches(`${artifactPrefix}*`)) },
                                // Where the record of another archive lies.
                                string("$.request.artifactKey", matches("*.json")),
                            ],
                        },
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
            "'artifactKey is {}: expected a key that begins with {} and does not end in .json, as export records do. Leave the field out for a key made of repository and tag.', States.JsonToString($.request.artifactKey), $.stack.artifactPrefix",
        ),
    };
}

/**
 * Finds the repository of the requested image among those that the stack may read, by comparing host and name as a
 * whole. What is left of the URI, tag and digest, is checked by the build, which has regular expressions.
 */
function findRepository(args: ExportDefinitionArgs): Record<string, State> {
    const { repositories } = args;
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
            repositories.map((repository, index): [string, State] => [
                found(index),
                {
                    Type: "Pass",
                    Result: {
                        name: repository.name,
                        accountId: repository.accountId,
                        isAskable: isAskable(args, repository),
                    },
                    ResultPath: "$.image.repository",
                    Next: "What reference?",
                },
            ]),
        ),
        "Reject repository": fail(
            "InvalidInput",
            "'imageUri is {}: this stack may not read that repository. Request an image of one that it may read, or add the ARN of the repository to repositoryArns or crossAccountRepositoryArns in the configuration of the stack.', States.JsonToString($.request.imageUri)",
        ),
    };
}

/**
 * Reads tag and digest of the URI, and the name that the archive carries. The parts have to give the whole again: what a
 * build would refuse must not be taken here for something else.
 */
function readReference(): Record<string, State> {
    const repository = "$.image.byTag[0]";
    const tag = "$.image.byTag[1]";
    const digest = "$.image.byDigest[1]";
    const reference = (parts: object): State => ({
        Type: "Pass",
        Parameters: parts,
        ResultPath: "$.reference",
        Next: "Is reference whole?",
    });
    return {
        "What reference?": {
            Type: "Choice",
            Choices: [
                // A colon with something on both sides, so that there is a second part to split off.
                {
                    And: [
                        present(digest),
                        {
                            Or: [
                                { Not: { Variable: digest, ...matches("sha256:*") } },
                                { Variable: digest, ...matches("sha256:") },
                                { Variable: digest, ...matches("sha256:*:*") },
                            ],
                        },
                    ],
                    Next: "Reject imageUri",
                },
                {
                    // What ECR would look for, although no tag can be so.
                    And: [
                        present(tag),
                        {
                            Or: [
                                { Variable: tag, StringEquals: "" },
                                { Variable: tag, ...matches("-*") },
                                { Variable: tag, ...matches(".*") },
                            ],
                        },
                    ],
                    Next: "Reject imageUri",
                },
                { And: [present(tag), present(digest)], Next: "Tag and digest" },
                { ...present(tag), Next: "Tag" },
                { ...present(digest), Next: "Digest" },
            ],
            Default: "Latest",
        },
        "Tag and digest": reference({
            "uri.$": `States.Format('{}:{}@{}', ${repository}, ${tag}, ${digest})`,
            "name.$": `States.Format('{}:{}', ${repository}, ${tag})`,
            "stem.$": tag,
            "digest.$": digest,
        }),
        Tag: reference({
            "uri.$": `States.Format('{}:{}', ${repository}, ${tag})`,
            "name.$": `States.Format('{}:{}', ${repository}, ${tag})`,
            "stem.$": tag,
            "tag.$": tag,
        }),
        Digest: reference({
            "uri.$": `States.Format('{}@{}', ${repository}, ${digest})`,
            "name.$": `States.Format('{}@{}', ${repository}, ${digest})`,
            "stem.$": `States.ArrayGetItem(States.StringSplit(${digest}, ':'), 1)`,
            "digest.$": digest,
        }),
        Latest: reference({
            "uri.$": repository,
            "name.$": `States.Format('{}:latest', ${repository})`,
            stem: "latest",
            tag: "latest",
        }),
        "Is reference whole?": {
            Type: "Choice",
            Choices: [
                {
                    Variable: "$.reference.uri",
                    StringEqualsPath: "$.request.imageUri",
                    Next: "Choose key",
                },
            ],
            Default: "Reject imageUri",
        },
    };
}

/** Takes the requested key, or makes one of repository and tag, or digest, as `defaultArtifactKey` does. */
function chooseKey(): Record<string, State> {
    const key = (expression: string): State => ({
        Type: "Pass",
        Parameters: { "artifactKey.$": expression },
        ResultPath: "$.archive",
        Next: "Is digest known?",
    });
    return {
        "Choose key": {
            Type: "Choice",
            Choices: [{ ...present("$.request.artifactKey"), Next: "Key as requested" }],
            Default: "Key of image",
        },
        "Key as requested": key("$.request.artifactKey"),
        "Key of image": key(
            "States.Format('{}{}/{}.tar', $.stack.artifactPrefix, $.image.repository.name, $.reference.stem)",
        ),
    };
}

/**
 * Whether ECR can be asked, should the repository be of the stack's own account, which image a tag means: an SDK
 * integration reaches the stack's own region. A pull-through cache would tell what it has imported, where a pull
 * looks for something newer.
 */
export function isAskable(
    { at, cachedRepositories = [] }: Pick<ExportDefinitionArgs, "at" | "cachedRepositories">,
    repository: EcrRepository,
): boolean {
    const isCached = cachedRepositories.some((cached) => repositoryArn(cached) === repositoryArn(repository));
    return repository.region === at.region && !isCached;
}

/**
 * Finds the digest that the request means: in the URI, or by asking ECR. A tag that ECR does not have ends the execution
 * here; whatever else ECR says, the build will find out.
 */
function findDigest(at: AwsLocation<pulumi.Input<string>>): Record<string, State> {
    const told = "$.asked.ImageDetails[0].ImageDigest";
    const digest = (path: string): State => ({
        Type: "Pass",
        Parameters: { "digest.$": path },
        ResultPath: "$.wanted",
        Next: "Look at record",
    });
    return {
        "Is digest known?": {
            Type: "Choice",
            Choices: [
                { Variable: "$.request.force", BooleanEquals: true, Next: "Export image" },
                { ...present("$.reference.digest"), Next: "Digest as requested" },
                {
                    And: [
                        { Variable: "$.image.repository.accountId", StringEquals: at.accountId },
                        { Variable: "$.image.repository.isAskable", BooleanEquals: true },
                    ],
                    Next: "Ask ECR",
                },
            ],
            Default: "Export image",
        },
        "Ask ECR": {
            Type: "Task",
            Resource: `arn:${at.partition}:states:::aws-sdk:ecr:describeImages`,
            Parameters: {
                "RepositoryName.$": "$.image.repository.name",
                ImageIds: [{ "ImageTag.$": "$.reference.tag" }],
            },
            TimeoutSeconds: lookUpSeconds,
            ResultPath: "$.asked",
            Retry: [{ ErrorEquals: ["Ecr.ThrottlingException"], ...patience(3) }],
            Catch: [
                {
                    ErrorEquals: ["Ecr.ImageNotFoundException"],
                    ResultPath: "$.failure",
                    Next: "No such image",
                },
                { ErrorEquals: ["States.ALL"], ResultPath: "$.asked", Next: "Export image" },
            ],
            Next: "Does ECR tell?",
        },
        "No such image": fail(
            "ImageNotFound",
            "'{} does not exist in the registry. {}', $.request.imageUri, $.failure.Cause",
        ),
        "Does ECR tell?": {
            Type: "Choice",
            Choices: [{ ...string(told, matches("sha256:*")), Next: "Digest as ECR says" }],
            Default: "Export image",
        },
        "Digest as requested": digest("$.reference.digest"),
        "Digest as ECR says": digest(told),
    };
}

/**
 * Looks whether the export is at the key already, and reports it if it is. What belongs to it is said by the metadata of
 * the record's object (exporter/record.ts), which names the version of the archive that it describes. Whatever S3 does
 * not say is taken for no, and the build decides: 404 and, for want of `s3:ListBucket`, 403 tell of what is not there.
 */
function findExport(args: ExportDefinitionArgs): Record<string, State> {
    const look = (key: string, resultPath: string, next: string): State => ({
        Type: "Task",
        Resource: `arn:${args.at.partition}:states:::aws-sdk:s3:headObject`,
        Parameters: { "Bucket.$": "$.request.artifactBucket", "Key.$": key },
        TimeoutSeconds: lookUpSeconds,
        ResultPath: resultPath,
        Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: resultPath, Next: "Export image" }],
        Next: next,
    });
    const said = (name: string) => `$.record.Metadata['${name}']`;
    const isDigest = (name: string) => string(said(name), { StringEqualsPath: "$.wanted.digest" });
    return {
        "Look at record": look(
            "States.Format('{}.json', $.archive.artifactKey)",
            "$.record",
            "Look at archive",
        ),
        "Look at archive": look("$.archive.artifactKey", "$.found", "Is export there?"),
        "Is export there?": {
            Type: "Choice",
            Choices: [
                {
                    And: [
                        string("$.found.VersionId", matches("*")),
                        string(said("archive-version-id"), { StringEqualsPath: "$.found.VersionId" }),
                        string(said("engine"), { StringEquals: args.engine }),
                        string(said("image-name"), { StringEqualsPath: "$.reference.name" }),
                        string(said("platform"), { StringEqualsPath: "$.request.platform" }),
                        string(said("image-digest"), matches("*")),
                        { Or: [isDigest("image-digest"), isDigest("index-digest")] },
                        string(said("archive-sha256"), matches("*")),
                        present("$.found.ContentLength"),
                    ],
                    Next: "Skipped",
                },
            ],
            Default: "Export image",
        },
        Skipped: {
            Type: "Pass",
            Parameters: {
                "imageUri.$": "$.request.imageUri",
                "imageDigest.$": said("image-digest"),
                "platform.$": "$.request.platform",
                "artifactBucket.$": "$.request.artifactBucket",
                "artifactKey.$": "$.archive.artifactKey",
                "artifactVersionId.$": "$.found.VersionId",
                "sizeBytes.$": "$.found.ContentLength",
                "sha256.$": said("archive-sha256"),
                skipped: true,
                engine: args.engine,
                buildId: null,
            },
            End: true,
        },
    };
}

/** Lack of capacity, and throttling: what passes if one waits. */
const capacityErrors = ["CodeBuild.AccountLimitExceededException", "CodeBuild.ThrottlingException"];

/** The names under which a dropped or throttled call may show, but also a call that is denied. */
const unclearErrors = [
    "CodeBuild.AWSCodeBuildException",
    "CodeBuild.CodeBuildException",
    "CodeBuild.SdkClientException",
];

/** Runs the build. Only what can pass is tried again: lack of capacity and throttling, never a failed build. */
function build(args: ExportDefinitionArgs): Record<string, State> {
    const { queuedTimeoutMinutes } = args;
    const totalMinutes = queuedTimeoutMinutes + args.timeoutMinutes + marginMinutes;
    return {
        "Export image": {
            Type: "Task",
            Resource: `arn:${args.at.partition}:states:::codebuild:startBuild.sync`,
            Parameters: {
                ProjectName: args.projectName,
                EnvironmentVariablesOverride: Object.entries(requestVariables).map(([name, value]) => ({
                    Name: name,
                    // Written out, so that no request can have a parameter or a secret read instead.
                    Type: "PLAINTEXT",
                    "Value.$": value,
                })),
            },
            TimeoutSeconds: totalMinutes * 60,
            ResultPath: "$.done",
            Retry: [
                // 5, 10, 20 and 40 s, then a minute each: in all at most as long as a build may wait in the queue.
                { ErrorEquals: capacityErrors, ...patience(queuedTimeoutMinutes + 2) },
                { ErrorEquals: unclearErrors, ...patience(3) },
            ],
            Catch: [
                { ErrorEquals: ["States.Timeout"], ResultPath: "$.failure", Next: "No end of build" },
                { ErrorEquals: capacityErrors, ResultPath: "$.failure", Next: "No capacity" },
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
        "No capacity": fail(
            "BuildTimedOut",
            `'CodeBuild accepted no build within ${queuedTimeoutMinutes} minutes. {}: {}. Ask for more concurrent builds in Service Quotas, start fewer exports at a time, or raise compute.queuedTimeoutMinutes.', $.failure.Error, $.failure.Cause`,
        ),
        "Reject values": fail(
            "InvalidInput",
            "'CodeBuild refused the values of the request: {}', $.failure.Cause",
        ),
    };
}

/** Waits between attempts: twice as long each time, up to a minute, and each time a random part of that. */
function patience(attempts: number): object {
    return {
        IntervalSeconds: 5,
        BackoffRate: 2,
        MaxAttempts: attempts,
        MaxDelaySeconds: 60,
        JitterStrategy: "FULL",
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
    // Exit status 1 can be anything, ExportFailed among it.
    const namedErrors = Object.entries(buildErrors).filter(([error]) => error !== "ExportFailed");
    const timedOut = { Variable: "$.failed.build.statuses[0]", StringEquals: "TIMED_OUT" };
    return {
        "Does cause tell of build?": {
            Type: "Choice",
            Choices: [
                { ...string("$.failure.Cause", matches("{*}")), Next: "Read failed build" },
                // A text that was cut off.
                ...namedErrors.map(([error, status]) => ({
                    And: [
                        string("$.failure.Cause", matches("{*")),
                        {
                            Or: [
                                `*"EXPORT_ERROR","Value":"${error}"*`,
                                `*Reason: exit status ${status}"*`,
                            ].map((pattern) => ({ Variable: "$.failure.Cause", ...matches(pattern) })),
                        },
                    ],
                    Next: `Cut off ${error}`,
                })),
                {
                    Or: [
                        { Variable: "$.failure.Error", StringEquals: "CodeBuild.AccessDeniedException" },
                        { Variable: "$.failure.Error", StringEquals: "States.Permissions" },
                        string("$.failure.Cause", matches("*AccessDenied*")),
                    ],
                    Next: "Denied",
                },
            ],
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
                                "ids.$": "$.builds..Id",
                                "statuses.$": "$.builds..BuildStatus",
                                "logs.$": "$.builds..DeepLink",
                                "errors.$": valuesOf("$.builds", "EXPORT_ERROR"),
                                "causes.$": valuesOf("$.builds", "EXPORT_CAUSE"),
                                "messages.$": "$.builds..Phases[?(@.PhaseStatus=='FAILED')]..Message",
                                "timedOut.$": "$.builds..Phases[?(@.PhaseStatus=='TIMED_OUT')].PhaseType",
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
                    Or: ["ids", "statuses", "logs", "errors", "causes"].map((field) => ({
                        Not: { Variable: `$.failed.build.${field}[0]`, IsString: true },
                    })),
                    Next: "Fail as AWS says",
                },
                {
                    Or: Object.keys(buildErrors).map((error) => ({
                        Variable: "$.failed.build.errors[0]",
                        StringEquals: error,
                    })),
                    Next: "Fail as build says",
                },
                // Where the variables of a failed build do not come along, its exit status does.
                ...namedErrors.map(([error, status]) => ({
                    ...string("$.failed.build.messages[0]", matches(`*exit status ${status}`)),
                    Next: `Silent ${error}`,
                })),
                {
                    And: [timedOut, { Variable: "$.failed.build.timedOut[0]", StringEquals: "QUEUED" }],
                    Next: "Queue timed out",
                },
                { ...timedOut, Next: "Build timed out" },
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
        ...Object.fromEntries(
            namedErrors.flatMap(([error, status]): [string, State][] => [
                [
                    `Silent ${error}`,
                    fail(
                        error,
                        `'The build ended with exit status ${status}; its log says why. Log: {}', $.failed.build.logs[0]`,
                    ),
                ],
                [
                    `Cut off ${error}`,
                    fail(
                        error,
                        "'The log of the build says why. See the builds of the project {}.', $.stack.projectName",
                    ),
                ],
            ]),
        ),
        "Build timed out": fail(
            "BuildTimedOut",
            `'The build was stopped at its timeout of ${args.timeoutMinutes} minutes. Raise compute.timeoutMinutes or choose a larger compute.type. Log: {}', $.failed.build.logs[0]`,
        ),
        "Queue timed out": fail(
            "BuildTimedOut",
            `'The build {} waited ${args.queuedTimeoutMinutes} minutes in the queue of CodeBuild, which has no room for it. Ask for more concurrent builds in Service Quotas, start fewer exports at a time, or raise compute.queuedTimeoutMinutes.', $.failed.build.ids[0]`,
        ),
        "Build failed": fail(
            "ExportFailed",
            "'The build ended as {} without naming an error. Log: {}', $.failed.build.statuses[0], $.failed.build.logs[0]",
        ),
        Denied: fail("AccessDenied", "'{}: {}', $.failure.Error, $.failure.Cause"),
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
