/** Archives in S3: which object a KEY means, what its record says, and its bytes, in order and over many connections. */
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";

import { parseLocation } from "../exporter/destination/destination";
import { recordKey } from "../contract/keys";
import { messageOf } from "../contract/errors";
import { type ExportRecord, parseRecord } from "../contract/record";
import { regionOf } from "./aws";
import { call } from "./call";
import type { Context, Values } from "./command";
import { asFailure, Failure, isDenied, UsageFailure } from "./failure";
import { findStack, type stackOptions } from "./stack";

/** Where an archive is. */
export interface ObjectPlace {
    readonly bucket: string;
    readonly key: string;
    /** Undefined where the environment's region is meant. */
    readonly region?: string | undefined;
}

/** One version of an object: another one is never taken for it. */
export interface ObjectVersion extends ObjectPlace {
    /** Null in a bucket without versions. */
    readonly versionId: string | null;
    readonly eTag: string;
    readonly sizeBytes: number;
}

/** `s3://BUCKET/KEY` */
export function uriOf({ bucket, key }: ObjectPlace): string {
    return `s3://${bucket}/${key}`;
}

/**
 * Finds what a KEY means: an `s3://` URI, or a key in the bucket of the stack.
 *
 * @throws UsageFailure when it is no key of an archive
 */
export async function findPlace(
    given: string,
    values: Partial<Values<typeof stackOptions>>,
    context: Context,
): Promise<ObjectPlace> {
    if (given.startsWith("s3:")) return parsePlace(given);
    const { artifactBucketName, stateMachineArn = "" } = await findStack(values, context);
    if (artifactBucketName === undefined) {
        throw new UsageFailure(
            "Only the state machine is known, not the bucket of the archives.",
            `Give the archive as s3://BUCKET/${given}, or the stack with --stack NAME.`,
        );
    }
    return { ...parsePlace(`s3://${artifactBucketName}/${given}`), region: regionOf(stateMachineArn) };
}

/** Reads `s3://BUCKET/KEY`. */
export function parsePlace(uri: string): ObjectPlace {
    try {
        const location = parseLocation(uri);
        if (location.kind === "s3") return { bucket: location.bucket, key: location.key };
    } catch (error) {
        throw new UsageFailure(messageOf(error));
    }
    throw new UsageFailure(`"${uri}" is not s3://BUCKET/KEY.`);
}

/** The record of an archive; undefined where there is none. */
export async function readRecord(context: Context, place: ObjectPlace): Promise<ExportRecord | undefined> {
    const key = recordKey(place.key);
    const text = await ask({ ...place, key }, context, async (s3) => {
        try {
            const { Body } = await s3.send(new GetObjectCommand({ Bucket: place.bucket, Key: key }));
            return await Body?.transformToString();
        } catch (error) {
            if (error instanceof Error && error.name === "NoSuchKey") return undefined;
            if (isDenied(error) && (await isMissing(s3, place.bucket, key))) return undefined;
            throw error;
        }
    });
    if (text === undefined) return undefined;
    const read = parseRecord(text);
    if ("record" in read) return read.record;
    throw new Failure(`The export record ${uriOf({ ...place, key })} ${read.problem}.`, {
        next: "Export the image to this key again, or take a newer version of this command line.",
    });
}

/**
 * What is at a key.
 *
 * @param versionId By default the newest version.
 * @returns undefined where there is nothing
 */
export async function headObject(
    context: Context,
    place: ObjectPlace,
    versionId?: string,
): Promise<ObjectVersion | undefined> {
    const { bucket, key } = place;
    return ask(place, context, async (s3) => {
        try {
            const head = await s3.send(
                new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId }),
            );
            const { VersionId = null, ETag = "", ContentLength = 0 } = head;
            return { ...place, versionId: VersionId, eTag: ETag, sizeBytes: ContentLength };
        } catch (error) {
            const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
            if (status === 404) return undefined;
            // The answer to a HEAD has no body that would tell the code.
            if (status === 403 && versionId === undefined && (await isMissing(s3, bucket, key)))
                return undefined;
            if (status === 403)
                throw Object.assign(error as Error, { name: "AccessDenied", message: "Access Denied" });
            if (status === 301) throw Object.assign(error as Error, { name: "PermanentRedirect" });
            throw error;
        }
    });
}

/**
 * Whether a listing shows that there is no such object. S3 refuses to read it, in the place of telling that it is not there,
 * to whoever may list only what is under a prefix: docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
async function isMissing(s3: S3Client, bucket: string, key: string): Promise<boolean> {
    try {
        // The key itself is the first of all that begin with it.
        const { Contents = [] } = await s3.send(
            new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 }),
        );
        return Contents[0]?.Key !== key;
    } catch {
        return false; // that reading was refused is what counts
    }
}

/** An archive with its record. */
export interface RecordedArchive {
    readonly record: ExportRecord;
    readonly object: ObjectVersion;
    /** Whether something newer than what the record describes is at the key. */
    readonly isReplaced: boolean;
}

/**
 * Finds the archive that the record at a key describes.
 *
 * @throws Failure when there is none
 */
export async function findArchive(context: Context, place: ObjectPlace): Promise<RecordedArchive> {
    const [record, newest] = await Promise.all([readRecord(context, place), headObject(context, place)]);
    if (newest === undefined) {
        throw new Failure(`There is nothing at ${uriOf(place)}.`, {
            code: "NoSuchKey",
            next: "`image-export list` shows the exports; the output of each names its key.",
        });
    }
    if (record === undefined) {
        throw new Failure(`${uriOf(place)} has no record, so that it cannot be verified.`, {
            next: "Where its export still runs, the record is to come. Else export the image to this key again.",
        });
    }
    const { versionId } = record.archive;
    const isReplaced = versionId !== newest.versionId;
    const object = isReplaced && versionId !== null ? await headObject(context, place, versionId) : newest;
    if (object?.sizeBytes !== record.archive.sizeBytes) {
        throw new Failure(
            `${uriOf(place)} is not what its record describes: version ${String(versionId)} of ${record.archive.sizeBytes} bytes.`,
            {
                next: "Where an export to this key runs, wait for its end. Else export the image to this key again.",
            },
        );
    }
    return { record, object, isReplaced };
}

/** How {@link readInOrder} reads. */
export interface ReadOptions {
    /** @default 0 */
    readonly from?: number;
    /** @default 8 MiB, as the AWS CLI */
    readonly partBytes?: number;
    /** Ranges that are read at a time. @default 8 */
    readonly concurrency?: number;
    /** A connection without a byte for so long is stalled. @default 30000 */
    readonly idleTimeoutMs?: number;
}

/**
 * The bytes of an object in their order, while ranges further on are being read: one connection to S3 is slower than most
 * networks. Needs memory for `concurrency` parts. A range that breaks off is read on from there.
 */
export async function* readInOrder(
    context: Context,
    object: ObjectVersion,
    { from = 0, partBytes = 8 * 1024 * 1024, concurrency = 8, idleTimeoutMs = 30_000 }: ReadOptions = {},
): AsyncGenerator<Buffer> {
    const left = new AbortController();
    const signal = AbortSignal.any([context.signal, left.signal]);
    const ahead: Promise<Buffer>[] = [];
    let next = from;
    try {
        for (;;) {
            while (ahead.length < concurrency && next < object.sizeBytes) {
                const length = Math.min(partBytes, object.sizeBytes - next);
                const part = readPart({ ...context, signal }, object, next, length, idleTimeoutMs);
                part.catch(() => undefined); // it is awaited in its turn
                ahead.push(part);
                next += length;
            }
            const part = ahead.shift();
            if (part === undefined) return;
            yield await part;
        }
    } finally {
        left.abort();
        await Promise.allSettled(ahead);
        context.signal.throwIfAborted();
    }
}

async function readPart(
    context: Context,
    object: ObjectVersion,
    offset: number,
    length: number,
    idleTimeoutMs: number,
): Promise<Buffer> {
    const part = Buffer.allocUnsafe(length);
    let filled = 0;
    await ask(object, context, async (s3) => {
        const stalled = new AbortController();
        const timer = setTimeout(() => {
            stalled.abort();
        }, idleTimeoutMs);
        try {
            const { Body } = await s3.send(
                new GetObjectCommand({
                    Bucket: object.bucket,
                    Key: object.key,
                    VersionId: object.versionId ?? undefined,
                    IfMatch: object.eTag,
                    Range: `bytes=${offset + filled}-${offset + length - 1}`,
                }),
                { abortSignal: AbortSignal.any([context.signal, stalled.signal]) },
            );
            for await (const chunk of Body as AsyncIterable<Uint8Array>) {
                timer.refresh();
                part.set(chunk.subarray(0, length - filled), filled);
                filled += Math.min(chunk.length, length - filled);
            }
        } catch (error) {
            throw stalled.signal.aborted ? passing(`no byte came for ${idleTimeoutMs} ms`) : error;
        } finally {
            clearTimeout(timer);
        }
        if (filled < length) throw passing("the answer was shorter than asked for");
    });
    return part;
}

/** An error that {@link call} takes for one that passes. */
function passing(message: string): Error {
    return Object.assign(new Error(message), { name: "TimeoutError" });
}

/** Calls S3 about an object, and says what its errors mean for an archive. */
async function ask<T>(
    place: ObjectPlace,
    context: Context,
    action: (s3: S3Client) => Promise<T>,
): Promise<T> {
    const arn = `arn:${partitionOf(place.region ?? context.env["AWS_REGION"])}:s3:::${place.bucket}/${place.key}`;
    const aws = {
        ...context.aws,
        client: ((service, region) =>
            context.aws.client(service, region ?? place.region)) as Context["aws"]["client"],
    };
    try {
        return await call({ ...context, aws }, "s3", arn, action);
    } catch (error) {
        context.signal.throwIfAborted();
        throw explained(asFailure(error, arn), place);
    }
}

const explanations: Readonly<
    Record<string, (place: ObjectPlace, error: unknown) => readonly [string, string]>
> = {
    PreconditionFailed: (place) => [
        `${uriOf(place)} was replaced while it was being read.`,
        "Repeat the command: it begins anew with what is there now.",
    ],
    InvalidObjectState: (place) => [
        `${uriOf(place)} is in a storage class that has to be restored before it can be read.`,
        `aws s3api restore-object --bucket ${place.bucket} --key ${place.key} --restore-request Days=1`,
    ],
    NoSuchBucket: ({ bucket }) => [
        `There is no bucket ${bucket}.`,
        "The stack's output artifactBucketName has its name.",
    ],
    PermanentRedirect: ({ bucket }, error) => [
        `The bucket ${bucket} is in another region${inRegion(error)}.`,
        "Set AWS_REGION to the region of the bucket.",
    ],
};

function explained(failure: Failure, place: ObjectPlace): Failure {
    const explain = explanations[failure.code ?? ""];
    if (explain === undefined) return failure;
    const [message, next] = explain(place, failure.cause);
    const { code, arn, cause } = failure;
    return new Failure(message, { next, cause, ...(code && { code }), ...(arn && { arn }) });
}

function inRegion(error: unknown): string {
    const region = (error as { $response?: { headers?: Record<string, string> } }).$response?.headers?.[
        "x-amz-bucket-region"
    ];
    return region === undefined ? "" : `, ${region}`;
}

function partitionOf(region = ""): string {
    return region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}
