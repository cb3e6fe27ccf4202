/**
 * The stack's configuration: {@link configuration} is the one description of its keys, of which come types, defaults, checks,
 * messages and docs/configuration.md. All faults are found before anything is declared, and reported at once.
 */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";

import { type AwsLocation, keyArnPattern, partitionOf, tagLimits } from "./contract/aws";
import { engineNames, lambdaTimeoutMinutes } from "./contract/engine";
import {
    covers,
    type EcrRepository,
    ecrHosts,
    isNameOrPattern,
    parseEcrHost,
    parseImageUri,
    parseRepositoryArn,
    repositoryArn,
    withoutCovered,
} from "./contract/image";
import { isObject } from "./contract/json";
import {
    artifactKeyRule,
    exporterPrefix,
    isArtifactKey,
    manifestPrefix,
    resultPrefix,
    setRequestPrefix,
} from "./contract/keys";
import { allPlatforms, isPlatform, platformRules } from "./contract/platform";
import { latest, receivers, requestDefaults } from "./contract/request";
import { setLimit } from "./contract/set";

/** A string that passes a test. */
function stringThat(test: RegExp | ((value: string) => boolean), expected: string, description = "") {
    const passes = (value: string): boolean => (test instanceof RegExp ? test.test(value) : test(value));
    return z.string(expected).refine(passes, { error: expected, abort: true }).describe(description);
}

/** A string that a function of contract/ takes apart, whose error says what is expected. */
function readBy<T>(read: (value: string) => T, expected: string) {
    return z.string(expected).transform((value, context) => {
        try {
            return read(value);
        } catch (error) {
            context.addIssue(error instanceof Error ? error.message : expected);
            return z.NEVER;
        }
    });
}

function oneOf<const Names extends readonly string[]>(names: Names, description: string) {
    return z.enum(names, `expected ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`).describe(description);
}

function integer(least: number, most: number, usual: number, description: string) {
    const expected = `expected a whole number from ${least} to ${most}`;
    return z.int(expected).min(least, expected).max(most, expected).default(usual).describe(description);
}

function flag(description: string) {
    return z.boolean("expected true or false").describe(description);
}

/** A list of different strings. */
function listOf(item: z.ZodType<string>, expected: string, description: string, least = 1, most = Infinity) {
    const list = z.array(item, expected).min(least, expected).max(most, expected).describe(description);
    return list.superRefine((values, context) => {
        for (const [index, value] of values.entries()) {
            if (values.indexOf(value) < index) {
                context.addIssue({ code: "custom", message: "it is listed twice", path: [index] });
            }
        }
    });
}

/** An object with these fields and no others. */
function objectOf<Shape extends z.ZodRawShape>(description: string, shape: Shape) {
    const fields = Object.keys(shape).join(", ");
    const error = (issue: z.core.$ZodRawIssue): string =>
        issue.code === "unrecognized_keys" ? fields : `expected an object with the fields ${fields}`;
    return z.strictObject(shape, { error }).describe(description);
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

const computeTypes = ["SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"].map((size) => `BUILD_GENERAL1_${size}`);

const compute = objectOf("machine and timeouts of a build", {
    type: oneOf(
        [...computeTypes, "lambda"],
        "compute type of CodeBuild; `lambda`, only with engine `stream`, starts in seconds and ends every build after 15 minutes",
    ).default("BUILD_GENERAL1_MEDIUM"),
    image: stringThat(
        /^aws\/codebuild\/(?!windows)[a-z0-9_-]+:[a-z0-9._-]+$/,
        `expected a Linux build image of CodeBuild, for instance ${defaultImages.stream}`,
        `build image of CodeBuild: by default \`${defaultImages.docker}\`, with engine \`stream\` \`${defaultImages.stream}\`, with \`lambda\` \`${defaultImages.lambda}\`. One with \`aarch64\` in its name runs on ARM; engine \`stream\` needs one whose default Node.js is 22 or later`,
    ).optional(),
    timeoutMinutes: integer(5, 2160, 30, "minutes that a build may run; not with `lambda`"),
    queuedTimeoutMinutes: integer(
        5,
        480,
        60,
        "minutes that a request waits for CodeBuild to accept its build, and the build in the queue; not with `lambda`",
    ),
});

const idOf = (kind: string) => stringThat(new RegExp(`^${kind}-[0-9a-f]{8,17}$`), `expected an id, ${kind}-…`);
const idsOf = (kind: string, most: number, description: string) =>
    listOf(idOf(kind), `expected a list of 1 to ${most} ids, ${kind}-…`, description, 1, most);

// How many: docs.aws.amazon.com/codebuild/latest/APIReference/API_VpcConfig.html
const givenVpc = objectOf("an existing VPC", {
    vpcId: idOf("vpc").describe("an existing VPC"),
    subnetIds: idsOf("subnet", 16, "its private subnets: builds get no public address"),
    securityGroupIds: idsOf("sg", 5, "the security groups of the builds"),
});

// docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
const openRegistries = ["public.ecr.aws", "registry.k8s.io", "quay.io"];
const registries = [...openRegistries, "registry-1.docker.io", "ghcr.io", "registry.gitlab.com", "cgr.dev"];
const isUpstream = (host: string): boolean => registries.includes(host) || /^[a-z0-9-]+\.azurecr\.io$/.test(host);
const upstreams = `one of ${registries.join(", ")}, NAME.azurecr.io`;
const notEcr =
    "builds pull from every registry of ECR without a cache; name the repository in repositoryArns or crossAccountRepositoryArns";

const cacheRule = objectOf("", {
    // docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html
    prefix: stringThat(
        /^(?=.{2,30}$)[a-z0-9]+(?:[._-][a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$/,
        "expected 2 to 30 lower-case letters and digits with '.', '_', '-' or '/' between them, for instance docker-hub",
        "what the names of the repositories begin with; `imageUri` or `repositoryArns` has to name one of the stack's region below it",
    ),
    upstreamRegistryUrl: stringThat(
        (host) => isUpstream(host) || host.includes(".dkr"),
        `expected the host of a registry that ECR can cache, ${upstreams}`,
        `host of the other registry, ${upstreams}; none where the account has a rule for the prefix already, which stays as it is`,
    )
        .refine(isUpstream, notEcr)
        .exactOptional(),
    credentialArn: z
        .string("expected the ARN of a secret")
        .describe(
            "secret with the login, which all but the first three registries need; its name begins with `ecr-pullthroughcache/`",
        )
        .exactOptional(),
});

// Whether an address exists, SNS finds out: it has to confirm its subscription.
const emailAddress = stringThat(
    /^[^\s@<>"]+@[^\s@<>"]+\.[^\s@<>"]+$/,
    "expected an e-mail address without a name, for instance platform@example.com",
);
// docs.aws.amazon.com/chatbot/latest/APIReference/API_SlackChannelConfiguration.html
const slackId = (example: string, description: string) =>
    stringThat(/^[A-Z0-9]{1,255}$/, `expected the ${description}, for instance ${example}`, description);

const notifications = objectOf(
    "who is notified of failures; `emails: []` makes the topic for subscribers from elsewhere",
    {
        emails: listOf(
            emailAddress,
            "expected a list of e-mail addresses",
            "e-mail addresses; each confirms its subscription once",
            0,
        ).default([]),
        slack: objectOf("a Slack channel; only in the partition `aws`", {
            workspaceId: slackId(
                "T07EA123LEP",
                "id of a Slack workspace, which Amazon Q Developer in chat applications shows once it is authorized",
            ),
            channelId: slackId("C07EZ1ABC23", "id of a Slack channel, with which the link to it ends"),
        }).optional(),
        onSuccess: flag("whether successful exports and batches are reported, too").default(false),
    },
);

const onPush = objectOf("exports what is pushed to ECR", {
    repositories: listOf(
        stringThat(isNameOrPattern, "expected the name of a repository, or all below one, as in backend/*"),
        "expected a list of names, not empty",
        "names of repositories of this account and region that may be exported, or `NAME/*`; by default all of them",
    ).optional(),
    tags: listOf(
        // EventBridge refuses two wildcards in a row: eb-create-pattern-operators.html
        stringThat(
            (tag) => /^[A-Za-z0-9_.*-]{1,128}$/.test(tag) && !tag.includes("**"),
            "expected a tag, in which * stands for any characters, for instance v*",
        ),
        "expected a list of tags, not empty",
        "tags, in which `*` stands for any characters",
    ).default(["*"]),
    since: oneOf(
        [latest],
        `\`${latest}\` leaves out the layers of the newest archive of the same repository`,
    ).optional(),
});

const requestedUri = readBy((uri) => parseImageUri(uri).uri, "expected the URI of an image in Amazon ECR");

const requestedPlatform = stringThat(
    (text) => isPlatform(text, "stream"),
    `expected ${platformRules.stream}`,
    `platform, ${requestDefaults.platform} by default, or \`${allPlatforms}\` with engine \`stream\``,
).exactOptional();

const imageCount = `expected 1 to ${setLimit} images, each a URI or an object with imageUri and platform`;

const sinceRule = `expected the key of an archive, ${latest}, or an object with key and for`;

const request = objectOf("the request, as for an execution, but for `artifactBucket`", {
    imageUri: requestedUri
        .describe("image to export, of a repository that may be exported; by default that of the key `imageUri`")
        .exactOptional(),
    images: z
        .array(
            z.union(
                [requestedUri, z.strictObject({ imageUri: requestedUri, platform: requestedPlatform })],
                imageCount,
            ),
            imageCount,
        )
        .min(1, imageCount)
        .max(setLimit, imageCount)
        .describe(`in its place a set of 1 to ${setLimit}, with engine \`stream\``)
        .exactOptional(),
    artifactKey: z
        .string("expected the key of an archive")
        .describe("key of the archive, below `artifactPrefix`; by default made of the image's name")
        .exactOptional(),
    platform: requestedPlatform,
    referrers: flag(
        "whether what belongs to the images comes along; by default as the key `referrers` says",
    ).exactOptional(),
    since: z
        .union(
            [
                z.string(),
                objectOf("archive whose layers are left out, and for whom", {
                    key: z.string("expected the key of an archive").describe("its key"),
                    for: oneOf(receivers, "who loads the archive").exactOptional(),
                }),
            ],
            sinceRule,
        )
        .describe(`archive whose layers are left out: its key, or \`${latest}\``)
        .exactOptional(),
    force: flag("whether to export again what is exported already").exactOptional(),
});

const schedule = objectOf("exports at certain times", {
    // docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    expression: stringThat(
        /^(?:rate\([1-9]\d* (?:minutes?|hours?|days?)\)|cron\(\S+(?: \S+){5}\))$/,
        "expected rate(VALUE UNIT) or cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR), for instance cron(0 3 * * ? *)",
        "`rate(VALUE UNIT)` or `cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR)`",
    ),
    timeZone: stringThat(
        isTimeZone,
        "expected a time zone of the IANA database, for instance Asia/Tokyo",
        "time zone of a `cron` expression, a name of the IANA database",
    ).default("UTC"),
    request: request.prefault({}),
});

const retention = objectOf("how long archives are kept, and how well they are guarded", {
    archiveDays: integer(0, 36500, 90, "days until an archive expires; 0 keeps it"),
    oldVersionDays: integer(0, 36500, 30, "days until an old version of an archive is deleted; 0 keeps it"),
    protect: flag(
        "whether `pulumi destroy` refuses to delete the bucket and the stack's own KMS keys; `false` lets it delete the bucket where it is empty, and the key that signs, and leaves the one that encrypts in AWS",
    ).default(true),
    emptyOnDestroy: flag(
        "whether whatever deletes the bucket deletes its archives, and the key that encrypts; only with `protect: false`",
    ).default(false),
});

function bucketName(description: string) {
    const expected = "expected the name of a bucket of this account, not an ARN or an address";
    return stringThat(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, expected, description);
}

// docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
const accessLogs = objectOf("where S3 logs the requests to the bucket, as far as it can (best effort)", {
    bucket: bucketName(
        "name of another bucket of the account and region, without a KMS key and Object Lock by default; its policy lets `logging.s3.amazonaws.com` do `s3:PutObject` below the prefix, with the archives' bucket as `aws:SourceArn` and the account as `aws:SourceAccount`",
    ),
    prefix: stringThat(
        /^[A-Za-z0-9/_.-]{1,256}$/,
        "expected 1 to 256 letters, digits, '/', '_', '.' and '-', for instance image-export/",
        "what the keys of the logs begin with",
    ),
});

/** Tags that the program sets: three in {@link complete}, `component` by components/stackDefaults.ts. */
const ownTags = ["project", "stack", "managed-by", "component"];
const mostTags = tagLimits.perResource - ownTags.length;
const tagsDescription = `tags on every resource that takes any, besides ${ownTags.join(", ")}; at most ${mostTags}`;

/** Not a record of zod: that would leave out a tag `__proto__`. */
const tags = z.custom<Record<string, string>>().superRefine((given, context) => {
    if (!isObject(given)) {
        context.addIssue("expected an object with a string for each tag");
        return;
    }
    const { keyLength, valueLength, perResource } = tagLimits;
    const characters = "letters, digits, spaces and _ . : / = + - @";
    const isText = (text: unknown, most: number): boolean =>
        typeof text === "string" && text.length <= most && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u.test(text);
    for (const [key, value] of Object.entries(given)) {
        const refuse = (message: string) => {
            context.addIssue({ code: "custom", message, path: [key] });
        };
        if (ownTags.includes(key)) refuse("the program sets this tag; choose another key");
        if (!isText(key, keyLength) || /^aws:/i.test(key)) {
            refuse(`expected a key of 1 to ${keyLength} ${characters}, not beginning with aws:`);
        }
        if (!isText(value, valueLength)) refuse(`expected a string of 1 to ${valueLength} ${characters}`);
    }
    if (Object.keys(given).length > mostTags) {
        context.addIssue(`expected at most ${mostTags} tags: AWS allows ${perResource} on a resource`);
    }
});

function repositoriesOf(whose: string) {
    const arn = readBy(parseRepositoryArn, "expected the ARN of an ECR repository");
    return z
        .array(arn, "expected a list of ARNs of ECR repositories")
        .prefault([])
        .describe(
            `ARNs of ECR repositories of ${whose} that may be exported; a name may end in \`/*\`, for all below it (\`backend/*\`)`,
        );
}

/**
 * The keys of a stack's configuration. A description becomes the key's line in docs/configuration.md and, for the types that
 * Pulumi.yaml can express, its description there.
 */
export const configuration = z.strictObject({
    imageUri: readBy(parseImageUri, "expected the URI of an image in Amazon ECR").describe(
        "image that is exported when a request names none, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@sha256:DIGEST] or with another host of ECR",
    ),
    repositoryArns: repositoriesOf("this account"),
    crossAccountRepositoryArns: repositoriesOf("other accounts"),
    // These characters have no meaning in policies (*, ?, $), in JSONPath or in shells.
    artifactPrefix: stringThat(
        (prefix) => /^(?:[A-Za-z0-9][A-Za-z0-9._-]*\/)+$/.test(prefix) && prefix.length <= 256,
        "expected one or more folders with a closing slash, of letters, digits, '.', '_' and '-', at most 256 characters, for instance images/",
        "the only key prefix that builds may write: folders of letters, digits, '.', '_' and '-', with a closing slash",
    )
        .refine(
            (prefix) =>
                ![exporterPrefix, manifestPrefix, resultPrefix, setRequestPrefix].some((own) => prefix.startsWith(own)),
            `${manifestPrefix} and ${resultPrefix} belong to batches; choose another folder`,
        )
        .default("images/"),
    engine: oneOf(
        engineNames,
        "how an archive is made, docker (by a Docker daemon) or stream (registry to S3, without a daemon)",
    ).default("docker"),
    referrers: flag(
        "whether signatures, SBOMs and attestations come along when a request does not say; only with engine `stream`",
    ).default(requestDefaults.referrers),
    compute: compute.prefault({}),
    network: z
        .union([z.enum(["public", "isolated", "private"]), givenVpc], {
            error: "expected public, isolated, private, or an object with the fields vpcId, subnetIds and securityGroupIds",
        })
        .describe(
            "where builds run: in CodeBuild's own network, in a VPC of the stack's own without internet, in one with private subnets behind a NAT gateway, or in a given VPC; only `public` with `lambda`",
        )
        .default("public"),
    cache: oneOf(
        ["none", "local"],
        "what builds of engine docker keep for the next one, none or local (layers on the build host, best effort; not on BUILD_GENERAL1_2XLARGE and not in a VPC)",
    ).default("none"),
    pullThroughCache: z
        .array(cacheRule, "expected a list of rules")
        .default([])
        .describe("rules by which ECR fills repositories from other registries when builds pull from them"),
    encryption: stringThat(
        (value) => value === "s3" || value === "kms" || keyArnPattern.test(value),
        "expected s3, kms or the ARN of a KMS key, arn:PARTITION:kms:REGION:ACCOUNT:key/ID; not an alias, which policies and S3 do not follow: `aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn` shows its key",
        "what encrypts archives, logs and notifications, s3 (S3's own keys), kms (a key of the stack's own) or the ARN of a symmetric KMS key of the region, of any account",
    ).default("s3"),
    signing: stringThat(
        (value) => value === "kms" || keyArnPattern.test(value),
        "expected kms or the ARN of a KMS key, arn:PARTITION:kms:REGION:ACCOUNT:key/ID; `aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn` shows that of an alias",
        "what signs export records, kms (a key of the stack's own) or the ARN of an asymmetric KMS key of the region, of any account (key spec ECC_NIST_P256, usage SIGN_VERIFY); by default nothing does",
    ).optional(),
    retention: retention.prefault({}),
    existingBucket: bucketName(
        "name of a bucket of this account that becomes the stack's with its archives; needs `retention.archiveDays`",
    ).optional(),
    accessLogs: accessLogs.optional(),
    notifications: notifications.optional(),
    batch: objectOf("how batches are exported", {
        // The most that Step Functions runs: docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
        maxConcurrency: integer(1, 10_000, 10, "images that are exported at the same time"),
    }).prefault({}),
    triggers: objectOf("what starts exports", { onPush: onPush.optional(), schedule: schedule.optional() }).optional(),
    permissionsBoundary: stringThat(
        /^arn:aws[a-z-]*:iam::(?:[0-9]{12}|aws):policy\/[\w+=,.@/-]+$/,
        "expected the ARN of a managed policy, arn:PARTITION:iam::ACCOUNT:policy/NAME",
        "ARN of a managed policy, the permissions boundary of every role",
    ).optional(),
    tags: tags.default({}).meta({ type: "object", description: tagsDescription }),
});

type Values = z.output<typeof configuration>;
const keys = Object.keys(configuration.shape) as readonly (keyof Values)[];

/** The configuration of a stack, checked and complete. Its fields are the keys of {@link configuration}, but for a few. */
export type StackConfig = Readonly<ReturnType<typeof complete>>;

/** The keys as JSON Schema, as they are given: for the page, and for what Pulumi.yaml declares. */
export const configurationSchema = z.toJSONSchema(configuration, { io: "input", unrepresentable: "any" });

/**
 * Reads, checks and completes the configuration of the current stack.
 *
 * @throws pulumi.RunError that lists every fault.
 */
export function loadConfig(): StackConfig {
    const config = new pulumi.Config();
    const namespace = `${config.name}:`;
    const given = Object.keys(pulumi.runtime.allConfig()).filter((key) => key.startsWith(namespace));
    const values = given.map((key) => key.slice(namespace.length)).map((key) => [key, config.get(key)]);
    const of = { project: pulumi.getProject(), stack: pulumi.getStack() };
    const region = new pulumi.Config("aws").get("region");
    return parseConfig(Object.fromEntries(values) as Record<string, unknown>, region, of);
}

/**
 * Checks and completes a configuration.
 *
 * @param values Values by key, without the namespace, as Pulumi hands them over: strings, and structures as JSON.
 * @param region The value of `aws:region`.
 * @param of Names of project and stack.
 * @throws pulumi.RunError that lists every fault: the path of the value, what was given, what is expected.
 */
export function parseConfig(values: Readonly<Record<string, unknown>>, region: unknown, of: Identity): StackConfig {
    const readings = keys.map((key) => ({ key, ...readKey(key, values[key]) }));
    const given = {
        ...Object.fromEntries(readings.map((reading) => [reading.key, reading.given])),
        "aws:region": region,
    };
    const sound = Object.fromEntries(readings.map((reading) => [reading.key, reading.sound])) as Sound;
    const unknown = Object.keys(values).filter((key) => !keys.some((known) => known === key));
    const faults = [
        ...unknown.map((key) => faultOf(key, values[key], notAmong(key, keys))),
        ...readings.flatMap((reading) => reading.faults),
    ];

    const partition = typeof region === "string" ? partitionOf(region) : undefined;
    const place = partition && { partition, region: region as string };
    const { imageUri, repositoryArns: own, crossAccountRepositoryArns: foreign } = sound;
    const named = imageUri?.repository && own && foreign && namedBy(imageUri.repository, own, foreign, place?.region);
    const isGiven = (path: string): boolean => valueAt(given, path) !== undefined;
    for (const fault of combinations.flatMap((check) => [...check({ ...sound, ...place, named, isGiven })])) {
        const [path = "", ...expected] = fault.split(": ");
        faults.push(faultOf(path, valueAt(given, path), expected.join(": ")));
    }

    if (faults.length > 0 || place === undefined || named === undefined) {
        const count = faults.length > 1 ? `${faults.length} faults` : "a fault";
        const lines = faults.map((fault) => `\n  ${fault}`).join("");
        throw new pulumi.RunError(`The configuration of the stack ${of.stack} has ${count}:${lines}`);
    }
    return complete(sound as Values, { ...place, named, isGiven, ...of });
}

/** Where the stack is. */
type Place = Omit<AwsLocation, "accountId">;

/** What a configuration belongs to. */
type Identity = Readonly<Record<"project" | "stack", string>>;

type Context = Place & Identity & Pick<Judged, "isGiven"> & { readonly named: Named };

function complete(values: Values, { region, partition, named, isGiven, project, stack }: Context) {
    const { compute, notifications, pullThroughCache, tags, triggers } = values;
    const { onPush, schedule } = triggers ?? {};
    const lambda = compute.type === "lambda";
    return {
        ...values,
        /** AWS region of everything in the stack (`aws:region`), and the region's partition. */
        region,
        partition,
        /** Every repository that may be exported, once each, and none that a pattern among them covers: that of `imageUri` first. */
        repositories: named.all,
        /** Those of the repositories that a rule of `pullThroughCache` fills. */
        cachedRepositories: pullThroughCache.flatMap(({ prefix }) => repositoriesBelow(prefix, named.near)),
        compute: {
            ...compute,
            image: compute.image ?? defaultImages[lambda ? "lambda" : values.engine],
            timeoutMinutes: lambda ? lambdaTimeoutMinutes : compute.timeoutMinutes,
        },
        /** Undefined where no field is given. An empty list of addresses is for subscribers from elsewhere. */
        notifications: Object.keys(notifications ?? {}).some((field) => isGiven(`notifications.${field}`))
            ? notifications
            : undefined,
        /** Undefined where there is neither. */
        triggers: (onPush ?? schedule) && {
            onPush: onPush && {
                tags: onPush.tags,
                ...(onPush.since !== undefined && { since: onPush.since }),
                repositories: withoutCovered(onPush.repositories ?? named.near.map(nameOf), (name) => name),
            },
            schedule,
        },
        /** Those of the configuration, and which project and stack they are of. `component` is left for the components. */
        tags: { project, stack, "managed-by": "pulumi", ...tags } as Record<string, string>,
    };
}

type Repositories = readonly EcrRepository[];
type Named = ReturnType<typeof namedBy>;

/** The repositories that a configuration names, as briefly as it can be said: all, and those of the stack's own registry. */
function namedBy(image: EcrRepository, listed: Repositories, foreign: Repositories, region: string | undefined) {
    const all = withoutCovered([image, ...listed, ...foreign], repositoryArn);
    const isForeign = ({ accountId }: EcrRepository) => foreign.some((other) => other.accountId === accountId);
    return { all, near: all.filter((each) => each.region === region && !isForeign(each)) };
}

const nameOf = ({ name }: EcrRepository): string => name;

/** The repositories that a pull-through cache rule fills: those below its prefix, in the registry that has the rule. */
function repositoriesBelow(prefix: string, near: Repositories): Repositories {
    const filled = `${prefix}/*`;
    return near.flatMap((each) => {
        if (covers(filled, each.name)) return [each];
        return covers(each.name, filled) ? [{ ...each, name: filled }] : [];
    });
}

/** What a key was given, what of it can be used, and what is wrong with the rest. */
function readKey(key: keyof Values, text: unknown) {
    let given = text;
    const { type } = configurationSchema.properties?.[key] as { type?: string };
    if (typeof text === "string" && (type === undefined ? /^[{[]/.test(text) : type !== "string")) {
        try {
            given = JSON.parse(text) as unknown;
        } catch {
            const [what, path] = type === "array" ? ["a list", `${key}[0]`] : ["an object", `${key}.FIELD`];
            const fault = `expected ${what}; write it in the stack's file, or use \`pulumi config set --path '${path}' VALUE\``;
            return { given, sound: undefined, faults: [faultOf(key, text, fault)] };
        }
    }
    const schema: z.ZodType = configuration.shape[key];
    const { data, error } = schema.safeParse(given);
    if (error === undefined) return { given, sound: data, faults: [] };
    return { given, sound: soundPart(schema, given, error.issues), faults: faultsOf(key, given, error.issues) };
}

/** Of an object, the fields without fault; those with a fault are undefined, so that no default stands in for them. */
function soundPart(schema: z.ZodType, given: unknown, issues: readonly z.core.$ZodIssue[]): object | undefined {
    if (!isObject(given)) return undefined;
    const faulty = issues.flatMap((issue) =>
        issue.code === "unrecognized_keys" ? issue.keys : issue.path.slice(0, 1),
    );
    const rest = Object.entries(given).filter(([field]) => !faulty.includes(field));
    const { data } = schema.safeParse(Object.fromEntries(rest));
    const unknown = Object.fromEntries(faulty.map((field) => [field, undefined]));
    return isObject(data) ? { ...data, ...unknown } : undefined;
}

/** A line for each issue of the schema. */
function faultsOf(at: string, given: unknown, issues: readonly z.core.$ZodIssue[]): string[] {
    return issues.flatMap((issue) => {
        const parts = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`));
        const path = [at, ...parts].join("");
        const value = issue.path.reduce(fieldOf, given);
        if (issue.code === "unrecognized_keys") {
            const known = issue.message.split(", ");
            return issue.keys.map((key) => faultOf(`${path}.${key}`, fieldOf(value, key), notAmong(key, known)));
        }
        // Of the alternatives that a value may be, the object is the last.
        const ofObject = issue.code === "invalid_union" && isObject(value) ? issue.errors.at(-1) : undefined;
        return ofObject ? faultsOf(path, value, ofObject) : [faultOf(path, value, issue.message)];
    });
}

function faultOf(path: string, given: unknown, expected: string): string {
    const missing = `${path} is missing: ${expected}`;
    if (given === undefined) {
        return /[.[]/.test(path) ? missing : `${missing}; set it with \`pulumi config set ${path} VALUE\``;
    }
    const text = JSON.stringify(given);
    return `${path} is ${text.length > 300 ? `${text.slice(0, 300)}…` : text}: ${expected}`;
}

function valueAt(given: unknown, path: string): unknown {
    return (path.match(/[^.[\]]+/g) ?? []).reduce<unknown>(fieldOf, given);
}

function fieldOf(value: unknown, field: PropertyKey): unknown {
    return typeof value === "object" && value !== null && Object.hasOwn(value, field)
        ? (value as Record<PropertyKey, unknown>)[field]
        : undefined;
}

/** What to say of a name that is not known. */
function notAmong(name: string, known: readonly string[]): string {
    const isAlike = (longer: string, shorter: string) => longer.toLowerCase().startsWith(shorter.toLowerCase());
    const nearest = known.find((each) => isAlike(each, name) || isAlike(name, each));
    return `not known; ${nearest === undefined ? `known are ${known.join(", ")}` : `did you mean ${nearest}?`}`;
}

function isTimeZone(name: string): boolean {
    try {
        return /^[A-Za-z]/.test(name) && new Date().toLocaleString("en", { timeZone: name }) !== "";
    } catch {
        return false;
    }
}

/** The values without fault; of an object with faults, its fields without. What is faulty is undefined, and is not judged. */
type Sound = { readonly [Each in keyof Values]?: Part<NonNullable<Values[Each]>> | undefined };
type Part<Value> = Value extends string | readonly unknown[] ? Value : Partial<Value>;

/** What combinations are judged by, as far as it is known. */
interface Judged extends Sound, Partial<Place> {
    readonly named: Named | undefined;
    /** Whether there is a value, rather than a default. */
    readonly isGiven: (path: string) => boolean;
}

const noReferrers =
    "referrers: expected false with engine docker, since docker save has no signatures; or set engine to stream";

function* faultsOfBuilds({ engine, referrers, compute, network, cache, isGiven }: Judged): Generator<string> {
    if (referrers === true && engine === "docker") yield noReferrers;
    const { type, image } = compute ?? {};
    const lambda = type === "lambda";
    const inVpc = network !== undefined && network !== "public";
    if (lambda && engine === "docker") {
        yield "compute.type: Lambda compute has no Docker daemon; set engine to stream, or choose a type of BUILD_GENERAL1";
    }
    for (const path of ["compute.timeoutMinutes", "compute.queuedTimeoutMinutes"]) {
        if (lambda && isGiven(path)) {
            yield `${path}: Lambda compute has its own timeout, ${lambdaTimeoutMinutes} minutes, and takes no other; leave it out`;
        }
    }
    if (lambda && inVpc) {
        yield "network: Lambda compute runs in no VPC; choose a type of BUILD_GENERAL1, or leave network public";
    }
    if (image !== undefined && type !== undefined && image.includes("-lambda-") !== lambda) {
        const [kind, example] = lambda ? ["Lambda", defaultImages.lambda] : ["EC2", defaultImages.stream];
        yield `compute.image: expected a build image for ${kind} compute, for instance ${example}`;
    }
    if (engine === "stream" && imagesWithNode18.some((old) => old === image)) {
        yield `compute.image: engine stream needs Node.js 22 or later as its default, for instance ${defaultImages.stream}`;
    }
    // docs.aws.amazon.com/codebuild/latest/userguide/caching-local.html
    if (cache !== "local") return;
    if (engine === "stream") {
        yield "cache: engine stream keeps no layers for a later build; set engine to docker, or cache to none";
    }
    if (type === "BUILD_GENERAL1_2XLARGE") {
        yield `cache: CodeBuild has no local cache on ${type}; choose a smaller compute.type, or set cache to none`;
    }
    if (inVpc) yield "cache: CodeBuild has no local cache in a VPC; leave network public, or set cache to none";
}

/**
 * No credentials are good for two partitions: what is in another one can never be reached. And an account is either the stack's own or
 * another: one that is in both lists shows a slip.
 */
function* faultsOfPlaces(judged: Judged): Generator<string> {
    const { partition, imageUri, permissionsBoundary, notifications, ...sound } = judged;
    for (const [index, { accountId }] of (sound.crossAccountRepositoryArns ?? []).entries()) {
        const same = sound.repositoryArns?.find((repository) => repository.accountId === accountId);
        if (same) {
            yield `crossAccountRepositoryArns[${index}]: expected a repository of another account, and ${repositoryArn(same)} in repositoryArns is of the same one`;
        }
    }
    if (partition === undefined) {
        yield "aws:region: expected a region of AWS, for instance ap-northeast-1";
        return;
    }
    const own = `of the stack's own partition, ${partition}`;
    if (imageUri?.repository && imageUri.repository.partition !== partition) yield `imageUri: expected an image ${own}`;
    for (const key of ["repositoryArns", "crossAccountRepositoryArns"] as const) {
        for (const [index, repository] of (sound[key] ?? []).entries()) {
            if (repository.partition !== partition) yield `${key}[${index}]: expected a repository ${own}`;
        }
    }
    if (permissionsBoundary?.startsWith(`arn:${partition}:`) === false) {
        yield `permissionsBoundary: expected a policy ${own}, arn:${partition}:iam::ACCOUNT:policy/NAME`;
    }
    if (notifications?.slack && partition !== "aws") {
        yield `notifications.slack: AWS has no chat service in the partition ${partition}; leave it out`;
    }
}

/**
 * The endpoints of an isolated network are those of its region, ECR's has the plain host name only, and ECR imports through a
 * cache only for whoever could reach the other registry: docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
 */
function* faultsOfIsolation(judged: Judged): Generator<string> {
    const { network, region, named, imageUri, pullThroughCache: rules } = judged;
    if (network !== "isolated") return;
    const distant = region && named?.all.find((repository) => repository.region !== region);
    if (distant) {
        yield `network: the VPC reaches ECR in ${region} only, and ${repositoryArn(distant)} is in ${distant.region}; replicate it to the region, or set network to private`;
    }
    if (rules && rules.length > 0) {
        yield "pullThroughCache: the first pull through a cache needs a way to the internet, and network is isolated; leave the rules out, or set network to private";
    }
    const [host] = imageUri?.repository ? ecrHosts(imageUri.repository) : [];
    const plain = host && imageUri?.uri?.replace(/^[^/]*/, host);
    if (plain && plain !== imageUri?.uri) {
        yield `imageUri: an isolated network reaches ECR under its plain host name only; write ${plain}`;
    }
}

function* faultsOfCacheRules(judged: Judged): Generator<string> {
    const { pullThroughCache: rules = [], region, partition, named, imageUri } = judged;
    if (region === undefined || rules.length === 0) return;
    if (partition === "aws-cn" || partition === "aws-us-gov") {
        yield `pullThroughCache: ECR has no rules for registries of others in ${region}; leave it out`;
    }
    for (const [index, { prefix, upstreamRegistryUrl: host, credentialArn }] of rules.entries()) {
        const path = `pullThroughCache[${index}]`;
        if (rules.findIndex((rule) => rule.prefix === prefix) < index) {
            yield `${path}.prefix: ECR has one rule for a prefix; leave this one out`;
        }
        if (named && repositoriesBelow(prefix, named.near).length === 0) {
            yield `${path}.prefix: expected a repository of ${region} below it in imageUri or repositoryArns, for instance ${prefix}/library/nginx: builds pull only from those that are named`;
        }
        // docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-creating-secret.html
        const secret = `arn:${partition}:secretsmanager:${region}:`;
        const isSecret =
            credentialArn?.startsWith(secret) === true &&
            /^[0-9]{12}:secret:ecr-pullthroughcache\/[A-Za-z0-9/_+=.@-]+$/.test(credentialArn.slice(secret.length));
        if (host === undefined && credentialArn !== undefined) {
            yield `${path}.credentialArn: without upstreamRegistryUrl the account has the rule already, and its login; leave it out`;
        } else if (host !== undefined && !isSecret && !(credentialArn === undefined && openRegistries.includes(host))) {
            yield `${path}.credentialArn: expected a secret with a login to ${host}, of the stack's account and region: ${secret}ACCOUNT:secret:ecr-pullthroughcache/NAME`;
        }
    }
    // docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
    const cached = named && rules.flatMap(({ prefix }) => repositoriesBelow(prefix, named.near));
    const { repository, uri = "" } = imageUri ?? {};
    const isCached = repository && cached?.some((each) => covers(repositoryArn(each), repositoryArn(repository)));
    if (isCached && parseEcrHost(uri.slice(0, uri.indexOf("/")))?.fips) {
        yield "imageUri: ECR imports no image through a FIPS host; give the plain host, since pullThroughCache has a rule for it";
    }
}

function* faultsOfStorage(judged: Judged): Generator<string> {
    const { encryption, signing, retention, existingBucket, accessLogs, region, partition, isGiven } = judged;
    for (const [key, given = ""] of Object.entries({ encryption, signing })) {
        const [, ofPartition, ofRegion] = keyArnPattern.exec(given) ?? [];
        if (region !== undefined && ofRegion !== undefined && (ofRegion !== region || ofPartition !== partition)) {
            yield `${key}: expected a key of the stack's own region, ${region} in the partition ${partition}: S3, CloudWatch Logs and builds use no other`;
        }
    }
    const { protect, emptyOnDestroy } = retention ?? {};
    if (emptyOnDestroy === true && protect === true) {
        yield "retention.emptyOnDestroy: nothing deletes a protected bucket; set retention.protect to false, or leave this out";
    }
    if (existingBucket === undefined) return;
    if (accessLogs?.bucket === existingBucket) {
        yield "accessLogs.bucket: expected another bucket than existingBucket: each log would be logged again";
    }
    if (!isGiven("retention.archiveDays")) {
        yield "existingBucket: expected retention.archiveDays as well, since S3 deletes archives that are older; 0 keeps all";
    }
    const mine = "the stack did not make its existingBucket, so `pulumi destroy` may not delete it; leave this out";
    if (protect === false) yield `retention.protect: ${mine}`;
    if (emptyOnDestroy === true) yield `retention.emptyOnDestroy: ${mine}`;
}

function* faultsOfTriggers({ triggers, region, named, artifactPrefix, engine }: Judged): Generator<string> {
    // ECR reports pushes in the account and the region of the registry only.
    const near = named?.near.map(nameOf);
    if (triggers?.onPush && region !== undefined && near?.length === 0) {
        yield `triggers.onPush: expected a repository of this account in ${region} to be exported: ECR reports no other pushes here`;
    }
    for (const [index, name] of (triggers?.onPush?.repositories ?? []).entries()) {
        if (near?.length && !near.some((listed) => covers(listed, name))) {
            yield `triggers.onPush.repositories[${index}]: expected a repository of this account and region that may be exported: ${near.join(", ")}`;
        }
    }
    const { imageUri, images, artifactKey, platform, referrers, since } = triggers?.schedule?.request ?? {};
    const path = "triggers.schedule.request";
    const arns = named?.all.map(repositoryArn);
    const uris = (images ?? []).map((each) => (typeof each === "string" ? each : each.imageUri));
    const wanted = uris.map((uri, index) => [`images[${index}]`, uri] as const);
    for (const [field, uri] of imageUri === undefined ? wanted : [["imageUri", imageUri] as const, ...wanted]) {
        const arn = repositoryArn(parseImageUri(uri).repository);
        if (arns && !arns.some((listed) => covers(listed, arn))) {
            yield `${path}.${field}: expected an image of a repository that may be exported: ${arns.join(", ")}`;
        }
    }
    if (images !== undefined) {
        if (engine === "docker") yield `${path}.images: expected one imageUri with engine docker, or engine stream`;
        if (imageUri !== undefined) yield `${path}.images: expected either imageUri or images`;
        if (artifactKey === undefined) {
            yield `${path}.artifactKey: expected a key, which a set of images has none of by default`;
        }
    }
    if (artifactKey !== undefined && artifactPrefix !== undefined && !isArtifactKey(artifactKey, artifactPrefix)) {
        yield `${path}.artifactKey: expected ${artifactKeyRule(artifactPrefix)}`;
    }
    if (referrers === true && engine === "docker") yield `${path}.${noReferrers}`;
    for (const [at, asked] of [
        [path, since],
        ["triggers.onPush", triggers?.onPush?.since],
    ] as const) {
        if (asked !== undefined && engine === "docker") {
            yield `${at}.since: expected nothing with engine docker, or engine stream`;
        }
    }
    const { key: base } = typeof since === "object" ? since : { key: since };
    if (base === latest && images !== undefined) {
        yield `${path}.since: expected a key, as a set has no newest archive of its own`;
    }
    if (base !== undefined && base !== latest && artifactPrefix !== undefined) {
        if (base === artifactKey || !isArtifactKey(base, artifactPrefix)) {
            yield `${path}.since: expected ${artifactKeyRule(artifactPrefix)}, and another than artifactKey`;
        }
    }
    if (platform !== undefined && engine === "docker" && !isPlatform(platform, engine)) {
        yield `${path}.platform: expected ${platformRules.docker}`;
    }
}

/** What each key allows and no stack can have: each check says `PATH: what is expected`. */
const combinations = [
    faultsOfBuilds,
    faultsOfPlaces,
    faultsOfIsolation,
    faultsOfCacheRules,
    faultsOfStorage,
    faultsOfTriggers,
];
