import {
    AbortMultipartUploadCommand,
    CompleteMultipartUploadCommand,
    CreateMultipartUploadCommand,
    DeleteObjectCommand,
    GetObjectCommand,
    HeadObjectCommand,
    ListMultipartUploadsCommand,
    PutObjectCommand,
    type S3Client,
    UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32Base64, crc32Of } from "./crc32";
import {
    type ArchiveMetadata,
    type ArchiveOutline,
    type ArchiveWriter,
    type Destination,
    type FoundExport,
    recordNameOf,
} from "./destination";
import type { ExportRecord } from "./record";
import { parseRecord, recordText } from "./record";
import { retry, type RetryPolicy } from "./retry";
import { isNamed, s3Error, statusOf } from "./s3Client";

/** An object and how to write it. */
export interface S3DestinationOptions {
    client: S3Client;
    bucket: string;
    key: string;
    retryPolicy: RetryPolicy;
    /** Stops writing; what has to be cleaned up after that is cleaned up all the same. */
    signal: AbortSignal;
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
 * it afterwards would copy the object; there the hash is in the record, which is written before the object appears.
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
    action: (attempt: number) => Promise<T>,
): Promise<T> {
    const name = `${what} ${uriOf(options)}`;
    return retry(name, options.retryPolicy, signal, async (number) => {
        try {
            return await action(number);
        } catch (error) {
            signal?.throwIfAborted();
            throw s3Error(error, name);
        }
    });
}

/** Archive and record are asked for at once: looking costs one round trip. */
async function find(options: S3DestinationOptions): Promise<FoundExport | undefined> {
    const [head, record] = await Promise.all([headArchive(options), readRecord(options)]);
    const agree =
        head?.metadata.imageDigest === record?.imageDigest &&
        head?.metadata.platform === record?.platform &&
        head?.sizeBytes === record?.archive.sizeBytes;
    return head && record && agree ? { record, versionId: head.versionId } : undefined;
}

interface ArchiveHead {
    metadata: Partial<ArchiveMetadata>;
    sizeBytes: number | undefined;
    crc32: string | undefined;
    versionId: string | undefined;
}

/** What is at the key; undefined for nothing, and for a caller who may not know (403 without s3:ListBucket). */
async function headArchive(
    options: S3DestinationOptions,
    signal = options.signal,
): Promise<ArchiveHead | undefined> {
    const { client, bucket, key } = options;
    return attempt(options, "looking at", signal, async () => {
        try {
            const command = new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" });
            const head = await client.send(command, { abortSignal: signal });
            const { "image-digest": imageDigest, platform } = head.Metadata ?? {};
            return {
                metadata: { ...(imageDigest && { imageDigest }), ...(platform && { platform }) },
                sizeBytes: head.ContentLength,
                crc32: head.ChecksumCRC32,
                versionId: head.VersionId,
            };
        } catch (error) {
            assertMissing(error);
            return undefined;
        }
    });
}

async function readRecord(
    options: S3DestinationOptions,
    signal = options.signal,
): Promise<ExportRecord | undefined> {
    const { client, bucket, key } = options;
    return attempt(options, "reading the record of", signal, async () => {
        try {
            const command = new GetObjectCommand({ Bucket: bucket, Key: recordNameOf(key) });
            const { Body } = await client.send(command, { abortSignal: signal });
            return parseRecord((await Body?.transformToString()) ?? "");
        } catch (error) {
            assertMissing(error);
            return undefined;
        }
    });
}

function assertMissing(error: unknown): void {
    const status = statusOf(error);
    if (status !== 404 && status !== 403) {
        throw error;
    }
}

function metadataHeaders({ imageDigest, platform }: ArchiveMetadata): Record<string, string> {
    return { "image-digest": imageDigest, platform };
}

/** An archive of one part: kept until its hash is known, then put with it. */
function beginSingle(options: S3DestinationOptions, { metadata }: ArchiveOutline): Promise<ArchiveWriter> {
    const { client, bucket, key } = options;
    let content = new Uint8Array();

    async function commit(record: ExportRecord, crc32: number): Promise<{ versionId?: string | undefined }> {
        const checksum = crc32Base64(crc32);
        return withRecord(options, record, checksum, () =>
            attempt(options, "writing", undefined, async () => {
                const command = new PutObjectCommand({
                    Bucket: bucket,
                    Key: key,
                    Body: content,
                    ContentLength: content.length,
                    ContentType: archiveType,
                    ChecksumCRC32: checksum,
                    Metadata: { ...metadataHeaders(metadata), "archive-sha256": record.archive.sha256 },
                });
                const { VersionId } = await client.send(command);
                return { versionId: VersionId };
            }),
        );
    }
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

    async function complete(crc32: string, sizeBytes: number): Promise<{ versionId?: string | undefined }> {
        // From here on a signal no longer stops the export: every part is written and verified.
        return attempt(options, "completing", undefined, async () => {
            const { VersionId } = await client.send(
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
            return { versionId: VersionId };
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
        commit: async (record, crc32) => {
            const checksum = crc32Base64(crc32);
            const written = await withRecord(options, record, checksum, () =>
                complete(checksum, record.archive.sizeBytes),
            );
            if (written.isFound) {
                await abortUpload(options, uploadId); // there is none, unless what was found is older
            }
            return written;
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
            if (statusOf(error) === undefined) {
                await abortStrayUploads(options, sentAt);
            }
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
        const { Uploads = [] } = await attempt(options, "listing uploads of", undefined, () =>
            client.send(command),
        );
        const strays = Uploads.filter(
            ({ Key, Initiated }) => Key === key && (Initiated?.getTime() ?? 0) >= sinceMs - clockToleranceMs,
        );
        for (const { UploadId = "" } of strays) {
            await abortUpload(options, UploadId);
        }
    } catch {
        // The export's own failure is what counts.
    }
}

async function abortUpload(options: S3DestinationOptions, uploadId: string): Promise<void> {
    const { client, bucket, key } = options;
    await attempt(options, "aborting the upload of", undefined, async () => {
        try {
            await client.send(
                new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }),
            );
        } catch (error) {
            if (!isNamed(error, "NoSuchUpload")) {
                throw error;
            }
        }
    });
}

interface WrittenArchive {
    versionId?: string | undefined;
    /** Whether the archive was found at the key after writing it had seemed to fail. */
    isFound?: true;
}

/**
 * Writes the record, then makes the archive visible: whoever sees the archive finds its record. Should the archive
 * fail to appear, the record that was there before is put back, or, where there was none, the new one is deleted; that
 * needs s3:DeleteObjectVersion, which the pipeline's build does not have. A record that stays behind without an archive
 * does no harm.
 */
async function withRecord(
    options: S3DestinationOptions,
    record: ExportRecord,
    crc32: string,
    makeVisible: () => Promise<WrittenArchive>,
): Promise<WrittenArchive> {
    const { client, bucket, key, signal } = options;
    const body = Buffer.from(recordText(record));
    const content = {
        Body: body,
        ContentType: "application/json",
        ChecksumCRC32: crc32Base64(crc32Of(body)),
    };
    const command = new PutObjectCommand({ Bucket: bucket, Key: recordNameOf(key), ...content });
    const before = await readRecord(options);
    let recordVersion: string | undefined;
    try {
        const { VersionId } = await attempt(options, "writing the record of", signal, () =>
            client.send(command),
        );
        recordVersion = VersionId;
        return await makeVisible();
    } catch (error) {
        const found = await findWritten(options, record, crc32).catch(() => undefined);
        if (found) {
            return found;
        }
        await takeBackRecord(options, record, recordVersion, before).catch(() => undefined);
        throw error;
    }
}

/** The archive at the key, if it and its record are these: then only the answers to writing them were lost. */
async function findWritten(
    options: S3DestinationOptions,
    record: ExportRecord,
    crc32: string,
): Promise<WrittenArchive | undefined> {
    const head = await headArchive(options, never);
    const isThis = head?.crc32 === crc32 && head.metadata.imageDigest === record.imageDigest;
    return isThis && (await isRecordThere(options, record))
        ? { versionId: head.versionId, isFound: true }
        : undefined;
}

async function takeBackRecord(
    options: S3DestinationOptions,
    record: ExportRecord,
    versionId: string | undefined,
    before: ExportRecord | undefined,
): Promise<void> {
    const { client, bucket, key } = options;
    if (!(await isRecordThere(options, record))) {
        return;
    }
    const object = { Bucket: bucket, Key: recordNameOf(key) };
    await attempt(options, "taking back the record of", undefined, async () => {
        if (before === undefined) {
            await client.send(new DeleteObjectCommand({ ...object, VersionId: versionId }));
        } else {
            const Body = recordText(before);
            await client.send(new PutObjectCommand({ ...object, Body, ContentType: "application/json" }));
        }
    });
}

/** Whether the record at the key is this very one, and not that of another export. */
async function isRecordThere(options: S3DestinationOptions, record: ExportRecord): Promise<boolean> {
    const there = await readRecord(options, never);
    return there !== undefined && recordText(there) === recordText(record);
}
