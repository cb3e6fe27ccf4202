/** The policy of the dead-letter queue of the triggers. */
import type * as pulumi from "@pulumi/pulumi";

import { allow, deny, type PolicyTable, withoutTls } from "./document";

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
            ruleArn !== undefined &&
            allow("sqs:SendMessage", queueArn, {
                Principal: { Service: "events.amazonaws.com" },
                Condition: { ArnEquals: { "aws:SourceArn": ruleArn } },
            }),
    },
    DenyInsecureQueue: {
        why: "nobody, whatever else they may, reaches the queue without TLS",
        page: "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html",
        statement: ({ queueArn }) => deny("sqs:*", queueArn, withoutTls),
    },
} satisfies PolicyTable<QueuePolicyArgs>;
