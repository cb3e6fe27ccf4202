/** Every block of commands of the pages is exercised, or it is said why not; every `pulumi` command exists. */
import { strict as assert } from "node:assert";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseConfig } from "../../config";
import { root, stackConfiguration } from "../../lab/stackFiles";
import { isInstalled } from "../support/build";
import { documentedCommands, type Exercise } from "../support/documentedCommands";
import { type CodeBlock, listPages, type Page, readPage } from "../support/markdown";
import { type PulumiCall, pulumiCallsIn, readPulumiCall } from "../support/pulumiCommands";

/** README.ja.md has the commands of README.md, which another test compares. */
const files = listPages().filter((file) => !file.endsWith(".ja.md"));
const namespace = "ecr-image-export:";

describe("the commands of the documentation", () => {
    let folder: string;
    const pages = new Map<string, Page>();

    before(async () => {
        folder = mkdtempSync(join(tmpdir(), "image-export-docs-"));
        for (const file of files) pages.set(file, await readPage(file));
    });
    after(() => {
        rmSync(folder, { recursive: true, force: true });
    });

    function blocksOf(file: string): CodeBlock[] {
        return pages.get(file)?.blocks.filter(({ language }) => language === "sh") ?? [];
    }

    /** The blocks that are exercised in one way. */
    function blocksFor(exercise: Exercise): CodeBlock[] {
        return Object.entries(documentedCommands).flatMap(([file, entries]) =>
            blocksOf(file).filter((_, at) => entries[at]?.[1] === exercise),
        );
    }

    it("are listed in tests/support/documentedCommands.ts", () => {
        for (const file of files) {
            const listed = documentedCommands[file] ?? [];
            const shown = blocksOf(file).map(({ code }, at) => {
                const begins = listed[at]?.[0] ?? "";
                return begins !== "" && code.startsWith(begins) ? begins : code;
            });
            assert.deepEqual(
                shown,
                listed.map(([begins]) => begins),
                file,
            );
        }
    });

    it("are in blocks of the language sh", () => {
        const others = [...pages].flatMap(([file, { blocks }]) =>
            blocks
                .filter(({ language }) => ["", "bash", "shell", "console"].includes(language))
                .map(({ line }) => `${file}:${line}`),
        );
        assert.deepEqual(others, [], "name the language: sh, text, json, yaml, …");
    });

    it("are clean to shellcheck (skipped where that is not installed)", function () {
        if (!isInstalled("shellcheck")) this.skip();
        const scripts = files.flatMap((file) =>
            blocksOf(file).map(({ code, line }) => {
                const script = join(folder, `${file.replaceAll("/", "_")}:${line}`);
                writeFileSync(script, `${code}\n`);
                return script;
            }),
        );
        // SC2154, SC2034: variables of an earlier block, or for a later one. SC2164: a folder that is not there is seen by
        // whoever types. SC1090: what a command prints cannot be followed.
        const options = ["--shell=bash", "--severity=warning", "--exclude=SC2154,SC2034,SC2164,SC1090"];
        const { stdout } = spawnSync("shellcheck", [...options, ...scripts], { encoding: "utf8" });
        assert.equal(stdout, "");
    });

    it("that .ci/run is said to run are run there", () => {
        const ci = [".ci/prepare", ".ci/run"]
            .flatMap((file) => readFileSync(join(root, file), "utf8").split("\n"))
            .map((line) => line.replace(/^run /, "").replace("npm run -s", "npm run"));
        const commands = blocksFor("ci").flatMap(({ code }) => code.split(/\n| && /));
        assert(commands.length > 0);
        for (const command of commands) {
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

    describe("of Pulumi", () => {
        it("are known with their options", () => {
            let count = 0;
            for (const [file, { blocks, headings }] of pages) {
                const code = [...blocks.map((block) => block.code), ...headings.flatMap((each) => each.code)];
                for (const args of code.flatMap(pulumiCallsIn)) {
                    assert.doesNotThrow(() => readPulumiCall(args), file);
                    count++;
                }
            }
            assert(count > 50);
        });
    });

    describe("that configure a stack", () => {
        before(function () {
            if (!isInstalled("jq")) this.skip();
        });

        /** Runs commands with a `pulumi` that notes its arguments; returns these calls. */
        function callsOf(code: string): PulumiCall[] {
            const log = join(folder, "calls");
            rmSync(log, { force: true });
            const pulumi = `#!/bin/bash\njq -nc '$ARGS.positional' --args -- "$@" >> '${log}'\n`;
            writeFileSync(join(folder, "pulumi"), pulumi, { mode: 0o755 });
            writeFileSync(join(folder, "npm"), "#!/bin/bash\n", { mode: 0o755 });
            const env = { ...process.env, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
            execFileSync("bash", ["-euo", "pipefail", "-c", code], { cwd: root, env, stdio: "pipe" });
            const calls = readFileSync(log, "utf8").trim().split("\n");
            return calls.map((call) => readPulumiCall(JSON.parse(call) as string[]));
        }

        it("give a configuration that the program takes", () => {
            const blocks = blocksFor("configuration");
            assert(blocks.length >= 4);
            for (const { code } of blocks) {
                const calls = callsOf(code).filter(({ command }) => command === "config set");
                const stacks = new Set(calls.map(({ options }) => String(options["--stack"])));
                assert.equal(stacks.size, 1, code);
                const [stack = ""] = stacks;
                const values: Record<string, string | undefined> = { ...stackConfiguration(stack) };
                for (const call of calls) set(values, call);
                const own = Object.entries(values).flatMap(([key, value]) =>
                    key.startsWith(namespace) ? [[key.slice(namespace.length), value]] : [],
                );
                const of = { project: "ecr-image-export", stack };
                parseConfig(Object.fromEntries(own) as Record<string, unknown>, values["aws:region"], of);
            }
        });
    });
});

/** Does to the configuration what `pulumi config set` does: paths lead into lists and objects of the stack's file. */
function set(values: Record<string, string | undefined>, { positional, options }: PulumiCall): void {
    const [key = "", value = ""] = positional;
    assert.equal(positional.length, 2, `config set ${positional.join(" ")}`);
    if (options["--path"] !== true) {
        values[key.includes(":") ? key : `${namespace}${key}`] = value;
        return;
    }
    const [, name = "", index, field] = /^(\w+)(?:\[(\d+)\]|\.(\w+))$/.exec(key) ?? assert.fail(`${key}: no path`);
    const before = JSON.parse(values[`${namespace}${name}`] ?? "null") as object | null;
    // Numbers and truth values are taken for what they look like.
    const typed = /^(?:\d+|true|false)$/.test(value) ? (JSON.parse(value) as unknown) : value;
    const after =
        field === undefined ? Object.assign([], before, { [Number(index)]: typed }) : { ...before, [field]: typed };
    values[`${namespace}${name}`] = JSON.stringify(after);
}
