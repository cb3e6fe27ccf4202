/** Archives in S3: which object a KEY means, what its record says, and its bytes, in order and over many connections. */
import { S3 } from "@aws-sdk/client-s3";

import { partitionOf } from "../contract/aws";
import { recordKey, signatureKey } from "../contract/keys";
import { type ExportRecord, parseRecord } from "../contract/record";
import { parseLocation, versionOf } from "../exporter/destination/destination";
import { call, regionOf } from "./aws";
import type { Context } from "./context";
import { codeOf, Failure, isDenied, printNote, statusOf, usageFailure } from "./failure";
import { findOutputs, type StackOptions } from "./stack";

export interface ObjectPlace {
    readonly bucket: string;
    readonly key: string;
    /** By default the environment's. */
    readonly region?: string | undefined;
    /** By default the newest. */
    readonly versionId?: string | null;
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

/** What a KEY means: an `s3://` URI, or a key in the bucket of the stack. */
async function findPlace(given: string, options: StackOptions, context: Context): Promise<ObjectPlace> {
    if (given.startsWith("s3:")) return parsePlace(given);
    const { artifactBucketName, stateMachineArn } = await findOutputs(options, context);
    return { ...parsePlace(`s3://${artifactBucketName}/${given}`), region: regionOf(stateMachineArn) };
}

export function parsePlace(uri: string): ObjectPlace {
    const place = parseLocation(uri);
    if (place.bucket !== null) return place;
    throw usageFailure(`"${uri}" is not s3://BUCKET/KEY.`);
}

/** A record as it is stored, and its signature. */
export interface StoredRecord {
    readonly record: ExportRecord;
    /** What is signed. */
    readonly bytes: Uint8Array;
    /** Undefined where none is beside the record. */
    readonly signature: Uint8Array | undefined;
}

/**
 * Reads a record, and where it says that it is signed, its signature.
 *
 * @param read Gives what is beside the archive at this key, or in this file; undefined where nothing is.
 * @param nameOf Names that for people.
 * @returns undefined where there is no record
 * @throws Failure where it is none
 */
export async function readStoredRecord(
    archive: string,
    read: (name: string) => Promise<Uint8Array | undefined>,
    nameOf = (name: string) => name,
): Promise<StoredRecord | undefined> {
    const bytes = await read(recordKey(archive));
    if (bytes === undefined) return undefined;
    const record = readRecord(Buffer.from(bytes).toString(), nameOf(recordKey(archive)));
    const signature = record.signingKeyArn === null ? undefined : await read(signatureKey(archive));
    return { record, bytes, signature };
}

function readRecord(text: string, from: string): ExportRecord {
    const read = parseRecord(text);
    if ("record" in read) return read.record;
    throw new Failure(`The export record ${from} ${read.problem}.`, {
        next: "Export the image to this key again, or use the version of this command line that wrote the record.",
    });
}

/**
 * What is at a key, and the record beside it; undefined where there is none.
 *
 * @throws Failure when nothing is at the key
 */
export async function findNewest(context: Context, place: ObjectPlace) {
    const [stored, object] = await Promise.all([
        readStoredRecord(place.key, fetchFrom(context, place), (key) => uriOf({ ...place, key })),
        headObject(context, place),
    ]);
    if (object === undefined) throw nothingAt(place);
    return { stored, object };
}

/** Gives the bytes of what is at a key beside an object; undefined where nothing is. */
function fetchFrom(context: Context, place: ObjectPlace) {
    return (key: string) =>
        ask({ ...place, key }, context, async (s3, asked) => {
            const { Body } = await s3.getObject(asked);
            return Body?.transformToByteArray();
        });
}

/** The archive that a delta needs. Where its record may not be read, or is that of another export by now, its SHA-256 is all. */
export interface Base {
    readonly sha256: string;
    readonly key?: string;
    readonly versionId?: string | null;
    /** Whether that version is gone; undefined where it may not be looked at. */
    readonly expired?: boolean | undefined;
}

/** Finds the base of the delta at a place by its record, and looks whether it is still there. */
export async function findBase(context: Context, delta: ObjectPlace, sha256: string): Promise<Base> {
    const bytes = await unlessDenied(fetchFrom(context, delta)(recordKey(delta.key)));
    const read = parseRecord(Buffer.from(bytes ?? []).toString());
    const since = "record" in read ? read.record.since : null;
    if (since?.sha256 !== sha256) return { sha256 };
    const { key, versionId } = since;
    const found = headObject(context, { ...delta, key, versionId }).then((head) => head === undefined);
    return { sha256, key, versionId, expired: await unlessDenied(found) };
}

async function unlessDenied<T>(answer: Promise<T>): Promise<T | undefined> {
    return answer.catch((error: unknown) => {
        if (isDenied(error)) return undefined;
        throw error;
    });
}

async function headObject(context: Context, place: ObjectPlace): Promise<ObjectVersion | undefined> {
    return ask(place, context, async (s3, asked) => {
        const head = await s3.headObject(asked);
        return { ...place, versionId: versionOf(head), eTag: head.ETag ?? "", sizeBytes: head.ContentLength ?? 0 };
    });
}

function nothingAt(place: ObjectPlace): Failure {
    return new Failure(`There is nothing at ${uriOf(place)}.`, {
        code: "NoSuchKey",
        next: "`image-export list` shows the exports; the output of each names its key.",
    });
}

/** An archive with its record. */
export interface RecordedArchive extends StoredRecord {
    readonly object: ObjectVersion;
}

/**
 * Finds the archive that the record at a KEY describes; says so where something newer is at the key.
 *
 * @throws Failure when there is none
 */
export async function findArchive(given: string, options: StackOptions, context: Context): Promise<RecordedArchive> {
    const place = await findPlace(given, options, context);
    const { stored, object: newest } = await findNewest(context, place);
    if (stored === undefined) {
        throw new Failure(`${uriOf(place)} has no record, so it cannot be verified.`, {
            next: "If its export is still running, the record comes at the end. Otherwise export the image to this key again.",
        });
    }
    const { versionId, sizeBytes } = stored.record.archive;
    const isReplaced = versionId !== newest.versionId;
    const object = isReplaced && versionId !== null ? await headObject(context, { ...place, versionId }) : newest;
    const described = `version ${String(versionId)}`;
    if (object?.sizeBytes !== sizeBytes) {
        throw new Failure(`${uriOf(place)} is not what its record describes: ${described} of ${sizeBytes} bytes.`, {
            next: "If an export to this key is running, wait for its end. Otherwise export the image to this key again.",
        });
    }
    if (isReplaced) {
        const note = `Something newer without a record is at the key. Using ${described}, which the record describes.`;
        printNote(context.stderr, note);
    }
    return { ...stored, object };
}

/** Ranges of an object that are read at a time. */
export const rangesAtATime = 8;

/**
 * The bytes of an object in their order, while ranges further on are being read: one connection to S3 is slower than most
 * networks. Needs memory for {@link rangesAtATime} parts. A range that breaks off is read on from there.
 *
 * @param partBytes By default as many as the AWS CLI asks for.
 */
export async function* readInOrder(
    context: Context,
    object: ObjectVersion,
    from = 0,
    partBytes = 8 * 1024 * 1024,
): AsyncGenerator<Buffer> {
    const left = new AbortController();
    const signal = AbortSignal.any([context.signal, left.signal]);
    const ahead: Promise<Buffer>[] = [];
    let next = from;
    try {
        for (;;) {
            while (ahead.length < rangesAtATime && next < object.sizeBytes) {
                const length = Math.min(partBytes, object.sizeBytes - next);
                const part = readPart({ ...context, signal }, object, next, length);
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

async function readPart(context: Context, object: ObjectVersion, offset: number, length: number): Promise<Buffer> {
    const part = Buffer.allocUnsafe(length);
    let filled = 0;
    const isRead = await ask(object, context, async (s3, asked) => {
        const range = { IfMatch: object.eTag, Range: `bytes=${offset + filled}-${offset + length - 1}` };
        const { Body } = await s3.getObject({ ...asked, ...range }, { abortSignal: context.signal });
        for await (const chunk of Body as AsyncIterable<Uint8Array>) {
            part.set(chunk.subarray(0, length - filled), filled);
            filled += Math.min(chunk.length, length - filled);
        }
        // An error that passes.
        if (filled < length) throw Object.assign(new Error("the answer was cut off"), { name: "TimeoutError" });
        return true;
    });
    if (isRead === undefined) throw nothingAt(object);
    return part;
}

/** What is asked of S3, in its words. */
export function asS3Names({ bucket, key, versionId }: ObjectPlace) {
    return { Bucket: bucket, Key: key, VersionId: versionId ?? undefined };
}

/**
 * Calls S3 about an object.
 *
 * @returns undefined where there is no such object
 */
async function ask<T>(
    place: ObjectPlace,
    context: Context,
    action: (s3: S3, asked: ReturnType<typeof asS3Names>) => Promise<T>,
): Promise<T | undefined> {
    const { bucket, key, region } = place;
    const partition = partitionOf(region ?? context.env["AWS_REGION"] ?? "") ?? "aws";
    const arn = `arn:${partition}:s3:::${bucket}/${key}`;
    const unlessMissing = async (s3: S3) =>
        action(s3, asS3Names(place)).catch(async (error: unknown) => {
            const isGone = statusOf(error) === 404 && codeOf(error) !== "NoSuchBucket";
            if (isGone || (isDenied(error) && (await isMissing(s3, place)))) return undefined;
            throw error;
        });
    return call(context, S3, arn, unlessMissing, region);
}

/**
 * Whether a listing shows that there is no such object. S3 refuses to read what does not exist, instead of saying so, to
 * whoever may list only what is under a prefix: docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
async function isMissing(s3: S3, { bucket, key }: ObjectPlace): Promise<boolean> {
    // The key itself is the first of all that begin with it.
    return s3.listObjectsV2({ Bucket: bucket, Prefix: key, MaxKeys: 1 }).then(
        ({ Contents }) => Contents?.[0]?.Key !== key,
        () => false, // that reading was refused is what counts
    );
}
