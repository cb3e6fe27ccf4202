/** The program as the proof sees it: evaluated whole, as each of its variants, with every policy that it declares anywhere. */
import type { EngineName } from "../contract/engine";
import { parseImageUri, repositoryArn } from "../contract/image";
import { at, awsTypes, physicalNameOf } from "../lab/awsTypes";
import type { Evaluation } from "../lab/evaluation";
import type { PolicyDocument } from "../lab/iam";
import { evaluateStack } from "../lab/program";
import { configurationOf, stackConfiguration } from "../lab/stackFiles";
import { foreignGrantsIn, givenKeyArn, type Holder, holdersInOutputs, holdersInResources } from "./holders";

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
    variant("dev", "stream", " with an isolated network", { network: "isolated" }),
    variant("dev", "stream", " with a private network", { network: "private" }),
    variant("prod", "stream", " with a KMS key of another account", { encryption: givenKeyArn }),
];

/** A policy that the program declares. */
export interface Policy {
    /** Where it is declared. */
    readonly where: string;
    readonly holder: Holder;
    readonly document: PolicyDocument;
}

/** An evaluated variant. */
export interface Program {
    readonly variant: Variant;
    readonly stack: Stack;
    readonly policies: readonly Policy[];
    /** What makes the collection of policies incomplete, or shows one that comes from elsewhere. */
    readonly problems: readonly string[];
}

/** What the account of the statements is told of a stack: names and ARNs, its configuration, and no policy. */
export class Stack {
    public readonly engine: EngineName;
    /** ARNs of all repositories that the configuration names, those of patterns as scope.ts writes them. */
    public readonly repositories: readonly string[];
    /** Those of another account. */
    public readonly foreign: readonly string[];
    /** Those that a pull-through cache fills. */
    public readonly cached: readonly string[];
    /** ARN of the KMS key: the stack's own, or the given one. */
    public readonly key: string;

    public constructor(
        private readonly evaluation: Evaluation,
        configuration: Readonly<Record<string, string>>,
    ) {
        const given = (name: string) => configuration[`ecr-image-export:${name}`];
        const listed = (name: string) =>
            (JSON.parse(given(name) ?? "[]") as string[]).map((arn) => arn.replace(/\/\*$/, "/<app|team/app>"));
        const rules = JSON.parse(given("pullThroughCache") ?? "[]") as { prefix: string }[];
        const image = repositoryArn(parseImageUri(given("imageUri") ?? "").repository);
        this.engine = given("engine") as EngineName;
        this.foreign = listed("crossAccountRepositoryArns");
        this.repositories = [image, ...listed("repositoryArns"), ...this.foreign];
        this.cached = this.repositories.filter((arn) =>
            rules.some(({ prefix }) => arn.includes(`:repository/${prefix}/`)),
        );
        this.key = given("encryption") === "kms" ? this.arn("image-export-storage-key") : givenKeyArn;
    }

    /** ARN of a resource of the stack, by the name that the program gives it. */
    public arn(name: string): string {
        const { arn } = this.answerTo(name);
        if (arn === undefined) throw new Error(`${name} has no ARN under the mocks`);
        return arn;
    }

    /** Physical name, or id, of a resource of the stack. */
    public id(name: string): string {
        const { name: physical, id } = this.answerTo(name);
        return physical ?? String(id);
    }

    /** An argument of a resource of the stack. */
    public input(name: string, argument: string): unknown {
        return this.evaluation.resource(name).inputs[argument];
    }

    private answerTo(name: string): Record<string, string> {
        const { type, inputs } = this.evaluation.resource(name);
        return awsTypes[type]?.answer(physicalNameOf(name), inputs, at) ?? {};
    }
}

/** Evaluates a variant and collects its policies. */
export async function evaluateVariant(variant: Variant): Promise<Program> {
    const evaluation = await evaluateStack(variant.stack, false, variant.changes);
    const configuration = { ...stackConfiguration(variant.stack), ...variant.changes };
    return { variant, stack: new Stack(evaluation, configuration), ...collectPolicies(evaluation) };
}

/** Finds every policy document, wherever it is, and asks of each what it is attached to. */
export function collectPolicies(evaluation: Evaluation): Pick<Program, "policies" | "problems"> {
    const inResources = evaluation
        .customResources()
        .flatMap((resource) =>
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
            if (reasonOf(holder, Sid) === undefined) {
                problems.push(`${where}: the statement ${Sid ?? "without a Sid"} is in no table of policies/`);
            }
        }
    }
    return { policies, problems };
}

/** Why a holder has a statement: trust has no `Sid`, and one reason. */
export function reasonOf({ reasons }: Holder, sid: string | undefined): Holder["reasons"][string] | undefined {
    return reasons[sid ?? trustName];
}

/** What the statement of a trust policy goes by. */
export const trustName = "trust";

/** Every policy document in a value, as an object or as JSON, and the way to it. */
function documentsIn(
    value: unknown,
    path: readonly string[] = [],
): { readonly path: readonly string[]; readonly document: PolicyDocument }[] {
    if (typeof value === "string") {
        return value.startsWith("{") && value.includes('"Statement"') ? documentsIn(JSON.parse(value), path) : [];
    }
    if (typeof value !== "object" || value === null) return [];
    if ("Statement" in value) {
        const document = value as PolicyDocument;
        return [{ path, document: { ...document, Statement: [document.Statement].flat() } }];
    }
    return Object.entries(value).flatMap(([key, each]) => documentsIn(each, [...path, key]));
}
