/** What was proven, for people: as a page of the documentation and as lines for a terminal. */
import { permission } from "../lab/iam";
import { actionsIn } from "./facts";
import { type Program, variants } from "./program";

/**
 * The page `docs/results/least-privilege.md`.
 *
 * @param shown Permissions that the lab cannot do without.
 */
export function reportPage(programs: readonly Program[], shown: readonly string[]): string {
    return `# Least privilege, proven

Written by \`npm run prove\`; do not edit. Every statement stands in \`policies/\`, one table a holder, with the reason beside it;
the table below repeats these reasons. What each is meant to let pass is told a second time in \`proof/meanings.ts\`, without the
language of policies, and the two are held against each other on the whole program, in each of these configurations:

${variants.map(({ name }) => `- ${name}`).join("\n")}

1. **One place.** Every policy is collected, from every resource and every output. Each statement is one of \`policies/\`; nothing
   else grants anything.
2. **Evaluated.** An IAM simulator judges requests by the declared policies, hundreds for each role. They are made of the second
   account, not of the policies: what a statement is for; the same on what looks alike (other regions, accounts, partitions, names
   that begin or end the same, detours by \`..\`), in other contexts, by other principals; every other action of the service; what
   other roles may; across accounts, each side alone; and what a Deny has to stop, from whoever may it and from an administrator.
3. **Real.** Every action, condition key and resource type is in AWS's Service Authorization Reference. No action has a
   wildcard; \`*\` is the resource only of actions that have no resource type, and in the policy of a key.
4. **Necessary.** The lab runs the pipeline under the declared policies. Then each permission that it uses (bold below) is taken
   away, one at a time, and the lab has to fail at it. For the others there is AWS's page only.
5. **The proof itself** is tested by mutants: each statement with an action, resource, condition or principal too many or too few.

What this is not: a run against AWS. SCPs, permissions boundaries and policies of other accounts are their owners' matter. The
policy of a VPC endpoint grants nothing: it is judged with a caller who may do everything.

| statement | who has it | actions | why it is there |
| --- | --- | --- | --- |
${rowsOf(programs, shown).join("\n")}
`;
}

/** A row for every statement that any variant declares, with all who have it. */
function rowsOf(programs: readonly Program[], shown: readonly string[]): string[] {
    const grants = programs.flatMap((program) => program.grants);
    const sids = new Set(grants.map(({ statement }) => statement.Sid));
    return [...sids]
        .sort((one, other) => one.localeCompare(other))
        .map((sid) => {
            const same = grants.filter(({ statement }) => statement.Sid === sid);
            const { why = "", page = "" } = same[0]?.holder.reasons[sid] ?? {};
            const holders = same.map(({ holder }) => holder.name.replace(/(?:trust of )?role image-export-/, ""));
            const actions = sortedOnce(same.flatMap(({ statement }) => actionsIn(statement))).map((action) =>
                shown.includes(permission(sid, action)) ? `**\`${action}\`**` : `\`${action}\``,
            );
            const link = `[${sid}](https://docs.aws.amazon.com/${page})`;
            // Without padding, so that a longer cell changes no other row.
            return `| ${[link, sortedOnce(holders).join(", "), actions.join(" "), why].join(" | ")} |`;
        });
}

function sortedOnce(values: readonly string[]): string[] {
    return [...new Set(values)].sort();
}

/** The permissions that the page says the lab cannot do without, for where the lab is not run. */
export function shownOn(page: string): string[] {
    return page.split("\n").flatMap((row) => {
        const [, sid = ""] = /^\| \[(\w+)\]/.exec(row) ?? [];
        return Array.from(row.matchAll(/\*\*`([^`]+)`\*\*/g), ([, action = ""]) => permission(sid, action));
    });
}
