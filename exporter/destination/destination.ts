import { ExportError } from "../../contract/errors";
import type { Part } from "../archive/plan";
import { artifactKeyRule, isArtifactKey } from "../../contract/keys";
import type { ExportRecord } from "../../contract/record";

/** Writes one archive. Nothing is visible at the destination before {@link ArchiveWriter.commit} succeeds. */
export interface ArchiveWriter {
    /** Whether it compares CRC-32s, as S3 does; without they are 0. */
    readonly needsCrc32: boolean;
    /**
     * Writes a part; parts come in any order, several at a time. The bytes are the writer's until it returns.
     *
     * @param crc32 CRC-32 of the bytes
     */
    write(part: Part, bytes: Uint8Array, crc32: number): Promise<void>;
    /**
     * Makes the archive visible, then its record.
     *
     * @param record the record but for the archive's version, which is null for a file, and in a bucket without versions
     * @param crc32 CRC-32 of the whole archive
     * @returns the record; undefined when another export has replaced the archive, whose record is then not written
     */
    commit(record: ExportRecord, crc32: number): Promise<ExportRecord | undefined>;
    /** Takes back what was written. Called after a failure of anything, `commit` included; no write is under way. */
    abort(): Promise<void>;
}

/** Where an export goes. */
export interface Destination {
    /** The record of the complete export that is there, if it is the record of the archive that is there. */
    find(): Promise<ExportRecord | undefined>;
    /** When the archive that is there will be deleted, in the words of the store; undefined where it stays. */
    expires(): Promise<string | undefined>;
    /** The keys of the other archives in the same folder, the newest first. */
    newest(): Promise<readonly string[]>;
    /** Begins to write an archive of these parts, of which one HEAD tells what it is: `archiveMetadata` of contract/record.ts. */
    begin(parts: readonly Part[], metadata: Readonly<Record<string, string>>): Promise<ArchiveWriter>;
    close(): void;
}

/**
 * Reads `s3://bucket/key`, or a path, which is a key without a bucket.
 *
 * @throws ExportError `InvalidInput` when an S3 URI has no bucket, or a key that no archive can have
 */
export function parseLocation(text: string) {
    if (!text.startsWith("s3:")) {
        if (text !== "" && !text.endsWith("/")) return { bucket: null, key: text };
        throw new ExportError("InvalidInput", `"${text}" is not a file to write: expected a path or s3://BUCKET/KEY.`);
    }
    const [, bucket, key] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+)$/s.exec(text) ?? [];
    if (bucket !== undefined && key !== undefined && isArtifactKey(key, "")) return { bucket, key };
    const advice = text.startsWith("s3://arn:")
        ? " An access point is named by its alias, NAME-…-s3alias, as a bucket."
        : "";
    throw new ExportError(
        "InvalidInput",
        `"${text.slice(0, 300)}" is not an S3 object to write: expected s3://BUCKET/KEY with ${artifactKeyRule("")}.${advice}`,
    );
}

/** The version of an answer of S3; null for what a bucket without versions has, which one that suspended them calls `null`. */
export function versionOf({ VersionId }: { readonly VersionId?: string | undefined }): string | null {
    return VersionId === undefined || VersionId === "null" ? null : VersionId;
}
