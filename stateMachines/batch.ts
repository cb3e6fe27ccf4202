/**
 * The definition of the state machine that exports many images. Pure, and written under the rules of definition.ts:
 * JSONPath throughout, and no request can end an execution in `States.Runtime`.
 *
 * A Distributed Map starts one execution of the export state machine for each image. An image that fails, fails its
 * child execution and nobody else's; what became of each one is written to S3 by the Map itself, and the Map Run
 * counts them, so that no number of images is too large for the payload or the history of an execution.
 */
import type * as pulumi from "@pulumi/pulumi";

import { fail, matches, present, type State, type StateMachineDefinition, string } from "./export";

/** Key prefix of the manifests, which people put there. */
export const manifestPrefix = "batches/";

/** Key prefix of the results: a folder for each execution, in it one for each Map Run. */
export const resultPrefix = "batch-results/";

/** How the names of a batch's exports begin: the batch tells of them, and so no message does. */
export const exportNamePrefix = "batch-";

/** Arguments of {@link batchDefinition}. */
export interface BatchDefinitionArgs {
    /** AWS partition of the stack, for instance `aws`. */
    readonly partition: string;
    /** ARN of the state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
    /** Name of the bucket of the archives, where manifests are read and results are written. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Images that are exported at a time, 1 to 10,000. */
    readonly maxConcurrency: number;
}

/** The forms of a manifest: by the ending of its key, as Step Functions has to be told which one it reads. */
const manifestForms = [
    { ending: ".json", form: "JSON", config: { InputType: "JSON" } },
    { ending: ".jsonl", form: "JSON Lines", config: { InputType: "JSONL" } },
    { ending: ".csv", form: "CSV", config: { InputType: "CSV", CSVHeaderLocation: "FIRST_ROW" } },
];

/**
 * The state machine that serves a batch: checks it, exports every image, counts, and ends well when all were
 * exported.
 *
 * Its input is `{ "images": [request, …] }` or `{ "manifest": { "bucket", "key" } }`, with `"allowFailures": true` for a
 * batch that ends well whatever becomes of its images. A request is that of the export state machine, or an image URI
 * alone.
 */
export function batchDefinition(args: BatchDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Exports many container images, each by an execution of the export state machine",
        StartAt: "Read input",
        States: {
            ...readBatch(args),
            "Export images": exportEach(args, "images", { ItemsPath: "$.batch.images" }),
            ...Object.fromEntries(
                manifestForms.map(({ form, config }) => [
                    `Export images of ${form}`,
                    exportEach(args, form.replace(" ", ""), {
                        ItemReader: {
                            Resource: `arn:${args.partition}:states:::s3:getObject`,
                            ReaderConfig: config,
                            Parameters: {
                                "Bucket.$": "$.batch.manifest.bucket",
                                "Key.$": "$.batch.manifest.key",
                            },
                        },
                    }),
                ]),
            ),
            ...sumUp(args),
            Failed: { Type: "Fail", ErrorPath: "$.error", CausePath: "$.cause" },
        },
    };
}

/** Checks the input and finds the Map that reads it. */
function readBatch({ artifactBucket }: BatchDefinitionArgs): Record<string, State> {
    const key = "$.batch.manifest.key";
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
            Parameters: { "input.$": "$$.Execution.Input", defaults: { allowFailures: false } },
            Next: "Merge defaults",
        },
        "Merge defaults": {
            Type: "Pass",
            Parameters: {
                "batch.$": "States.JsonMerge($.defaults, $.input, false)",
                stack: { artifactBucket },
            },
            Next: "Check batch",
        },
        "Check batch": {
            Type: "Choice",
            Choices: [
                {
                    Not: { Variable: "$.batch.allowFailures", IsBoolean: true },
                    Next: "Reject allowFailures",
                },
                { And: [present("$.batch.images"), present("$.batch.manifest")], Next: "Reject input" },
                { ...present("$.batch.images"), Next: "Read images" },
                { ...present("$.batch.manifest"), Next: "Check manifest" },
            ],
            Default: "Reject input",
        },
        "Read images": {
            Type: "Pass",
            Parameters: { "text.$": "States.JsonToString($.batch.images)" },
            ResultPath: "$.images",
            Next: "Are images a list?",
        },
        "Are images a list?": {
            Type: "Choice",
            Choices: [
                { Variable: "$.images.text", StringEquals: "[]", Next: "Nothing to export" },
                { Variable: "$.images.text", ...matches("[*"), Next: "Export images" },
            ],
            Default: "Reject images",
        },
        "Nothing to export": {
            Type: "Pass",
            Result: { total: 0, exported: 0, text: "0 of 0 exported" },
            End: true,
        },
        "Check manifest": {
            Type: "Choice",
            Choices: [
                {
                    Not: string("$.batch.manifest.bucket", { StringEquals: artifactBucket }),
                    Next: "Reject manifest",
                },
                ...manifestForms.map(({ ending, form }) => ({
                    ...string(key, matches(`${manifestPrefix}*${ending}`)),
                    Next: `Export images of ${form}`,
                })),
            ],
            Default: "Reject manifest",
        },
        "Reject input": {
            Type: "Pass",
            Result: {
                error: "InvalidInput",
                cause: 'The input of the execution is not a batch. Give { "images": [request, …] } or { "manifest": { "bucket": …, "key": … } }, one of the two.',
            },
            Next: "Failed",
        },
        "Reject images": fail(
            "InvalidInput",
            "'images is {}: expected a list of requests, or of image URIs.', $.images.text",
        ),
        "Reject manifest": fail(
            "InvalidInput",
            `'manifest is {}: expected an object of the bucket {} whose key begins with ${manifestPrefix} and ends with ${manifestForms.map(({ ending }) => ending).join(", ")}.', States.JsonToString($.batch.manifest), $.stack.artifactBucket`,
        ),
        "Reject allowFailures": fail(
            "InvalidInput",
            "'allowFailures is {}: expected true or false.', States.JsonToString($.batch.allowFailures)",
        ),
    };
}

/** A Distributed Map that exports every image of its items. */
function exportEach(args: BatchDefinitionArgs, label: string, items: object): State {
    return {
        Type: "Map",
        Label: label,
        ...items,
        ItemSelector: { "request.$": "$$.Map.Item.Value", "batch.$": "$$.Execution.Id" },
        ItemProcessor: {
            // STANDARD: a child waits for a build, and an EXPRESS execution lasts five minutes at most.
            ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
            ...withSuffix(exportOne(args), ` (${label})`),
        },
        MaxConcurrency: args.maxConcurrency,
        // The Map goes on whatever becomes of an image; what counts is decided by the counts.
        ToleratedFailurePercentage: 100,
        ResultWriter: {
            Resource: `arn:${args.partition}:states:::s3:putObject`,
            Parameters: {
                Bucket: args.artifactBucket,
                "Prefix.$": `States.Format('${resultPrefix}{}', $$.Execution.Name)`,
            },
            WriterConfig: { Transformation: "COMPACT", OutputType: "JSONL" },
        },
        ResultPath: "$.run",
        Catch: [
            { ErrorEquals: ["States.ItemReaderFailed"], ResultPath: "$.failure", Next: "Reject content" },
            { ErrorEquals: ["States.ALL"], ResultPath: "$.failure", Next: "Fail as AWS says" },
        ],
        Next: "Count results",
    };
}

/** One image: an execution of the export state machine, whose output or error becomes that of the child execution. */
function exportOne(args: BatchDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Exports one image of the batch",
        StartAt: "Is it a URI?",
        States: {
            "Is it a URI?": {
                Type: "Choice",
                Choices: [{ Variable: "$.request", IsString: true, Next: "Take URI" }],
                Default: "Is force a text?",
            },
            "Take URI": {
                Type: "Pass",
                Parameters: { "imageUri.$": "$.request" },
                ResultPath: "$.request",
                Next: "Name export",
            },
            // The cells of a CSV file are texts.
            "Is force a text?": {
                Type: "Choice",
                Choices: ["true", "false"].map((text) => ({
                    ...string("$.request.force", { StringEquals: text }),
                    Next: "Read force",
                })),
                Default: "Name export",
            },
            "Read force": {
                Type: "Pass",
                Parameters: { "value.$": "States.StringToJson($.request.force)" },
                ResultPath: "$.force",
                Next: "Take force",
            },
            "Take force": {
                Type: "Pass",
                InputPath: "$.force.value",
                ResultPath: "$.request.force",
                Next: "Name export",
            },
            // The same request twice in a batch has the same name twice, and so is one execution. A hash is made of at most
            // 10,000 characters: docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
            "Name export": {
                Type: "Parallel",
                Branches: [
                    {
                        StartAt: "Hash request",
                        States: {
                            "Hash request": {
                                Type: "Pass",
                                Parameters: {
                                    "name.$": `States.Format('${exportNamePrefix}{}', States.Hash(States.JsonToString($), 'SHA-256'))`,
                                },
                                End: true,
                            },
                        },
                    },
                ],
                ResultSelector: { "name.$": "$[0].name" },
                ResultPath: "$.export",
                Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.failure", Next: "Reject request" }],
                Next: "Export",
            },
            "Reject request": {
                Type: "Pass",
                Result: {
                    error: "InvalidInput",
                    cause: "The request is longer than 10,000 characters.",
                },
                Next: "Image failed",
            },
            Export: {
                Type: "Task",
                Resource: `arn:${args.partition}:states:::states:startExecution.sync:2`,
                Parameters: {
                    StateMachineArn: args.exportMachineArn,
                    "Name.$": "$.export.name",
                    "Input.$": "$.request",
                },
                Retry: [
                    {
                        ErrorEquals: [
                            "StepFunctions.ExecutionLimitExceededException",
                            "StepFunctions.ThrottlingException",
                            "StepFunctions.SdkClientException",
                            "StepFunctions.AWSStepFunctionsException",
                        ],
                        IntervalSeconds: 5,
                        BackoffRate: 2,
                        MaxAttempts: 8,
                        MaxDelaySeconds: 120,
                        JitterStrategy: "FULL",
                    },
                ],
                Catch: [
                    {
                        ErrorEquals: ["StepFunctions.ExecutionAlreadyExistsException"],
                        ResultPath: "$.failure",
                        Next: "Duplicate",
                    },
                    { ErrorEquals: ["States.ALL"], ResultPath: "$.failure", Next: "Read failure" },
                ],
                OutputPath: "$.Output",
                End: true,
            },
            // Its twin has been exported already, or has failed and is counted there.
            Duplicate: {
                Type: "Pass",
                Parameters: { "request.$": "$.request", duplicate: true },
                End: true,
            },
            "Read failure": {
                Type: "Parallel",
                Branches: [
                    {
                        StartAt: "Parse execution",
                        States: {
                            "Parse execution": {
                                Type: "Pass",
                                Parameters: { "execution.$": "States.StringToJson($.failure.Cause)" },
                                Next: "Pick failure",
                            },
                            "Pick failure": {
                                Type: "Pass",
                                Parameters: {
                                    "error.$": "$.execution.Error",
                                    "cause.$": "$.execution.Cause",
                                },
                                End: true,
                            },
                        },
                    },
                ],
                ResultSelector: { "error.$": "$[0].error", "cause.$": "$[0].cause" },
                Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.unread", Next: "Not exported" }],
                Next: "Image failed",
            },
            "Not exported": {
                Type: "Pass",
                Parameters: {
                    error: "ExportFailed",
                    "cause.$": "States.Format('{}: {}', $.failure.Error, $.failure.Cause)",
                },
                Next: "Image failed",
            },
            "Image failed": { Type: "Fail", ErrorPath: "$.error", CausePath: "$.cause" },
        },
    };
}

/** The same states under names of their own: no two states of a machine may share one, wherever they are. */
function withSuffix<T>(part: T, suffix: string): T {
    if (Array.isArray(part)) return part.map((each: unknown) => withSuffix(each, suffix)) as T;
    // Outputs are objects as well, of a class of their own.
    if (typeof part !== "object" || part === null || Object.getPrototypeOf(part) !== Object.prototype)
        return part;
    const renamed = Object.entries(part).map(([field, value]: [string, unknown]) => {
        if (["StartAt", "Next", "Default"].includes(field)) return [field, `${String(value)}${suffix}`];
        if (field !== "States") return [field, withSuffix(value, suffix)];
        const states = Object.entries(value as Record<string, State>);
        const all = states.map(([name, state]) => [`${name}${suffix}`, withSuffix(state, suffix)]);
        return [field, Object.fromEntries(all) as Record<string, State>];
    });
    return Object.fromEntries(renamed) as T;
}

/** Asks the Map Run how many images were exported, and says so. */
function sumUp({ partition }: BatchDefinitionArgs): Record<string, State> {
    return {
        "Count results": {
            Type: "Task",
            Resource: `arn:${partition}:states:::aws-sdk:sfn:describeMapRun`,
            Parameters: { "MapRunArn.$": "$.run.MapRunArn" },
            ResultSelector: { "total.$": "$.ItemCounts.Total", "exported.$": "$.ItemCounts.Succeeded" },
            ResultPath: "$.counts",
            Retry: [
                { ErrorEquals: ["Sfn.AccessDeniedException"], MaxAttempts: 0 },
                { ErrorEquals: ["States.ALL"], IntervalSeconds: 2, BackoffRate: 2, MaxAttempts: 5 },
            ],
            Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.failure", Next: "Fail as AWS says" }],
            Next: "Sum up",
        },
        "Sum up": {
            Type: "Pass",
            Parameters: {
                "allowFailures.$": "$.batch.allowFailures",
                summary: {
                    "total.$": "$.counts.total",
                    "exported.$": "$.counts.exported",
                    results: {
                        "bucket.$": "$.run.ResultWriterDetails.Bucket",
                        "key.$": "$.run.ResultWriterDetails.Key",
                    },
                    "text.$": "States.Format('{} of {} exported', $.counts.exported, $.counts.total)",
                },
            },
            Next: "Were all exported?",
        },
        "Were all exported?": {
            Type: "Choice",
            Choices: [
                {
                    Or: [
                        {
                            Variable: "$.summary.exported",
                            NumericEqualsPath: "$.summary.total",
                        },
                        { Variable: "$.allowFailures", BooleanEquals: true },
                    ],
                    Next: "Report",
                },
            ],
            Default: "Tell of failures",
        },
        Report: { Type: "Succeed", OutputPath: "$.summary" },
        "Tell of failures": fail(
            "ExportFailed",
            "'{}. Which ones failed and why is listed by s3://{}/{}. Start the same batch again to export what is left.', $.summary.text, $.summary.results.bucket, $.summary.results.key",
        ),
        "Reject content": fail(
            "InvalidInput",
            "'The manifest {} cannot be read: {}', $.batch.manifest.key, $.failure.Cause",
        ),
        "Fail as AWS says": fail("ExportFailed", "'{}: {}', $.failure.Error, $.failure.Cause"),
    };
}
