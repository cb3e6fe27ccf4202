/** The roles of what starts exports by itself: the starter state machine, the rule for pushes, the schedule. */
import * as pulumi from "@pulumi/pulumi";

import { allow, type PolicyTable } from "./document";

/** The statements of the starter's role, beside those of every state machine's. */
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
} satisfies PolicyTable<{ readonly exportMachineArn: pulumi.Input<string> }>;

/** What the triggers start. */
interface StarterArgs {
    /** ARN of the starter state machine. */
    readonly starterArn: pulumi.Input<string>;
}

/** The statement of the role of the rule for pushes. */
export const pushRole = {
    PullTrigger: {
        why: "a rule or a schedule starts its target, and nothing else, with the permissions of its role",
        page: "eventbridge/latest/userguide/eb-use-identity-based.html",
        statement: ({ starterArn }) => allow("states:StartExecution", starterArn),
    },
} satisfies PolicyTable<StarterArgs>;

/** The statements of the role of the schedule. */
export const scheduleRole: PolicyTable<StarterArgs & { readonly queueArn: pulumi.Input<string> }> = {
    ...pushRole,
    KeepUndelivered: {
        why: "EventBridge Scheduler keeps what it could not deliver in the dead-letter queue",
        page: "scheduler/latest/UserGuide/configuring-schedule-dlq.html",
        statement: ({ queueArn }) => allow("sqs:SendMessage", queueArn),
    },
};
