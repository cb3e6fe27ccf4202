import { strict as assert } from "node:assert";

import * as fc from "fast-check";

import { buildSteps, parseProgress, parseStep, progressText } from "../../contract/progress";

describe("parseStep", () => {
    for (const step of buildSteps) {
        it(`reads the line that begins ${step}`, () => {
            assert.equal(parseStep(`=== ${step}: What is done: now (after 12 s)`), step);
        });
    }
    for (const line of [
        "",
        "pull: x (after 1 s)",
        "=== dance: x (after 1 s)",
        "=== pull: x",
        " === pull: x (after 1 s)",
    ]) {
        it(`finds none in ${JSON.stringify(line)}`, () => {
            assert.equal(parseStep(line), undefined);
        });
    }
});

describe("progress", () => {
    it("is read as it was written, to a tenth of a megabyte and of a second", () => {
        const bytes = fc.nat(2 ** 45);
        fc.assert(
            fc.property(bytes, bytes, fc.nat(1e6), (writtenBytes, totalBytes, tenths) => {
                const read =
                    parseProgress(progressText({ writtenBytes, totalBytes, seconds: tenths / 10 })) ?? assert.fail();
                assert.ok(Math.abs(read.writtenBytes - writtenBytes) <= 5e4 + 1);
                assert.ok(Math.abs(read.totalBytes - totalBytes) <= 5e4 + 1);
                assert.equal(read.seconds, tenths / 10);
            }),
        );
        assert.equal(
            progressText({ writtenBytes: 12.34e6, totalBytes: 5e8, seconds: 1.24 }),
            "12.3 of 500.0 MB in 1.2 s",
        );
    });
    for (const line of ["", "12.3 of 500.0 MB", "x12.3 of 500.0 MB in 1.2 s", "12.3 of 500.0 MB in 1.2 s."]) {
        it(`is not in ${JSON.stringify(line)}`, () => {
            assert.equal(parseProgress(line), undefined);
        });
    }
});
