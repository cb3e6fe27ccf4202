// CRC-32 of zlib, reflected: the polynomial that S3 means by CRC32 as well.
const polynomial = 0xedb88320;

/**
 * The CRC-32 of two byte strings one after the other, from the CRC-32 of each and the length of the second. So
 * the checksum of a whole object follows from those of its parts, which are made in any order.
 * A CRC is a polynomial modulo `polynomial`: appending n bytes multiplies it by x^(8n) (zlib's crc32_combine).
 */
export function combineCrc32(first: number, second: number, secondLength: number): number {
    return (multiply(first, powerOfX(8 * secondLength)) ^ second) >>> 0;
}

/** A CRC-32 as S3 writes it: base64 of four bytes, the highest first. */
export function crc32Base64(value: number): string {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes.toString("base64");
}

/** x^exponent modulo the polynomial, by repeated squaring. */
function powerOfX(exponent: number): number {
    let result = 0x80000000; // x^0: in the reflected form the highest bit is the lowest power
    let square = 0x40000000; // x^1
    for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
        if (rest % 2 === 1) result = multiply(result, square);
        square = multiply(square, square);
    }
    return result;
}

function multiply(a: number, b: number): number {
    let product = 0;
    let shifted = b;
    for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
        if ((a & bit) !== 0) product ^= shifted;
        shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ polynomial;
    }
    return product >>> 0;
}
