/** The role that writes the flow logs of a VPC. */
import type * as pulumi from "@pulumi/pulumi";

import { allow, joined, type PolicyTable } from "./document";

/** The statement of the role. */
export const flowLogRole = {
    WriteFlowLogs: {
        why: "the flow logs are written to the one log group, which exists already",
        page: "vpc/latest/userguide/flow-logs-iam-role.html",
        statement: ({ logGroupArn }) =>
            allow("logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents", joined`${logGroupArn}:*`),
    },
} satisfies PolicyTable<{ readonly logGroupArn: pulumi.Input<string> }>;
