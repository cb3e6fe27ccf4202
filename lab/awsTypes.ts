/**
 * The resource types of AWS that the program may use: what AWS answers when one is made, and the rules that apply to it. A type
 * that is missing here fails whatever evaluates the program, so that nobody adds one without thinking of these.
 */

import { createHash } from "node:crypto";

import { type AwsLocation, domainOf } from "../contract/aws";

/** Where a stack is evaluated that is nowhere. */
export const at = {
    partition: "aws",
    region: "ap-northeast-1",
    accountId: "111122223333",
} as const satisfies AwsLocation;

/** One resource type. */
export interface AwsType {
    /** Whether the resource accepts `tags`. */
    readonly taggable: boolean;
    /** The argument that would give the resource a fixed physical name. */
    readonly nameArgument?: string;
    /** Why the lab creates nothing for it, where it does not. */
    readonly notInLab?: string;
    /**
     * What AWS answers on top of the inputs, for a resource of this physical name.
     *
     * @param where Where it is made; by default {@link at}.
     */
    readonly answer: (physicalName: string, inputs: Record<string, unknown>, where?: AwsLocation) => Answer;
}

/** Id and computed properties of a resource. */
export interface Answer {
    readonly id: string;
    readonly [property: string]: string;
}

/** An ARN of a service in a region. */
export function arnIn({ partition, region, accountId }: AwsLocation, service: string, resource: string): string {
    return `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
}

/** An ARN of a service that knows no regions. */
function globalArn({ partition, accountId }: AwsLocation, service: string, resource: string): string {
    return `arn:${partition}:${service}::${accountId}:${resource}`;
}

/** Why the lab creates nothing. */
const notInLab = {
    network: "builds run in the network of this machine",
    measurement: "nothing here is measured",
    message: "what is published is kept, and sent to nobody",
    name: "its name is all that is used of it",
    setting: "nothing here depends on it",
};

/** A resource with tags and a name of its own, which is identified by that name, or by its ARN. */
function named(identity: "name" | "arn", service: string, prefix = "", why?: string): AwsType {
    const answer: AwsType["answer"] = (name, _, where = at) => {
        const arn = arnIn(where, service, prefix + name);
        return { id: identity === "name" ? name : arn, name, arn };
    };
    return { taggable: true, nameArgument: "name", answer, ...(why !== undefined && { notInLab: why }) };
}

/** A side resource, which is known by an argument. */
function sideOf(argument: string, why?: string): AwsType {
    const answer: AwsType["answer"] = (_, inputs) => ({ id: String(inputs[argument]) });
    return { taggable: false, answer, ...(why !== undefined && { notInLab: why }) };
}

/** A resource of a VPC: it is known by an id of its kind, here of its name's hash. */
function ofNetwork(kind: string): AwsType {
    const answer: AwsType["answer"] = (name) => ({ id: networkId(kind, name) });
    return { taggable: true, notInLab: notInLab.network, answer };
}

/** The id of a resource of a VPC, by its kind (`subnet`) and the resource's physical name. */
export function networkId(kind: string, physicalName: string): string {
    return `${kind}-${createHash("sha256").update(physicalName).digest("hex").slice(0, 17)}`;
}

/** Every resource type that is known, by its token. */
export const awsTypes: Record<string, AwsType | undefined> = {
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": {
        taggable: true,
        notInLab: notInLab.message,
        // Its name is the topic's, which Pulumi makes.
        answer: (_, inputs, where = at) => {
            const name = `chat-configuration/slack-channel/${String(inputs["configurationName"])}`;
            const arn = globalArn(where, "chatbot", name);
            return { id: arn, chatConfigurationArn: arn };
        },
    },
    "aws:cloudwatch/dashboard:Dashboard": {
        taggable: false,
        notInLab: notInLab.measurement,
        // Its name is the state machine's, which Pulumi makes.
        answer: (_, inputs, where = at) => {
            const name = String(inputs["dashboardName"]);
            return { id: name, dashboardArn: globalArn(where, "cloudwatch", `dashboard/${name}`) };
        },
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        taggable: true,
        nameArgument: "name",
        answer: (_, inputs, where = at) => {
            const name = prefixed(inputs);
            return { id: name, name, arn: arnIn(where, "logs", `log-group:${name}`) };
        },
    },
    "aws:cloudwatch/eventRule:EventRule": named("name", "events", "rule/"),
    "aws:cloudwatch/eventTarget:EventTarget": {
        taggable: false,
        answer: (name, inputs) => ({ id: `${String(inputs["rule"])}-${name}` }),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": named("name", "cloudwatch", "alarm:", notInLab.measurement),
    "aws:codebuild/project:Project": named("arn", "codebuild", "project/"),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": {
        taggable: false,
        // Known by its prefix, which users of the cache write in image URIs: there is no name to leave open.
        answer: (_, inputs, where = at) => ({
            id: String(inputs["ecrRepositoryPrefix"]),
            registryId: where.accountId,
        }),
    },
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ofNetwork("sg"),
    "aws:ec2/flowLog:FlowLog": ofNetwork("fl"),
    "aws:ec2/routeTable:RouteTable": ofNetwork("rtb"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": { ...ofNetwork("rtbassoc"), taggable: false },
    "aws:ec2/securityGroup:SecurityGroup": { ...ofNetwork("sg"), nameArgument: "name" },
    "aws:ec2/subnet:Subnet": ofNetwork("subnet"),
    "aws:ec2/vpc:Vpc": ofNetwork("vpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        taggable: true,
        notInLab: notInLab.network,
        answer: (name, inputs) => ({
            id: networkId("vpce", name),
            ...(inputs["vpcEndpointType"] === "Gateway" ? { prefixListId: networkId("pl", name) } : {}),
        }),
    },
    "aws:iam/policy:Policy": {
        taggable: true,
        notInLab: notInLab.message,
        nameArgument: "name",
        answer: (name, _, where = at) => {
            const arn = globalArn(where, "iam", `policy/${name}`);
            return { id: arn, name, arn };
        },
    },
    "aws:iam/role:Role": {
        taggable: true,
        nameArgument: "name",
        answer: (name, _, where = at) => ({ id: name, name, arn: globalArn(where, "iam", `role/${name}`) }),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        taggable: false,
        nameArgument: "name",
        answer: (name, inputs) => ({ id: `${String(inputs["role"])}:${name}`, name }),
    },
    "aws:kms/alias:Alias": {
        taggable: false,
        notInLab: notInLab.name,
        nameArgument: "name",
        answer: (_, inputs, where = at) => {
            const name = prefixed(inputs);
            return { id: name, name, arn: arnIn(where, "kms", name) };
        },
    },
    "aws:kms/key:Key": {
        taggable: true,
        answer: (_, __, where = at) => {
            const keyId = "1234abcd-12ab-34cd-56ef-1234567890ab";
            return { id: keyId, keyId, arn: arnIn(where, "kms", `key/${keyId}`) };
        },
    },
    "aws:kms/keyPolicy:KeyPolicy": {
        taggable: false,
        answer: (_, inputs) => ({ id: String(inputs["keyId"]) }),
    },
    "aws:s3/bucket:Bucket": {
        taggable: true,
        nameArgument: "bucket",
        answer: (physicalName, inputs, { partition } = at) => {
            const name = "bucket" in inputs ? String(inputs["bucket"]) : physicalName;
            return { id: name, bucket: name, arn: `arn:${partition}:s3:::${name}` };
        },
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": sideOf("bucket", notInLab.setting),
    "aws:s3/bucketLogging:BucketLogging": sideOf("bucket", notInLab.setting),
    "aws:s3/bucketObjectv2:BucketObjectv2": {
        taggable: true,
        answer: (_, inputs) => ({ id: String(inputs["key"]) }),
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": sideOf("bucket", notInLab.setting),
    "aws:s3/bucketPolicy:BucketPolicy": sideOf("bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": sideOf("bucket", notInLab.setting),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": sideOf("bucket"),
    "aws:s3/bucketVersioning:BucketVersioning": sideOf("bucket"),
    "aws:scheduler/schedule:Schedule": {
        taggable: false,
        nameArgument: "name",
        answer: (name, inputs, where = at) => {
            const group = String(inputs["groupName"]);
            return {
                id: `${group}/${name}`,
                name,
                arn: arnIn(where, "scheduler", `schedule/${group}/${name}`),
            };
        },
    },
    "aws:scheduler/scheduleGroup:ScheduleGroup": named("name", "scheduler", "schedule-group/", notInLab.name),
    "aws:sfn/stateMachine:StateMachine": named("arn", "states", "stateMachine:"),
    "aws:sns/topic:Topic": named("arn", "sns", "", notInLab.message),
    "aws:sns/topicPolicy:TopicPolicy": sideOf("arn", notInLab.message),
    "aws:sns/topicSubscription:TopicSubscription": {
        taggable: false,
        notInLab: notInLab.message,
        answer: (name, inputs) => ({ id: `${String(inputs["topic"])}:${name}` }),
    },
    "aws:sqs/queue:Queue": {
        taggable: true,
        notInLab: notInLab.name,
        nameArgument: "name",
        answer: (name, _, where = at) => {
            const { partition, region, accountId } = where;
            const url = `https://sqs.${region}.${domainOf(partition)}/${accountId}/${name}`;
            return { id: url, name, url, arn: arnIn(where, "sqs", name) };
        },
    },
    "aws:sqs/queuePolicy:QueuePolicy": sideOf("queueUrl"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ofNetwork("sgr"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ofNetwork("sgr"),
};

/**
 * Components that run in a provider's plugin, which the program may use: what they answer. Their children are not seen.
 */
export const remoteComponents: Record<
    string,
    ((physicalName: string, inputs: Record<string, unknown>, where: AwsLocation) => Record<string, unknown>) | undefined
> = { "awsx:ec2:Vpc": remoteVpc };

/** github.com/pulumi/pulumi-awsx, awsx/ec2/vpc.ts: a public and a private subnet in each zone, unless the arguments say otherwise. */
function remoteVpc(name: string, inputs: Record<string, unknown>, where: AwsLocation): Record<string, unknown> {
    const zones = Number(inputs["numberOfAvailabilityZones"] ?? 3);
    const specs = (inputs["subnetSpecs"] ?? [{ type: "Private" }, { type: "Public" }]) as { type: string }[];
    const { strategy = "OnePerAz" } = (inputs["natGateways"] ?? {}) as { strategy?: string };
    const gateways = { None: 0, Single: 1, OnePerAz: zones }[strategy] ?? zones;
    const many = (kind: string, count: number, label = kind) =>
        Array.from({ length: count }, (_, at) => ({ id: networkId(kind, `${name}-${label}-${at + 1}`) }));
    const subnetIds = (type: string) => {
        const count = specs.some((spec) => spec.type === type) ? zones : 0;
        return many("subnet", count, type.toLowerCase()).map(({ id }) => id);
    };
    const vpcId = networkId("vpc", name);
    return {
        vpcId,
        vpc: {
            id: vpcId,
            arn: arnIn(where, "ec2", `vpc/${vpcId}`),
            cidrBlock: inputs["cidrBlock"] ?? "10.0.0.0/16",
            defaultSecurityGroupId: networkId("sg", name),
        },
        privateSubnetIds: subnetIds("Private"),
        publicSubnetIds: subnetIds("Public"),
        isolatedSubnetIds: subnetIds("Isolated"),
        routeTables: many("rtb", zones * specs.length),
        routes: many("r", zones * specs.length),
        natGateways: many("nat", gateways),
        eips: many("eipalloc", gateways),
    };
}

/** The functions of the provider that the program may call, and what they answer. */
export const awsFunctions: Record<string, ((where: AwsLocation) => Record<string, string | string[]>) | undefined> = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": ({ region }) => ({
        id: region,
        names: [`${region}a`, `${region}c`, `${region}d`],
    }),
    "aws:index/getCallerIdentity:getCallerIdentity": (where) => ({
        accountId: where.accountId,
        arn: globalArn(where, "iam", "user/deployer"),
        id: where.accountId,
        userId: "AIDAEXAMPLE",
    }),
    // Of bootstrap/ only.
    "aws:index/getPartition:getPartition": ({ partition }) => ({
        partition,
        dnsSuffix: domainOf(partition),
    }),
};

/** What the provider makes of `namePrefix`. */
function prefixed(inputs: Record<string, unknown>): string {
    return `${String(inputs["namePrefix"])}20250101000000000000000001`;
}

/** What Pulumi's autonaming makes of a resource's name. */
export function physicalNameOf(name: string): string {
    return `${name}-0a1b2c3`;
}
