/**
 * The stack's configuration: read as settings; and settings, wherever they come from, checked and completed with defaults. A
 * value that cannot work ends `pulumi preview` with a message that names the key, what was given and what is expected.
 */
import * as pulumi from "@pulumi/pulumi";

import { partitionOf as knownPartitionOf, type PartitionName } from "./contract/aws";
import type { EngineName } from "./contract/engine";
import { manifestPrefix, resultPrefix } from "./contract/keys";
import type { BuildNetwork, Compute } from "./components/buildRunner";
import {
    type EcrImage,
    type EcrRepository,
    parseImageUri,
    parseRepositoryArn,
    repositoryArn,
    repositoryUris,
} from "./contract/image";
import { type PullThroughCacheRule, repositoriesBelow } from "./components/pullThroughCache";
import type { Notifications, SlackChannel } from "./components/monitoring";
import type { Encryption, Retention } from "./components/storage";
import type { PushTrigger, ScheduleTrigger } from "./components/triggers";
import type { NetworkName, Settings } from "./settings";

/** The configuration of a stack, checked and complete. */
export interface StackConfig {
    /** AWS region of everything in the stack (`aws:region`). */
    readonly region: string;
    /** AWS partition that the region belongs to. */
    readonly partition: PartitionName;
    /** Image that is exported when a request names none. */
    readonly image: EcrImage;
    /** Every repository that may be exported, once each: that of `imageUri` first, then the listed ones. */
    readonly repositories: readonly EcrRepository[];
    /**
     * The only key prefix that builds may write, with its closing slash.
     *
     * @default "images/"
     */
    readonly artifactPrefix: string;
    /**
     * How the archive is made.
     *
     * @default "docker"
     */
    readonly engine: EngineName;
    /**
     * Machine and timeouts of a build.
     *
     * @default { type: "BUILD_GENERAL1_MEDIUM", timeoutMinutes: 30, queuedTimeoutMinutes: 60 } and an image for the engine
     */
    readonly compute: Compute;
    /**
     * Where builds run: in CodeBuild's own network, in a VPC of the stack's own without internet, or in a given VPC.
     *
     * @default "public"
     */
    readonly network: "public" | "isolated" | "private" | BuildNetwork;
    /**
     * What builds keep for the next one: nothing, or the layers on the build host, with engine `docker`.
     *
     * @default "none"
     */
    readonly cache: Cache;
    /**
     * Rules by which ECR fills repositories from other registries when builds pull from them.
     *
     * @default []
     */
    readonly pullThroughCache: readonly PullThroughCacheRule[];
    /** Those of the repositories that a rule fills. */
    readonly cachedRepositories: readonly EcrRepository[];
    /**
     * What encrypts archives, logs and notifications.
     *
     * @default "s3"
     */
    readonly encryption: Encryption;
    /**
     * How long archives are kept, and how well they are guarded.
     *
     * @default { archiveDays: 90, oldVersionDays: 30, protect: true }
     */
    readonly retention: Retention;
    /** Name of a bucket of this account that becomes the stack's; undefined where the stack makes its own. */
    readonly existingBucket: string | undefined;
    /** Who is told of what goes wrong; undefined where nobody is. */
    readonly notifications: Notifications | undefined;
    /** How many images of a batch are exported at a time. */
    readonly batch: Batch;
    /** What starts exports by itself; undefined where nothing does. */
    readonly triggers: Triggers | undefined;
    /** ARN of the managed policy that is the permissions boundary of every role; undefined where they have none. */
    readonly permissionsBoundary: string | undefined;
    /**
     * Tags on every taggable resource: `project`, `stack`, `managed-by`, and those of the configuration. `component` is
     * left for the pipeline to add.
     */
    readonly tags: Record<string, string>;
}

/** What builds keep for the next one. */
export type Cache = "none" | "local";

/** How batches are exported. */
export interface Batch {
    /**
     * Images at a time, 1 to 10,000.
     *
     * @default 10
     */
    readonly maxConcurrency: number;
}

/** What starts exports by itself: at least one of the two. */
export interface Triggers {
    readonly onPush: PushTrigger | undefined;
    readonly schedule: ScheduleTrigger | undefined;
}

/** The names of the keys, without their namespace. */
export const configKeys = [
    "imageUri",
    "repositoryArns",
    "crossAccountRepositoryArns",
    "artifactPrefix",
    "engine",
    "compute",
    "network",
    "cache",
    "pullThroughCache",
    "encryption",
    "retention",
    "existingBucket",
    "notifications",
    "batch",
    "triggers",
    "permissionsBoundary",
    "tags",
] as const;

type ConfigKey = (typeof configKeys)[number];

const computeTypes = ["SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"].map(
    (size) => `BUILD_GENERAL1_${size}`,
);

/** The keys whose value is a text; the value of `network` may be one. */
const textKeys: readonly ConfigKey[] = [
    "imageUri",
    "artifactPrefix",
    "engine",
    "cache",
    "encryption",
    "existingBucket",
    "permissionsBoundary",
];

/**
 * Reads the configuration of the current stack, as it is given: {@link checkSettings} checks it.
 *
 * @throws pulumi.RunError when a key is not known, or its value is a text where a structure belongs.
 */
export function readSettings(): Settings {
    const config = new pulumi.Config();
    refuseUnknownKeys(config.name);
    config.require("imageUri"); // tells how to set it
    const given = configKeys.flatMap((key): [string, unknown][] => {
        const text = config.get(key);
        if (text === undefined) return [];
        if (key === "network") return [text.startsWith("{") ? ["vpc", givenVpc(text)] : [key, text]];
        return [[key, textKeys.includes(key) ? text : structured(key, text)]];
    });
    const region = new pulumi.Config("aws").require("region");
    return { region, ...Object.fromEntries(given) } as unknown as Settings;
}

/** Reads the configuration of the current stack, checks and completes it. */
export function loadConfig(): StackConfig {
    return checkSettings(readSettings());
}

/**
 * Checks and completes settings.
 *
 * @throws pulumi.RunError when a value cannot work; the message names the key, the value and the expectation.
 */
export function checkSettings(config: Settings): StackConfig {
    const engine = oneOf("engine", config.engine ?? "docker", ["docker", "stream"]);
    const { region } = config;
    if (!/^[a-z]{2,}(?:-[a-z]+)+-[0-9]+$/.test(region)) {
        throw invalid("aws:region", region, "expected a region of AWS, for instance ap-northeast-1");
    }
    const partition = partitionOf(region);
    const machine = compute(config, engine);
    const image = parsed("imageUri", text("imageUri", config.imageUri), parseImageUri);
    if (image.repository.partition !== partition) {
        throw invalid("imageUri", image.uri, `expected an image of the stack's own partition, ${partition}`);
    }
    const own = repositories(config, "repositoryArns", partition);
    const foreign = repositories(config, "crossAccountRepositoryArns", partition);
    refuseSharedAccounts(own, foreign);
    const ownRepositories = [image.repository, ...own].filter(
        ({ accountId }) => !foreign.some((repository) => repository.accountId === accountId),
    );
    const rules = pullThroughCache(config, region, ownRepositories);
    const cachedRepositories = rules.flatMap(({ prefix }) =>
        repositoriesBelow(prefix, region, ownRepositories),
    );
    refuseFipsHost(image, cachedRepositories);

    const prefix = artifactPrefix(text("artifactPrefix", config.artifactPrefix ?? "images/"));
    const exported = withoutDuplicates([image.repository, ...own, ...foreign]);
    const place = network(config, machine);
    if (place === "isolated") refuseUnreachable({ image, exported, rules, region });

    return {
        region,
        partition,
        image,
        repositories: exported,
        artifactPrefix: prefix,
        engine,
        compute: machine,
        network: place,
        cache: cache(config, { engine, machine, place }),
        pullThroughCache: rules,
        cachedRepositories: withoutDuplicates(cachedRepositories),
        encryption: encryption(text("encryption", config.encryption ?? "s3"), region),
        retention: retention(config),
        existingBucket: existingBucket(config),
        notifications: notifications(config, partition),
        batch: batch(config),
        triggers: triggers(config, { region, foreign, exported, prefix }),
        permissionsBoundary: permissionsBoundary(config, partition),
        tags: tags(config),
    };
}

function partitionOf(region: string): PartitionName {
    return knownPartitionOf(region) ?? "aws";
}

/** A misspelt key would otherwise be ignored in silence. */
function refuseUnknownKeys(namespace: string): void {
    const known = configKeys.map((key) => `${namespace}:${key}`);
    for (const key of Object.keys(pulumi.runtime.allConfig())) {
        if (key.startsWith(`${namespace}:`) && !known.includes(key)) {
            throw new pulumi.RunError(
                `The configuration key ${key} is not known. Known are ${known.join(", ")}.`,
            );
        }
    }
}

/** No credentials are good for two partitions: a repository of another one can never be pulled from. */
function repositories(config: Settings, key: ConfigKey, partition: string): EcrRepository[] {
    const arns = config[key] ?? [];
    if (!Array.isArray(arns)) throw invalid(key, arns, "expected a list of ARNs of ECR repositories");
    return arns.map((arn: unknown, index) => {
        const path = `${key}[${index}]`;
        if (typeof arn !== "string") throw invalid(path, arn, "expected the ARN of an ECR repository");
        const repository = parsed(path, arn, parseRepositoryArn);
        if (repository.partition !== partition) {
            throw invalid(path, arn, `expected a repository of the stack's own partition, ${partition}`);
        }
        return repository;
    });
}

/** An account is either the stack's own or another: one that is in both lists shows a slip. */
function refuseSharedAccounts(own: EcrRepository[], foreign: EcrRepository[]): void {
    for (const repository of foreign) {
        const other = own.find(({ accountId }) => accountId === repository.accountId);
        if (other !== undefined) {
            throw invalid(
                "crossAccountRepositoryArns",
                repositoryArn(repository),
                `expected repositories of other accounts, but ${repository.accountId} is also the account of ` +
                    `${repositoryArn(other)} in repositoryArns, which lists repositories of this account`,
            );
        }
    }
}

function withoutDuplicates(repositories: EcrRepository[]): EcrRepository[] {
    return [...new Map(repositories.map((repository) => [repositoryArn(repository), repository])).values()];
}

function artifactPrefix(prefix: string): string {
    // These characters have no meaning in policies (*, ?, $), in JSONPath or in shells.
    if (!/^(?:[A-Za-z0-9][A-Za-z0-9._-]*\/)+$/.test(prefix) || prefix.length > 256) {
        throw invalid(
            "artifactPrefix",
            prefix,
            "expected one or more folders with a closing slash, of letters, digits, '.', '_' and '-', for instance images/",
        );
    }
    if ([manifestPrefix, resultPrefix].some((taken) => prefix.startsWith(taken))) {
        throw invalid(
            "artifactPrefix",
            prefix,
            `${manifestPrefix} and ${resultPrefix} belong to batches; choose another folder`,
        );
    }
    return prefix;
}

/** The build image where none is configured. The exporter needs Node 22, which is the default of newer images only. */
const defaultImages = {
    docker: "aws/codebuild/standard:7.0",
    stream: "aws/codebuild/standard:8.0",
    lambda: "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22",
};

// Where Node 18 is the default: github.com/aws/aws-codebuild-docker-images
const imagesWithNode18 = [
    "aws/codebuild/standard:7.0",
    "aws/codebuild/amazonlinux-x86_64-standard:5.0",
    "aws/codebuild/amazonlinux-aarch64-standard:3.0",
];

function compute(config: Settings, engine: EngineName): Compute {
    const fields = record(config, "compute", ["type", "image", "timeoutMinutes", "queuedTimeoutMinutes"]);
    const type = oneOf("compute.type", fields["type"] ?? "BUILD_GENERAL1_MEDIUM", [
        ...computeTypes,
        "lambda",
    ]);
    const lambda = type === "lambda";
    if (lambda && engine === "docker") {
        throw invalid(
            "compute.type",
            type,
            "Lambda compute has no Docker daemon; set engine to stream, or choose a type of BUILD_GENERAL1",
        );
    }
    for (const field of ["timeoutMinutes", "queuedTimeoutMinutes"]) {
        if (lambda && fields[field] !== undefined) {
            throw invalid(
                `compute.${field}`,
                fields[field],
                "Lambda compute has its own timeout, 15 minutes, and takes no other; leave the field out",
            );
        }
    }
    const image = buildImage(fields["image"] ?? defaultImages[lambda ? "lambda" : engine], lambda);
    if (engine === "stream" && imagesWithNode18.some((old) => image === old)) {
        throw invalid(
            "compute.image",
            image,
            `engine stream needs Node 22 or later as the default of the image, for instance ${defaultImages.stream}`,
        );
    }
    return {
        type,
        image,
        // docs.aws.amazon.com/codebuild/latest/userguide/lambda.html
        timeoutMinutes: lambda
            ? 15
            : integer("compute.timeoutMinutes", fields["timeoutMinutes"] ?? 30, 5, 2160),
        queuedTimeoutMinutes: integer(
            "compute.queuedTimeoutMinutes",
            fields["queuedTimeoutMinutes"] ?? 60,
            5,
            480,
        ),
    };
}

function buildImage(image: unknown, lambda: boolean): string {
    if (
        typeof image !== "string" ||
        !/^aws\/codebuild\/(?!windows)[a-z0-9_-]+:[a-z0-9._-]+$/.test(image) ||
        image.includes("-lambda-") !== lambda
    ) {
        const kind = lambda ? "for Lambda compute" : "for EC2 compute";
        const example = lambda ? defaultImages.lambda : defaultImages.stream;
        throw invalid(
            "compute.image",
            image,
            `expected a build image of CodeBuild ${kind}, for instance ${example}`,
        );
    }
    return image;
}

/** What a local cache needs: docs.aws.amazon.com/codebuild/latest/userguide/caching-local.html */
function cache(
    config: Settings,
    builds: { engine: EngineName; machine: Compute; place: StackConfig["network"] },
): Cache {
    const { engine, machine, place } = builds;
    const { type } = machine;
    const choice = oneOf("cache", config.cache ?? "none", ["none", "local"]);
    if (choice === "local" && engine === "stream") {
        throw invalid(
            "cache",
            choice,
            "engine stream keeps no layers that a build could find again; set engine to docker, or cache to none",
        );
    }
    if (choice === "local" && type === "BUILD_GENERAL1_2XLARGE") {
        throw invalid(
            "cache",
            choice,
            `CodeBuild has no local cache on ${type}; choose a smaller compute.type, or set cache to none`,
        );
    }
    if (choice === "local" && place !== "public") {
        throw invalid(
            "cache",
            choice,
            "CodeBuild has no local cache for builds in a VPC; leave network public, or set cache to none",
        );
    }
    return choice;
}

/** Rules for the registry of the stack's own account and region, each with a repository that builds may pull from. */
function pullThroughCache(
    config: Settings,
    region: string,
    ownRepositories: EcrRepository[],
): PullThroughCacheRule[] {
    const key = "pullThroughCache";
    const given = config[key] ?? [];
    if (!Array.isArray(given)) throw invalid(key, given, "expected a list of rules");
    const partition = partitionOf(region);
    if (given.length > 0 && (partition === "aws-cn" || partition === "aws-us-gov")) {
        throw invalid(key, given, `ECR has no rules for registries of others in ${region}; leave it out`);
    }
    const rules = given.map((rule: unknown, index) => cacheRule(`${key}[${index}]`, rule, region));
    for (const [index, { prefix }] of rules.entries()) {
        const path = `${key}[${index}].prefix`;
        if (rules.findIndex((rule) => rule.prefix === prefix) < index) {
            throw invalid(path, prefix, "ECR has one rule for a prefix; leave this one out");
        }
        if (repositoriesBelow(prefix, region, ownRepositories).length === 0) {
            throw invalid(
                path,
                prefix,
                `expected a repository of ${region} below it in imageUri or repositoryArns, for instance ` +
                    `${prefix}/library/nginx, since builds may pull from the repositories that are named there alone`,
            );
        }
    }
    return rules;
}

function cacheRule(path: string, given: unknown, region: string): PullThroughCacheRule {
    const fields = fieldsOf(path, given, ["prefix", "upstreamRegistryUrl", "credentialArn"]);
    const { upstreamRegistryUrl: url, credentialArn } = fields;
    const prefix = cachePrefix(`${path}.prefix`, fields["prefix"]);
    if (url === undefined) {
        if (credentialArn === undefined) return { prefix };
        throw invalid(
            `${path}.credentialArn`,
            credentialArn,
            "without upstreamRegistryUrl the rule is one that the account has already, with its own login; leave it out",
        );
    }
    const { upstreamRegistryUrl, isOpen } = upstreamRegistry(`${path}.upstreamRegistryUrl`, url);
    if (isOpen && credentialArn === undefined) return { prefix, upstreamRegistryUrl };
    return {
        prefix,
        upstreamRegistryUrl,
        credentialArn: loginSecret(`${path}.credentialArn`, credentialArn ?? "", upstreamRegistryUrl, region),
    };
}

/** @see {@link https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html} */
function cachePrefix(path: string, prefix: unknown): string {
    const part = "[a-z0-9]+(?:[._-][a-z0-9]+)*";
    if (typeof prefix === "string" && new RegExp(`^(?=.{2,30}$)${part}(?:/${part})*$`).test(prefix)) {
        return prefix;
    }
    throw invalid(
        path,
        prefix,
        "expected 2 to 30 lower-case letters and digits with '.', '_', '-' or '/' between them, for instance docker-hub",
    );
}

// docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
const openRegistries = ["public.ecr.aws", "registry.k8s.io", "quay.io"];
const registriesWithLogin = ["registry-1.docker.io", "ghcr.io", "registry.gitlab.com", "cgr.dev"];

function upstreamRegistry(path: string, url: unknown): { upstreamRegistryUrl: string; isOpen: boolean } {
    const text = typeof url === "string" ? url : "";
    if (openRegistries.includes(text)) return { upstreamRegistryUrl: text, isOpen: true };
    if (registriesWithLogin.includes(text) || /^[a-z0-9-]+\.azurecr\.io$/.test(text)) {
        return { upstreamRegistryUrl: text, isOpen: false };
    }
    if (text.includes(".dkr")) {
        throw invalid(
            path,
            url,
            "builds pull from every region and account of ECR without a cache; name the repository in repositoryArns or " +
                "crossAccountRepositoryArns",
        );
    }
    const known = [...openRegistries, ...registriesWithLogin, "NAME.azurecr.io"].join(", ");
    throw invalid(path, url, `expected the host of a registry that ECR can cache, one of ${known}`);
}

/** @see {@link https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-creating-secret.html} */
function loginSecret(path: string, arn: unknown, registry: string, region: string): string {
    const start = `arn:${partitionOf(region)}:secretsmanager:${region}:`;
    if (
        typeof arn === "string" &&
        arn.startsWith(start) &&
        /^[0-9]{12}:secret:ecr-pullthroughcache\/[A-Za-z0-9/_+=.@-]+$/.test(arn.slice(start.length))
    ) {
        return arn;
    }
    throw invalid(
        path,
        arn,
        `expected the ARN of a secret with a login to ${registry}, of the stack's own account and region, whose name ` +
            `begins with ecr-pullthroughcache/: ${start}ACCOUNT:secret:ecr-pullthroughcache/NAME`,
    );
}

/** @see {@link https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html} */
function refuseFipsHost(image: EcrImage, cachedRepositories: EcrRepository[]): void {
    if (cachedRepositories.includes(image.repository) && /\.dkr[.-]ecr-fips\./.test(image.uri)) {
        throw invalid(
            "imageUri",
            image.uri,
            "ECR imports no image through a FIPS host; give the plain host, since pullThroughCache has a rule for it",
        );
    }
}

const networkExpected =
    "expected public, isolated, or an object with the fields vpcId, subnetIds and securityGroupIds";

function network({ vpc, network: given = "public" }: Settings, { type }: Compute): StackConfig["network"] {
    if (vpc !== undefined && given !== "public") {
        throw invalid("network", given, "a VPC is given as well, in vpc; leave one of the two out");
    }
    const place = vpc ?? given;
    // docs.aws.amazon.com/codebuild/latest/userguide/lambda.html
    if (place !== "public" && type === "lambda") {
        throw invalid(
            "network",
            place,
            "Lambda compute runs in no VPC; choose a type of BUILD_GENERAL1, or leave network public",
        );
    }
    return vpc ?? oneOf<NetworkName>("network", given, ["public", "isolated", "private"], networkExpected);
}

/** A VPC as the value of the key `network`, where its ids are known. */
function givenVpc(value: string): BuildNetwork {
    const { vpcId, subnetIds, securityGroupIds } = fieldsOf("network", structured("network", value), [
        "vpcId",
        "subnetIds",
        "securityGroupIds",
    ]);
    if (!isIdOf("vpc", vpcId)) throw invalid("network.vpcId", vpcId, "expected the id of a VPC, vpc-…");
    // How many: docs.aws.amazon.com/codebuild/latest/APIReference/API_VpcConfig.html
    return {
        vpcId,
        subnetIds: ids("network.subnetIds", subnetIds, "subnet", 16),
        securityGroupIds: ids("network.securityGroupIds", securityGroupIds, "sg", 5),
    };
}

function ids(path: string, value: unknown, kind: string, maximum: number): string[] {
    const list: unknown[] = Array.isArray(value) ? value : [];
    if (
        list.length < 1 ||
        list.length > maximum ||
        new Set(list).size < list.length ||
        !list.every((id) => isIdOf(kind, id))
    ) {
        throw invalid(path, value, `expected a list of 1 to ${maximum} different ids, ${kind}-…`);
    }
    return list;
}

function isIdOf(kind: string, value: unknown): value is string {
    return typeof value === "string" && new RegExp(`^${kind}-[0-9a-f]{8,17}$`).test(value);
}

/**
 * The endpoints of a VPC are those of its region, ECR's has the plain host name alone, and ECR imports through a cache
 * only for who could reach the other registry: docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
 */
function refuseUnreachable(wanted: {
    image: EcrImage;
    exported: EcrRepository[];
    rules: PullThroughCacheRule[];
    region: string;
}): void {
    const { image, exported, rules, region } = wanted;
    const distant = exported.find((repository) => repository.region !== region);
    if (distant !== undefined) {
        throw invalid(
            "network",
            "isolated",
            `the VPC reaches ECR in ${region} alone, and ${repositoryArn(distant)} is in ${distant.region}; ` +
                "replicate the repository to the region, or give a VPC that leads there",
        );
    }
    const [rule] = rules;
    if (rule !== undefined) {
        throw invalid(
            "pullThroughCache[0].prefix",
            rule.prefix,
            "the first pull of an image through a cache needs a network that leads to the internet, and network is " +
                "isolated; leave the rule out, or give a VPC with a NAT gateway",
        );
    }
    const [plainUri = ""] = repositoryUris(image.repository);
    const host = plainUri.slice(0, plainUri.indexOf("/"));
    if (!image.uri.startsWith(`${host}/`)) {
        const reachable = image.uri.replace(/^[^/]*/, host);
        throw invalid(
            "imageUri",
            image.uri,
            `an isolated network reaches ECR under its plain host name alone; write ${reachable}`,
        );
    }
}

// The id is a UUID, or that of a multi-Region key: docs.aws.amazon.com/kms/latest/developerguide/concepts.html
const keyArnPattern =
    /^arn:(?<partition>aws[a-z-]*):kms:(?<region>[a-z0-9-]+):[0-9]{12}:key\/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

function encryption(value: string, region: string): Encryption {
    if (value === "s3" || value === "kms") return value;
    if (/^(?:arn:[^:]*:kms:[^:]*:[^:]*:)?alias\//.test(value)) {
        throw invalid(
            "encryption",
            value,
            "expected the ARN of the key itself, since policies and S3 do not follow an alias to its key; " +
                "`aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn` shows it",
        );
    }
    const key = keyArnPattern.exec(value)?.groups;
    if (key === undefined) {
        throw invalid(
            "encryption",
            value,
            `expected s3, kms, or the ARN of a KMS key, arn:${partitionOf(region)}:kms:${region}:ACCOUNT:key/ID`,
        );
    }
    if (key["region"] !== region || key["partition"] !== partitionOf(region)) {
        throw invalid(
            "encryption",
            value,
            `expected a key of the stack's own region, ${region} in the partition ${partitionOf(region)}: S3 and ` +
                "CloudWatch Logs take no key of another one",
        );
    }
    return { keyArn: value };
}

function retention(config: Settings): Retention {
    const fields = record(config, "retention", [
        "archiveDays",
        "oldVersionDays",
        "protect",
        "emptyOnDestroy",
    ]);
    const protect = fields["protect"] ?? true;
    if (typeof protect !== "boolean") throw invalid("retention.protect", protect, "expected true or false");
    return {
        archiveDays: integer("retention.archiveDays", fields["archiveDays"] ?? 90, 0, 36500),
        oldVersionDays: integer("retention.oldVersionDays", fields["oldVersionDays"] ?? 30, 0, 36500),
        protect,
        emptyOnDestroy: fields["emptyOnDestroy"] === true,
    };
}

/** A bucket with archives in it, which no default may cost. */
function existingBucket(config: Settings): string | undefined {
    const key = "existingBucket";
    if (config[key] === undefined) return undefined;
    const name = text(key, config[key]);
    if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) {
        throw invalid(key, name, "expected the name of a bucket of this account, not an ARN or an address");
    }
    const { archiveDays, protect } = record(config, "retention");
    if (archiveDays === undefined) {
        throw invalid(
            key,
            name,
            "expected retention.archiveDays beside it, since S3 deletes the archives that are older; 0 keeps them all",
        );
    }
    if (protect === false) {
        throw invalid(
            key,
            name,
            "with retention.protect false `pulumi destroy` would delete the bucket and all that is in it; leave that out",
        );
    }
    return name;
}

function notifications(config: Settings, partition: string): Notifications | undefined {
    const fields = record(config, "notifications", ["emails", "slack", "onSuccess"]);
    // An empty list of addresses is somebody to tell as well: whoever subscribes to the topic elsewhere.
    if (Object.keys(fields).length === 0) return undefined;
    const { emails = [], slack, onSuccess = false } = fields;
    if (typeof onSuccess !== "boolean")
        throw invalid("notifications.onSuccess", onSuccess, "expected true or false");
    return { emails: emailAddresses(emails), slack: slackChannel(slack, partition), onSuccess };
}

function emailAddresses(value: unknown): string[] {
    const path = "notifications.emails";
    if (!Array.isArray(value)) throw invalid(path, value, "expected a list of e-mail addresses");
    return value.map((email: unknown, index) => {
        // Whether it exists, SNS finds out: the address has to confirm its subscription.
        if (typeof email !== "string" || !/^[^\s@<>"]+@[^\s@<>"]+\.[^\s@<>"]+$/.test(email)) {
            throw invalid(
                `${path}[${index}]`,
                email,
                "expected an e-mail address alone, for instance platform@example.com",
            );
        }
        if (value.indexOf(email) !== index) throw invalid(`${path}[${index}]`, email, "it is listed twice");
        return email;
    });
}

// The ids' form: docs.aws.amazon.com/chatbot/latest/APIReference/API_SlackChannelConfiguration.html
function slackChannel(value: unknown, partition: string): SlackChannel | undefined {
    if (value === undefined) return undefined;
    const path = "notifications.slack";
    const { workspaceId, channelId } = fieldsOf(path, value, ["workspaceId", "channelId"]);
    if (partition !== "aws") {
        throw invalid(path, value, `AWS has no chat service in the partition ${partition}; leave it out`);
    }
    if (typeof workspaceId !== "string" || !/^[A-Z0-9]{1,255}$/.test(workspaceId)) {
        throw invalid(
            `${path}.workspaceId`,
            workspaceId,
            "expected the id of a Slack workspace, for instance T07EA123LEP; " +
                "the console of Amazon Q Developer in chat applications shows it once the workspace is authorized",
        );
    }
    if (typeof channelId !== "string" || !/^[A-Z0-9]{1,255}$/.test(channelId)) {
        throw invalid(
            `${path}.channelId`,
            channelId,
            "expected the id of a Slack channel, for instance C07EZ1ABC23; the link to the channel ends with it",
        );
    }
    return { workspaceId, channelId };
}

function batch(config: Settings): Batch {
    const fields = record(config, "batch", ["maxConcurrency"]);
    // The most that Step Functions runs: docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    return { maxConcurrency: integer("batch.maxConcurrency", fields["maxConcurrency"] ?? 10, 1, 10_000) };
}

/** What is known of the stack where its triggers are read. */
interface TriggerSurroundings {
    readonly region: string;
    /** Repositories of other accounts. */
    readonly foreign: readonly EcrRepository[];
    /** Every repository that may be exported. */
    readonly exported: readonly EcrRepository[];
    readonly prefix: string;
}

function triggers(config: Settings, around: TriggerSurroundings): Triggers | undefined {
    const { onPush, schedule } = record(config, "triggers", ["onPush", "schedule"]);
    return onPush === undefined && schedule === undefined
        ? undefined
        : { onPush: pushTrigger(onPush, around), schedule: scheduleTrigger(schedule, around) };
}

function pushTrigger(value: unknown, around: TriggerSurroundings): PushTrigger | undefined {
    if (value === undefined) return undefined;
    const fields = fieldsOf("triggers.onPush", value, ["repositories", "tags"]);
    // ECR tells of pushes in the account and the region of the registry alone.
    const near = around.exported
        .filter(
            (repository) =>
                repository.region === around.region &&
                !around.foreign.some((other) => other.accountId === repository.accountId),
        )
        .map(({ name }) => name);
    if (near.length === 0) {
        throw invalid(
            "triggers.onPush",
            value,
            `expected a repository of this account in ${around.region} to be exported: pushes elsewhere are not told of here`,
        );
    }
    const repositories = texts("triggers.onPush.repositories", fields["repositories"] ?? near);
    repositories.forEach((name, index) => {
        if (!near.includes(name)) {
            throw invalid(
                `triggers.onPush.repositories[${index}]`,
                name,
                `expected a repository of this account and region that may be exported: ${near.join(", ")}`,
            );
        }
    });
    const tagPatterns = texts("triggers.onPush.tags", fields["tags"] ?? ["*"]);
    tagPatterns.forEach((tag, index) => {
        // EventBridge refuses two wildcards in a row: eb-create-pattern-operators.html
        if (!/^[A-Za-z0-9_.*-]{1,128}$/.test(tag) || tag.includes("**")) {
            throw invalid(
                `triggers.onPush.tags[${index}]`,
                tag,
                "expected a tag, in which * stands for any characters, for instance v*",
            );
        }
    });
    return { repositories, tags: tagPatterns };
}

function scheduleTrigger(value: unknown, around: TriggerSurroundings): ScheduleTrigger | undefined {
    if (value === undefined) return undefined;
    const fields = fieldsOf("triggers.schedule", value, ["expression", "timeZone", "request"]);
    const { expression, timeZone = "UTC" } = fields;
    // docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    if (
        typeof expression !== "string" ||
        !/^(?:rate\([1-9]\d* (?:minutes?|hours?|days?)\)|cron\(\S+(?: \S+){5}\))$/.test(expression)
    ) {
        throw invalid(
            "triggers.schedule.expression",
            expression,
            "expected rate(VALUE UNIT) or cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR), for instance cron(0 3 * * ? *)",
        );
    }
    if (typeof timeZone !== "string" || !isTimeZone(timeZone)) {
        throw invalid(
            "triggers.schedule.timeZone",
            timeZone,
            "expected a time zone of the IANA database, for instance Asia/Tokyo",
        );
    }
    return { expression, timeZone, request: scheduledRequest(fields["request"] ?? {}, around) };
}

function scheduledRequest(value: unknown, around: TriggerSurroundings): Record<string, unknown> {
    const path = "triggers.schedule.request";
    const request = fieldsOf(path, value, ["imageUri", "artifactKey", "platform", "force"]);
    const { imageUri, artifactKey } = request;
    if (imageUri !== undefined) {
        const { repository } = parsed(`${path}.imageUri`, text(`${path}.imageUri`, imageUri), parseImageUri);
        if (!around.exported.some((each) => repositoryArn(each) === repositoryArn(repository))) {
            throw invalid(
                `${path}.imageUri`,
                imageUri,
                `expected an image of a repository that may be exported: ${around.exported.map(repositoryArn).join(", ")}`,
            );
        }
    }
    if (artifactKey !== undefined && !text(`${path}.artifactKey`, artifactKey).startsWith(around.prefix)) {
        throw invalid(`${path}.artifactKey`, artifactKey, `expected a key that begins with ${around.prefix}`);
    }
    return request;
}

function isTimeZone(name: string): boolean {
    try {
        return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
    } catch {
        return false;
    }
}

function permissionsBoundary(config: Settings, partition: string): string | undefined {
    const key = "permissionsBoundary";
    if (config[key] === undefined) return undefined;
    const arn = text(key, config[key]);
    if (!new RegExp(`^arn:${partition}:iam::(?:[0-9]{12}|aws):policy/[\\w+=,.@/-]+$`).test(arn)) {
        throw invalid(
            key,
            arn,
            `expected the ARN of a managed policy, arn:${partition}:iam::ACCOUNT:policy/NAME`,
        );
    }
    return arn;
}

function text(path: string, value: unknown): string {
    if (typeof value !== "string") throw invalid(path, value, "expected a text");
    return value;
}

function texts(path: string, value: unknown): string[] {
    if (!Array.isArray(value) || value.length === 0 || value.some((each) => typeof each !== "string")) {
        throw invalid(path, value, "expected a list of texts that is not empty");
    }
    return value as string[];
}

/** Tags that name the stack, and those of the configuration, which cannot replace them. */
function tags(config: Settings): Record<string, string> {
    const base = { project: pulumi.getProject(), stack: pulumi.getStack(), "managed-by": "pulumi" };
    const given = record(config, "tags");
    const valid = Object.entries(given).map(([key, value]): [string, string] => {
        const path = `tags.${key}`;
        if (Object.hasOwn(base, key) || key === "component") {
            throw invalid(path, value, "this tag is set by the program; choose another key");
        }
        if (!isTagText(key, 128) || key.toLowerCase().startsWith("aws:")) {
            throw invalid(
                path,
                value,
                "expected a key of 1 to 128 letters, digits, spaces and _ . : / = + - @, not beginning with aws:",
            );
        }
        if (typeof value !== "string" || (value !== "" && !isTagText(value, 256))) {
            throw invalid(
                path,
                value,
                "expected a text of at most 256 letters, digits, spaces and _ . : / = + - @",
            );
        }
        return [key, value];
    });
    // 50 tags a resource: docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    if (valid.length > 46) {
        throw invalid(
            "tags",
            `${valid.length} tags`,
            "expected at most 46: AWS allows 50 a resource, and the program sets 4",
        );
    }
    return { ...base, ...Object.fromEntries(valid) };
}

function isTagText(text: string, maxLength: number): boolean {
    return text.length <= maxLength && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u.test(text);
}

/** A key whose value is an object; with `fields` given, of these fields alone. */
function record(config: Settings, key: ConfigKey, fields?: string[]): Record<string, unknown> {
    return fieldsOf(key, config[key] ?? {}, fields);
}

/** A value that has to be an object; with `fields` given, of these fields alone. */
function fieldsOf(path: string, value: unknown, fields?: string[]): Record<string, unknown> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw invalid(
            path,
            value,
            `expected an object${fields ? ` with the fields ${fields.join(", ")}` : ""}`,
        );
    }
    for (const [field, given] of Object.entries(value)) {
        if (fields && !fields.includes(field)) {
            throw invalid(
                `${path}.${field}`,
                given,
                `not a field of ${path}; known are ${fields.join(", ")}`,
            );
        }
    }
    return value as Record<string, unknown>;
}

function structured(key: ConfigKey, text: string): unknown {
    try {
        return JSON.parse(text) as unknown;
    } catch {
        throw invalid(
            key,
            text,
            "expected a structured value; set it with `pulumi config set --path` or in the stack file",
        );
    }
}

function integer(path: string, value: unknown, minimum: number, maximum: number): number {
    if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum) {
        throw invalid(path, value, `expected a whole number from ${minimum} to ${maximum}`);
    }
    return value;
}

function oneOf<T extends string>(
    path: string,
    value: unknown,
    choices: readonly T[],
    expectation = `expected one of ${choices.join(", ")}`,
): T {
    const choice = choices.find((each) => each === value);
    if (choice === undefined) throw invalid(path, value, expectation);
    return choice;
}

function parsed<T>(path: string, text: string, parse: (text: string) => T): T {
    try {
        return parse(text);
    } catch (error) {
        throw invalid(path, text, error instanceof Error ? error.message : String(error));
    }
}

function invalid(path: string, value: unknown, expectation: string): pulumi.RunError {
    const given = typeof value === "string" ? value : JSON.stringify(withoutOutputs(value));
    return new pulumi.RunError(`The configuration value ${path} is "${given}": ${expectation}.`);
}

/** An argument of the component may be an Output where it should not be, and as JSON that is the text of an error. */
function withoutOutputs(value: unknown): unknown {
    if (pulumi.Output.isInstance(value)) return "(an Output)";
    if (typeof value !== "object" || value === null) return value;
    return Array.isArray(value)
        ? value.map(withoutOutputs)
        : Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutOutputs(each)]));
}
