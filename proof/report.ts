/** What was proven, for people: as a page of the documentation and as lines for a terminal. */
import type { Evaluated } from "./evaluation";
import { actionsIn } from "./facts";
import { type Program, reasonOf, trustName, variants } from "./program";
import { type RowKind, rowKinds } from "./rows";
import { shownInLab } from "./running";

/** One statement of one holder. */
interface ReportedStatement {
    /** Role, resource, endpoint or publication that the statement is in. */
    readonly holder: string;
    /** Its `Sid`; `trust` where it has none. */
    readonly sid: string;
    /** What any variant declares. */
    readonly actions: readonly string[];
    readonly why: string;
    /** Page of AWS that asks for it. */
    readonly page: string;
    /** The actions that the lab cannot do without. */
    readonly shown: readonly string[];
}

/** Every statement that any variant declares, by holder. */
function reportedStatements(programs: readonly Program[]): ReportedStatement[] {
    const statements = new Map<string, ReportedStatement>();
    for (const { holder, document } of programs.flatMap(({ policies }) => policies)) {
        for (const statement of document.Statement) {
            const { Sid: sid = trustName } = statement;
            const key = `${holder.name} ${sid}`;
            const actions = [...(statements.get(key)?.actions ?? []), ...actionsIn(statement)];
            const { why = "", page = "" } = reasonOf(holder, statement.Sid) ?? {};
            const shown =
                holder.kind === "identity" && holder.name.startsWith("role ") ? shownInLab(sid) : [];
            statements.set(key, {
                holder: holder.name,
                sid,
                actions: [...new Set(actions)].sort(),
                why,
                page: `https://docs.aws.amazon.com/${page}`,
                shown,
            });
        }
    }
    return [...statements.values()].sort((one, other) => one.holder.localeCompare(other.holder));
}

const meanings: Record<RowKind, string> = {
    granted: "what the statement is for; has to be allowed",
    "near miss":
        "the same action on what looks alike: another region, account or partition, names that begin or end the same, detours by `..`",
    "other context": "the same action with a condition key missing, or with another value",
    "other action":
        "every other action of the service that AWS knows; and what an intruder would ask for next",
    "other's right": "what other roles, holders and services may",
    "other principal": "the same from principals that look alike, with the same policies of their own",
    "one side missing": "across accounts, without the caller's policy and without the resource's",
    "taken away":
        "what a Deny has to stop, from whoever may it and from an administrator, and what it must not stop",
};

/** The page `docs/least-privilege.md`. */
export function reportPage(programs: readonly Program[]): string {
    const statements = reportedStatements(programs);
    const holders = [...new Set(statements.map(({ holder }) => holder))];
    return `# Least privilege, proven

Written by \`npm run prove\`; do not edit. Every statement stands in \`policies/\`, one file a holder, with the reason beside it;
the tables below repeat these reasons. What each is meant to let pass is told a second time in \`proof/meanings.ts\`, without the
language of policies, and the two are held against each other on the whole program, in each of these configurations:

${variants.map(({ name }) => `- ${name}`).join("\n")}

1. **One place.** Every policy is collected, from every resource and every output. Each statement is one of \`policies/\`; nothing
   else grants anything.
2. **Evaluated.** An IAM simulator judges requests by the declared policies, hundreds for each role. They are made of the second
   account, not of the policies.
3. **Real.** Every action, condition key and resource type is in AWS's Service Authorization Reference. No action has a
   wildcard; \`*\` is the resource only of actions that have no resource type, and in the policy of a key.
4. **Necessary.** The lab runs the pipeline under the declared policies. Then each permission that it uses (bold below) is taken
   away, one at a time, and the lab has to fail at it. For the others there is AWS's page only.
5. **The proof itself** is tested by mutants: each statement with an action, resource, condition or principal too many or too few.

What this is not: a run against AWS. SCPs, permissions boundaries and policies of other accounts are their owners' matter. The
policy of a VPC endpoint grants nothing: it is judged with a caller who may do everything.

${table(
    ["requests", "what is asked"],
    rowKinds.map((kind) => [kind, meanings[kind]]),
)}
${holders
    .map(
        (holder) => `
## ${holder.charAt(0).toUpperCase()}${holder.slice(1)}

${table(
    ["statement", "actions", "why it is there"],
    statements.filter((each) => each.holder === holder).map(rowOf),
)}
`,
    )
    .join("")}`;
}

function rowOf({ sid, actions, why, page, shown }: ReportedStatement): string[] {
    const list = actions.map((action) => (shown.includes(action) ? `**\`${action}\`**` : `\`${action}\``));
    return [`[${sid}](${page})`, list.join(" "), why];
}

/** A table of Markdown. Without padding, so that a longer cell changes no other row. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** How many requests of each kind were judged. */
export function requestCounts({ program, rows }: Evaluated): string {
    const counts = rowKinds.map((kind) => `${kind} ${rows.filter((row) => row.kind === kind).length}`);
    return `${program.variant.name}: ${rows.length} requests (${counts.join(", ")})`;
}
