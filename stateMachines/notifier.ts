/**
 * The state machine that reports how an execution ended. Pure, under the rules of language.ts.
 *
 * The event of EventBridge has the request as escaped JSON, and is not documented to have error and cause. So the execution itself
 * is asked, which is, and what it does not say is filled in with words: a message is sent whatever the answer.
 */
import type * as pulumi from "@pulumi/pulumi";

import { executionsUrl } from "../contract/aws";
import type { ExportDefinitionArgs } from "./export";
import * as asl from "./language";

/** Arguments of {@link notifierDefinition}. */
export interface NotifierDefinitionArgs extends Pick<
    ExportDefinitionArgs,
    "at" | "imageUri" | "artifactBucket" | "buildsUrl"
> {
    /** ARN of the topic that messages are published to. */
    readonly topicArn: pulumi.Input<string>;
    /** Key of the archive of the image that is exported when a request names none. */
    readonly artifactKey: pulumi.Input<string>;
}

/** What has ended: an export of one image, or a batch. */
export type Subject = "export" | "batch";

/**
 * The state machine that publishes one message. Its input, which the rules make: `subject`, a {@link Subject};
 * `executionArn`; `status`, as Step Functions names it.
 */
export function notifierDefinition(args: NotifierDefinitionArgs): asl.StateMachineDefinition {
    return {
        Comment: "Reports how an execution ended",
        QueryLanguage: "JSONata",
        StartAt: "Ask how it ended",
        States: { "Ask how it ended": askExecution(args), "Write message": writeMessage(args), Publish: publish(args) },
    };
}

/** A string, cut; for anything else the words. */
function text(value: string, words: string, limit = asl.quoteLimit): string {
    return `$type(${value}) = 'string' ? $substring(${value}, 0, ${limit}) : ${words}`;
}

/** Asks for error, cause, request and result; what cannot be asked, the link in the message says. */
function askExecution({ at, imageUri, artifactBucket, artifactKey, buildsUrl }: NotifierDefinitionArgs): asl.State {
    const executionArn = asl.expression(text("$states.input.executionArn", "'(unknown)'"));
    const event = {
        stack: { imageUri, artifactBucket, artifactKey, buildsUrl },
        isBatch: asl.expression("$states.input.subject = 'batch'"),
        executionArn,
        status: asl.expression(
            `( $status := ${text("$states.input.status", "''")}; $match($status, /^[A-Z_]{1,40}$/)[0].match = $status ? $status : 'ENDED' )`,
        ),
    };
    // Step Functions has taken both for JSON before. Short of what a variable takes, however large they are.
    const parsed = (json: string): string =>
        `( $value := $length($string(${json})) <= 20000 ? $parse(${json}) : {}; $type($value) = 'object' ? $value : {} )`;
    return {
        ...asl.task(at.partition, "aws-sdk:sfn:describeExecution", { ExecutionArn: executionArn }),
        Assign: {
            ...event,
            told: {
                error: asl.expression(text("$states.result.Error", "'(none)'")),
                cause: asl.expression(text("$states.result.Cause", "'(none)'", 8000)),
                request: asl.expression(parsed("$states.result.Input")),
                result: asl.expression(parsed("$states.result.Output")),
            },
        },
        Output: {},
        Retry: [asl.retry(["States.ALL"], 5, 2)],
        Catch: asl.caughtAll("Write message", {
            ...event,
            told: { error: "(none)", cause: "(none)", request: {}, result: {} },
        }),
        Next: "Write message",
    };
}

/** Writes the message: a title, a text for people, and the same in the form of the chat service, which drops any other. */
function writeMessage({ at }: NotifierDefinitionArgs): asl.State {
    const lines = (...each: string[]): string => `$join([${each.join(", ")}], '\\n')`;
    return {
        Type: "Pass",
        Assign: {
            message: asl.expression(`(
                $quote := function($value) { $type($value) = 'string' ? $substring($value, 0, ${asl.quoteLimit}) : ${asl.quoted("$value")} };
                $of := function($field, $otherwise) {
                    $exists($lookup($told.result, $field)) ? $quote($lookup($told.result, $field))
                    : $exists($lookup($told.request, $field)) ? $quote($lookup($told.request, $field))
                    : $otherwise
                };
                $isDone := $status = 'SUCCEEDED';
                $isSet := $exists($lookup($told.request, 'images'));
                $image := $isSet ? 'The set of ' & $string($count($lookup($told.request, 'images'))) & ' images' : $of('imageUri', $stack.imageUri);
                $key := $of('artifactKey', $exists($told.request.imageUri) ? 'made of repository and tag' : $stack.artifactKey);
                $execution := 'Execution: ' & ${asl.literal(executionsUrl(at))} & $executionArn;
                $builds := 'Builds and their logs: ' & $stack.buildsUrl;
                $place := $image & ' is in s3://' & $of('artifactBucket', $stack.artifactBucket) & '/' & $key;
                $counts := $of('text', '(unknown)');
                $write := function($title, $text, $description, $steps) { { 'title': $title & ' ' & $status, 'text': $text, 'description': $description, 'steps': $steps } };
                $isBatch ? (
                    $isDone ? $write('Batch of image exports', $counts & '.\\n\\n' & $execution, $counts, [$execution])
                    : $write('Batch of image exports', ${lines("'The batch ended as ' & $status & '.\\n'", "'Error: ' & $told.error", "'Cause: ' & $told.cause", "$execution", `'\\nWhat to do: docs/operations.md, "When a batch fails".'`)}, $told.error & ': ' & $told.cause, [$execution])
                )
                : $isDone ? $write('Image export', ${lines("$place & '.\\n'", "'Digest: ' & $of($isSet ? 'setDigest' : 'imageDigest', '(unknown)') & ($isSet ? '\\nBytes saved by what the images share: ' & $of('savedBytes', '(unknown)') : '')", "'Already there: ' & $of('skipped', '(unknown)')", "$execution")}, $place, [$execution])
                : $write('Image export', ${lines("'The export of ' & ($isSet ? 'the set' : $image) & ' ended as ' & $status & '.\\n'", "'Error: ' & $told.error", "'Cause: ' & $told.cause", "'Key: ' & $key", "$execution", "$builds", `'\\nWhat to do: docs/operations.md, "When an export fails".'`)}, $image & ': ' & $told.error & ' ' & $told.cause, [$execution, $builds])
            )`),
        },
        Output: {},
        Next: "Publish",
    };
}

/** Each protocol has its text, and the chat service subscribes by HTTPS: docs.aws.amazon.com/sns/latest/api/API_Publish.html */
function publish({ at, topicArn }: NotifierDefinitionArgs): asl.State {
    // docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
    const chat = `$string({
        'version': '1.0',
        'source': 'custom',
        'content': {
            'textType': 'client-markdown', 'title': $message.title, 'description': $message.description, 'nextSteps': [$message.steps]
        }
    })`;
    return {
        ...asl.task(at.partition, "sns:publish", {
            TopicArn: topicArn,
            Subject: asl.expression("$message.title"),
            MessageStructure: "json",
            Message: { default: asl.expression("$message.text"), https: asl.expression(chat) },
        }),
        Retry: [asl.retry(["States.ALL"], 8, 2)],
        End: true,
    };
}
