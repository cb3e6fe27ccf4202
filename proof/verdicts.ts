/**
 * Verdicts by the hundred thousand. The simulator checks, at each call, which type of resource an action is asked of, which takes
 * longer than the verdict; here that is done once for each pair of action and resource. A test compares these verdicts with
 * those of `judge`.
 */
import { runUnsafeSimulation } from "@cloud-copilot/iam-simulate";

import { type Call, judge, type Judgement, type PolicyDocument, withEncryptionContext } from "../lab/iam";
import { keysOf } from "./facts";

/** Policies that the simulator has found to be valid. */
const valid = new WeakSet<PolicyDocument>();

/**
 * Judges a call by its policies; these must not change afterwards.
 *
 * @returns undefined when AWS knows no such action on such a resource.
 * @throws Error when a policy is not valid.
 */
export async function verdictOf(call: Call): Promise<Judgement["verdict"] | undefined> {
    const { principal, action, resource, accountId, endpointPolicy } = call;
    const keys = await keysOf(action, resource);
    if (keys.length === 0) return undefined;
    const policies = [...call.identityPolicies, ...(call.resourcePolicy ? [call.resourcePolicy] : [])];
    // What is asked of `*`, or passes an endpoint, has ways of its own through the simulator.
    if (resource === "*" || endpointPolicy !== undefined || !policies.every((policy) => valid.has(policy))) {
        const { verdict } = await judge(call);
        for (const policy of policies) valid.add(policy);
        return verdict;
    }
    const { identityPolicies, resourcePolicy, context } = withEncryptionContext(call);
    const sent = Object.entries(context).filter(([name]) => comesWith(name.toLowerCase(), keys));
    return runUnsafeSimulation(
        {
            request: {
                principal,
                action,
                resource: { resource, accountId },
                contextVariables: Object.fromEntries(sent),
            },
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
