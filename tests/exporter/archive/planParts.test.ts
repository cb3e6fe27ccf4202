import * as assert from "node:assert/strict";
import * as fc from "fast-check";
import { type Part, planParts } from "../../../exporter/archive/plan";

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;
const tebibyte = 1024 ** 4;
const largest = 10_000 * 5 * gibibyte;

function assertTaken(parts: readonly Part[], sizeBytes: number): void {
    let offset = 0;
    parts.forEach((part, at) => {
        assert.equal(part.number, at + 1);
        assert.equal(part.offset, offset);
        assert.ok(part.length > 0 && part.length <= 5 * gibibyte, `a part of ${part.length} bytes`);
        assert.ok(at === parts.length - 1 || part.length >= 5 * mebibyte, `part of ${part.length} is too small`);
        offset += part.length;
    });
    assert.equal(offset, sizeBytes);
    assert.ok(parts.length <= 10_000, `${parts.length} parts`);
}

describe("planParts", () => {
    it("keeps to S3's limits for any archive", () => {
        const sizes = fc.oneof(
            fc.integer({ min: 1, max: 20 * mebibyte }),
            fc.integer({ min: 1, max: 60 * gibibyte }),
            fc.integer({ min: 1, max: largest }),
        );
        fc.assert(
            fc.property(sizes, (sizeBytes) => {
                assertTaken(planParts(sizeBytes), sizeBytes);
            }),
            { seed: 1, numRuns: 200 },
        );
    });

    const edges = [1024, 5 * mebibyte, 5 * mebibyte + 1, 50_000 * mebibyte, 50_000 * mebibyte + 1];
    for (const sizeBytes of [...edges, tebibyte, 20 * tebibyte, largest]) {
        it(`keeps to them for ${sizeBytes} bytes`, () => {
            assertTaken(planParts(sizeBytes), sizeBytes);
        });
    }

    it("refuses what no S3 object can hold", () => {
        assert.throws(() => planParts(largest + 1), { name: "InvalidInput" });
    });

    it("makes the smallest parts while there are enough of them, so that many fit into memory", () => {
        assert.ok(planParts(50_000 * mebibyte).every(({ length }) => length === 5 * mebibyte));
    });
});
