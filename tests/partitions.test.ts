/** Every ARN, host and service principal of every resource and output is of the partition that the stack is in. */
import { strict as assert } from "node:assert";

import { type AwsLocation, executionsUrl, type PartitionName, partitions } from "../contract/aws";
import { at } from "../lab/awsTypes";
import { customResourcesOf, evaluate, type RecordedResource } from "../lab/evaluation";
import { runProgram } from "../lab/program";
import { stackConfiguration } from "../lab/stackFiles";
import { type Variant, variants } from "../proof/program";

const regions = {
    aws: "eu-central-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
} as const satisfies Record<AwsLocation["partition"], string>;

/** What a partition does not have, and a configuration of it cannot ask for. */
const missing: Readonly<Record<AwsLocation["partition"], readonly RegExp[]>> = {
    aws: [],
    "aws-cn": [/slack/, /pullThroughCache/],
    "aws-us-gov": [/slack/, /pullThroughCache/],
    "aws-eusc": [/slack/],
};

/** Services have the same principal in every partition, but for CloudWatch Logs: policies/key.ts. */
const principals = ["chatbot", "cloudwatch", "codebuild", "events", "scheduler", "states", "vpc-flow-logs"].map(
    (service) => `${service}.amazonaws.com`,
);

/** A configuration without some keys. */
function without(keys: readonly RegExp[], changes: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
        Object.entries(changes).filter(([key, value]) => !keys.some((what) => what.test(key + value))),
    );
}

/** Evaluates a stack as if its configuration had been written for another place. */
async function evaluateIn(where: AwsLocation, { stack, changes }: Variant): Promise<string[]> {
    const configuration = { ...stackConfiguration(stack), ...without(missing[where.partition], changes) };
    const moved = JSON.stringify(configuration)
        .replaceAll(at.region, where.region)
        .replaceAll(`arn:${at.partition}:`, `arn:${where.partition}:`)
        .replace(/(\.dkr\.ecr\.[a-z0-9-]+)\.amazonaws\.com/g, `$1.${partitions[where.partition].domain}`);
    const program = () => runProgram(JSON.parse(moved) as Record<string, string>);
    const evaluation = await evaluate(program, { location: where });
    return [...customResourcesOf(evaluation).map(checkedOf), evaluation.result].flatMap(stringsIn);
}

/** Not the exporter, one text for every partition, nor names of endpoints, of which tests/components/isolatedNetwork.test.ts knows. */
function checkedOf({ type, inputs }: RecordedResource): object {
    const leftOut = type === "aws:s3/bucketObjectv2:BucketObjectv2" ? "source" : "serviceName";
    return Object.fromEntries(Object.entries(inputs).filter(([key]) => key !== leftOut));
}

function stringsIn(value: unknown): string[] {
    if (typeof value === "string") return [value];
    return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}

/** What of a text is of another partition or region. */
function strangersIn(text: string, where: AwsLocation): string[] {
    const { partition, region } = where;
    const arns = [...text.matchAll(/\barn:([a-z-]+):([a-z0-9-]*):([a-z0-9-]*):/g)]
        .filter(([, of, , place]) => of !== partition || (place !== "" && place !== region))
        .map(([arn]) => arn);
    const domains = [partitions[partition].domain, partitions[partition].dualStackDomain];
    const hosts = [
        ...text.matchAll(/[a-z0-9.-]+\.(?:amazonaws|amazonwebservices|on\.aws|console\.aws)(?:[a-z.-]*[a-z])?/g),
    ]
        .map(([host]) => host)
        .filter((host) => !principals.includes(host))
        // Values of kms:ViaService: policies/key.ts
        .filter((host) => ![`s3.${region}.amazonaws.com`, `sns.${region}.amazonaws.com`].includes(host))
        .filter((host) => host !== new URL(executionsUrl(where)).host)
        .filter((host) => !domains.some((domain) => host.endsWith(`.${region}.${domain}`)));
    return [...arns, ...hosts, ...(text.includes(at.region) ? [at.region] : [])];
}

describe("strangersIn", () => {
    const china: AwsLocation = { partition: "aws-cn", region: regions["aws-cn"], accountId: at.accountId };

    it("finds ARNs, hosts and principals of other partitions and regions", () => {
        for (const text of [
            "arn:aws:s3:::bucket/*",
            "arn:aws-cn:sns:cn-northwest-1:111122223333:topic",
            "logs.cn-north-1.amazonaws.com",
            "s3.cn-northwest-1.amazonaws.com.cn",
            "111122223333.dkr.ecr.cn-north-1.amazonaws.eu/nginx",
            "111122223333.dkr-ecr.cn-north-1.on.aws/nginx",
            "https://cn-north-1.console.aws.amazon.com/states/home",
            "https://cn-north-1.console.amazonaws-us-gov.com/states/home",
        ]) {
            assert.equal(strangersIn(`"${text}"`, china).length, 1, text);
        }
    });

    it("finds none in what is of the partition", () => {
        for (const text of [
            "arn:aws-cn:sns:cn-north-1:111122223333:topic",
            "arn:aws-cn:iam::111122223333:role/build",
            "s3.cn-north-1.amazonaws.com.cn",
            "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/nginx",
            "https://cn-north-1.console.amazonaws.cn/states/home",
            "states.amazonaws.com",
        ]) {
            assert.deepEqual(strangersIn(`"${text}"`, china), [], text);
        }
    });
});

for (const partition of Object.keys(partitions) as PartitionName[]) {
    describe(`in the partition ${partition}`, () => {
        const where: AwsLocation = { partition, region: regions[partition], accountId: at.accountId };
        for (const variant of variants.filter(({ name }) => name.includes(" with "))) {
            it(`${variant.name}: everything is of the partition`, async () => {
                const strings = await evaluateIn(where, variant);
                assert(strings.some((text) => text.startsWith(`arn:${partition}:`)));
                assert.deepEqual([...new Set(strings.flatMap((text) => strangersIn(text, where)))], []);
            });
        }
    });
}
