/**
 * The state machine that exports many images. Pure, under the rules of language.ts.
 *
 * A Distributed Map starts one execution of the export state machine for each image. An image that fails, fails its child
 * execution and nobody else's; what became of each one is written to S3 by the Map itself, and the Map Run counts them, so that no
 * number of images is too large for the payload or the history of an execution.
 */
import type * as pulumi from "@pulumi/pulumi";

import { exportErrors } from "../contract/errors";
import { manifestPrefix, resultPrefix } from "../contract/keys";
import { batchExecutionPrefix, foreignFieldPrefix, requestFields } from "../contract/request";
import {
    caught,
    caughtAll,
    caughtCause,
    caughtError,
    executionArnOf,
    expression,
    failed,
    failure,
    hashedLimit,
    jsonString,
    literal,
    matches,
    quoted,
    readCause,
    regex,
    retry,
    rule,
    sameRequest,
    startRetry,
    type State,
    type StateMachineDefinition,
    type States,
    task,
} from "./language";

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

const batchFields = ["images", "manifest", "allowFailures"];

/**
 * The definition. Its input is `{ "images": [request, …] }` or `{ "manifest": { "bucket", "key" } }`, with `"allowFailures": true`
 * for a batch that succeeds whatever becomes of its images. A request is that of the export state machine with an image, or an
 * image URI by itself.
 */
export function batchDefinition(args: BatchDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Exports many container images, each by an execution of the export state machine",
        QueryLanguage: "JSONata",
        StartAt: "Read batch",
        States: {
            "Read batch": readBatch(args),
            "Check batch": checkBatch(),
            "Nothing to export": { Type: "Succeed", Output: { total: 0, exported: 0, text: "0 of 0 exported" } },
            "Export images": exportEach(args, "images", { Items: expression("$states.input") }),
            ...Object.fromEntries(
                manifestForms.map(({ form, config }) => [
                    `Export images of ${form}`,
                    exportEach(args, form.replace(" ", ""), {
                        ItemReader: {
                            Resource: `arn:${args.partition}:states:::s3:getObject`,
                            ReaderConfig: config,
                            Arguments: { Bucket: expression("$stack.artifactBucket"), Key: expression("$key") },
                        },
                    }),
                ]),
            ),
            "Count results": countResults(args),
            "Were all exported?": {
                Type: "Choice",
                Choices: [rule("$counts.exported = $counts.total or $allowFailures", "Done")],
                Default: "Failed",
            },
            Done: {
                Type: "Succeed",
                Output: {
                    total: expression("$counts.total"),
                    exported: expression("$counts.exported"),
                    results: { bucket: expression("$stack.artifactBucket"), key: expression("$run.key") },
                    text: expression("$counts.text"),
                },
            },
            Failed: failed,
        },
    };
}

/** Reads the fields of a batch. Its images stay in the output: they may be larger than what a variable takes. */
function readBatch({ artifactBucket, exportMachineArn }: BatchDefinitionArgs): State {
    const images = "$states.input.images";
    const manifest = "$states.input.manifest";
    const allowFailures = "$states.input.allowFailures";
    const isObject = "$type($states.input) = 'object'";
    const textOf = (field: string): string =>
        `${isObject} ? $type(${manifest}) = 'object' ? $type(${manifest}.${field}) = 'string' ? $substring(${manifest}.${field}, 0, 1025) : '' : '' : ''`;
    const what = `'The input of the execution is not a batch. Give { "images": [request, …] } or { "manifest": { "bucket": …, "key": … } }, one of the two.'`;
    return {
        Type: "Pass",
        Comment: "Reads the input, which may be anything",
        Assign: {
            stack: { artifactBucket, exportMachineArn },
            allowFailures: expression(`${isObject} ? ${allowFailures} = true : false`),
            hasImages: expression(`${isObject} ? $exists(${images}) : false`),
            bucket: expression(textOf("bucket")),
            key: expression(textOf("key")),
            manifest: expression(`${isObject} ? ${quoted(manifest)} : ''`),
            problem: expression(`(
                $unknown := ${isObject} ? $filter($keys($states.input), function($name) {
                    $name in ['${batchFields.join("','")}'] ? false : $substring($name, 0, ${foreignFieldPrefix.length}) != '${foreignFieldPrefix}'
                }) : [];
                $type($states.input) != 'object' ? ${what}
                : $count($unknown) > 0 ? 'The batch has the unknown field ' & ${quoted("[$unknown][0]")} & ': expected ${batchFields.join(", ")}.'
                : ($exists(${allowFailures}) ? $type(${allowFailures}) != 'boolean' : false) ? 'allowFailures is ' & ${quoted(allowFailures)} & ': expected true or false.'
                : $exists(${images}) = $exists(${manifest}) ? ${what}
                : ($exists(${images}) ? $type(${images}) != 'array' : false) ? 'images is ' & ${quoted(images)} & ': expected a list of requests, or of image URIs.'
                : ''
            )`),
        },
        Output: expression(`${isObject} ? $type(${images}) = 'array' ? ${images} : [] : []`),
        Next: "Check batch",
    };
}

/** Refuses what is no batch, and finds the Map that reads it. */
function checkBatch(): State {
    const endings = manifestForms.map(({ ending }) => ending).join(", ");
    const below = `${manifestPrefix.replace(".", "\\.")}[^\\u0000-\\u001f\\u007f]*`;
    const wrong = `'manifest is ' & $manifest & ': expected an object of the bucket ' & $stack.artifactBucket & ' whose key begins with ${manifestPrefix} and ends with ${endings}.'`;
    return {
        Type: "Choice",
        Choices: [
            rule("$problem != ''", "Failed", failure("InvalidInput", "$problem")),
            rule("$hasImages and $count($states.input) = 0", "Nothing to export"),
            rule("$hasImages", "Export images"),
            ...manifestForms.map(({ ending, form }) =>
                rule(
                    `$bucket = $stack.artifactBucket and $length($key) <= 1024 and ${matches("$key", `${below}\\${ending}`)}`,
                    `Export images of ${form}`,
                ),
            ),
            rule("true", "Failed", failure("InvalidInput", wrong)),
        ],
        Default: "Failed",
    };
}

/** A Distributed Map that exports every image of its items. */
function exportEach(args: BatchDefinitionArgs, label: string, items: object): State {
    return {
        Type: "Map",
        Label: label,
        ...items,
        ItemSelector: {
            request: expression("$states.context.Map.Item.Value"),
            isTable: label === "CSV",
            machine: expression("$stack.exportMachineArn"),
            // What only this execution knows: nobody else can take the names of its exports.
            batch: expression("$states.context.Execution.Id & ' ' & $states.context.Execution.StartTime"),
        },
        ItemProcessor: {
            // STANDARD: a child waits for a build, and an EXPRESS execution lasts five minutes at most.
            ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
            ...exportOne(args, ` (${label})`),
        },
        MaxConcurrency: args.maxConcurrency,
        // The Map goes on whatever becomes of an image; what counts is decided by the counts.
        ToleratedFailurePercentage: 100,
        ResultWriter: {
            Resource: `arn:${args.partition}:states:::s3:putObject`,
            Arguments: {
                Bucket: expression("$stack.artifactBucket"),
                Prefix: expression(`${literal(resultPrefix)} & $states.context.Execution.Name`),
            },
            WriterConfig: { Transformation: "COMPACT", OutputType: "JSONL" },
        },
        Assign: {
            run: {
                arn: expression("$states.result.MapRunArn"),
                key: expression("$states.result.ResultWriterDetails.Key"),
            },
        },
        Output: {},
        Catch: [
            caught(
                ["States.ItemReaderFailed"],
                "Failed",
                failure("InvalidInput", `'The manifest ' & $key & ' cannot be read: ' & ${caughtCause}`),
            ),
            caught(["States.ALL"], "Failed", failure("ExportFailed", caughtError)),
        ],
        Next: "Count results",
    };
}

/**
 * One image: an execution of the export state machine, whose output or error becomes that of the child execution. No two states of
 * a machine may share a name, wherever they are, so each Map gives its own a suffix.
 */
function exportOne({ partition }: BatchDefinitionArgs, suffix: string): States {
    const named = (name: string): string => `${name}${suffix}`;
    const description = "$states.result";
    return {
        StartAt: named("Read row"),
        States: {
            [named("Read row")]: {
                Type: "Pass",
                Comment: "Takes a request, an image URI, or the cells of a row",
                Assign: { machine: expression("$states.input.machine"), row: expression(readRow) },
                Output: {},
                Next: named("Is it a request?"),
            },
            [named("Is it a request?")]: {
                Type: "Choice",
                Choices: [rule("$row.problem != ''", named("Not exported"), failure("InvalidInput", "$row.problem"))],
                Default: named("Export"),
            },
            [named("Export")]: {
                ...task(partition, "states:startExecution.sync:2", {
                    StateMachineArn: expression("$machine"),
                    Name: expression("$row.name"),
                    Input: expression("$row.request"),
                }),
                Output: expression(`$exists(${description}.Output) ? ${description}.Output : {}`),
                Retry: startRetry,
                Catch: [
                    caught(
                        ["StepFunctions.ExecutionAlreadyExistsException"],
                        named("Look at the execution of that name"),
                    ),
                    caught(["States.ALL"], named("Not exported"), { failure: expression(whyItFailed) }),
                ],
                End: true,
            },
            // The same request twice in a batch is one execution; that of somebody else does not count.
            [named("Look at the execution of that name")]: {
                ...task(partition, "aws-sdk:sfn:describeExecution", {
                    ExecutionArn: expression(executionArnOf("$machine", "$row.name")),
                }),
                Assign: {
                    isTwin: expression(
                        `${sameRequest(description, "$row.request")} ? ${description}.Status = 'SUCCEEDED' : false`,
                    ),
                    failure: expression(`(
                        $isSame := ${sameRequest(description, "$row.request")};
                        $error := $exists(${description}.Error) ? ${description}.Error : 'ExportFailed';
                        $cause := $exists(${description}.Cause) ? ${description}.Cause : 'The same request earlier in this batch ended as ' & ${description}.Status & '.';
                        $isSame ? { 'error': $error, 'cause': $cause }
                            : { 'error': 'ExportFailed', 'cause': 'The execution ' & $row.name & ' is of another request. Start the batch again.' }
                    )`),
                },
                Output: expression(
                    `$merge([$exists(${description}.Output) ? $parse(${description}.Output) : {}, { 'duplicate': true }])`,
                ),
                Retry: [retry(["States.ALL"], 3, 2)],
                Catch: caughtAll(
                    named("Not exported"),
                    failure(
                        "ExportFailed",
                        `'The execution ' & $row.name & ' exists, and cannot be read. ' & ${caughtError}`,
                    ),
                ),
                Next: named("Has its twin exported it?"),
            },
            [named("Has its twin exported it?")]: {
                Type: "Choice",
                Choices: [rule("$isTwin", named("Exported with its twin"))],
                Default: named("Not exported"),
            },
            [named("Exported with its twin")]: { Type: "Succeed" },
            [named("Not exported")]: failed,
        },
    };
}

/**
 * The request of an item, or what is wrong with it. The cells of a table are strings, its first line may begin with a byte order
 * mark and have blanks around the names, and an empty cell is a field that is not given.
 */
const readRow = `(
    $item := $lookup($states.input, 'request');
    $bare := function($text) { $replace($replace($text, /^[\\uFEFF \\t]+/, ''), /[ \\t]+$/, '') };
    $isSmall := $length($string({ 'v': $item })) <= ${hashedLimit};
    $cells := $isSmall and $states.input.isTable ? $type($item) = 'object' : false;
    $given := $isSmall = false ? {}
        : $type($item) = 'string' ? { 'imageUri': $item }
        : $cells ? $merge([{}, $each($item, function($value, $name) {
            $type($value) = 'string' ? $bare($value) = '' ? {} : { $bare($name): $bare($name) = 'force' and $bare($value) in ['true', 'false'] ? $bare($value) = 'true' : $bare($value) } : { $bare($name): $value }
        })])
        : $item;
    $unknown := $type($given) = 'object' ? $filter($keys($given), function($name) { $not($name in ['${requestFields.join("','")}']) }) : [];
    $problem := $isSmall = false ? 'The request is longer than ${hashedLimit} characters.'
        : $type($given) != 'object' ? 'The request is ' & ${quoted("$item")} & ': expected an object of ${requestFields.join(", ")}, or an image URI.'
        : $count($unknown) > 0 ? 'The request has the unknown field ' & ${quoted("[$unknown][0]")} & ': expected ${requestFields.join(", ")}.'
        : $cells and $count($keys($item)) != $count($distinct($each($item, function($value, $name) { $bare($name) }))) ? 'Two columns of the table have the same name.'
        : $exists($given.imageUri) = false ? 'The request ' & ${quoted("$item")} & ' names no imageUri, which a batch needs for each image.'
        : '';
    $problem != '' ? { 'problem': $problem, 'request': {}, 'name': '' } : {
        'problem': '',
        'request': $given,
        'name': '${batchExecutionPrefix}' & $hash($states.input.batch & ' ' & $string($given), 'SHA-256')
    }
)`;

/** The error of the execution, out of what `startExecution.sync:2` fails with: DescribeExecution as JSON, cut at 32,768 characters. */
const whyItFailed = `(
    ${readCause}
    $error := $find(${regex(jsonString("Error", '([^"]+)"'))});
    $said := $words($find(${regex(jsonString("Cause", '([^"]+)'))}));
    $status := $find(${regex(jsonString("Status", '([A-Z_]+)"'))});
    $status = '' ? { 'error': 'ExportFailed', 'cause': ${caughtError} } : {
        'error': $error in ['${Object.keys(exportErrors).join("','")}'] ? $error : 'ExportFailed',
        'cause': $said != '' ? $said : 'The export ended as ' & $status & ($error != '' ? ', ' & $error : '') & ', without a cause. Its execution is called ' & $row.name & '.'
    }
)`;

/** Asks the Map Run how many images were exported. */
function countResults({ partition }: BatchDefinitionArgs): State {
    const total = "$states.result.ItemCounts.Total";
    const exported = "$states.result.ItemCounts.Succeeded";
    const text = `$string(${exported}) & ' of ' & $string(${total}) & ' exported'`;
    const list = "s3://' & $stack.artifactBucket & '/' & $run.key & '";
    return {
        ...task(partition, "aws-sdk:sfn:describeMapRun", { MapRunArn: expression("$run.arn") }),
        Assign: {
            counts: { total: expression(total), exported: expression(exported), text: expression(text) },
            ...failure(
                "ExportFailed",
                `${text} & '. Which ones failed and why is listed by ${list}. Start the same batch again to export what is left.'`,
            ),
        },
        Output: {},
        Retry: [retry(["States.ALL"], 5, 2)],
        Catch: [
            caught(
                ["States.ALL"],
                "Failed",
                failure(
                    "ExportFailed",
                    `'Every image was tried, but the results cannot be counted: ' & ${caughtError} & '. They are listed by ${list}.'`,
                ),
            ),
        ],
        Next: "Were all exported?",
    };
}
