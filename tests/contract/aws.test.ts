import { strict as assert } from "node:assert";

import { buildsUrl, dashboardUrl, executionsUrl, partitionOf, partitions } from "../../contract/aws";

const tokyo = { partition: "aws", region: "ap-northeast-1" } as const;

describe("links into the console", () => {
    it("names pages of the console of the region", () => {
        const host = "https://ap-northeast-1.console.aws.amazon.com";
        assert.equal(executionsUrl(tokyo), `${host}/states/home?region=ap-northeast-1#/v2/executions/details/`);
        assert.equal(
            buildsUrl(tokyo, "111122223333", "export"),
            `${host}/codesuite/codebuild/111122223333/projects/export/history?region=ap-northeast-1`,
        );
        assert.equal(
            dashboardUrl(tokyo, "export"),
            `${host}/cloudwatch/home?region=ap-northeast-1#dashboards/dashboard/export`,
        );
    });

    for (const [partition, region, host] of [
        ["aws-cn", "cn-north-1", "https://cn-north-1.console.amazonaws.cn/"],
        ["aws-us-gov", "us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/"],
        ["aws-eusc", "eusc-de-east-1", "https://eusc-de-east-1.console.amazonaws-eusc.eu/"],
    ] as const) {
        it(`knows the console of ${partition}`, () => {
            for (const url of [
                executionsUrl({ partition, region }),
                buildsUrl({ partition, region }, "111122223333", "export"),
                dashboardUrl({ partition, region }, "export"),
            ]) {
                assert(url.startsWith(host), url);
            }
        });
    }
});

describe("partitionOf", () => {
    const partitions = {
        "ap-northeast-1": "aws",
        "us-east-1": "aws",
        "eu-central-1": "aws",
        "cn-north-1": "aws-cn",
        "us-gov-east-1": "aws-us-gov",
        "eusc-de-east-1": "aws-eusc",
    };
    for (const [region, partition] of Object.entries(partitions)) {
        it(`of ${region} is ${partition}`, () => {
            assert.equal(partitionOf(region), partition);
        });
    }
    it("knows regions to come, and nothing that is no region", () => {
        assert.equal(partitionOf("eu-north-12"), "aws");
        for (const text of ["", "moon-west-1", "eu-west", "eu-west-1a", "EU-WEST-1", "us-gov-west", "eu-west-1\n"]) {
            assert.equal(partitionOf(text), undefined, text);
        }
    });
});

describe("domains", () => {
    it("are of the partition", () => {
        assert.deepEqual(
            Object.entries(partitions).map(([name, { domain, dualStackDomain }]) => [name, domain, dualStackDomain]),
            [
                ["aws", "amazonaws.com", "on.aws"],
                ["aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn"],
                ["aws-us-gov", "amazonaws.com", "on.aws"],
                ["aws-eusc", "amazonaws.eu", "on.aws"],
            ],
        );
    });
});
