import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { policyOf } from "../policies/document";
import { flowLogRole } from "../policies/network";
import { trust } from "../policies/trust";
import { createLogGroup, createRole, type StackContext } from "./stackDefaults";

export interface FlowLogsArgs extends StackContext {
    /** Id of the VPC. */
    readonly vpcId: pulumi.Input<string>;
}

/**
 * A log of every connection that was tried in a VPC, the refused ones too.
 *
 * @example new FlowLogs("export-flows", { at, vpcId: vpc.id });
 */
export class FlowLogs extends pulumi.ComponentResource {
    /** Name of the log group. */
    public readonly logGroupName: pulumi.Output<string>;

    public constructor(name: string, args: FlowLogsArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:FlowLogs", name, args, opts);
        const child = { parent: this };

        const logGroup = createLogGroup(`${name}-log`, `/aws/vpc-flow-logs/${name}-`, args.encryptionKeyArn, child);
        const role = createRole(
            name,
            "Writes the flow logs of the builds' VPC",
            trust.flowLogs(args.at),
            policyOf(flowLogRole, { logGroupArn: logGroup.arn }),
            child,
        );
        new aws.ec2.FlowLog(
            name,
            { vpcId: args.vpcId, trafficType: "ALL", logDestination: logGroup.arn, iamRoleArn: role.arn },
            child,
        );

        this.logGroupName = logGroup.name;
        this.registerOutputs({ logGroupName: this.logGroupName });
    }
}
