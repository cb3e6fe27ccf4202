/** Policy documents of grants: merged, and cut so that IAM takes them. */
import type { Conditions, Grant, Target } from "./grants";

/** A statement that allows something. */
export interface Statement {
    readonly Effect: "Allow";
    readonly Action: readonly string[];
    readonly Resource: readonly string[];
    readonly Condition?: Conditions;
}

/** A policy document of {@link Statement}s. */
export interface Document {
    readonly Version: "2012-10-17";
    readonly Statement: readonly Statement[];
}

/**
 * Characters of a managed policy, without white space.
 *
 * @see {@link https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html}
 */
export const maxPolicyCharacters = 6144;

/** Managed policies of a role, unless the account has asked for more. */
export const maxPoliciesOfRole = 10;

/**
 * The documents that together allow what is granted, each short enough for a managed policy.
 *
 * @throws Error when they are more than a role takes.
 */
export function documentsOf(grants: readonly Grant[], target: Target): Document[] {
    const documents: Statement[][] = [[]];
    for (const statement of statementsOf(grants, target)) {
        const last = documents.at(-1) ?? [];
        if (lengthOf(documentOf([...last, statement])) <= maxPolicyCharacters) last.push(statement);
        else documents.push([statement]);
    }
    if (documents.length > maxPoliciesOfRole) {
        throw new Error(
            `${documents.length} policies, and a role takes ${maxPoliciesOfRole}: shorten bootstrap/grants.ts.`,
        );
    }
    return documents.map(documentOf);
}

/** Length of a document as IAM counts it. */
export function lengthOf(document: Document): number {
    return JSON.stringify(document).replaceAll(/\s/g, "").length;
}

function documentOf(Statement: readonly Statement[]): Document {
    return { Version: "2012-10-17", Statement };
}

/** One statement for the grants that differ in their actions alone, and one for those that differ in their resources. */
function statementsOf(grants: readonly Grant[], target: Target): Statement[] {
    const statements = grants.map(({ actions, on, when }): Statement => ({
        Effect: "Allow",
        Action: actions,
        Resource: on.map((arn) => arn(target)),
        ...(when === undefined ? {} : { Condition: when(target) }),
    }));
    return merge(merge(statements, "Action"), "Resource");
}

function merge(statements: readonly Statement[], element: "Action" | "Resource"): Statement[] {
    const merged = new Map<string, Statement>();
    for (const statement of statements) {
        const key = JSON.stringify({ ...statement, [element]: [] });
        const values = [...(merged.get(key)?.[element] ?? []), ...statement[element]];
        merged.set(key, { ...statement, [element]: [...new Set(values)].sort() });
    }
    return [...merged.values()];
}
