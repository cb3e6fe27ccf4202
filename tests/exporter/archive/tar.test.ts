import * as assert from "node:assert/strict";
import * as fc from "fast-check";
import { pack } from "tar-stream";
import { paddingBytes, parseTarHeader, tarHeader } from "../../../exporter/archive/tar";

const gibibyte = 1024 ** 3;

/** The header that tar-stream writes for a file. */
async function referenceHeader(name: string, size: number): Promise<Buffer> {
    const writer = pack();
    writer.entry({ name, size, mode: 0o644, mtime: new Date(0), type: "file" }).on("error", () => undefined);
    for await (const header of writer as AsyncIterable<Buffer>) {
        return header;
    }
    return assert.fail("tar-stream wrote nothing");
}

describe("tarHeader", () => {
    for (const size of [0, 1, 511, 512, 513, 8 * gibibyte - 1, 8 * gibibyte, 8 * gibibyte + 1, 50_000 * gibibyte]) {
        it(`is what tar-stream writes, and reads back, for ${size} bytes`, async () => {
            const header = tarHeader("blobs/sha256/x", size);
            assert.deepEqual(header, await referenceHeader("blobs/sha256/x", size));
            assert.deepEqual(parseTarHeader(header), {
                name: "blobs/sha256/x",
                sizeBytes: size,
                type: "0",
                linkName: "",
            });
        });
    }

    it("is what tar-stream writes for any name and size", async () => {
        const names = fc.stringMatching(/^[a-z0-9][a-z0-9/.-]{0,98}[a-z0-9]$/);
        await fc.assert(
            fc.asyncProperty(names, fc.maxSafeNat(), async (name, size) => {
                assert.deepEqual(tarHeader(name, size), await referenceHeader(name, size));
            }),
            { seed: 1, numRuns: 200 },
        );
    });

    it("refuses a name that does not fit", () => {
        assert.throws(() => tarHeader("x".repeat(101), 1), RangeError);
    });
});

describe("paddingBytes", () => {
    it("fills the last block", () => {
        assert.deepEqual([0, 1, 511, 512, 513].map(paddingBytes), [0, 511, 1, 0, 511]);
    });
});

describe("parseTarHeader", () => {
    it("refuses a damaged header", () => {
        const header = tarHeader("a", 1);
        header[0] = 0x62;
        assert.throws(() => parseTarHeader(header), /checksum/);
    });
});
