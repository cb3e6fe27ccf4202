/** What was proven, for people: as a page of the documentation and as lines for a terminal. */
import type { Evaluated } from "./evaluation";
import type { Holder } from "./holders";
import { type Builder, variants } from "./program";
import { rowKinds } from "./rows";
import { actionsOf, type ActionProof, proofOf, statementProofs } from "./statements";

/** One action of one statement, of one holder. */
export interface ReportedAction {
    /** Role, resource, endpoint or publication that the statement is in. */
    readonly holder: string;
    readonly kind: Holder["kind"];
    readonly builder: Builder;
    readonly action: string;
    /** The engines whose stacks have it. */
    readonly engines: readonly string[];
    readonly proof: ActionProof;
}

/** Every action that any variant declares, by holder. */
export function reportedActions(evaluated: readonly Evaluated[]): ReportedAction[] {
    const actions = new Map<string, ReportedAction>();
    for (const { program } of evaluated) {
        const { engine } = program.variant;
        for (const { holder, builders } of program.policies) {
            for (const builder of builders) {
                for (const [action, proof] of Object.entries(actionsOf(builder, engine))) {
                    const key = [holder.name, builder, action].join(" ");
                    const engines = actions.get(key)?.engines ?? [];
                    actions.set(key, {
                        holder: holder.name,
                        kind: holder.kind,
                        builder,
                        action,
                        engines: [...new Set([...engines, engine])],
                        proof,
                    });
                }
            }
        }
    }
    const order = Object.keys(statementProofs);
    return [...actions.values()].sort(
        (one, other) =>
            one.holder.localeCompare(other.holder) ||
            order.indexOf(one.builder) - order.indexOf(other.builder),
    );
}

const meanings: Record<(typeof rowKinds)[number], string> = {
    granted: "what the statement is for; has to be allowed",
    "near miss":
        "the same action on what looks alike: another region, account or partition, names that begin or end the same, detours by `..`",
    "other context": "the same action with a condition key missing, or with another value",
    "other action":
        "every other action that AWS knows of the service, deleting, listing and changing policies among them; and what an intruder would ask for next",
    "other's right": "what other roles, holders and services may",
    "other principal": "the same from principals that look alike, with the same policies of their own",
    "one side missing": "across accounts, without the caller's policy and without the resource's",
    "taken away":
        "what a Deny has to stop, from whoever may it and from an administrator, and what it must not stop",
};

/** The page `docs/least-privilege.md`. */
export function reportPage(evaluated: readonly Evaluated[]): string {
    const actions = reportedActions(evaluated);
    const holders = [...new Set(actions.map(({ holder }) => holder))];
    return `# Least privilege, proven

Written by \`npm run prove\`; do not edit. Every policy statement is made by \`components/iamStatements.ts\`. What each is for
is accounted for a second time, in \`proof/statements.ts\`, without the language of policies. The proof holds the two against
each other, on the whole program, evaluated in each of these configurations:

${variants.map(({ name }) => `- ${name}`).join("\n")}

1. **One place.** Every policy of the program is collected, from every resource and every output. Each statement has to be one
   that a builder made; nothing else grants anything.
2. **Evaluated.** An IAM simulator judges requests by the declared policies, several hundred for each role. They are made of
   the account of the statements, not of the policies. Verdict and expectation have to agree on every one.
3. **Real.** Every action, condition key and resource type is in AWS's Service Authorization Reference, and they fit each other.
   No action has a wildcard; \`*\` is the resource only of actions that have no resource type.
4. **Sufficient and necessary.** The lab runs the pipeline under the declared policies. Then each permission that it uses is taken
   away, alone, and the lab has to fail at it. What the lab cannot call has the page of AWS that asks for it.
5. **The proof itself** is tested by mutants: each statement with an action, a resource, a condition or a principal too many or
   too few, and with each resource wider by a \`*\`. The proof has to notice every one.

What this is not: a run against AWS. SCPs, permissions boundaries and policies of other accounts are their owners' matter.

The requests:

${table(
    ["kind", "request"],
    rowKinds.map((kind) => [kind, meanings[kind]]),
)}

Where a request crosses accounts, each side is also judged alone, with the other side wide open. The policy of a VPC endpoint
grants nothing: it says what may pass. It is judged with a caller who may do everything.
${holders
    .map(
        (holder) => `
## ${holder.charAt(0).toUpperCase()}${holder.slice(1)}

${table(
    ["action", "reaches", "why it is there", "how that is proven"],
    actions.filter((each) => each.holder === holder).map(rowOf),
)}
`,
    )
    .join("")}`;
}

function rowOf({ action, kind, builder, engines, proof }: ReportedAction): string[] {
    const [engine] = engines;
    const only = engines.length === 1 ? ` (engine \`${engine ?? ""}\` only)` : "";
    const how =
        proof.proof === "lab"
            ? kind === "endpoint"
                ? "the role of the build needs it, as the lab shows"
                : "lab: taken away, the work is not done"
            : `[AWS](${proof.proof.page}); not in the lab: ${proof.proof.because}`;
    return [`\`${action}\`${only}`, proofOf(builder).reach, proof.why, how];
}

/** A table of Markdown. Without padding, so that a longer cell changes no other row. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** How many requests were judged, by who asks and why. */
export function requestCounts({ program, rows }: Evaluated): string[] {
    const actors = [...new Set(rows.map(({ actor }) => actor.name))];
    const counted = actors.map((name) => {
        const own = rows.filter(({ actor }) => actor.name === name);
        const kinds = rowKinds
            .map((kind): [string, number] => [kind, own.filter((row) => row.kind === kind).length])
            .filter(([, count]) => count > 0);
        return `  ${String(own.length).padStart(5)}  ${name} (${kinds.map(([kind, count]) => `${kind} ${count}`).join(", ")})`;
    });
    return [`${program.variant.name}: ${rows.length} requests`, ...counted];
}
