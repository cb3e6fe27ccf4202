import { ExportError } from "../../contract/errors";
import type { Part } from "../archive/parts";
import type { ExportRecord } from "../../contract/record";

/** What an archive's object says of it in its metadata, so that one HEAD tells. */
export interface ArchiveMetadata {
    readonly imageDigest: string;
    /** `os/arch[/variant]`, or `all`. */
    readonly platform: string;
}

/** What is to be written, known before the first byte. */
export interface ArchiveOutline {
    readonly parts: readonly Part[];
    readonly metadata: ArchiveMetadata;
}

/** Writes one archive. Nothing is visible at the destination before {@link ArchiveWriter.commit} succeeds. */
export interface ArchiveWriter {
    /**
     * Writes a part; parts come in any order, several at a time. The bytes are the writer's until it returns.
     *
     * @param crc32 CRC-32 of the bytes
     */
    write(part: Part, bytes: Uint8Array, crc32: number): Promise<void>;
    /**
     * Makes the archive visible, then its record.
     *
     * @param describe makes the record, of the archive's version: null for a file, and in a bucket without versions
     * @param crc32 CRC-32 of the whole archive
     * @returns the record; undefined when another export has replaced the archive, whose record is then not written
     */
    commit(
        describe: (versionId: string | null) => ExportRecord,
        crc32: number,
    ): Promise<ExportRecord | undefined>;
    /** Takes back what was written. Called after a failure of anything, `commit` included; no write is under way. */
    abort(): Promise<void>;
}

/** Where an export goes. */
export interface Destination {
    /** The record of the complete export that is there, if it is the record of the archive that is there. */
    find(): Promise<ExportRecord | undefined>;
    /** Begins to write. */
    begin(outline: ArchiveOutline): Promise<ArchiveWriter>;
    /** Closes connections. */
    close(): void;
}

const recordSuffix = ".json";

/** A destination taken apart. */
export type Location = { kind: "s3"; bucket: string; key: string } | { kind: "file"; path: string };

/**
 * Reads `s3://bucket/key` or a path.
 *
 * @throws ExportError `InvalidInput` when an S3 URI has no bucket or no key
 */
export function parseLocation(text: string): Location {
    if (!text.startsWith("s3:")) {
        if (text === "" || text.endsWith("/")) {
            throw new ExportError(
                "InvalidInput",
                `"${text}" is not a file to write: expected a path or s3://BUCKET/KEY.`,
            );
        }
        return { kind: "file", path: text };
    }
    const [, bucket, key] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+)$/.exec(text) ?? [];
    if (bucket === undefined || key === undefined || Buffer.byteLength(key) > 1019 || !isPlainKey(key)) {
        throw new ExportError(
            "InvalidInput",
            `"${text.slice(0, 300)}" is not an S3 object to write: expected s3://BUCKET/KEY, the key at most 1019 bytes ` +
                '(".json" is added), without control characters, without empty, "." or ".." folders, and not ending in ' +
                '".json", as export records do.',
        );
    }
    return { kind: "s3", bucket, key };
}

/**
 * S3 takes any text for a key, but tools on the way to it take some for other keys: `a/../b` for `b`. And `a.json` is the
 * key of the record of `a`.
 */
function isPlainKey(key: string): boolean {
    return !/\p{Cc}/u.test(key) && !/\/\.{0,2}\//.test(`/${key}/`) && !key.endsWith(recordSuffix);
}

/** Where the record of an archive is: beside it. */
export function recordKey(archive: string): string {
    return `${archive}${recordSuffix}`;
}
