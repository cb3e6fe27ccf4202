/** The KMS keys, which encrypt and which sign: their own policies, and what those who use them have in theirs. */
import type * as pulumi from "@pulumi/pulumi";

import { partitions } from "../contract/aws";
import {
    allow,
    allowTo,
    arnIn,
    joined,
    type PolicyArgs,
    type PolicyTable,
    type Reasoned,
    type StackLocation,
} from "./document";

type KeyUse = Pick<PolicyArgs, "at" | "artifactBucketArn" | "encryptionKeyArn">;

/**
 * S3 uses the key on the caller's behalf, for this bucket and nothing else. With a Bucket Key the encryption context is the
 * ARN of the bucket (docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html); that of an object, which is the context
 * without a Bucket Key, is refused. Encryption contexts are strings to KMS, not ARNs.
 *
 * @param bucketArn ARN of the bucket, or a pattern of it.
 */
function throughS3(at: StackLocation, bucketArn: pulumi.Input<string>) {
    return {
        StringEquals: { "kms:ViaService": viaService(at, "s3") },
        StringLike: { "kms:EncryptionContext:aws:s3:arn": bucketArn },
    };
}

/**
 * What `kms:ViaService` calls a service: docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 * It names the domain of the partition `aws` only. Elsewhere the partition's own is admitted as well: both mean this service.
 */
export function viaService({ partition, region }: StackLocation, service: string): string | string[] {
    const named = (domain: string): string => `${service}.${region}.${domain}`;
    const [own, usual] = [named(partitions[partition].domain), named(partitions.aws.domain)];
    return own === usual ? own : [own, usual];
}

function usedThroughS3(actions: string) {
    return ({ at, artifactBucketArn, encryptionKeyArn }: KeyUse) =>
        encryptionKeyArn !== undefined && allow(actions, encryptionKeyArn, throughS3(at, artifactBucketArn));
}

/** How a record is signed: by its SHA-256, with the one algorithm of keys of the type ECC_NIST_P256. */
const asRecordsAre = { StringEquals: { "kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256" } };

/** For builds. */
export const signRecords: Reasoned<Pick<PolicyArgs, "signingKeyArn">> = {
    why: "the build signs the record of what it has exported by the record's SHA-256, and nothing in another way",
    page: "kms/latest/APIReference/API_Sign.html",
    statement: ({ signingKeyArn }) => signingKeyArn !== undefined && allow("kms:Sign", signingKeyArn, asRecordsAre),
};

/** For those who write to the bucket. */
export const writeEncrypted: Reasoned<KeyUse> = {
    why: "S3 encrypts what is written with a data key of the KMS key, and decrypts the data key again for each part of an upload",
    page: "AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions",
    statement: usedThroughS3("kms:Decrypt kms:GenerateDataKey"),
};

/** For those who write to it in one piece. */
export const putEncrypted: Reasoned<KeyUse & Pick<PolicyArgs, "engine">> = {
    why: "S3 encrypts the list of a set's images with a data key of the KMS key",
    page: "AmazonS3/latest/userguide/UsingKMSEncryption.html",
    statement: ({ engine, ...use }) => engine === "stream" && usedThroughS3("kms:GenerateDataKey")(use),
};

/** For those who only read from the bucket. */
export const readEncrypted: Reasoned<KeyUse> = {
    why: "S3 decrypts what is read",
    page: "AmazonS3/latest/userguide/UsingKMSEncryption.html",
    statement: usedThroughS3("kms:Decrypt"),
};

/** Who uses the key: what the owner of a given key has to allow. In a key policy the resource `*` is the key. */
export const keyUsers = {
    EncryptObjects: {
        why: "whom IAM policies of the account allow it, uses the key through S3 and for this bucket only: builds, batches, readers, and whoever deploys and so uploads the exporter",
        page: "AmazonS3/latest/userguide/UsingKMSEncryption.html",
        statement: ({ at, artifactBucketArn }) =>
            allowTo(accountOf(at), "kms:Decrypt kms:GenerateDataKey", "*", throughS3(at, artifactBucketArn)),
    },
    EncryptLogs: {
        why: "CloudWatch Logs encrypts the stack's log groups, by their pattern, since a group can only be created once the key allows it; `Describe*` of AWS's example has no encryption context, so the condition would never be met",
        page: "AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
        statement: ({ at, namePrefix }) =>
            allowTo(
                // The one principal here whose domain is that of the partition: github.com/aws/aws-cdk, region-info/lib/default.ts
                { Service: `logs.${at.region}.${partitions[at.partition].domain}` },
                // What the documentation's wildcards come to for a symmetric key.
                `kms:Decrypt kms:Encrypt kms:GenerateDataKey kms:GenerateDataKeyWithoutPlaintext
                kms:ReEncryptFrom kms:ReEncryptTo`,
                "*",
                {
                    StringLike: {
                        "kms:EncryptionContext:aws:logs:arn": arnIn(at, "logs", `log-group:/aws/*/${namePrefix}*`),
                    },
                },
            ),
    },
    EncryptNotifications: {
        why: "whom IAM policies of the account allow it, publishes to the stack's encrypted topics, with the key through SNS",
        page: "sns/latest/dg/sns-key-management.html",
        statement: ({ at, namePrefix }) =>
            allowTo(accountOf(at), "kms:Decrypt kms:GenerateDataKey", "*", {
                StringEquals: { "kms:ViaService": viaService(at, "sns") },
                StringLike: { "kms:EncryptionContext:aws:sns:topicArn": arnIn(at, "sns", `${namePrefix}*`) },
            }),
    },
    EncryptAlarms: {
        why: "alarms of the account publish to the stack's encrypted topics; EventBridge could not be held to an account in the same way, since it sends neither `aws:SourceAccount` nor `aws:SourceArn` for an encrypted topic",
        page: "sns/latest/dg/sns-key-management.html",
        statement: ({ at, namePrefix }) =>
            allowTo({ Service: "cloudwatch.amazonaws.com" }, "kms:Decrypt kms:GenerateDataKey", "*", {
                StringEquals: { "aws:SourceAccount": at.accountId },
                StringLike: { "kms:EncryptionContext:aws:sns:topicArn": arnIn(at, "sns", `${namePrefix}*`) },
            }),
    },
} satisfies PolicyTable<"at" | "artifactBucketArn" | "namePrefix">;

/** What administers a key, and lets nobody use it. */
const administration = (ofRotation = ""): string =>
    `kms:CancelKeyDeletion kms:CreateAlias kms:DeleteAlias kms:DescribeKey kms:DisableKey kms:EnableKey ${ofRotation}
    kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags kms:PutKeyPolicy kms:ScheduleKeyDeletion
    kms:TagResource kms:UntagResource kms:UpdateAlias kms:UpdateKeyDescription`;

/** The policy of the stack's own key that encrypts. */
export const keyPolicy: PolicyTable<"at" | "artifactBucketArn" | "namePrefix"> = {
    AdministerKey: {
        why: "the account administers the key, so that it cannot be lost with one user or role; no action here encrypts, decrypts or creates a grant, so what IAM policies allow of these has no effect on this key, be it `kms:*`. Pulumi reads, changes, names and destroys the key; an administrator disables it in an emergency, and saves one that is still needed",
        page: "kms/latest/developerguide/key-policy-default.html",
        statement: ({ at }) => allowTo(accountOf(at), administration("kms:EnableKeyRotation"), "*"),
    },
    ...keyUsers,
};

/** The policy of the stack's own key that signs records. */
export const signingKeyPolicy: PolicyTable<"at"> = {
    AdministerSigningKey: {
        why: "the account administers the key, so that it cannot be lost with one user or role. Pulumi reads, changes, names and destroys the key; an administrator disables it in an emergency, and saves one that is still needed",
        page: "kms/latest/developerguide/key-policy-default.html",
        statement: ({ at }) => allowTo(accountOf(at), administration(), "*"),
    },
    LetSignRecords: {
        why: "whom IAM policies of the account allow it, signs with the key: builds, in the one way that records are signed in",
        page: "kms/latest/APIReference/API_Sign.html",
        statement: ({ at }) => allowTo(accountOf(at), "kms:Sign", "*", asRecordsAre),
    },
    LetReadPublicKey: {
        why: "whom IAM policies of the account allow it, reads the public key, which is no secret: Pulumi makes it an output of the stack",
        page: "kms/latest/APIReference/API_GetPublicKey.html",
        statement: ({ at }) => allowTo(accountOf(at), "kms:GetPublicKey", "*"),
    },
};

/** Stands for everybody in the account whom its IAM policies allow something. */
function accountOf({ partition, accountId }: StackLocation) {
    return { AWS: joined`arn:${partition}:iam::${accountId}:root` };
}
