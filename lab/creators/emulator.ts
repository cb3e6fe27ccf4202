/** Resources that the emulator keeps: buckets, what is in them, log groups. */
import { CreateLogGroupCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
    type BucketLocationConstraint,
    CreateBucketCommand,
    PutBucketEncryptionCommand,
    PutBucketVersioningCommand,
    PutObjectCommand,
    type ServerSideEncryption,
} from "@aws-sdk/client-s3";
import type * as pulumi from "@pulumi/pulumi";

import { domainOf } from "../../contract/aws";
import { zip } from "../zip";
import type { Creators } from "./create";

interface ObjectInputs {
    readonly bucket: string;
    readonly key: string;
    readonly source: pulumi.asset.AssetArchive;
    readonly serverSideEncryption: ServerSideEncryption;
    readonly kmsKeyId?: string;
    readonly bucketKeyEnabled?: boolean;
}

interface EncryptionInputs {
    readonly bucket: string;
    readonly rules: readonly {
        readonly applyServerSideEncryptionByDefault: {
            readonly sseAlgorithm: ServerSideEncryption;
            readonly kmsMasterKeyId?: string;
        };
        readonly bucketKeyEnabled?: boolean;
    }[];
}

interface VersioningInputs {
    readonly bucket: string;
    readonly versioningConfiguration: { readonly status: "Enabled" };
}

/** Creators of what the emulator keeps. */
export const emulatorCreators = {
    "aws:s3/bucket:Bucket": async (_, { id }, { s3, account: { location } }) => {
        const here = { LocationConstraint: location.region as BucketLocationConstraint };
        await s3.send(
            new CreateBucketCommand({
                Bucket: id,
                // The one region that must not be named: its API is older than the parameter.
                ...(location.region !== "us-east-1" && { CreateBucketConfiguration: here }),
            }),
        );
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": async (inputs: ObjectInputs, _, { s3 }) => {
        await s3.send(
            new PutObjectCommand({
                Bucket: inputs.bucket,
                Key: inputs.key,
                Body: await zip(inputs.source),
                ServerSideEncryption: inputs.serverSideEncryption,
                SSEKMSKeyId: inputs.kmsKeyId,
                BucketKeyEnabled: inputs.bucketKeyEnabled,
            }),
        );
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": async (
        { bucket, rules }: EncryptionInputs,
        _,
        { s3 },
    ) => {
        const Rules = rules.map(({ applyServerSideEncryptionByDefault: byDefault, bucketKeyEnabled }) => ({
            ApplyServerSideEncryptionByDefault: {
                SSEAlgorithm: byDefault.sseAlgorithm,
                KMSMasterKeyID: byDefault.kmsMasterKeyId,
            },
            BucketKeyEnabled: bucketKeyEnabled,
        }));
        const encryption = { Bucket: bucket, ServerSideEncryptionConfiguration: { Rules } };
        await s3.send(new PutBucketEncryptionCommand(encryption));
    },
    "aws:s3/bucketVersioning:BucketVersioning": async (
        { bucket, versioningConfiguration }: VersioningInputs,
        _,
        { s3 },
    ) => {
        const VersioningConfiguration = { Status: versioningConfiguration.status };
        await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    },
    "aws:cloudwatch/logGroup:LogGroup": async (
        { kmsKeyId }: { kmsKeyId?: string },
        { id, arn = "" },
        { logs, account: { iam, location } },
    ) => {
        if (kmsKeyId !== undefined) {
            // CloudWatch Logs tries the key before it makes the log group.
            await iam.requireKey(kmsKeyId, `logs.${location.region}.${domainOf(location.partition)}`, {
                "kms:EncryptionContext:aws:logs:arn": arn,
            });
        }
        await logs.send(new CreateLogGroupCommand({ logGroupName: id }));
    },
} satisfies Creators;
