import { strict as assert } from "node:assert";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { root, stackConfiguration } from "../../lab/stackFiles";
import { isInstalled } from "../support/build";
import { documentedCommands, type Exercise } from "../support/documentedCommands";
import { type CodeBlock, listPages, readPage } from "../support/markdown";
import { evaluateStack } from "../../lab/program";

const commandsOf = async (page: string) =>
    (await readPage(page)).blocks.filter(({ language }) => language === "sh");

const firstLine = ({ code }: CodeBlock) => code.split("\n")[0] ?? "";

/** The blocks that are exercised in one way. */
async function blocksFor(exercise: Exercise): Promise<CodeBlock[]> {
    const pages = Object.entries(documentedCommands).map(async ([page, entries]) => {
        const blocks = await commandsOf(page);
        return blocks.filter((_, at) => entries[at]?.[1] === exercise);
    });
    return (await Promise.all(pages)).flat();
}

describe("the commands of the documentation", () => {
    for (const [page, entries] of Object.entries(documentedCommands)) {
        it(`are each exercised, or it is said why not: ${page}`, async () => {
            assert.deepEqual(
                (await commandsOf(page)).map(firstLine),
                entries.map(([begins]) => begins),
                "list the block in tests/support/documentedCommands.ts",
            );
        });
    }

    it("are in blocks of the language sh", async () => {
        for (const page of listPages()) {
            const { blocks } = await readPage(page);
            const others = blocks.filter(({ language }) =>
                ["", "bash", "shell", "console"].includes(language),
            );
            assert.deepEqual(
                others.map(firstLine),
                [],
                `${page}: name the language: sh, text, json, yaml, …`,
            );
        }
    });

    for (const page of listPages()) {
        it(`are clean to shellcheck: ${page} (skipped where that is not installed)`, async function () {
            if (!isInstalled("shellcheck")) this.skip();
            for (const { code, line } of await commandsOf(page)) {
                // SC2154, SC2034: variables of an earlier block, or for a later one. SC2164: a folder that is not there is
                // seen by whoever types. SC1090: what a command prints cannot be followed.
                const exclude = "--exclude=SC2154,SC2034,SC2164,SC1090";
                const options = ["--shell=bash", "--severity=warning", exclude, "-"];
                const { stdout } = spawnSync("shellcheck", options, { input: code, encoding: "utf8" });
                assert.equal(stdout, "", `${page}:${line}`);
            }
        });
    }

    it("that .ci/run is said to run are run there", async () => {
        const ci = readFileSync(join(root, ".ci/run"), "utf8").split("\n");
        const blocks = await blocksFor("ci");
        assert(blocks.length > 0);
        for (const command of blocks.flatMap(({ code }) => code.split(/\n| && /))) {
            assert(
                ci.some((line) => line.startsWith(command)),
                command,
            );
        }
    });

    it("that a test of their own is said to run have that test", () => {
        for (const [, exercise] of Object.values(documentedCommands).flat()) {
            if (typeof exercise === "string" || !("test" in exercise)) continue;
            const source = readFileSync(join(root, exercise.test), "utf8");
            assert(source.includes(`"${exercise.title}"`), `${exercise.test}: ${exercise.title}`);
        }
    });

    it("that can be run as they are succeed", async () => {
        const blocks = await blocksFor("run");
        assert(blocks.length > 0);
        for (const { code } of blocks) {
            assert.notEqual(
                execFileSync("bash", ["-euo", "pipefail", "-c", code], { cwd: root, stdio: "pipe" }).length,
                0,
            );
        }
    });

    describe("that configure a stack", () => {
        let folder: string;
        before(function () {
            if (!isInstalled("jq")) this.skip();
        });
        beforeEach(() => {
            folder = mkdtempSync(join(tmpdir(), "image-export-docs-"));
        });
        afterEach(() => {
            rmSync(folder, { recursive: true, force: true });
        });

        /** Runs commands with a `pulumi` that notes its arguments; returns these, a list a call. */
        function callsOf(code: string): string[][] {
            const log = join(folder, "calls");
            rmSync(log, { force: true });
            const network =
                '{"vpcId":"vpc-0a1b2c3d","subnetIds":["subnet-0a1b2c3d"],"securityGroupIds":["sg-0a1b2c3d"]}';
            writeFileSync(
                join(folder, "pulumi"),
                `#!/bin/bash\njq -nc '$ARGS.positional' --args -- "$@" >> '${log}'\n[[ "$*" != "stack output network "* ]] || echo '${network}'\n`,
                { mode: 0o755 },
            );
            writeFileSync(join(folder, "npm"), "#!/bin/bash\n", { mode: 0o755 });
            const env = { ...process.env, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
            execFileSync("bash", ["-euo", "pipefail", "-c", code], { cwd: root, env, stdio: "pipe" });
            return readFileSync(log, "utf8")
                .trim()
                .split("\n")
                .map((call) => JSON.parse(call) as string[]);
        }

        it("are taken by the program", async () => {
            const blocks = await blocksFor("configuration");
            assert(blocks.length >= 5);
            for (const block of blocks) {
                const calls = callsOf(block.code).map(readCall);
                // A stack of examples/vpc is none of this program.
                const ofProgram = calls.filter(({ stack }) => stack !== undefined && stack !== "builds");
                const stacks = new Set(ofProgram.map(({ stack }) => stack));
                assert.equal(stacks.size, 1, block.code);
                const [stack = "dev"] = stacks;
                const configuration: Record<string, unknown> = {};
                for (const call of calls.filter((call) => call.stack !== "builds"))
                    set(configuration, call, stack);
                const changes = Object.fromEntries(
                    Object.entries(configuration).map(([key, value]) => [
                        key,
                        typeof value === "string" ? value : JSON.stringify(value),
                    ]),
                );
                assert(Object.keys(changes).length > 0, block.code);
                const program = await evaluateStack(stack, false, changes);
                assert(program.typesAndNames().length > 10);
            }
        });
    });
});

/** A call of the Pulumi CLI, read as it reads it; what it would refuse is refused. */
interface Call {
    readonly command: string;
    readonly positional: readonly string[];
    /** The stack that is named, if one is. */
    readonly stack: string | undefined;
    readonly isPath: boolean;
}

function readCall(args: readonly string[]): Call {
    const commands = ["stack init", "stack output", "config set", "preview", "up"];
    const command = commands.find((name) => `${args.join(" ")} `.startsWith(`${name} `));
    assert(command, `pulumi ${args.join(" ")}: no command that this test knows`);
    const positional: string[] = [];
    let stack: string | undefined;
    let isPath = false;
    const rest = args.slice(command.split(" ").length);
    for (let at = 0; at < rest.length; at++) {
        const arg = rest[at] ?? "";
        if (arg === "--stack") stack = rest[++at];
        else if (arg === "--path") isPath = true;
        else if (arg === "--json") assert.equal(command, "stack output");
        else {
            assert(!arg.startsWith("-"), `pulumi ${args.join(" ")}: unknown option ${arg}`);
            positional.push(arg);
        }
    }
    const expected = { "stack init": 1, "stack output": 1, "config set": 2, preview: 0, up: 0 };
    assert.equal(positional.length, expected[command as keyof typeof expected], `pulumi ${args.join(" ")}`);
    return { command, positional, stack: command === "stack init" ? positional[0] : stack, isPath };
}

/** Does to the configuration what `pulumi config set` does: paths lead into lists and objects of the stack's file. */
function set(
    configuration: Record<string, unknown>,
    { command, positional, isPath }: Call,
    stack: string,
): void {
    if (command !== "config set") return;
    const [key = "", value = ""] = positional;
    if (!isPath) {
        configuration[key.includes(":") ? key : `ecr-image-export:${key}`] = value;
        return;
    }
    const [, name = "", path = ""] = /^(\w+)(.*)$/.exec(key) ?? [];
    const full = `ecr-image-export:${name}`;
    const before = configuration[full] ?? (JSON.parse(stackConfiguration(stack)[full] ?? "null") as unknown);
    const index = /^\[(\d+)\]$/.exec(path)?.[1];
    const field = /^\.(\w+)$/.exec(path)?.[1];
    assert(index ?? field, `${key}: a path that this test does not know`);
    // Numbers and truth values are taken for what they look like.
    const typed = /^(?:\d+|true|false)$/.test(value) ? (JSON.parse(value) as unknown) : value;
    if (field === undefined) configuration[full] = Object.assign([], before, { [Number(index)]: typed });
    else configuration[full] = { ...(before as object), [field]: typed };
}
