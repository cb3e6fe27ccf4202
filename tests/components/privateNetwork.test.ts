import { strict as assert } from "node:assert";

import { PrivateNetwork } from "../../components/privateNetwork";
import { at } from "../../lab/awsTypes";
import { customResourcesOf, evaluate, type Evaluation, resourceOf, unknown } from "../../lab/evaluation";
import { itKeepsTheHouseRules, statementsOf } from "../support/houseRules";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

function evaluateNetwork(engine: "docker" | "stream", preview = false): Promise<Evaluation> {
    return evaluate(
        () => {
            const { buildNetwork, egressAddress } = new PrivateNetwork("test", {
                at,
                engine,
                artifactBucketArn: "arn:aws:s3:::artifacts",
                artifactPrefix: "images/",
                tags: { project: "ecr-image-export" },
            });
            return { build: { ...buildNetwork }, egressAddress };
        },
        { preview },
    );
}

describe("PrivateNetwork", () => {
    let network: Evaluation;
    before(async () => {
        network = await evaluateNetwork("docker");
    });

    itKeepsTheHouseRules(() => network);

    it("is a VPC of awsx with an S3 endpoint, a closed default group, one group for builds and flow logs", () => {
        assert.deepEqual(typesAndNamesOf(network), [
            "aws:cloudwatch/logGroup:LogGroup test-flows-log",
            "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup test-default-group",
            "aws:ec2/flowLog:FlowLog test-flows",
            "aws:ec2/securityGroup:SecurityGroup test-build-group",
            "aws:ec2/vpcEndpoint:VpcEndpoint test-s3-endpoint",
            "aws:iam/role:Role test-flows-role",
            "aws:iam/rolePolicy:RolePolicy test-flows-policy",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule test-build-to-anywhere",
            "awsx:ec2:Vpc test-vpc",
            "ecr-image-export:index:PrivateNetwork test",
        ]);
    });

    it("has private subnets in two zones behind one NAT gateway, tagged as everything of the stack", () => {
        const { inputs } = componentOf(network, "Vpc");
        assert.deepEqual(
            [inputs["numberOfAvailabilityZones"], inputs["natGateways"], inputs["tags"]],
            [2, { strategy: "Single" }, { component: "test", project: "ecr-image-export" }],
        );
        const specs = inputs["subnetSpecs"] as { type: string }[];
        assert.deepEqual(specs.map(({ type }) => type).sort(), ["Private", "Public"]);
    });

    it("places builds in the private subnets, in a group that lets out HTTPS and lets nothing in", () => {
        const build = network.result["build"] as Record<string, unknown>;
        assert(Array.isArray(build["subnetIds"]) && build["subnetIds"].length === 2);
        const rules = customResourcesOf(network).filter(({ type }) => /SecurityGroup.*Rule$/.test(type));
        assert.deepEqual(
            rules.map(({ inputs }) => [inputs["cidrIpv4"], inputs["fromPort"], inputs["toPort"]]),
            [["0.0.0.0/0", 443, 443]],
        );
        assert.equal(typeof network.result["egressAddress"], "string");
    });

    it("lets nothing pass to S3 but layers and archives, with engine stream the exporter, too", async () => {
        const sids = (evaluation: Evaluation) =>
            statementsOf(resourceOf(evaluation, "test-s3-endpoint")).map(({ Sid }) => Sid);
        assert.deepEqual(sids(network), ["DownloadLayers", "WriteArchives"]);
        const stream = ["DownloadLayers", "PassExporters", "ReadSets", "WriteArchives", "ListArchives"];
        assert.deepEqual(sids(await evaluateNetwork("stream")), stream);
    });

    it("can be previewed, when nothing of the VPC is known yet", async () => {
        const preview = await evaluateNetwork("docker", true);
        assert.deepEqual(typesAndNamesOf(preview), typesAndNamesOf(network));
        assert.equal(preview.result["egressAddress"], unknown);
    });
});
