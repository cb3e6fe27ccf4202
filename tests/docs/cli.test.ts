import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { commands } from "../../cli/commands";
import { usageLine } from "../../cli/help";
import { stackVariables } from "../../cli/stack";

const page = readFileSync(join(__dirname, "../../docs/cli.md"), "utf8");
const sections = new Map(
    page.split(/^## /m).map((section) => [section.split("\n")[0]?.replaceAll("`", "") ?? "", section]),
);

describe("docs/cli.md", () => {
    for (const [name, { load }] of Object.entries(commands)) {
        it(`has a section for ${name} with its usage, an example, and every option`, () => {
            const section = sections.get(name) ?? assert.fail(`no section ## ${name}`);
            const { command } = load();
            const positionals = usageLine(name, { ...command, options: {} });
            assert.ok(section.includes(`\nnpx ${positionals}`), `an example of npx ${positionals}`);
            const told = [...section.matchAll(/^\| `(?:-\w, )?--([\w-]+)/gm)].map(([, option]) => option);
            assert.deepEqual(told.sort(), Object.keys(command.options).sort());
        });
    }

    it("names every variable", () => {
        for (const variable of Object.values(stackVariables)) assert.ok(page.includes(`\`${variable}\``));
    });
});
