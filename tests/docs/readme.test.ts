/** README.md and README.ja.md say the same, each in at most 200 lines. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { type Page, readPage } from "../support/markdown";

/** What both have, in the same order: what does not depend on the language. */
function structureOf({ headings, blocks, tables }: Page): object {
    return {
        sections: headings.map(({ depth }) => depth),
        links: headings.map(({ links }) => links.map((link) => link.replace(".ja.md", ".md")).sort()),
        code: headings.map(({ code }) => [...new Set(code)].sort()),
        blocks: blocks.filter(({ language }) => language !== "mermaid"),
        rows: tables.map((table) => table.map((row) => row.length)),
    };
}

describe("README.md and README.ja.md", () => {
    for (const file of ["README.md", "README.ja.md"]) {
        it(`have at most 200 lines: ${file}`, () => {
            const lines = readFileSync(join(root, file), "utf8").trimEnd().split("\n").length;
            assert(lines <= 200, `${lines} lines`);
        });
    }

    it("have the same sections, links, code, commands and tables", async () => {
        const [english, japanese] = await Promise.all(["README.md", "README.ja.md"].map(readPage));
        const withoutPlaces = (page: Page | undefined): Page => ({
            headings: page?.headings ?? [],
            links: page?.links ?? [],
            tables: page?.tables ?? [],
            blocks: page?.blocks.map((block) => ({ ...block, line: 0, section: "" })) ?? [],
        });
        assert.deepEqual(structureOf(withoutPlaces(japanese)), structureOf(withoutPlaces(english)));
    });
});
