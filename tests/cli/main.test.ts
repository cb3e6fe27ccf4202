import assert from "node:assert/strict";

import { commands } from "../../cli/commands";
import { run } from "./support/context";

describe("the command line", () => {
    it("lists every command in its help, on stdout", async () => {
        const { exitCode, stdout, stderr } = await run({ args: ["--help"] });
        assert.equal(exitCode, 0);
        assert.equal(stderr, "");
        for (const [name, { summary }] of Object.entries(commands)) {
            assert.match(stdout, new RegExp(`^ {2}${name} +${summary}$`, "m"));
        }
    });

    it("prints the help to stderr and fails where no command is given", async () => {
        const { exitCode, stdout, stderr } = await run({ args: [] });
        assert.equal(exitCode, 2);
        assert.equal(stdout, "");
        assert.match(stderr, /^Usage {2}image-export COMMAND/m);
    });

    it("tells its version", async () => {
        assert.deepEqual((await run({ args: ["--version"] })).stdout, "1.2.3\n");
    });

    for (const given of ["sotp", "--nothing", "toString", "__proto__"]) {
        it(`refuses ${given}`, async () => {
            const { exitCode, stderr } = await run({ args: [given] });
            assert.equal(exitCode, 2);
            assert.match(
                stderr,
                new RegExp(`^Error There is no (command|option) ${given}\\.\n +next See all`),
            );
        });
    }

    for (const [name, { load, summary }] of Object.entries(commands)) {
        it(`has help with every option and an example for ${name}`, async () => {
            const { command } = load();
            for (const args of [
                [name, "--help"],
                [name, "-h"],
                ["help", name],
            ]) {
                const { exitCode, stdout } = await run({ args });
                assert.equal(exitCode, 0);
                assert.ok(stdout.startsWith(`image-export ${name}: ${summary}\n`));
                for (const option of Object.keys(command.options)) assert.ok(stdout.includes(`--${option}`));
                assert.notEqual(command.examples.length, 0);
                for (const example of command.examples)
                    assert.ok(stdout.includes(`\n  ${example.command}\n`));
            }
        });

        it(`declares ${name} in the way of the others`, () => {
            const { command } = load();
            assert.match(summary, /^[a-z].*[^.]$/);
            for (const [option, { description, value, type }] of Object.entries(command.options)) {
                assert.match(description, /[^.]$/, option);
                assert.equal(value !== undefined, type === "string", `${option} has a value's name`);
            }
            // A required argument cannot follow one that may be missing.
            const optional = command.positionals.map((each) => each.startsWith("["));
            assert.deepEqual(optional, [...optional].sort());
            for (const example of command.examples)
                assert.ok(example.command.includes(`image-export ${name}`));
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
        assert.match(none.stderr, /^Error image-export stop takes EXECUTION; given: none\.\n/);
        const two = await run({ args: ["stop", "one", "two"] });
        assert.equal(two.exitCode, 2);
        assert.match(two.stderr, /given: one two\.\n/);
    });
});
