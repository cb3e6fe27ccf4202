/** The role of the state machine that notifies of executions, and that of the rules that start it. */
import type * as pulumi from "@pulumi/pulumi";

import { allow, type PolicyTable, type StackLocation } from "./document";
import { viaService } from "./key";
import { executionsOf } from "./stateMachineRole";

/** What {@link notifierRole} depends on. */
export interface NotifierRoleArgs {
    readonly at: StackLocation;
    /** Names of the state machines whose executions are reported. */
    readonly stateMachineNames: readonly pulumi.Input<string>[];
    /** ARN of the topic. */
    readonly topicArn: pulumi.Input<string>;
    /** ARN of the KMS key that encrypts the topic; undefined where it is not encrypted. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
}

/** The statements of the state machine's role, beside those of every state machine's. */
export const notifierRole = {
    ReadOutcomes: {
        why: "the message has error and cause of the execution, which the event may lack",
        page: "step-functions/latest/apireference/API_DescribeExecution.html",
        statement: ({ at, stateMachineNames }) =>
            allow(
                "states:DescribeExecution",
                stateMachineNames.map((name) => executionsOf(at, name)),
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
                Condition: {
                    StringEquals: {
                        "kms:EncryptionContext:aws:sns:topicArn": topicArn,
                        "kms:ViaService": viaService(at, "sns"),
                    },
                },
            }),
    },
} satisfies PolicyTable<NotifierRoleArgs>;

/** The statement of the role of the rules that start that state machine. */
export const endedRuleRole = {
    WakeNotifier: {
        why: "a rule that an execution has ended by starts its target, and nothing else, with the permissions of its role",
        page: "eventbridge/latest/userguide/eb-use-identity-based.html",
        statement: ({ notifierArn }) => allow("states:StartExecution", notifierArn),
    },
} satisfies PolicyTable<{ readonly notifierArn: pulumi.Input<string> }>;
