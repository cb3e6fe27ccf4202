/**
 * Stands in for the AWS provider: the service that Pulumi's engine calls, over an account in memory. What is made answers as
 * lab/awsTypes.ts says, and what is replaced is decided by replaceRules.ts. Of AWS it knows that two things cannot have one name, and that
 * S3 deletes empty buckets only.
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
import { at, awsFunctions, type AwsType, awsTypes, remoteComponents } from "../../lab/awsTypes";
import { replaceRules } from "./replaceRules";

type Properties = Record<string, unknown>;

/** A resource in the account. */
export interface Made {
    readonly type: string;
    readonly id: string;
    /** What it was made with. */
    readonly inputs: Properties;
    /** What AWS says of it: inputs, and what is computed. */
    readonly state: Properties;
}

/** Where the bridge to Terraform's providers writes down which inputs it filled in. */
const filledIn = "__defaults";

const unknown = pulumi.runtime.unknownValue;

/** Types whose resources are settings of another one: setting them again is no conflict. */
const settings =
    /:(?:Bucket(?!Object).+|TopicPolicy|KeyPolicy|QueuePolicy|EventTarget|DefaultSecurityGroup|RouteTableAssociation)$/;

/** That of the SDK, which the engine expects. */
const { version } = createRequire(__filename)("@pulumi/aws/package.json") as { readonly version: string };

/** The provider, listening, and the account that it works on. */
export class AwsStandIn {
    /** What is in the account, in the order of making. */
    public readonly account = new Map<string, Made>();
    /** What the provider was asked to delete, `TYPE ID`, in this order; refusals too. */
    public readonly deletions: string[] = [];
    private readonly archives = new Map<string, Set<string>>();
    private region: string = at.region;

    private constructor(
        private readonly server: grpc.Server,
        /** Port on 127.0.0.1. */
        public readonly port: number,
    ) {}

    /** Starts the provider. */
    public static async start(): Promise<AwsStandIn> {
        const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
        const port = await new Promise<number>((resolve, reject) => {
            server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
                if (error) reject(error);
                else resolve(bound);
            });
        });
        const standIn = new AwsStandIn(server, port);
        server.addService(ResourceProviderService, standIn.service() as IResourceProviderServer);
        return standIn;
    }

    /** Stops it. */
    public stop(): void {
        this.server.forceShutdown();
    }

    /** Makes a bucket that no stack knows. */
    public createBucket(bucket: string, tags: Record<string, string> = {}): void {
        const state = {
            bucket,
            tags,
            region: this.region,
            ...awsTypes[bucketType]?.answer(bucket, { bucket }, this.location),
        };
        this.account.set(this.key(bucketType, bucket), {
            type: bucketType,
            id: bucket,
            inputs: { bucket, tags },
            state,
        });
    }

    /** Puts an object into a bucket. */
    public putObject(bucket: string, key: string): void {
        this.archives.set(bucket, this.objectsOf(bucket).add(key));
    }

    /** Deletes all objects of a bucket. */
    public empty(bucket: string): void {
        this.archives.delete(bucket);
    }

    /** Ids of what there is of a type. */
    public idsOf(type: string): string[] {
        return [...this.account.values()].filter((made) => made.type === type).map(({ id }) => id);
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

    private key(type: string, id: string): string {
        return replaceRules[type]?.global ? `${type} ${id}` : `${this.region} ${type} ${id}`;
    }

    private objectsOf(bucket: string): Set<string> {
        return this.archives.get(bucket) ?? new Set();
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

    private create(request: proto.CreateRequest): proto.CreateResponse {
        const { type, name } = namesIn(request.getUrn());
        const inputs = read(request.getProperties());
        const known = typeOf(type);
        const given = known.nameArgument === undefined ? undefined : inputs[known.nameArgument];
        const physicalName = typeof given === "string" ? given : `${name}-${randomBytes(4).toString("hex")}`;
        const { id: answered, ...computed } = known.answer(physicalName, inputs, this.location);
        const state = { ...inputs, ...computed, ...(rulesOf(type).global ? {} : { region: this.region }) };
        if (request.getPreview()) {
            const open = Object.keys(computed).filter((property) => !(property in inputs));
            const planned = { ...state, ...Object.fromEntries(open.map((property) => [property, unknown])) };
            return new proto.CreateResponse().setProperties(written(planned));
        }
        // The table knows one key only.
        const id = type === keyType ? randomKeyId() : answered;
        if (type === keyType) {
            Object.assign(state, { keyId: id, arn: String(computed["arn"]).replace(answered, id) });
        }
        if (!settings.test(type) && this.account.has(this.key(type, id))) {
            throw new Error(`${type} ${id} exists already`);
        }
        if (type === objectType) this.putObject(String(inputs["bucket"]), id);
        this.account.set(this.key(type, id), { type, id, inputs, state });
        return new proto.CreateResponse().setId(id).setProperties(written(state));
    }

    private read(request: proto.ReadRequest): proto.ReadResponse {
        const { type } = namesIn(request.getUrn());
        const made = this.account.get(this.key(type, request.getId()));
        const response = new proto.ReadResponse();
        if (made === undefined) return response;
        return response.setId(made.id).setProperties(written(made.state)).setInputs(written(made.inputs));
    }

    private update(request: proto.UpdateRequest): proto.UpdateResponse {
        const { type } = namesIn(request.getUrn());
        const key = this.key(type, request.getId());
        const inputs = read(request.getNews());
        const before = Object.keys(read(request.getOldInputs()));
        const computed = Object.entries(read(request.getOlds())).filter(([property]) => !before.includes(property));
        const state = { ...Object.fromEntries(computed), ...inputs };
        if (!request.getPreview()) {
            const made = this.account.get(key);
            if (made === undefined) throw new Error(`${key} does not exist`);
            this.account.set(key, { ...made, inputs, state });
        }
        return new proto.UpdateResponse().setProperties(written(state));
    }

    private delete(request: proto.DeleteRequest): Empty {
        const { type } = namesIn(request.getUrn());
        const id = request.getId();
        this.deletions.push(`${type} ${id}`);
        const properties = read(request.getProperties());
        if (type === bucketType) {
            if (properties["forceDestroy"] === true) this.empty(id);
            if (this.objectsOf(id).size > 0) {
                throw new Error(`BucketNotEmpty: The bucket you tried to delete is not empty: ${id}`);
            }
            // Its settings have its name, and go with it: the engine does not ask for their deletion (deletedWith).
            for (const key of this.account.keys()) {
                if (key.includes(" aws:s3/bucket") && key.endsWith(` ${id}`)) this.account.delete(key);
            }
        }
        if (type === objectType) this.objectsOf(String(properties["bucket"])).delete(id);
        const region = String(properties["region"]);
        this.account.delete(rulesOf(type).global ? `${type} ${id}` : `${region} ${type} ${id}`);
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

const bucketType = "aws:s3/bucket:Bucket";
const objectType = "aws:s3/bucketObjectv2:BucketObjectv2";
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
                    const details = error instanceof Error ? error.message : String(error);
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
    const known = awsTypes[type];
    if (known === undefined) throw new Error(`lab/awsTypes.ts has no type ${type}`);
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
