/**
 * A VPC for builds that need more than `network: isolated` leads to: images of other regions, or an address that others can
 * know. Builds run in private subnets, behind one NAT gateway; what they move to and from S3 goes past it, by a gateway
 * endpoint that is not billed. The output `network` is the value of the configuration key `network`.
 */
import * as aws from "@pulumi/aws";
import * as awsx from "@pulumi/awsx";

const region = aws.config.requireRegion();

const vpc = new awsx.ec2.Vpc("builds", {
    numberOfAvailabilityZones: 2,
    subnetStrategy: awsx.ec2.SubnetAllocationStrategy.Auto,
    subnetSpecs: [{ type: awsx.ec2.SubnetType.Private }, { type: awsx.ec2.SubnetType.Public }],
    // One has no spare in another zone; one for each zone costs as much again.
    natGateways: { strategy: awsx.ec2.NatGatewayStrategy.Single },
    // Auto puts the endpoint into the route tables of all subnets.
    vpcEndpointStrategy: awsx.ec2.VpcEndpointStrategy.Auto,
    vpcEndpointSpecs: [{ serviceName: `com.amazonaws.${region}.s3`, vpcEndpointType: "Gateway" }],
});

const group = new aws.ec2.SecurityGroup("builds", {
    vpcId: vpc.vpcId,
    description: "Builds that export container images",
});
new aws.vpc.SecurityGroupEgressRule("builds-https", {
    securityGroupId: group.id,
    ipProtocol: "tcp",
    fromPort: 443,
    toPort: 443,
    cidrIpv4: "0.0.0.0/0",
});

export const network = {
    vpcId: vpc.vpcId,
    subnetIds: vpc.privateSubnetIds,
    securityGroupIds: [group.id],
};
