/**
 * Evaluates a Pulumi program without an engine and records what it declares: for the unit tests, for the proof, and for the
 * lab, which creates each resource on the way. Pulumi's own mocks see only type, name and inputs; the monitor underneath
 * them sees the whole request: parent, dependencies, protection, aliases.
 */
import { setImmediate } from "node:timers/promises";

import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceOutputsRequest, RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import { MockMonitor, type MockResourceArgs } from "@pulumi/pulumi/runtime/mocks";

import type { AwsLocation } from "../contract/aws";
import { type Answer, at, awsFunctions, type AwsType, awsTypes, physicalNameOf, remoteComponents } from "./awsTypes";

/** Stands in recorded values for what a preview cannot know. */
export const unknown = pulumi.runtime.unknownValue;

/** One resource, as the program asked the engine for it. */
export type RecordedResource = ReturnType<typeof recordedAs>;

/** Everything that one evaluation declared. */
export interface Evaluation {
    /** Every resource, in the order of registration. */
    readonly resources: readonly RecordedResource[];
    /** What the program returned, as plain JSON; in a preview with {@link unknown} in it. */
    readonly result: Record<string, unknown>;
}

/**
 * The resource of a provider of this name.
 *
 * @throws Error when there is none, or more than one.
 */
export function resourceOf(evaluation: Evaluation, called: string): RecordedResource {
    const [found, ...more] = customResourcesOf(evaluation).filter(({ name }) => name === called);
    if (found !== undefined && more.length === 0) return found;
    throw new Error(`not one ${called}, among ${evaluation.resources.map(({ name }) => name).join(", ")}`);
}

/** What is no component: the resources of providers. */
export function customResourcesOf({ resources }: Evaluation): RecordedResource[] {
    return resources.filter(({ type }) => !isComponent(type));
}

/** How a program is evaluated. */
interface EvaluationOptions {
    /** @default "ecr-image-export" */
    readonly project?: string;
    /** @default "dev" */
    readonly stack?: string;
    /** Whether this is a preview, in which no computed property is known. */
    readonly preview?: boolean;
    /** Outputs of the stacks that the program refers to, by their names. */
    readonly otherStacks?: Readonly<Record<string, Record<string, unknown>>>;
    /** The organization in Pulumi Cloud. */
    readonly organization?: string;
    /** Resource types that the program may use, by their token. @default those of ecr-image-export */
    readonly types?: Record<string, AwsType | undefined>;
    /** Where the stack is. @default {@link at} */
    readonly location?: AwsLocation;
    /** Creates a resource, of what the table answers for it, before its outputs are handed on. @default nothing is created */
    readonly create?: (resource: MockResourceArgs, answer: Answer) => Promise<void>;
}

/**
 * Runs a program to the end of its registrations, in a root stack of its own as the engine does, so that what one program
 * registers for its stack (transformations) does not reach another.
 *
 * @param program Returns whatever is to be seen in plain, Outputs included.
 * @throws Error when the program fails, when a resource cannot be created, or when the program meets a resource type or a
 * function of a provider that `awsTypes.ts` does not know: Pulumi itself would show that as an unhandled rejection, or not at
 * all.
 */
export async function evaluate(
    program: () => Record<string, unknown> | Promise<Record<string, unknown>>,
    options: EvaluationOptions = {},
): Promise<Evaluation> {
    const { stack = "dev", preview = false, project = "ecr-image-export", organization } = options;
    const problems: string[] = [];
    const mocks = {
        newResource: (resource: MockResourceArgs) => answerResource(resource, options, problems),
        call: ({ token }: { readonly token: string }) => {
            const answer = awsFunctions[token]?.(options.location ?? at);
            if (answer === undefined) problems.push(`function ${token}`);
            return answer ?? {};
        },
    };
    const monitor = new RecordingMonitor(mocks);
    pulumi.runtime.setMockOptions(monitor, project, stack, preview, organization);

    const result = await withoutFailures(async () => {
        let returned: Record<string, unknown> = {};
        const run = pulumi.runtime.runInPulumiStack(async () => {
            returned = await program();
            return {};
        });
        // Waits for every registration: of a program that fails, too, or they reach the next one.
        await run.finally(() => pulumi.runtime.disconnect());
        return (await pulumi.runtime.serializeProperties("result", returned)) as Record<string, unknown>;
    });

    if (problems.length > 0) {
        throw new Error(`lab/awsTypes.ts does not know what the program uses: ${problems.join(", ")}.`);
    }
    return { resources: monitor.recorded, result };
}

/** Fails with what a resource's inputs failed with, which Pulumi leaves to the handler of unhandled rejections. */
async function withoutFailures<T>(run: () => Promise<T>): Promise<T> {
    const failures: unknown[] = [];
    const handlers = process.listeners("unhandledRejection");
    const { stackTraceLimit } = Error;
    // Pulumi takes a stack trace for every promise, and source maps make each dear: without them a program takes a quarter of the time.
    Error.stackTraceLimit = 0;
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (reason) => failures.push(reason));
    try {
        const result = await run().catch((error: unknown) => {
            failures.push(error);
            return undefined as never; // thrown below
        });
        await setImmediate(); // Node reports rejections once nothing else is to be done
        if (failures.length > 0) throw failures[0];
        return result;
    } finally {
        Error.stackTraceLimit = stackTraceLimit;
        process.removeAllListeners("unhandledRejection");
        for (const handler of handlers) process.on("unhandledRejection", handler);
    }
}

async function answerResource(
    resource: MockResourceArgs,
    { types = awsTypes, preview = false, otherStacks = {}, location = at, create }: EvaluationOptions,
    problems: string[],
): Promise<{ id: string | undefined; state: Record<string, unknown> }> {
    const { type, name, custom } = resource;
    const given = resource.inputs as Record<string, unknown>;
    if (type === "pulumi:pulumi:StackReference") {
        const outputs = otherStacks[String(given["name"])];
        if (outputs === undefined) problems.push(`stack ${String(given["name"])}`);
        return { id: name, state: { ...given, outputs: outputs ?? {}, secretOutputNames: [] } };
    }
    const remote = remoteComponents[type];
    if (remote !== undefined) {
        return { id: undefined, state: preview ? {} : remote(physicalNameOf(name), given) };
    }
    const known = types[type];
    if (known === undefined) {
        // What is neither custom nor of a package is a component of the program itself.
        if (custom !== false || !isComponent(type) || type.startsWith("awsx:")) problems.push(`resource type ${type}`);
        return { id: undefined, state: {} };
    }
    if (preview) return { id: undefined, state: given };
    const answer = known.answer(physicalNameOf(name), given, location);
    await create?.(resource, answer);
    const { id, ...computed } = answer;
    return { id, state: { ...given, ...computed } };
}

/** Whether a type is a component, of the program or of a package, not a resource of a provider. */
export function isComponent(type: string): boolean {
    return !/^(?:aws|pulumiservice):/.test(type);
}

/** Pulumi's mock of the engine's monitor, with a memory. The root stack is not written down: as in URNs, nobody has it as parent. */
class RecordingMonitor extends MockMonitor {
    public readonly recorded: RecordedResource[] = [];
    private stackUrn = "";

    public override async registerResource(
        request: RegisterResourceRequest,
        callback: Parameters<MockMonitor["registerResource"]>[1],
    ): Promise<void> {
        if (request.getParent() === this.stackUrn) request.setParent("");
        await super.registerResource(request, (error: unknown, response?: { getUrn(): string }) => {
            if (response && request.getType() === pulumi.runtime.rootPulumiStackTypeName) {
                this.stackUrn = response.getUrn();
            } else if (response) {
                this.recorded.push(recordedAs(response.getUrn(), request));
            }
            callback(error, response);
        });
    }

    public override registerResourceOutputs(
        request: RegisterResourceOutputsRequest,
        callback: Parameters<MockMonitor["registerResourceOutputs"]>[1],
    ): void {
        const resource = this.recorded.find(({ urn }) => urn === request.getUrn());
        const outputs = request.getOutputs();
        if (resource && outputs) resource.outputs = outputs.toJavaScript();
        super.registerResourceOutputs(request, callback);
    }
}

function recordedAs(urn: string, request: RegisterResourceRequest) {
    return {
        urn,
        type: request.getType(),
        name: request.getName(),
        /** What the program gave, as plain JSON; in a preview with {@link unknown} in it. */
        inputs: (request.getObject()?.toJavaScript() ?? {}) as Record<string, unknown>,
        /** URN of the parent; empty where there is none. */
        parent: request.getParent(),
        /** Names of the resources that must exist before, those of `dependsOn` among them. */
        dependencies: request.getDependenciesList().map((dependency) => dependency.split("::").at(-1) ?? ""),
        /** URNs of the resources that the value of each property was taken from. */
        propertyDependencies: Object.fromEntries(
            [...request.getPropertydependenciesMap().entries()].map(([name, from]) => [name, from.getUrnsList()]),
        ) as Readonly<Record<string, readonly string[]>>,
        protect: request.getProtect() ?? false,
        /** Whether a deletion leaves the resource in AWS. */
        retainOnDelete: request.getRetainondelete() ?? false,
        /** URN of the resource whose deletion deletes this one, too; empty where there is none. */
        deletedWith: request.getDeletedwith(),
        /** Id of the resource that is taken over instead of made; empty where one is made. */
        importId: request.getImportid(),
        deleteBeforeReplace: request.getDeletebeforereplace(),
        ignoreChanges: request.getIgnorechangesList(),
        /** What a component registered at its end; undefined where it did not. */
        outputs: undefined as Record<string, unknown> | undefined,
    };
}
