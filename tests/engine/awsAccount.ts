/**
 * The account that the stand-in for the AWS provider works on. What lab/creators.ts creates, it creates here, too: in moto (S3,
 * CloudWatch Logs), or in what the lab keeps of its account. This file looks it up there, changes it and deletes it. Of what neither
 * has (tags, descriptions, retention of logs), the state of the engine is believed. Of all other types (networks, keys, topics,
 * alarms, settings of buckets: lab/awsTypes.ts says why the lab creates nothing for them) there is a record in memory.
 */
import { createHash } from "node:crypto";

import { DeleteLogGroupCommand, DescribeLogGroupsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
    DeleteBucketCommand,
    DeleteBucketEncryptionCommand,
    DeleteObjectCommand,
    GetBucketEncryptionCommand,
    GetBucketTaggingCommand,
    GetBucketVersioningCommand,
    ListBucketsCommand,
    ListObjectVersionsCommand,
    PutBucketTaggingCommand,
    PutBucketVersioningCommand,
    PutObjectCommand,
} from "@aws-sdk/client-s3";
import * as pulumi from "@pulumi/pulumi";

import type { Account } from "../../lab/account";
import type { Answer } from "../../lab/awsTypes";
import { creators, documentOf, type Emulator } from "../../lab/creators";

/** Properties of a resource, as the engine writes them. */
export type Properties = Record<string, unknown>;

/** A resource, as the engine knows it. */
export interface Resource {
    readonly type: string;
    readonly id: string;
    readonly inputs: Properties;
    /** Inputs, and what is computed; empty of a resource that is imported. */
    readonly state: Properties;
}

/** Where the bridge to Terraform's providers writes down which inputs it filled in. */
export const filledIn = "__defaults";

export const bucketType = "aws:s3/bucket:Bucket";

/** Types whose resources are settings of another one: setting them again is no conflict. */
const settings =
    /:(?:Bucket(?!Object).+|TopicPolicy|KeyPolicy|QueuePolicy|RolePolicy|EventTarget|DefaultSecurityGroup|RouteTableAssociation)$/;

/** What is in an account, whoever has made it. */
export class AwsAccount {
    /** What was to be deleted, `TYPE ID`, in this order; what was refused, too. */
    public readonly deletions: string[] = [];
    private readonly records = new Map<string, Resource>();

    public constructor(
        /** What the lab keeps of it. */
        public readonly account: Account,
        /** What moto has of it. */
        public readonly emulator: Emulator,
    ) {}

    /** Everything that there is: type, and what tells it from others of its type. */
    public async contents(): Promise<string[]> {
        const held = await Promise.all(
            Object.entries(holders).map(async ([type, holder]) =>
                ((await holder?.list(this)) ?? []).map((key) => `${type} ${key}`),
            ),
        );
        return [...held.flat(), ...this.records.keys()].sort();
    }

    /** The line of {@link contents} that stands for a resource. */
    public lineOf(resource: Omit<Resource, "state">): string {
        return `${resource.type} ${keyOf(resource)}`;
    }

    /** What there is of a type. */
    public async idsOf(type: string): Promise<string[]> {
        const lines = (await this.contents()).filter((line) => line.startsWith(`${type} `));
        return lines.map((line) => line.slice(type.length + 1));
    }

    /**
     * Makes a resource.
     *
     * @param answer What AWS answers on top of the inputs.
     * @throws Error when there is one of this name already.
     */
    public async create(resource: Resource, answer: Answer): Promise<void> {
        const { type, id } = resource;
        if (!settings.test(type) && (await this.read(resource)) !== undefined) {
            throw new Error(`${type} ${id} exists already`);
        }
        await this.put(resource, answer);
    }

    /** What there is of a resource now, over what the engine knows of it; undefined where it is gone. */
    public async read(resource: Resource): Promise<Resource | undefined> {
        const holder = holders[resource.type];
        if (holder === undefined) return this.records.get(this.lineOf(resource));
        if (!(await holder.list(this)).includes(keyOf(resource))) return undefined;
        const seen = (await holder.see?.(resource, this)) ?? {};
        return { ...resource, inputs: { ...resource.inputs, ...seen }, state: { ...resource.state, ...seen } };
    }

    /**
     * Changes a resource.
     *
     * @throws Error when it does not exist.
     */
    public async update(before: Resource, after: Resource): Promise<void> {
        if ((await this.read(before)) === undefined) throw new Error(`${before.type} ${before.id} does not exist`);
        const put = () => this.put(after, { ...(after.state as Record<string, string>), id: after.id });
        const change = holders[after.type]?.change;
        await (change === undefined ? put() : change({ before, put, aws: this }));
    }

    /**
     * Deletes a resource.
     *
     * @throws Error when AWS would refuse it.
     */
    public async delete(resource: Resource): Promise<void> {
        this.deletions.push(`${resource.type} ${resource.id}`);
        const holder = holders[resource.type];
        if (holder === undefined) this.records.delete(this.lineOf(resource));
        else await holder.remove(resource, this);
        // A policy goes with what it is of: the engine does not ask for its deletion (deletedWith).
        this.account.iam.resourcePolicies.delete(String(resource.state["arn"]));
    }

    /** Makes a bucket that no stack knows. */
    public async createBucket(bucket: string, tags: Record<string, string>): Promise<void> {
        await this.create({ type: bucketType, id: bucket, inputs: { bucket }, state: {} }, { id: bucket });
        const TagSet = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
        await this.emulator.s3.send(new PutBucketTaggingCommand({ Bucket: bucket, Tagging: { TagSet } }));
    }

    /** Puts an object into a bucket. */
    public async putObject(Bucket: string, Key: string): Promise<void> {
        await this.emulator.s3.send(new PutObjectCommand({ Bucket, Key, Body: "archive" }));
    }

    /** Deletes the objects of a bucket, or of them those at a key, in all their versions. */
    public async empty(Bucket: string, key?: string): Promise<void> {
        const { s3 } = this.emulator;
        const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
        for (const { Key, VersionId } of [...Versions, ...DeleteMarkers]) {
            if (key !== undefined && Key !== key) continue;
            await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
        }
    }

    /** Forgets of which records it is that they belong to a bucket. */
    public forgetSettingsOf(bucket: string): void {
        for (const [line, { type, id }] of this.records) {
            if (type.startsWith("aws:s3/") && id === bucket) this.records.delete(line);
        }
    }

    private async put(resource: Resource, answer: Answer): Promise<void> {
        const creator = creators[resource.type];
        if (creator === undefined) {
            this.records.set(this.lineOf(resource), resource);
            return;
        }
        // Files are of the SDK's classes again.
        const inputs = pulumi.runtime.deserializeProperty(givenIn(resource.inputs)) as never;
        await creator(inputs, { name: "", arn: "", ...answer, account: this.account, ...this.emulator });
    }
}

/** How what the lab creates is looked up, changed and deleted where it is. */
interface Holder {
    /** Keys of all that there is of the type. */
    readonly list: (aws: AwsAccount) => string[] | Promise<string[]>;
    /** The key of a resource. @default its id */
    readonly key?: (resource: Omit<Resource, "state">) => string;
    /** Properties as they are now. @default none are looked up */
    readonly see?: (resource: Resource, aws: AwsAccount) => Promise<Properties>;
    /** Changes it. @default it is put once more, which replaces what there was */
    readonly change?: (change: Change) => unknown;
    readonly remove: (resource: Resource, aws: AwsAccount) => unknown;
}

interface Change {
    readonly before: Resource;
    /** Puts it as it is to be. */
    readonly put: () => Promise<void>;
    readonly aws: AwsAccount;
}

/** What tells a resource from others of its type. */
function keyOf(resource: Omit<Resource, "state">): string {
    return holders[resource.type]?.key?.(resource) ?? resource.id;
}

/** What the program has given. */
function givenIn(inputs: Properties): Properties {
    return Object.fromEntries(Object.entries(inputs).filter(([name]) => name !== filledIn));
}

/** What the lab has no more of than that it exists, is not changed. */
const unchanged = () => undefined;

/** The last part of an ARN, of a URL or of an id with a group in it. */
function nameIn(id: string): string {
    return id.split(/[:/]/).at(-1) ?? "";
}

/** Tells elements of a list from each other. */
function digest(value: unknown): string {
    return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 12);
}

/** What the lab's account has in a map. */
function inMap(mapOf: (account: Account) => Map<string, unknown>, keyOf = nameIn): Holder {
    const key = ({ id }: Pick<Resource, "id">) => keyOf(id);
    return {
        list: ({ account }) => [...mapOf(account).keys()],
        key,
        remove: (resource, { account }) => mapOf(account).delete(key(resource)),
    };
}

/** The policy of a resource of a service: of a bucket, a key or a queue. */
function resourcePolicy(service: string): Holder {
    const arns = ({ account }: AwsAccount) =>
        [...account.iam.resourcePolicies.keys()].filter((arn) => arn.split(":")[2] === service);
    return {
        list: (aws) => arns(aws).map(nameIn),
        key: ({ id }) => nameIn(id),
        remove: ({ id }, aws) => {
            for (const arn of arns(aws)) if (nameIn(arn) === nameIn(id)) aws.account.iam.resourcePolicies.delete(arn);
        },
    };
}

/** What the lab's account has in lists, each of them of another resource. */
function inLists<T>(
    listsOf: (account: Account) => Iterable<readonly [owner: string, list: T[]]>,
    ownerOf: (inputs: Properties) => unknown,
    elementOf: (inputs: Properties) => T,
): Holder {
    const key = ({ inputs }: Pick<Resource, "inputs">) => {
        const given = givenIn(inputs);
        return `${String(ownerOf(given))} ${digest(elementOf(given))}`;
    };
    const remove: Holder["remove"] = (resource, { account }) => {
        for (const [owner, list] of listsOf(account)) {
            const index = list.findIndex((element) => `${owner} ${digest(element)}` === key(resource));
            if (index >= 0) list.splice(index, 1);
        }
    };
    return {
        list: ({ account }) =>
            [...listsOf(account)].flatMap(([owner, list]) => list.map((element) => `${owner} ${digest(element)}`)),
        key,
        change: async ({ before, put, aws }) => {
            remove(before, aws);
            await put();
        },
        remove,
    };
}

async function bucketsOf({ emulator: { s3 } }: AwsAccount): Promise<string[]> {
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    return Buckets.map(({ Name = "" }) => Name);
}

/** Those buckets of which something is true. */
async function bucketsWith(aws: AwsAccount, has: (bucket: string) => Promise<boolean>): Promise<string[]> {
    const each = (await bucketsOf(aws)).map(async (name) => ((await has(name)) ? [name] : []));
    return (await Promise.all(each)).flat();
}

/** An answer of S3; undefined where what it is asked for is not there, or no longer. */
function found<T>(answer: Promise<T>): Promise<T | undefined> {
    return answer.catch((error: unknown) => {
        const { name } = error as Error;
        if (/^(NoSuchBucket|NoSuchTagSet|ServerSideEncryptionConfigurationNotFoundError)$/.test(name)) return undefined;
        throw error;
    });
}

/** By type, each that the lab creates. */
export const holders: Readonly<Record<string, Holder | undefined>> = {
    [bucketType]: {
        list: bucketsOf,
        see: async ({ id: bucket, state }, { emulator: { s3 } }) => {
            if ("bucket" in state) return {};
            const { TagSet = [] } = (await found(s3.send(new GetBucketTaggingCommand({ Bucket: bucket })))) ?? {};
            return { bucket, tags: Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value])) };
        },
        change: unchanged,
        remove: async ({ id, state }, aws) => {
            if (state["forceDestroy"] === true) await aws.empty(id);
            await aws.emulator.s3.send(new DeleteBucketCommand({ Bucket: id }));
            aws.forgetSettingsOf(id); // as its policy
        },
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": {
        list: async (aws) => {
            const { s3 } = aws.emulator;
            const listed = (await bucketsOf(aws)).map(async (Bucket) => {
                const { Versions = [] } = (await found(s3.send(new ListObjectVersionsCommand({ Bucket })))) ?? {};
                return new Set(Versions.map(({ Key }) => `${Bucket}/${String(Key)}`));
            });
            return (await Promise.all(listed)).flatMap((keys) => [...keys]);
        },
        key: ({ id, inputs }) => `${String(inputs["bucket"])}/${id}`,
        remove: ({ id, inputs }, aws) => aws.empty(String(inputs["bucket"]), id),
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        list: (aws) => bucketsWith(aws, async (bucket) => (await encryptionOf(aws, bucket)).length > 0),
        see: async ({ id }, aws) => ({ rules: await encryptionOf(aws, id) }),
        remove: ({ id }, { emulator: { s3 } }) => s3.send(new DeleteBucketEncryptionCommand({ Bucket: id })),
    },
    "aws:s3/bucketVersioning:BucketVersioning": {
        list: (aws) => bucketsWith(aws, async (bucket) => (await versioningOf(aws, bucket)) !== undefined),
        see: async ({ id }, aws) => ({ versioningConfiguration: { status: await versioningOf(aws, id) } }),
        // Nothing more can be done about it.
        remove: ({ id }, { emulator: { s3 } }) => {
            const VersioningConfiguration = { Status: "Suspended" } as const;
            return s3.send(new PutBucketVersioningCommand({ Bucket: id, VersioningConfiguration }));
        },
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        list: async ({ emulator: { logs } }) => {
            const { logGroups = [] } = await logs.send(new DescribeLogGroupsCommand({ limit: 50 }));
            return logGroups.map(({ logGroupName = "" }) => logGroupName);
        },
        change: unchanged,
        remove: ({ id }, { emulator: { logs } }) => logs.send(new DeleteLogGroupCommand({ logGroupName: id })),
    },
    "aws:iam/role:Role": {
        ...inMap(({ iam }) => iam.roles),
        change: async ({ before: { id }, put, aws: { account } }) => {
            const { policies = [] } = account.iam.roles.get(id) ?? {};
            await put();
            account.iam.roles.get(id)?.policies.push(...policies);
        },
        remove: ({ id }, { account: { iam } }) => {
            const { policies = [] } = iam.roles.get(id) ?? {};
            if (policies.length > 0) {
                throw new Error(`DeleteConflict: Cannot delete entity, must delete policies first: ${id}`);
            }
            iam.roles.delete(id);
        },
    },
    "aws:iam/rolePolicy:RolePolicy": inLists(
        ({ iam }) => [...iam.roles].map(([name, { policies }]) => [name, policies]),
        ({ role }) => role,
        ({ policy }) => documentOf(policy as string),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": resourcePolicy("s3"),
    "aws:kms/keyPolicy:KeyPolicy": resourcePolicy("kms"),
    "aws:sqs/queuePolicy:QueuePolicy": resourcePolicy("sqs"),
    "aws:codebuild/project:Project": inMap(({ projects }) => projects),
    "aws:sfn/stateMachine:StateMachine": inMap(
        ({ stateMachines }) => stateMachines,
        (arn) => arn,
    ),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": inMap(({ cacheRules }) => cacheRules),
    "aws:cloudwatch/eventRule:EventRule": {
        ...inMap(({ events }) => events.rules),
        remove: ({ id }, { account: { events } }) => {
            if (events.rules.get(id)?.targets.length) {
                throw new Error(`ValidationException: Rule ${id} can't be deleted since it has targets.`);
            }
            events.rules.delete(id);
        },
    },
    "aws:cloudwatch/eventTarget:EventTarget": inLists(
        ({ events }) => [...events.rules].map(([name, { targets }]) => [name, targets]),
        ({ rule }) => rule,
        (inputs) => inputs as never,
    ),
    "aws:scheduler/schedule:Schedule": inMap(({ events }) => events.schedules),
};

async function versioningOf({ emulator: { s3 } }: AwsAccount, Bucket: string): Promise<string | undefined> {
    return (await found(s3.send(new GetBucketVersioningCommand({ Bucket }))))?.Status;
}

/** The rules by which a bucket encrypts, as Pulumi writes them. */
async function encryptionOf({ emulator: { s3 } }: AwsAccount, Bucket: string): Promise<Properties[]> {
    const answer = await found(s3.send(new GetBucketEncryptionCommand({ Bucket })));
    const { Rules = [] } = answer?.ServerSideEncryptionConfiguration ?? {};
    return Rules.map(({ ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled }) => ({
        applyServerSideEncryptionByDefault: {
            sseAlgorithm: byDefault?.SSEAlgorithm,
            ...(byDefault?.KMSMasterKeyID && { kmsMasterKeyId: byDefault.KMSMasterKeyID }),
        },
        ...(BucketKeyEnabled && { bucketKeyEnabled: BucketKeyEnabled }),
    }));
}
