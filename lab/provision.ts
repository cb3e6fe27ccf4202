/**
 * Deploys the program to the emulator: evaluates index.ts under Pulumi's mocks, and creates each resource that it
 * declares, with the inputs that it declares, before its outputs are handed on.
 */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";

import {
    CloudWatchLogsClient,
    CreateLogGroupCommand,
    PutRetentionPolicyCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { CodeBuildClient, CreateProjectCommand } from "@aws-sdk/client-codebuild";
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import {
    CreateAliasCommand,
    CreateKeyCommand,
    EnableKeyRotationCommand,
    KMSClient,
} from "@aws-sdk/client-kms";
import {
    type BucketLocationConstraint,
    CreateBucketCommand,
    type LifecycleRule,
    PutBucketEncryptionCommand,
    PutBucketLifecycleConfigurationCommand,
    PutBucketOwnershipControlsCommand,
    PutBucketVersioningCommand,
    PutObjectCommand,
    PutPublicAccessBlockCommand,
    S3Client,
    type ServerSideEncryption,
} from "@aws-sdk/client-s3";
import { CreateStateMachineCommand, SFNClient } from "@aws-sdk/client-sfn";
import * as pulumi from "@pulumi/pulumi";

import { domainOf, partitionOf } from "../contract/aws";
import type { DeclaredSchedule, DeclaredTarget, EventBridge } from "./events";
import type { IdentityAndAccess, PolicyDocument } from "./iam";
import { readProject } from "./stackFiles";
import { zip } from "./zip";

/** Arguments of {@link provision}. */
export interface ProvisionArgs {
    /** Name of the stack, for instance `dev`. */
    readonly stack: string;
    /** The stack's configuration, as `stackConfiguration` gives it. */
    readonly configuration: Record<string, string>;
    readonly accountId: string;
    /** Port of the emulator. */
    readonly emulatorPort: number;
    /** Takes the roles and policies. */
    readonly iam: IdentityAndAccess;
    /** Takes the pull-through cache rules: upstream registry by prefix. */
    readonly cacheRules: Map<string, string>;
    /** Takes the rules and schedules. */
    readonly events: EventBridge;
}

/** A CodeBuild project as the program declares it. */
export interface DeclaredProject {
    readonly name: string;
    readonly arn: string;
    readonly serviceRole: string;
    /** Minutes; unset for Lambda compute. */
    readonly buildTimeout?: number;
    readonly source: {
        readonly type: "NO_SOURCE" | "S3";
        readonly location?: string;
        readonly buildspec: string;
    };
    readonly environment: {
        readonly environmentVariables: readonly { readonly name: string; readonly value: string }[];
    };
    readonly logsConfig: { readonly cloudwatchLogs: { readonly groupName: string } };
}

/** A state machine as the program declares it. */
export interface DeclaredStateMachine {
    readonly name: string;
    readonly arn: string;
    readonly roleArn: string;
    readonly definition: string;
}

/** A stack in the emulator. */
export interface DeployedStack {
    /** The stack's outputs. */
    readonly outputs: Record<string, unknown>;
    /** Type and name of every resource that was created. */
    readonly resources: readonly string[];
    /** Projects by name. */
    readonly projects: ReadonlyMap<string, DeclaredProject>;
    /** State machines by ARN. */
    readonly stateMachines: ReadonlyMap<string, DeclaredStateMachine>;
}

interface State {
    /** Physical name, or whatever else identifies the resource. */
    readonly id: string;
    /** Outputs of the resource, on top of its inputs. */
    readonly [output: string]: string;
}

/** Creates one resource from the inputs that the program declares, whose shape is that of the type in @pulumi/aws. */
type Create = (name: string, inputs: never) => Promise<State>;

/**
 * Evaluates the program and creates what it declares.
 *
 * @throws Error when the program fails, or declares a resource or calls a function that the lab does not know.
 */
export async function provision(args: ProvisionArgs): Promise<DeployedStack> {
    const projects = new Map<string, DeclaredProject>();
    const stateMachines = new Map<string, DeclaredStateMachine>();
    const resources: string[] = [];
    const failures: unknown[] = [];
    const creators = makeCreators(args, projects, stateMachines);

    pulumi.runtime.setAllConfig(args.configuration);
    await pulumi.runtime.setMocks(
        {
            newResource: async ({ type, name, inputs }) => {
                // Components have no inputs of a provider: their children are created.
                if (!type.startsWith("aws:")) return { id: name, state: {} };
                try {
                    const create = creators[type];
                    if (create === undefined)
                        throw new Error(`The lab does not know how to create ${type} ${name}.`);
                    const { id, ...outputs } = await create(name, inputs as never);
                    resources.push(`${type} ${name}`);
                    return { id, state: { ...(inputs as object), ...outputs } };
                } catch (error) {
                    failures.push(error);
                    throw error;
                }
            },
            call: ({ token }) => {
                if (token === "aws:index/getCallerIdentity:getCallerIdentity")
                    return { accountId: args.accountId };
                if (token === "aws:index/getAvailabilityZones:getAvailabilityZones") {
                    const region = args.configuration["aws:region"] ?? "";
                    return { names: [`${region}a`, `${region}b`] };
                }
                const error = new Error(`The lab does not know how to answer ${token}.`);
                failures.push(error);
                throw error;
            },
        },
        readProject().name,
        args.stack,
        false,
    );
    // Only now: the program reads its configuration and registers its resources while it is loaded.
    const collect = (error: unknown) => failures.push(error);
    process.on("unhandledRejection", collect);
    const load = createRequire(__filename);
    // Once for each lab of a process, since loading is what deploys.
    Reflect.deleteProperty(load.cache, load.resolve("../index"));
    let program: Record<string, unknown> = {};
    await pulumi.runtime
        .runInPulumiStack(() => {
            program = load("../index") as Record<string, unknown>;
            return Promise.resolve({});
        })
        .catch(collect);
    await pulumi.runtime.disconnect().catch(collect);
    process.off("unhandledRejection", collect);
    if (failures.length > 0) throw failures[0];
    const outputs = await resolve(program);
    return { outputs, resources, projects, stateMachines };
}

/** The values of a program's outputs. */
async function resolve(program: Record<string, unknown>): Promise<Record<string, unknown>> {
    return new Promise((done) => {
        pulumi.output({ ...program }).apply(done);
    });
}

/** How each type of resource is created. A name that the program leaves open ends in random digits, as Pulumi's do. */
function makeCreators(
    args: ProvisionArgs,
    projects: Map<string, DeclaredProject>,
    stateMachines: Map<string, DeclaredStateMachine>,
): Record<string, Create> {
    const region = args.configuration["aws:region"] ?? "";
    const partition = partitionOf(region) ?? "aws";
    const client = {
        region,
        endpoint: `http://127.0.0.1:${args.emulatorPort}`,
        credentials: { accessKeyId: "lab", secretAccessKey: "lab" },
    };
    const codebuild = new CodeBuildClient(client);
    const iam = new IAMClient(client);
    const kms = new KMSClient(client);
    const logs = new CloudWatchLogsClient(client);
    const s3 = new S3Client({ ...client, forcePathStyle: true });
    const sfn = new SFNClient(client);

    return {
        ...declaredNetwork(),
        ...declaredTriggers(args, partition, region),
        ...declaredMonitoring(args, partition, region),
        "aws:s3/bucket:Bucket": async (name, inputs: { bucket?: string }) => {
            const bucket = inputs.bucket ?? autonamed(name);
            const here = { LocationConstraint: region as BucketLocationConstraint };
            await s3.send(
                new CreateBucketCommand({
                    Bucket: bucket,
                    // The one region that must not be named: its API is older than the parameter.
                    ...(region === "us-east-1" ? {} : { CreateBucketConfiguration: here }),
                }),
            );
            return { id: bucket, bucket, arn: `arn:${partition}:s3:::${bucket}` };
        },
        "aws:s3/bucketObjectv2:BucketObjectv2": async (
            _,
            inputs: {
                bucket: string;
                key: string;
                source: pulumi.asset.AssetArchive;
                serverSideEncryption: ServerSideEncryption;
                kmsKeyId?: string;
                bucketKeyEnabled?: boolean;
            },
        ) => {
            const { bucket, key } = inputs;
            await s3.send(
                new PutObjectCommand({
                    Bucket: bucket,
                    Key: key,
                    Body: await zip(inputs.source),
                    ServerSideEncryption: inputs.serverSideEncryption,
                    SSEKMSKeyId: inputs.kmsKeyId,
                    BucketKeyEnabled: inputs.bucketKeyEnabled,
                }),
            );
            return { id: `${bucket}/${key}` };
        },
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": async (
            _,
            inputs: { bucket: string; rule: { objectOwnership: "BucketOwnerEnforced" } },
        ) => {
            await s3.send(
                new PutBucketOwnershipControlsCommand({
                    Bucket: inputs.bucket,
                    OwnershipControls: { Rules: [{ ObjectOwnership: inputs.rule.objectOwnership }] },
                }),
            );
            return { id: inputs.bucket };
        },
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": async (
            _,
            inputs: { bucket: string } & Record<
                "blockPublicAcls" | "blockPublicPolicy" | "ignorePublicAcls" | "restrictPublicBuckets",
                boolean
            >,
        ) => {
            await s3.send(
                new PutPublicAccessBlockCommand({
                    Bucket: inputs.bucket,
                    PublicAccessBlockConfiguration: {
                        BlockPublicAcls: inputs.blockPublicAcls,
                        BlockPublicPolicy: inputs.blockPublicPolicy,
                        IgnorePublicAcls: inputs.ignorePublicAcls,
                        RestrictPublicBuckets: inputs.restrictPublicBuckets,
                    },
                }),
            );
            return { id: inputs.bucket };
        },
        "aws:s3/bucketPolicy:BucketPolicy": async (_, inputs: { bucket: string; policy: PolicyDocument }) => {
            // Judged by the lab alone: moto applies a Deny without its condition, to everybody and everything.
            args.iam.bucketPolicies.set(inputs.bucket, inputs.policy);
            return Promise.resolve({ id: inputs.bucket });
        },
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": async (
            _,
            inputs: {
                bucket: string;
                rules: {
                    applyServerSideEncryptionByDefault: {
                        sseAlgorithm: ServerSideEncryption;
                        kmsMasterKeyId?: string;
                    };
                    bucketKeyEnabled?: boolean;
                }[];
            },
        ) => {
            const rules = inputs.rules.map(({ applyServerSideEncryptionByDefault: byDefault, ...rule }) => ({
                ApplyServerSideEncryptionByDefault: {
                    SSEAlgorithm: byDefault.sseAlgorithm,
                    KMSMasterKeyID: byDefault.kmsMasterKeyId,
                },
                BucketKeyEnabled: rule.bucketKeyEnabled,
            }));
            await s3.send(
                new PutBucketEncryptionCommand({
                    Bucket: inputs.bucket,
                    ServerSideEncryptionConfiguration: { Rules: rules },
                }),
            );
            return { id: inputs.bucket };
        },
        "aws:s3/bucketVersioning:BucketVersioning": async (
            _,
            inputs: { bucket: string; versioningConfiguration: { status: "Enabled" } },
        ) => {
            const { status } = inputs.versioningConfiguration;
            await s3.send(
                new PutBucketVersioningCommand({
                    Bucket: inputs.bucket,
                    VersioningConfiguration: { Status: status },
                }),
            );
            return { id: inputs.bucket };
        },
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": async (
            _,
            inputs: { bucket: string; rules: object[] },
        ) => {
            const rules = inputs.rules.map((rule) => {
                const { Id, ...rest } = capitalized(rule) as Record<string, unknown>;
                return { ...rest, ID: Id } as LifecycleRule;
            });
            await s3.send(
                new PutBucketLifecycleConfigurationCommand({
                    Bucket: inputs.bucket,
                    LifecycleConfiguration: { Rules: rules },
                }),
            );
            return { id: inputs.bucket };
        },
        "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": async (
            _,
            inputs: { ecrRepositoryPrefix: string; upstreamRegistryUrl: string },
        ) => {
            // For the lab's own registry, which stands for ECR: moto knows no such rules.
            args.cacheRules.set(inputs.ecrRepositoryPrefix, inputs.upstreamRegistryUrl);
            return Promise.resolve({ id: inputs.ecrRepositoryPrefix });
        },
        "aws:iam/role:Role": async (name, inputs: { assumeRolePolicy: PolicyDocument }) => {
            const role = autonamed(name);
            const document = JSON.stringify(inputs.assumeRolePolicy);
            const created = await iam.send(
                new CreateRoleCommand({ RoleName: role, AssumeRolePolicyDocument: document }),
            );
            const arn = created.Role?.Arn ?? "";
            args.iam.roles.set(role, { name: role, arn, trustPolicy: inputs.assumeRolePolicy, policies: [] });
            return { id: role, name: role, arn };
        },
        "aws:iam/rolePolicy:RolePolicy": async (name, inputs: { role: string; policy: PolicyDocument }) => {
            const document = JSON.stringify(inputs.policy);
            await iam.send(
                new PutRolePolicyCommand({
                    RoleName: inputs.role,
                    PolicyName: name,
                    PolicyDocument: document,
                }),
            );
            args.iam.roles.get(inputs.role)?.policies.push(inputs.policy);
            return { id: `${inputs.role}:${name}` };
        },
        "aws:kms/key:Key": async (
            _,
            inputs: { description: string; policy: string; enableKeyRotation: boolean },
        ) => {
            const { KeyMetadata } = await kms.send(
                new CreateKeyCommand({ Description: inputs.description, Policy: inputs.policy }),
            );
            const { KeyId: keyId = "", Arn: arn = "" } = KeyMetadata ?? {};
            if (inputs.enableKeyRotation) await kms.send(new EnableKeyRotationCommand({ KeyId: keyId }));
            args.iam.keyPolicies.set(arn, JSON.parse(inputs.policy) as PolicyDocument);
            return { id: keyId, keyId, arn };
        },
        "aws:kms/alias:Alias": async (_, inputs: { namePrefix: string; targetKeyId: string }) => {
            const alias = `${inputs.namePrefix}${digits()}`;
            await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: inputs.targetKeyId }));
            return {
                id: alias,
                name: alias,
                arn: `arn:${partition}:kms:${region}:${args.accountId}:${alias}`,
            };
        },
        "aws:cloudwatch/logGroup:LogGroup": async (
            _,
            inputs: { namePrefix: string; retentionInDays: number; kmsKeyId?: string },
        ) => {
            const group = `${inputs.namePrefix}${digits()}`;
            const arn = `arn:${partition}:logs:${region}:${args.accountId}:log-group:${group}`;
            const { kmsKeyId } = inputs;
            if (kmsKeyId !== undefined) {
                // CloudWatch Logs tries the key before it makes the log group.
                await args.iam.requireKey(kmsKeyId, `logs.${region}.${domainOf(partition)}`, {
                    "kms:EncryptionContext:aws:logs:arn": arn,
                });
            }
            await logs.send(new CreateLogGroupCommand({ logGroupName: group, kmsKeyId }));
            await logs.send(
                new PutRetentionPolicyCommand({
                    logGroupName: group,
                    retentionInDays: inputs.retentionInDays,
                }),
            );
            return { id: group, name: group, arn };
        },
        "aws:codebuild/project:Project": async (name, inputs: Omit<DeclaredProject, "name" | "arn">) => {
            const project = autonamed(name);
            const created = await codebuild.send(
                new CreateProjectCommand({
                    ...(inputs as unknown as Omit<CreateProjectCommand["input"], "name">),
                    name: project,
                    // moto wants a location of every source; AWS has none for NO_SOURCE.
                    source: { location: "none", ...inputs.source },
                    logsConfig: undefined,
                    tags: undefined,
                }),
            );
            const arn = created.project?.arn ?? "";
            projects.set(project, { ...inputs, name: project, arn });
            return { id: arn, name: project, arn };
        },
        "aws:sfn/stateMachine:StateMachine": async (
            name,
            inputs: { roleArn: string; definition: string },
        ) => {
            const machine = autonamed(name);
            const created = await sfn.send(
                new CreateStateMachineCommand({
                    name: machine,
                    roleArn: inputs.roleArn,
                    definition: inputs.definition,
                }),
            );
            const arn = created.stateMachineArn ?? "";
            stateMachines.set(arn, { ...inputs, name: machine, arn });
            return { id: arn, name: machine, arn };
        },
    };
}

/**
 * The network of `network: isolated`: declared, not created. The builds of the lab run on this machine, in its network. What
 * leads where is judged by the unit tests, on the same declarations.
 */
function declaredNetwork(): Record<string, Create> {
    const kinds = {
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "sg",
        "aws:ec2/flowLog:FlowLog": "fl",
        "aws:ec2/routeTable:RouteTable": "rtb",
        "aws:ec2/routeTableAssociation:RouteTableAssociation": "rtbassoc",
        "aws:ec2/securityGroup:SecurityGroup": "sg",
        "aws:ec2/subnet:Subnet": "subnet",
        "aws:ec2/vpc:Vpc": "vpc",
        "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "sgr",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "sgr",
    };
    return Object.fromEntries(
        Object.entries(kinds).map(([type, kind]): [string, Create] => [
            type,
            () => Promise.resolve({ id: autonamed(kind), prefixListId: autonamed("pl") }),
        ]),
    );
}

/**
 * Rules, schedules and their queue: kept by the lab, which stands for EventBridge itself. Alarms are declared, not created:
 * nothing here measures.
 */
function declaredTriggers(
    { accountId, events }: ProvisionArgs,
    partition: string,
    region: string,
): Record<string, Create> {
    const queueUrls = `https://sqs.${region}.amazonaws.com/${accountId}/`;
    const queueArn = (queue: string) => `arn:${partition}:sqs:${region}:${accountId}:${queue}`;
    return {
        "aws:cloudwatch/eventRule:EventRule": (name, inputs: { eventPattern: string }) => {
            const rule = autonamed(name);
            return Promise.resolve({ id: rule, name: rule, arn: events.putRule(rule, inputs.eventPattern) });
        },
        "aws:cloudwatch/eventTarget:EventTarget": (name, inputs: DeclaredTarget) => {
            events.putTarget(inputs);
            return Promise.resolve({ id: name });
        },
        "aws:cloudwatch/metricAlarm:MetricAlarm": (name) => {
            const alarm = autonamed(name);
            const arn = `arn:${partition}:cloudwatch:${region}:${accountId}:alarm:${alarm}`;
            return Promise.resolve({ id: alarm, name: alarm, arn });
        },
        "aws:scheduler/scheduleGroup:ScheduleGroup": (name) => {
            const group = autonamed(name);
            return Promise.resolve({ id: group, name: group, arn: events.groupArn(group) });
        },
        "aws:scheduler/schedule:Schedule": (name, inputs: DeclaredSchedule) => {
            const schedule = autonamed(name);
            events.putSchedule(schedule, inputs);
            return Promise.resolve({ id: schedule, name: schedule });
        },
        "aws:sqs/queue:Queue": (name) => {
            const queue = autonamed(name);
            const url = `${queueUrls}${queue}`;
            return Promise.resolve({ id: url, url, name: queue, arn: queueArn(queue) });
        },
        "aws:sqs/queuePolicy:QueuePolicy": (_, inputs: { queueUrl: string; policy: string }) => {
            const queue = inputs.queueUrl.slice(queueUrls.length);
            events.queuePolicies.set(queueArn(queue), JSON.parse(inputs.policy) as PolicyDocument);
            return Promise.resolve({ id: inputs.queueUrl });
        },
    };
}

/**
 * The topic, who is told by it, and the dashboard: declared, not created. The lab takes what is published; nobody subscribes,
 * and there is nothing to show.
 */
function declaredMonitoring(
    { accountId }: ProvisionArgs,
    partition: string,
    region: string,
): Record<string, Create> {
    return {
        "aws:sns/topic:Topic": (name) => {
            const topic = autonamed(name);
            const arn = `arn:${partition}:sns:${region}:${accountId}:${topic}`;
            return Promise.resolve({ id: arn, name: topic, arn });
        },
        "aws:sns/topicPolicy:TopicPolicy": (_, inputs: { arn: string }) =>
            Promise.resolve({ id: inputs.arn }),
        "aws:sns/topicSubscription:TopicSubscription": (name) => Promise.resolve({ id: autonamed(name) }),
        "aws:cloudwatch/dashboard:Dashboard": (_, inputs: { dashboardName: string }) =>
            Promise.resolve({ id: inputs.dashboardName }),
        "aws:iam/policy:Policy": (name) => {
            const policy = autonamed(name);
            const arn = `arn:${partition}:iam::${accountId}:policy/${policy}`;
            return Promise.resolve({ id: arn, name: policy, arn });
        },
        "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": (name) =>
            Promise.resolve({ id: autonamed(name) }),
    };
}

function autonamed(name: string): string {
    return `${name}-${digits()}`;
}

function digits(): string {
    return randomBytes(4).toString("hex").slice(1);
}

/** The same value with keys in the API's case: `noncurrentDays` becomes `NoncurrentDays`. */
function capitalized(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(capitalized);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
        Object.entries(value).map(([key, each]) => [
            key.charAt(0).toUpperCase() + key.slice(1),
            capitalized(each),
        ]),
    );
}
