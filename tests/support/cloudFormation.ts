/** The declared resources as a CloudFormation template, which more tools read than read programs of Pulumi. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { at, awsTypes, physicalNameOf } from "../../lab/awsTypes";
import { customResourcesOf, type Evaluation, type RecordedResource } from "../../lab/evaluation";
import { evaluateStack } from "../../lab/program";
import { variants } from "../../proof/program";

type Properties = Record<string, unknown>;

/** A CloudFormation template. */
export interface Template {
    readonly Resources: Record<string, { readonly Type: string; readonly Properties: Properties }>;
}

/** How a type of Pulumi's is written in CloudFormation. */
interface Shape {
    /** CloudFormation's type, without `AWS::`. */
    readonly type: string;
    /** Its names of properties, at any depth, that are not Pulumi's with a capital. Those without a name are left out. */
    readonly names?: Readonly<Record<string, string | undefined>>;
    /** Its properties, where more than names is different. */
    readonly reshape?: (properties: Properties) => Properties;
}

const documented = { policy: "PolicyDocument" };
const ofRule = { securityGroupId: "GroupId", cidrIpv4: "CidrIp", tags: undefined };

const shapes: Readonly<Record<string, Shape>> = {
    SlackChannelConfiguration: {
        type: "Chatbot::SlackChannelConfiguration",
        names: { slackTeamId: "SlackWorkspaceId", guardrailPolicyArns: "GuardrailPolicies" },
    },
    Dashboard: { type: "CloudWatch::Dashboard" },
    LogGroup: { type: "Logs::LogGroup" },
    EventRule: { type: "Events::Rule" },
    MetricAlarm: { type: "CloudWatch::Alarm" },
    Project: {
        type: "CodeBuild::Project",
        names: {
            buildTimeout: "TimeoutInMinutes",
            queuedTimeout: "QueuedTimeoutInMinutes",
            buildspec: "BuildSpec",
            cloudwatchLogs: "CloudWatchLogs",
        },
    },
    PullThroughCacheRule: { type: "ECR::PullThroughCacheRule" },
    FlowLog: {
        type: "EC2::FlowLog",
        names: { iamRoleArn: "DeliverLogsPermissionArn", vpcId: "ResourceId" },
        reshape: (properties) => ({ ...properties, ResourceType: "VPC" }),
    },
    RouteTable: { type: "EC2::RouteTable", names: { routes: undefined } },
    RouteTableAssociation: { type: "EC2::SubnetRouteTableAssociation" },
    SecurityGroup: { type: "EC2::SecurityGroup", names: { description: "GroupDescription" } },
    SecurityGroupEgressRule: {
        type: "EC2::SecurityGroupEgress",
        names: {
            ...ofRule,
            referencedSecurityGroupId: "DestinationSecurityGroupId",
            prefixListId: "DestinationPrefixListId",
        },
    },
    SecurityGroupIngressRule: {
        type: "EC2::SecurityGroupIngress",
        names: { ...ofRule, referencedSecurityGroupId: "SourceSecurityGroupId" },
    },
    Subnet: { type: "EC2::Subnet" },
    Vpc: { type: "EC2::VPC" },
    VpcEndpoint: { type: "EC2::VPCEndpoint", names: documented },
    Policy: { type: "IAM::ManagedPolicy", names: { ...documented, tags: undefined } },
    Role: { type: "IAM::Role", names: { assumeRolePolicy: "AssumeRolePolicyDocument" } },
    RolePolicy: {
        type: "IAM::Policy",
        names: documented,
        reshape: ({ Role, ...properties }) => ({ ...properties, Roles: [Role], PolicyName: Role }),
    },
    Alias: { type: "KMS::Alias", names: { namePrefix: "AliasName" } },
    Key: { type: "KMS::Key", names: { deletionWindowInDays: "PendingWindowInDays", customerMasterKeySpec: "KeySpec" } },
    Bucket: { type: "S3::Bucket", names: { forceDestroy: undefined, bucket: "BucketName" } },
    BucketPolicy: { type: "S3::BucketPolicy", names: documented },
    Schedule: { type: "Scheduler::Schedule" },
    ScheduleGroup: { type: "Scheduler::ScheduleGroup" },
    StateMachine: {
        type: "StepFunctions::StateMachine",
        names: { type: "StateMachineType" },
        reshape: ({ LoggingConfiguration, ...properties }) => {
            const { LogDestination, ...logging } = LoggingConfiguration as Properties;
            const Destinations = [{ CloudWatchLogsLogGroup: { LogGroupArn: LogDestination } }];
            return { ...properties, LoggingConfiguration: { ...logging, Destinations } };
        },
    },
    Topic: { type: "SNS::Topic" },
    TopicPolicy: {
        type: "SNS::TopicPolicy",
        names: documented,
        reshape: ({ Arn, ...properties }) => ({ ...properties, Topics: [Arn] }),
    },
    TopicSubscription: { type: "SNS::Subscription", names: { topic: "TopicArn" } },
    Queue: { type: "SQS::Queue", names: { messageRetentionSeconds: "MessageRetentionPeriod" } },
    QueuePolicy: {
        type: "SQS::QueuePolicy",
        names: documented,
        reshape: ({ QueueUrl, ...properties }) => ({ ...properties, Queues: [QueueUrl] }),
    },
};

/** What is a resource with Pulumi, and part of another one, which an argument names, with CloudFormation. */
const parts: Readonly<
    Record<string, Omit<Shape, "type"> & { readonly of: string; readonly reshape: (part: Properties) => Properties }>
> = {
    EventTarget: {
        of: "rule",
        names: { inputPaths: "InputPathsMap" },
        reshape: (target) => ({ Targets: [{ Id: "target", ...target }] }),
    },
    BucketLifecycleConfiguration: {
        of: "bucket",
        reshape: ({ Rules }) => ({
            LifecycleConfiguration: {
                Rules: (Rules as Properties[]).map(({ Filter, Expiration, ...rule }) => {
                    const { Days, ...expiration } = (Expiration ?? {}) as Properties;
                    return {
                        ...rule,
                        ...(Filter as Properties),
                        ...expiration,
                        ...(Days !== undefined && { ExpirationInDays: Days }),
                    };
                }),
            },
        }),
    },
    BucketLogging: {
        of: "bucket",
        names: { targetBucket: "DestinationBucketName", targetPrefix: "LogFilePrefix" },
        reshape: (LoggingConfiguration) => ({ LoggingConfiguration }),
    },
    BucketOwnershipControls: { of: "bucket", reshape: ({ Rule }) => ({ OwnershipControls: { Rules: [Rule] } }) },
    BucketPublicAccessBlock: {
        of: "bucket",
        reshape: (PublicAccessBlockConfiguration) => ({ PublicAccessBlockConfiguration }),
    },
    BucketServerSideEncryptionConfiguration: {
        of: "bucket",
        names: {
            applyServerSideEncryptionByDefault: "ServerSideEncryptionByDefault",
            sseAlgorithm: "SSEAlgorithm",
            kmsMasterKeyId: "KMSMasterKeyID",
        },
        reshape: ({ Rules }) => ({ BucketEncryption: { ServerSideEncryptionConfiguration: Rules } }),
    },
    KeyPolicy: { of: "keyId", names: { policy: "KeyPolicy" }, reshape: (policy) => policy },
    BucketVersioning: { of: "bucket", reshape: (versioning) => versioning },
};

/** Variants of the proof that declare what others do not. */
const variantNames = /^prod, |^prod with a pull|private/;

/** The stack with every guard that is off by default. */
const guards = {
    "ecr-image-export:encryption": "kms",
    "ecr-image-export:signing": "kms",
    "ecr-image-export:accessLogs": '{"bucket":"logs-of-buckets","prefix":"image-export/"}',
};

/** The stacks that the tools see, by name. */
const stacks: readonly (readonly [name: string, evaluated: () => Promise<Evaluation>])[] = [
    ...variants
        .filter(({ name }) => variantNames.test(name))
        .map(({ name, stack, changes }) => [name, () => evaluateStack(stack, false, changes)] as const),
    ["guarded", () => evaluateStack("dev", false, guards)],
    ...["cross-account", "isolated", "lambda"].map(
        (name) => [name, () => evaluateStack(name, false, {}, "examples/stacks")] as const,
    ),
];

/** Templates in a folder of their own. */
export interface WrittenTemplates {
    /** Below the system's folder for temporary files. */
    readonly folder: string;
    /** By file name. */
    readonly templates: ReadonlyMap<string, Template>;
}

/** Writes the template of every stack. */
export async function writeTemplates(): Promise<WrittenTemplates> {
    const folder = mkdtempSync(join(tmpdir(), "templates-"));
    const templates = new Map<string, Template>();
    for (const [name, evaluated] of stacks) {
        const template = templateOf(customResourcesOf(await evaluated()));
        const file = `${name.replaceAll(/[^a-z]+/g, "-")}.json`;
        writeFileSync(join(folder, file), JSON.stringify(template));
        templates.set(file, template);
    }
    return { folder, templates };
}

/** What CloudFormation has no type for: the security group that AWS gives to every VPC, and an object in a bucket. */
const unknownToIt = ["DefaultSecurityGroup", "BucketObjectv2"];

/**
 * The resources as a template, in which values stand for references.
 *
 * @throws Error where it does not know how CloudFormation writes a type.
 */
export function templateOf(resources: readonly RecordedResource[]): Template {
    const template: Template = { Resources: {} };
    const owners = new Map<unknown, Properties>();
    for (const { type, name, inputs } of resources) {
        const kind = type.slice(type.lastIndexOf(":") + 1);
        const [shape, part] = [shapes[kind], parts[kind]];
        if (part) {
            const { [part.of]: owner, ...own } = inputs;
            Object.assign(owners.get(owner) ?? {}, part.reshape(properties(own, part.names)));
        } else if (shape) {
            const written = properties(inputs, { namePrefix: undefined, ...shape.names });
            const Properties = shape.reshape?.(written) ?? written;
            template.Resources[name.replace(/[^A-Za-z0-9]/g, "")] = { Type: `AWS::${shape.type}`, Properties };
            const id = awsTypes[type]?.answer(physicalNameOf(name), inputs, at).id;
            if (!owners.has(id)) owners.set(id, Properties);
        } else if (!unknownToIt.includes(kind)) {
            throw new Error(`tests/support/cloudFormation.ts does not know how CloudFormation writes ${type}.`);
        }
    }
    return template;
}

/** Properties of a resource, or of a value in one, in CloudFormation's names. */
function properties(inputs: Properties, names: Shape["names"] = {}): Properties {
    const written = Object.entries(inputs).map(([key, value]): [string | undefined, unknown] => [
        key in names ? names[key] : key.charAt(0).toUpperCase() + key.slice(1),
        valueOf(key, value, names),
    ]);
    return Object.fromEntries(written.filter(([key]) => key !== undefined)) as Properties;
}

function valueOf(key: string, value: unknown, names: Shape["names"]): unknown {
    if (/^(?:policy|assumeRolePolicy|eventPattern|definition)$/.test(key)) {
        return typeof value === "string" ? JSON.parse(value) : value;
    }
    if (Array.isArray(value)) return value.map((item) => valueOf("", item, names));
    if (typeof value !== "object" || value === null || key === "inputPaths") return value;
    if (key === "tags") return Object.entries(value).map(([Key, Value]) => ({ Key, Value: Value as unknown }));
    if (key === "dimensions") return Object.entries(value).map(([Name, Value]) => ({ Name, Value: Value as unknown }));
    return properties(value as Properties, names);
}
