/** What starts exports by itself: the starter state machine, the rule for pushes, the schedule, and what they could not deliver. */
import * as pulumi from "@pulumi/pulumi";

import { allow, allowTo, deny, type PolicyTable, withoutTls } from "./document";

/** The role of the starter state machine, beside what every state machine's has. */
export const starterRole = {
    StartTriggeredExports: {
        why: "the state machine behind the triggers starts the export",
        page: "step-functions/latest/dg/connect-stepfunctions.html",
        statement: ({ exportMachineArn }) => allow("states:StartExecution", exportMachineArn),
    },
    CompareTriggeredExports: {
        why: "where an execution of that name exists, the starter compares its request: only the same one makes the event a repeated one",
        page: "service-authorization/latest/reference/list_awsstepfunctions.html",
        statement: ({ exportMachineArn }) =>
            allow(
                "states:DescribeExecution",
                pulumi.output(exportMachineArn).apply((arn) => `${arn.replace(":stateMachine:", ":execution:")}:*`),
            ),
    },
} satisfies PolicyTable<"exportMachineArn">;

/** The role of rules: of that for pushes, and of those for executions that have ended. */
export const ruleRole = {
    StartTarget: {
        why: "a rule or a schedule starts its target, and nothing else, with the permissions of its role",
        page: "eventbridge/latest/userguide/eb-use-identity-based.html",
        statement: ({ startedArn }) => allow("states:StartExecution", startedArn),
    },
} satisfies PolicyTable<"startedArn">;

/** The role of the schedule. */
export const scheduleRole: PolicyTable<"startedArn" | "queueArn"> = {
    ...ruleRole,
    KeepUndelivered: {
        why: "EventBridge Scheduler keeps what it could not deliver in the dead-letter queue",
        page: "scheduler/latest/UserGuide/configuring-schedule-dlq.html",
        statement: ({ queueArn }) => allow("sqs:SendMessage", queueArn),
    },
};

/** The policy of the dead-letter queue. */
export const queuePolicy = {
    LetRuleKeepUndelivered: {
        why: "the one rule keeps what it could not deliver; EventBridge uses no role for that",
        page: "eventbridge/latest/userguide/eb-rule-dlq.html",
        statement: ({ queueArn, ruleArn }) =>
            ruleArn !== undefined &&
            allowTo({ Service: "events.amazonaws.com" }, "sqs:SendMessage", queueArn, {
                ArnEquals: { "aws:SourceArn": ruleArn },
            }),
    },
    DenyInsecureQueue: {
        why: "nobody, whatever else they may, reaches the queue without TLS",
        page: "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html",
        statement: ({ queueArn }) => deny("sqs:*", queueArn, withoutTls),
    },
} satisfies PolicyTable<"queueArn" | "ruleArn">;
