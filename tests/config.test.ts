import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";
import fc from "fast-check";

import { configuration, configurationSchema, loadConfig, parseConfig, type StackConfig } from "../config";
import { repositoryArn } from "../contract/image";
import { evaluate } from "../lab/evaluation";
import { configurationText, readProject, stackConfiguration } from "../lab/stackFiles";

const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const imageUri = `${registry}/nginx:mainline-alpine3.22`;
const ownArn = "arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api";
const foreignArn = "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base";
const distantArn = foreignArn.replace("ap-northeast-1", "eu-west-1");
const keyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const boundaryArn = "arn:aws:iam::111122223333:policy/team/boundary";
const credentialArn =
    "arn:aws:secretsmanager:ap-northeast-1:111122223333:secret:ecr-pullthroughcache/docker-hub-AbCdEf";
const dockerHub = { prefix: "docker-hub", upstreamRegistryUrl: "registry-1.docker.io", credentialArn };
const quay = { prefix: "quay", upstreamRegistryUrl: "quay.io" };
const slack = { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" };
const expression = "cron(0 3 * * ? *)";
const vpc = {
    vpcId: "vpc-0a1b2c3d4e5f60718",
    subnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d5e6f70819"],
    securityGroupIds: ["sg-0a1b2c3d"],
};
const identity = { project: "ecr-image-export", stack: "dev" };

type Values = Record<string, unknown>;

/** Parses values as they stand in a stack file; undefined leaves a key out. */
function parse(values: Values = {}, region: unknown = "ap-northeast-1"): StackConfig {
    const given = Object.entries<unknown>({ imageUri, ...values }).filter(([, value]) => value !== undefined);
    const texts = given.map(([key, value]) => [key, configurationText(value)]);
    return parseConfig(Object.fromEntries(texts) as Values, region, identity);
}

/** The faults of a configuration; none where it is one. */
function faultsOf(values: Values, region?: unknown): string[] {
    try {
        parse(values, region);
        return [];
    } catch (error) {
        assert(pulumi.RunError.isInstance(error), `${String(error)} is not shown without a stack trace`);
        const [head, ...faults] = error.message.split("\n");
        assert.match(head ?? "", /^The configuration of the stack dev has (?:a fault|\d+ faults):$/);
        return faults.map((fault) => fault.trim());
    }
}

/** A configuration with one fault: values, how its line begins, what it contains, and the region if it is another. */
type Refused = readonly [values: Values, begin: string, contains: string, region?: string];

function refuses(table: readonly Refused[]): void {
    for (const [values, begin, contains, region] of table) {
        const shown = JSON.stringify(values);
        it(`${shown.slice(0, 80)}${region === undefined ? "" : ` in ${region}`}: ${begin}`, () => {
            const [fault = "nothing is refused", ...more] = faultsOf(values, region);
            assert(fault.startsWith(`${begin}: `), fault);
            assert(fault.includes(contains), fault);
            assert.deepEqual(more, []);
        });
    }
}

/** Values of one key that are refused in the same words: each value with the path, and the value at the path. */
function each(key: string, contains: string, values: readonly unknown[], path = key): Refused[] {
    return values.map((value) => [{ [key]: value }, `${path} is ${JSON.stringify(value)}`, contains]);
}

describe("parseConfig", () => {
    it("needs a region and an image, and has a default for everything else", () => {
        const repository = { partition: "aws", region: "ap-northeast-1", accountId: "111122223333", name: "nginx" };
        const image = { uri: imageUri, repository, tag: "mainline-alpine3.22" };
        assert.deepEqual(parse(), {
            region: "ap-northeast-1",
            partition: "aws",
            imageUri: image,
            repositoryArns: [],
            crossAccountRepositoryArns: [],
            repositories: [repository],
            artifactPrefix: "images/",
            engine: "docker",
            compute: {
                type: "BUILD_GENERAL1_MEDIUM",
                image: "aws/codebuild/standard:7.0",
                timeoutMinutes: 30,
                queuedTimeoutMinutes: 60,
            },
            network: "public",
            cache: "none",
            pullThroughCache: [],
            referrers: false,
            cachedRepositories: [],
            encryption: "s3",
            retention: { archiveDays: 90, oldVersionDays: 30, protect: true, emptyOnDestroy: false },
            existingBucket: undefined,
            accessLogs: undefined,
            permissionsBoundary: undefined,
            signing: undefined,
            notifications: undefined,
            batch: { maxConcurrency: 10 },
            triggers: undefined,
            tags: { project: "ecr-image-export", stack: "dev", "managed-by": "pulumi" },
        });
    });

    const kept: [Values, keyof StackConfig, expected?: unknown][] = [
        [{ artifactPrefix: "exports/site-1/" }, "artifactPrefix"],
        [{ network: vpc }, "network"],
        [{ network: "isolated", crossAccountRepositoryArns: [foreignArn] }, "network"],
        [{ network: "private", crossAccountRepositoryArns: [distantArn], engine: "stream" }, "network"],
        [{ cache: "local", compute: { type: "BUILD_GENERAL1_XLARGE" } }, "cache"],
        [{ encryption: "kms" }, "encryption"],
        [{ encryption: keyArn }, "encryption"],
        [{ permissionsBoundary: boundaryArn }, "permissionsBoundary"],
        [{ permissionsBoundary: "arn:aws:iam::aws:policy/PowerUserAccess" }, "permissionsBoundary"],
        [{ batch: { maxConcurrency: 10_000 } }, "batch"],
        [
            { retention: { archiveDays: 36500 } },
            "retention",
            { archiveDays: 36500, oldVersionDays: 30, protect: true, emptyOnDestroy: false },
        ],
        [{ retention: { archiveDays: 0, oldVersionDays: 0, protect: false, emptyOnDestroy: true } }, "retention"],
        [{ existingBucket: "hand-made", retention: { archiveDays: 0 } }, "existingBucket"],
        [{ accessLogs: { bucket: "logs-of-buckets", prefix: "image-export/" } }, "accessLogs"],
        [{ notifications: { emails: [] } }, "notifications", { emails: [], onSuccess: false }],
        [{ notifications: { slack, onSuccess: true } }, "notifications", { emails: [], slack, onSuccess: true }],
        [{ notifications: { emails: ["first.last+ecr@mail.example.co.jp"], onSuccess: false } }, "notifications"],
        [{ notifications: {} }, "notifications", undefined],
        [{ triggers: {} }, "triggers", undefined],
        [
            { engine: "stream", compute: { type: "lambda" } },
            "compute",
            {
                type: "lambda",
                image: "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22",
                timeoutMinutes: 15,
                queuedTimeoutMinutes: 60,
            },
        ],
        [
            {
                repositoryArns: [ownArn, ownArn.replace("ap-northeast-1", "eu-west-1")],
                crossAccountRepositoryArns: [foreignArn],
                triggers: { onPush: {} },
            },
            "triggers",
            { onPush: { repositories: ["nginx", "backend/api"], tags: ["*"] }, schedule: undefined },
        ],
        [
            { repositoryArns: [ownArn], triggers: { onPush: { repositories: ["backend/api"], tags: ["v*"] } } },
            "triggers",
            { onPush: { repositories: ["backend/api"], tags: ["v*"] }, schedule: undefined },
        ],
        [
            { triggers: { schedule: { expression } } },
            "triggers",
            { onPush: undefined, schedule: { expression, timeZone: "UTC", request: {} } },
        ],
        [
            {
                engine: "stream",
                triggers: {
                    schedule: {
                        expression: "rate(12 hours)",
                        timeZone: "Asia/Tokyo",
                        request: { imageUri, artifactKey: "images/nightly.tar", platform: "all", force: true },
                    },
                },
            },
            "triggers",
            {
                onPush: undefined,
                schedule: {
                    expression: "rate(12 hours)",
                    timeZone: "Asia/Tokyo",
                    request: { imageUri, artifactKey: "images/nightly.tar", platform: "all", force: true },
                },
            },
        ],
    ];
    for (const [values, key, ...expected] of kept) {
        it(`takes ${JSON.stringify(values).slice(0, 100)}`, () => {
            assert.deepEqual(parse(values)[key], expected.length > 0 ? expected[0] : values[key]);
        });
    }

    it("chooses a build image for the engine", () => {
        assert.equal(parse({ engine: "stream" }).compute.image, "aws/codebuild/standard:8.0");
    });

    it("lists a repository once, that of the image first", () => {
        const nginx = "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx";
        const { repositories } = parse({
            repositoryArns: [ownArn, nginx, ownArn],
            crossAccountRepositoryArns: [foreignArn],
        });
        assert.deepEqual(
            repositories.map(({ name }) => name),
            ["nginx", "backend/api", "platform/base"],
        );
    });

    const arn = (name: string, region = "ap-northeast-1", account = "111122223333"): string =>
        `arn:aws:ecr:${region}:${account}:repository/${name}`;

    it("lists a pattern in the place of what it covers, in its own registry", () => {
        const { repositories, triggers } = parse({
            imageUri: `${registry}/backend/api:1`,
            repositoryArns: [
                arn("backend/*"),
                ownArn,
                arn("backend/jobs/*"),
                arn("backend-x"),
                arn("backend/api", "eu-west-1"),
            ],
            crossAccountRepositoryArns: [arn("backend/api", "ap-northeast-1", "444455556666")],
            triggers: { onPush: { repositories: ["backend/api", "backend/jobs/*", "backend/jobs/nightly"] } },
        });
        assert.deepEqual(
            repositories.map((repository) => repositoryArn(repository)),
            [
                arn("backend/*"),
                arn("backend-x"),
                arn("backend/api", "eu-west-1"),
                arn("backend/api", "ap-northeast-1", "444455556666"),
            ],
        );
        assert.deepEqual(triggers?.onPush?.repositories, ["backend/api", "backend/jobs/*"]);
    });

    it("exports every push that patterns cover, where no repositories are named, and what they cover on a schedule", () => {
        const { triggers } = parse({
            repositoryArns: [arn("backend/*"), arn("web/*", "eu-west-1")],
            triggers: {
                onPush: {},
                schedule: { expression: "rate(1 day)", request: { imageUri: `${registry}/backend/a/b:1` } },
            },
        });
        assert.deepEqual(triggers?.onPush?.repositories, ["nginx", "backend/*"]);
    });

    it("finds what a pull-through cache fills of patterns: all of one below its prefix, a part of one above it", () => {
        for (const [listed, filled] of [
            ["docker-hub/library/*", "docker-hub/library/*"],
            ["docker-hub/*", "docker-hub/*"],
        ] as const) {
            const { cachedRepositories } = parse({ repositoryArns: [arn(listed)], pullThroughCache: [dockerHub] });
            assert.deepEqual(
                cachedRepositories.map(({ name }) => name),
                [filled],
            );
        }
        const { cachedRepositories } = parse({
            repositoryArns: [arn("mirror/*")],
            pullThroughCache: [{ ...quay, prefix: "mirror/quay" }],
        });
        assert.deepEqual(
            cachedRepositories.map(({ name }) => name),
            ["mirror/quay/*"],
        );
    });

    it("finds the repositories that a pull-through cache fills", () => {
        const config = parse({
            imageUri: `${registry}/docker-hub/library/nginx:1.29`,
            repositoryArns: [
                ownArn,
                arn("docker-hub/library/redis"),
                arn("docker-hub/library/redis", "eu-west-1"),
                arn("quay/prometheus/prometheus"),
            ],
            crossAccountRepositoryArns: [arn("quay/app", "ap-northeast-1", "444455556666")],
            pullThroughCache: [dockerHub, quay],
        });
        assert.deepEqual(config.pullThroughCache, [dockerHub, quay]);
        assert.deepEqual(
            config.cachedRepositories.map(({ name, region }) => `${region} ${name}`),
            [
                "ap-northeast-1 docker-hub/library/nginx",
                "ap-northeast-1 docker-hub/library/redis",
                "ap-northeast-1 quay/prometheus/prometheus",
            ],
        );
    });

    const hub = { imageUri: `${registry}/docker-hub/library/nginx:1.29` };
    for (const [upstreamRegistryUrl, needsLogin] of [
        ["public.ecr.aws", false],
        ["registry.k8s.io", false],
        ["quay.io", false],
        ["registry-1.docker.io", true],
        ["ghcr.io", true],
        ["registry.gitlab.com", true],
        ["cgr.dev", true],
        ["acme.azurecr.io", true],
    ] as const) {
        it(`takes ${upstreamRegistryUrl} with a login${needsLogin ? ", and never without" : ", and without"}`, () => {
            const of = (login: object): string[] =>
                faultsOf({ ...hub, pullThroughCache: [{ prefix: "docker-hub", upstreamRegistryUrl, ...login }] });
            assert.deepEqual(of({ credentialArn }), []);
            const [fault = ""] = of({});
            assert.equal(fault.startsWith("pullThroughCache[0].credentialArn is missing"), needsLogin);
        });
    }

    it("takes a rule that the account has already", () => {
        const config = parse({ ...hub, pullThroughCache: [{ prefix: "docker-hub" }] });
        assert.deepEqual(config.pullThroughCache, [{ prefix: "docker-hub" }]);
        assert.equal(config.cachedRepositories.length, 1);
    });

    it("takes any tag that every service takes, 46 of them, also one that objects of JavaScript have", () => {
        const many = Object.fromEntries(Array.from({ length: 44 }, (_, index) => [`tag ${index} é@`, "v".repeat(255)]));
        const tags = { constructor: "acme", ["k".repeat(127)]: "x", ...many };
        assert.deepEqual(Object.entries(parse({ tags }).tags).slice(3), Object.entries(tags));
    });

    for (const [region, partition, suffix] of [
        ["ap-northeast-9", "aws", "amazonaws.com"],
        ["cn-north-1", "aws-cn", "amazonaws.com.cn"],
        ["us-gov-west-1", "aws-us-gov", "amazonaws.com"],
        ["eusc-de-east-1", "aws-eusc", "amazonaws.eu"],
    ] as const) {
        it(`takes ${region} and what is of its partition, and nothing of another`, () => {
            const own = {
                imageUri: `111122223333.dkr.ecr.${region}.${suffix}/nginx`,
                repositoryArns: [`arn:${partition}:ecr:${region}:111122223333:repository/backend/api`],
                encryption: keyArn.replace("arn:aws:", `arn:${partition}:`).replace("ap-northeast-1", region),
                permissionsBoundary: boundaryArn.replace("arn:aws:", `arn:${partition}:`),
            };
            assert.equal(parse(own, region).partition, partition);
            const other = partition === "aws-cn" ? "aws" : "aws-cn";
            const [place, domain] = other === "aws" ? ["us-east-1", "com"] : ["cn-north-1", "com.cn"];
            const foreign = {
                imageUri: `111122223333.dkr.ecr.${place}.amazonaws.${domain}/nginx`,
                repositoryArns: [`arn:${other}:ecr:${place}:111122223333:repository/backend/api`],
                encryption: keyArn.replace("arn:aws:", `arn:${other}:`).replace("ap-northeast-1", place),
                permissionsBoundary: boundaryArn.replace("arn:aws:", `arn:${other}:`),
            };
            for (const [key, value] of Object.entries(foreign)) {
                const [fault = "", ...more] = faultsOf({ ...own, [key]: value }, region);
                assert(fault.startsWith(key) && fault.includes("of the stack's own"), `${key}: ${fault}`);
                assert.deepEqual(more, []);
            }
        });
    }
});

describe("a configuration is refused for", () => {
    const uri = "expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/";
    const prefix = "expected one or more folders with a closing slash";
    const list = "expected a list; write it in the stack's file, or use `pulumi config set --path 'repositoryArns[0]'";
    const key = "expected s3, kms or the ARN of a KMS key";
    const network = "expected public, isolated, private, or an object with the fields vpcId, subnetIds and";
    const fields = "expected an object with the fields";
    const subnets = Array.from({ length: 17 }, (_, at) => `subnet-${String(10_000_000 + at)}`);
    const lambda = { engine: "stream", compute: { type: "lambda" } };
    const compute = (path: string, value: unknown, contains: string): Refused => [
        { compute: { [path]: value } },
        `compute.${path} is ${JSON.stringify(value)}`,
        contains,
    ];

    describe("a value of the wrong form", () => {
        refuses([
            [{ imageUri: undefined }, "imageUri is missing", "set it with `pulumi config set imageUri VALUE`"],
            ...each("imageUri", uri, ["", "nginx", "docker.io/library/nginx:1", `${imageUri} `]),
            ...each("imageUri", uri, [imageUri.replace(".com", ".com.cn")]),
            ...each("repositoryArns", list, [ownArn]),
            ...each("repositoryArns", "expected a list of ARNs", [{ a: ownArn }, true]),
            [{ repositoryArns: [ownArn, 7] }, "repositoryArns[1] is 7", "expected the ARN of an ECR repository"],
            [{ repositoryArns: [`${ownArn}*`] }, `repositoryArns[0] is "${ownArn}*"`, "no other wildcard"],
            [
                { crossAccountRepositoryArns: [""] },
                'crossAccountRepositoryArns[0] is ""',
                "expected the ARN of an ECR repository",
            ],
            ...each("artifactPrefix", prefix, ["", "images", "/", "/images/", "images//", "../", "im*/", "im?/"]),
            ...each("artifactPrefix", prefix, ["${aws:username}/", "im ages/", "images/\n", ".exporter/"]),
            ...each("artifactPrefix", prefix, [`${"i".repeat(256)}/`]),
            ...each("artifactPrefix", "belong to batches", ["batches/", "batches/images/", "batch-results/"]),
            ...each("engine", "expected docker or stream", ["", "podman", "Docker"]),
            ...each("cache", "expected none or local", ["", "s3"]),
            ...each("encryption", key, ["", "KMS", "aws:kms", keyArn.slice(0, -1), `${keyArn}/x`]),
            ...each("encryption", "aws kms describe-key", ["alias/images", keyArn.replace(/key\/.*/, "alias/x")]),
            ...each("encryption", "the stack's own region", [keyArn.replace("ap-northeast-1", "eu-west-1")]),
            ...each("compute", "expected an object; write it in the stack's file", ["BUILD_GENERAL1_SMALL", "{a: 1}"]),
            ...each("compute", fields, [[], 5, null]),
            compute("size", "LARGE", "not known; known are type, image, timeoutMinutes, queuedTimeoutMinutes"),
            compute("typ", "x", "not known; did you mean type?"),
            compute("type", "SMALL", "BUILD_GENERAL1_XLARGE, BUILD_GENERAL1_2XLARGE or lambda"),
            compute("image", "ubuntu:24.04", "expected a Linux build image of CodeBuild"),
            compute("image", "aws/codebuild/windows-base:2019-3.0", "expected a Linux build image"),
            compute("image", 7, "expected a Linux build image"),
            ...[4, 2161, 7.5, "30", null].map((value) => compute("timeoutMinutes", value, "from 5 to 2160")),
            ...[4, 481].map((value) => compute("queuedTimeoutMinutes", value, "from 5 to 480")),
            ...each("network", network, ["", "Isolated", ["isolated"]]),
            [{ network: { ...vpc, vpcId: "vpc-*" } }, 'network.vpcId is "vpc-*"', "expected an id, vpc-…"],
            [{ network: { ...vpc, vpcId: undefined } }, "network.vpcId is missing", "expected an id, vpc-…"],
            [{ network: { ...vpc, zones: 2 } }, "network.zones is 2", "known are vpcId, subnetIds, securityGroupIds"],
            [{ network: { ...vpc, subnetIds: [] } }, "network.subnetIds is []", "a list of 1 to 16 ids, subnet-"],
            [{ network: { ...vpc, subnetIds: ["sg-0a1b2c3d"] } }, 'network.subnetIds[0] is "sg-0a1b2c3d"', "subnet-"],
            [
                { network: { ...vpc, securityGroupIds: ["sg-0a1b2c3d", "sg-0a1b2c3d"] } },
                'network.securityGroupIds[1] is "sg-0a1b2c3d"',
                "listed twice",
            ],
            [
                { network: { ...vpc, subnetIds: subnets } },
                `network.subnetIds is ${JSON.stringify(subnets).slice(0, 300)}…`,
                "1 to 16",
            ],
            ...each("retention", fields, [90]),
            [{ retention: { archiveDays: -1 } }, "retention.archiveDays is -1", "from 0 to 36500"],
            [{ retention: { oldVersionDays: 0.5 } }, "retention.oldVersionDays is 0.5", "a whole number"],
            [{ retention: { protect: "true" } }, 'retention.protect is "true"', "expected true or false"],
            ...each("existingBucket", "expected the name of a bucket", ["arn:aws:s3:::x", "s3://hand-made"]),
            [
                { accessLogs: { bucket: "logs-of-buckets" } },
                "accessLogs.prefix is missing",
                "for instance image-export/",
            ],
            [{ accessLogs: { bucket: "Logs", prefix: "a/" } }, 'accessLogs.bucket is "Logs"', "the name of a bucket"],
            ...each("permissionsBoundary", "the ARN of a managed policy", [
                "boundary",
                "arn:aws:iam::111122223333:role/x",
            ]),
            [{ batch: { maxConcurrency: 10_001 } }, "batch.maxConcurrency is 10001", "from 1 to 10000"],
            [{ tags: ["team"] }, 'tags is ["team"]', "expected an object"],
            ...["stack", "project", "managed-by", "component"].map((tag): Refused => [
                { tags: { [tag]: "x" } },
                `tags.${tag} is "x"`,
                "choose another key",
            ]),
            ...["", "aws:team", "AWS:team", "a*", "k".repeat(128)].map((tag): Refused => [
                { tags: { [tag]: "x" } },
                `tags.${tag} is "x"`,
                "a key of 1 to 127 letters",
            ]),
            ...[7, null, "", "a;b", "v".repeat(256)].map((value): Refused => [
                { tags: { team: value } },
                `tags.team is ${JSON.stringify(value)}`,
                "a string of 1 to 255",
            ]),
            [{ tags: JSON.parse('{"__proto__":7}') as object }, "tags.__proto__ is 7", "a string of 1 to 255"],
        ]);

        it("more tags than AWS allows", () => {
            const tags = Object.fromEntries(Array.from({ length: 47 }, (_, index) => [`tag${index}`, "x"]));
            assert.match(faultsOf({ tags }).join("\n"), /^tags is .*: expected at most 46 tags: AWS allows 50/);
        });

        for (const region of [undefined, "tokyo", "moon-west-1", 7]) {
            it(`the region ${JSON.stringify(region)}`, () => {
                const given = region === undefined ? "is missing" : `is ${JSON.stringify(region)}`;
                assert.throws(() => parseConfig({ imageUri }, region, identity), {
                    message: new RegExp(`has a fault:\n  aws:region ${given}: expected a region of AWS`),
                });
            });
        }
    });

    describe("a rule, a person or a trigger of the wrong form", () => {
        const rule = (changes: object, path: string, contains: string): Refused => [
            { ...hub, pullThroughCache: [{ ...dockerHub, ...changes }] },
            `pullThroughCache[0].${path}`,
            contains,
        ];
        const hub = { imageUri: `${registry}/docker-hub/library/nginx:1.29` };
        const person = (notifications: object, path: string, contains: string): Refused => [
            { notifications },
            `notifications.${path}`,
            contains,
        ];
        const trigger = (triggers: object, path: string, contains: string): Refused => [
            { triggers },
            `triggers.${path}`,
            contains,
        ];
        refuses([
            [{ pullThroughCache: dockerHub }, `pullThroughCache is ${JSON.stringify(dockerHub)}`, "a list of rules"],
            [{ pullThroughCache: ["x"] }, 'pullThroughCache[0] is "x"', "with the fields prefix, upstreamRegistryUrl"],
            rule({ url: "ghcr.io" }, 'url is "ghcr.io"', "not known; known are prefix"),
            rule({ prefix: undefined }, "prefix is missing", "expected 2 to 30 lower-case letters"),
            ...["", "d", "Docker", "docker-hub/", "/docker-hub", "a//b", "docker_-hub", "*", 7, "p".repeat(31)].map(
                (value) => rule({ prefix: value }, `prefix is ${JSON.stringify(value)}`, "expected 2 to 30 lower-case"),
            ),
            ...["docker.io", "https://ghcr.io", "GHCR.IO", "gcr.io", "azurecr.io", ""].map((host) =>
                rule({ upstreamRegistryUrl: host }, `upstreamRegistryUrl is "${host}"`, "one of public.ecr.aws"),
            ),
            rule({ upstreamRegistryUrl: registry }, `upstreamRegistryUrl is "${registry}"`, "name the repository in"),
            ...[credentialArn.replace("ecr-pull", "pull"), credentialArn.replace("ap-", "us-"), "hunter2"].map((arn) =>
                rule({ credentialArn: arn }, `credentialArn is "${arn}"`, "ACCOUNT:secret:ecr-pullthroughcache/NAME"),
            ),
            rule({ upstreamRegistryUrl: undefined }, `credentialArn is "${credentialArn}"`, "leave it out"),
            person({ email: [] }, "email is []", "did you mean emails?"),
            person({ emails: "a@example.com" }, 'emails is "a@example.com"', "a list of e-mail addresses"),
            person({ emails: ["a@example.com", "A <a@b.c>"] }, 'emails[1] is "A <a@b.c>"', "without a name"),
            person({ emails: ["a@b.c", "a@b.c"] }, 'emails[1] is "a@b.c"', "listed twice"),
            person({ onSuccess: "true" }, 'onSuccess is "true"', "true or false"),
            person({ slack: "C07EZ1ABC23" }, 'slack is "C07EZ1ABC23"', "with the fields workspaceId, channelId"),
            person({ slack: { ...slack, workspaceId: "my-team" } }, 'slack.workspaceId is "my-team"', "T07EA123LEP"),
            person({ slack: { workspaceId: "T07EA123LEP" } }, "slack.channelId is missing", "C07EZ1ABC23"),
            trigger({ onpush: {} }, "onpush is {}", "did you mean onPush?"),
            trigger({ onPush: "nginx" }, 'onPush is "nginx"', fields),
            trigger({ onPush: { repositories: [] } }, "onPush.repositories is []", "not empty"),
            trigger({ onPush: { repositories: ["nginx", "xy"] } }, 'onPush.repositories[1] is "xy"', "exported: nginx"),
            trigger({ onPush: { repositories: ["web/*"] } }, 'onPush.repositories[0] is "web/*"', "exported: nginx"),
            trigger({ onPush: { repositories: ["ngin*"] } }, 'onPush.repositories[0] is "ngin*"', "as in backend/*"),
            trigger({ onPush: { tags: ["v*", "v 1"] } }, 'onPush.tags[1] is "v 1"', "for instance v*"),
            trigger({ onPush: { tags: ["v**"] } }, 'onPush.tags[0] is "v**"', "for instance v*"),
            trigger({ schedule: {} }, "schedule.expression is missing", expression),
            ...["0 3 * * *", "rate(0 days)", "at(2030-01-01T00:00:00)"].map((value) =>
                trigger({ schedule: { expression: value } }, `schedule.expression is "${value}"`, expression),
            ),
            ...["Tokyo", "+09:00"].map((timeZone) =>
                trigger({ schedule: { expression, timeZone } }, `schedule.timeZone is "${timeZone}"`, "Asia/Tokyo"),
            ),
            ...(
                [
                    ["image", "x", "did you mean imageUri?"],
                    ["digest", "x", "known are imageUri, images, artifactKey, platform, referrers, since, force"],
                    ["imageUri", "nginx", "expected an image in Amazon ECR"],
                    ["imageUri", `${registry}/other`, "that may be exported: arn:aws:ecr"],
                    ["artifactKey", "other/x.tar", "begins with images/"],
                    ["artifactKey", "images/../x.tar", "begins with images/"],
                    ["artifactKey", "images/x.json", "not ending in .json"],
                    ["platform", "amd64", "os/architecture"],
                    ["platform", "all", "engine docker exports one platform"],
                    ["referrers", "yes", "true or false"],
                    ["force", "true", "true or false"],
                ] as const
            ).map(([field, value, contains]) =>
                trigger(
                    { schedule: { expression, request: { [field]: value } } },
                    `schedule.request.${field} is "${value}"`,
                    contains,
                ),
            ),
        ]);
    });

    describe("a set on a schedule", () => {
        const expression = "rate(1 day)";
        const image = (tag: string) => `${registry}/nginx:${tag}`;
        const requestOf = (request: object): Values => ({
            engine: "stream",
            imageUri: image("1"),
            triggers: { schedule: { expression, request } },
        });
        const artifactKey = "images/set.tar";
        const images = [image("1"), { imageUri: image("2"), platform: "all" }];
        const path = "triggers.schedule.request";

        it("names images, some with a platform, and a key", () => {
            assert.deepEqual(parse(requestOf({ images, artifactKey })).triggers?.schedule?.request, {
                images,
                artifactKey,
            });
        });

        refuses([
            [requestOf({ images }), `${path}.artifactKey is missing`, "which a set of images has none of by default"],
            [requestOf({ images: [], artifactKey }), `${path}.images is []`, "1 to 500 images"],
            [requestOf({ images: ["nginx"], artifactKey }), `${path}.images[0] is "nginx"`, "1 to 500 images"],
            [
                requestOf({ images: [`${registry}/other:1`], artifactKey }),
                `${path}.images[0] is "${registry}/other:1"`,
                "that may be exported",
            ],
            [
                requestOf({ images, imageUri: image("1"), artifactKey }),
                `${path}.images is ${JSON.stringify(images)}`,
                "either imageUri or images",
            ],
            [
                { ...requestOf({ images, artifactKey }), engine: "docker" },
                `${path}.images is ${JSON.stringify(images)}`,
                "engine stream",
            ],
        ]);
    });

    describe("deltas by triggers", () => {
        const expression = "rate(1 day)";
        const path = "triggers.schedule.request.since";
        const scheduled = (request: object, others: Values = {}): Values => ({
            engine: "stream",
            imageUri: `${registry}/nginx:1`,
            triggers: { schedule: { expression, request } },
            ...others,
        });
        const pushed = (onPush: object, engine: string): Values => ({ engine, triggers: { onPush } });

        it("name a base on a schedule: its key, latest, or who loads the archive as well", () => {
            for (const since of ["images/base.tar", "latest", { key: "images/base.tar", for: "containerd" }]) {
                assert.deepEqual(parse(scheduled({ since })).triggers?.schedule?.request, { since });
            }
            const set = { images: [`${registry}/nginx:1`], artifactKey: "images/set.tar", since: "images/base.tar" };
            assert.deepEqual(parse(scheduled(set)).triggers?.schedule?.request, set);
        });

        it("of pushes have the newest archive for their base, or none", () => {
            assert.equal(parse(pushed({ since: "latest" }, "stream")).triggers?.onPush?.since, "latest");
            assert.ok(!("since" in (parse(pushed({}, "stream")).triggers?.onPush ?? {})));
        });

        const below = "begins with images/";
        refuses([
            [scheduled({ since: "latest" }, { engine: "docker" }), `${path} is "latest"`, "or engine stream"],
            [pushed({ since: "latest" }, "docker"), 'triggers.onPush.since is "latest"', "or engine stream"],
            [pushed({ since: "images/base.tar" }, "stream"), 'triggers.onPush.since is "images/base.tar"', "latest"],
            ...["other/a.tar", "images/../a.tar", "images/a.tar.json"].flatMap((key): Refused[] => [
                [scheduled({ since: key }), `${path} is "${key}"`, below],
                [scheduled({ since: { key } }), `${path} is {"key":"${key}"}`, below],
            ]),
            [
                scheduled({ artifactKey: "images/a.tar", since: "images/a.tar" }),
                `${path} is "images/a.tar"`,
                "another than artifactKey",
            ],
            [
                scheduled({ images: [`${registry}/nginx:1`], artifactKey: "images/a.tar", since: "latest" }),
                `${path} is "latest"`,
                "a set has no newest archive",
            ],
            [scheduled({ since: 5 }), `${path} is 5`, "expected the key of an archive, latest, or an object"],
            [
                scheduled({ since: { key: "images/a.tar", for: "podman" } }),
                `${path}.for is "podman"`,
                "expected docker or containerd",
            ],
            [scheduled({ since: { key: "images/a.tar", as: "x" } }), `${path}.as is "x"`, "known are key, for"],
            [scheduled({ since: { for: "docker" } }), `${path}.key is missing`, "expected the key of an archive"],
            [scheduled({ since: "" }), `${path} is ""`, below],
        ]);
    });

    describe("what does not go together", () => {
        const fips = "111122223333.dkr.ecr-fips.ap-northeast-1.amazonaws.com";
        const dualStack = "111122223333.dkr-ecr.ap-northeast-1.on.aws";
        const cached = { imageUri: `${registry}/quay/prometheus/prometheus:v3`, pullThroughCache: [quay] };
        const china = "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/quay/app:1";
        const rules = JSON.stringify([quay]);
        refuses([
            [{ compute: { type: "lambda" } }, 'compute.type is "lambda"', "no Docker daemon; set engine to stream"],
            [{ referrers: true }, "referrers is true", "expected false with engine docker"],
            [
                { triggers: { schedule: { expression: "rate(1 day)", request: { referrers: true } } } },
                "triggers.schedule.request.referrers is true",
                "expected false with engine docker",
            ],
            ...["timeoutMinutes", "queuedTimeoutMinutes"].map((field): Refused => [
                { ...lambda, compute: { type: "lambda", [field]: 10 } },
                `compute.${field} is 10`,
                "takes no other",
            ]),
            [
                { ...lambda, compute: { type: "lambda", image: "aws/codebuild/standard:8.0" } },
                'compute.image is "aws/codebuild/standard:8.0"',
                "for Lambda compute",
            ],
            compute("image", "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22", "for EC2 compute"),
            [
                { engine: "stream", compute: { image: "aws/codebuild/standard:7.0" } },
                'compute.image is "aws/codebuild/standard:7.0"',
                "engine stream needs Node.js 22",
            ],
            ...["isolated", "private", vpc].flatMap((place): Refused[] => [
                [{ ...lambda, network: place }, `network is ${JSON.stringify(place)}`, "runs in no VPC"],
                [{ cache: "local", network: place }, 'cache is "local"', "no local cache in a VPC"],
            ]),
            [{ cache: "local", engine: "stream" }, 'cache is "local"', "engine stream keeps no layers"],
            [
                { cache: "local", compute: { type: "BUILD_GENERAL1_2XLARGE" } },
                'cache is "local"',
                "no local cache on BUILD_GENERAL1_2XLARGE; choose a smaller",
            ],
            [
                { repositoryArns: [ownArn], crossAccountRepositoryArns: [`${ownArn}-2`] },
                `crossAccountRepositoryArns[0] is "${ownArn}-2"`,
                `expected a repository of another account, and ${ownArn}`,
            ],
            [
                { network: "isolated", crossAccountRepositoryArns: [distantArn] },
                'network is "isolated"',
                `${distantArn} is in eu-west-1; replicate it`,
            ],
            ...[fips, dualStack].map((host): Refused => [
                { network: "isolated", imageUri: `${host}/nginx:1` },
                `imageUri is "${host}/nginx:1"`,
                `write ${registry}/nginx:1`,
            ]),
            [{ ...cached, network: "isolated" }, `pullThroughCache is ${rules}`, "set network to private"],
            [
                { pullThroughCache: [quay] },
                'pullThroughCache[0].prefix is "quay"',
                "a repository of ap-northeast-1 below",
            ],
            [
                { crossAccountRepositoryArns: [foreignArn.replace("platform", "quay")], pullThroughCache: [quay] },
                'pullThroughCache[0].prefix is "quay"',
                "builds pull only from those that are named",
            ],
            [
                { ...cached, pullThroughCache: [quay, quay] },
                'pullThroughCache[1].prefix is "quay"',
                "one rule for a prefix",
            ],
            [
                { ...cached, imageUri: `${fips}/quay/app:1` },
                `imageUri is "${fips}/quay/app:1"`,
                "ECR imports no image through a FIPS host",
            ],
            [
                { ...cached, imageUri: china },
                `pullThroughCache is ${rules}`,
                "no rules for registries of others",
                "cn-north-1",
            ],
            [
                { imageUri: china, notifications: { slack } },
                `notifications.slack is ${JSON.stringify(slack)}`,
                "no chat service in the partition aws-cn",
                "cn-north-1",
            ],
            [
                { retention: { emptyOnDestroy: true } },
                "retention.emptyOnDestroy is true",
                "set retention.protect to false",
            ],
            [
                { existingBucket: "hand-made" },
                'existingBucket is "hand-made"',
                "expected retention.archiveDays as well",
            ],
            [
                { existingBucket: "hand-made", retention: { archiveDays: 0, protect: false } },
                "retention.protect is false",
                "did not make its existingBucket",
            ],
            [
                {
                    existingBucket: "hand-made",
                    retention: { archiveDays: 0 },
                    accessLogs: { bucket: "hand-made", prefix: "logs/" },
                },
                'accessLogs.bucket is "hand-made"',
                "expected another bucket than existingBucket",
            ],
            [
                { imageUri: imageUri.replace("ap-northeast-1", "eu-west-1"), triggers: { onPush: {} } },
                "triggers.onPush is {}",
                "expected a repository of this account in ap-northeast-1",
            ],
        ]);

        it("a bucket that is adopted and emptied", () => {
            const retention = { archiveDays: 0, protect: false, emptyOnDestroy: true };
            assert.deepEqual(
                faultsOf({ existingBucket: "hand-made", retention }).map((fault) => fault.split(":")[0]),
                ["retention.protect is false", "retention.emptyOnDestroy is true"],
            );
        });

        it("nothing of it with a network that leads everywhere", () => {
            for (const network of ["public", "private", vpc]) {
                assert.deepEqual(faultsOf({ ...cached, network, crossAccountRepositoryArns: [distantArn] }), []);
                assert.deepEqual(faultsOf({ network, imageUri: `${fips}/nginx:1` }), []);
            }
        });
    });

    it("all its faults at once, combinations of what is sound among them", () => {
        const faults = faultsOf({
            imageURI: "x",
            other: "y",
            engine: "podman",
            cache: "local",
            compute: { type: "BUILD_GENERAL1_2XLARGE", timeoutMinutes: "3", sizes: 4 },
            repositoryArns: ["x"],
            retention: { archiveDays: "1", emptyOnDestroy: true },
        });
        assert.deepEqual(
            faults.map((fault) => fault.slice(0, fault.indexOf(":"))),
            [
                'imageURI is "x"',
                'other is "y"',
                'repositoryArns[0] is "x"',
                'engine is "podman"',
                'compute.timeoutMinutes is "3"',
                "compute.sizes is 4",
                'retention.archiveDays is "1"',
                'cache is "local"',
                "retention.emptyOnDestroy is true",
            ],
        );
        assert.match(faults[0] ?? "", /not known; did you mean imageUri\?$/);
        assert.match(faults[1] ?? "", /not known; known are imageUri, repositoryArns, /);
    });

    it("no combination with a default in the place of what is faulty", () => {
        // With engine docker, the default, Lambda compute would be refused as well.
        assert.equal(faultsOf({ engine: "strem", compute: { type: "lambda" } }).length, 1);
        assert.equal(faultsOf({ retention: { protect: "false", emptyOnDestroy: true } }).length, 1);
    });

    it("anything, but by a message", () => {
        const json = fc.oneof(
            fc.jsonValue(),
            fc.string(),
            fc.constantFrom(imageUri, ownArn, vpc, "lambda", "isolated"),
        );
        const shape = Object.keys(configuration.shape).map((name) => [name, json] as const);
        const fields = fc.dictionary(
            fc.constantFrom("type", "image", "prefix", "slack", "emails", "schedule", "onPush", "request", "__proto__"),
            json,
        );
        const values = fc.record(Object.fromEntries(shape.map(([name, value]) => [name, fc.oneof(value, fields)])), {
            requiredKeys: [],
        });
        fc.assert(
            fc.property(values, (given) => {
                faultsOf(given); // throws for anything but a RunError
            }),
            { numRuns: 500 },
        );
    });
});

describe("loadConfig", () => {
    async function load(values: Record<string, string>): Promise<StackConfig> {
        let config: StackConfig | undefined;
        await evaluate(
            () => {
                pulumi.runtime.setAllConfig(values);
                config = loadConfig();
                return {};
            },
            { stack: "dev" },
        );
        assert(config);
        return config;
    }

    it("reads the keys of the project and aws:region, and leaves those of others alone", async () => {
        const values = {
            "aws:region": "ap-northeast-1",
            "aws:defaultTags": "{}",
            "other:key": "x",
            "ecr-image-export:imageUri": imageUri,
            "ecr-image-export:retention": '{"archiveDays":1}',
        };
        assert.deepEqual(await load(values), parse({ retention: { archiveDays: 1 } }));
        await assert.rejects(load({ ...values, "ecr-image-export:key": "x" }), /key is "x": not known/);
    });

    for (const stack of ["dev", "prod"]) {
        it(`reads Pulumi.${stack}.yaml`, async () => {
            const { retention } = await load(stackConfiguration(stack));
            assert.deepEqual(
                [retention.protect, retention.emptyOnDestroy],
                stack === "dev" ? [false, true] : [true, false],
            );
        });
    }
});

describe("the schema of the configuration", () => {
    it("is what Pulumi.yaml declares, as far as it can", () => {
        const { properties = {}, required = [] } = configurationSchema;
        const declared = Object.entries(properties).flatMap(([key, property]) => {
            const { type, items, default: value, description } = property as Record<string, unknown>;
            const isList = type === "array" && (items as { type?: string }).type === "string";
            if (type !== "string" && !isList) return [];
            // The CLI asks for a value of every declared key that has no default.
            if (value === undefined && !required.includes(key)) return [];
            const usual = value === undefined ? {} : { default: value };
            return [[key, { type, ...(isList && { items: { type: "string" } }), ...usual, description }]];
        });
        const { name, config } = readProject();
        assert.equal(name, identity.project);
        assert.deepEqual(config, Object.fromEntries(declared));
    });
});
