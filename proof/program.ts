/**
 * The program as the proof sees it: evaluated whole, as each of its variants, with every policy that it declares
 * anywhere, and the builder that each statement comes from.
 */
import type { EngineName } from "../contract/engine";
import type { PolicyDocument, PolicyStatement } from "../lab/iam";
import { stackConfiguration } from "../lab/stackFiles";
import { at, awsTypes, physicalNameOf } from "../lab/awsTypes";
import { loadProgram } from "../lab/program";
import { evaluate, type Evaluation, type RecordedResource } from "../lab/evaluation";
import { foreignGrantsIn, givenKeyArn, type Holder, holderInOutput, holderInResource } from "./holders";

/** What `statements.ts` calls a statement: its `Sid`, or, where there is none, what its service assumes. */
export type Builder = string;

/** A configuration that the program is evaluated with. */
export interface Variant {
    readonly name: string;
    /** Stack whose file is read. */
    readonly stack: string;
    readonly engine: EngineName;
    /** Configuration in the place of the file's, by full key. */
    readonly changes: Record<string, string>;
}

/** What only some stacks configure, as a whole. */
const everything = {
    "ecr-image-export:repositoryArns": JSON.stringify([
        `arn:${at.partition}:ecr:${at.region}:${at.accountId}:repository/mirror/library/nginx`,
    ]),
    "ecr-image-export:pullThroughCache": JSON.stringify([
        { prefix: "mirror", upstreamRegistryUrl: "public.ecr.aws" },
    ]),
    "ecr-image-export:triggers": JSON.stringify({
        onPush: { repositories: ["nginx"], tags: ["v*"] },
        schedule: { expression: "rate(1 day)" },
    }),
};

/** Every configuration whose policies are proven. What adds statements only when it is configured needs one here. */
export const variants: readonly Variant[] = [
    ...["dev", "prod"].flatMap((stack) =>
        (["docker", "stream"] as const).map((engine) => ({
            name: `${stack}, engine ${engine}`,
            stack,
            engine,
            changes: { "ecr-image-export:engine": engine },
        })),
    ),
    {
        name: "prod with a pull-through cache and triggers, engine docker",
        stack: "prod",
        engine: "docker",
        changes: everything,
    },
    {
        name: "prod with a Slack channel, engine docker",
        stack: "prod",
        engine: "docker",
        changes: {
            "ecr-image-export:notifications": JSON.stringify({
                slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" },
            }),
        },
    },
    ...(["docker", "stream"] as const).map((engine) => ({
        name: `dev with an isolated network, engine ${engine}`,
        stack: "dev",
        engine,
        changes: {
            ...stackConfiguration("isolated", "examples/stacks"),
            "ecr-image-export:engine": engine,
        },
    })),
    {
        name: "prod, engine stream, a KMS key of another account",
        stack: "prod",
        engine: "stream",
        changes: { "ecr-image-export:engine": "stream", "ecr-image-export:encryption": givenKeyArn },
    },
];

/** A policy that the program declares. */
export interface Policy {
    /** Where it is declared. */
    readonly where: string;
    readonly holder: Holder;
    readonly document: PolicyDocument;
    /** The builder of each statement, in their order. */
    readonly builders: readonly Builder[];
}

/** An evaluated variant. */
export interface Program {
    readonly variant: Variant;
    readonly stack: Stack;
    readonly policies: readonly Policy[];
    /** What makes the collection of policies incomplete, or shows one that comes from elsewhere. */
    readonly problems: readonly string[];
}

/** What the proofs are told of a stack: names and ARNs of its resources, its configuration, and no policy. */
export class Stack {
    public readonly at = at;

    public constructor(
        private readonly evaluation: Evaluation,
        private readonly configuration: Record<string, string>,
    ) {}

    /** Value of a key of the stack's configuration, as text. */
    public configured(key: string): string | undefined {
        return this.configuration[key.includes(":") ? key : `ecr-image-export:${key}`];
    }

    /** ARN of a resource of the stack, by the name that the program gives it. */
    public arn(name: string): string {
        const { arn } = this.answer(this.evaluation.resource(name));
        if (arn === undefined) throw new Error(`${name} has no ARN under the mocks`);
        return arn;
    }

    /** Physical name, or id, of a resource of the stack. */
    public id(name: string): string {
        const { name: physical, id = "" } = this.answer(this.evaluation.resource(name));
        return physical ?? id;
    }

    /** An ARN of the stack's own partition, region and account. */
    public arnOf(service: string, resource: string): string {
        return `arn:${at.partition}:${service}:${at.region}:${at.accountId}:${resource}`;
    }

    private answer({ type, name, inputs }: RecordedResource): Record<string, string> {
        return awsTypes[type]?.answer(physicalNameOf(name), inputs) ?? {};
    }
}

/** Evaluates a variant and collects its policies. */
export async function evaluateVariant(variant: Variant): Promise<Program> {
    const evaluation = await evaluate(() => ({ outputs: loadProgram(variant.stack, variant.changes) }), {
        stack: variant.stack,
    });
    const { outputs } = evaluation.result as { outputs: Record<string, unknown> };
    const configuration = { ...stackConfiguration(variant.stack), ...variant.changes };
    return {
        variant,
        stack: new Stack(evaluation, configuration),
        ...collectPolicies(evaluation, outputs),
    };
}

/** Finds every policy document, wherever it is; asks of each what it is attached to and who made its statements. */
export function collectPolicies(
    evaluation: Evaluation,
    outputs: Record<string, unknown>,
): Pick<Program, "policies" | "problems"> {
    const inResources = evaluation.customResources().flatMap((resource) =>
        documentsIn(resource.inputs).map(({ path, document }) => ({
            where: `${resource.type} ${resource.name}, ${path.join(".")}`,
            holder: holderInResource(evaluation, resource, path),
            document,
        })),
    );
    const inOutputs = documentsIn(outputs).map(({ path, document }) => ({
        where: `the output ${path.join(".")}`,
        holder: holderInOutput(path),
        document,
    }));
    const policies: Policy[] = [];
    const problems = foreignGrantsIn(evaluation);
    for (const { where, holder, document } of [...inResources, ...inOutputs]) {
        const names = document.Statement.map(nameOf);
        if (holder === undefined) {
            problems.push(`${where}: proof/holders.ts does not say what this policy is attached to`);
        } else {
            policies.push({ where, holder, document, builders: names });
        }
    }
    return { policies, problems };
}

const servicesWithRoles: Record<string, Builder> = {
    chatbot: "assumedByChat",
    codebuild: "assumedByCodeBuild",
    events: "assumedByEventBridge",
    scheduler: "assumedByScheduler",
    states: "assumedByStepFunctions",
    "vpc-flow-logs": "assumedByFlowLogs",
};

function nameOf({ Sid = "", Principal }: PolicyStatement): Builder {
    if (Sid === "LetImageExportPull") return "letRolePull";
    const service = String((Principal as Record<string, string> | undefined)?.["Service"]);
    return Sid === ""
        ? (servicesWithRoles[service.replace(".amazonaws.com", "")] ?? service)
        : `${Sid.charAt(0).toLowerCase()}${Sid.slice(1)}`;
}

/** Every policy document in a value, as an object or as JSON, and the way to it. */
function documentsIn(
    value: unknown,
    path: readonly string[] = [],
): { readonly path: readonly string[]; readonly document: PolicyDocument }[] {
    if (typeof value === "string") {
        return value.startsWith("{") && value.includes('"Statement"')
            ? documentsIn(JSON.parse(value), path)
            : [];
    }
    if (typeof value !== "object" || value === null) return [];
    if ("Statement" in value) {
        const document = value as PolicyDocument;
        return [{ path, document: { ...document, Statement: [document.Statement].flat() } }];
    }
    return Object.entries(value).flatMap(([key, each]) => documentsIn(each, [...path, key]));
}
