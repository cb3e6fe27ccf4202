import { strict as assert } from "node:assert";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";

const page = readFileSync(join(root, "docs", "security.md"), "utf8");
/** The page without its line breaks, which may part a file from a title. */
const text = page.replaceAll(/\s+/g, " ");

describe("docs/security.md", () => {
    const named = [...text.matchAll(/`(tests\/[^`]+\.test\.ts)`: "([^"]+)"/g)];

    it("names a test wherever it names a file of tests", () => {
        assert(named.length > 20);
        assert.equal(named.length, [...text.matchAll(/`tests\//g)].length);
    });

    it("names tests that exist", () => {
        const missing = named.filter(([, file = "", title = ""]) => {
            const path = join(root, file);
            return !existsSync(path) || !readFileSync(path, "utf8").includes(`"${title}"`);
        });
        assert.deepEqual(
            missing.map(([each]) => each),
            [],
        );
    });

    it("shows a test for each threat", () => {
        const [, threats = ""] = /## Threats(.*?)\n## /s.exec(page) ?? [];
        const [, ...sections] = threats.split(/^### /m);
        assert(sections.length >= 7);
        for (const section of sections) assert.match(section, /`tests\//, section.split("\n")[0]);
    });
});
