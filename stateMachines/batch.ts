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
import { batchExecutionPrefix, requestFields, requestFlags } from "../contract/request";
import type { ExportDefinitionArgs } from "./export";
import * as asl from "./language";

/** Arguments of {@link batchDefinition}. */
export interface BatchDefinitionArgs extends Pick<ExportDefinitionArgs, "at" | "artifactBucket"> {
    /** ARN of the state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
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
export function batchDefinition(args: BatchDefinitionArgs): asl.StateMachineDefinition {
    return {
        Comment: "Exports many container images, each by an execution of the export state machine",
        QueryLanguage: "JSONata",
        StartAt: "Read batch",
        States: {
            "Read batch": readBatch(args),
            "Check batch": checkBatch(),
            "Nothing to export": { Type: "Succeed", Output: { total: 0, exported: 0, text: "0 of 0 exported" } },
            "Export images": exportEach(args, "images", { Items: asl.expression("$states.input") }),
            ...Object.fromEntries(
                manifestForms.map(({ form, config }) => [
                    `Export images of ${form}`,
                    exportEach(args, form.replace(" ", ""), {
                        ItemReader: {
                            Resource: `arn:${args.at.partition}:states:::s3:getObject`,
                            ReaderConfig: config,
                            Arguments: {
                                Bucket: asl.expression("$stack.artifactBucket"),
                                Key: asl.expression("$batch.key"),
                            },
                        },
                    }),
                ]),
            ),
            "Count results": countResults(args),
            "Were all exported?": {
                Type: "Choice",
                Choices: [asl.rule("$summary.exported = $summary.total or $batch.allowFailures", "Done")],
                Default: "Failed",
            },
            Done: { Type: "Succeed", Output: asl.expression("$summary") },
            Failed: asl.failed,
        },
    };
}

/** Reads the fields of a batch. Its images stay in the output: they may be larger than what a variable takes. */
function readBatch({ artifactBucket, exportMachineArn }: BatchDefinitionArgs): asl.State {
    const images = "$given.images";
    const allowFailures = "$given.allowFailures";
    const what = `'The input of the execution is not a batch. Give { "images": [request, …] } or { "manifest": { "bucket": …, "key": … } }, one of the two.'`;
    return {
        Type: "Pass",
        Comment: "Reads the input, which may be anything",
        Assign: {
            stack: { artifactBucket, exportMachineArn },
            batch: asl.expression(`(
                $given := $type($states.input) = 'object' ? $states.input : {};
                $manifest := $type($given.manifest) = 'object' ? $given.manifest : {};
                $text := function($value) { $type($value) = 'string' ? $substring($value, 0, 1025) : '' };
                $unknown := ${asl.unknownField("$given", batchFields)};
                {
                    'allowFailures': ${allowFailures} = true,
                    'hasImages': $exists(${images}),
                    'bucket': $text($manifest.bucket),
                    'key': $text($manifest.key),
                    'manifest': ${asl.quoted("$given.manifest")},
                    'problem': $unknown != '' ? 'The batch ' & $unknown
                        : $exists(${allowFailures}) and $type(${allowFailures}) != 'boolean' ? 'allowFailures is ' & ${asl.quoted(allowFailures)} & ': expected true or false.'
                        : $exists(${images}) = $exists($given.manifest) ? ${what}
                        : $exists(${images}) and $type(${images}) != 'array' ? 'images is ' & ${asl.quoted(images)} & ': expected a list of requests, or of image URIs.'
                        : ''
                }
            )`),
        },
        Output: asl.expression(
            "$type($states.input) = 'object' ? $type($states.input.images) = 'array' ? $states.input.images : [] : []",
        ),
        Next: "Check batch",
    };
}

/** Refuses what is no batch, and finds the Map that reads it. */
function checkBatch(): asl.State {
    const endings = manifestForms.map(({ ending }) => ending).join(", ");
    const below = `${manifestPrefix.replace(".", "\\.")}[^\\u0000-\\u001f\\u007f]*`;
    const wrong = `'manifest is ' & $batch.manifest & ': expected an object of the bucket ' & $stack.artifactBucket & ' whose key begins with ${manifestPrefix} and ends with ${endings}.'`;
    return {
        Type: "Choice",
        Choices: [
            asl.rule("$batch.problem != ''", "Failed", asl.failure("InvalidInput", "$batch.problem")),
            asl.rule("$batch.hasImages and $count($states.input) = 0", "Nothing to export"),
            asl.rule("$batch.hasImages", "Export images"),
            ...manifestForms.map(({ ending, form }) =>
                asl.rule(
                    `$batch.bucket = $stack.artifactBucket and $length($batch.key) <= 1024 and ${asl.matches("$batch.key", `${below}\\${ending}`)}`,
                    `Export images of ${form}`,
                ),
            ),
        ],
        Assign: asl.failure("InvalidInput", wrong),
        Default: "Failed",
    };
}

/** A Distributed Map that exports every image of its items. */
function exportEach(args: BatchDefinitionArgs, label: string, items: object): asl.State {
    return {
        Type: "Map",
        Label: label,
        ...items,
        ItemSelector: {
            request: asl.expression("$states.context.Map.Item.Value"),
            isTable: label === "CSV",
            machine: asl.expression("$stack.exportMachineArn"),
            // What only this execution knows: nobody else can take the names of its exports.
            batch: asl.expression("$states.context.Execution.Id & ' ' & $states.context.Execution.StartTime"),
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
            Resource: `arn:${args.at.partition}:states:::s3:putObject`,
            Arguments: {
                Bucket: asl.expression("$stack.artifactBucket"),
                Prefix: asl.expression(`${asl.literal(resultPrefix)} & $states.context.Execution.Name`),
            },
            WriterConfig: { Transformation: "COMPACT", OutputType: "JSONL" },
        },
        Assign: {
            run: {
                arn: asl.expression("$states.result.MapRunArn"),
                key: asl.expression("$states.result.ResultWriterDetails.Key"),
            },
        },
        Output: {},
        Catch: [
            asl.caught(
                ["States.ItemReaderFailed"],
                "Failed",
                asl.failure("InvalidInput", `'The manifest ' & $batch.key & ' cannot be read: ' & ${asl.caughtCause}`),
            ),
            asl.caught(["States.ALL"], "Failed", asl.failure("ExportFailed", asl.caughtError)),
        ],
        Next: "Count results",
    };
}

/**
 * One image: an execution of the export state machine, whose output or error becomes that of the child execution. No two states of
 * a machine may share a name, wherever they are, so each Map gives its own a suffix.
 */
function exportOne(
    { at }: BatchDefinitionArgs,
    suffix: string,
): Pick<asl.StateMachineDefinition, "StartAt" | "States"> {
    const named = (name: string): string => `${name}${suffix}`;
    return {
        StartAt: named("Read row"),
        States: {
            [named("Read row")]: {
                Type: "Pass",
                Comment: "Takes a request, an image URI, or the cells of a row",
                Assign: { machine: asl.expression("$states.input.machine"), export: asl.expression(readRow) },
                Output: {},
                Next: named("Is it a request?"),
            },
            [named("Is it a request?")]: {
                Type: "Choice",
                Choices: [
                    asl.rule(
                        "$export.problem != ''",
                        named("Not exported"),
                        asl.failure("InvalidInput", "$export.problem"),
                    ),
                ],
                Default: named("Export"),
            },
            [named("Export")]: {
                ...asl.startExport(at.partition, "states:startExecution.sync:2"),
                Output: asl.expression("$exists($states.result.Output) ? $states.result.Output : {}"),
                Catch: [
                    // While it runs, the same request twice is one execution. One that has ended may be somebody else's: another
                    // finds what it has exported.
                    asl.caught(
                        ["StepFunctions.ExecutionAlreadyExistsException"],
                        named("Look at the execution of that name"),
                    ),
                    asl.caught(["States.ALL"], named("Not exported"), { failure: asl.expression(whyItFailed) }),
                ],
                End: true,
            },
            // Whoever may not look at it could not follow another either.
            [named("Look at the execution of that name")]: {
                ...asl.lookAtExport(at.partition),
                Assign: asl.renamed,
                Catch: asl.caughtAll(named("Not exported"), asl.failure("ExportFailed", asl.caughtError)),
                Next: named("Export"),
            },
            [named("Not exported")]: asl.failed,
        },
    };
}

/**
 * The request of an item, or what is wrong with it. The cells of a table are strings, its first line may begin with a byte order
 * mark and have blanks around the names, and an empty cell is a field that is not given.
 */
const readRow = `(
    $isSmall := $length($string({ 'v': $lookup($states.input, 'request') })) <= ${asl.requestLimit};
    $item := $isSmall ? $lookup($states.input, 'request') : {};
    $bare := function($text) { $replace($replace($text, /^[\\uFEFF \\t]+/, ''), /[ \\t]+$/, '') };
    $cells := $states.input.isTable and $type($item) = 'object';
    $given := $type($item) = 'string' ? { 'imageUri': $item }
        : $cells ? $merge([{}, $each($item, function($value, $name) {
            $type($value) = 'string' ? $bare($value) = '' ? {} : { $bare($name): $bare($name) in ['${requestFlags.join("','")}'] and $bare($value) in ['true', 'false'] ? $bare($value) = 'true' : $bare($value) } : { $bare($name): $value }
        })])
        : $item;
    $unknown := $type($given) = 'object' ? ${asl.unknownField("$given", requestFields)} : '';
    $problem := $not($isSmall) ? 'The request is longer than ${asl.requestLimit} characters.'
        : $type($given) != 'object' ? 'The request is ' & ${asl.quoted("$item")} & ': expected an object of ${requestFields.join(", ")}, or an image URI.'
        : $unknown != '' ? 'The request ' & $unknown
        : $cells and $count($keys($item)) != $count($distinct($each($item, function($value, $name) { $bare($name) }))) ? 'Two columns of the table have the same name.'
        : $exists($given.imageUri) = false and $exists($given.images) = false ? 'The request ' & ${asl.quoted("$item")} & ' names neither imageUri nor images, which a batch needs for each export.'
        : '';
    $problem != '' ? { 'problem': $problem, 'request': {}, 'name': '' } : {
        'problem': '',
        'request': $given,
        'name': '${batchExecutionPrefix}' & ${asl.hash("$states.input.batch & ' ' & $string($given)")}
    }
)`;

/** The error of the execution, out of what `startExecution.sync:2` fails with: DescribeExecution as JSON, cut at 32,768 characters. */
const whyItFailed = `(
    ${asl.readCause}
    $error := $find(${asl.regex(asl.jsonString("Error", '([^"]+)"'))});
    $said := $words($find(${asl.regex(asl.jsonString("Cause", '([^"]+)'))}));
    $status := $find(${asl.regex(asl.jsonString("Status", '([A-Z_]+)"'))});
    $status = '' ? { 'error': 'ExportFailed', 'cause': ${asl.caughtError} } : {
        'error': $error in ['${Object.keys(exportErrors).join("','")}'] ? $error : 'ExportFailed',
        'cause': $said != '' ? $said : 'The export ended as ' & $status & ($error != '' ? ', ' & $error : '') & ', without a cause. Its execution is called ' & $export.name & '.'
    }
)`;

/** Asks the Map Run how many images were exported. */
function countResults({ at }: BatchDefinitionArgs): asl.State {
    const total = "$states.result.ItemCounts.Total";
    const exported = "$states.result.ItemCounts.Succeeded";
    const text = `$string(${exported}) & ' of ' & $string(${total}) & ' exported'`;
    const list = "s3://' & $stack.artifactBucket & '/' & $run.key & '";
    return {
        ...asl.task(at.partition, "aws-sdk:sfn:describeMapRun", { MapRunArn: asl.expression("$run.arn") }),
        Assign: {
            summary: {
                total: asl.expression(total),
                exported: asl.expression(exported),
                results: { bucket: asl.expression("$stack.artifactBucket"), key: asl.expression("$run.key") },
                text: asl.expression(text),
            },
            ...asl.failure(
                "ExportFailed",
                `${text} & '. Which ones failed and why is listed by ${list}. Start the same batch again to export what is left.'`,
            ),
        },
        Output: {},
        Retry: [asl.retry(["States.ALL"], 5, 2)],
        Catch: [
            asl.caught(
                ["States.ALL"],
                "Failed",
                asl.failure(
                    "ExportFailed",
                    `'Every image was tried, but the results cannot be counted: ' & ${asl.caughtError} & '. They are listed by ${list}.'`,
                ),
            ),
        ],
        Next: "Were all exported?",
    };
}
