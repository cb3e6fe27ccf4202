/** What makes a declared resource exist in the lab: in the emulator, or in what the lab keeps of its account by itself. */
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
import type { Account, DeclaredProject, DeclaredStateMachine } from "./account";
import { type Answer, arnIn } from "./awsTypes";
import type { DeclaredSchedule, DeclaredTarget } from "./events";
import type { PolicyDocument } from "./iam";
import { zip } from "./zip";

/** Where resources are created. */
export interface Surroundings {
    readonly account: Account;
    /** The emulator's S3. */
    readonly s3: S3Client;
    /** The emulator's CloudWatch Logs. */
    readonly logs: CloudWatchLogsClient;
}

/**
 * Creates one resource.
 *
 * @param inputs What the program declares, in the shape of the type in @pulumi/aws.
 * @param answer Its physical name, ARN and id, as awsTypes.ts has them.
 */
type Create = (inputs: never, answer: Answer, surroundings: Surroundings) => Promise<void> | void;

/** The arguments of a resource, as they are once every Output is known. */
type Declared<Args> = pulumi.Unwrap<Args>;

/** Creators by the token of the resource type; of other types awsTypes.ts says why nothing is created. */
export const creators: Readonly<Record<string, Create | undefined>> = {
    "aws:s3/bucket:Bucket": async (_, { id: Bucket }, { s3, account: { location } }) => {
        const here = { LocationConstraint: location.region as BucketLocationConstraint };
        // The one region that must not be named: its API is older than the parameter.
        const elsewhere = location.region !== "us-east-1" && { CreateBucketConfiguration: here };
        await s3.send(new CreateBucketCommand({ Bucket, ...elsewhere }));
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": async (
        inputs: Declared<aws.s3.BucketObjectv2Args> & { bucket: string; source: pulumi.asset.AssetArchive },
        _,
        { s3 },
    ) => {
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
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": async (
        { bucket, rules }: Declared<aws.s3.BucketServerSideEncryptionConfigurationArgs>,
        _,
        { s3 },
    ) => {
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
    "aws:s3/bucketVersioning:BucketVersioning": async (inputs: { bucket: string }, _, { s3 }) => {
        const VersioningConfiguration = { Status: "Enabled" } as const;
        await s3.send(new PutBucketVersioningCommand({ Bucket: inputs.bucket, VersioningConfiguration }));
    },
    "aws:cloudwatch/logGroup:LogGroup": async (
        { kmsKeyId }: { kmsKeyId?: string },
        { id: logGroupName, arn = "" },
        { logs, account: { iam, location } },
    ) => {
        const service = `logs.${location.region}.${domainOf(location.partition)}`;
        const context = { "kms:EncryptionContext:aws:logs:arn": arn } as const;
        // CloudWatch Logs tries the key before it makes the log group.
        if (kmsKeyId !== undefined) await iam.requireKey(kmsKeyId, service, context);
        await logs.send(new CreateLogGroupCommand({ logGroupName }));
    },
    "aws:iam/role:Role": (inputs: { assumeRolePolicy: PolicyDocument }, { id, arn = "" }, { account }) => {
        account.iam.roles.set(id, { name: id, arn, trustPolicy: inputs.assumeRolePolicy, policies: [] });
    },
    "aws:iam/rolePolicy:RolePolicy": ({ role, policy }: { role: string; policy: PolicyDocument }, _, { account }) => {
        account.iam.roles.get(role)?.policies.push(policy);
    },
    // moto would apply a Deny without its condition, to everybody and everything.
    "aws:s3/bucketPolicy:BucketPolicy": (
        { bucket, policy }: { bucket: string; policy: PolicyDocument },
        _,
        { account },
    ) => {
        account.iam.bucketPolicies.set(bucket, policy);
    },
    // Nothing but its policy counts, and that is a resource of its own.
    "aws:kms/key:Key": () => undefined,
    "aws:kms/keyPolicy:KeyPolicy": ({ keyId, policy }: { keyId: string; policy: string }, _, { account }) => {
        const arn = arnIn(account.location, "kms", `key/${keyId}`);
        account.iam.keyPolicies.set(arn, JSON.parse(policy) as PolicyDocument);
    },
    "aws:codebuild/project:Project": (inputs: DeclaredProject, { name = "", arn = "" }, { account }) => {
        account.projects.set(name, { ...inputs, name, arn });
    },
    "aws:sfn/stateMachine:StateMachine": (inputs: DeclaredStateMachine, { name = "", arn = "" }, { account }) => {
        account.stateMachines.set(arn, { ...inputs, name, arn });
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": (
        { upstreamRegistryUrl }: { upstreamRegistryUrl: string },
        { id },
        { account },
    ) => {
        account.cacheRules.set(id, upstreamRegistryUrl);
    },
    "aws:cloudwatch/eventRule:EventRule": (inputs: { eventPattern: string }, { id }, { account }) => {
        account.events.putRule(id, inputs.eventPattern);
    },
    "aws:cloudwatch/eventTarget:EventTarget": (target: DeclaredTarget, _, { account }) => {
        account.events.putTarget(target);
    },
    "aws:scheduler/schedule:Schedule": (inputs: DeclaredSchedule, { name = "" }, { account }) => {
        account.events.schedules.set(name, inputs);
    },
    "aws:sqs/queuePolicy:QueuePolicy": (
        { queueUrl, policy }: { queueUrl: string; policy: string },
        _,
        { account: { events, location } },
    ) => {
        const queueArn = arnIn(location, "sqs", queueUrl.split("/").at(-1) ?? "");
        events.queuePolicies.set(queueArn, JSON.parse(policy) as PolicyDocument);
    },
};
