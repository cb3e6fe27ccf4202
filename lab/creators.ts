/**
 * Deploys the program: evaluates index.ts, and creates each resource that it declares before its outputs are handed on: in the
 * emulator, or in what the lab keeps of its account by itself.
 */
import { CloudWatchLogsClient, CreateLogGroupCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
    type BucketLocationConstraint,
    CreateBucketCommand,
    PutBucketEncryptionCommand,
    PutBucketVersioningCommand,
    PutObjectCommand,
    S3Client,
    type ServerSideEncryption,
} from "@aws-sdk/client-s3";
import type * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";
import type { MockResourceArgs } from "@pulumi/pulumi/runtime/mocks";

import { partitions } from "../contract/aws";
import type { Account, DeclaredProject } from "./account";
import { type Answer, arnIn } from "./awsTypes";
import { pack } from "./codebuild";
import { evaluate } from "./evaluation";
import type { DeclaredSchedule, DeclaredTarget } from "./events";
import { ownerCredentials, type PolicyDocument } from "./iam";
import { runProgram } from "./program";
import { readDefinition } from "./stepFunctions";

/** What the emulator has of AWS, as the owner of the account sees it. */
export interface Emulator {
    readonly s3: S3Client;
    readonly logs: CloudWatchLogsClient;
}

/** The emulator that listens on a port. */
export function emulatorOn(port: number, region: string): Emulator {
    const owner = { region, endpoint: `http://127.0.0.1:${port}`, credentials: ownerCredentials };
    return { s3: new S3Client({ ...owner, forcePathStyle: true }), logs: new CloudWatchLogsClient(owner) };
}

/** Where a resource is created, and its id, physical name and ARN as awsTypes.ts has them. */
interface Place extends Emulator {
    readonly id: string;
    readonly name: string;
    readonly arn: string;
    readonly account: Account;
}

/** Creates a resource of what the program declares. */
type Create = (inputs: never, place: Place) => unknown;

type Encryption = pulumi.Unwrap<aws.s3.BucketServerSideEncryptionConfigurationArgs>;
type ObjectOfAssets = pulumi.Unwrap<aws.s3.BucketObjectv2Args> & {
    readonly bucket: string;
    readonly source: pulumi.asset.AssetArchive;
};

/** A policy as the program gives it: the provider takes both. */
type GivenPolicy = PolicyDocument | string;

/** The document of a policy that is given as such, or as a text. */
export function documentOf(policy: GivenPolicy): PolicyDocument {
    return typeof policy === "string" ? (JSON.parse(policy) as PolicyDocument) : policy;
}

/** Creators by the token of the resource type; of other types awsTypes.ts says why nothing is created. */
export const creators: Readonly<Record<string, Create | undefined>> = {
    "aws:s3/bucket:Bucket": (_, { id: Bucket, s3, account: { location } }) => {
        const here = { LocationConstraint: location.region as BucketLocationConstraint };
        // The one region that must not be named: its API is older than the parameter.
        const elsewhere = location.region !== "us-east-1" && { CreateBucketConfiguration: here };
        return s3.send(new CreateBucketCommand({ Bucket, ...elsewhere }));
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": async (inputs: ObjectOfAssets, { s3 }) =>
        s3.send(
            new PutObjectCommand({
                Bucket: inputs.bucket,
                Key: inputs.key,
                Body: await pack(inputs.source),
                ServerSideEncryption: inputs.serverSideEncryption as ServerSideEncryption,
                SSEKMSKeyId: inputs.kmsKeyId,
                BucketKeyEnabled: inputs.bucketKeyEnabled,
            }),
        ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        { bucket, rules }: Encryption,
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
        return s3.send(new PutBucketEncryptionCommand(encryption));
    },
    "aws:s3/bucketVersioning:BucketVersioning": ({ bucket }: { bucket: string }, { s3 }) => {
        const VersioningConfiguration = { Status: "Enabled" } as const;
        return s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    },
    "aws:cloudwatch/logGroup:LogGroup": async (inputs: { kmsKeyId?: string }, { id, arn, logs, account }) => {
        const { iam, location } = account;
        const { kmsKeyId: resource } = inputs;
        const service = `logs.${location.region}.${partitions[location.partition].domain}`;
        const context = { "kms:EncryptionContext:aws:logs:arn": arn };
        // CloudWatch Logs tries the key before it makes the log group.
        if (resource !== undefined) {
            await iam.requireService(service, { action: "kms:GenerateDataKey", resource, context });
            await iam.requireService(service, { action: "kms:Decrypt", resource, context });
        }
        await logs.send(new CreateLogGroupCommand({ logGroupName: id }));
    },
    "aws:iam/role:Role": ({ assumeRolePolicy }: { assumeRolePolicy: GivenPolicy }, { id, arn, account: { iam } }) => {
        iam.roles.set(id, { arn, policies: [] });
        iam.resourcePolicies.set(arn, documentOf(assumeRolePolicy));
    },
    "aws:iam/rolePolicy:RolePolicy": (inputs: { role: string; policy: GivenPolicy }, { account }) => {
        account.iam.roles.get(inputs.role)?.policies.push(documentOf(inputs.policy));
    },
    // moto would apply a Deny without its condition, to everybody and everything.
    "aws:s3/bucketPolicy:BucketPolicy": ({ bucket, policy }: { bucket: string; policy: GivenPolicy }, { account }) => {
        account.iam.resourcePolicies.set(`arn:${account.location.partition}:s3:::${bucket}`, documentOf(policy));
    },
    "aws:kms/keyPolicy:KeyPolicy": (inputs: { keyId: string; policy: GivenPolicy }, { account }) => {
        const arn = arnIn(account.location, "kms", `key/${inputs.keyId}`);
        account.iam.resourcePolicies.set(arn, documentOf(inputs.policy));
    },
    "aws:codebuild/project:Project": (inputs: DeclaredProject, { name, arn, account }) => {
        account.projects.set(name, { ...inputs, name, arn });
    },
    "aws:sfn/stateMachine:StateMachine": (
        { roleArn, definition }: { roleArn: string; definition: string },
        { name, arn, account },
    ) => {
        account.stateMachines.set(arn, { name, arn, roleArn, definition: readDefinition(definition) });
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": (inputs: { upstreamRegistryUrl: string }, { id, account }) => {
        account.cacheRules.set(id, inputs.upstreamRegistryUrl);
    },
    "aws:cloudwatch/eventRule:EventRule": (inputs: { eventPattern: string }, { name, account }) => {
        account.events.putRule(name, inputs.eventPattern);
    },
    "aws:cloudwatch/eventTarget:EventTarget": (inputs: DeclaredTarget, { account }) => {
        account.events.putTarget(inputs);
    },
    "aws:scheduler/schedule:Schedule": (inputs: DeclaredSchedule, { name, account }) => {
        account.events.schedules.set(name, inputs);
    },
    "aws:sqs/queuePolicy:QueuePolicy": (inputs: { queueUrl: string; policy: GivenPolicy }, { account }) => {
        const arn = arnIn(account.location, "sqs", inputs.queueUrl.split("/").at(-1) ?? "");
        account.iam.resourcePolicies.set(arn, documentOf(inputs.policy));
    },
};

/**
 * Evaluates the program and creates what it declares.
 *
 * @param stack Name of the stack, for instance `dev`.
 * @param configuration Its configuration by full key.
 * @returns its outputs, how many of its resources were created, and how many are only declared.
 * @throws Error when the program fails.
 */
export async function provision(
    stack: string,
    configuration: Record<string, string>,
    account: Account,
    emulator: Emulator,
) {
    let created = 0;
    let declared = 0;
    const create = async ({ type, inputs }: MockResourceArgs, answer: Answer) => {
        const creator = creators[type];
        await creator?.(inputs as never, { name: "", arn: "", ...answer, account, ...emulator });
        if (creator === undefined) declared++;
        else created++;
    };
    const options = { stack, location: account.location, create };
    const { result: outputs } = await evaluate(() => runProgram(configuration), options);
    return { outputs, created, declared };
}
