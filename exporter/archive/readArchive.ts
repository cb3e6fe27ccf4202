import { createHash } from "node:crypto";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf } from "../../contract/errors";
import { ambiguityOf, blockBytes, paddingBytes, parseTarHeader, type TarEntry } from "./tar";

/** A file of an archive, as it was found there. */
export type ArchiveFile = Awaited<ReturnType<typeof readFile>>;
/** What reading an archive to its last byte has shown. */
export type ReadArchive = Awaited<ReturnType<typeof readArchive>>;

/** Configurations, manifests and indexes are some KiB, and this engine reads none that is larger. */
const documentLimitBytes = 32 * 1024 * 1024;
/** Of all documents together, in the order of the archive; those beyond it cannot be read. */
const documentsLimitBytes = 40 * 1024 * 1024;
/** An extended header has a name and a size. */
const extendedLimitBytes = 64 * 1024;
/** Files, folders and links; a set of 500 images with 127 layers each has fewer. */
const fileLimit = 100_000;
/** A header has more bytes than these in its numbers alone; a damaged block of zeros has few. */
const fewBytes = 16;

/**
 * Reads an archive. Needs memory for its documents only.
 *
 * @param unpack whether files are unpacked, and what is in them hashed
 */
export async function readArchive(source: AsyncIterable<Uint8Array>, unpack = false) {
    const cursor = createCursor(source);
    const files = new Map<string, ArchiveFile>();
    const damages: string[] = [];
    let isComplete = true;
    try {
        await readFiles(cursor, files, damages, unpack);
    } catch (error) {
        if (!(error instanceof TarDamage)) throw error;
        damages.push(messageOf(error));
        isComplete = false;
        // The archive's own hash covers what can no longer be told apart.
        await cursor.read(Infinity, "", () => undefined);
    }
    return {
        /** By their names. */
        files: files as ReadonlyMap<string, ArchiveFile>,
        /** Of the whole archive, in hexadecimal. */
        sha256: cursor.hash.digest("hex"),
        sizeBytes: cursor.position,
        /** What is wrong with the tar itself, each with its place. */
        damages,
        /** Whether every file was found: from a damaged header on none is. */
        isComplete,
    };
}

/** What keeps the rest of the tar from being read. */
class TarDamage extends Error {}

/** Reads a stream of chunks in lengths of one's own. */
function createCursor(source: AsyncIterable<Uint8Array>) {
    const iterator = source[Symbol.asyncIterator]();
    let rest: Uint8Array = new Uint8Array();
    const cursor = {
        /** Bytes read so far. */
        position: 0,
        /** Of all that has been read. */
        hash: createHash("sha256"),
        /** Reads so many bytes, piece by piece, or up to the end where `length` is infinite. */
        async read(length: number, what: string, take: (bytes: Uint8Array) => unknown): Promise<void> {
            for (let left = length; left > 0;) {
                while (rest.length === 0) {
                    const next = await iterator.next();
                    if (next.done === true && length === Infinity) return;
                    if (next.done === true) {
                        throw new TarDamage(`the archive ends early, at byte ${cursor.position}, within ${what}`);
                    }
                    rest = next.value;
                    cursor.hash.update(rest);
                }
                const bytes = rest.subarray(0, left);
                rest = rest.subarray(bytes.length);
                cursor.position += bytes.length;
                left -= bytes.length;
                await take(bytes);
            }
        },
    };
    return cursor;
}

type Cursor = ReturnType<typeof createCursor>;

async function readFiles(
    cursor: Cursor,
    files: Map<string, ArchiveFile>,
    damages: string[],
    unpack: boolean,
): Promise<void> {
    /** What an extended header says of the file after it (POSIX pax): Docker writes one for 8 GiB and more. */
    let extended: ReturnType<typeof parseExtended> | undefined;
    const names = new Set<string>();
    let keptBytes = 0;
    for (let count = 0; ; count++) {
        const headerOffset = cursor.position;
        const header = await readBlock(cursor);
        const entry = parseHeader(header, headerOffset);
        if (entry === undefined) {
            if (extended) damages.push(`an extended header at the end of the archive (byte ${headerOffset})`);
            damages.push(...(await readEnd(cursor, header, headerOffset)));
            return;
        }
        if (count > fileLimit) throw new TarDamage(`the archive has more than ${fileLimit} files`);
        const { name = entry.name, sizeBytes = entry.sizeBytes } = extended ?? {};
        const place = `the header at byte ${headerOffset}`;
        const ambiguity = ambiguityOf(header, entry, name, sizeBytes);
        if (ambiguity !== undefined) damages.push(`${shown(name)} ${ambiguity} (${place})`);
        const isExtended = entry.type === "x";
        const keep = isExtended ? extendedLimitBytes : Math.min(documentLimitBytes, documentsLimitBytes - keptBytes);
        const file = await readFile(cursor, { ...entry, name, sizeBytes }, header, keep, unpack && !isExtended);
        damages.push(...(await readZeros(cursor, paddingBytes(sizeBytes), `the padding after ${shown(name)}`)));
        if (isExtended) {
            if (extended !== undefined) damages.push(`two extended headers for one file (${place})`);
            extended = parseExtended(file.content);
            if (extended.isStrange) damages.push(`an extended header says more than a name and a size (${place})`);
            continue;
        }
        extended = undefined;
        const plain = name.replace(/\/$/, "").toLowerCase();
        if (names.has(plain)) damages.push(`${shown(name)} is there twice (${place})`);
        names.add(plain);
        files.set(name, file);
        keptBytes += file.content?.length ?? 0;
    }
}

function shown(name: string): string {
    return /^[ -~]{1,200}$/.test(name) ? name : JSON.stringify(name.slice(0, 200));
}

/** Undefined for the end of the archive, where one byte may be damaged, too. */
function parseHeader(block: Buffer, offset: number): TarEntry | undefined {
    if (block.filter((byte) => byte !== 0).length < fewBytes) return undefined;
    try {
        return parseTarHeader(block);
    } catch (error) {
        throw new TarDamage(
            `the header at byte ${offset} (${offset} to ${offset + blockBytes - 1}) is damaged: ${messageOf(error)}; ` +
                "the files from there on could not be told apart",
            { cause: error },
        );
    }
}

async function readBlock(cursor: Cursor): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    await cursor.read(blockBytes, "a header", (bytes) => pieces.push(bytes));
    return Buffer.concat(pieces);
}

async function readFile(
    cursor: Cursor,
    { name, sizeBytes, type, linkName }: TarEntry,
    header: Buffer,
    keepBytes: number,
    unpack: boolean,
) {
    const offset = cursor.position;
    const hash = createHash("sha256");
    const kept: Uint8Array[] = [];
    let isKept = sizeBytes <= keepBytes;
    let unpacked: ReturnType<typeof createUnpackedHash> | undefined;
    await cursor.read(sizeBytes, shown(name), async (bytes) => {
        hash.update(bytes);
        isKept &&= kept.length > 0 || type === "x" || "{[ \t\r\n".includes(String.fromCharCode(bytes[0] ?? 0));
        if (isKept) kept.push(Uint8Array.from(bytes));
        if (unpack) await (unpacked ??= createUnpackedHash(bytes[0])).update(bytes);
    });
    return {
        name,
        type,
        sizeBytes,
        /** Offset of the first byte of its content in the archive. */
        offset,
        /** Of its content, in hexadecimal. */
        sha256: hash.digest("hex"),
        /** The last where there are several. */
        header,
        /** The content, of small files that begin as JSON does. */
        content: kept.length > 0 ? Buffer.concat(kept) : undefined,
        linkName,
        /** SHA-256 of what is packed in it, in hexadecimal, or why it cannot be unpacked; where that was asked for. */
        unpacked: await unpacked?.end(),
    };
}

/**
 * The SHA-256 of a layer's tar, which may be packed by gzip or Zstandard, as its first byte tells (RFC 1952, 2.3.1; RFC 8878,
 * 3.1.1), or not at all. It takes the file piece by piece.
 */
function createUnpackedHash(firstByte: number | undefined) {
    const unpacker =
        firstByte === 0x1f ? createGunzip() : firstByte === 0x28 ? createZstdDecompress() : new PassThrough();
    let isDone = false;
    const unpacked = pipeline(unpacker, async (source: AsyncIterable<Buffer>) => {
        const hash = createHash("sha256");
        for await (const bytes of source) hash.update(bytes);
        return { sha256: hash.digest("hex") };
    })
        .catch((error: unknown) => ({ problem: messageOf(error) }))
        .finally(() => (isDone = true));
    return {
        update: async (piece: Uint8Array): Promise<void> => {
            if (isDone || unpacker.write(Uint8Array.from(piece))) return;
            await Promise.race([once(unpacker, "drain"), unpacked]).catch(() => undefined);
        },
        end: () => {
            unpacker.end();
            return unpacked;
        },
    };
}

const extendedKeys = new Set(["path", "size", "mtime", "atime", "ctime"]);

/**
 * Reads an extended header, records of the form `LENGTH KEY=VALUE\n`: a name, a size, and times, which change nothing. It is strange if
 * it says something else too, or not as the standard has it.
 */
function parseExtended(content: Buffer | undefined) {
    const text = content?.toString("latin1") ?? "";
    const found = new Map<string, string>();
    let isStrange = content === undefined;
    let length = 0;
    for (const [record, digits, key = "", value = ""] of text.matchAll(/(\d{1,9}) ([^=\n]+)=([^\n\0]*)\n/gy)) {
        isStrange ||= record.length !== Number(digits) || found.has(key) || !extendedKeys.has(key);
        found.set(key, value);
        length += record.length;
    }
    const [name, size] = [found.get("path"), found.get("size")];
    const isSize = size !== undefined && /^[1-9]\d{0,14}$/.test(size);
    isStrange ||= length !== text.length || name === "" || (size !== undefined && !isSize);
    return { name: name === "" ? undefined : name, sizeBytes: isSize ? Number(size) : undefined, isStrange };
}

/** The archive ends with two blocks of zeros, and has nothing but zeros after them. */
async function readEnd(cursor: Cursor, first: Buffer, offset: number): Promise<string[]> {
    const what = "the end of the archive";
    const wrong = first.findIndex((byte) => byte !== 0);
    return [
        ...(wrong < 0 ? [] : [notZero(what, offset + wrong)]),
        ...(await readZeros(cursor, blockBytes, what)),
        ...(await readZeros(cursor, Infinity, what)),
    ];
}

/** Reads bytes that have to be zero, up to the end of the archive where `length` is infinite. */
async function readZeros(cursor: Cursor, length: number, what: string): Promise<string[]> {
    let wrong: number | undefined;
    await cursor.read(length, what, (bytes) => {
        const at = bytes.findIndex((byte) => byte !== 0);
        if (at >= 0) wrong ??= cursor.position - bytes.length + at;
    });
    return wrong === undefined ? [] : [notZero(what, wrong)];
}

function notZero(what: string, at: number): string {
    return `${what} is damaged: byte ${at} is not zero`;
}
