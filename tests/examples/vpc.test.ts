import { strict as assert } from "node:assert";
import { createRequire } from "node:module";

import * as pulumi from "@pulumi/pulumi";

import { loadConfig, type StackConfig } from "../../config";
import { evaluate } from "../support/pulumiMocks";

const load = createRequire(__filename);

/** What the component of awsx answers: it is made by its own plugin, so that mocks see no resource inside of it. */
const answers: Record<string, Record<string, unknown>> = {
    "awsx:ec2:Vpc": {
        vpcId: "vpc-0a1b2c3d",
        privateSubnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
        publicSubnetIds: ["subnet-2a3b4c5d", "subnet-3a4b5c6d"],
    },
    "aws:ec2/securityGroup:SecurityGroup": {},
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {},
};

describe("examples/vpc", () => {
    const declared: Record<string, Record<string, unknown>> = {};
    let network: unknown;
    before(async () => {
        await pulumi.runtime.setMocks({
            newResource: ({ type, inputs }) => {
                const state = answers[type];
                assert(state, type);
                const given = inputs as Record<string, unknown>;
                declared[type] = given;
                return { id: "sg-0a1b2c3d", state: { ...given, ...state } };
            },
            call: ({ token }) => assert.fail(token),
        });
        pulumi.runtime.setAllConfig({ "aws:region": "ap-northeast-1" });
        const outputs = load("../../examples/vpc") as Record<string, unknown>;
        await new Promise<void>((done) => {
            pulumi.output({ ...outputs }).apply((known) => {
                network = known["network"];
                done();
            });
        });
    });

    it("is a VPC of private subnets behind a NAT gateway, with a way to S3 past it", () => {
        assert.deepEqual(declared["awsx:ec2:Vpc"], {
            numberOfAvailabilityZones: 2,
            subnetStrategy: "Auto",
            subnetSpecs: [{ type: "Private" }, { type: "Public" }],
            natGateways: { strategy: "Single" },
            vpcEndpointStrategy: "Auto",
            vpcEndpointSpecs: [
                { serviceName: "com.amazonaws.ap-northeast-1.s3", vpcEndpointType: "Gateway" },
            ],
        });
    });

    it("lets builds out by HTTPS, and nobody in", () => {
        assert.deepEqual(declared["aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"], {
            securityGroupId: "sg-0a1b2c3d",
            ipProtocol: "tcp",
            fromPort: 443,
            toPort: 443,
            cidrIpv4: "0.0.0.0/0",
        });
    });

    it("has the value of the key network as its output, with the private subnets", async () => {
        let config: StackConfig | undefined;
        await evaluate(() => {
            pulumi.runtime.setAllConfig({
                "aws:region": "ap-northeast-1",
                "ecr-image-export:imageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx",
                "ecr-image-export:network": JSON.stringify(network),
            });
            config = loadConfig();
            return {};
        });
        assert.deepEqual(config?.network, {
            vpcId: "vpc-0a1b2c3d",
            subnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
            securityGroupIds: ["sg-0a1b2c3d"],
        });
    });
});
