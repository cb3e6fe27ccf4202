import { createHash } from "node:crypto";
import { messageOf } from "../../contract/errors";
import { blockBytes, paddingBytes, parseTarHeader, type TarEntry } from "./tar";

/** A file of an archive, as it was found there. */
export interface ArchiveFile {
    readonly name: string;
    /** As in {@link TarEntry}. */
    readonly type: string;
    readonly sizeBytes: number;
    /** Offset of the first byte of its content in the archive. */
    readonly offset: number;
    /** Of its content, in hexadecimal. */
    readonly sha256: string;
    /** The content, of small files that begin as JSON does. */
    readonly content?: Buffer;
    /** What a link points to. */
    readonly linkName?: string;
}

/** What reading an archive to its last byte has shown. */
export interface ReadArchive {
    /** Files by their names. */
    readonly files: ReadonlyMap<string, ArchiveFile>;
    /** Of the whole archive, in hexadecimal. */
    readonly sha256: string;
    readonly sizeBytes: number;
    /** What is wrong with the tar itself, each with its place. */
    readonly damages: readonly string[];
    /** Whether every file was found: from a damaged header on none is. */
    readonly isComplete: boolean;
}

/** Configurations, manifests and indexes are some KiB; a registry's limit for a manifest is 4 MiB. */
const documentLimitBytes = 8 * 1024 * 1024;
/** A header has more bytes than these in its numbers alone; a damaged block of zeros has few. */
const fewBytes = 16;

/** Reads an archive. Needs memory for its documents only. */
export async function readArchive(source: AsyncIterable<Uint8Array>): Promise<ReadArchive> {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    async function* counted(): AsyncIterable<Uint8Array> {
        for await (const chunk of source) {
            hash.update(chunk);
            sizeBytes += chunk.length;
            yield chunk;
        }
    }

    const files = new Map<string, ArchiveFile>();
    const damages: string[] = [];
    const cursor = createCursor(counted());
    let isComplete = true;
    try {
        await readFiles(cursor, files, damages);
    } catch (error) {
        if (!(error instanceof TarDamage)) throw error;
        damages.push(messageOf(error));
        isComplete = false;
        while ((await cursor.read(Infinity)) !== undefined) {
            // The archive's own hash covers what can no longer be told apart.
        }
    }
    return { files, sha256: hash.digest("hex"), sizeBytes, damages, isComplete };
}

/** What keeps the rest of the tar from being read. */
class TarDamage extends Error {}

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
                if (next.done === true) return undefined;
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

async function readFiles(cursor: Cursor, files: Map<string, ArchiveFile>, damages: string[]): Promise<void> {
    /** What an extended header says of the file after it (POSIX pax): Docker writes one for 8 GiB and more. */
    let extended: ReadonlyMap<string, string> = new Map();
    for (;;) {
        const headerOffset = cursor.position;
        const block = await readBlock(cursor);
        const entry = parseHeader(block, headerOffset);
        if (entry === undefined) {
            await readEnd(cursor, block, headerOffset, damages);
            return;
        }
        const name = extended.get("path") ?? entry.name;
        const size = Number(extended.get("size") ?? entry.sizeBytes);
        const file = await readFile(cursor, { ...entry, name, sizeBytes: size });
        if (entry.type === "x") {
            extended = parseExtended(file.content?.toString() ?? "");
        } else {
            extended = new Map();
            files.set(name, file);
        }
        const padding = await readZeros(cursor, paddingBytes(size), `the padding after ${name}`);
        damages.push(...padding);
    }
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
    const block: Uint8Array[] = [];
    await readExactly(cursor, blockBytes, "a header", (bytes) => block.push(bytes));
    return Buffer.concat(block);
}

async function readFile(cursor: Cursor, entry: TarEntry): Promise<ArchiveFile> {
    const { name, sizeBytes, type, linkName } = entry;
    const offset = cursor.position;
    const hash = createHash("sha256");
    const kept: Uint8Array[] = [];
    let isKept = sizeBytes <= documentLimitBytes;
    await readExactly(cursor, sizeBytes, name, (bytes) => {
        hash.update(bytes);
        isKept &&= kept.length > 0 || type === "x" || isJsonBeginning(bytes[0]);
        if (isKept) kept.push(Uint8Array.from(bytes));
    });
    return {
        name,
        type,
        sizeBytes,
        offset,
        sha256: hash.digest("hex"),
        ...(kept.length > 0 && { content: Buffer.concat(kept) }),
        ...(linkName !== undefined && { linkName }),
    };
}

function isJsonBeginning(byte: number | undefined): boolean {
    return byte !== undefined && "{[ \t\r\n".includes(String.fromCharCode(byte));
}

/** Records of the form `LENGTH KEY=VALUE\n`. */
function parseExtended(text: string): Map<string, string> {
    return new Map([...text.matchAll(/^\d+ ([^=\n]+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]));
}

/** The archive ends with two blocks of zeros, and has nothing but zeros after them. */
async function readEnd(cursor: Cursor, first: Buffer, offset: number, damages: string[]): Promise<void> {
    const what = "the end of the archive";
    const wrong = first.findIndex((byte) => byte !== 0);
    if (wrong >= 0) damages.push(notZero(what, offset + wrong));
    damages.push(...(await readZeros(cursor, blockBytes, what)), ...(await readZeros(cursor, Infinity, what)));
}

/** Reads bytes that have to be zero, up to the end of the archive where `length` is infinite. */
async function readZeros(cursor: Cursor, length: number, what: string): Promise<string[]> {
    let wrong: number | undefined;
    const take = (bytes: Uint8Array): void => {
        const at = bytes.findIndex((byte) => byte !== 0);
        if (at >= 0) wrong ??= cursor.position - bytes.length + at;
    };
    await readExactly(cursor, length, what, take);
    return wrong === undefined ? [] : [notZero(what, wrong)];
}

function notZero(what: string, at: number): string {
    return `${what} is damaged: byte ${at} is not zero`;
}

async function readExactly(
    cursor: Cursor,
    length: number,
    what: string,
    take: (bytes: Uint8Array) => void,
): Promise<void> {
    for (let left = length; left > 0;) {
        const bytes = await cursor.read(left);
        if (bytes === undefined && length === Infinity) return;
        if (bytes === undefined) {
            throw new TarDamage(`the archive ends early, at byte ${cursor.position}, within ${what}`);
        }
        take(bytes);
        left -= bytes.length;
    }
}
