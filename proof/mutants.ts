/**
 * Statements that are wrong in one place each: an action, a resource, a condition or a principal too many or too few.
 * The proof is worth as much as the number of these that it notices.
 */
import { isDeepStrictEqual } from "node:util";

import type { PolicyStatement } from "../lab/iam";
import { actionsIn } from "./facts";
import type { Policy, Program } from "./program";

/** A statement with one thing wrong. */
export interface Mutant {
    /** What was done to it. */
    readonly change: string;
    /** What is left of the statement; nothing where it was taken out. */
    readonly statement: PolicyStatement | undefined;
}

/** The statement without one thing that it has. */
export function narrowed(statement: PolicyStatement): Mutant[] {
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
export function widened(statement: PolicyStatement): Mutant[] {
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
                      Resource: listOf(statement, "Resource").map((each) =>
                          each === resource ? wider : each,
                      ),
                  },
              })),
          )
        : [];
    return [...actions, ...resources, ...otherConditions(statement), ...otherPrincipals(statement)];
}

/** The statement with one more action. */
export function withAction(statement: PolicyStatement, action: string): Mutant {
    return {
        change: `with ${action}`,
        statement: { ...statement, Action: [...actionsIn(statement), action] },
    };
}

/** The program with one statement replaced. */
export function mutate(program: Program, policy: Policy, index: number, { statement }: Mutant): Program {
    const statements = policy.document.Statement.flatMap((each, at) =>
        at !== index ? [each] : statement === undefined ? [] : [statement],
    );
    const builders = policy.builders.filter((_, at) => at !== index || statement !== undefined);
    const mutated = { ...policy, builders, document: { ...policy.document, Statement: statements } };
    return {
        ...program,
        policies: program.policies
            .map((each) => (each === policy ? mutated : each))
            .filter(({ document }) => document.Statement.length > 0),
    };
}

function otherConditions(statement: PolicyStatement): Mutant[] {
    const conditions = (statement["Condition"] ?? {}) as Record<string, Record<string, unknown>>;
    return Object.entries(conditions).flatMap(([operator, values]) =>
        Object.entries(values).flatMap(([key, value]) => {
            const left = omit(values, key);
            const rest =
                Object.keys(left).length > 0
                    ? { ...conditions, [operator]: left }
                    : omit(conditions, operator);
            const without: Mutant = {
                change: `without the condition on ${key}`,
                statement: (Object.keys(rest).length > 0
                    ? { ...statement, Condition: rest }
                    : omit(statement, "Condition")) as PolicyStatement,
            };
            if (!operator.endsWith("Like") || typeof value !== "string") return [without];
            const wider = widerPatterns(value).map((pattern) => ({
                change: `${key} like ${pattern}`,
                statement: {
                    ...statement,
                    Condition: { ...conditions, [operator]: { ...values, [key]: pattern } },
                },
            }));
            return [without, ...wider];
        }),
    );
}

function omit(object: object, key: string): Record<string, unknown> {
    return Object.fromEntries(Object.entries(object).filter(([each]) => each !== key));
}

function otherPrincipals(statement: PolicyStatement): Mutant[] {
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
    return [...new Set([...inParts, ...open, "*"])].filter(
        (wider) => wider.replaceAll(/\*+/g, "*") !== pattern,
    );
}

function listOf(statement: PolicyStatement, element: "Action" | "Resource"): string[] {
    return [(statement[element] ?? []) as string | readonly string[]].flat();
}
