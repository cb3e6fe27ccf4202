/**
 * What the other side needs for deltas, as one file that runs with Node.js and nothing else: `node receiver.mjs verify [--base BASE] FILE`
 * and `node receiver.mjs merge BASE DELTA -o FULL`.
 */
import { createReadStream } from "node:fs";
import { parseArgs } from "node:util";

import { messageOf } from "../contract/errors";
import type { Since } from "../contract/record";
import { baseProblems, baseText, mergeArchives, needsNoBase, recordBeside } from "../exporter/archive/merge";
import { readArchive } from "../exporter/archive/readArchive";
import { verifyArchive } from "../exporter/archive/verify";
import { stopSignal } from "../exporter/stopSignal";

const usage = `Usage:
  node receiver.mjs verify [--base BASE] [--deep] FILE
  node receiver.mjs merge BASE DELTA -o FULL
`;

const signal = stopSignal();

/** @returns what is wrong, and what to say where nothing is */
async function verify(file: string, base: string | undefined, deep: boolean) {
    const record = await recordBeside(file);
    const { problems, sha256, contents } = await verifyArchive(createReadStream(file, { signal }), record, { deep });
    const since = record?.since ?? null;
    const others = base === undefined ? [] : await compareBase(since, base);
    const needs = since === null ? "" : `It needs ${baseText(since)}.\n`;
    const without = record === undefined ? " as far as it could be checked: there is no record" : "";
    const said = `good${without}: ${contents.names.join(", ")}\nSHA-256 ${sha256}\n${needs}`;
    return { problems: [...problems, ...others], said };
}

async function compareBase(since: Since | null, base: string): Promise<string[]> {
    if (since === null) return [needsNoBase];
    return baseProblems(since, await readArchive(createReadStream(base, { signal })), await recordBeside(base));
}

async function main(): Promise<number> {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: { base: { type: "string" }, deep: { type: "boolean" }, output: { type: "string", short: "o" } },
    });
    const [command, first, second] = positionals;
    if (command === "merge" && first !== undefined && second !== undefined && values.output !== undefined) {
        const { archive } = await mergeArchives(first, second, values.output, { signal });
        process.stdout.write(`merged: ${values.output}\nSHA-256 ${archive.sha256}\n`);
        return 0;
    }
    if (command === "verify" && first !== undefined && second === undefined) {
        const { problems, said } = await verify(first, values.base, values.deep === true);
        process.stdout.write(problems.length === 0 ? said : problems.map((each) => `wrong: ${each}\n`).join(""));
        return problems.length === 0 ? 0 : 1;
    }
    process.stderr.write(usage);
    return 2;
}

main().then(
    (code) => process.exit(code),
    (error: unknown) => {
        process.stderr.write(`${messageOf(signal.reason ?? error)}\n`);
        process.exit(1);
    },
);
