import { strict as assert } from "node:assert";

import { buildsUrl, dashboardUrl, executionsUrl } from "../../components/consoleLinks";

const tokyo = { partition: "aws", region: "ap-northeast-1" };

describe("consoleLinks", () => {
    it("names pages of the console of the region", () => {
        const host = "https://ap-northeast-1.console.aws.amazon.com";
        assert.equal(
            executionsUrl(tokyo),
            `${host}/states/home?region=ap-northeast-1#/v2/executions/details/`,
        );
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
