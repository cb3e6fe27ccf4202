/**
 * The source-based Pulumi package as the Pulumi CLI runs it: a process of the SDK's own runner, spoken to by gRPC, with a monitor
 * of the tests in the engine's place.
 */
import { spawn } from "node:child_process";

import {
    credentials,
    Server,
    ServerCredentials,
    type ServiceError,
    type UntypedHandleCall,
} from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { ConstructRequest, type ConstructResponse, GetSchemaRequest } from "@pulumi/pulumi/proto/provider_pb";
import { ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";

import { Evaluation, startRecording } from "./pulumiMocks";

type Reply<T> = (error: ServiceError | null, response: T) => void;

/** A plugin that runs. */
export class Plugin {
    private constructor(
        private readonly client: ResourceProviderClient,
        /** Ends the plugin. */
        public readonly stop: () => void,
    ) {}

    /** Starts the plugin of a folder. Its process tells the port that it listens on, as soon as it does. */
    public static async start(folder: string): Promise<Plugin> {
        const runner = require.resolve("@pulumi/pulumi/cmd/run-plugin");
        // Nobody listens at the engine's address, which it takes for its log.
        const child = spawn(process.execPath, [runner, folder, "127.0.0.1:1"], {
            cwd: folder,
            stdio: ["ignore", "pipe", "inherit"],
        });
        const port = await new Promise<string>((resolve, reject) => {
            child.stdout.once("data", (line: Buffer) => {
                resolve(line.toString().trim());
            });
            child.once("exit", (code) => {
                reject(new Error(`The plugin ended with ${code}.`));
            });
        });
        const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure());
        return new Plugin(client, () => {
            client.close();
            child.kill();
        });
    }

    /** The schema of the package, as JSON. */
    public async schema(): Promise<string> {
        const response = await answer<{ getSchema(): string }>((reply) => {
            this.client.getSchema(new GetSchemaRequest(), reply);
        });
        return response.getSchema();
    }

    /** Makes a component. The result of the evaluation are the component's outputs. */
    public async construct(type: string, name: string, inputs: Record<string, unknown>): Promise<Evaluation> {
        const { monitor, problems } = await startRecording();
        const server = new Server();
        server.addService(
            ResourceMonitorService,
            Object.fromEntries(
                Object.keys(ResourceMonitorService).map((method) => [method, handler(monitor, method)]),
            ),
        );
        const port = await new Promise<number>((resolve, reject) => {
            server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
                if (error) reject(error);
                else resolve(bound);
            });
        });
        try {
            const request = new ConstructRequest();
            request.setProject("ecr-image-export").setStack("dev").setParallel(16);
            request.setMonitorendpoint(`127.0.0.1:${port}`);
            request.setType(type).setName(name);
            request.setInputs(Struct.fromJavaScript(inputs as Parameters<typeof Struct.fromJavaScript>[0]));
            const response = await answer<ConstructResponse>((reply) => {
                this.client.construct(request, reply);
            });
            if (problems.length > 0) throw new Error(`The plugin asked for ${problems.join(", ")}.`);
            return new Evaluation(monitor.recorded, response.getState()?.toJavaScript() ?? {});
        } finally {
            server.forceShutdown();
        }
    }
}

/** Passes a call on to the monitor, whose empty answers are plain objects. */
function handler(monitor: object, method: string): UntypedHandleCall {
    const methods = monitor as Record<string, (request: unknown, reply: Reply<object>) => void>;
    return (call: { request: unknown }, reply: Reply<object>) => {
        methods[method]?.(call.request, (error, response) => {
            reply(error, error === null && !("serializeBinary" in response) ? new Empty() : response);
        });
    };
}

function answer<T>(ask: (reply: Reply<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
        ask((error, response) => {
            if (error) reject(error);
            else resolve(response);
        });
    });
}
