import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { ImageRecord } from "../../../contract/record";
import { verifyArchive } from "../../../exporter/archive/verify";
import { craftedArchives } from "./crafted";
import { craftedReferrers, signed } from "./craftedReferrers";
import { goodEntries, recordOf, tarOf } from "./craftedParts";

describe("verifyArchive, of crafted archives", () => {
    const verify = (bytes: Buffer, record?: ImageRecord) =>
        verifyArchive(Readable.from([bytes]), record, { deep: true });
    const records: Readonly<Record<string, (record: ImageRecord) => ImageRecord | undefined>> = {
        "a record of engine stream": (record) => record,
        "a record of engine docker": (record) => ({ ...record, engine: { name: "docker", version: "28.0.0" } }),
        "no record": () => undefined,
    };
    const archives = [...craftedArchives(), ...craftedReferrers()];

    it("has 200 and more, no two of them alike", () => {
        const texts = archives.map(
            ({ bytes, record }) => `${record.archive.sha256} ${JSON.stringify([bytes.length, record])}`,
        );
        assert.ok(archives.length >= 200);
        assert.deepEqual(
            [new Set(texts).size, new Set(archives.map(({ kind }) => kind)).size],
            [archives.length, archives.length],
        );
    });
    for (const [what, recordFor] of Object.entries(records)) {
        const isStream = what === "a record of engine stream";
        it(`calls good what engine stream writes, with ${what}`, async () => {
            const bytes = tarOf(goodEntries());
            assert.deepEqual((await verify(bytes, recordFor(recordOf(bytes)))).problems, []);
            const withReferrers = signed();
            assert.deepEqual((await verify(withReferrers.bytes, recordFor(withReferrers.record))).problems, []);
        });
        for (const { kind, sort, bytes, record } of archives) {
            if ((sort === "costly" || sort === "lie") && !isStream) continue;
            // A whole archive of another image is a good one where nobody says what it has to be.
            if (kind === "the other image as a whole" && what === "no record") continue;
            if (sort === "harmless" && !isStream) {
                it(`calls good ${kind}, with ${what}`, async () => {
                    assert.deepEqual((await verify(bytes, recordFor(record))).problems, []);
                });
                continue;
            }
            it(`calls bad ${kind}, with ${what}`, async () => {
                const { problems } = await verify(bytes, recordFor(record));
                assert.notDeepEqual(problems, []);
                assert.ok(
                    problems.every((problem) => !problem.startsWith("the archive's s")),
                    problems.join("; "),
                );
            });
        }
    }
});
