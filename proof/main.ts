/** `npm run prove`: holds every permission of the program to its proof. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Command } from "@commander-js/extra-typings";

import { engineNames } from "../contract/engine";
import { root } from "../lab/stackFiles";
import { type Evaluated, proveByEvaluation } from "./evaluation";
import { variants } from "./program";
import { reportPage, shownOn } from "./report";
import { proveByRunning, type Ran } from "./running";

const page = join(root, "docs", "results", "least-privilege.md");

const program = new Command()
    .name("npm run prove --")
    .description(
        "Proves that each role of the program has the permissions that it needs and no other: judges requests by the declared " +
            "policies, and runs the lab (Linux, root) with each permission taken away. Writes docs/results/least-privilege.md.",
    )
    .option("--check", "compare docs/results/least-privilege.md instead of writing it")
    .option("--no-lab", "leave out what needs the lab")
    .showHelpAfterError();

async function main(): Promise<void> {
    const { check, lab } = program.parse().opts();
    const evaluated: Evaluated[] = [];
    for (const variant of variants) {
        const each = await proveByEvaluation(variant);
        console.log(`${variant.name}: ${each.rows.length} requests`);
        evaluated.push(each);
    }
    const problems = evaluated.flatMap((each) => each.problems);
    const ran: Ran[] = [];
    for (const engine of lab ? engineNames : []) ran.push(await proveByRunning(engine, console.log));
    problems.push(...ran.flatMap((each) => each.problems));
    const unused = new Set(ran.flatMap((each) => each.unused));
    const needed = ran.flatMap((each) => each.needed).filter((each) => !unused.has(each));
    const last = readFileSync(page, "utf8");
    const text = reportPage(
        evaluated.map((each) => each.program),
        lab ? needed : shownOn(last),
    );
    if (check && last !== text) {
        problems.push("docs/results/least-privilege.md is not what the proof writes: run npm run prove");
    }
    for (const problem of problems) console.log(`\n✘ ${problem}`);
    if (problems.length > 0) {
        console.log(`\n✘ ${problems.length} without proof`);
        process.exitCode = 1;
        return;
    }
    // A page is only written of what holds.
    if (!check) writeFileSync(page, text);
    const requests = evaluated.reduce((sum, { rows }) => sum + rows.length, 0);
    console.log(`\n✔ proven: ${requests} requests judged${lab ? ", every permission of the lab needed" : ""}`);
}

void main();
