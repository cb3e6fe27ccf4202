/** The role of the Slack channel, and the most that anybody can do from it. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { assumedBy, type PolicyTable, type StackLocation } from "./document";

/** Trust of the role: the chat service, for one channel configuration. */
export function chatTrust(at: StackLocation, configurationName: pulumi.Input<string>): aws.iam.PolicyDocument {
    // docs.aws.amazon.com/chatbot/latest/adminguide/cross-service-confused-deputy-prevention.html
    // Without a region: the service is one for all of them.
    const channel = pulumi.interpolate`arn:${at.partition}:chatbot::${at.accountId}:chat-configuration/slack-channel/${configurationName}`;
    return assumedBy("chatbot", at, channel);
}

/** The statement of the role, and of its guardrail. */
export const chatRole = {
    ShowMetrics: {
        why: "the channel draws the metric behind an alarm, can read nothing else and change nothing; metrics have no resource type, and the alarm itself comes with the notification",
        page: "chatbot/latest/adminguide/chatbot-iam-policies.html",
        statement: () => ({
            Effect: "Allow",
            Action: ["cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage"],
            Resource: "*",
        }),
    },
} satisfies PolicyTable<object>;
