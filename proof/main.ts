/** `npm run prove`: holds every permission of the program to its proof. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { root } from "../lab/stackFiles";
import { proveAllByEvaluation } from "./evaluation";
import { reportPage, requestCounts } from "./report";
import { proveByRunning } from "./running";

const page = join(root, "docs", "least-privilege.md");

const usage = `Usage: npm run prove [-- OPTIONS]

Proves that each role of the program has the permissions that it needs and no other: judges requests by the declared
policies, and runs the lab (Linux, root) with each permission taken away. Writes docs/least-privilege.md.

  --check   compare docs/least-privilege.md instead of writing it
  --no-lab  leave out what needs the lab
  --help    show this text
`;

interface Options {
    readonly check: boolean;
    readonly lab: boolean;
    readonly help: boolean;
}

function readOptions(): Options | undefined {
    try {
        return parseArgs({
            options: {
                check: { type: "boolean", default: false },
                lab: { type: "boolean", default: true },
                help: { type: "boolean", default: false },
            },
            allowNegative: true,
        }).values;
    } catch (error) {
        console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
        return undefined;
    }
}

async function main(): Promise<number> {
    const options = readOptions();
    if (options === undefined) return 2;
    if (options.help) {
        console.log(usage);
        return 0;
    }
    const { evaluated, problems: found } = await proveAllByEvaluation();
    const problems = [...found];
    for (const each of evaluated) console.log(requestCounts(each));

    for (const engine of options.lab ? (["docker", "stream"] as const) : []) {
        problems.push(...(await proveByRunning(engine, console.log)));
    }
    problems.push(
        ...settlePage(reportPage(evaluated.map(({ program }) => program)), options.check, problems.length === 0),
    );
    for (const problem of problems) console.log(`\n✘ ${problem}`);
    const requests = evaluated.reduce((sum, { rows }) => sum + rows.length, 0);
    console.log(
        problems.length === 0
            ? `\n✔ proven: ${requests} requests judged${options.lab ? ", every permission of the lab needed" : ""}`
            : `\n✘ ${problems.length} without proof`,
    );
    return problems.length === 0 ? 0 : 1;
}

/** Writes the page, or compares it; a page is only written of what holds. */
function settlePage(text: string, check: boolean, holds: boolean): string[] {
    if (check) {
        return readFileSync(page, "utf8") === text
            ? []
            : ["docs/least-privilege.md is not what the proof writes: run npm run prove"];
    }
    if (holds) writeFileSync(page, text);
    return [];
}

main().then(
    (code) => {
        process.exitCode = code;
    },
    (error: unknown) => {
        console.error(`✘ ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        process.exitCode = 1;
    },
);
