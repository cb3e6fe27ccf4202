/** Notifications of executions: who sends them, the topic, the Slack channel. */
import { allow, allowTo, arnIn, deny, type PolicyTable, withoutTls } from "./document";
import { viaService } from "./key";
import { executionsOf } from "./stateMachineRole";

/** The role of the state machine that notifies of executions, beside what every state machine's has. */
export const notifierRole = {
    ReadOutcomes: {
        why: "the message has error and cause of the execution, which the event may lack",
        page: "step-functions/latest/apireference/API_DescribeExecution.html",
        statement: ({ at, reportedNames }) =>
            allow(
                "states:DescribeExecution",
                reportedNames.map((name) => executionsOf(at, name)),
            ),
    },
    PublishNotifications: {
        why: "the message is published to whoever has subscribed to the topic",
        page: "step-functions/latest/dg/connect-sns.html",
        statement: ({ topicArn }) => allow("sns:Publish", topicArn),
    },
    PublishEncrypted: {
        why: "SNS encrypts the message for its publisher",
        page: "sns/latest/dg/sns-key-management.html",
        statement: ({ at, topicArn, encryptionKeyArn }) =>
            encryptionKeyArn !== undefined &&
            allow("kms:Decrypt kms:GenerateDataKey", encryptionKeyArn, {
                StringEquals: {
                    "kms:EncryptionContext:aws:sns:topicArn": topicArn,
                    "kms:ViaService": viaService(at, "sns"),
                },
            }),
    },
} satisfies PolicyTable<"at" | "reportedNames" | "topicArn" | "encryptionKeyArn">;

/** The policy of the topic. The notifier has a role of the account, for which its own policy is enough. */
export const topicPolicy = {
    LetAlarmsPublish: {
        why: "alarms of this account that are named as the stack names them publish",
        page: "AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html",
        statement: ({ at, topicArn, namePrefix }) =>
            allowTo({ Service: "cloudwatch.amazonaws.com" }, "sns:Publish", topicArn, {
                StringEquals: { "aws:SourceAccount": at.accountId },
                ArnLike: { "aws:SourceArn": arnIn(at, "cloudwatch", `alarm:${namePrefix}*`) },
            }),
    },
    DenyInsecurePublishing: {
        why: "nobody publishes without TLS; SNS knows no `sns:*` in the policy of a topic",
        page: "sns/latest/dg/sns-security-best-practices.html",
        statement: ({ topicArn }) => deny("sns:Publish", topicArn, withoutTls),
    },
} satisfies PolicyTable<"at" | "topicArn" | "namePrefix">;

/** The role of the Slack channel, and the most that anybody can do from it. */
export const chatRole = {
    ShowMetrics: {
        why: "the channel draws the metric behind an alarm, can read nothing else and change nothing; metrics have no resource type, and the alarm itself comes with the notification",
        page: "chatbot/latest/adminguide/chatbot-iam-policies.html",
        statement: () => allow("cloudwatch:GetMetricStatistics cloudwatch:GetMetricWidgetImage", "*"),
    },
} satisfies PolicyTable;
