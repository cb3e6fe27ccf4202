import * as assert from "node:assert/strict";
import * as fc from "fast-check";
import { defaultPartBytes, type Outline, type Part, planParts, s3Limits } from "../../../exporter/archive/parts";

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;
const tebibyte = 1024 ** 4;

/** An archive of blobs of these sizes, each after a header. */
function archiveOf(sizes: readonly number[]): Outline {
    let offset = 0;
    const files = sizes.map((sizeBytes) => {
        offset += 512;
        const place = { sizeBytes, offset };
        offset += Math.ceil(sizeBytes / 512) * 512;
        return place;
    });
    return { sizeBytes: offset + 1024, files };
}

function assertTaken(parts: readonly Part[], sizeBytes: number): void {
    let offset = 0;
    parts.forEach((part, at) => {
        assert.equal(part.number, at + 1);
        assert.equal(part.offset, offset);
        assert.ok(part.length <= s3Limits.maxPartBytes, `part of ${part.length} bytes is too large`);
        assert.ok(
            at === parts.length - 1 || part.length >= s3Limits.minPartBytes,
            `part of ${part.length} is too small`,
        );
        offset += part.length;
    });
    assert.equal(offset, sizeBytes);
    assert.ok(parts.length <= s3Limits.maxParts, `${parts.length} parts`);
}

describe("planParts", () => {
    it("keeps to S3's limits for any archive", () => {
        const layer = fc.oneof(
            fc.nat(20 * mebibyte),
            fc.constantFrom(5 * mebibyte - 1, 5 * mebibyte, 5 * mebibyte + 1),
            fc.nat(60 * gibibyte),
        );
        fc.assert(
            fc.property(fc.array(layer, { maxLength: 600 }), (sizes) => {
                const archive = archiveOf(sizes);
                assertTaken(planParts(archive), archive.sizeBytes);
            }),
            { seed: 1, numRuns: 200 },
        );
    });

    for (const sizeBytes of [1024, 5 * mebibyte, 5 * mebibyte + 1, tebibyte, 20 * tebibyte, 10_000 * 5 * gibibyte]) {
        it(`keeps to them for one layer in an archive of ${sizeBytes} bytes`, () => {
            const files = [{ sizeBytes: sizeBytes - 1536, offset: 512 }];
            assertTaken(planParts({ sizeBytes, files: sizeBytes > 4096 ? files : [] }), sizeBytes);
        });
    }

    it("keeps to them for 10,000 layers of 6 MiB", () => {
        const archive = archiveOf(Array.from({ length: 10_000 }, () => 6 * mebibyte));
        assertTaken(planParts(archive), archive.sizeBytes);
    });

    it("refuses what no S3 object can hold", () => {
        assert.throws(() => planParts({ sizeBytes: 10_000 * 5 * gibibyte + 1, files: [] }), {
            name: "InvalidInput",
        });
    });

    it("begins a part at the first byte of every layer that is large enough", () => {
        const archive = archiveOf([20 * mebibyte, 1000, 5 * mebibyte, 4 * mebibyte, 300 * mebibyte]);
        const starts = new Set(planParts(archive).map(({ offset }) => offset));
        const aligned = archive.files.map(({ offset }) => starts.has(offset));
        // The first has only a header before it, which is no part of its own.
        assert.deepEqual(aligned, [false, false, true, false, true]);
    });

    it("makes parts of less than 10 MiB while there are enough of them, so that many fit into memory", () => {
        const archive = archiveOf([9.9 * mebibyte, 14 * mebibyte, 7 * mebibyte, 10 * gibibyte]);
        assert.ok(planParts(archive).every(({ length }) => length < 2 * defaultPartBytes));
    });

    it("makes larger parts when told to", () => {
        const lengths = planParts(archiveOf([640 * mebibyte]), 64 * mebibyte).map(({ length }) => length);
        assert.ok(lengths.length <= 12 && Math.max(...lengths) <= 64 * mebibyte);
    });
});
