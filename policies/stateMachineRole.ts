/** What the role of every state machine has: trust, delivery of its log, traces. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { arnIn, assumedBy, type PolicyTable, type StackLocation } from "./document";

/** Trust of the role, for state machines whose name begins with this: Pulumi adds random digits. */
export function stateMachineTrust(at: StackLocation, namePrefix: string): aws.iam.PolicyDocument {
    // docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
    return assumedBy("states", at, arnIn(at, "states", `stateMachine:${namePrefix}*`));
}

/** The statements that every state machine's role has. */
export const stateMachineRole = {
    DeliverExecutionLog: {
        why: "Step Functions sets up the delivery of the execution log; log deliveries and resource policies of CloudWatch Logs have no resource type",
        page: "step-functions/latest/dg/cw-logs.html",
        statement: () => ({
            Effect: "Allow",
            Action: [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            Resource: "*",
        }),
    },
    TraceExecutions: {
        why: "Step Functions sends the trace of the execution to X-Ray; traces have no resource type",
        page: "step-functions/latest/dg/concepts-xray-tracing.html",
        statement: () => ({
            Effect: "Allow",
            Action: [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            Resource: "*",
        }),
    },
} satisfies PolicyTable<object>;

/** The ARNs of all executions of a state machine. */
export function executionsOf(at: StackLocation, stateMachineName: pulumi.Input<string>): pulumi.Input<string> {
    return arnIn(at, "states", pulumi.interpolate`execution:${stateMachineName}:*`);
}
