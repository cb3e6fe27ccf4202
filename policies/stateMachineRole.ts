/** What the role of every state machine has: trust, delivery of its log, traces. */
import type * as pulumi from "@pulumi/pulumi";

import { allow, arnIn, joined, type PolicyTable, type StackLocation } from "./document";

/** The statements that every state machine's role has. */
export const stateMachineRole = {
    DeliverExecutionLog: {
        why: "Step Functions sets up the delivery of the execution log; log deliveries and resource policies of CloudWatch Logs have no resource type",
        page: "step-functions/latest/dg/cw-logs.html",
        statement: () =>
            allow(
                `logs:CreateLogDelivery logs:DeleteLogDelivery logs:DescribeLogGroups
                logs:DescribeResourcePolicies logs:GetLogDelivery logs:ListLogDeliveries logs:PutResourcePolicy
                logs:UpdateLogDelivery`,
                "*",
            ),
    },
    TraceExecutions: {
        why: "Step Functions sends the trace of the execution to X-Ray; traces have no resource type",
        page: "step-functions/latest/dg/concepts-xray-tracing.html",
        statement: () =>
            allow("xray:GetSamplingRules xray:GetSamplingTargets xray:PutTelemetryRecords xray:PutTraceSegments", "*"),
    },
} satisfies PolicyTable;

/** The ARNs of all executions of a state machine. */
export function executionsOf(at: StackLocation, stateMachineName: pulumi.Input<string>): pulumi.Input<string> {
    return arnIn(at, "states", joined`execution:${stateMachineName}:*`);
}
