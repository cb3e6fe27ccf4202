import assert from "node:assert/strict";

import type { Context } from "../../cli/context";
import { version } from "../../cli/package.json";
import { createProgram } from "../../cli/program";
import { run } from "./support/context";

const { commands } = createProgram({ stdout: {}, stderr: {} } as Context, () => undefined);

describe("the command line", () => {
    it("lists every command in its help, on stdout", async () => {
        const { exitCode, stdout, stderr } = await run({ args: ["--help"] });
        assert.deepEqual([exitCode, stderr], [0, ""]);
        assert.equal(commands.length, 12);
        for (const command of commands) {
            assert.match(stdout, new RegExp(`^ {2}${command.name()} .*[A-Z]\\w+ [a-z]`, "m"));
        }
    });

    it("prints the help to stderr and fails where no command is given", async () => {
        const { exitCode, stdout, stderr } = await run({ args: [] });
        assert.deepEqual([exitCode, stdout], [2, ""]);
        assert.match(stderr, /^Usage: image-export/);
    });

    it("prints its version", async () => {
        const { exitCode, stdout } = await run({ args: ["--version"] });
        assert.deepEqual([exitCode, stdout], [0, `${version}\n`]);
    });

    for (const given of ["sotp", "--nothing", "toString", "__proto__"]) {
        it(`refuses ${given}`, async () => {
            const { exitCode, stderr } = await run({ args: [given] });
            assert.equal(exitCode, 2);
            assert.match(stderr, new RegExp(`^Error Unknown (command|option) '${given}'`));
            assert.match(stderr, /next See .*image-export/);
        });
    }

    for (const command of commands) {
        const name = command.name();
        it(`has help with every option and an example for ${name}`, async () => {
            for (const args of [
                [name, "--help"],
                ["help", name],
            ]) {
                const { exitCode, stdout } = await run({ args });
                assert.equal(exitCode, 0);
                for (const { long } of command.options) assert.ok(stdout.includes(String(long)), long);
                assert.match(stdout, new RegExp(`^Example: image-export ${name}\\b`, "m"));
            }
        });

        it(`refuses an option that ${name} does not have`, async () => {
            const { exitCode, stderr } = await run({ args: [name, "--no-such-option"] });
            assert.equal(exitCode, 2);
            assert.match(stderr, /^Error Unknown option '--no-such-option'\.\n/);
            assert.ok(stderr.includes(`image-export ${name} --help`));
        });
    }

    it("refuses too few and too many arguments", async () => {
        const none = await run({ args: ["stop"] });
        assert.equal(none.exitCode, 2);
        assert.match(none.stderr, /^Error Missing required argument 'EXECUTION'\.\n/);
        const two = await run({ args: ["stop", "one", "two"] });
        assert.equal(two.exitCode, 2);
        assert.match(two.stderr, /^Error Too many arguments for 'stop'/);
    });
});
