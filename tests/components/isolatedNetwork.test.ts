import { strict as assert } from "node:assert";

import { partitionOf } from "../../contract/aws";
import { parseRepositoryArn } from "../../contract/image";
import { IsolatedNetwork, type IsolatedNetworkArgs } from "../../components/isolatedNetwork";
import { at, networkId, physicalNameOf } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf } from "../support/houseRules";
import { obstacles, type VpcConfig, waysOut } from "../support/networkGraph";
import { evaluate, type Evaluation, type RecordedResource, resourceOf, unknown } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

const repositories = [
    parseRepositoryArn("arn:aws:ecr:ap-northeast-1:111122223333:repository/web/nginx"),
    parseRepositoryArn("arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base"),
];
const args: IsolatedNetworkArgs = {
    at,
    zones: ["ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"],
    engine: "docker",
    repositories,
    artifactBucketArn: "arn:aws:s3:::artifacts-0a1b2c3",
    artifactPrefix: "images/",
};

function evaluateNetwork(changes: Partial<IsolatedNetworkArgs> = {}, preview = false): Promise<Evaluation> {
    return evaluate(
        () => {
            const { vpcId, subnetIds, securityGroupIds } = new IsolatedNetwork("test", { ...args, ...changes })
                .buildNetwork;
            return { build: { vpcId, subnets: subnetIds, securityGroupIds } };
        },
        { preview },
    );
}

function idOf(kind: string, name: string): string {
    return networkId(kind, physicalNameOf(name));
}

function buildIn(network: Evaluation): VpcConfig {
    return network.result["build"] as VpcConfig;
}

const services = ["ecr.api", "ecr.dkr", "s3", "logs"];

describe("IsolatedNetwork", () => {
    let network: Evaluation;
    before(async () => {
        network = await evaluateNetwork();
    });

    itKeepsTheHouseRules(() => network);

    it("is a VPC over two zones, four endpoints, two security groups and the flow logs", () => {
        assert.deepEqual(typesAndNamesOf(network), [
            "aws:cloudwatch/logGroup:LogGroup test-flows-log",
            "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup test-default-group",
            "aws:ec2/flowLog:FlowLog test-flows",
            "aws:ec2/routeTable:RouteTable test-route-table",
            "aws:ec2/routeTableAssociation:RouteTableAssociation test-association-1",
            "aws:ec2/routeTableAssociation:RouteTableAssociation test-association-2",
            "aws:ec2/securityGroup:SecurityGroup test-build-group",
            "aws:ec2/securityGroup:SecurityGroup test-endpoint-group",
            "aws:ec2/subnet:Subnet test-subnet-1",
            "aws:ec2/subnet:Subnet test-subnet-2",
            "aws:ec2/vpc:Vpc test-vpc",
            "aws:ec2/vpcEndpoint:VpcEndpoint test-ecr-api-endpoint",
            "aws:ec2/vpcEndpoint:VpcEndpoint test-ecr-dkr-endpoint",
            "aws:ec2/vpcEndpoint:VpcEndpoint test-logs-endpoint",
            "aws:ec2/vpcEndpoint:VpcEndpoint test-s3-endpoint",
            "aws:iam/role:Role test-flows-role",
            "aws:iam/rolePolicy:RolePolicy test-flows-policy",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule test-build-to-endpoints",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule test-build-to-s3",
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule test-endpoints-from-build",
            "ecr-image-export:index:IsolatedNetwork test",
        ]);
    });

    it("gives builds its VPC, both subnets and their security group", () => {
        assert.deepEqual(buildIn(network), {
            vpcId: idOf("vpc", "test-vpc"),
            subnets: [idOf("subnet", "test-subnet-1"), idOf("subnet", "test-subnet-2")],
            securityGroupIds: [idOf("sg", "test-build-group")],
        });
    });

    it("registers what it gives, and the log group of the flow logs, as its outputs", () => {
        const { vpcId, subnets, securityGroupIds } = buildIn(network);
        assert.deepEqual(componentOf(network, "IsolatedNetwork").outputs, {
            buildNetwork: { vpcId, subnetIds: subnets, securityGroupIds },
            flowLogGroupName: "/aws/vpc-flow-logs/test-flows-20250101000000000000000001",
        });
    });

    describe("as a graph of its declared resources", () => {
        it("has no way out: no internet gateway, no NAT, no route, no public address", () => {
            assert.deepEqual(waysOut(network), []);
        });

        for (const service of services) {
            it(`leads from a build to ${service}`, () => {
                assert.deepEqual(obstacles(network, buildIn(network), service), []);
            });
        }

        for (const service of ["ec2", "kms", "codebuild", "s3.ap-northeast-2"]) {
            it(`does not lead from a build to ${service}`, () => {
                assert.equal(obstacles(network, buildIn(network), service).length, 1);
            });
        }

        /** The network with one resource changed; without it where the change is undefined. */
        const changed = (name: string, change?: Record<string, unknown>): Evaluation => ({
            ...network,
            resources: network.resources.flatMap((resource): RecordedResource[] => {
                if (resource.name !== name) return [resource];
                return change ? [{ ...resource, inputs: { ...resource.inputs, ...change } }] : [];
            }),
        });

        const broken: [what: string, service: string, name: string, change?: Record<string, unknown>][] = [
            ["its endpoint", "ecr.api", "test-ecr-api-endpoint"],
            ["private DNS", "ecr.dkr", "test-ecr-dkr-endpoint", { privateDnsEnabled: false }],
            ["DNS in the VPC", "logs", "test-vpc", { enableDnsHostnames: false }],
            [
                "an interface in each zone",
                "logs",
                "test-logs-endpoint",
                { subnetIds: [idOf("subnet", "test-subnet-1")] },
            ],
            ["the group at the endpoint", "logs", "test-logs-endpoint", { securityGroupIds: ["sg-other"] }],
            ["the rule out of the build", "ecr.api", "test-build-to-endpoints"],
            ["the rule into the endpoint", "ecr.api", "test-endpoints-from-build"],
            ["the port", "ecr.api", "test-endpoints-from-build", { fromPort: 80, toPort: 80 }],
            ["the rule out to S3", "s3", "test-build-to-s3"],
            ["the addresses of S3", "s3", "test-build-to-s3", { prefixListId: "pl-other" }],
            ["the route of a subnet", "s3", "test-association-2"],
            ["the route of the gateway", "s3", "test-s3-endpoint", { routeTableIds: [] }],
            ["the same VPC", "s3", "test-s3-endpoint", { vpcId: "vpc-other" }],
        ];
        for (const [what, service, name, change] of broken) {
            it(`would not lead to ${service} without ${what}`, () => {
                assert.notDeepEqual(obstacles(changed(name, change), buildIn(network), service), []);
            });
        }

        const opened: [what: string, name: string, change: Record<string, unknown>][] = [
            ["a route", "test-route-table", { routes: [{ cidrBlock: "0.0.0.0/0", gatewayId: "igw-1" }] }],
            ["routes of others", "test-route-table", { routes: undefined }],
            ["a virtual gateway", "test-route-table", { propagatingVgws: ["vgw-1"] }],
            ["public addresses", "test-subnet-1", { mapPublicIpOnLaunch: true }],
            ["a rule for addresses", "test-build-to-s3", { cidrIpv4: "0.0.0.0/0" }],
            ["a default group with rules", "test-default-group", { egress: [{ protocol: "-1" }] }],
            ["another region", "test-logs-endpoint", { serviceRegion: "us-east-1" }],
        ];
        for (const [what, name, change] of opened) {
            it(`would have a way out by ${what}`, () => {
                assert.equal(waysOut(changed(name, change)).length, 1);
            });
        }
    });

    it("takes the rules of the default security group away", () => {
        const { inputs } = resourceOf(network, "test-default-group");
        assert.deepEqual(inputs, { vpcId: idOf("vpc", "test-vpc") });
    });

    it("keeps its subnets where they are when the region gains a zone", () => {
        for (const [index, zone] of ["ap-northeast-1a", "ap-northeast-1c"].entries()) {
            const { inputs, ignoreChanges } = resourceOf(network, `test-subnet-${index + 1}`);
            assert.deepEqual([inputs["availabilityZone"], inputs["cidrBlock"]], [zone, `10.0.${index}.0/24`]);
            assert.deepEqual(ignoreChanges, ["availabilityZone"]);
        }
    });

    it("refuses a region of one zone", async () => {
        const refused: unknown[] = [];
        const collect = (error: unknown) => refused.push(error);
        process.on("unhandledRejection", collect);
        await evaluateNetwork({ zones: ["ap-northeast-1a"] }).catch(collect);
        process.off("unhandledRejection", collect);
        assert.match(String(refused[0]), /needs two availability zones, and the region offers 1: ap-northeast-1a/);
    });

    it("logs every flow, under a role that may write to that one log group", () => {
        assert.deepEqual(resourceOf(network, "test-flows").inputs, {
            vpcId: idOf("vpc", "test-vpc"),
            trafficType: "ALL",
            logDestination:
                "arn:aws:logs:ap-northeast-1:111122223333:log-group:/aws/vpc-flow-logs/test-flows-20250101000000000000000001",
            iamRoleArn: "arn:aws:iam::111122223333:role/test-flows-role-0a1b2c3",
        });
        assert(resourceOf(network, "test-flows").dependencies.includes("test-flows-policy"));
        assert.deepEqual(sidsOf(resourceOf(network, "test-flows-policy")), ["WriteFlowLogs"]);
    });

    it("lets pass what a build needs, with engine stream the exporter, too", async () => {
        const passes = (evaluation: Evaluation) =>
            ["s3", "ecr-api", "ecr-dkr", "logs"].map((service) =>
                sidsOf(resourceOf(evaluation, `test-${service}-endpoint`)),
            );
        const pulls = ["LogInToEcr", "PullImages"];
        const [, ...others] = passes(network);
        assert.deepEqual(passes(network)[0], ["DownloadLayers", "WriteArchives"]);
        assert.deepEqual(others, [pulls, pulls, ["PassBuildLogs"]]);
        const stream = passes(await evaluateNetwork({ engine: "stream" }));
        assert.deepEqual(stream, [
            ["DownloadLayers", "PassExporters", "ReadSets", "WriteArchives", "ListArchives"],
            ...others,
        ]);
    });

    const partitions: Record<string, Record<string, string>> = {
        "cn-north-1": {
            "ecr-api": "cn.com.amazonaws.cn-north-1.ecr.api",
            "ecr-dkr": "cn.com.amazonaws.cn-north-1.ecr.dkr",
            s3: "com.amazonaws.cn-north-1.s3",
            logs: "com.amazonaws.cn-north-1.logs",
        },
    };
    for (const [region, names] of Object.entries(partitions)) {
        it(`names services and resources as ${region} does`, async () => {
            const partition = partitionOf(region) ?? "aws";
            const there = await evaluateNetwork({
                at: { partition, region, accountId: "111122223333" },
                repositories: [parseRepositoryArn(`arn:${partition}:ecr:${region}:111122223333:repository/web/nginx`)],
                artifactBucketArn: `arn:${partition}:s3:::artifacts`,
            });
            for (const [service, serviceName] of Object.entries(names)) {
                const { inputs } = resourceOf(there, `test-${service}-endpoint`);
                assert.equal(inputs["serviceName"], serviceName);
                assert.doesNotMatch(String(inputs["policy"]), /arn:aws:/);
            }
        });
    }

    it("declares the same in a preview, and names the region's services", async () => {
        const preview = await evaluateNetwork({}, true);
        assert.deepEqual(typesAndNamesOf(preview), typesAndNamesOf(network));
        assert.equal(buildIn(preview).vpcId, unknown);
        assert.equal(
            resourceOf(preview, "test-ecr-dkr-endpoint").inputs["serviceName"],
            "com.amazonaws.ap-northeast-1.ecr.dkr",
        );
    });
});
