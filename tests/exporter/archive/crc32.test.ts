import * as assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import * as fc from "fast-check";
import { combineCrc32, crc32Base64 } from "../../../exporter/archive/crc32";

describe("combineCrc32", () => {
    it("is the checksum of the whole, however it is cut", () => {
        fc.assert(
            fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(), (bytes, at) => {
                const cut = at % (bytes.length + 1);
                const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut)];
                assert.equal(combineCrc32(crc32(first), crc32(second), second.length), crc32(bytes));
            }),
            { seed: 1, numRuns: 300 },
        );
    });

    it("counts lengths beyond 32 bits", () => {
        // CRC-32 of 2^33 zero bytes, by doubling: crc(z||z) from crc(z).
        let [crc, length] = [crc32(Buffer.alloc(1)), 1];
        while (length < 2 ** 32) {
            crc = combineCrc32(crc, crc, length);
            length *= 2;
        }
        const halves = combineCrc32(crc, crc, length);
        const uneven = combineCrc32(combineCrc32(crc, crc, length - 1), crc32(Buffer.alloc(1)), 1);
        assert.notEqual(halves, uneven); // crc is of `length` bytes, so a wrong length must show
        assert.equal(halves, combineCrc32(combineCrc32(crc, 0, 0), crc, length));
    });
});

describe("crc32Base64", () => {
    it("writes it as S3 does", () => {
        assert.equal(crc32Base64(crc32(Buffer.from("123456789"))), "y/Q5Jg=="); // 0xcbf43926, the CRC's check value
    });
});
