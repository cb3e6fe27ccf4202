import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { parseLocation, recordNameOf } from "./destination";
import { ExportError, messageOf } from "./errors";
import { type Descriptor, isDocument, parseManifest } from "./manifest";
import { type ExportRecord, parseRecord } from "./record";
import { createS3Client } from "./s3Client";
import { s3Error } from "./s3Client";
import { blockBytes, paddingBytes, parseTarHeader, type TarEntry } from "./tar";

/** What reading an archive has shown. */
export interface Verification {
    /** Of the whole archive, in hexadecimal. */
    sha256: string;
    sizeBytes: number;
    /** Digest of the document that the archive's `index.json` names. */
    imageDigest: string | undefined;
    /** What is wrong, each naming the blob or the field; empty for a good archive. */
    problems: readonly string[];
}

/** What {@link verifyExport} may be told. */
export interface VerifyOptions {
    /**
     * Environment with the AWS settings.
     * @default process.env
     */
    env?: NodeJS.ProcessEnv | undefined;
    /**
     * A connection without a byte for so many milliseconds is stalled.
     * @default 30000
     */
    idleTimeoutMs?: number | undefined;
}

/**
 * Reads an exported archive back, from a file or from S3, and compares it with its record and with its own digests.
 *
 * @param destination as given to the export: `s3://BUCKET/KEY` or a path
 * @throws ExportError `InvalidInput` when there is no archive or no record to read, `ExportFailed` when reading breaks
 */
export async function verifyExport(destination: string, options: VerifyOptions = {}): Promise<Verification> {
    const location = parseLocation(destination);
    if (location.kind === "file") {
        const text = await readFile(recordNameOf(location.path), "utf8").catch((error: unknown) => {
            throw new ExportError(
                "InvalidInput",
                `There is no record of ${destination}: ${messageOf(error)}`,
                error,
            );
        });
        return verifyArchive(createReadStream(location.path), recordOf(text, destination));
    }
    const { env = process.env, idleTimeoutMs = 30_000 } = options;
    const client = createS3Client({ env, concurrency: 2, idleTimeoutMs });
    try {
        const recordObject = await readObject(client, location.bucket, recordNameOf(location.key));
        const record = recordOf(await textOf(recordObject.body), destination);
        const archive = await readObject(client, location.bucket, location.key);
        const verification = await verifyArchive(archive.body, record);
        return {
            ...verification,
            problems: [...wrongVersion(archive.versionId, record), ...verification.problems],
        };
    } finally {
        client.destroy();
    }
}

async function textOf(source: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of source) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
}

function recordOf(text: string, destination: string): ExportRecord {
    const record = parseRecord(text);
    if (record === undefined) {
        throw new ExportError(
            "InvalidInput",
            `${recordNameOf(destination)} is not an export record of schema 1.`,
        );
    }
    return record;
}

/** The record names the version that it describes: another one is that of an export before or after. */
function wrongVersion(versionId: string | null, { archive }: ExportRecord): string[] {
    return versionId === archive.versionId
        ? []
        : [
              `the archive is version ${String(versionId)}, the record describes version ${String(archive.versionId)}`,
          ];
}

async function readObject(
    client: S3Client,
    bucket: string,
    key: string,
): Promise<{ body: AsyncIterable<Uint8Array>; versionId: string | null }> {
    const what = `reading s3://${bucket}/${key}`;
    try {
        const { Body, VersionId } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return { body: Body as AsyncIterable<Uint8Array>, versionId: VersionId ?? null };
    } catch (error) {
        const judged = s3Error(error, what);
        throw judged instanceof ExportError ? judged : new ExportError("ExportFailed", judged.message, error);
    }
}

/** What has been read of a file in the archive. */
interface ReadEntry {
    sizeBytes: number;
    offset: number;
    sha256: string;
    /** The content, of the files that say how the archive hangs together. */
    text?: string;
}

/**
 * Reads an archive to its end and says what is wrong with it. Needs memory for its JSON documents only.
 *
 * @param source the archive's bytes
 * @param record what the archive has to be, if that is known
 */
export async function verifyArchive(
    source: AsyncIterable<Uint8Array>,
    record?: ExportRecord,
): Promise<Verification> {
    const archive = createHash("sha256");
    const problems: string[] = [];
    const entries = new Map<string, ReadEntry>();
    const wanted = new Set(["index.json", "manifest.json"]);
    let sizeBytes = 0;

    async function* counted(): AsyncIterable<Uint8Array> {
        for await (const chunk of source) {
            archive.update(chunk);
            sizeBytes += chunk.length;
            yield chunk;
        }
    }
    function take(name: string, entry: ReadEntry): void {
        entries.set(name, entry);
        for (const child of entry.text === undefined ? [] : childrenOf(name, entry.text).filter(isDocument)) {
            wanted.add(blobName(child.digest));
        }
    }

    try {
        await readTar(createCursor(counted()), (name) => wanted.has(name), take);
    } catch (error) {
        problems.push(messageOf(error));
    }
    const sha256 = archive.digest("hex");
    const imageDigest = rootOf(entries)?.digest;
    problems.push(...wrongBlobs(entries), ...missingBlobs(entries));
    if (record) {
        problems.push(...differences(record, { sha256, sizeBytes, imageDigest }, entries));
    }
    return { sha256, sizeBytes, imageDigest, problems };
}

/** Reads a stream of chunks in lengths of one's own. */
interface Cursor {
    /** Bytes read so far. */
    position: number;
    /** The next bytes, at least one and at most `limit`; undefined at the end. */
    read(limit: number): Promise<Uint8Array | undefined>;
}

function createCursor(source: AsyncIterable<Uint8Array>): Cursor {
    const iterator = source[Symbol.asyncIterator]();
    let rest: Uint8Array = new Uint8Array();
    const cursor: Cursor = {
        position: 0,
        async read(limit) {
            while (rest.length === 0) {
                const next = await iterator.next();
                if (next.done === true) {
                    return undefined;
                }
                rest = next.value;
            }
            const bytes = rest.subarray(0, limit);
            rest = rest.subarray(bytes.length);
            cursor.position += bytes.length;
            return bytes;
        },
    };
    return cursor;
}

/** Reads a tar file by file, to the last byte; the content of those that `keep` names comes with them. */
async function readTar(
    cursor: Cursor,
    keep: (name: string) => boolean,
    take: (name: string, entry: ReadEntry) => void,
): Promise<void> {
    for (;;) {
        const entry = parseTarHeader(await readBlock(cursor));
        if (entry === undefined) {
            break;
        }
        take(entry.name, await readEntry(cursor, entry, keep(entry.name)));
        await readExactly(cursor, paddingBytes(entry.sizeBytes), entry.name);
    }
    while ((await cursor.read(Infinity)) !== undefined) {
        // Zero blocks after the end; the archive's own hash covers them.
    }
}

async function readBlock(cursor: Cursor): Promise<Buffer> {
    const block: Uint8Array[] = [];
    await readExactly(cursor, blockBytes, "a header", (bytes) => block.push(bytes));
    return Buffer.concat(block);
}

async function readEntry(cursor: Cursor, { name, sizeBytes }: TarEntry, isKept: boolean): Promise<ReadEntry> {
    const offset = cursor.position;
    const hash = createHash("sha256");
    const kept: Uint8Array[] = [];
    await readExactly(cursor, sizeBytes, name, (bytes) => {
        hash.update(bytes);
        if (isKept) {
            kept.push(Uint8Array.from(bytes));
        }
    });
    const sha256 = hash.digest("hex");
    return { sizeBytes, offset, sha256, ...(isKept && { text: Buffer.concat(kept).toString("utf8") }) };
}

async function readExactly(
    cursor: Cursor,
    length: number,
    what: string,
    take?: (bytes: Uint8Array) => void,
): Promise<void> {
    for (let left = length; left > 0;) {
        const bytes = await cursor.read(left);
        if (bytes === undefined) {
            throw new Error(`the archive ends early, within ${what}`);
        }
        take?.(bytes);
        left -= bytes.length;
    }
}

function blobName(digest: string): string {
    return `blobs/${digest.replace(":", "/")}`;
}

/** The descriptors in a JSON document of the archive. */
function childrenOf(name: string, text: string): readonly Descriptor[] {
    if (name === "manifest.json") {
        return [];
    }
    try {
        const contentType = name === "index.json" ? "application/vnd.oci.image.index.v1+json" : undefined;
        const manifest = parseManifest(Buffer.from(text), contentType);
        return manifest.kind === "index" ? manifest.manifests : [manifest.config, ...manifest.layers];
    } catch {
        return []; // a configuration, or a document that its digest says is wrong
    }
}

function rootOf(entries: ReadonlyMap<string, ReadEntry>): Descriptor | undefined {
    return childrenOf("index.json", entries.get("index.json")?.text ?? "")[0];
}

function wrongBlobs(entries: ReadonlyMap<string, ReadEntry>): string[] {
    return [...entries].flatMap(([name, { sha256 }]) => {
        const expected = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
        return expected === undefined || expected === sha256
            ? []
            : [`blob sha256:${expected} has the content of sha256:${sha256}`];
    });
}

/** Blobs that a document names and the archive has not, or not in that size. */
function missingBlobs(entries: ReadonlyMap<string, ReadEntry>): string[] {
    if (!entries.has("index.json")) {
        return ["index.json is missing"];
    }
    const children = [...entries].flatMap(([name, { text }]) =>
        text === undefined ? [] : childrenOf(name, text),
    );
    const problems = children.flatMap(({ digest, size }) => {
        const found = entries.get(blobName(digest));
        if (found === undefined) {
            return [`blob ${digest} is missing`];
        }
        return found.sizeBytes === size
            ? []
            : [`blob ${digest} has ${found.sizeBytes} bytes, expected ${size}`];
    });
    return [...new Set(problems)];
}

function differences(
    record: ExportRecord,
    { sha256, sizeBytes, imageDigest }: Omit<Verification, "problems">,
    entries: ReadonlyMap<string, ReadEntry>,
): string[] {
    const problems: string[] = [];
    const compare = (what: string, actual: unknown, expected: unknown): void => {
        if (actual !== expected) {
            problems.push(`${what} is ${String(actual)}, the record says ${String(expected)}`);
        }
    };
    compare("the archive's size", sizeBytes, record.archive.sizeBytes);
    compare("the archive's sha256", sha256, record.archive.sha256);
    // Docker makes manifests anew: only engine stream keeps the registry's digest in the archive.
    if (record.engine.name === "stream") {
        compare("the image's digest", imageDigest, record.imageDigest);
        for (const layer of record.layers) {
            compare(
                `the offset of blob ${layer.digest}`,
                entries.get(blobName(layer.digest))?.offset,
                layer.offset,
            );
            compare(
                `the size of blob ${layer.digest}`,
                entries.get(blobName(layer.digest))?.sizeBytes,
                layer.sizeBytes,
            );
        }
    }
    return problems;
}
