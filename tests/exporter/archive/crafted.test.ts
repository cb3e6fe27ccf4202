import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { ExportRecord } from "../../../contract/record";
import { verifyArchive } from "../../../exporter/archive/verify";
import { craftedArchives, goodEntries, recordOf, tarOf } from "./crafted";

describe("verifyArchive, of crafted archives", () => {
    const verify = (bytes: Buffer, record?: ExportRecord) =>
        verifyArchive(Readable.from([bytes]), record, { deep: true });
    const records: Readonly<Record<string, (record: ExportRecord) => ExportRecord | undefined>> = {
        "a record of engine stream": (record) => record,
        "a record of engine docker": (record) => ({ ...record, engine: { name: "docker", version: "28.0.0" } }),
        "no record": () => undefined,
    };
    const archives = craftedArchives();
    for (const [what, recordFor] of Object.entries(records)) {
        it(`calls good what engine stream writes, with ${what}`, async () => {
            const bytes = tarOf(goodEntries());
            assert.deepEqual((await verify(bytes, recordFor(recordOf(bytes)))).problems, []);
        });
        for (const { kind, isCostly, bytes, record } of archives) {
            if (isCostly && what !== "a record of engine stream") continue;
            // A whole archive of another image is a good one where nobody says what it has to be; and these indexes, which engine
            // stream does not write, lead every reader to the one image.
            if (kind === "the other image as a whole" && what === "no record") continue;
            if (kind.startsWith("indexes that lead to each other") && what !== "a record of engine stream") continue;
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
