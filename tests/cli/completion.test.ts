import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

import { commands } from "../../cli/commands";
import { run } from "./support/context";

/** What bash offers for the last of some words. */
async function offered(...words: string[]): Promise<string[]> {
    const { stdout } = await run({ args: ["completion", "bash"] });
    const script = `${stdout}
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _image_export
        printf '%s\\n' "\${COMPREPLY[@]}"`;
    const told = execFileSync("bash", ["-c", script, "bash", "image-export", ...words], { encoding: "utf8" });
    return told.split("\n").filter((word) => word !== "");
}

describe("image-export completion", () => {
    it("offers every command", async () => {
        assert.deepEqual(await offered(""), [...Object.keys(commands), "--help", "--version"]);
        assert.deepEqual(await offered("sta"), ["start", "status"]);
    });

    for (const [name, { load }] of Object.entries(commands)) {
        it(`offers every option of ${name}`, async () => {
            const options = [...Object.keys(load().command.options), "help"].map((option) => `--${option}`);
            assert.deepEqual(await offered(name, "--"), options);
        });
    }

    it("offers the shells, and leaves files to the shell elsewhere", async () => {
        assert.deepEqual(await offered("completion", ""), ["bash", "zsh", "fish"]);
        assert.deepEqual(await offered("batch", ""), []);
    });

    it("has a script for zsh, which is bash's, and one for fish with every option and its description", async () => {
        const zsh = await run({ args: ["completion", "zsh"] });
        assert.match(zsh.stdout, /^autoload -U \+X bashcompinit && bashcompinit\n_image_export\(\) \{\n/);
        const fish = await run({ args: ["completion", "fish"] });
        for (const [name, { load }] of Object.entries(commands)) {
            for (const [option, { description }] of Object.entries(load().command.options)) {
                const line = fish.stdout
                    .split("\n")
                    .find((each) => each.includes(`from ${name}' -l ${option} `));
                assert.ok(line?.endsWith(`-d '${description.replaceAll("'", String.raw`\'`)}'`), option);
            }
        }
    });

    it("refuses another shell", async () => {
        const { exitCode, stderr } = await run({ args: ["completion", "tcsh"] });
        assert.equal(exitCode, 2);
        assert.match(stderr, /^Error SHELL is "tcsh": expected bash, zsh, fish\./);
    });
});
