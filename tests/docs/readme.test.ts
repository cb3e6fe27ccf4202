import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { type Page, readPage } from "../support/markdown";

/** The rows of the table whose first column has this title, without its head. */
function rowsOf(page: Page, title: string): (readonly string[])[] {
    const [table, ...more] = page.tables.filter(([head]) => head?.[0] === title);
    assert(table && more.length === 0, `expected one table with the first column “${title}”`);
    return table.slice(1);
}

describe("README.md", () => {
    let page: Page;
    before(async () => {
        page = await readPage("README.md");
    });

    it("describes every stack output, and no other", () => {
        const source = readFileSync(join(root, "index.ts"), "utf8");
        const outputs = [...source.matchAll(/^export const (\w+)/gm)].map(([, output]) => output);
        assert(outputs.length > 10);
        const described = rowsOf(page, "output").map(([output]) => output);
        assert.deepEqual(described.sort(), outputs.sort());
    });
});
