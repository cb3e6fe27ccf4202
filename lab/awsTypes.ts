/**
 * The resource types of AWS that the program may use: what AWS answers when one is made, and the rules that apply to it. A type
 * that is missing here fails whatever evaluates the program, so that nobody adds one without thinking of these.
 */

import { createHash } from "node:crypto";

import { type AwsLocation, partitions } from "../contract/aws";
import { publicKeyPem } from "./signing";

/** Where a stack is evaluated that is nowhere. */
export const at = {
    partition: "aws",
    region: "ap-northeast-1",
    accountId: "111122223333",
} as const satisfies AwsLocation;

/** One resource type. */
export interface AwsType {
    /** The argument that would give the resource a fixed physical name. */
    readonly nameArgument?: string;
    /** Why the lab creates nothing for it, where it does not. */
    readonly notInLab?: string;
    /** What AWS answers on top of the inputs, for a resource of this physical name in this place. */
    readonly answer: (physicalName: string, inputs: Inputs, where: AwsLocation) => Answer;
}

type Inputs = Readonly<Record<string, unknown>>;

/** Id and computed properties of a resource. */
export interface Answer {
    readonly id: string;
    readonly [property: string]: string;
}

/** Services whose ARNs have no region. */
const global = ["chatbot", "iam"];

/** An ARN of an account, and of its region where the service has one. */
export function arnIn({ partition, region, accountId }: AwsLocation, service: string, resource: string): string {
    return `arn:${partition}:${service}:${global.includes(service) ? "" : region}:${accountId}:${resource}`;
}

// Why the lab creates nothing.
const network = { notInLab: "builds run in the network of this machine" };
const measurement = { notInLab: "nothing here is measured" };
const message = { notInLab: "what is published is kept, and sent to nobody" };
const nameOnly = { notInLab: "its name is all that is used of it" };
const setting = { notInLab: "nothing here depends on it" };
const byName = { nameArgument: "name" };

function typeOf(answer: AwsType["answer"], rest: Partial<AwsType> = {}): AwsType {
    return { answer, ...rest };
}

/** A resource with a name of its own, which is identified by that name, or by its ARN. */
function named(identity: "name" | "arn", service: string, prefix = "", rest: Partial<AwsType> = {}): AwsType {
    const answer: AwsType["answer"] = (name, _, where) => {
        const arn = arnIn(where, service, prefix + name);
        return { id: identity === "name" ? name : arn, name, arn };
    };
    return { answer, ...byName, ...rest };
}

/** A resource whose name the provider makes of `namePrefix`. */
function namedByPrefix(service: string, prefix: string, rest: Partial<AwsType> = {}): AwsType {
    const ofName = named("name", service, prefix, rest);
    const nameOf = ({ namePrefix }: Inputs) => `${String(namePrefix)}20250101000000000000000001`;
    return { ...ofName, answer: (_, inputs, where) => ofName.answer(nameOf(inputs), {}, where) };
}

/** A side resource, which is known by an argument. */
function sideOf(argument: string, rest: Partial<AwsType> = {}): AwsType {
    return typeOf((_, inputs) => ({ id: String(inputs[argument]) }), rest);
}

/** A resource of a VPC: it is known by an id of its kind, here of its name's hash. */
function ofNetwork(kind: string, rest: Partial<AwsType> = {}): AwsType {
    return typeOf((name) => ({ id: networkId(kind, name) }), { ...network, ...rest });
}

/** The id of a resource of a VPC, by its kind (`subnet`) and the resource's physical name. */
export function networkId(kind: string, physicalName: string): string {
    return `${kind}-${createHash("sha256").update(physicalName).digest("hex").slice(0, 17)}`;
}

/** Every resource type that is known, by its token. */
export const awsTypes: Record<string, AwsType | undefined> = {
    // Its name is the topic's, which Pulumi makes.
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": typeOf((_, { configurationName }, where) => {
        const name = `chat-configuration/slack-channel/${String(configurationName)}`;
        const arn = arnIn(where, "chatbot", name);
        return { id: arn, chatConfigurationArn: arn };
    }, message),
    // Its name is the state machine's, which Pulumi makes.
    "aws:cloudwatch/dashboard:Dashboard": sideOf("dashboardName", measurement),
    "aws:cloudwatch/logGroup:LogGroup": namedByPrefix("logs", "log-group:"),
    "aws:cloudwatch/eventRule:EventRule": named("name", "events", "rule/"),
    "aws:cloudwatch/eventTarget:EventTarget": typeOf((name, { rule }) => ({ id: `${String(rule)}-${name}` })),
    "aws:cloudwatch/metricAlarm:MetricAlarm": named("name", "cloudwatch", "alarm:", measurement),
    "aws:codebuild/project:Project": named("arn", "codebuild", "project/"),
    // Known by its prefix, which users of the cache write in image URIs: there is no name to leave open.
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": sideOf("ecrRepositoryPrefix"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ofNetwork("sg"),
    "aws:ec2/flowLog:FlowLog": ofNetwork("fl"),
    "aws:ec2/routeTable:RouteTable": ofNetwork("rtb"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ofNetwork("rtbassoc"),
    "aws:ec2/securityGroup:SecurityGroup": ofNetwork("sg", byName),
    "aws:ec2/subnet:Subnet": ofNetwork("subnet"),
    "aws:ec2/vpc:Vpc": ofNetwork("vpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": typeOf(
        (name, { vpcEndpointType }) => ({
            id: networkId("vpce", name),
            ...(vpcEndpointType === "Gateway" && { prefixListId: networkId("pl", name) }),
        }),
        network,
    ),
    "aws:iam/policy:Policy": named("arn", "iam", "policy/", message),
    "aws:iam/role:Role": named("name", "iam", "role/"),
    "aws:iam/rolePolicy:RolePolicy": typeOf((name, { role }) => ({ id: `${String(role)}:${name}`, name }), byName),
    "aws:kms/alias:Alias": namedByPrefix("kms", "", nameOnly),
    "aws:kms/key:Key": typeOf((_, { keyUsage }, where) => {
        const signs = keyUsage === "SIGN_VERIFY";
        const keyId = `${signs ? "5678efab" : "1234abcd"}-12ab-34cd-56ef-1234567890ab`;
        return { id: keyId, keyId, arn: arnIn(where, "kms", `key/${keyId}`) };
    }, nameOnly),
    "aws:kms/keyPolicy:KeyPolicy": sideOf("keyId"),
    "aws:s3/bucket:Bucket": typeOf(
        (physicalName, { bucket = physicalName }, { partition }) => {
            const name = String(bucket);
            return { id: name, bucket: name, arn: `arn:${partition}:s3:::${name}` };
        },
        { nameArgument: "bucket" },
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": sideOf("bucket", setting),
    "aws:s3/bucketLogging:BucketLogging": sideOf("bucket", setting),
    "aws:s3/bucketObjectv2:BucketObjectv2": sideOf("key"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": sideOf("bucket", setting),
    "aws:s3/bucketPolicy:BucketPolicy": sideOf("bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": sideOf("bucket", setting),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": sideOf("bucket"),
    "aws:s3/bucketVersioning:BucketVersioning": sideOf("bucket"),
    "aws:scheduler/schedule:Schedule": typeOf((name, { groupName }, where) => {
        const id = `${String(groupName)}/${name}`;
        return { id, name, arn: arnIn(where, "scheduler", `schedule/${id}`) };
    }, byName),
    "aws:scheduler/scheduleGroup:ScheduleGroup": named("name", "scheduler", "schedule-group/", nameOnly),
    "aws:sfn/stateMachine:StateMachine": named("arn", "states", "stateMachine:"),
    "aws:sns/topic:Topic": named("arn", "sns", "", message),
    "aws:sns/topicPolicy:TopicPolicy": sideOf("arn", message),
    "aws:sns/topicSubscription:TopicSubscription": typeOf(
        (name, { topic }) => ({ id: `${String(topic)}:${name}` }),
        message,
    ),
    "aws:sqs/queue:Queue": typeOf(
        (name, _, where) => {
            const url = `https://sqs.${where.region}.${partitions[where.partition].domain}/${where.accountId}/${name}`;
            return { id: url, name, url, arn: arnIn(where, "sqs", name) };
        },
        { ...nameOnly, ...byName },
    ),
    "aws:sqs/queuePolicy:QueuePolicy": sideOf("queueUrl"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ofNetwork("sgr"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ofNetwork("sgr"),
};

/** What is answered, by token. */
type Answers<Given extends unknown[]> = Record<string, ((...given: Given) => Record<string, unknown>) | undefined>;

/** Components that run in a provider's plugin, which the program may use: what they answer. Their children are not seen. */
export const remoteComponents: Answers<[physicalName: string, inputs: Inputs]> = { "awsx:ec2:Vpc": remoteVpc };

/** github.com/pulumi/pulumi-awsx, awsx/ec2/vpc.ts, with one NAT gateway; a public and a private subnet in each zone are the default. */
function remoteVpc(
    name: string,
    { numberOfAvailabilityZones: zones = 3, subnetSpecs }: Inputs,
): Record<string, unknown> {
    const specs = (subnetSpecs ?? [{ type: "Private" }, { type: "Public" }]) as { type: string }[];
    const many = (kind: string, count: number, label = kind) =>
        Array.from({ length: count }, (_, at) => ({ id: networkId(kind, `${name}-${label}-${at + 1}`) }));
    const subnetIds = (type: string) => {
        const count = specs.some((spec) => spec.type === type) ? Number(zones) : 0;
        return many("subnet", count, type.toLowerCase()).map(({ id }) => id);
    };
    return {
        vpcId: networkId("vpc", name),
        privateSubnetIds: subnetIds("Private"),
        publicSubnetIds: subnetIds("Public"),
        routeTables: many("rtb", Number(zones) * specs.length),
        routes: many("r", Number(zones) * specs.length),
        natGateways: many("nat", 1),
        eips: many("eipalloc", 1),
    };
}

/** The functions of the provider that the program may call, and what they answer. */
export const awsFunctions: Answers<[where: AwsLocation]> = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": ({ region }) => ({
        id: region,
        names: [`${region}a`, `${region}c`, `${region}d`],
    }),
    "aws:index/getCallerIdentity:getCallerIdentity": (where) => ({
        accountId: where.accountId,
        arn: arnIn(where, "iam", "user/deployer"),
        id: where.accountId,
        userId: "AIDAEXAMPLE",
    }),
    "aws:kms/getPublicKey:getPublicKey": () => ({ publicKeyPem }),
    // Of bootstrap/ only.
    "aws:index/getPartition:getPartition": ({ partition }) => ({ partition, dnsSuffix: partitions[partition].domain }),
};

/** What Pulumi's autonaming makes of a resource's name. */
export function physicalNameOf(name: string): string {
    return `${name}-0a1b2c3`;
}
