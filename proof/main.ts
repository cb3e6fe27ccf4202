/** `npm run prove`: holds every permission of the program to its proof. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { engineNames } from "../contract/engine";
import { messageOf } from "../contract/errors";
import { root } from "../lab/stackFiles";
import { proveAllByEvaluation } from "./evaluation";
import { reportPage, requestCounts } from "./report";
import { proveByRunning } from "./running";

const page = join(root, "docs", "results", "least-privilege.md");

const usage = `Usage: npm run prove [-- OPTIONS]

Proves that each role of the program has the permissions that it needs and no other: judges requests by the declared
policies, and runs the lab (Linux, root) with each permission taken away. Writes docs/results/least-privilege.md.

  --check   compare docs/results/least-privilege.md instead of writing it
  --no-lab  leave out what needs the lab
  --help    show this text
`;

async function main(): Promise<number> {
    const { values: options } = parseArgs({
        options: {
            check: { type: "boolean", default: false },
            lab: { type: "boolean", default: true },
            help: { type: "boolean", default: false },
        },
        allowNegative: true,
    });
    if (options.help) {
        console.log(usage);
        return 0;
    }
    const { evaluated, problems: found } = await proveAllByEvaluation();
    const problems = [...found];
    for (const each of evaluated) console.log(requestCounts(each));
    for (const engine of options.lab ? engineNames : []) problems.push(...(await proveByRunning(engine, console.log)));
    const text = reportPage(evaluated.map(({ program }) => program));
    if (options.check && readFileSync(page, "utf8") !== text) {
        problems.push("docs/results/least-privilege.md is not what the proof writes: run npm run prove");
    }
    for (const problem of problems) console.log(`\n✘ ${problem}`);
    if (problems.length > 0) {
        console.log(`\n✘ ${problems.length} without proof`);
        return 1;
    }
    // A page is only written of what holds.
    if (!options.check) writeFileSync(page, text);
    const requests = evaluated.reduce((sum, { rows }) => sum + rows.length, 0);
    console.log(`\n✔ proven: ${requests} requests judged${options.lab ? ", every permission of the lab needed" : ""}`);
    return 0;
}

main().then(
    (code) => {
        process.exitCode = code;
    },
    (error: unknown) => {
        const isUsage = String((error as { code?: unknown } | null)?.code).startsWith("ERR_PARSE_ARGS");
        console.error(isUsage ? `${messageOf(error)}\n\n${usage}` : error);
        process.exitCode = isUsage ? 2 : 1;
    },
);
