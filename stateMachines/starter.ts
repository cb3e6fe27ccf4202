/**
 * The state machine that triggers start exports through. Pure, under the rules of language.ts.
 *
 * EventBridge delivers an event at least once, and cannot name the execution that it starts. This state machine can: the name
 * is made of the event and its request, so that the same event twice starts one export. Another execution that has this name, since
 * somebody guessed it, does not count: then the export runs under a name that only this execution knows
 * (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
 */
import { batchExecutionPrefix } from "../contract/request";
import type { BatchDefinitionArgs } from "./batch";
import * as asl from "./language";

/**
 * The definition. Its input, which a trigger makes: `trigger`, a word; `identity`, a string that two deliveries of the same event
 * share; `request`, the request.
 */
export function starterDefinition({
    at: { partition },
    exportMachineArn,
}: Pick<BatchDefinitionArgs, "at" | "exportMachineArn">): asl.StateMachineDefinition {
    const trigger = "$states.input.trigger";
    const identity = "$states.input.identity";
    const request = "$states.input.request";
    return {
        Comment: "Starts the export that a push or a schedule asks for, once",
        QueryLanguage: "JSONata",
        StartAt: "Read event",
        States: {
            "Read event": {
                Type: "Pass",
                Assign: {
                    machine: exportMachineArn,
                    export: asl.expression(`(
                        $isEvent := $type($states.input) != 'object' ? false
                            : $length($string($states.input)) > ${asl.requestLimit} ? false
                            : $type(${identity}) != 'string' ? false
                            : $type(${trigger}) = 'string' ? $match(${trigger}, /^[a-z]{1,10}$/)[0].match = ${trigger} and ${trigger} & '-' != '${batchExecutionPrefix}' : false;
                        $isEvent and $exists(${request}) ? {
                            'request': ${request},
                            'name': ${trigger} & '-' & ${asl.hash(`$string([${identity}, ${request}])`)}
                        } : { 'request': {}, 'name': '' }
                    )`),
                    ...asl.failure(
                        "InvalidInput",
                        `'The input of the execution is ' & ${asl.quoted("$states.input")} & ': expected { "trigger": a word, "identity": a string, "request": the request }, at most ${asl.requestLimit} characters.'`,
                    ),
                },
                Output: {},
                Next: "Is it an event?",
            },
            "Is it an event?": {
                Type: "Choice",
                Choices: [asl.rule("$export.name != ''", "Start export")],
                Default: "Failed",
            },
            "Start export": {
                ...asl.startExport(partition, "states:startExecution"),
                Catch: [
                    asl.caught(["StepFunctions.ExecutionAlreadyExistsException"], "Look at the execution of that name"),
                ],
                End: true,
            },
            "Look at the execution of that name": {
                ...asl.lookAtExport(partition),
                Assign: {
                    // What was started has been taken for JSON before.
                    isSame: asl.expression(
                        "$exists($states.result.Input) ? $parse($states.result.Input) = $export.request : false",
                    ),
                },
                Catch: asl.caughtAll("Is it this export?", { isSame: false }),
                Next: "Is it this export?",
            },
            "Is it this export?": {
                Type: "Choice",
                Choices: [asl.rule("$isSame", "Already started")],
                Assign: asl.renamed,
                Default: "Start export",
            },
            "Already started": { Type: "Succeed" },
            Failed: asl.failed,
        },
    };
}
