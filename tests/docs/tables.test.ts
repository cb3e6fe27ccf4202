/** The tables of the pages name what the code has, and nothing else. */
import { strict as assert } from "node:assert";

import { requestFields } from "../../contract/request";
import { resultFields } from "../support/resultFields";
import { stackOutputNames } from "../../contract/outputs";
import { readPage } from "../support/markdown";
import { generatedTables, pageWith } from "./generatedTables";

/** The first column of the table with this heading there. */
async function namesIn(page: string, heading: string, at = 0): Promise<(string | undefined)[]> {
    const tables = (await readPage(page)).tables.filter(([head]) => head?.[0] === heading);
    return (tables[at] ?? assert.fail(`no table “${heading}”`)).slice(1).map(([name]) => name);
}

describe("the tables of the pages", () => {
    for (const table of generatedTables) {
        it(`are up to date: ${table.name} in ${table.page}, which npm run docs writes`, () => {
            const { is, shouldBe } = pageWith(table);
            assert.equal(is, shouldBe);
        });

        it(`have a meaning in every row: ${table.name}`, () => {
            for (const row of table.rows()) assert.match(row.at(-1) ?? "", /\w/, row[0]);
        });
    }

    it("have every stack output", async () => {
        assert.deepEqual((await namesIn("docs/outputs.md", "output")).sort(), [...stackOutputNames].sort());
    });

    it("have every field of a request and of a result", async () => {
        assert.deepEqual(await namesIn("docs/requests.md", "field"), requestFields);
        assert.deepEqual(await namesIn("docs/requests.md", "field", 1), resultFields);
    });
});
