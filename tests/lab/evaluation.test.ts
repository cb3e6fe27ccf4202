import { strict as assert } from "node:assert";

import * as aws from "@pulumi/aws";
import * as awsx from "@pulumi/awsx";
import * as pulumi from "@pulumi/pulumi";

import { at } from "../../lab/awsTypes";
import { customResourcesOf, evaluate, resourceOf, unknown } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

describe("the evaluation of a program", () => {
    const topic = () => ({ arn: new aws.sns.Topic("news").arn });
    const tagged = () => {
        pulumi.runtime.registerStackTransformation(({ props, opts }) => ({
            props: { ...props, tags: { team: "images" } },
            opts,
        }));
        return topic();
    };

    it("applies what the program registers for its whole stack", async () => {
        const evaluation = await evaluate(tagged);
        assert.deepEqual(resourceOf(evaluation, "news").inputs["tags"], { team: "images" });
    });

    it("does not apply it to the program that is evaluated next", async () => {
        await evaluate(tagged);
        const evaluation = await evaluate(topic);
        assert.equal("tags" in resourceOf(evaluation, "news").inputs, false);
    });

    it("shows no root stack: neither as a resource nor as a parent", async () => {
        const evaluation = await evaluate(topic);
        assert.deepEqual(typesAndNamesOf(evaluation), ["aws:sns/topic:Topic news"]);
        assert.equal(resourceOf(evaluation, "news").parent, "");
        assert.equal(resourceOf(evaluation, "news").urn, "urn:pulumi:dev::ecr-image-export::aws:sns/topic:Topic::news");
    });

    it("answers as AWS does in the stack's location", async () => {
        const location = { partition: "aws-cn", region: "cn-north-1", accountId: "444455556666" } as const;
        const { result } = await evaluate(topic, { location });
        assert.equal(result["arn"], "arn:aws-cn:sns:cn-north-1:444455556666:news-0a1b2c3");
    });

    it("answers nothing in a preview", async () => {
        const { result } = await evaluate(topic, { preview: true });
        assert.equal(result["arn"], unknown);
    });

    it("creates each resource before its outputs are handed on", async () => {
        const created: unknown[] = [];
        await evaluate(topic, {
            create: ({ type, name }, answer) => {
                created.push([type, name, answer["name"]]);
                return Promise.resolve();
            },
        });
        assert.deepEqual(created, [["aws:sns/topic:Topic", "news", "news-0a1b2c3"]]);
    });

    it("fails with what kept a resource from being created", async () => {
        const create = () => Promise.reject(new Error("no room for a topic"));
        await assert.rejects(evaluate(topic, { create }), /no room for a topic/);
    });

    it("fails with what the program throws", async () => {
        const program = () => {
            throw new Error("the key `engine` is unknown");
        };
        await assert.rejects(evaluate(program), /the key `engine` is unknown/);
    });

    it("fails on resource types, packages' components and functions that the table lacks", async () => {
        const program = () => {
            new aws.sns.Topic("news");
            new aws.glacier.Vault("ice");
            new pulumi.ComponentResource("awsx:ecs:FargateService", "web", {}, {}, true);
            return { zone: aws.route53.getZoneOutput({ name: "example.org" }).zoneId };
        };
        await assert.rejects(
            evaluate(program),
            /does not know what the program uses: (?=.*aws:glacier\/vault:Vault)(?=.*awsx:ecs:FargateService)(?=.*getZone)/,
        );
    });

    describe("of awsx.ec2.Vpc", () => {
        const network = () => {
            const vpc = new awsx.ec2.Vpc("net", { numberOfAvailabilityZones: 2, natGateways: { strategy: "Single" } });
            return {
                vpcId: vpc.vpcId,
                privateSubnets: vpc.privateSubnetIds,
                publicSubnets: vpc.publicSubnetIds,
                routeTables: vpc.routeTables.apply((tables) => tables.map(({ id }) => id)),
                gateways: vpc.natGateways.length,
            };
        };

        it("answers a private and a public subnet in each zone", async () => {
            const evaluation = await evaluate(network);
            const { vpcId, privateSubnets, publicSubnets, ...rest } = evaluation.result as Record<string, string[]>;
            assert.match(String(vpcId), /^vpc-[0-9a-f]{17}$/);
            const subnets = [...(privateSubnets ?? []), ...(publicSubnets ?? [])];
            assert.equal(new Set(subnets).size, 4);
            for (const subnet of subnets) assert.match(subnet, /^subnet-[0-9a-f]{17}$/);
            assert.deepEqual([rest["routeTables"]?.length, rest["gateways"]], [4, 1]);
            assert.equal(componentOf(evaluation, "Vpc").inputs["numberOfAvailabilityZones"], 2);
            assert.deepEqual(customResourcesOf(evaluation), []);
        });

        it("answers nothing in a preview", async () => {
            const { result } = await evaluate(network, { preview: true });
            assert.deepEqual([result["vpcId"], result["privateSubnets"]], [unknown, unknown]);
        });
    });

    it("knows who it is", async () => {
        const { result } = await evaluate(() => ({ account: aws.getCallerIdentityOutput().accountId }));
        assert.equal(result["account"], at.accountId);
    });
});
