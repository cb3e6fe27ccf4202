import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { EndpointArgs, S3EndpointArgs } from "../policies/buildRole";
import { type BuildNetwork, type PolicyArgs, policyOf, statementsOf } from "../policies/document";
import { endpointPolicy, flowLogRole, interfaceEndpoints, s3Endpoint } from "../policies/network";
import { trust } from "../policies/trust";
import { createLogGroup, createRole, type Scope, type StackContext } from "./stackDefaults";

/** Arguments of {@link IsolatedNetwork}; all repositories are of the stack's region. */
export interface IsolatedNetworkArgs extends Pick<PolicyArgs, EndpointArgs | "encryptionKeyArn"> {
    /** Availability zones of the region, by name, two or more: a subnet is made in each of the first two. */
    readonly zones: pulumi.Input<string[]>;
}

/**
 * A VPC without a way to the internet: no gateway, no NAT, no route but to its own endpoints. Through these a build
 * reaches ECR, S3 and CloudWatch Logs of the stack's region, and of them only what the stack is about: its
 * repositories, its bucket, the log groups of its account's builds. What is refused or strange shows in the flow logs.
 *
 * @example new IsolatedNetwork("export", { ...archives, at, zones, engine: "docker", repositories });
 */
export class IsolatedNetwork extends pulumi.ComponentResource {
    /** VPC, subnets and security group for builds. Known once the endpoints exist: a build would hang without them. */
    public readonly buildNetwork: BuildNetwork;
    /** Name of the log group of the flow logs. */
    public readonly flowLogGroupName: pulumi.Output<string>;

    public constructor(name: string, args: IsolatedNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:IsolatedNetwork", name, args, opts);
        const child = { parent: this };
        const scope = { name, args, opts: child };

        // Nothing routes to the VPC, so its addresses may be in use elsewhere; Docker's own, 172.17.0.0/16, may not.
        const vpc = new aws.ec2.Vpc(
            `${name}-vpc`,
            // Private DNS, by which the services' usual names lead to the endpoints, needs both.
            { cidrBlock: "10.0.0.0/23", enableDnsSupport: true, enableDnsHostnames: true },
            child,
        );
        closeDefaultGroup(scope, vpc.id);
        const { subnetIds, routeTable } = createSubnets(scope, vpc);
        // Without rules: neither group lets anything in or out but what openTheWay adds.
        const group = (suffix: string, description: string) =>
            new aws.ec2.SecurityGroup(`${name}-${suffix}`, { vpcId: vpc.id, description }, child);
        const builds = group("build-group", "Builds that export container images");
        const endpointGroup = group("endpoint-group", "Interface endpoints that the builds use");
        const s3 = createS3Endpoint(scope, vpc.id, [routeTable.id]);
        const endpoints = createInterfaceEndpoints(scope, vpc, subnetIds, endpointGroup);
        const rules = openTheWay(scope, builds, endpointGroup, s3);

        const ready = [s3, ...endpoints, ...rules].map(({ id }) => id);
        this.buildNetwork = {
            vpcId: pulumi.all([vpc.id, ready]).apply(([id]) => id),
            subnetIds,
            securityGroupIds: [builds.id],
        };
        this.flowLogGroupName = createFlowLogs(scope, vpc.id);
        this.registerOutputs({ buildNetwork: this.buildNetwork, flowLogGroupName: this.flowLogGroupName });
    }
}

/** Two subnets of 251 addresses each, of which each endpoint and every running build takes one. */
function createSubnets({ name, args, opts }: Scope<IsolatedNetworkArgs>, vpc: aws.ec2.Vpc) {
    // An empty list, unlike none, takes out again what others add. The S3 endpoint's route is not among these.
    const routeTable = new aws.ec2.RouteTable(`${name}-route-table`, { vpcId: vpc.id, routes: [] }, opts);
    const subnetIds = [0, 1].map((index) => {
        const subnet = new aws.ec2.Subnet(
            `${name}-subnet-${index + 1}`,
            {
                vpcId: vpc.id,
                cidrBlock: `10.0.${index}.0/24`,
                availabilityZone: pulumi.output(args.zones).apply((zones) => zoneAt(index, zones)),
                mapPublicIpOnLaunch: false,
            },
            // A zone that the region gains must not move a subnet that is in use.
            { ...opts, ignoreChanges: ["availabilityZone"] },
        );
        const association = new aws.ec2.RouteTableAssociation(
            `${name}-association-${index + 1}`,
            { subnetId: subnet.id, routeTableId: routeTable.id },
            opts,
        );
        return pulumi.all([subnet.id, association.id]).apply(([id]) => id);
    });
    return { subnetIds, routeTable };
}

function zoneAt(index: number, zones: string[]): string {
    const zone = zones[index];
    if (zone === undefined) {
        throw new pulumi.RunError(
            `The isolated network needs two availability zones, and the region offers ${zones.length}: ${zones.join(", ")}.`,
        );
    }
    return zone;
}

/** AWS makes this group with every VPC, open among its members. Taking it over without a rule takes its rules away. */
export function closeDefaultGroup({ name, opts }: Scope<unknown>, vpcId: pulumi.Input<string>): void {
    new aws.ec2.DefaultSecurityGroup(`${name}-default-group`, { vpcId }, opts);
}

/** What a rule of a security group lets pass. */
export const https = { ipProtocol: "tcp", fromPort: 443, toPort: 443 };

/** HTTPS from the builds to the endpoints and to S3, and nothing else in any direction. */
function openTheWay(
    { name, opts }: Scope<IsolatedNetworkArgs>,
    { id: builds }: aws.ec2.SecurityGroup,
    { id: endpoints }: aws.ec2.SecurityGroup,
    { prefixListId }: aws.ec2.VpcEndpoint,
): pulumi.CustomResource[] {
    const toEndpoints = { securityGroupId: builds, referencedSecurityGroupId: endpoints };
    const fromBuilds = { securityGroupId: endpoints, referencedSecurityGroupId: builds };
    return [
        new aws.vpc.SecurityGroupEgressRule(
            `${name}-build-to-endpoints`,
            { ...https, ...toEndpoints, description: "HTTPS to the endpoints" },
            opts,
        ),
        new aws.vpc.SecurityGroupEgressRule(
            `${name}-build-to-s3`,
            { ...https, securityGroupId: builds, prefixListId, description: "HTTPS to S3" },
            opts,
        ),
        new aws.vpc.SecurityGroupIngressRule(
            `${name}-endpoints-from-build`,
            { ...https, ...fromBuilds, description: "HTTPS from builds" },
            opts,
        ),
    ];
}

/** To the archives, the exporter and the layers of ECR: a gateway, which costs nothing. */
export function createS3Endpoint(
    { name, args, opts }: Scope<Pick<PolicyArgs, S3EndpointArgs>>,
    vpcId: pulumi.Input<string>,
    routeTableIds: pulumi.Input<pulumi.Input<string>[]>,
): aws.ec2.VpcEndpoint {
    return new aws.ec2.VpcEndpoint(
        `${name}-s3-endpoint`,
        {
            vpcId,
            vpcEndpointType: "Gateway",
            serviceName: `com.amazonaws.${args.at.region}.s3`,
            routeTableIds,
            policy: pulumi.jsonStringify(endpointPolicy(s3Endpoint, args)),
        },
        opts,
    );
}

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

type InterfaceService = keyof typeof interfaceEndpoints;

/** ECR's API gives the password, its registry the manifests; CodeBuild writes the log from within the build. */
function createInterfaceEndpoints(
    { name, args, opts }: Scope<IsolatedNetworkArgs>,
    vpc: aws.ec2.Vpc,
    subnetIds: pulumi.Output<string>[],
    group: aws.ec2.SecurityGroup,
): aws.ec2.VpcEndpoint[] {
    const prefixes = ownPrefixes[args.at.partition] ?? {};
    // What nothing may pass is not made: that of KMS where nothing is signed. S3 uses KMS by itself.
    const services = Object.entries(interfaceEndpoints).filter(([, table]) => statementsOf(table, args).length > 0);
    return services.map(
        ([service, policy]) =>
            new aws.ec2.VpcEndpoint(
                `${name}-${service.replace(".", "-")}-endpoint`,
                {
                    vpcId: vpc.id,
                    vpcEndpointType: "Interface",
                    serviceName: `${prefixes[service as InterfaceService] ?? "com.amazonaws"}.${args.at.region}.${service}`,
                    subnetIds,
                    securityGroupIds: [group.id],
                    privateDnsEnabled: true,
                    policy: pulumi.jsonStringify(endpointPolicy(policy, args)),
                },
                opts,
            ),
    );
}

// Beyond the partition aws some services have prefixes of their own: github.com/aws/aws-cdk, aws-ec2/lib/vpc-endpoint.ts
const ownPrefixes: Record<string, Partial<Record<InterfaceService, string>> | undefined> = {
    "aws-cn": { "ecr.api": "cn.com.amazonaws", "ecr.dkr": "cn.com.amazonaws" },
    "aws-eusc": { "ecr.api": "eu.amazonaws", "ecr.dkr": "eu.amazonaws" },
};
