import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

import type { Context } from "../../cli/context";
import { createProgram } from "../../cli/program";
import { run } from "./support/context";

const { commands } = createProgram({ stdout: {}, stderr: {} } as Context, () => undefined);

/** What bash offers for the last of some words. */
async function offered(...words: string[]): Promise<string[]> {
    const { stdout } = await run({ args: ["completion", "bash"] });
    const script = `${stdout}
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _image_export
        printf '%s\\n' "\${COMPREPLY[@]}"`;
    const said = execFileSync("bash", ["-c", script, "bash", "image-export", ...words], { encoding: "utf8" });
    return said.split("\n").filter((word) => word !== "");
}

describe("image-export completion", () => {
    it("offers commands, options and known values, and leaves files to the shell", async () => {
        assert.deepEqual(
            await offered(""),
            commands.map((command) => command.name()),
        );
        assert.deepEqual(await offered("sta"), ["start", "status"]);
        assert.deepEqual(await offered("--"), ["--help", "--version"]);
        assert.deepEqual(await offered("completion", ""), ["bash", "zsh"]);
        assert.deepEqual(await offered("batch", ""), []);
        for (const command of commands) {
            const options = command.options.map(({ long }) => long);
            assert.deepEqual(await offered(command.name(), "--"), [...options, "--help"]);
        }
    });

    it("has a script for zsh, which is bash's", async () => {
        const zsh = await run({ args: ["completion", "zsh"] });
        assert.match(zsh.stdout, /^autoload -U \+X bashcompinit && bashcompinit\n_image_export\(\) \{\n/);
    });

    it("refuses another shell", async () => {
        const { exitCode, stderr } = await run({ args: ["completion", "tcsh"] });
        assert.equal(exitCode, 2);
        assert.match(stderr, /'tcsh' is invalid.*bash, zsh/);
    });
});
