/**
 * The resource types of AWS that the program may use: what each one answers under the mocks, and the rules that apply
 * to it. A type that is missing here fails the test that meets it, so that nobody adds one without thinking of these.
 */

import { createHash } from "node:crypto";

/** Where the mocked stack lives. */
export const at = { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" };

/** One resource type. */
export interface AwsType {
    /** Whether the resource accepts `tags`. */
    readonly taggable: boolean;
    /** The argument that would give the resource a fixed physical name. */
    readonly nameArgument?: string;
    /** What AWS answers on top of the inputs, for a resource of this physical name. */
    readonly answer: (physicalName: string, inputs: Record<string, unknown>) => Answer;
}

/** Id and computed properties of a resource. */
export interface Answer {
    readonly id: string;
    readonly [property: string]: string;
}

const arn = (service: string, resource: string) =>
    `arn:${at.partition}:${service}:${at.region}:${at.accountId}:${resource}`;

/** A side resource of a bucket: it is known by the bucket's name. */
const ofBucket: AwsType = { taggable: false, answer: (_, inputs) => ({ id: String(inputs["bucket"]) }) };

/** A resource of a VPC: it is known by an id of its kind, here of its name's hash. */
function ofNetwork(kind: string): AwsType {
    return { taggable: true, answer: (name) => ({ id: networkId(kind, name) }) };
}

/** The id of a resource of a VPC, by its kind (`subnet`) and the resource's physical name. */
export function networkId(kind: string, physicalName: string): string {
    return `${kind}-${createHash("sha256").update(physicalName).digest("hex").slice(0, 17)}`;
}

/** Every resource type that is known, by its token. */
export const awsTypes: Record<string, AwsType | undefined> = {
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": {
        taggable: true,
        // Its name is the topic's, which Pulumi makes.
        answer: (_, inputs) => {
            const chatArn = `arn:${at.partition}:chatbot::${at.accountId}:chat-configuration/slack-channel/${String(inputs["configurationName"])}`;
            return { id: chatArn, chatConfigurationArn: chatArn };
        },
    },
    "aws:cloudwatch/dashboard:Dashboard": {
        taggable: false,
        // Its name is the state machine's, which Pulumi makes.
        answer: (_, inputs) => {
            const name = String(inputs["dashboardName"]);
            return {
                id: name,
                dashboardArn: `arn:${at.partition}:cloudwatch::${at.accountId}:dashboard/${name}`,
            };
        },
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        taggable: true,
        nameArgument: "name",
        answer: (_, inputs) => {
            const name = `${String(inputs["namePrefix"])}20250101000000000000000001`;
            return { id: name, name, arn: arn("logs", `log-group:${name}`) };
        },
    },
    "aws:cloudwatch/eventRule:EventRule": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => ({ id: name, name, arn: arn("events", `rule/${name}`) }),
    },
    "aws:cloudwatch/eventTarget:EventTarget": {
        taggable: false,
        answer: (name, inputs) => ({ id: `${String(inputs["rule"])}-${name}` }),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => ({ id: name, name, arn: arn("cloudwatch", `alarm:${name}`) }),
    },
    "aws:codebuild/project:Project": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => {
            const projectArn = arn("codebuild", `project/${name}`);
            return { id: projectArn, name, arn: projectArn };
        },
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": {
        taggable: false,
        // Known by its prefix, which users of the cache write in image URIs: there is no name to leave open.
        answer: (_, inputs) => ({ id: String(inputs["ecrRepositoryPrefix"]), registryId: at.accountId }),
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
        answer: (name, inputs) => ({
            id: networkId("vpce", name),
            ...(inputs["vpcEndpointType"] === "Gateway" ? { prefixListId: networkId("pl", name) } : {}),
        }),
    },
    "aws:iam/policy:Policy": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => {
            const policyArn = `arn:${at.partition}:iam::${at.accountId}:policy/${name}`;
            return { id: policyArn, name, arn: policyArn };
        },
    },
    "aws:iam/role:Role": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => ({ id: name, name, arn: `arn:${at.partition}:iam::${at.accountId}:role/${name}` }),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        taggable: false,
        nameArgument: "name",
        answer: (name, inputs) => ({ id: `${String(inputs["role"])}:${name}`, name }),
    },
    "aws:kms/alias:Alias": {
        taggable: false,
        nameArgument: "name",
        answer: (_, inputs) => {
            const name = `${String(inputs["namePrefix"])}20250101000000000000000001`;
            return { id: name, name, arn: arn("kms", name) };
        },
    },
    "aws:kms/key:Key": {
        taggable: true,
        answer: () => {
            const keyId = "1234abcd-12ab-34cd-56ef-1234567890ab";
            return { id: keyId, keyId, arn: arn("kms", `key/${keyId}`) };
        },
    },
    "aws:s3/bucket:Bucket": {
        taggable: true,
        nameArgument: "bucket",
        answer: (physicalName, inputs) => {
            const name = "bucket" in inputs ? String(inputs["bucket"]) : physicalName;
            return { id: name, bucket: name, arn: `arn:${at.partition}:s3:::${name}` };
        },
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ofBucket,
    "aws:s3/bucketObjectv2:BucketObjectv2": {
        taggable: true,
        answer: (_, inputs) => ({ id: String(inputs["key"]) }),
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ofBucket,
    "aws:s3/bucketPolicy:BucketPolicy": ofBucket,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ofBucket,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ofBucket,
    "aws:s3/bucketVersioning:BucketVersioning": ofBucket,
    "aws:scheduler/schedule:Schedule": {
        taggable: false,
        nameArgument: "name",
        answer: (name, inputs) => {
            const group = String(inputs["groupName"]);
            return { id: `${group}/${name}`, name, arn: arn("scheduler", `schedule/${group}/${name}`) };
        },
    },
    "aws:scheduler/scheduleGroup:ScheduleGroup": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => ({ id: name, name, arn: arn("scheduler", `schedule-group/${name}`) }),
    },
    "aws:sfn/stateMachine:StateMachine": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => {
            const machineArn = arn("states", `stateMachine:${name}`);
            return { id: machineArn, name, arn: machineArn };
        },
    },
    "aws:sns/topic:Topic": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => {
            const topicArn = arn("sns", name);
            return { id: topicArn, name, arn: topicArn };
        },
    },
    "aws:sns/topicPolicy:TopicPolicy": {
        taggable: false,
        answer: (_, inputs) => ({ id: String(inputs["arn"]) }),
    },
    "aws:sns/topicSubscription:TopicSubscription": {
        taggable: false,
        answer: (name, inputs) => ({ id: `${String(inputs["topic"])}:${name}` }),
    },
    "aws:sqs/queue:Queue": {
        taggable: true,
        nameArgument: "name",
        answer: (name) => {
            const url = `https://sqs.${at.region}.amazonaws.com/${at.accountId}/${name}`;
            return { id: url, name, url, arn: arn("sqs", name) };
        },
    },
    "aws:sqs/queuePolicy:QueuePolicy": {
        taggable: false,
        answer: (_, inputs) => ({ id: String(inputs["queueUrl"]) }),
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ofNetwork("sgr"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ofNetwork("sgr"),
};

/** The functions of the provider that the program may call, and what they answer. */
export const awsFunctions: Record<string, Record<string, string | string[]> | undefined> = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": {
        id: at.region,
        names: [`${at.region}a`, `${at.region}c`, `${at.region}d`],
    },
    "aws:index/getCallerIdentity:getCallerIdentity": {
        accountId: at.accountId,
        arn: `arn:${at.partition}:iam::${at.accountId}:user/deployer`,
        id: at.accountId,
        userId: "AIDAEXAMPLE",
    },
};

/** What Pulumi's autonaming makes of a resource's name. */
export function physicalNameOf(name: string): string {
    return `${name}-0a1b2c3`;
}
