import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { type Context, exitCodes } from "../../cli/context";
import { createProgram } from "../../cli/program";
import { stateMachineVariable } from "../../cli/stack";

const page = readFileSync(join(__dirname, "../../docs/cli.md"), "utf8");
const { commands } = createProgram({ stdout: {}, stderr: {} } as Context, () => undefined);

/** A command as the page's table of commands has it. */
function rowOf(command: (typeof commands)[number]): string {
    const given = command.usage().replace("[options]", "").replace(/[<>]/g, "").trim();
    const options = command.options.map(({ long }) => `\`${long}\``);
    return withoutPadding(`| \`${`${command.name()} ${given}`.trim()}\` | ${options.join(" ")} |`);
}

function withoutPadding(line: string): string {
    return line.replace(/ +/g, " ");
}

describe("docs/cli.md", () => {
    const rows = page.split("\n").map(withoutPadding);

    for (const command of commands) {
        it(`has ${command.name()} with its arguments and every option`, () => {
            const row = rowOf(command);
            assert.ok(rows.includes(row), `expected the row ${row}`);
        });
    }

    it("has no command and no option that there is not", () => {
        const listed = rows.filter((row) => commands.some((each) => row.startsWith(`| \`${each.name()}`)));
        assert.equal(listed.length, commands.length);
        const known = new Set(commands.flatMap((command) => command.options.map(({ long }) => long)));
        for (const [option] of page.matchAll(/(?<=`| )--[a-z][a-z-]+/g)) {
            assert.ok(known.has(option) || option === "--help", option);
        }
    });

    it("names every exit code and the variable", () => {
        for (const code of Object.values(exitCodes)) assert.match(page, new RegExp(`\\b${code}\\b`));
        assert.ok(page.includes(`\`${stateMachineVariable}\``));
    });
});
