import * as aws from "@pulumi/aws";
import * as awsx from "@pulumi/awsx";
import * as pulumi from "@pulumi/pulumi";

import type { S3EndpointArgs } from "../policies/buildRole";
import type { BuildNetwork, PolicyArgs } from "../policies/document";
import { closeDefaultGroup, createFlowLogs, createS3Endpoint, https } from "./isolatedNetwork";

export interface PrivateNetworkArgs extends Pick<PolicyArgs, S3EndpointArgs | "encryptionKeyArn"> {
    /** Tags of what the VPC is made of: its resources are registered by another process, where no tags are added. */
    readonly tags: Readonly<Record<string, string>>;
}

/**
 * A VPC with private subnets in two zones behind one NAT gateway: builds reach the internet, and so registries of other
 * regions and those that a pull-through cache fills from, under one address; nothing reaches builds. What goes to S3 in the
 * stack's region, layers and archives, takes a gateway endpoint, since NAT is billed by the byte.
 *
 * @example new PrivateNetwork("export", { ...archives, at, engine: "docker", tags: { project: "ecr-image-export" } });
 */
export class PrivateNetwork extends pulumi.ComponentResource {
    /** VPC, subnets and security group for builds. Known once the way out is open. */
    public readonly buildNetwork: BuildNetwork;
    /** Name of the log group of the flow logs. */
    public readonly flowLogGroupName: pulumi.Output<string>;
    /** The address under which builds appear in the internet. */
    public readonly egressAddress: pulumi.Output<string>;

    public constructor(name: string, args: PrivateNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:PrivateNetwork", name, args, opts);
        const child = { parent: this };
        const scope = { name, args, opts: child };

        const vpc = new awsx.ec2.Vpc(
            `${name}-vpc`,
            {
                // Docker's own network, 172.17.0.0/16, must not be among these addresses.
                cidrBlock: "10.0.0.0/22",
                numberOfAvailabilityZones: 2,
                subnetStrategy: "Auto",
                subnetSpecs: [
                    { type: "Private", cidrMask: 24 },
                    { type: "Public", cidrMask: 28 },
                ],
                // For both zones: should its zone fail, builds wait, and are started again.
                natGateways: { strategy: "Single" },
                enableDnsHostnames: true,
                enableDnsSupport: true,
                tags: { component: name, ...args.tags },
            },
            child,
        );
        closeDefaultGroup(scope, vpc.vpcId);
        const routeTableIds = vpc.routeTables.apply((tables) => pulumi.all(tables.map(({ id }) => id)));
        const s3 = createS3Endpoint(scope, vpc.vpcId, routeTableIds);
        const { id: securityGroupId } = new aws.ec2.SecurityGroup(
            `${name}-build-group`,
            { vpcId: vpc.vpcId, description: "Builds that export container images" },
            child,
        );
        // HTTPS to anywhere, and nothing else in any direction.
        const rule = new aws.vpc.SecurityGroupEgressRule(
            `${name}-build-to-anywhere`,
            { ...https, securityGroupId, cidrIpv4: "0.0.0.0/0", description: "HTTPS to registries and to AWS" },
            child,
        );

        const ready = [s3.id, rule.id, vpc.natGateways, vpc.routes];
        this.buildNetwork = {
            vpcId: pulumi.all([vpc.vpcId, ready]).apply(([id]) => id),
            subnetIds: [0, 1].map((zone) => vpc.privateSubnetIds.apply((ids) => ids[zone] ?? "")),
            securityGroupIds: [securityGroupId],
        };
        this.flowLogGroupName = createFlowLogs(scope, vpc.vpcId);
        this.egressAddress = vpc.eips.apply(([address]) => pulumi.output(address?.publicIp ?? ""));
        this.registerOutputs({
            buildNetwork: this.buildNetwork,
            flowLogGroupName: this.flowLogGroupName,
            egressAddress: this.egressAddress,
        });
    }
}
