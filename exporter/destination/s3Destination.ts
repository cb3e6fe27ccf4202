import { crc32 } from "node:zlib";
import {
    AbortMultipartUploadCommand,
    CompleteMultipartUploadCommand,
    CreateMultipartUploadCommand,
    GetObjectCommand,
    HeadObjectCommand,
    ListMultipartUploadsCommand,
    PutObjectCommand,
    UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32Base64 } from "../archive/crc32";
import type { Part } from "../archive/parts";
import type { ArchiveWriter, Destination } from "./destination";
import { recordKey } from "../../contract/keys";
import { asExportError, ExportError, messageOf } from "../../contract/errors";
import { type ExportRecord, parseRecord, recordMetadata, recordText } from "../../contract/record";
import { retry, type RetryPolicy } from "../network/retry";
import { createS3Client, isNamed, s3Error, statusOf } from "./s3Client";

/** An object and how to write it. */
export interface S3DestinationOptions {
    readonly bucket: string;
    readonly key: string;
    readonly env: NodeJS.ProcessEnv;
    /** Connections at a time. */
    readonly concurrency: number;
    readonly retryPolicy: RetryPolicy;
    /** A connection without a byte for so long is stalled and given up. */
    readonly idleTimeoutMs: number;
    /** Stops writing; what has to be cleaned up after that is cleaned up all the same. */
    readonly signal: AbortSignal;
}

/** Which archive an object is: by its version, or in a bucket without versions by its ETag. */
interface ArchiveIdentity {
    readonly versionId: string | null;
    readonly eTag: string | undefined;
}

function identityOf(answer: { VersionId?: string | undefined; ETag?: string | undefined }): ArchiveIdentity {
    return { versionId: answer.VersionId ?? null, eTag: answer.ETag };
}

type Metadata = Readonly<Record<string, string>>;

const archiveType = "application/x-tar";
/** Every turn is lost to a racing export that has got on by one: nobody loses this often. */
const recordTurns = 50;
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
    const { bucket, key, retryPolicy, signal } = options;
    const client = createS3Client(options.env, options.concurrency, options.idleTimeoutMs);
    const uri = `s3://${bucket}/${key}`;
    const archiveObject = { Bucket: bucket, Key: key };
    const recordObject = { Bucket: bucket, Key: recordKey(key) };

    /** Archive and record are asked for at once: looking costs one round trip. */
    async function find(): Promise<ExportRecord | undefined> {
        const [head, found] = await Promise.all([headArchive(signal), readRecord(signal)]);
        const record = found?.record;
        const agree =
            head?.versionId === record?.archive.versionId &&
            head?.sizeBytes === record?.archive.sizeBytes &&
            head?.imageDigest === record?.imageDigest &&
            head?.platform === record?.platform;
        return agree ? record : undefined;
    }

    /** Runs one S3 operation until it succeeds or fails for good. */
    function attempt<T>(what: string, signal: AbortSignal, action: () => Promise<T>): Promise<T> {
        const name = `${what} ${uri}`;
        return retry(name, retryPolicy, signal, async () => {
            try {
                return await action();
            } catch (error) {
                signal.throwIfAborted();
                throw s3Error(error, name);
            }
        });
    }

    /** {@link attempt} of a look; undefined for nothing there, and for a caller who may not know (403 without s3:ListBucket). */
    function look<T>(what: string, signal: AbortSignal, action: () => Promise<T>): Promise<T | undefined> {
        return attempt(what, signal, async () => {
            try {
                return await action();
            } catch (error) {
                if ([403, 404].includes(statusOf(error) ?? 0)) return undefined;
                throw error;
            }
        });
    }

    /** What is at the key. */
    function headArchive(signal: AbortSignal) {
        return look("looking at", signal, async () => {
            const command = new HeadObjectCommand({ ...archiveObject, ChecksumMode: "ENABLED" });
            const head = await client.send(command, { abortSignal: signal });
            return {
                ...identityOf(head),
                imageDigest: head.Metadata?.["image-digest"],
                platform: head.Metadata?.["platform"],
                sizeBytes: head.ContentLength,
                crc32: head.ChecksumCRC32,
            };
        });
    }

    /** The record that is there, undefined when it is none, and its ETag. */
    function readRecord(signal: AbortSignal) {
        return look("reading the record of", signal, async () => {
            const { Body, ETag } = await client.send(new GetObjectCommand(recordObject), { abortSignal: signal });
            const read = parseRecord((await Body?.transformToString()) ?? "");
            return { record: "record" in read ? read.record : undefined, eTag: ETag };
        });
    }

    /** An archive of one part: kept until its hash is known, then put with it. */
    function beginSingle(metadata: Metadata): ArchiveWriter {
        let content = new Uint8Array();
        const abort = (): Promise<void> => Promise.resolve();
        return {
            write: (_part, bytes) => {
                content = Uint8Array.from(bytes);
                return Promise.resolve();
            },
            commit: (describe, crc) => {
                const checksum = crc32Base64(crc);
                const put = async (): Promise<ArchiveIdentity> => {
                    const command = new PutObjectCommand({
                        ...archiveObject,
                        Body: content,
                        ContentLength: content.length,
                        ContentType: archiveType,
                        ChecksumCRC32: checksum,
                        Metadata: { ...metadata, "archive-sha256": describe(null).archive.sha256 },
                    });
                    return identityOf(await client.send(command));
                };
                return commit("writing", describe, checksum, put, abort);
            },
            abort,
        };
    }

    async function beginMultipart(parts: readonly Part[], metadata: Metadata): Promise<ArchiveWriter> {
        const uploadId = await createUpload(metadata);
        const upload = { ...archiveObject, UploadId: uploadId };
        const written = new Map<number, { ETag: string | undefined; ChecksumCRC32: string }>();
        const abort = (): Promise<void> => abortUpload(uploadId);
        return {
            write: async ({ number: PartNumber }, bytes, crc) => {
                const ChecksumCRC32 = crc32Base64(crc);
                await attempt(`part ${PartNumber} of`, signal, async () => {
                    const body = { Body: bytes, ContentLength: bytes.length };
                    const command = new UploadPartCommand({ ...upload, ...body, PartNumber, ChecksumCRC32 });
                    const { ETag } = await client.send(command, { abortSignal: signal });
                    written.set(PartNumber, { ETag, ChecksumCRC32 });
                });
            },
            commit: (describe, crc) => {
                const checksum = crc32Base64(crc);
                const complete = async (): Promise<ArchiveIdentity> => {
                    const command = new CompleteMultipartUploadCommand({
                        ...upload,
                        ChecksumCRC32: checksum,
                        ChecksumType: "FULL_OBJECT",
                        MpuObjectSize: describe(null).archive.sizeBytes,
                        MultipartUpload: {
                            Parts: parts.map(({ number }) => ({ PartNumber: number, ...written.get(number) })),
                        },
                    });
                    return identityOf(await client.send(command));
                };
                return commit("completing", describe, checksum, complete, abort);
            },
            abort,
        };
    }

    function createUpload(metadata: Metadata): Promise<string> {
        return attempt("beginning", signal, async () => {
            const sentAt = Date.now();
            const command = new CreateMultipartUploadCommand({
                ...archiveObject,
                ContentType: archiveType,
                ChecksumAlgorithm: "CRC32",
                ChecksumType: "FULL_OBJECT",
                Metadata: metadata,
            });
            try {
                const { UploadId } = await client.send(command, { abortSignal: signal });
                return UploadId ?? "";
            } catch (error) {
                if (statusOf(error) === undefined) await abortStrayUploads(sentAt);
                throw error;
            }
        });
    }

    /**
     * Aborts uploads of this very key that were begun since a time: the answer to "create an upload" may have been lost
     * after S3 had created one. Needs s3:ListBucketMultipartUploads; without it the bucket's lifecycle rule removes them.
     */
    async function abortStrayUploads(sinceMs: number): Promise<void> {
        const clockToleranceMs = 2_000;
        try {
            const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key });
            const { Uploads = [] } = await attempt("listing uploads of", never, () => client.send(command));
            const strays = Uploads.filter(
                ({ Key, Initiated }) => Key === key && (Initiated?.getTime() ?? 0) >= sinceMs - clockToleranceMs,
            );
            for (const { UploadId = "" } of strays) await abortUpload(UploadId);
        } catch {
            // The export's own failure is what counts.
        }
    }

    async function abortUpload(uploadId: string): Promise<void> {
        await attempt("aborting the upload of", never, async () => {
            try {
                await client.send(new AbortMultipartUploadCommand({ ...archiveObject, UploadId: uploadId }));
            } catch (error) {
                if (!isNamed(error, "NoSuchUpload")) throw error;
            }
        });
    }

    /**
     * Writes the archive's object, then its record. Should only the answers to the first be lost, the archive is found at the key.
     * A signal no longer stops the export: every part is written and verified.
     */
    async function commit(
        what: string,
        describe: (versionId: string | null) => ExportRecord,
        checksum: string,
        write: () => Promise<ArchiveIdentity>,
        abort: () => Promise<void>,
    ): Promise<ExportRecord | undefined> {
        const identity = await attempt(what, never, write).catch(async (error: unknown) => {
            const head = await headArchive(never).catch(() => undefined);
            if (head?.crc32 !== checksum || head.imageDigest !== describe(null).imageDigest) throw error;
            // There is no upload, unless what was found is older; and what counts is the archive.
            await abort().catch(() => undefined);
            return head;
        });
        return writeRecord(describe(identity.versionId), identity);
    }

    /**
     * Writes the record of the archive that is at the key. The condition on the record's ETag, taken before looking at the
     * archive, keeps it from replacing the record of an archive that came later.
     *
     * @returns the record; undefined when the archive is no longer at the key, and its successor's record is due
     */
    async function writeRecord(
        record: ExportRecord,
        { versionId, eTag }: ArchiveIdentity,
    ): Promise<ExportRecord | undefined> {
        const isSame = (there: { record: ExportRecord | undefined } | undefined): boolean =>
            there?.record !== undefined && recordText(there.record) === recordText(record);
        try {
            for (let turn = 1; turn <= recordTurns; turn++) {
                const there = await readRecord(never);
                // Written before, by an attempt whose answer was lost.
                if (isSame(there)) return record;
                const head = await headArchive(never);
                if (head === undefined) {
                    throw new ExportError("AccessDenied", "it cannot be seen. The caller needs s3:GetObject there.");
                }
                if (head.versionId !== versionId || head.eTag !== eTag) return undefined;
                const isWritten = await putRecord(record, there?.eTag).catch(async (error: unknown) => {
                    if (isSame(await readRecord(never).catch(() => undefined))) return true;
                    throw error;
                });
                if (isWritten) return record;
            }
            throw new ExportError("ExportFailed", `lost ${recordTurns} times to other exports`);
        } catch (error) {
            const { name } = asExportError(error);
            const message = `The archive ${uri} is complete, but its record could not be written: ${messageOf(error)}`;
            throw new ExportError(name, message, error);
        }
    }

    /** Writes the record if the one that is there still has this ETag, or if none is there; tells whether it has. */
    function putRecord(record: ExportRecord, eTag: string | undefined): Promise<boolean> {
        const body = Buffer.from(recordText(record));
        return attempt("writing the record of", never, async () => {
            const command = new PutObjectCommand({
                ...recordObject,
                Body: body,
                ContentType: "application/json",
                ChecksumCRC32: crc32Base64(crc32(body)),
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

    return {
        find,
        begin: async (parts, { imageDigest, platform }) => {
            const metadata = { "image-digest": imageDigest, platform };
            return parts.length > 1 ? beginMultipart(parts, metadata) : beginSingle(metadata);
        },
        close: () => {
            client.destroy();
        },
    };
}
