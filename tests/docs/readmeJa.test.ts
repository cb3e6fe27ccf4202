import { strict as assert } from "node:assert";

import { type Page, readPage } from "../support/markdown";

/** The links of each section, sorted. Sections of the page itself are given by their number, since their names are translated. */
function linksOf({ headings }: Page): string[][] {
    const numberOf = (link: string) =>
        headings.findIndex(({ anchor }) => decodeURI(link) === `#${anchor}`) + 1;
    return headings.map(({ links }) =>
        links.map((link) => (link.startsWith("#") ? `section ${numberOf(link)}` : link)).sort(),
    );
}

/** A table without its words: the cells that are the same in every language, and the number of the others. */
function shapeOf(rows: Page["tables"][number], columns: readonly number[]): unknown {
    return [rows.length, rows[0]?.length, rows.slice(1).map((row) => columns.map((column) => row[column]))];
}

describe("README.ja.md", () => {
    let english: Page;
    let japanese: Page;
    before(async () => {
        [english, japanese] = await Promise.all([readPage("README.md"), readPage("README.ja.md")]);
    });

    it("has the sections of README.md, in their order", () => {
        const levels = ({ headings }: Page) => headings.map(({ depth }) => depth);
        assert.deepEqual(levels(japanese), levels(english));
    });

    it("has its blocks of commands, outputs and configuration, to the letter", () => {
        const blocks = ({ blocks: all }: Page) => all.map(({ language, code }) => ({ language, code }));
        assert.deepEqual(blocks(japanese), blocks(english));
    });

    it("has its links, in the same sections", () => {
        const toEachOther = (links: readonly string[]) => links.map((link) => link.replace(".ja.md", ".md"));
        assert.deepEqual(linksOf(japanese), linksOf(english).map(toEachOther));
    });

    it("has its configuration keys, with their types and examples, and its outputs", () => {
        const tables = ({ tables: all }: Page) =>
            all.map((rows) => {
                const isOfKeys = rows[1]?.[0] === "imageUri";
                const isOfOutputs = rows[1]?.[0] === "artifactBucketName";
                return shapeOf(rows, isOfKeys ? [0, 1, 4] : isOfOutputs ? [0] : []);
            });
        assert.deepEqual(tables(japanese), tables(english));
    });

    it("names in each section the same keys, commands and files", () => {
        const codeOf = ({ headings }: Page) => headings.map(({ code }) => [...new Set(code)].sort());
        assert.deepEqual(codeOf(japanese), codeOf(english));
    });
});
