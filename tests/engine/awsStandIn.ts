/**
 * Stands in for the AWS provider: the service that Pulumi's engine calls, over the account of awsAccount.ts. What is made answers as
 * lab/awsTypes.ts says, and what is replaced is decided by replaceRules.ts.
 */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

import * as grpc from "@grpc/grpc-js";
import * as pulumi from "@pulumi/pulumi";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { type IResourceProviderServer, ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { ResourceMonitorClient } from "@pulumi/pulumi/proto/resource_grpc_pb";
import { RegisterResourceRequest, type RegisterResourceResponse } from "@pulumi/pulumi/proto/resource_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";

import { partitionOf } from "../../contract/aws";
import { type Answer, at, awsFunctions, type AwsType, awsTypes, remoteComponents } from "../../lab/awsTypes";
import { bootstrapTypes } from "../support/bootstrapTypes";
import { type AwsAccount, filledIn, type Properties, type Resource } from "./awsAccount";
import { replaceRules } from "./replaceRules";

const unknown = pulumi.runtime.unknownValue;

/** That of the SDK, which the engine expects. */
const { version } = createRequire(__filename)("@pulumi/aws/package.json") as { readonly version: string };

/** The provider, listening. */
export class AwsStandIn {
    private region: string = at.region;

    private constructor(
        private readonly aws: AwsAccount,
        private readonly server: grpc.Server,
        /** Port on 127.0.0.1. */
        public readonly port: number,
    ) {}

    /** Starts the provider, on an account. */
    public static async start(aws: AwsAccount): Promise<AwsStandIn> {
        const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
        const port = await new Promise<number>((resolve, reject) => {
            server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
                if (error) reject(error);
                else resolve(bound);
            });
        });
        const standIn = new AwsStandIn(aws, server, port);
        server.addService(ResourceProviderService, standIn.service() as IResourceProviderServer);
        return standIn;
    }

    /** Stops it. */
    public stop(): void {
        this.server.forceShutdown();
    }

    private service(): Partial<IResourceProviderServer> {
        return {
            attach: answering(() => new Empty()),
            cancel: answering(() => new Empty()),
            getPluginInfo: answering(() => new PluginInfo().setVersion(version)),
            getSchema: answering(() => new proto.GetSchemaResponse().setSchema("{}")),
            checkConfig: answering((request: proto.CheckRequest) =>
                new proto.CheckResponse().setInputs(request.getNews()),
            ),
            // Version 7 replaces resources, not the provider, when the region changes: see ReplaceRules.global.
            diffConfig: answering(diffConfig),
            configure: answering((request: proto.ConfigureRequest) => {
                const { region } = read(request.getArgs());
                if (typeof region === "string") this.region = region;
                return new proto.ConfigureResponse().setSupportspreview(true).setAcceptsecrets(true);
            }),
            invoke: answering((request: proto.InvokeRequest) => this.invoke(request)),
            check: answering((request: proto.CheckRequest) => this.check(request)),
            diff: answering((request: proto.DiffRequest) => this.diff(request)),
            create: answering((request: proto.CreateRequest) => this.create(request)),
            read: answering((request: proto.ReadRequest) => this.read(request)),
            update: answering((request: proto.UpdateRequest) => this.update(request)),
            delete: answering((request: proto.DeleteRequest) => this.delete(request)),
            construct: answering((request: proto.ConstructRequest) => this.construct(request)),
        };
    }

    private get location() {
        const partition = partitionOf(this.region);
        if (partition === undefined) throw new Error(`no region of AWS: ${this.region}`);
        return { partition, region: this.region, accountId: at.accountId };
    }

    private invoke(request: proto.InvokeRequest): proto.InvokeResponse {
        const answer = awsFunctions[request.getTok()]?.(this.location);
        if (answer === undefined) throw new Error(`lab/awsTypes.ts has no function ${request.getTok()}`);
        return new proto.InvokeResponse().setReturn(written(answer));
    }

    /** Fills in the name, as the bridge does: that of before, or a new one. */
    private check(request: proto.CheckRequest): proto.CheckResponse {
        const { type, name } = namesIn(request.getUrn());
        const inputs = read(request.getNews());
        const { nameArgument } = typeOf(type);
        const isOpen = nameArgument !== undefined && !(nameArgument in inputs) && !("namePrefix" in inputs);
        if (isOpen) {
            const before = read(request.getOlds());
            const keeps = (before[filledIn] as string[] | undefined)?.includes(nameArgument);
            inputs[nameArgument] = keeps ? before[nameArgument] : `${name}-${randomBytes(4).toString("hex").slice(1)}`;
        }
        inputs[filledIn] = isOpen ? [nameArgument] : [];
        return new proto.CheckResponse().setInputs(written(inputs));
    }

    private diff(request: proto.DiffRequest): proto.DiffResponse {
        const { type } = namesIn(request.getUrn());
        const olds = read(request.getOldInputs());
        const news = read(request.getNews());
        const changed = changesBetween(olds, news);
        const { replacedBy, global } = rulesOf(type);
        const { region } = read(request.getOlds());
        const moves = global !== true && region !== undefined && region !== this.region;
        const replaces = [...changed.filter((property) => replacedBy.includes(property)), ...(moves ? ["region"] : [])];
        const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
        const differs = changed.length > 0 || moves;
        return new proto.DiffResponse()
            .setChanges(differs ? DIFF_SOME : DIFF_NONE)
            .setDiffsList([...changed, ...(moves ? ["region"] : [])])
            .setReplacesList(replaces);
    }

    private async create(request: proto.CreateRequest): Promise<proto.CreateResponse> {
        const { type, name } = namesIn(request.getUrn());
        const inputs = read(request.getProperties());
        const { nameArgument } = typeOf(type);
        const given = nameArgument === undefined ? undefined : inputs[nameArgument];
        const physicalName = typeof given === "string" ? given : `${name}-${randomBytes(4).toString("hex")}`;
        const { id, ...computed } = this.answer(type, physicalName, inputs);
        const state = { ...inputs, ...computed, ...this.place(type) };
        if (request.getPreview()) {
            const open = Object.keys(computed).filter((property) => !(property in inputs));
            const planned = { ...state, ...Object.fromEntries(open.map((property) => [property, unknown])) };
            return new proto.CreateResponse().setProperties(written(planned));
        }
        const { region } = this.aws.account.location;
        if (this.region !== region) {
            throw new Error(`The account of these tests is in ${region}, not in ${this.region}`);
        }
        await this.aws.create({ type, id, inputs, state }, { id, ...computed });
        return new proto.CreateResponse().setId(id).setProperties(written(state));
    }

    /** What AWS answers when a resource is made. */
    private answer(type: string, physicalName: string, inputs: Properties): Answer {
        const answer = typeOf(type).answer(physicalName, inputs, this.location);
        if (type !== keyType) return answer;
        const keyId = randomKeyId(); // the table knows one key only
        return { id: keyId, keyId, arn: answer["arn"]?.replace(answer.id, keyId) ?? "" };
    }

    /** The region as a property, which resources have that are in one. */
    private place(type: string): Properties {
        return rulesOf(type).global ? {} : { region: this.region };
    }

    private async read(request: proto.ReadRequest): Promise<proto.ReadResponse> {
        const { type } = namesIn(request.getUrn());
        const id = request.getId();
        const known = { type, id, inputs: read(request.getInputs()), state: read(request.getProperties()) };
        const found = await this.aws.read(known);
        const response = new proto.ReadResponse();
        if (found === undefined) return response;
        // Of what is imported, the engine knows nothing yet.
        const isKnown = Object.keys(known.state).length > 0;
        const computed = isKnown ? {} : { ...this.answer(type, id, found.inputs), ...this.place(type) };
        const state = { ...computed, ...found.state };
        return response.setId(id).setProperties(written(state)).setInputs(written(found.inputs));
    }

    private async update(request: proto.UpdateRequest): Promise<proto.UpdateResponse> {
        const { type } = namesIn(request.getUrn());
        const id = request.getId();
        const before: Resource = { type, id, inputs: read(request.getOldInputs()), state: read(request.getOlds()) };
        const inputs = read(request.getNews());
        const computed = Object.entries(before.state).filter(([property]) => !(property in before.inputs));
        const state = { ...Object.fromEntries(computed), ...inputs };
        if (!request.getPreview()) await this.aws.update(before, { type, id, inputs, state });
        return new proto.UpdateResponse().setProperties(written(state));
    }

    private async delete(request: proto.DeleteRequest): Promise<Empty> {
        const { type } = namesIn(request.getUrn());
        const [inputs, state] = [read(request.getOldInputs()), read(request.getProperties())];
        await this.aws.delete({ type, id: request.getId(), inputs, state });
        return new Empty();
    }

    /** A component of a package: registered here, as its plugin would do, without children. */
    private async construct(request: proto.ConstructRequest): Promise<proto.ConstructResponse> {
        const type = request.getType();
        const component = remoteComponents[type];
        if (component === undefined) throw new Error(`lab/awsTypes.ts has no component ${type}`);
        const monitor = new ResourceMonitorClient(request.getMonitorendpoint(), grpc.credentials.createInsecure());
        const registration = new RegisterResourceRequest()
            .setType(type)
            .setName(request.getName())
            .setParent(request.getParent())
            .setCustom(false)
            .setObject(request.getInputs())
            .setAcceptsecrets(true);
        try {
            const urn = await new Promise<string>((resolve, reject) => {
                monitor.registerResource(registration, (error, response?: RegisterResourceResponse) => {
                    if (response) resolve(response.getUrn());
                    else reject(error ?? new Error("no response"));
                });
            });
            const state = component(`${request.getName()}-0a1b2c3`, read(request.getInputs()));
            return new proto.ConstructResponse().setUrn(urn).setState(written(state));
        } finally {
            monitor.close();
        }
    }
}

const keyType = "aws:kms/key:Key";

function randomKeyId(): string {
    return randomBytes(16)
        .toString("hex")
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Answers a call with what a function returns, or with its error. */
function answering<Request, Response>(
    act: (request: Request) => Response | Promise<Response>,
): grpc.handleUnaryCall<Request, Response> {
    return ({ request }, callback) => {
        Promise.resolve(request)
            .then(act)
            .then(
                (response) => {
                    callback(null, response);
                },
                (error: unknown) => {
                    // An error of AWS's API has a name, a plain one `Error`.
                    const details = String(error).replace(/^Error: /, "");
                    callback({ code: grpc.status.UNKNOWN, details });
                },
            );
    };
}

function diffConfig(request: proto.DiffRequest): proto.DiffResponse {
    const changed = changesBetween(read(request.getOldInputs()), read(request.getNews()));
    const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
    return new proto.DiffResponse().setChanges(changed.length > 0 ? DIFF_SOME : DIFF_NONE).setDiffsList(changed);
}

function changesBetween(olds: Properties, news: Properties): string[] {
    const properties = [...new Set([...Object.keys(olds), ...Object.keys(news)])];
    return properties.filter((property) => property !== filledIn && !isDeepStrictEqual(olds[property], news[property]));
}

/** Type and name of a resource: urn:pulumi:STACK::PROJECT::PARENTTYPE$TYPE::NAME */
export function namesIn(urn: string): { type: string; name: string } {
    const [, , types = "", ...name] = urn.split("::");
    return { type: types.split("$").at(-1) ?? "", name: name.join("::") };
}

function typeOf(type: string): AwsType {
    const known = awsTypes[type] ?? bootstrapTypes[type];
    if (known === undefined) throw new Error(`neither lab/awsTypes.ts nor bootstrapTypes.ts has a type ${type}`);
    return known;
}

function rulesOf(type: string) {
    const rules = replaceRules[type];
    if (rules === undefined) throw new Error(`tests/engine/replaceRules.ts has no type ${type}`);
    return rules;
}

function read(struct: Struct | undefined): Properties {
    return struct?.toJavaScript() ?? {};
}

function written(properties: Properties): Struct {
    return Struct.fromJavaScript(properties as Record<string, JavaScriptValue>);
}
