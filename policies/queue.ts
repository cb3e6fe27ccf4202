/** The policy of the dead-letter queue of the triggers. */
import type * as pulumi from "@pulumi/pulumi";

import type { PolicyTable } from "./document";

/** What {@link queuePolicy} depends on. */
export interface QueuePolicyArgs {
    readonly queueArn: pulumi.Input<string>;
    /** ARN of the rule for pushes; undefined where there is none. */
    readonly ruleArn: pulumi.Input<string> | undefined;
}

/** The statements of the policy. */
export const queuePolicy = {
    LetRuleKeepUndelivered: {
        why: "the one rule keeps what it could not deliver; EventBridge uses no role for that",
        page: "eventbridge/latest/userguide/eb-rule-dlq.html",
        statement: ({ queueArn, ruleArn }) =>
            ruleArn !== undefined && {
                Effect: "Allow",
                Principal: { Service: "events.amazonaws.com" },
                Action: "sqs:SendMessage",
                Resource: queueArn,
                Condition: { ArnEquals: { "aws:SourceArn": ruleArn } },
            },
    },
    DenyInsecureQueue: {
        why: "nobody, whatever else they may, reaches the queue without TLS",
        page: "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html",
        statement: ({ queueArn }) => ({
            Effect: "Deny",
            Principal: "*",
            Action: "sqs:*",
            Resource: queueArn,
            Condition: { Bool: { "aws:SecureTransport": "false" } },
        }),
    },
} satisfies PolicyTable<QueuePolicyArgs>;
