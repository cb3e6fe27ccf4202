/** The role that writes the flow logs of a VPC. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { arnIn, assumedBy, type PolicyTable, type StackLocation } from "./document";

/** Trust of the role, for any flow log of the region, since AWS names it after it was created. */
export function flowLogTrust(at: StackLocation): aws.iam.PolicyDocument {
    // docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    return assumedBy("vpc-flow-logs", at, arnIn(at, "ec2", "vpc-flow-log/*"));
}

/** The statement of the role. */
export const flowLogRole = {
    WriteFlowLogs: {
        why: "the flow logs are written to the one log group, which exists already",
        page: "vpc/latest/userguide/flow-logs-iam-role.html",
        statement: ({ logGroupArn }) => ({
            Effect: "Allow",
            Action: ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            Resource: pulumi.interpolate`${logGroupArn}:*`,
        }),
    },
} satisfies PolicyTable<{ readonly logGroupArn: pulumi.Input<string> }>;
