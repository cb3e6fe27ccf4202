import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";
import { StateMachine, type StateMachineDefinition } from "aws-local-stepfunctions";

import { exportDefinition, resultVariables } from "../../components/definition";
import { parseImageUri } from "../../components/imageReference";
import { loadConfig, type StackConfig } from "../../config";
import {
    archiveMb,
    assumptions,
    buildSeconds,
    defaultUsage,
    type Measured,
    monthlyCost,
    optionCosts,
    readMeasured,
    total,
    type Usage,
    ways,
} from "../../cost/estimate";
import { items, prices } from "../../cost/prices";
import { evaluateStack } from "../support/program";
import { evaluate } from "../support/pulumiMocks";

const measured: Measured = { mb: 100, unpackedRatio: 3, dockerSeconds: 10, streamSeconds: 5 };
const usage: Usage = {
    region: "us-east-1",
    exports: 10,
    mb: 1000,
    unpackedRatio: 3,
    computeType: "BUILD_GENERAL1_LARGE",
    archiveDays: 60,
    oldVersionDays: 13,
};
const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29");

function cost(way: (typeof ways)[number], changes: Partial<Usage> = {}): Record<string, number> | undefined {
    const positions = monthlyCost(way, { ...usage, ...changes }, measured);
    return positions && Object.fromEntries(positions.map(({ name, usd }) => [name, usd]));
}

describe("the cost of a month", () => {
    it("has a build for as long as the bench took for the size, twice, after provisioning", () => {
        const seconds = ways.map((way) => buildSeconds(way, usage, measured));
        assert.deepEqual(seconds, [40 + 2 * 100, 40 + 2 * 50, 10 + 2 * 50]);
    });

    it("rounds builds up, on EC2 to the minute and on Lambda compute to the second", () => {
        assert.equal(cost("docker")?.["Builds"], 10 * 4 * 0.02);
        assert.equal(cost("stream")?.["Builds"], 10 * 3 * 0.02);
        assert.equal(cost("stream on Lambda compute")?.["Builds"], 10 * 110 * 0.00008);
        assert.equal(cost("stream on Lambda compute", { mb: 1001 })?.["Builds"], 10 * 111 * 0.00008);
        assert.equal(cost("stream", { computeType: "BUILD_GENERAL1_SMALL" })?.["Builds"], 10 * 3 * 0.005);
    });

    it("keeps unpacked layers with engine docker, and packed ones with engine stream", () => {
        assert.deepEqual(
            ways.map((way) => archiveMb(way, usage)),
            [3000, 1000, 1000],
        );
        const months = 73 / (365 / 12);
        assert.equal(cost("docker")?.["Archives in S3"], 10 * (3 * months * 0.023));
        assert.equal(cost("stream")?.["Archives in S3"], 10 * (1 * months * 0.023));
    });

    it("counts the parts of an upload, and what else S3 is asked for", () => {
        const [docker, stream] = [Math.ceil(3e9 / (8 * 1024 ** 2)), Math.ceil(1e9 / (5 * 1024 ** 2))];
        const rest = assumptions.otherPuts * 0.000005 + assumptions.gets * 0.0000004;
        assert.equal(
            cost("docker")?.["Requests to S3"]?.toFixed(9),
            (10 * (docker * 0.000005 + rest)).toFixed(9),
        );
        assert.equal(
            cost("stream")?.["Requests to S3"]?.toFixed(9),
            (10 * (stream * 0.000005 + rest)).toFixed(9),
        );
    });

    it("adds up", () => {
        const positions = monthlyCost("stream", usage, measured) ?? [];
        assert.deepEqual(
            positions.map(({ name }) => name),
            ["Builds", "State machine", "Archives in S3", "Requests to S3", "Logs of the builds"],
        );
        assert.equal(
            total(positions),
            positions.map(({ usd }) => usd).reduce((sum, usd) => sum + usd),
        );
        assert.equal(total([]), 0);
    });

    it("has no price for a build that Lambda compute would end after 15 minutes", () => {
        assert.notEqual(cost("stream on Lambda compute", { mb: 8900 }), undefined);
        assert.equal(cost("stream on Lambda compute", { mb: 8910 }), undefined);
        assert.notEqual(cost("stream", { mb: 8910 }), undefined);
    });

    it("knows no price of a region that it has none of", () => {
        assert.throws(() => cost("docker", { region: "eu-west-1" }), /No price is known of .* in eu-west-1/);
    });

    it("adds what the options keep: endpoints, nothing, a secret and images", () => {
        assert.deepEqual(
            optionCosts(usage).map(({ usd }) => usd),
            [4 * 2 * 730 * 0.01, 0, 0.4 + 10 * 0.1, 3, 11 * 0.1],
        );
    });
});

describe("the inputs of the cost", () => {
    it("are prices with a date, for every region", () => {
        for (const [region, ofRegion] of Object.entries(prices)) {
            assert.deepEqual(Object.keys(ofRegion), Object.keys(items), region);
            for (const [item, { usd, asOf }] of Object.entries(ofRegion)) {
                assert(usd > 0, `${region} ${item}`);
                assert.match(asOf, /^(?:undated|20\d\d-\d\d(?:-\d\d)?)$/, `${region} ${item}`);
            }
        }
    });

    it("are what the bench has measured", () => {
        const { mb, unpackedRatio, dockerSeconds, streamSeconds } = readMeasured();
        assert.equal(Math.round(mb), 500);
        assert(unpackedRatio > 1 && unpackedRatio < 10);
        assert(dockerSeconds > streamSeconds && streamSeconds > 0);
    });

    it("are the states that a successful export passes", async () => {
        const definition = exportDefinition({
            at: image.repository,
            projectName: "export",
            engine: "docker",
            imageUri: image.uri,
            repositories: [image.repository],
            artifactBucket: "artifacts",
            artifactPrefix: "images/",
            timeoutMinutes: 30,
            queuedTimeoutMinutes: 60,
        });
        const variables = Object.keys(resultVariables).map((Name) => ({ Name, Value: "1" }));
        const { eventLogs, result } = new StateMachine(definition as unknown as StateMachineDefinition).run(
            {},
            {
                overrides: {
                    taskResourceLocalHandlers: {
                        "Ask ECR": () => Promise.resolve({ ImageDetails: [{ ImageDigest: "sha256:0" }] }),
                        "Look at record": () => Promise.reject(new Error("there is none")),
                        "Export image": () =>
                            Promise.resolve({
                                Build: { Id: "export:1", ExportedEnvironmentVariables: variables },
                            }),
                    },
                },
                context: { Execution: { Id: "1", Input: {} } },
            },
        );
        let states = 0;
        for await (const { type } of eventLogs) if (type === "StateEntered") states++;
        await result;
        assert.equal(states, assumptions.stateTransitions);
    });

    it("are the endpoints that an isolated network declares, and their zones", async () => {
        const isolated = { "ecr-image-export:network": "isolated" };
        const endpoints = (await evaluateStack("dev", false, isolated))
            .customResources()
            .filter(({ inputs }) => inputs["vpcEndpointType"] === "Interface");
        assert.equal(endpoints.length, assumptions.endpoints);
        for (const { inputs } of endpoints) {
            assert.equal((inputs["subnetIds"] as unknown[]).length, assumptions.zones);
        }
    });

    it("are the alarms that a stack declares which notifies", async () => {
        const told = { "ecr-image-export:notifications": JSON.stringify({ emails: [] }) };
        const alarms = (await evaluateStack("dev", false, told))
            .customResources()
            .filter(({ type }) => type === "aws:cloudwatch/metricAlarm:MetricAlarm");
        assert.equal(alarms.length, assumptions.alarms);
    });

    it("are the defaults of the configuration", async () => {
        let config: StackConfig | undefined;
        await evaluate(() => {
            pulumi.runtime.setAllConfig({
                "aws:region": "ap-northeast-1",
                "ecr-image-export:imageUri": image.uri,
            });
            config = loadConfig();
            return {};
        });
        const { computeType, archiveDays, oldVersionDays } = defaultUsage(measured);
        assert.deepEqual(
            { computeType, archiveDays, oldVersionDays },
            {
                computeType: config?.compute.type,
                archiveDays: config?.retention.archiveDays,
                oldVersionDays: config?.retention.oldVersionDays,
            },
        );
    });
});
