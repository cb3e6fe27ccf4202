/** The proofs that need no lab: a variant of the program, its statements and its table of requests. */
import { offencesOf } from "./facts";
import { speaksOf } from "./meanings";
import { evaluateVariant, type Program, type Variant } from "./program";
import { makeRows, type Row, verdictOn } from "./rows";

/** What the evaluation of one variant shows. */
export interface Evaluated {
    readonly program: Program;
    /** The rows that could be judged: AWS knows their action on such a resource. */
    readonly rows: readonly Row[];
    /** What does not hold. */
    readonly problems: readonly string[];
}

/** Evaluates one variant. */
export async function proveByEvaluation(variant: Variant): Promise<Evaluated> {
    const program = await evaluateVariant(variant);
    const rows: Row[] = [];
    const problems = [...program.problems];
    for (const row of await makeRows(program)) {
        const verdict = await verdictOn(row, program.policies);
        // Near misses may be of no type at all; what is meant to be allowed has to be possible.
        if (verdict === undefined && row.kind !== "granted") continue;
        rows.push(row);
        if (verdict !== row.expected) problems.push(disagreement(row, verdict ?? "AWS knows no such request"));
    }
    for (const grant of program.grants) {
        problems.push(...(await offencesOf(grant)));
        const kind = grant.denies ? "taken away" : "granted";
        if (!rows.some((row) => row.kind === kind && speaksOf(grant, row))) {
            problems.push(`${grant.statement.Sid} in ${grant.holder.name}: no request is made of this statement`);
        }
    }
    return { program, rows, problems: problems.map((problem) => `${variant.name}: ${problem}`) };
}

/** A row whose verdict is another than the expected one, in words. */
export function disagreement(row: Row, verdict: string): string {
    const { actor, action, resource, context, sides, expected, kind } = row;
    const missing = sides === undefined ? "" : `, ${sides}`;
    const request = `${action} on ${resource} with ${JSON.stringify(context)}${missing}`;
    return `${actor.name} asks for ${request}: ${verdict}, expected ${expected} (${kind})`;
}
