/**
 * Evaluates Pulumi programs without an engine and records what they declare. Pulumi's own mocks see type, name and
 * inputs alone; the monitor underneath them sees the whole request: parent, dependencies, protection, aliases.
 */
import { strict as assert } from "node:assert";
import { setImmediate } from "node:timers/promises";

import * as pulumi from "@pulumi/pulumi";
import type {
    RegisterResourceOutputsRequest,
    RegisterResourceRequest,
} from "@pulumi/pulumi/proto/resource_pb";
import { MockMonitor, type Mocks } from "@pulumi/pulumi/runtime/mocks";

import { awsFunctions, type AwsType, awsTypes, physicalNameOf } from "./awsTypes";

/** Stands in recorded values for what a preview cannot know. */
export const unknown = pulumi.runtime.unknownValue;

/** One resource, as the program asked the engine for it. */
export interface RecordedResource {
    readonly urn: string;
    readonly type: string;
    readonly name: string;
    /** What the program gave, as plain JSON; in a preview with {@link unknown} in it. */
    readonly inputs: Record<string, unknown>;
    /** URN of the parent; empty where there is none. */
    readonly parent: string;
    /** Names of the resources that must exist before, those of `dependsOn` among them. */
    readonly dependencies: readonly string[];
    /** URNs of the resources that the value of each property was taken from. */
    readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
    readonly protect: boolean;
    /** Id of the resource that is taken over instead of made; empty where one is made. */
    readonly importId?: string;
    readonly deleteBeforeReplace: boolean;
    /** Properties whose change the engine ignores. */
    readonly ignoreChanges: readonly string[];
    /** URNs that the resource may have in an existing stack, by its own aliases and by those of its parents. */
    readonly aliases: readonly string[];
    /** What a component registered at its end; undefined where it did not. */
    outputs?: Record<string, unknown>;
}

/** Everything that one evaluation declared. */
export class Evaluation {
    public constructor(
        /** Every resource, in the order of registration. */
        public readonly resources: readonly RecordedResource[],
        /** What the program returned, as plain JSON; in a preview with {@link unknown} in it. */
        public readonly result: Record<string, unknown>,
    ) {}

    /** The resource of this name. */
    public resource(name: string): RecordedResource {
        const [found, ...more] = this.customResources().filter((resource) => resource.name === name);
        assert(found, `no resource ${name} among ${this.typesAndNames().join(", ")}`);
        assert.deepEqual(more, [], `more than one resource is called ${name}`);
        return found;
    }

    /** The component of this class. */
    public component(className: string): RecordedResource {
        const found = this.components().find(({ type }) => type.endsWith(`:${className}`));
        assert(found, `no component ${className}`);
        return found;
    }

    public components(): RecordedResource[] {
        return this.resources.filter(({ type }) => isComponent(type));
    }

    public customResources(): RecordedResource[] {
        return this.resources.filter(({ type }) => !isComponent(type));
    }

    /** Type and name of every resource, sorted. */
    public typesAndNames(): string[] {
        return this.resources.map(({ type, name }) => `${type} ${name}`).sort();
    }
}

/** How a program is evaluated. */
export interface EvaluationOptions {
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
    /**
     * Resource types that the program may use, by their token.
     *
     * @default those of ecr-image-export
     */
    readonly types?: Record<string, AwsType | undefined>;
}

/**
 * Runs a program to the end of its registrations. Fails when it met a resource type or a provider function that
 * `awsTypes.ts` does not know; Pulumi alone would show that as an unhandled rejection, or not at all.
 *
 * @param program Returns whatever the test wants to see in plain, Outputs included.
 */
export async function evaluate(
    program: () => Record<string, unknown>,
    options: EvaluationOptions = {},
): Promise<Evaluation> {
    const { monitor, problems } = await startRecording(options);

    const result = await withoutFailures(async () => {
        const returned = program();
        await pulumi.runtime.disconnect(); // waits for every registration
        return (await pulumi.runtime.serializeProperties("result", returned)) as Record<string, unknown>;
    });

    assert.deepEqual(problems, [], "the program asked the mocks for what they do not know");
    return new Evaluation(monitor.recorded, result);
}

/** What stands in for the engine: a monitor that records, and what it was asked for that it does not know. */
export async function startRecording(
    options: EvaluationOptions = {},
): Promise<{ monitor: RecordingMonitor; problems: readonly string[] }> {
    const { stack = "dev", preview = false, project = "ecr-image-export", types = awsTypes } = options;
    const problems: string[] = [];
    const mocks = answerAs(preview, types, options.otherStacks ?? {}, problems);
    await pulumi.runtime.setMocks(mocks, project, stack, preview); // switches the engine's features on
    const monitor = new RecordingMonitor(mocks);
    pulumi.runtime.setMockOptions(monitor, project, stack, preview, options.organization);
    return { monitor, problems };
}

/** Fails with what a resource's inputs failed with, which Pulumi leaves to the handler of unhandled rejections. */
async function withoutFailures<T>(run: () => Promise<T>): Promise<T> {
    const failures: unknown[] = [];
    const handlers = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (reason) => failures.push(reason));
    try {
        const result = await run();
        await setImmediate(); // Node tells of rejections once nothing else is to be done
        if (failures.length > 0) throw failures[0];
        return result;
    } finally {
        process.removeAllListeners("unhandledRejection");
        for (const handler of handlers) process.on("unhandledRejection", handler);
    }
}

function answerAs(
    preview: boolean,
    types: Record<string, AwsType | undefined>,
    otherStacks: Readonly<Record<string, Record<string, unknown>>>,
    problems: string[],
): Mocks {
    return {
        newResource({ type, name, inputs }) {
            const given = inputs as Record<string, unknown>;
            if (type === "pulumi:pulumi:StackReference") {
                const outputs = otherStacks[String(given["name"])];
                if (outputs === undefined) problems.push(`stack ${String(given["name"])}`);
                return { id: name, state: { ...given, outputs: outputs ?? {}, secretOutputNames: [] } };
            }
            if (isComponent(type)) return { id: undefined, state: {} };
            const known = types[type];
            if (known === undefined) {
                problems.push(`resource type ${type}`);
                return { id: name, state: given };
            }
            if (preview) return { id: undefined, state: given };
            const { id, ...computed } = known.answer(physicalNameOf(name), given);
            return { id, state: { ...given, ...computed } };
        },
        call({ token }) {
            const answer = awsFunctions[token];
            if (answer === undefined) problems.push(`function ${token}`);
            return answer ?? {};
        },
    };
}

/** Whether a type is a component, not a resource of a provider. */
function isComponent(type: string): boolean {
    return !/^(?:aws|pulumiservice):/.test(type);
}

/** Pulumi's mock of the engine's monitor, with a memory. */
export class RecordingMonitor extends MockMonitor {
    public readonly recorded: RecordedResource[] = [];

    public override async registerResource(
        request: RegisterResourceRequest,
        callback: Parameters<MockMonitor["registerResource"]>[1],
    ): Promise<void> {
        await super.registerResource(request, (error: unknown, response?: { getUrn(): string }) => {
            if (response) this.recorded.push(recordedAs(response.getUrn(), request));
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

function recordedAs(urn: string, request: RegisterResourceRequest): RecordedResource {
    return {
        urn,
        type: request.getType(),
        name: request.getName(),
        inputs: request.getObject()?.toJavaScript() ?? {},
        parent: request.getParent(),
        dependencies: request.getDependenciesList().map((dependency) => dependency.split("::").at(-1) ?? ""),
        propertyDependencies: Object.fromEntries(
            [...request.getPropertydependenciesMap().entries()].map(([property, from]) => [
                property,
                from.getUrnsList(),
            ]),
        ),
        protect: request.getProtect() ?? false,
        importId: request.getImportid(),
        deleteBeforeReplace: request.getDeletebeforereplace(),
        ignoreChanges: request.getIgnorechangesList(),
        aliases: request.getAliasurnsList(),
    };
}
