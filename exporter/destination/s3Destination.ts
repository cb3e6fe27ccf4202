import { crc32 } from "node:zlib";
import {
    AbortMultipartUploadCommand,
    CompleteMultipartUploadCommand,
    CreateMultipartUploadCommand,
    GetObjectCommand,
    HeadObjectCommand,
    type HeadObjectCommandOutput,
    ListMultipartUploadsCommand,
    ListObjectsV2Command,
    PutObjectCommand,
    type PutObjectCommandInput,
    UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32Base64 } from "../archive/crc32";
import type { Part } from "../archive/plan";
import { type ArchiveWriter, type Destination, versionOf } from "./destination";
import { isArtifactKey, recordKey, signatureKey } from "../../contract/keys";
import { asExportError, ExportError, messageOf } from "../../contract/errors";
import { archiveMetadata, type ExportRecord, parseRecord, recordMetadata, recordText } from "../../contract/record";
import type { NetworkOptions } from "../network/connect";
import { retry, type RetryPolicy } from "../network/retry";
import type { Signer } from "./kmsSigner";
import { createS3Client, sdkError, statusOf } from "./s3Client";

/** Which archive an object is: by its version, or in a bucket without versions by its ETag. */
type ArchiveIdentity = Pick<HeadObjectCommandOutput, "VersionId" | "ETag">;

/** Every turn is lost to a racing export that has got on by one: nobody loses this often. */
const recordTurns = 50;
/** Answers to a look at nothing: 403 to a caller who may not know, without s3:ListBucket. */
const missing = [403, 404];
/**
 * Answers to a conditional write: 412 for another ETag or for any, 404 for none, 409 for a write at the same time.
 * docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
const lost = [404, 409, 412];
/** For what has to be done after an abort as well. */
const never = new AbortController().signal;

function hasMetadata({ Metadata = {} }: HeadObjectCommandOutput, expected: Readonly<Record<string, string>>): boolean {
    return Object.entries(expected).every(([name, value]) => Metadata[name] === value);
}

/**
 * An object and its record. The archive is a multipart upload with a full-object CRC-32, so S3 itself refuses to complete an
 * object that is not the archive.
 *
 * What was exported is in the object's metadata. Its hash is in the record and in the metadata of the record's
 * object: S3 takes metadata when an upload is created, before the hash is known, and changing it later would copy the object.
 *
 * S3 has no transaction over two objects. The archive is written first, then the record, which names the archive's
 * version: so whoever reads both can tell whether they belong together, and the exports that race for a key settle
 * which record stays (docs/decisions/0010-one-archive-one-record.md).
 *
 * @param sign signs the record
 * @param options `signal` stops writing; what has to be cleaned up after that is cleaned up all the same
 */
export function s3Destination(
    bucket: string,
    key: string,
    options: NetworkOptions & { readonly retryPolicy: RetryPolicy },
    sign?: Signer,
): Destination {
    const { retryPolicy, signal } = options;
    const client = createS3Client(options);
    const uri = `s3://${bucket}/${key}`;
    const archiveObject = { Bucket: bucket, Key: key };
    const recordObject = { Bucket: bucket, Key: recordKey(key) };
    const signatureObject = { Bucket: bucket, Key: signatureKey(key) };

    /** Archive and record are asked for at once: looking costs one round trip. */
    async function find(): Promise<ExportRecord | undefined> {
        const [head, found] = await Promise.all([headArchive(signal), readRecord(signal)]);
        const record = found?.record;
        if (head === undefined || record === undefined) return undefined;
        const agree =
            versionOf(head) === record.archive.versionId &&
            head.ContentLength === record.archive.sizeBytes &&
            hasMetadata(head, archiveMetadata(record));
        return agree ? record : undefined;
    }

    async function expires(): Promise<string | undefined> {
        // docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, x-amz-expiration
        return /expiry-date="([^"]+)"/.exec((await headArchive(signal))?.Expiration ?? "")?.[1];
    }

    async function newest(): Promise<string[]> {
        const found: { readonly key: string; readonly time: number }[] = [];
        const folder = { Bucket: bucket, Prefix: key.slice(0, key.lastIndexOf("/") + 1), Delimiter: "/" };
        let token: string | undefined;
        do {
            const page = { ...folder, ...(token !== undefined && { ContinuationToken: token }) };
            const list = () => client.send(new ListObjectsV2Command(page), { abortSignal: signal });
            const { Contents = [], NextContinuationToken } = await attempt(
                "listing what is beside",
                signal,
                list,
                "s3:ListBucket",
            );
            found.push(
                ...Contents.map(({ Key = "", LastModified }) => ({ key: Key, time: LastModified?.getTime() ?? 0 })),
            );
            token = NextContinuationToken;
        } while (token !== undefined);
        const others = found.filter((each) => each.key !== key && isArtifactKey(each.key, ""));
        return others.sort((one, other) => other.time - one.time).map((each) => each.key);
    }

    /** Runs one S3 operation until it succeeds or fails for good. */
    function attempt<T>(
        what: string,
        signal: AbortSignal,
        action: () => Promise<T>,
        needs = "s3:PutObject and s3:GetObject there",
    ): Promise<T> {
        const name = `${what} ${uri}`;
        return retry(name, retryPolicy, signal, async () => {
            try {
                return await action();
            } catch (error) {
                signal.throwIfAborted();
                throw sdkError(error, name, needs);
            }
        });
    }

    /** {@link attempt}, but undefined for an answer with one of these statuses. */
    function unless<T>(
        statuses: readonly number[],
        what: string,
        signal: AbortSignal,
        action: () => Promise<T>,
    ): Promise<T | undefined> {
        return attempt(what, signal, () =>
            action().catch((error: unknown) => {
                if (statuses.includes(statusOf(error) ?? 0)) return undefined;
                throw error;
            }),
        );
    }

    /** What is at the key. */
    function headArchive(signal: AbortSignal) {
        return unless(missing, "looking at", signal, () =>
            client.send(new HeadObjectCommand({ ...archiveObject, ChecksumMode: "ENABLED" }), { abortSignal: signal }),
        );
    }

    /** The record that is there, undefined when it is none, and its ETag. */
    function readRecord(signal: AbortSignal) {
        return unless(missing, "reading the record of", signal, async () => {
            const { Body, ETag } = await client.send(new GetObjectCommand(recordObject), { abortSignal: signal });
            const read = parseRecord((await Body?.transformToString()) ?? "");
            return { record: "record" in read ? read.record : undefined, ETag };
        });
    }

    async function begin(parts: readonly Part[], metadata: Readonly<Record<string, string>>): Promise<ArchiveWriter> {
        const UploadId = await createUpload(metadata);
        const upload = { ...archiveObject, UploadId };
        const written = new Map<number, { ETag: string | undefined; ChecksumCRC32: string }>();
        const abort = (): Promise<void> => abortUpload(UploadId);

        /** Should only the answers be lost, the archive is found at the key. */
        async function complete(sizeBytes: number, ChecksumCRC32: string): Promise<ArchiveIdentity> {
            const Parts = parts.map(({ number }) => ({ PartNumber: number, ...written.get(number) }));
            const whole = { ChecksumCRC32, ChecksumType: "FULL_OBJECT", MpuObjectSize: sizeBytes } as const;
            try {
                return await attempt("completing", never, () =>
                    client.send(
                        new CompleteMultipartUploadCommand({ ...upload, ...whole, MultipartUpload: { Parts } }),
                    ),
                );
            } catch (error) {
                const head = await headArchive(never).catch(() => undefined);
                if (head?.ChecksumCRC32 !== ChecksumCRC32 || !hasMetadata(head, metadata)) throw error;
                // There is no upload, unless what was found is older; and what counts is the archive.
                await abort().catch(() => undefined);
                return head;
            }
        }

        return {
            needsCrc32: true,
            write: async ({ number: PartNumber }, bytes, crc) => {
                const ChecksumCRC32 = crc32Base64(crc);
                await attempt(`part ${PartNumber} of`, signal, async () => {
                    const body = { Body: bytes, ContentLength: bytes.length };
                    const command = new UploadPartCommand({ ...upload, ...body, PartNumber, ChecksumCRC32 });
                    const { ETag } = await client.send(command, { abortSignal: signal });
                    written.set(PartNumber, { ETag, ChecksumCRC32 });
                });
            },
            // A signal no longer stops the export: every part is written and verified.
            commit: async (record, crc) => {
                const identity = await complete(record.archive.sizeBytes, crc32Base64(crc));
                const archive = { ...record.archive, versionId: versionOf(identity) };
                return writeRecord({ ...record, archive }, identity);
            },
            abort,
        };
    }

    function createUpload(metadata: Readonly<Record<string, string>>): Promise<string> {
        return attempt("beginning", signal, async () => {
            const sentAt = Date.now();
            const command = new CreateMultipartUploadCommand({
                ...archiveObject,
                ContentType: "application/x-tar",
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

    async function abortUpload(UploadId: string): Promise<void> {
        await unless([404], "aborting the upload of", never, () =>
            client.send(new AbortMultipartUploadCommand({ ...archiveObject, UploadId })),
        );
    }

    /**
     * Writes the record of the archive that is at the key, and before it its signature: a record that is there is signed. The
     * conditions on their ETags, taken before looking at the archive, keep them from replacing those of an archive that came later.
     *
     * @returns the record; undefined when the archive is no longer at the key, and its successor's record is due
     */
    async function writeRecord(record: ExportRecord, archive: ArchiveIdentity): Promise<ExportRecord | undefined> {
        const text = recordText(record);
        const isSame = (there: { record: ExportRecord | undefined } | undefined): boolean =>
            there?.record !== undefined && recordText(there.record) === text;
        const putSignature = (signature: Uint8Array, eTag: string | undefined) =>
            putIfStill(eTag, "writing the signature of", signatureObject, signature);
        const described = { ...recordObject, ContentType: "application/json", Metadata: recordMetadata(record) };
        const putRecord = (eTag: string | undefined) =>
            putIfStill(eTag, "writing the record of", described, Buffer.from(text));
        try {
            const signature = await sign?.(text);
            for (let turn = 1; turn <= recordTurns; turn++) {
                const signed = signature && (await headSignature());
                const there = await readRecord(never);
                // Written before, by an attempt whose answer was lost.
                if (isSame(there)) return record;
                const head = await headArchive(never);
                if (head === undefined) {
                    throw new ExportError("AccessDenied", "it cannot be seen. The caller needs s3:GetObject there.");
                }
                if (versionOf(head) !== versionOf(archive) || head.ETag !== archive.ETag) return undefined;
                if (signature && !(await putSignature(signature, signed?.ETag))) continue;
                const isWritten = await putRecord(there?.ETag).catch(async (error: unknown) => {
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

    /** The signature that is there; undefined where none is. */
    function headSignature() {
        const command = new HeadObjectCommand(signatureObject);
        return unless(missing, "looking at the signature of", never, () => client.send(command));
    }

    /** Puts an object if the one that is there still has this ETag, or if none is there; tells whether it has. */
    async function putIfStill(
        eTag: string | undefined,
        what: string,
        object: PutObjectCommandInput,
        body: Uint8Array,
    ): Promise<boolean> {
        const command = new PutObjectCommand({
            ...object,
            Body: body,
            ChecksumCRC32: crc32Base64(crc32(body)),
            ...(eTag === undefined ? { IfNoneMatch: "*" } : { IfMatch: eTag }),
        });
        return (await unless(lost, what, never, () => client.send(command))) !== undefined;
    }

    return {
        find,
        expires,
        newest,
        begin,
        close: () => {
            client.destroy();
        },
    };
}
