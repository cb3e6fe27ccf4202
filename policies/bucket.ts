/** The policy of the bucket: it allows nobody anything, and denies what would weaken the archives' protection. */
import type * as pulumi from "@pulumi/pulumi";

import { deny, joined, type PolicyArgs, type PolicyTable, withoutTls } from "./document";

export const bucketPolicy = {
    DenyInsecureTransport: {
        why: "nobody, whatever else they may, reaches the bucket and its objects without TLS; a Deny is widest where it names every action",
        page: "AmazonS3/latest/userguide/security-best-practices.html",
        statement: ({ artifactBucketArn: arn }) => deny("s3:*", [arn, joined`${arn}/*`], withoutTls),
    },
    DenyOtherEncryption: {
        why: "nobody uploads with another encryption than SSE-KMS; an upload that names none is not denied: it gets the bucket's default, which S3 applies after it has judged the request, and parts of a multipart upload never name one",
        page: "AmazonS3/latest/userguide/default-bucket-encryption.html",
        statement: (args) =>
            denyUploads(args, {
                // Without this, StringNotEquals would be true of a request that names no encryption.
                Null: { "s3:x-amz-server-side-encryption": "false" },
                StringNotEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
            }),
    },
    DenyOtherKeys: {
        why: "nobody uploads with another key; an upload that asks for SSE-KMS and names no key is denied too, since S3 then takes the account's key `aws/s3`, not the bucket's",
        page: "AmazonS3/latest/API/API_PutObject.html",
        statement: (args) =>
            args.encryptionKeyArn !== undefined &&
            denyUploads(args, {
                StringEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
                // True as well of a request that names no key.
                ArnNotEquals: { "s3:x-amz-server-side-encryption-aws-kms-key-id": args.encryptionKeyArn },
            }),
    },
    DenyCustomerKeys: {
        why: "nobody uploads with a key that only the uploader has (SSE-C), since nobody else could read the archive; S3 blocks that by itself in buckets created since April 2026, until somebody lifts it",
        page: "AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html",
        statement: (args) =>
            denyUploads(args, { Null: { "s3:x-amz-server-side-encryption-customer-algorithm": "false" } }),
    },
} satisfies PolicyTable<"artifactBucketArn" | "encryptionKeyArn">;

/** With a KMS key only: without one every encryption is as good. */
function denyUploads(
    { artifactBucketArn, encryptionKeyArn }: Pick<PolicyArgs, "artifactBucketArn" | "encryptionKeyArn">,
    condition: Record<string, Record<string, pulumi.Input<string>>>,
) {
    return encryptionKeyArn !== undefined && deny("s3:PutObject", joined`${artifactBucketArn}/*`, condition);
}
