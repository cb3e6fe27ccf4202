import {
    AbortMultipartUploadCommand,
    CompleteMultipartUploadCommand,
    CreateMultipartUploadCommand,
    GetObjectCommand,
    HeadObjectCommand,
    ListMultipartUploadsCommand,
    PutObjectCommand,
    type S3Client,
    UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32Base64, crc32Of } from "../archive/crc32";
import type { ArchiveMetadata, ArchiveOutline, ArchiveWriter, Destination } from "./destination";
import { recordKey } from "../../contract/keys";
import { asExportError, ExportError, messageOf } from "../../contract/errors";
import { type ExportRecord, parseRecord, recordMetadata, recordText } from "../../contract/record";
import { retry, type RetryPolicy } from "../network/retry";
import { isNamed, s3Error, statusOf } from "./s3Client";

/** An object and how to write it. */
export interface S3DestinationOptions {
    readonly client: S3Client;
    readonly bucket: string;
    readonly key: string;
    readonly retryPolicy: RetryPolicy;
    /** Stops writing; what has to be cleaned up after that is cleaned up all the same. */
    readonly signal: AbortSignal;
}

const archiveType = "application/x-tar";
/** For what has to be done after an abort as well. */
const never = new AbortController().signal;

/**
 * An object and its record. An archive of more than one part is a multipart upload with a full-object CRC-32, so S3
 * itself refuses to complete an object that is not the archive.
 *
 * `image-digest` and `platform` are in the object's metadata. `archive-sha256` is there too for an archive of one
 * part. For a larger one S3 takes metadata only when the upload is created, before the hash is known, and changing
 * it afterwards would copy the object; there the hash is in the record and in the metadata of the record's object.
 *
 * S3 has no transaction over two objects. The archive is written first, then the record, which names the archive's
 * version: so whoever reads both can tell whether they belong together, and the exports that race for a key settle
 * which record stays (docs/decisions/0010-one-archive-one-record.md).
 */
export function s3Destination(options: S3DestinationOptions): Destination {
    return {
        find: () => find(options),
        begin: (outline) =>
            outline.parts.length > 1 ? beginMultipart(options, outline) : beginSingle(options, outline),
        close: () => {
            options.client.destroy();
        },
    };
}

function uriOf({ bucket, key }: S3DestinationOptions): string {
    return `s3://${bucket}/${key}`;
}

/** Runs one S3 operation until it succeeds or fails for good. */
function attempt<T>(
    options: S3DestinationOptions,
    what: string,
    signal: AbortSignal | undefined,
    action: () => Promise<T>,
): Promise<T> {
    const name = `${what} ${uriOf(options)}`;
    return retry(name, options.retryPolicy, signal, async () => {
        try {
            return await action();
        } catch (error) {
            signal?.throwIfAborted();
            throw s3Error(error, name);
        }
    });
}

/** Archive and record are asked for at once: looking costs one round trip. */
async function find(options: S3DestinationOptions): Promise<ExportRecord | undefined> {
    const [head, found] = await Promise.all([headArchive(options), readRecord(options)]);
    const record = found?.record;
    const agree =
        head?.versionId === record?.archive.versionId &&
        head?.sizeBytes === record?.archive.sizeBytes &&
        head?.metadata.imageDigest === record?.imageDigest &&
        head?.metadata.platform === record?.platform;
    return agree ? record : undefined;
}

/** {@link attempt} of a look; undefined for nothing there, and for a caller who may not know (403 without s3:ListBucket). */
function look<T>(
    options: S3DestinationOptions,
    what: string,
    signal: AbortSignal,
    action: () => Promise<T>,
): Promise<T | undefined> {
    return attempt(options, what, signal, async () => {
        try {
            return await action();
        } catch (error) {
            if ([403, 404].includes(statusOf(error) ?? 0)) return undefined;
            throw error;
        }
    });
}

interface ArchiveHead extends ArchiveIdentity {
    readonly metadata: Partial<ArchiveMetadata>;
    readonly sizeBytes: number | undefined;
    readonly crc32: string | undefined;
}

/** What is at the key. */
async function headArchive(options: S3DestinationOptions, signal = options.signal): Promise<ArchiveHead | undefined> {
    const { client, bucket, key } = options;
    return look(options, "looking at", signal, async () => {
        const command = new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" });
        const head = await client.send(command, { abortSignal: signal });
        const { "image-digest": imageDigest, platform } = head.Metadata ?? {};
        return {
            metadata: { ...(imageDigest && { imageDigest }), ...(platform && { platform }) },
            sizeBytes: head.ContentLength,
            crc32: head.ChecksumCRC32,
            ...identityOf(head),
        };
    });
}

/** Which archive an object is: by its version, or in a bucket without versions by its ETag. */
interface ArchiveIdentity {
    readonly versionId: string | null;
    readonly eTag: string | undefined;
}

function identityOf(answer: { VersionId?: string | undefined; ETag?: string | undefined }): ArchiveIdentity {
    return { versionId: answer.VersionId ?? null, eTag: answer.ETag };
}

interface StoredRecord {
    /** Undefined when what is there is no record. */
    readonly record: ExportRecord | undefined;
    readonly eTag: string | undefined;
}

async function readRecord(options: S3DestinationOptions, signal = options.signal): Promise<StoredRecord | undefined> {
    const { client, bucket, key } = options;
    return look(options, "reading the record of", signal, async () => {
        const command = new GetObjectCommand({ Bucket: bucket, Key: recordKey(key) });
        const { Body, ETag } = await client.send(command, { abortSignal: signal });
        const read = parseRecord((await Body?.transformToString()) ?? "");
        return { record: "record" in read ? read.record : undefined, eTag: ETag };
    });
}

function metadataHeaders({ imageDigest, platform }: ArchiveMetadata): Record<string, string> {
    return { "image-digest": imageDigest, platform };
}

/** An archive of one part: kept until its hash is known, then put with it. */
function beginSingle(options: S3DestinationOptions, { metadata }: ArchiveOutline): Promise<ArchiveWriter> {
    const { client, bucket, key } = options;
    let content = new Uint8Array();

    const commit: ArchiveWriter["commit"] = async (describe, crc32) => {
        const checksum = crc32Base64(crc32);
        const { sha256 } = describe(null).archive;
        const put = () =>
            attempt(options, "writing", undefined, async () => {
                const command = new PutObjectCommand({
                    Bucket: bucket,
                    Key: key,
                    Body: content,
                    ContentLength: content.length,
                    ContentType: archiveType,
                    ChecksumCRC32: checksum,
                    Metadata: { ...metadataHeaders(metadata), "archive-sha256": sha256 },
                });
                return identityOf(await client.send(command));
            });
        const { identity } = await makeVisible(options, metadata, checksum, put);
        return writeRecord(options, describe(identity.versionId), identity);
    };
    const writer: ArchiveWriter = {
        write: (_part, bytes) => {
            content = Uint8Array.from(bytes);
            return Promise.resolve();
        },
        commit,
        abort: () => Promise.resolve(),
    };
    return Promise.resolve(writer);
}

async function beginMultipart(
    options: S3DestinationOptions,
    { parts, metadata }: ArchiveOutline,
): Promise<ArchiveWriter> {
    const { client, bucket, key, signal } = options;
    const uploadId = await createUpload(options, metadata);
    const upload = { Bucket: bucket, Key: key, UploadId: uploadId };
    const written = new Map<number, { ETag: string | undefined; ChecksumCRC32: string }>();

    async function complete(crc32: string, sizeBytes: number): Promise<ArchiveIdentity> {
        // From here on a signal no longer stops the export: every part is written and verified.
        return attempt(options, "completing", undefined, async () => {
            const completed = await client.send(
                new CompleteMultipartUploadCommand({
                    ...upload,
                    ChecksumCRC32: crc32,
                    ChecksumType: "FULL_OBJECT",
                    MpuObjectSize: sizeBytes,
                    MultipartUpload: {
                        Parts: parts.map((part) => ({
                            PartNumber: part.number,
                            ...written.get(part.number),
                        })),
                    },
                }),
            );
            return identityOf(completed);
        });
    }

    return {
        async write(part, bytes, crc32) {
            const checksum = crc32Base64(crc32);
            await attempt(options, `part ${part.number} of`, signal, async () => {
                const { ETag } = await client.send(
                    new UploadPartCommand({
                        ...upload,
                        PartNumber: part.number,
                        Body: bytes,
                        ContentLength: bytes.length,
                        ChecksumCRC32: checksum,
                    }),
                    { abortSignal: signal },
                );
                written.set(part.number, { ETag, ChecksumCRC32: checksum });
            });
        },
        commit: async (describe, crc32) => {
            const checksum = crc32Base64(crc32);
            const { sizeBytes } = describe(null).archive;
            const { identity, isFound } = await makeVisible(options, metadata, checksum, () =>
                complete(checksum, sizeBytes),
            );
            if (isFound) {
                // There is none, unless what was found is older; and what counts is the archive.
                await abortUpload(options, uploadId).catch(() => undefined);
            }
            return writeRecord(options, describe(identity.versionId), identity);
        },
        abort: () => abortUpload(options, uploadId),
    };
}

async function createUpload(options: S3DestinationOptions, metadata: ArchiveMetadata): Promise<string> {
    const { client, bucket, key, signal } = options;
    return attempt(options, "beginning", signal, async () => {
        const sentAt = Date.now();
        const command = new CreateMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            ContentType: archiveType,
            ChecksumAlgorithm: "CRC32",
            ChecksumType: "FULL_OBJECT",
            Metadata: metadataHeaders(metadata),
        });
        try {
            const { UploadId } = await client.send(command, { abortSignal: signal });
            return UploadId ?? "";
        } catch (error) {
            if (statusOf(error) === undefined) await abortStrayUploads(options, sentAt);
            throw error;
        }
    });
}

/**
 * Aborts uploads of this very key that were begun since a time: the answer to "create an upload" may have been lost
 * after S3 had created one. Needs s3:ListBucketMultipartUploads; without it the bucket's lifecycle rule removes them.
 */
async function abortStrayUploads(options: S3DestinationOptions, sinceMs: number): Promise<void> {
    const { client, bucket, key } = options;
    const clockToleranceMs = 2_000;
    try {
        const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key });
        const { Uploads = [] } = await attempt(options, "listing uploads of", undefined, () => client.send(command));
        const strays = Uploads.filter(
            ({ Key, Initiated }) => Key === key && (Initiated?.getTime() ?? 0) >= sinceMs - clockToleranceMs,
        );
        for (const { UploadId = "" } of strays) await abortUpload(options, UploadId);
    } catch {
        // The export's own failure is what counts.
    }
}

async function abortUpload(options: S3DestinationOptions, uploadId: string): Promise<void> {
    const { client, bucket, key } = options;
    await attempt(options, "aborting the upload of", undefined, async () => {
        try {
            await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
        } catch (error) {
            if (!isNamed(error, "NoSuchUpload")) throw error;
        }
    });
}

/** Writes the archive's object. Should only the answers to that be lost, the archive is found at the key. */
async function makeVisible(
    options: S3DestinationOptions,
    metadata: ArchiveMetadata,
    crc32: string,
    write: () => Promise<ArchiveIdentity>,
): Promise<{ identity: ArchiveIdentity; isFound?: true }> {
    try {
        return { identity: await write() };
    } catch (error) {
        const head = await headArchive(options, never).catch(() => undefined);
        if (head?.crc32 === crc32 && head.metadata.imageDigest === metadata.imageDigest) {
            return { identity: head, isFound: true };
        }
        throw error;
    }
}

/** Every turn is lost to a racing export that has got on by one: nobody loses this often. */
const recordTurns = 50;

/**
 * Writes the record of the archive that is at the key. The condition on the record's ETag, taken before looking at the
 * archive, keeps it from replacing the record of an archive that came later.
 *
 * @returns the record; undefined when the archive is no longer at the key, and its successor's record is due
 */
async function writeRecord(
    options: S3DestinationOptions,
    record: ExportRecord,
    { versionId, eTag }: ArchiveIdentity,
): Promise<ExportRecord | undefined> {
    try {
        for (let turn = 1; turn <= recordTurns; turn++) {
            const there = await readRecord(options, never);
            if (there?.record && recordText(there.record) === recordText(record)) {
                return record; // written before, by an attempt whose answer was lost
            }
            const head = await headArchive(options, never);
            if (head === undefined) {
                throw new ExportError("AccessDenied", "it cannot be seen. The caller needs s3:GetObject there.");
            }
            if (head.versionId !== versionId || head.eTag !== eTag) return undefined;
            if (await putRecord(options, record, there?.eTag)) return record;
        }
        throw new ExportError("ExportFailed", `lost ${recordTurns} times to other exports`);
    } catch (error) {
        const { name } = asExportError(error);
        const message = `The archive ${uriOf(options)} is complete, but its record could not be written: ${messageOf(error)}`;
        throw new ExportError(name, message, error);
    }
}

/** Writes the record if the one that is there still has this ETag, or if none is there; tells whether it has. */
async function putRecord(
    options: S3DestinationOptions,
    record: ExportRecord,
    eTag: string | undefined,
): Promise<boolean> {
    const { client, bucket, key } = options;
    const body = Buffer.from(recordText(record));
    return attempt(options, "writing the record of", undefined, async () => {
        const command = new PutObjectCommand({
            Bucket: bucket,
            Key: recordKey(key),
            Body: body,
            ContentType: "application/json",
            ChecksumCRC32: crc32Base64(crc32Of(body)),
            Metadata: recordMetadata(record),
            ...(eTag === undefined ? { IfNoneMatch: "*" } : { IfMatch: eTag }),
        });
        try {
            await client.send(command);
            return true;
        } catch (error) {
            // docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: 412 for another ETag or for any, 404
            // for none, 409 for a write at the same time.
            if ([404, 409, 412].includes(statusOf(error) ?? 0)) return false;
            throw error;
        }
    });
}
