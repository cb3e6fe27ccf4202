import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";

import { root } from "../../lab/stackFiles";
import { listPages, type Page, parsePage, readPage } from "../support/markdown";

/** What is wrong with the links of a page that lead to files and sections of the repository. */
async function brokenLinks(file: string, page: Page): Promise<string[]> {
    const broken: string[] = [];
    for (const link of page.links.filter((url) => !/^[a-z]+:/.test(url))) {
        const [path = "", anchor] = decodeURI(link).split("#");
        const target = path === "" ? file : relative(root, join(root, dirname(file), path));
        if (!existsSync(join(root, target))) {
            broken.push(`${file}: ${link}: there is no ${target}`);
        } else if (anchor !== undefined && target.endsWith(".md")) {
            const { headings } = target === file ? page : await readPage(target);
            if (!headings.some((heading) => heading.anchor === anchor)) {
                broken.push(`${file}: ${link}: no heading of ${target} has this name`);
            }
        }
    }
    return broken;
}

describe("the documentation", () => {
    const pages = listPages();

    it("is found", () => {
        for (const page of ["README.md", "CHANGELOG.md", "docs/security.md", "bench/README.md"]) {
            assert(pages.includes(page), page);
        }
    });

    for (const file of pages) {
        it(`links to files and sections that exist: ${file}`, async () => {
            assert.deepEqual(await brokenLinks(file, await readPage(file)), []);
        });
    }

    it("can be reached from the README", async () => {
        const { links } = await readPage("README.md");
        const linked = new Set(links.map((link) => link.split("#")[0]));
        // docs/results/deep.md is the result of .ci/deep.
        const unlinked = pages.filter((page) => /^docs\/(?!deep)[^/]+\.md$/.test(page) && !linked.has(page));
        assert.deepEqual(unlinked, [], "add these pages to “Read on” in README.md");
    });

    it("would be seen to have a broken link", async () => {
        const page = await parsePage(
            "# A title: `x`, 日本語\n\n## Same\n\n## Same\n\n[a](#a-title-x-日本語) [b](#same-1) [c](#same-2) ![d](docs/none.svg) [e](docs/security.md#threats) [f](docs/security.md#threat) [g](https://example.com/#x) `[h](none)`\n",
        );
        assert.deepEqual(await brokenLinks("README.md", page), [
            "README.md: #same-2: no heading of README.md has this name",
            "README.md: docs/none.svg: there is no docs/none.svg",
            "README.md: docs/security.md#threat: no heading of docs/security.md has this name",
        ]);
    });
});
