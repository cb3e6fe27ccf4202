/**
 * The definition of the state machine that tells how an execution ended. Pure, and written under the rules of
 * definition.ts.
 *
 * The event of EventBridge has the request as escaped JSON, and is not documented to have error and cause. So the
 * execution itself is asked, which is, and what it does not tell is filled in with words: a message is sent whatever
 * the answer.
 */
import type { AwsLocation } from "../contract/aws";
import type * as pulumi from "@pulumi/pulumi";

import { executionsUrl } from "../contract/aws";
import { matches, present, type State, type StateMachineDefinition, string } from "./export";

/** Arguments of {@link notifierDefinition}. */
export interface NotifierDefinitionArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation<pulumi.Input<string>>;
    /** ARN of the topic that messages are published to. */
    readonly topicArn: pulumi.Input<string>;
    /** Image that is exported when a request names none. */
    readonly imageUri: string;
    /** Key of that image's archive. */
    readonly artifactKey: string;
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Page of the console that lists the builds. */
    readonly buildsUrl: pulumi.Input<string>;
}

/** What has ended: an export of one image, or a batch. */
export type Subject = "export" | "batch";

/** The messages, with `{}` for each of their values. */
const texts = {
    exported: "{} is in s3://{}/{}.\n\nDigest: {}\nAlready there: {}\nExecution: {}{}",
    notExported:
        'The export of {} ended as {}.\n\nError: {}\nCause: {}\nKey: {}\nExecution: {}{}\nBuilds and their logs: {}\n\nWhat to do: docs/operations.md, "When an export fails".',
    batchDone: "{}.\n\nExecution: {}{}",
    batchNotDone:
        'The batch ended as {}.\n\nError: {}\nCause: {}\nExecution: {}{}\n\nWhat to do: docs/operations.md, "When a batch fails".',
};

/**
 * The state machine that publishes one message. Its input, which the rules make: `subject`, a {@link Subject};
 * `executionArn`; `status`, as Step Functions names it.
 */
export function notifierDefinition(args: NotifierDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Tells how an execution ended",
        StartAt: "Take event",
        States: {
            ...askExecution(args),
            ...readExport(),
            ...write(),
            ...publish(args),
        },
    };
}

/** Asks for error, cause, request and result. */
function askExecution(args: NotifierDefinitionArgs): Record<string, State> {
    const { imageUri, artifactBucket, artifactKey, buildsUrl } = args;
    const notTold = "(not known)";
    return {
        "Take event": {
            Type: "Pass",
            Parameters: {
                "event.$": "$",
                known: {
                    outcome: { Error: "(none)", Cause: "(none)", Input: "{}", Output: "{}" },
                    facts: { imageUri, artifactBucket, artifactKey, imageDigest: notTold, skipped: notTold },
                    batch: { text: notTold },
                    keyOfImage: { artifactKey: "made of repository and tag" },
                    executionsUrl: executionsUrl(args.at),
                    buildsUrl,
                },
                texts,
            },
            Next: "Ask how it ended",
        },
        "Ask how it ended": {
            Type: "Task",
            Resource: `arn:${args.at.partition}:states:::aws-sdk:sfn:describeExecution`,
            Parameters: { "ExecutionArn.$": "$.event.executionArn" },
            ResultPath: "$.answer",
            Retry: [
                { ErrorEquals: ["Sfn.AccessDeniedException", "Sfn.SfnException"], MaxAttempts: 0 },
                { ErrorEquals: ["States.ALL"], IntervalSeconds: 2, BackoffRate: 2, MaxAttempts: 5 },
            ],
            Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.unasked", Next: "Not told" }],
            Next: "Fill in",
        },
        // The link says what the message cannot.
        "Not told": { Type: "Pass", Result: {}, ResultPath: "$.answer", Next: "Fill in" },
        "Fill in": {
            Type: "Pass",
            Parameters: {
                "event.$": "$.event",
                "known.$": "$.known",
                "texts.$": "$.texts",
                "outcome.$": "States.JsonMerge($.known.outcome, $.answer, false)",
            },
            Next: "Read request and result",
        },
        // Step Functions has taken both for JSON before.
        "Read request and result": {
            Type: "Pass",
            Parameters: {
                "request.$": "States.StringToJson($.outcome.Input)",
                "result.$": "States.StringToJson($.outcome.Output)",
            },
            ResultPath: "$.read",
            Next: "Of what?",
        },
        "Of what?": {
            Type: "Choice",
            Choices: [{ Variable: "$.event.subject", StringEquals: "batch", Next: "Read batch" }],
            Default: "Look at request",
        },
        "Read batch": {
            Type: "Pass",
            Parameters: { "batch.$": "States.JsonMerge($.known.batch, $.read.result, false)" },
            ResultPath: "$.read",
            Next: "Was batch done?",
        },
    };
}

/** Finds image and key: in the result, in the request, or among the defaults. */
function readExport(): Record<string, State> {
    const uri = "$.facts.imageUri";
    const key = "$.facts.artifactKey";
    return {
        "Look at request": {
            Type: "Pass",
            Parameters: { "text.$": "States.JsonToString($.read.request)" },
            ResultPath: "$.look",
            Next: "Is request an object?",
        },
        "Is request an object?": {
            Type: "Choice",
            Choices: [{ Variable: "$.look.text", ...matches("{*"), Next: "Which key?" }],
            Default: "No request",
        },
        "No request": { Type: "Pass", Result: {}, ResultPath: "$.read.request", Next: "Find facts" },
        "Which key?": {
            Type: "Choice",
            Choices: [{ ...present("$.read.request.imageUri"), Next: "Key of image" }],
            Default: "Find facts",
        },
        "Key of image": {
            Type: "Pass",
            Parameters: {
                "request.$": "States.JsonMerge($.known.keyOfImage, $.read.request, false)",
                "result.$": "$.read.result",
            },
            ResultPath: "$.read",
            Next: "Find facts",
        },
        "Find facts": {
            Type: "Pass",
            Parameters: {
                "all.$":
                    "States.JsonMerge(States.JsonMerge($.known.facts, $.read.request, false), $.read.result, false)",
            },
            ResultPath: "$.merged",
            Next: "Take facts",
        },
        "Take facts": {
            Type: "Pass",
            InputPath: "$.merged.all",
            ResultPath: "$.facts",
            Next: "Are they texts?",
        },
        "Are they texts?": {
            Type: "Choice",
            Choices: [
                {
                    And: [string(uri, matches("*")), string(key, matches("*"))],
                    Next: "Was it exported?",
                },
            ],
            Default: "Make texts",
        },
        "Make texts": {
            Type: "Pass",
            Parameters: {
                "imageUri.$": `States.JsonToString(${uri})`,
                "artifactKey.$": `States.JsonToString(${key})`,
            },
            ResultPath: "$.facts",
            Next: "Tell of no export",
        },
    };
}

/** Writes the message: a title, a text for people, and a description and lines for the chat. */
function write(): Record<string, State> {
    const succeeded = { Variable: "$.event.status", StringEquals: "SUCCEEDED" };
    const execution = "$.known.executionsUrl, $.event.executionArn";
    const failure = "$.event.status, $.outcome.Error, $.outcome.Cause";
    const seeExecution = `States.Format('Execution: {}{}', ${execution})`;
    const seeBuilds = "States.Format('Builds and their logs: {}', $.known.buildsUrl)";
    const message = (subject: string, text: string, description: string, lines: string[]): State => ({
        Type: "Pass",
        Parameters: {
            "title.$": `States.Format('${subject} {}', $.event.status)`,
            "text.$": text,
            "description.$": description,
            "lines.$": `States.Array(${lines.join(", ")})`,
        },
        Next: "Write for chat",
    });
    return {
        "Was it exported?": {
            Type: "Choice",
            Choices: [{ ...succeeded, Next: "Tell of export" }],
            Default: "Tell of no export",
        },
        "Tell of export": message(
            "Image export",
            `States.Format($.texts.exported, $.facts.imageUri, $.facts.artifactBucket, $.facts.artifactKey, $.facts.imageDigest, $.facts.skipped, ${execution})`,
            "States.Format('{} is in s3://{}/{}', $.facts.imageUri, $.facts.artifactBucket, $.facts.artifactKey)",
            [seeExecution],
        ),
        "Tell of no export": message(
            "Image export",
            `States.Format($.texts.notExported, $.facts.imageUri, ${failure}, $.facts.artifactKey, ${execution}, $.known.buildsUrl)`,
            "States.Format('{}: {} {}', $.facts.imageUri, $.outcome.Error, $.outcome.Cause)",
            [seeExecution, seeBuilds],
        ),
        "Was batch done?": {
            Type: "Choice",
            Choices: [{ ...succeeded, Next: "Tell of batch" }],
            Default: "Tell of failed batch",
        },
        "Tell of batch": message(
            "Batch of image exports",
            `States.Format($.texts.batchDone, $.read.batch.text, ${execution})`,
            "$.read.batch.text",
            [seeExecution],
        ),
        "Tell of failed batch": message(
            "Batch of image exports",
            `States.Format($.texts.batchNotDone, ${failure}, ${execution})`,
            "States.Format('{}: {}', $.outcome.Error, $.outcome.Cause)",
            [seeExecution],
        ),
    };
}

/** Publishes a text for people, and the same in the form of the chat service, which drops any other. */
function publish(args: NotifierDefinitionArgs): Record<string, State> {
    return {
        // docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
        "Write for chat": {
            Type: "Pass",
            Parameters: {
                version: "1.0",
                source: "custom",
                content: {
                    textType: "client-markdown",
                    "title.$": "$.title",
                    "description.$": "$.description",
                    "nextSteps.$": "$.lines",
                },
            },
            ResultPath: "$.chat",
            Next: "Publish",
        },
        Publish: {
            Type: "Task",
            Resource: `arn:${args.at.partition}:states:::sns:publish`,
            Parameters: {
                TopicArn: args.topicArn,
                "Subject.$": "$.title",
                // Each protocol has its text, and the chat service subscribes by HTTPS:
                // docs.aws.amazon.com/sns/latest/api/API_Publish.html
                MessageStructure: "json",
                Message: { "default.$": "$.text", "https.$": "States.JsonToString($.chat)" },
            },
            Retry: [
                {
                    ErrorEquals: ["States.ALL"],
                    IntervalSeconds: 2,
                    BackoffRate: 2,
                    MaxAttempts: 8,
                    JitterStrategy: "FULL",
                },
            ],
            End: true,
        },
    };
}
