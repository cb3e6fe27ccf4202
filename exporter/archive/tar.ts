/** Everything in a tar comes in blocks of this many bytes. */
export const blockBytes = 512;

/** Two zero blocks end a tar (POSIX ustar). */
export const trailer: Uint8Array = new Uint8Array(2 * blockBytes);

const largestOctalSize = 8 ** 11 - 1;

/**
 * The header block of a regular file, of a folder, whose name ends in a slash, or of a symbolic link: mode 0644, 0755 or 0777, owner
 * 0, time 0, so that it depends on what is given only. A size of 8 GiB or more does not fit the octal field and is written in base 256, which GNU tar,
 * Go's archive/tar (docker, containerd, skopeo, podman), libarchive and Python read; the header stays one block for every size.
 *
 * @param name Path in the archive, at most 100 ASCII characters.
 * @param sizeBytes Length of the file's content.
 * @param target What a link points to, at most 100 ASCII characters.
 */
export function tarHeader(name: string, sizeBytes: number, target = ""): Buffer {
    if (Buffer.byteLength(name) > 100 || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
        throw new RangeError(`tarHeader cannot write "${name}" of ${sizeBytes} bytes`);
    }
    const [mode, type] = target ? ["000777", "2"] : name.endsWith("/") ? ["000755", "5"] : ["000644", "0"];
    const block = Buffer.alloc(blockBytes);
    block.write(name, 0);
    block.write(`${mode} \0`, 100);
    for (const at of [108, 116, 329, 337]) block.write("000000 \0", at);
    if (sizeBytes <= largestOctalSize) {
        block.write(`${octal(sizeBytes, 11)} `, 124);
    } else {
        block[124] = 0x80;
        block.writeBigUInt64BE(BigInt(sizeBytes), 128);
    }
    block.write("00000000000 ", 136);
    block.write(type, 156);
    block.write(target, 157);
    block.write("ustar\u000000", 257);
    block.write(`${octal(checksum(block), 6)} \0`, 148);
    return block;
}

/** Length of the zero bytes that fill the last block of a file. */
export function paddingBytes(sizeBytes: number): number {
    return (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
}

/** A file entry as read from a header block. */
export type TarEntry = ReturnType<typeof parseTarHeader>;

/** Types of entries that `docker save` and this program write: files, hard and symbolic links, folders, extended headers. */
const knownTypes = ["0", "1", "2", "5", "x"];

/** Names that every reader takes alike: relative, of printable ASCII, without empty segments, `.` and `..`. */
const canonicalName = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[!-.0-[\]-~]+(?:\/[!-.0-[\]-~]+)*\/?$/;

/**
 * What readers may take differently in a header that {@link parseTarHeader} has read, as the second half of a sentence;
 * undefined for nothing.
 *
 * @param name the name that counts, and the size: an extended header may have given them
 */
export function ambiguityOf(block: Buffer, entry: TarEntry, name: string, sizeBytes: number): string | undefined {
    const magic = block.toString("latin1", 257, 265);
    const isGnu = magic === "ustar  \0";
    if (!isGnu && magic !== "ustar\u000000") return "has a header that is neither POSIX's nor GNU's";
    // GNU has no prefix, and star, which the last bytes tell, a shorter one.
    if (block.subarray(isGnu ? 345 : 500).some((byte) => byte !== 0)) {
        return "has a prefix that some readers do not know";
    }
    if (!knownTypes.includes(entry.type)) return `is of the type ${JSON.stringify(entry.type)}`;
    const isOctal = /^[0-7]{11}[\0 ]$/.test(block.toString("latin1", 124, 136));
    const isBinary = block.readUInt32BE(124) === 0x80000000 && entry.sizeBytes > largestOctalSize;
    if (!isOctal && !isBinary) return "has a size that is not written as tar writes sizes";
    if (sizeBytes !== entry.sizeBytes && sizeBytes <= largestOctalSize) return "has two sizes";
    if (sizeBytes !== 0 && ["1", "2", "5"].includes(entry.type)) return "is no file and has a size";
    if (!canonicalName.test(name)) return "has a name that readers may take for another";
    if (entry.type !== "x" && name.endsWith("/") !== (entry.type === "5")) return "has the name of a folder, or is one";
    return undefined;
}

/** Six digits, then a zero byte and a space as Go and GNU tar write them, or the other way round as this program does. */
const checksumPattern = /^[0-7]{6}(\0 | \0)$/;

/**
 * Reads a header block of the kinds that {@link tarHeader} and `docker save` write.
 *
 * @throws Error when the block's checksum is wrong
 */
export function parseTarHeader(block: Buffer) {
    if (!checksumPattern.test(block.toString("latin1", 148, 156)) || readOctal(block, 148, 8) !== checksum(block)) {
        throw new Error("not a tar header: its checksum is wrong");
    }
    const prefix = readText(block, 345, 155);
    const name = readText(block, 0, 100);
    return {
        name: prefix === "" ? name : `${prefix}/${name}`,
        sizeBytes: block[124] === 0x80 ? Number(block.readBigUInt64BE(128)) : readOctal(block, 124, 12),
        /** `0` is a regular file, `5` a directory; others are as in POSIX ustar. */
        type: block[156] === 0 ? "0" : readText(block, 156, 1),
        /** What a link points to; empty for all else. */
        linkName: readText(block, 157, 100),
    };
}

/** The sum of all bytes, the checksum field itself taken as spaces. */
function checksum(block: Buffer): number {
    return block.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

function octal(value: number, digits: number): string {
    return value.toString(8).padStart(digits, "0");
}

function readOctal(block: Buffer, offset: number, length: number): number {
    const text = readText(block, offset, length).trim();
    return text === "" ? 0 : parseInt(text, 8);
}

function readText(block: Buffer, offset: number, length: number): string {
    const field = block.subarray(offset, offset + length);
    const end = field.indexOf(0);
    return field.toString("utf8", 0, end < 0 ? length : end);
}
