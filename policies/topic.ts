/** The policy of the topic of notifications. */
import type * as pulumi from "@pulumi/pulumi";

import { allow, deny, arnIn, type PolicyTable, type StackLocation, withoutTls } from "./document";

/** What {@link topicPolicy} depends on. */
export interface TopicPolicyArgs {
    readonly at: StackLocation;
    readonly topicArn: pulumi.Input<string>;
    /** How the names of the stack's alarms begin, for instance `image-export-`. */
    readonly namePrefix: string;
}

/** The statements of the policy. The notifier has a role of the account, for which its own policy is enough. */
export const topicPolicy = {
    LetAlarmsPublish: {
        why: "alarms of this account that are named as the stack names them publish",
        page: "AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html",
        statement: ({ at, topicArn, namePrefix }) =>
            allow("sns:Publish", topicArn, {
                Principal: { Service: "cloudwatch.amazonaws.com" },
                Condition: {
                    StringEquals: { "aws:SourceAccount": at.accountId },
                    ArnLike: { "aws:SourceArn": arnIn(at, "cloudwatch", `alarm:${namePrefix}*`) },
                },
            }),
    },
    DenyInsecurePublishing: {
        why: "nobody publishes without TLS; SNS knows no `sns:*` in the policy of a topic",
        page: "sns/latest/dg/sns-security-best-practices.html",
        statement: ({ topicArn }) => deny("sns:Publish", topicArn, withoutTls),
    },
} satisfies PolicyTable<TopicPolicyArgs>;
