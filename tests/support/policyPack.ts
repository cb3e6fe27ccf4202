/**
 * The policy pack as the Pulumi CLI runs it: a process that is started in the pack's folder with the SDK's own entry
 * point, and asked over gRPC. What the CLI does is in github.com/pulumi/pulumi, sdk/nodejs/dist/pulumi-analyzer-policy
 * and sdk/go/common/resource/plugin/analyzer_plugin.go.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { credentials, type ServiceError } from "@grpc/grpc-js";
import { AnalyzerClient } from "@pulumi/pulumi/proto/analyzer_grpc_pb";
import {
    AnalyzeRequest,
    type AnalyzeResponse,
    type AnalyzerInfo,
    AnalyzerPropertyDependencies,
    AnalyzerResource,
    AnalyzerResourceOptions,
    AnalyzeStackRequest,
    EnforcementLevel,
} from "@pulumi/pulumi/proto/analyzer_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";

import { root } from "../../lab/stackFiles";
import type { RecordedResource } from "./pulumiMocks";

/** What the pack says against a resource. */
export interface Diagnostic {
    readonly policy: string;
    /** A mandatory one ends the preview or the update. */
    readonly level: "advisory" | "mandatory";
    readonly message: string;
    readonly urn: string;
}

/** A policy pack that runs. */
export interface PolicyPackProcess {
    /** Name, version and policies, as `pulumi policy publish` asks for them. */
    readonly info: () => Promise<AnalyzerInfo.AsObject>;
    /** Judges one resource, as the engine asks before it creates or changes it. */
    readonly analyze: (resource: RecordedResource) => Promise<Diagnostic[]>;
    /** Judges all resources together, as the engine asks at the end. */
    readonly analyzeStack: (resources: readonly RecordedResource[]) => Promise<Diagnostic[]>;
    readonly stop: () => Promise<void>;
}

/**
 * Starts the pack in `policy/`.
 *
 * @param configuration The stack's configuration, which the CLI hands to packs too.
 * @throws Error with what the process printed, when it ends before it is ready.
 */
export async function startPolicyPack(configuration: Record<string, string>): Promise<PolicyPackProcess> {
    const folder = join(root, "policy");
    // Found from the pack's folder, as the CLI finds it.
    const entry = createRequire(join(folder, "index.ts")).resolve("@pulumi/pulumi/cmd/run-policy-pack");
    const child = spawn(process.execPath, [entry, "127.0.0.1:1", "."], {
        cwd: folder,
        env: { ...process.env, PULUMI_CONFIG: JSON.stringify(configuration) },
        stdio: ["ignore", "pipe", "pipe"],
    });
    const client = new AnalyzerClient(`127.0.0.1:${await portOf(child)}`, credentials.createInsecure());
    return {
        info: async () =>
            (
                await answer<AnalyzerInfo>((done) => {
                    client.getAnalyzerInfo(new Empty(), done);
                })
            ).toObject(),
        analyze: async ({ type, name, urn, inputs }) => {
            const request = new AnalyzeRequest().setType(type).setName(name).setUrn(urn);
            request.setProperties(structOf(inputs)).setOptions(optionsOf());
            return diagnosticsOf(
                await answer((done) => {
                    client.analyze(request, done);
                }),
            );
        },
        analyzeStack: async (resources) => {
            const request = new AnalyzeStackRequest().setResourcesList(resources.map(asResourceOfStack));
            return diagnosticsOf(
                await answer((done) => {
                    client.analyzeStack(request, done);
                }),
            );
        },
        stop: async () => {
            client.close();
            const ended = new Promise((resolve) => child.once("close", resolve));
            child.kill();
            await ended;
        },
    };
}

/** A pack prints the port that it listens on as its first line. */
async function portOf(child: ChildProcess): Promise<number> {
    let printed = "";
    child.stderr?.on("data", (data: Buffer) => (printed += data.toString()));
    return new Promise((resolve, reject) => {
        if (child.stdout)
            createInterface({ input: child.stdout }).once("line", (line) => {
                resolve(Number(line));
            });
        child.once("close", () => {
            reject(new Error(`The policy pack did not start:\n${printed}`));
        });
    });
}

function asResourceOfStack({
    type,
    name,
    urn,
    inputs,
    propertyDependencies,
}: RecordedResource): AnalyzerResource {
    const resource = new AnalyzerResource().setType(type).setName(name).setUrn(urn);
    resource.setProperties(structOf(inputs)).setOptions(optionsOf());
    for (const [property, urns] of Object.entries(propertyDependencies)) {
        resource
            .getPropertydependenciesMap()
            .set(property, new AnalyzerPropertyDependencies().setUrnsList([...urns]));
    }
    return resource;
}

/** No rule reads the options of a resource, but the pack takes an engine that sends none for too old. */
function optionsOf(): AnalyzerResourceOptions {
    return new AnalyzerResourceOptions().setCustomtimeouts(new AnalyzerResourceOptions.CustomTimeouts());
}

function structOf(inputs: Record<string, unknown>): Struct {
    return Struct.fromJavaScript(inputs as Record<string, JavaScriptValue>);
}

function diagnosticsOf(response: AnalyzeResponse): Diagnostic[] {
    return response.getDiagnosticsList().map((diagnostic) => ({
        policy: diagnostic.getPolicyname(),
        level: diagnostic.getEnforcementlevel() === EnforcementLevel.ADVISORY ? "advisory" : "mandatory",
        message: diagnostic.getMessage(),
        urn: diagnostic.getUrn(),
    }));
}

function answer<T>(call: (done: (error: ServiceError | null, response: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
        call((error, response) => {
            if (error) reject(error);
            else resolve(response);
        });
    });
}
