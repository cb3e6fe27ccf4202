/**
 * The state machine that triggers start exports through. Pure, under the rules of language.ts.
 *
 * EventBridge delivers an event at least once, and cannot name the execution that it starts. This state machine can: the name
 * is made of the event and its request, so that the same event twice starts one export. Another execution that has this name, since
 * somebody guessed it, does not count: then the export runs under a name that only this execution knows
 * (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
 */
import type * as pulumi from "@pulumi/pulumi";

import { batchExecutionPrefix } from "../contract/request";
import {
    caught,
    caughtAll,
    executionArnOf,
    expression,
    failed,
    failure,
    hashedLimit,
    quoted,
    retry,
    rule,
    sameRequest,
    startRetry,
    type State,
    type StateMachineDefinition,
    task,
} from "./language";

/** Arguments of {@link starterDefinition}. */
export interface StarterDefinitionArgs {
    /** AWS partition of the stack, for instance `aws`. */
    readonly partition: string;
    /** ARN of the state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
}

/**
 * The definition. Its input, which a trigger makes: `trigger`, a word; `identity`, a string that two deliveries of the same event
 * share; `request`, the request.
 */
export function starterDefinition({ partition, exportMachineArn }: StarterDefinitionArgs): StateMachineDefinition {
    const trigger = "$states.input.trigger";
    const identity = "$states.input.identity";
    const request = "$states.input.request";
    const start = (name: string): State =>
        task(partition, "states:startExecution", {
            StateMachineArn: expression("$machine"),
            Name: expression(name),
            Input: expression("$event.request"),
        });
    return {
        Comment: "Starts the export that a push or a schedule asks for, once",
        QueryLanguage: "JSONata",
        StartAt: "Read event",
        States: {
            "Read event": {
                Type: "Pass",
                Assign: {
                    machine: exportMachineArn,
                    event: expression(`(
                        $isEvent := $type($states.input) != 'object' ? false
                            : $length($string($states.input)) > ${hashedLimit} ? false
                            : $type(${identity}) != 'string' ? false
                            : $type(${trigger}) = 'string' ? $match(${trigger}, /^[a-z]{1,10}$/)[0].match = ${trigger} and ${trigger} & '-' != '${batchExecutionPrefix}' : false;
                        $isEvent and $exists(${request}) ? {
                            'isEvent': true,
                            'request': ${request},
                            'name': ${trigger} & '-' & $hash($string([${identity}, ${request}]), 'SHA-256')
                        } : { 'isEvent': false, 'request': {}, 'name': '' }
                    )`),
                    ...failure(
                        "InvalidInput",
                        `'The input of the execution is ' & ${quoted("$states.input")} & ': expected { "trigger": a word, "identity": a string, "request": the request }, at most ${hashedLimit} characters.'`,
                    ),
                },
                Output: {},
                Next: "Is it an event?",
            },
            "Is it an event?": { Type: "Choice", Choices: [rule("$event.isEvent", "Start export")], Default: "Failed" },
            "Start export": {
                ...start("$event.name"),
                Retry: startRetry,
                Catch: [
                    caught(["StepFunctions.ExecutionAlreadyExistsException"], "Look at the execution of that name"),
                ],
                End: true,
            },
            "Look at the execution of that name": {
                ...task(partition, "aws-sdk:sfn:describeExecution", {
                    ExecutionArn: expression(executionArnOf("$machine", "$event.name")),
                }),
                Assign: { isSame: expression(sameRequest("$states.result", "$event.request")) },
                Output: {},
                Retry: [retry(["States.ALL"], 3, 2)],
                Catch: caughtAll("Is it this export?", { isSame: false }),
                Next: "Is it this export?",
            },
            "Is it this export?": {
                Type: "Choice",
                Choices: [rule("$isSame", "Already started")],
                Default: "Start export under another name",
            },
            "Already started": { Type: "Succeed" },
            "Start export under another name": {
                ...start(
                    "$substringBefore($event.name, '-') & '-' & $hash($event.name & $states.context.Execution.Id, 'SHA-256')",
                ),
                Retry: startRetry,
                End: true,
            },
            Failed: failed,
        },
    };
}
