/** Every command of Pulumi that the pages name exists in the CLI that the engine's tests run on, with its options. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";

import { pulumiCommands } from "../support/pulumiCommands";

describe("the commands of Pulumi in the pages", () => {
    for (const [command, options] of Object.entries(pulumiCommands)) {
        it(`exist in the CLI: ${command}`, () => {
            const help = execFileSync("pulumi", [...command.split(" "), "--help"], { encoding: "utf8" });
            // Of a command that does not exist, the CLI shows the help of the one above it.
            const names = [...help.matchAll(/^(?:Usage|Aliases):\n(.*)$/gm)].map(([, line]) => line).join(" ");
            const [name = ""] = command.split(" ").slice(-1);
            assert(new RegExp(`\\b${name}\\b`).test(names), names);
            for (const option of options) assert(help.includes(`${option} `), option);
        });
    }
});
