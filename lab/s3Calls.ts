/**
 * What a request to S3 asks for: its own action, and what S3 then asks of KMS on behalf of the caller. The emulator
 * stores how an object is encrypted, but encrypts nothing and asks nobody.
 */
import type { IncomingMessage } from "node:http";

import { GetBucketEncryptionCommand, HeadObjectCommand, type S3Client } from "@aws-sdk/client-s3";

import type { AwsLocation } from "../contract/aws";
import type { Access } from "./iam";

type Request = ReturnType<typeof read>;

/**
 * What a request asks for; nothing where the lab does not know it.
 *
 * @param s3 The emulator's S3.
 */
export async function s3Calls(s3: S3Client, location: AwsLocation, incoming: IncomingMessage): Promise<Access[]> {
    const request = read(location, incoming);
    const call = callToS3(request);
    if (call === undefined) return [];
    const kmsCall = request.key === "" ? undefined : await callToKms(s3, location, request);
    return kmsCall === undefined ? [call] : [call, kmsCall];
}

function read({ partition }: AwsLocation, { method = "", url = "", headers }: IncomingMessage) {
    // Not `new URL`, which would take `..` for a folder, where S3 takes it for a part of the key.
    const [path = "", query = ""] = url.split("?", 2);
    const [bucket = "", ...rest] = path.slice(1).split("/");
    const key = rest.map(decodeURIComponent).join("/"); // empty where the request is about the bucket
    const bucketArn = `arn:${partition}:s3:::${bucket}`;
    const objectArn = `${bucketArn}/${key}`;
    return { method, bucket, key, parameters: new URLSearchParams(query), headers, bucketArn, objectArn };
}

/** Action and resource, by method and query: docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html */
function callToS3({ method, key, parameters, headers, bucketArn, objectArn }: Request): Access | undefined {
    const reads = method === "GET" || method === "HEAD";
    if (key === "") {
        const prefix = parameters.get("prefix");
        const context = prefix ? { "s3:prefix": prefix } : {};
        return reads ? { action: "s3:ListBucket", resource: bucketArn, context } : undefined;
    }
    const ofUpload = parameters.has("uploads") || parameters.has("uploadId");
    const version = parameters.has("versionId") ? "Version" : "";
    if (method === "PUT" || (method === "POST" && ofUpload)) {
        // docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html: condition keys that stand for headers
        const named = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-server-side-encryption"));
        const context = Object.fromEntries(named.map(([name, value]) => [`s3:${name}`, String(value)]));
        return { action: "s3:PutObject", resource: objectArn, context };
    }
    if (method === "DELETE") {
        return { action: ofUpload ? "s3:AbortMultipartUpload" : `s3:DeleteObject${version}`, resource: objectArn };
    }
    // Who names a version needs the permission for versions, and for nothing but them (API_GetObject).
    return reads ? { action: `s3:GetObject${version}`, resource: objectArn } : undefined;
}

/**
 * S3 generates a data key when an upload begins, decrypts it for each part and at the upload's end, and decrypts the
 * object's when it is read. A HEAD needs no key:
 * docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
 */
async function callToKms(s3: S3Client, { region }: AwsLocation, request: Request): Promise<Access | undefined> {
    const { method, parameters, bucketArn, objectArn } = request;
    const writes = method === "PUT" || method === "POST";
    if (!writes && method !== "GET") return undefined;
    const { keyArn, bucketKey } = writes ? await encryptionOfUpload(s3, request) : await encryptionOf(s3, request);
    if (keyArn === undefined) return undefined;
    return {
        action: writes && !parameters.has("uploadId") ? "kms:GenerateDataKey" : "kms:Decrypt",
        resource: keyArn,
        context: {
            "kms:ViaService": `s3.${region}.amazonaws.com`,
            "kms:EncryptionContext:aws:s3:arn": bucketKey === true ? bucketArn : objectArn,
        },
    };
}

/** As the headers say, or else as the bucket's default says, which is what the parts of an upload are taken to have. */
async function encryptionOfUpload(s3: S3Client, { bucket, headers }: Request) {
    // A bucket that does not exist, or is not the lab's, has none: the call itself is refused then.
    const answer = await s3.send(new GetBucketEncryptionCommand({ Bucket: bucket })).catch(() => undefined);
    const rule = answer?.ServerSideEncryptionConfiguration?.Rules?.[0];
    const keyArn =
        "x-amz-server-side-encryption" in headers
            ? (headers["x-amz-server-side-encryption-aws-kms-key-id"] as string | undefined)
            : rule?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
    return { keyArn, bucketKey: rule?.BucketKeyEnabled };
}

/** As the object is stored; without a key where it does not exist. */
async function encryptionOf(s3: S3Client, { bucket, key, parameters }: Request) {
    const object = { Bucket: bucket, Key: key, VersionId: parameters.get("versionId") ?? undefined };
    const answer = await s3.send(new HeadObjectCommand(object)).catch(() => undefined);
    return { keyArn: answer?.SSEKMSKeyId, bucketKey: answer?.BucketKeyEnabled };
}
