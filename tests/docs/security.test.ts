import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { resourceRules, stackRules } from "../support/guardRails";

const page = readFileSync(join(root, "docs", "security.md"), "utf8");
/** The page without its line breaks, which may part a file from a title. */
const text = page.replaceAll(/\s+/g, " ");

describe("docs/security.md", () => {
    const named = [...text.matchAll(/`(tests\/[^`]+\.test\.ts)`: "([^"]+)"/g)];

    it("names a test wherever it names a file of tests", () => {
        assert(named.length > 20);
        assert.equal(named.length, [...text.matchAll(/`tests\//g)].length);
    });

    for (const [, file = "", title = ""] of named) {
        it(`names a test that exists: ${file}, ${title}`, () => {
            const source = readFileSync(join(root, file), "utf8");
            assert(source.includes(`"${title}"`), `no such title in ${file}`);
        });
    }

    it("shows for each threat a test", () => {
        const [, threats = ""] = /## Threats(.*?)\n## /s.exec(page) ?? [];
        const [, ...sections] = threats.split(/^### /m);
        assert(sections.length >= 7);
        for (const section of sections) assert.match(section, /`tests\//, section.split("\n")[0]);
    });

    it("describes every rule of the policy pack, and no other", () => {
        const [, rules = ""] = /## Guard rails(.*)/s.exec(page) ?? [];
        const described = [...rules.matchAll(/^\| `([a-z-]+)`/gm)].map(([, rule]) => rule);
        assert.deepEqual(described, [...Object.keys(resourceRules), ...Object.keys(stackRules)]);
    });
});
