/** The program as the proof sees it: evaluated whole, as each of its variants, with every policy that it declares anywhere. */
import type { EngineName } from "../contract/engine";
import { at } from "../lab/awsTypes";
import { customResourcesOf, type Evaluation } from "../lab/evaluation";
import type { PolicyDocument, PolicyStatement } from "../lab/iam";
import { evaluateStack } from "../lab/program";
import { configurationOf, stackConfiguration } from "../lab/stackFiles";
import {
    foreignGrantsIn,
    givenKeyArn,
    type Holder,
    holdersInOutputs,
    holdersInResources,
    isBorneBy,
    trustName,
} from "./holders";
import { accountOf, type Meaning } from "./meanings";

/** A configuration that the program is evaluated with. */
export interface Variant {
    readonly name: string;
    /** Stack whose file is read. */
    readonly stack: string;
    /** Configuration in the place of the file's, by full key. */
    readonly changes: Readonly<Record<string, string>>;
}

function variant(stack: string, engine: EngineName, what = "", changes: Record<string, unknown> = {}): Variant {
    return { name: `${stack}${what}, engine ${engine}`, stack, changes: configurationOf({ engine, ...changes }) };
}

/** Every configuration whose policies are proven. What adds statements only when it is configured needs one here. */
export const variants: readonly Variant[] = [
    variant("dev", "docker"),
    variant("dev", "stream"),
    variant("prod", "stream"),
    variant("prod", "docker", " with a pull-through cache, triggers and a Slack channel", {
        repositoryArns: ["mirror/library/nginx", "backend/*"].map(
            (name) => `arn:${at.partition}:ecr:${at.region}:${at.accountId}:repository/${name}`,
        ),
        crossAccountRepositoryArns: ["base", "images/*"].map(
            (name) => `arn:${at.partition}:ecr:${at.region}:444455556666:repository/platform/${name}`,
        ),
        pullThroughCache: [{ prefix: "mirror", upstreamRegistryUrl: "public.ecr.aws" }],
        triggers: { onPush: { repositories: ["nginx"], tags: ["v*"] }, schedule: { expression: "rate(1 day)" } },
        notifications: { slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" } },
    }),
    variant("dev", "docker", " with an isolated network", { network: "isolated" }),
    variant("dev", "stream", " with an isolated network and a given key", {
        network: "isolated",
        signing: givenKeyArn,
    }),
    variant("dev", "stream", " with a private network", { network: "private" }),
    variant("prod", "stream", " with a given and an own KMS key", { encryption: givenKeyArn, signing: "kms" }),
];

/** A policy that the program declares. */
export interface Policy {
    /** Where it is declared. */
    readonly where: string;
    readonly holder: Holder;
    readonly document: NamedStatements;
}

interface NamedStatements extends PolicyDocument {
    readonly Statement: readonly (PolicyStatement & { readonly Sid: string })[];
}

/** A statement of a policy, and what it is meant for there: the policy of a resource is meant for this resource only. */
export interface Grant extends Policy, Meaning {
    readonly statement: NamedStatements["Statement"][number];
}

/** An evaluated variant. */
export interface Program {
    readonly variant: Variant;
    readonly policies: readonly Policy[];
    readonly grants: readonly Grant[];
    /** What makes the collection of policies incomplete, or shows one that comes from elsewhere. */
    readonly problems: readonly string[];
}

/** Evaluates a variant and collects its policies. */
export async function evaluateVariant(variant: Variant): Promise<Program> {
    const evaluation = await evaluateStack(variant.stack, false, variant.changes);
    const meaningOf = accountOf(evaluation, { ...stackConfiguration(variant.stack), ...variant.changes });
    const { policies, problems } = collectPolicies(evaluation);
    const grants: Grant[] = [];
    for (const policy of policies) {
        const { where, holder, document } = policy;
        for (const statement of document.Statement) {
            const meaning = meaningOf(statement.Sid, holder);
            if (meaning === undefined) {
                problems.push(`${statement.Sid} in ${where}: proof/meanings.ts has no account of it`);
                continue;
            }
            const resources = meaning.resources.filter(
                ({ inside }) => holder.kind !== "resource" || inside.every((each) => isBorneBy(holder.arn, each)),
            );
            grants.push({ ...policy, ...meaning, resources, statement });
        }
    }
    return { variant, policies, grants, problems };
}

/** Finds every policy document, wherever it is, and asks of each what it is attached to. */
export function collectPolicies(evaluation: Evaluation): { policies: Policy[]; problems: string[] } {
    const inResources = customResourcesOf(evaluation).flatMap((resource) =>
        documentsIn(resource.inputs).map(({ path, document }) => ({
            where: `${resource.type} ${resource.name}, ${path.join(".")}`,
            holder: holdersInResources[`${resource.type} ${path.join(".")}`]?.(resource),
            document,
        })),
    );
    const inOutputs = documentsIn(evaluation.result).map(({ path, document }) => ({
        where: `the output ${path.join(".")}`,
        holder: holdersInOutputs[path[0] ?? ""]?.(path),
        document,
    }));
    const policies: Policy[] = [];
    const problems = foreignGrantsIn(evaluation);
    for (const { where, holder, document } of [...inResources, ...inOutputs]) {
        if (holder === undefined) {
            problems.push(`${where}: proof/holders.ts does not say what this policy is attached to`);
            continue;
        }
        policies.push({ where, holder, document });
        for (const { Sid } of document.Statement) {
            if (!(Sid in holder.reasons)) problems.push(`${where}: the statement ${Sid} is in no table of policies/`);
        }
    }
    return { policies, problems };
}

/** Every policy document in a value, as an object or as JSON, and the way to it. A statement without a `Sid` is one of trust. */
function documentsIn(
    value: unknown,
    path: readonly string[] = [],
): { readonly path: readonly string[]; readonly document: NamedStatements }[] {
    if (typeof value === "string") {
        return value.startsWith("{") && value.includes('"Statement"') ? documentsIn(JSON.parse(value), path) : [];
    }
    if (typeof value !== "object" || value === null) return [];
    if ("Statement" in value) {
        const document = value as PolicyDocument;
        const statements = [document.Statement].flat().map((statement) => ({ Sid: trustName, ...statement }));
        return [{ path, document: { ...document, Statement: statements } }];
    }
    return Object.entries(value).flatMap(([key, each]) => documentsIn(each, [...path, key]));
}
