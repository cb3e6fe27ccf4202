import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";

import { policyOf } from "../policies/document";
import { flowLogRole } from "../policies/network";
import { trust } from "../policies/trust";
import { createLogGroup, createRole, type Scope, type StackContext } from "./stackDefaults";

/**
 * Makes a log of every connection that was tried in a VPC, the refused ones too.
 *
 * @returns the name of its log group
 */
export function createFlowLogs(
    { name: ofNetwork, args, opts }: Scope<StackContext>,
    vpcId: pulumi.Input<string>,
): pulumi.Output<string> {
    const name = `${ofNetwork}-flows`;
    const logGroup = createLogGroup(`${name}-log`, `/aws/vpc-flow-logs/${name}-`, args.encryptionKeyArn, opts);
    const role = createRole(
        name,
        "Writes the flow logs of the builds' VPC",
        trust.flowLogs(args.at),
        policyOf(flowLogRole, { logGroupArn: logGroup.arn }),
        opts,
    );
    new aws.ec2.FlowLog(name, { vpcId, trafficType: "ALL", logDestination: logGroup.arn, iamRoleArn: role.arn }, opts);
    return logGroup.name;
}
