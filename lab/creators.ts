/**
 * Deploys the program: evaluates index.ts, and creates each resource that it declares before its outputs are handed on: in the
 * emulator, or in what the lab keeps of its account by itself.
 */
import { type CloudWatchLogsClient, CreateLogGroupCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
    type BucketLocationConstraint,
    CreateBucketCommand,
    PutBucketEncryptionCommand,
    PutBucketVersioningCommand,
    PutObjectCommand,
    type S3Client,
    type ServerSideEncryption,
} from "@aws-sdk/client-s3";
import type * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";

import { domainOf } from "../contract/aws";
import type { Account, DeclaredProject } from "./account";
import { type Answer, arnIn, awsTypes } from "./awsTypes";
import { type DeclaredResource, evaluate } from "./evaluation";
import type { DeclaredSchedule, DeclaredTarget } from "./events";
import type { PolicyDocument } from "./iam";
import { runProgram } from "./program";
import { readDefinition } from "./stepFunctions";
import { zip } from "./zip";

/** What the emulator has of AWS, as the owner of the account sees it. */
interface Emulator {
    readonly s3: S3Client;
    readonly logs: CloudWatchLogsClient;
}

/** A resource that is to be created: what the program declares, and its physical name, ARN and id as awsTypes.ts has them. */
interface Creation<Inputs = never> extends Emulator {
    readonly inputs: Inputs;
    readonly answer: Answer;
    readonly account: Account;
}

type Create = (creation: Creation) => Promise<void> | void;

/** The arguments of a resource, as they are once every Output is known. */
type Declared<Args> = pulumi.Unwrap<Args>;

/** Creators by the token of the resource type; of other types awsTypes.ts says why nothing is created. */
export const creators: Readonly<Record<string, Create | undefined>> = {
    "aws:s3/bucket:Bucket": async ({ answer: { id: Bucket }, s3, account: { location } }) => {
        const here = { LocationConstraint: location.region as BucketLocationConstraint };
        // The one region that must not be named: its API is older than the parameter.
        const elsewhere = location.region !== "us-east-1" && { CreateBucketConfiguration: here };
        await s3.send(new CreateBucketCommand({ Bucket, ...elsewhere }));
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": async ({
        inputs,
        s3,
    }: Creation<Declared<aws.s3.BucketObjectv2Args> & { bucket: string; source: pulumi.asset.AssetArchive }>) => {
        await s3.send(
            new PutObjectCommand({
                Bucket: inputs.bucket,
                Key: inputs.key,
                Body: await zip(inputs.source),
                ServerSideEncryption: inputs.serverSideEncryption as ServerSideEncryption,
                SSEKMSKeyId: inputs.kmsKeyId,
                BucketKeyEnabled: inputs.bucketKeyEnabled,
            }),
        );
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": async ({
        inputs: { bucket, rules },
        s3,
    }: Creation<Declared<aws.s3.BucketServerSideEncryptionConfigurationArgs>>) => {
        const Rules = rules.map(({ applyServerSideEncryptionByDefault: byDefault, bucketKeyEnabled }) => ({
            ApplyServerSideEncryptionByDefault: {
                SSEAlgorithm: byDefault?.sseAlgorithm as ServerSideEncryption,
                KMSMasterKeyID: byDefault?.kmsMasterKeyId,
            },
            BucketKeyEnabled: bucketKeyEnabled,
        }));
        const encryption = { Bucket: bucket, ServerSideEncryptionConfiguration: { Rules } };
        await s3.send(new PutBucketEncryptionCommand(encryption));
    },
    "aws:s3/bucketVersioning:BucketVersioning": async ({ inputs, s3 }: Creation<{ bucket: string }>) => {
        const VersioningConfiguration = { Status: "Enabled" } as const;
        await s3.send(new PutBucketVersioningCommand({ Bucket: inputs.bucket, VersioningConfiguration }));
    },
    "aws:cloudwatch/logGroup:LogGroup": async ({ inputs, answer, logs, account }: Creation<{ kmsKeyId?: string }>) => {
        const { id: logGroupName, arn = "" } = answer;
        const { iam, location } = account;
        const service = `logs.${location.region}.${domainOf(location.partition)}`;
        const context = { "kms:EncryptionContext:aws:logs:arn": arn };
        // CloudWatch Logs tries the key before it makes the log group.
        const { kmsKeyId: resource } = inputs;
        if (resource !== undefined) {
            await iam.requireService(service, { action: "kms:GenerateDataKey", resource, context });
            await iam.requireService(service, { action: "kms:Decrypt", resource, context });
        }
        await logs.send(new CreateLogGroupCommand({ logGroupName }));
    },
    "aws:iam/role:Role": ({ inputs, answer, account }: Creation<{ assumeRolePolicy: PolicyDocument }>) => {
        const { id, arn = "" } = answer;
        account.iam.roles.set(id, { arn, policies: [] });
        account.iam.resourcePolicies.set(arn, inputs.assumeRolePolicy);
    },
    "aws:iam/rolePolicy:RolePolicy": ({ inputs, account }: Creation<{ role: string; policy: PolicyDocument }>) => {
        account.iam.roles.get(inputs.role)?.policies.push(inputs.policy);
    },
    // moto would apply a Deny without its condition, to everybody and everything.
    "aws:s3/bucketPolicy:BucketPolicy": ({ inputs, account }: Creation<{ bucket: string; policy: PolicyDocument }>) => {
        account.iam.resourcePolicies.set(`arn:${account.location.partition}:s3:::${inputs.bucket}`, inputs.policy);
    },
    "aws:kms/keyPolicy:KeyPolicy": ({ inputs, account }: Creation<{ keyId: string; policy: string }>) => {
        const arn = arnIn(account.location, "kms", `key/${inputs.keyId}`);
        account.iam.resourcePolicies.set(arn, JSON.parse(inputs.policy) as PolicyDocument);
    },
    "aws:codebuild/project:Project": ({ inputs, answer, account }: Creation<DeclaredProject>) => {
        const { name = "", arn = "" } = answer;
        account.projects.set(name, { ...inputs, name, arn });
    },
    "aws:sfn/stateMachine:StateMachine": ({
        inputs: { roleArn, definition },
        answer: { name = "", arn = "" },
        account,
    }: Creation<{ roleArn: string; definition: string }>) => {
        account.stateMachines.set(arn, { name, arn, roleArn, definition: readDefinition(definition) });
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": ({
        inputs,
        answer,
        account,
    }: Creation<{ upstreamRegistryUrl: string }>) => {
        account.cacheRules.set(answer.id, inputs.upstreamRegistryUrl);
    },
    "aws:cloudwatch/eventRule:EventRule": ({ inputs, answer, account }: Creation<{ eventPattern: string }>) => {
        account.events.putRule(answer.id, inputs.eventPattern);
    },
    "aws:cloudwatch/eventTarget:EventTarget": ({ inputs, account }: Creation<DeclaredTarget>) => {
        account.events.putTarget(inputs);
    },
    "aws:scheduler/schedule:Schedule": ({ inputs, answer, account }: Creation<DeclaredSchedule>) => {
        account.events.schedules.set(answer["name"] ?? "", inputs);
    },
    "aws:sqs/queuePolicy:QueuePolicy": ({ inputs, account }: Creation<{ queueUrl: string; policy: string }>) => {
        const queueArn = arnIn(account.location, "sqs", inputs.queueUrl.split("/").at(-1) ?? "");
        account.iam.resourcePolicies.set(queueArn, JSON.parse(inputs.policy) as PolicyDocument);
    },
};

/** A stack in the lab. */
export interface DeployedStack {
    /** The stack's outputs. */
    readonly outputs: Record<string, unknown>;
    /** Type and name of every resource that was created. */
    readonly created: readonly string[];
    /** Type and name of every resource that is only declared. */
    readonly declared: readonly string[];
}

/**
 * Evaluates the program and creates what it declares.
 *
 * @param stack Name of the stack, for instance `dev`.
 * @param configuration Its configuration by full key.
 * @throws Error when the program fails, or uses what the lab does not know.
 */
export async function provision(
    stack: string,
    configuration: Record<string, string>,
    account: Account,
    emulator: Emulator,
): Promise<DeployedStack> {
    const created: string[] = [];
    const declared: string[] = [];
    const create = async ({ type, name, inputs, answer }: DeclaredResource) => {
        const creator = creators[type];
        (creator === undefined ? declared : created).push(`${type} ${name}`);
        if (creator === undefined && awsTypes[type]?.notInLab === undefined) {
            throw new Error(
                `The lab does not know how to create ${type} ${name}: give it a creator in lab/creators.ts, or say in lab/awsTypes.ts why it needs none.`,
            );
        }
        await creator?.({ inputs: inputs as never, answer, account, ...emulator });
    };
    const { result } = await evaluate(() => runProgram(configuration), { stack, location: account.location, create });
    return { outputs: result, created, declared };
}
