/**
 * Every stack file of the project on Pulumi's own engine, and each key changed there, to and fro. What comes of it is listed in
 * docs/results/changes.md, which WRITE_CHANGES=1 writes, then by previews only.
 */
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { type Change, commonChanges, otherChanges, stacks } from "./changes";
import type { Operation } from "./engineStack";
import { describeStack, type Outcome, reasonOf, summaryOf } from "./stackLife";

const all = [...commonChanges, ...otherChanges];
const outcomes: Outcome[] = [];

for (const name of Object.keys(stacks) as (keyof typeof stacks)[]) {
    const changes = all.filter(({ stack }) => stack === name);
    describeStack(name, changes, (outcome) => outcomes.push(outcome));
}

describe("docs/results/changes.md", () => {
    const page = join(root, "docs/results/changes.md");
    const marks = ["<!-- changes -->\n\n", "\n\n<!-- /changes -->"] as const;

    it("lists what comes of each change", () => {
        const text = readFileSync(page, "utf8");
        const [before = "", rest = ""] = text.split(marks[0]);
        const [listed = "", after = ""] = rest.split(marks[1]);
        const rowOf = ({ change, preview }: Outcome) => `${headOf(change)} ${resultOf(preview)} |`;
        // Of stacks that have not run, the rows of before.
        const rows = all.flatMap((change) => {
            const outcome = outcomes.find((each) => each.change === change);
            if (outcome !== undefined) return [rowOf(outcome)];
            return listed.split("\n").filter((line) => line.startsWith(headOf(change)));
        });
        const table = ["| stack | change | in AWS |", "| --- | --- | --- |", ...rows].join("\n");
        if (process.env["WRITE_CHANGES"]) writeFileSync(page, [before, marks[0], table, marks[1], after].join(""));
        else assert.equal(listed, table);
    });
});

function headOf({ stack, what }: Change): string {
    return `| \`${stack}\` | ${what} |`;
}

function resultOf({ succeeded, steps, errors }: Operation): string {
    if (!succeeded) return `**refused**: ${reasonOf(errors)}`;
    return summaryOf(steps.filter(({ type }) => type.startsWith("aws"))) || "nothing in AWS";
}
