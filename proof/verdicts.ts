/**
 * Verdicts by the hundred thousand. The simulator checks, at each call, whether the policies are valid and which type of
 * resource an action is asked of, which takes ten times as long as the verdict; here that is done once for each policy and
 * for each pair of action and resource. A test compares these verdicts with those of `judge`.
 */
import {
    allowedContextKeysForRequest,
    isConditionKeyArray,
    isWildcardOnlyAction,
    runUnsafeSimulation,
    typeForContextKey,
} from "@cloud-copilot/iam-simulate";

import { type Call, ImpossibleCall, isValid, judge, type Judgement, withEncryptionContext } from "../lab/iam";

/** What AWS knows of an action on a resource: the condition keys that come with it; or why there is no such call. */
type Pair = { readonly keys: readonly string[] } | { readonly impossible: string };

const pairs = new Map<string, Pair>();
/**
 * Judges a call by its policies; these must not change afterwards.
 *
 * @throws ImpossibleCall when AWS knows no such action on such a resource.
 * @throws Error when a policy is not valid.
 */
export async function verdictOf(call: Call): Promise<Judgement["verdict"]> {
    const { action, resource, endpointPolicy, boundary } = call;
    const key = `${action} ${resource}`;
    const pair = pairs.get(key) ?? (await pairOf(action, resource));
    pairs.set(key, pair);
    if ("impossible" in pair) throw new ImpossibleCall(pair.impossible);
    const renamed = withEncryptionContext(call);
    const policies = [...renamed.identityPolicies, ...(renamed.resourcePolicy ? [renamed.resourcePolicy] : [])];
    // What is asked of `*`, passes an endpoint or is bounded has ways of its own through the simulator.
    const usual = !resource.includes("*") && endpointPolicy === undefined && boundary === undefined;
    return usual && policies.every(isValid) ? quickVerdict(renamed, pair.keys) : (await judge(call)).verdict;
}

async function pairOf(action: string, resource: string): Promise<Pair> {
    const [service = "", name = ""] = action.split(":");
    try {
        if (resource !== "*" && (await isWildcardOnlyAction(service, name))) {
            return { impossible: `${action} knows no resource` };
        }
        return { keys: await allowedContextKeysForRequest(service, name, resource, false, undefined) };
    } catch (error) {
        return { impossible: `${action} on ${resource} cannot be judged: ${String(error)}` };
    }
}

async function quickVerdict(
    { principal, action, resource, accountId, identityPolicies, resourcePolicy, context }: Call,
    keys: readonly string[],
): Promise<Judgement["verdict"]> {
    const contextVariables: Record<string, string | string[]> = {};
    for (const [name, value] of Object.entries(context)) {
        if (!comesWith(name.toLowerCase(), keys)) continue;
        contextVariables[name] = isConditionKeyArray(await typeForContextKey(name.toLowerCase())) ? [value] : value;
    }
    return runUnsafeSimulation(
        {
            request: { principal, action, resource: { resource, accountId }, contextVariables },
            identityPolicies: identityPolicies.map((policy, index) => ({ name: `policy ${index}`, policy })),
            serviceControlPolicies: [],
            resourceControlPolicies: [],
            // Under a name, which the simulator reports of this policy, and cannot do without.
            resourcePolicy: resourcePolicy && {
                __validated: true,
                policyDocument: resourcePolicy,
                metadata: { name: "resource policy" },
                errors: [],
            },
        },
        {},
    );
}

/** A key that goes on after a slash, as a tag's, comes with whatever name the caller gives it. */
function comesWith(name: string, keys: readonly string[]): boolean {
    const slash = name.indexOf("/");
    return keys.some((key) => key === name || (slash !== -1 && key.startsWith(name.slice(0, slash + 1))));
}
