import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";

import { configKeys, loadConfig, type StackConfig } from "../config";
import { evaluate } from "../lab/evaluation";
import { configurationText, readProject, stackConfiguration } from "../lab/stackFiles";

const imageUri = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:mainline-alpine3.22";
const ownArn = "arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api";
const keyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const foreignArn = "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base";

const vpc = {
    vpcId: "vpc-0a1b2c3d4e5f60718",
    subnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d5e6f70819"],
    securityGroupIds: ["sg-0a1b2c3d"],
};

/** Loads the configuration of these values, given as they stand in a stack file; undefined leaves a key out. */
async function load(values: Record<string, unknown> = {}, stack = "dev"): Promise<StackConfig> {
    const given: Record<string, unknown> = { imageUri, ...values };
    const entries = Object.entries(given)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]): [string, string] => [`ecr-image-export:${key}`, configurationText(value)]);
    return loadAll({ "aws:region": "ap-northeast-1", ...Object.fromEntries(entries) }, stack);
}

async function loadAll(values: Record<string, string>, stack = "dev"): Promise<StackConfig> {
    let config: StackConfig | undefined;
    await evaluate(
        () => {
            pulumi.runtime.setAllConfig(values);
            config = loadConfig();
            return {};
        },
        { stack },
    );
    assert(config);
    return config;
}

/** Asserts that the message names the key, what was given, and what is expected. */
async function assertRefused(values: Record<string, unknown>, ...parts: string[]): Promise<void> {
    await assert.rejects(load(values), (error: unknown) => {
        assert(pulumi.RunError.isInstance(error), `${String(error)} is not shown without a stack trace`);
        for (const part of parts)
            assert(error.message.includes(part), `"${part}" is not in: ${error.message}`);
        return true;
    });
}

describe("loadConfig", () => {
    it("needs a region and an image, and has a default for everything else", async () => {
        assert.deepEqual(await load(), {
            region: "ap-northeast-1",
            partition: "aws",
            image: {
                uri: imageUri,
                repository: {
                    partition: "aws",
                    region: "ap-northeast-1",
                    accountId: "111122223333",
                    name: "nginx",
                },
                tag: "mainline-alpine3.22",
            },
            repositories: [
                { partition: "aws", region: "ap-northeast-1", accountId: "111122223333", name: "nginx" },
            ],
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
            cachedRepositories: [],
            encryption: "s3",
            retention: { archiveDays: 90, oldVersionDays: 30, protect: true },
            existingBucket: undefined,
            permissionsBoundary: undefined,
            notifications: undefined,
            batch: { maxConcurrency: 10 },
            triggers: undefined,
            tags: { project: "ecr-image-export", stack: "dev", "managed-by": "pulumi" },
        });
    });

    it("takes a key of the stack's own, or a given one of any account", async () => {
        assert.equal((await load({ encryption: "kms" })).encryption, "kms");
        const multiRegion = keyArn.replace(/key\/.*/, "key/mrk-1234abcd12ab34cd56ef1234567890ab");
        for (const arn of [keyArn, multiRegion, keyArn.replace("111122223333", "444455556666")]) {
            assert.deepEqual((await load({ encryption: arn })).encryption, { keyArn: arn });
        }
    });

    it("asks for the region", async () => {
        await assert.rejects(loadAll({ "ecr-image-export:imageUri": imageUri }), /'aws:region'/);
    });

    it("asks for the image", async () => {
        await assert.rejects(load({ imageUri: undefined }), /'ecr-image-export:imageUri'/);
    });

    it("assumes no region", async () => {
        const config = await loadAll({
            "aws:region": "cn-north-1",
            "ecr-image-export:imageUri": "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/nginx",
        });
        assert.deepEqual([config.region, config.partition], ["cn-north-1", "aws-cn"]);
    });

    it("takes what is given", async () => {
        const config = await load(
            {
                repositoryArns: [ownArn],
                crossAccountRepositoryArns: [foreignArn],
                artifactPrefix: "exports/site-1/",
                engine: "docker",
                compute: {
                    type: "BUILD_GENERAL1_2XLARGE",
                    image: "aws/codebuild/amazonlinux-x86_64-standard:6.0",
                    timeoutMinutes: 5,
                    queuedTimeoutMinutes: 480,
                },
                network: vpc,
                retention: { archiveDays: 0, oldVersionDays: 0, protect: false },
                tags: { "cost-center": "container-platform" },
            },
            "prod",
        );
        assert.deepEqual(
            config.repositories.map(({ accountId, name }) => `${accountId}/${name}`),
            ["111122223333/nginx", "111122223333/backend/api", "444455556666/platform/base"],
        );
        assert.equal(config.artifactPrefix, "exports/site-1/");
        assert.deepEqual(config.compute, {
            type: "BUILD_GENERAL1_2XLARGE",
            image: "aws/codebuild/amazonlinux-x86_64-standard:6.0",
            timeoutMinutes: 5,
            queuedTimeoutMinutes: 480,
        });
        assert.deepEqual(config.network, vpc);
        assert.deepEqual(config.retention, { archiveDays: 0, oldVersionDays: 0, protect: false });
        assert.deepEqual(config.tags, {
            project: "ecr-image-export",
            stack: "prod",
            "managed-by": "pulumi",
            "cost-center": "container-platform",
        });
    });

    it("completes objects that are given in part", async () => {
        const { compute, retention } = await load({
            compute: { timeoutMinutes: 2160 },
            retention: { archiveDays: 36500 },
        });
        assert.deepEqual(
            [compute.type, compute.timeoutMinutes, compute.queuedTimeoutMinutes],
            ["BUILD_GENERAL1_MEDIUM", 2160, 60],
        );
        assert.deepEqual(retention, { archiveDays: 36500, oldVersionDays: 30, protect: true });
    });

    it("chooses a build image for the engine, and the timeout of Lambda compute", async () => {
        const docker = await load({ engine: "docker" });
        const stream = await load({ engine: "stream" });
        const lambda = await load({ engine: "stream", compute: { type: "lambda" } });
        assert.equal(docker.compute.image, "aws/codebuild/standard:7.0");
        assert.equal(stream.compute.image, "aws/codebuild/standard:8.0");
        assert.deepEqual(lambda.compute, {
            type: "lambda",
            image: "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22",
            timeoutMinutes: 15,
            queuedTimeoutMinutes: 60,
        });
    });

    it("refuses build images whose Node is too old for the exporter", async () => {
        const image = "aws/codebuild/standard:7.0";
        await assert.rejects(
            load({ engine: "stream", compute: { image } }),
            /compute\.image is "aws\/codebuild\/standard:7\.0": engine stream needs Node 22/,
        );
        assert.equal((await load({ engine: "docker", compute: { image } })).compute.image, image);
    });

    it("refuses what Lambda compute cannot do", async () => {
        const lambda = (compute: object) =>
            load({ engine: "stream", compute: { type: "lambda", ...compute } });
        for (const field of ["timeoutMinutes", "queuedTimeoutMinutes"]) {
            await assert.rejects(
                lambda({ [field]: 10 }),
                new RegExp(`compute\\.${field} is "10": .* takes no other`),
            );
        }
        await assert.rejects(
            lambda({ image: "aws/codebuild/standard:8.0" }),
            /compute\.image is "aws\/codebuild\/standard:8\.0": .* for Lambda compute/,
        );
    });

    it("lists a repository once, however often it is named", async () => {
        const nginx = "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx";
        const { repositories } = await load({ repositoryArns: [nginx, ownArn, ownArn] });
        assert.deepEqual(
            repositories.map(({ name }) => name),
            ["nginx", "backend/api"],
        );
    });

    it("takes a local cache where the build has a daemon and the machine a cache", async () => {
        const config = await load({ cache: "local", compute: { type: "BUILD_GENERAL1_XLARGE" } });
        assert.equal(config.cache, "local");
    });

    it("refuses a local cache where there is none", async () => {
        await assertRefused({ cache: "local", engine: "stream" }, 'cache is "local": engine stream keeps no');
        await assertRefused(
            { cache: "local", engine: "stream", compute: { type: "lambda" } },
            'cache is "local": engine stream keeps no',
        );
        await assertRefused(
            { cache: "local", compute: { type: "BUILD_GENERAL1_2XLARGE" } },
            'cache is "local": CodeBuild has no local cache on BUILD_GENERAL1_2XLARGE; choose a smaller',
        );
    });

    describe("with a pull-through cache", () => {
        const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
        const credentialArn =
            "arn:aws:secretsmanager:ap-northeast-1:111122223333:secret:ecr-pullthroughcache/docker-hub-AbCdEf";
        const dockerHub = {
            prefix: "docker-hub",
            upstreamRegistryUrl: "registry-1.docker.io",
            credentialArn,
        };
        const throughCache = { imageUri: `${registry}/docker-hub/library/nginx:1.29` };
        const arn = (name: string, region = "ap-northeast-1", account = "111122223333") =>
            `arn:aws:ecr:${region}:${account}:repository/${name}`;

        it("takes rules, and finds the repositories that they fill among those that are named", async () => {
            const quay = { prefix: "quay", upstreamRegistryUrl: "quay.io" };
            const config = await load({
                ...throughCache,
                repositoryArns: [
                    ownArn,
                    arn("docker-hub/library/redis"),
                    arn("docker-hub/library/redis"),
                    arn("docker-hub/library/redis", "eu-west-1"),
                    arn("quay/prometheus/prometheus"),
                ],
                crossAccountRepositoryArns: [arn("quay/foreign/app", "ap-northeast-1", "444455556666")],
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

        it("takes a rule that the account has already", async () => {
            const config = await load({ ...throughCache, pullThroughCache: [{ prefix: "docker-hub" }] });
            assert.deepEqual(config.pullThroughCache, [{ prefix: "docker-hub" }]);
            assert.deepEqual(
                config.cachedRepositories.map(({ name }) => name),
                ["docker-hub/library/nginx"],
            );
        });

        for (const upstreamRegistryUrl of ["public.ecr.aws", "registry.k8s.io", "quay.io"]) {
            it(`takes ${upstreamRegistryUrl} without a login, and with one`, async () => {
                for (const login of [{}, { credentialArn }]) {
                    const rule = { prefix: "docker-hub", upstreamRegistryUrl, ...login };
                    const config = await load({ ...throughCache, pullThroughCache: [rule] });
                    assert.deepEqual(config.pullThroughCache, [rule]);
                }
            });
        }

        const withLogin = [
            "registry-1.docker.io",
            "ghcr.io",
            "registry.gitlab.com",
            "cgr.dev",
            "acme.azurecr.io",
        ];
        for (const upstreamRegistryUrl of withLogin) {
            it(`takes ${upstreamRegistryUrl} with a login, and never without`, async () => {
                const rule = { ...dockerHub, upstreamRegistryUrl };
                const config = await load({ ...throughCache, pullThroughCache: [rule] });
                assert.deepEqual(config.pullThroughCache, [rule]);
                await assertRefused(
                    { ...throughCache, pullThroughCache: [{ prefix: "docker-hub", upstreamRegistryUrl }] },
                    'pullThroughCache[0].credentialArn is ""',
                    `with a login to ${upstreamRegistryUrl}`,
                    "arn:aws:secretsmanager:ap-northeast-1:ACCOUNT:secret:ecr-pullthroughcache/NAME",
                );
            });
        }

        const prefixExpected = "expected 2 to 30 lower-case letters and digits";
        const secretExpected = "whose name begins with ecr-pullthroughcache/";
        const hostExpected =
            "expected the host of a registry that ECR can cache, one of public.ecr.aws, registry.k8s.io";
        const rule = (changes: object) => [{ ...dockerHub, ...changes }];
        const refused: [what: string, rules: unknown, ...message: string[]][] = [
            ["no list", dockerHub, "pullThroughCache is", "expected a list of rules"],
            ["a text", "docker-hub", 'pullThroughCache is "docker-hub": expected a structured value'],
            [
                "a rule that is a text",
                ["docker-hub"],
                "pullThroughCache[0] is",
                "with the fields prefix, upstream",
            ],
            ["a rule that is null", [null], 'pullThroughCache[0] is "null": expected an object'],
            [
                "a field that it does not know",
                rule({ url: "ghcr.io" }),
                'pullThroughCache[0].url is "ghcr.io": not a field of pullThroughCache[0]; known are prefix',
            ],
            [
                "no prefix",
                rule({ prefix: undefined }),
                'pullThroughCache[0].prefix is "undefined"',
                prefixExpected,
            ],
            ...["", "d", "Docker", "docker-hub/", "/docker-hub", "a//b", "docker_-hub", "ROOT", "*", 7].map(
                (prefix): [string, unknown, ...string[]] => [
                    `the prefix ${JSON.stringify(prefix)}`,
                    rule({ prefix }),
                    `pullThroughCache[0].prefix is "${prefix}": ${prefixExpected}`,
                ],
            ),
            ["a prefix that is too long", rule({ prefix: "p".repeat(31) }), prefixExpected],
            [
                "a prefix that nothing is named below",
                rule({ prefix: "ghcr" }),
                'pullThroughCache[0].prefix is "ghcr": expected a repository of ap-northeast-1 below it in imageUri or',
            ],
            [
                "a prefix twice",
                [dockerHub, dockerHub],
                'pullThroughCache[1].prefix is "docker-hub": ECR has one rule for a prefix',
            ],
            ...["docker.io", "https://ghcr.io", "ghcr.io/", "GHCR.IO", "gcr.io", "azurecr.io", "", 7].map(
                (upstreamRegistryUrl): [string, unknown, ...string[]] => [
                    `the registry ${JSON.stringify(upstreamRegistryUrl)}`,
                    rule({ upstreamRegistryUrl }),
                    `pullThroughCache[0].upstreamRegistryUrl is "${upstreamRegistryUrl}": ${hostExpected}`,
                ],
            ),
            [
                "a registry of ECR",
                rule({ upstreamRegistryUrl: "444455556666.dkr.ecr.us-east-1.amazonaws.com" }),
                "builds pull from every region and account of ECR without a cache; name the repository in repositoryArns",
            ],
            [
                "a secret of another name",
                rule({ credentialArn: credentialArn.replace("ecr-pull", "pull") }),
                secretExpected,
            ],
            [
                "a secret of another region",
                rule({ credentialArn: credentialArn.replace("ap-northeast-1", "us-east-1") }),
                secretExpected,
            ],
            [
                "a login that is no secret",
                rule({ credentialArn: "hunter2" }),
                'credentialArn is "hunter2"',
                secretExpected,
            ],
            [
                "a login to a rule that exists already",
                rule({ upstreamRegistryUrl: undefined }),
                "pullThroughCache[0].credentialArn is",
                "the rule is one that the account has already",
            ],
        ];
        for (const [what, pullThroughCache, ...message] of refused) {
            it(`refuses ${what}`, async () => {
                await assertRefused({ ...throughCache, pullThroughCache }, ...message);
            });
        }

        it("refuses a rule whose only repositories are of another account or region", async () => {
            const pullThroughCache = [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }];
            const foreign = {
                crossAccountRepositoryArns: [arn("quay/app", "ap-northeast-1", "444455556666")],
            };
            const elsewhere = { repositoryArns: [arn("quay/app", "eu-west-1")] };
            for (const named of [foreign, elsewhere]) {
                await assertRefused({ ...named, pullThroughCache }, 'pullThroughCache[0].prefix is "quay"');
            }
        });

        it("refuses an image of a FIPS host, through which ECR imports nothing", async () => {
            for (const host of [
                "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com",
                "111122223333.dkr-ecr-fips.us-east-1.on.aws",
            ]) {
                const values = {
                    "aws:region": "us-east-1",
                    "ecr-image-export:imageUri": `${host}/quay/prometheus/prometheus:v3`,
                };
                assert.deepEqual((await loadAll(values)).cachedRepositories, []);
                const cached = { ...values, "ecr-image-export:pullThroughCache": '[{"prefix":"quay"}]' };
                await assert.rejects(
                    loadAll(cached),
                    /imageUri is .*fips.*: ECR imports no image through a FIPS host/,
                );
            }
        });

        it("refuses rules in partitions that have none", async () => {
            for (const [region, suffix] of [
                ["cn-north-1", "com.cn"],
                ["us-gov-west-1", "com"],
            ] as const) {
                const values = {
                    "aws:region": region,
                    "ecr-image-export:imageUri": `111122223333.dkr.ecr.${region}.amazonaws.${suffix}/quay/app:1`,
                    "ecr-image-export:pullThroughCache": '[{"prefix":"quay"}]',
                };
                await assert.rejects(
                    loadAll(values),
                    new RegExp(`pullThroughCache is .*: ECR has no rules .* in ${region}`),
                );
            }
        });
    });

    it("takes tags whose keys every object of JavaScript has", async () => {
        const { tags } = await load({ tags: { constructor: "acme" } });
        assert.deepEqual(Object.entries(tags).at(-1), ["constructor", "acme"]);
    });

    it("takes an isolated network, with either engine, for repositories of the region", async () => {
        for (const engine of ["docker", "stream"]) {
            const values = { engine, network: "isolated", crossAccountRepositoryArns: [foreignArn] };
            assert.equal((await load(values)).network, "isolated");
        }
    });

    it("refuses an isolated network for what its endpoints do not lead to", async () => {
        const distant = foreignArn.replace("ap-northeast-1", "eu-west-1");
        for (const key of ["repositoryArns", "crossAccountRepositoryArns"]) {
            await assertRefused(
                { network: "isolated", [key]: [distant] },
                'network is "isolated": the VPC reaches ECR in ap-northeast-1 alone',
                `${distant} is in eu-west-1`,
            );
        }
        await assertRefused(
            { network: "isolated", imageUri: imageUri.replace("ap-northeast-1", "us-east-1") },
            "repository/nginx is in us-east-1",
        );
        for (const host of ["dkr.ecr-fips.ap-northeast-1.amazonaws.com", "dkr-ecr.ap-northeast-1.on.aws"]) {
            await assertRefused(
                { network: "isolated", imageUri: `111122223333.${host}/nginx:1` },
                `imageUri is "111122223333.${host}/nginx:1"`,
                "write 111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.",
            );
        }
    });

    it("refuses an isolated network with a cache that ECR would have to fill", async () => {
        const cached = {
            imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/quay/prometheus/prometheus:v3",
            pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }],
        };
        await assertRefused(
            { ...cached, network: "isolated" },
            'pullThroughCache[0].prefix is "quay": the first pull',
            "give a VPC with a NAT gateway",
        );
        assert.deepEqual((await load({ ...cached, network: vpc })).network, vpc);
    });

    it("refuses a local cache in a VPC, where CodeBuild has none", async () => {
        for (const network of ["isolated", vpc]) {
            await assertRefused(
                { cache: "local", network },
                'cache is "local": CodeBuild has no local cache for builds in a VPC',
            );
        }
        assert.equal((await load({ cache: "local", network: "public" })).cache, "local");
    });

    it("takes what an isolated network would not reach where builds run elsewhere", async () => {
        const distant = foreignArn.replace("ap-northeast-1", "eu-west-1");
        for (const network of ["public", vpc]) {
            const { repositories } = await load({ network, crossAccountRepositoryArns: [distant] });
            assert.equal(repositories.at(-1)?.region, "eu-west-1");
        }
    });

    it("refuses a VPC for Lambda compute, which cannot run in one", async () => {
        for (const network of ["isolated", vpc]) {
            await assertRefused(
                { engine: "stream", compute: { type: "lambda" }, network },
                `network is "${configurationText(network)}": Lambda compute runs in no VPC`,
            );
        }
        const { network } = await load({ engine: "stream", compute: { type: "lambda" }, network: "public" });
        assert.equal(network, "public");
    });

    it("takes repositories of other accounts in any region of the stack's partition, and of no other", async () => {
        const partitions: [string, string, string, string][] = [
            ["aws", "ap-northeast-1", "eu-west-1", "amazonaws.com"],
            ["aws-cn", "cn-north-1", "cn-northwest-1", "amazonaws.com.cn"],
            ["aws-us-gov", "us-gov-west-1", "us-gov-east-1", "amazonaws.com"],
        ];
        for (const [partition, region, other, suffix] of partitions) {
            const repository = `arn:${partition}:ecr:${other}:444455556666:repository/platform/base`;
            const values = (arn: string) => ({
                "aws:region": region,
                "ecr-image-export:imageUri": `111122223333.dkr.ecr.${region}.${suffix}/nginx`,
                "ecr-image-export:crossAccountRepositoryArns": JSON.stringify([arn]),
            });
            const { repositories } = await loadAll(values(repository));
            assert.deepEqual(repositories.at(-1), {
                partition,
                region: other,
                accountId: "444455556666",
                name: "platform/base",
            });
            const beyond =
                partition === "aws"
                    ? "arn:aws-cn:ecr:cn-north-1:444455556666:repository/platform/base"
                    : "arn:aws:ecr:us-east-1:444455556666:repository/platform/base";
            await assert.rejects(
                loadAll(values(beyond)),
                new RegExp(
                    `crossAccountRepositoryArns\\[0\\] is "${beyond}": .* own partition, ${partition}`,
                ),
            );
        }
    });

    it("refuses a region that is none", async () => {
        const values = { "aws:region": "tokyo", "ecr-image-export:imageUri": imageUri };
        await assert.rejects(loadAll(values), /aws:region is "tokyo": expected/);
    });

    it("refuses an image of another partition than the stack's, which nobody can pull", async () => {
        const values = { "aws:region": "cn-north-1", "ecr-image-export:imageUri": imageUri };
        await assert.rejects(loadAll(values), /imageUri is .*partition/);
    });

    it("takes an empty tag, and 46 of them", async () => {
        const tags = Object.fromEntries(Array.from({ length: 46 }, (_, index) => [`tag ${index} é@`, ""]));
        assert.equal(Object.keys((await load({ tags })).tags).length, 49, "one is left for index.ts");
    });

    describe("refuses", () => {
        const uriExpected = "expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/";
        const arnExpected = "expected the ARN of one ECR repository";
        const prefixExpected = "expected one or more folders with a closing slash";
        const computeFields = "known are type, image, timeoutMinutes, queuedTimeoutMinutes";
        const tagKeyExpected = "expected a key of 1 to 128 letters";
        const tagValueExpected = "expected a text of at most 256 letters";
        const keyExpected =
            "expected s3, kms, or the ARN of a KMS key, arn:aws:kms:ap-northeast-1:ACCOUNT:key/ID";
        const aliasRefused =
            "expected the ARN of the key itself, since policies and S3 do not follow an alias";
        const regionExpected =
            "expected a key of the stack's own region, ap-northeast-1 in the partition aws";
        const structured = "expected a structured value; set it with `pulumi config set --path`";
        const networkExpected =
            "expected public, isolated, or an object with the fields vpcId, subnetIds and";
        const manySubnets = Array.from(
            { length: 17 },
            (_, at) => `subnet-0000000${at.toString(16).padStart(2, "0")}`,
        );
        const manyTags = Object.fromEntries(Array.from({ length: 47 }, (_, index) => [`tag${index}`, "x"]));

        /** A value that cannot work, and what the message has to say: key, value, expectation. */
        const malformed: [key: string, value: unknown, ...message: string[]][] = [
            ["imageUri", "", "imageUri", '""', uriExpected],
            ["imageUri", "nginx", "imageUri", '"nginx"', uriExpected],
            ["imageUri", "docker.io/library/nginx:1", "imageUri", '"docker.io/', uriExpected],
            ["imageUri", `${imageUri} `, "imageUri", `"${imageUri} "`, uriExpected],
            ["imageUri", { uri: imageUri }, "imageUri", imageUri, uriExpected],
            ["repositoryArns", ownArn, "repositoryArns", ownArn, structured],
            ["repositoryArns", { a: ownArn }, "repositoryArns", ownArn, "expected a list of ARNs"],
            ["repositoryArns", true, "repositoryArns", '"true"', "expected a list of ARNs"],
            ["repositoryArns", [ownArn, 7], "repositoryArns[1]", '"7"', "expected the ARN"],
            ["repositoryArns", [null], "repositoryArns[0]", '"null"', "expected the ARN"],
            ["repositoryArns", [ownArn, ""], "repositoryArns[1]", '""', arnExpected],
            ["repositoryArns", [`${ownArn}/*`], "repositoryArns[0]", "/*", arnExpected],
            ["repositoryArns", [imageUri], "repositoryArns[0]", imageUri, arnExpected],
            [
                "repositoryArns",
                ["arn:aws:ecr:cn-north-1:111122223333:repository/nginx"],
                "repositoryArns[0]",
                "arn:aws:ecr:cn-north-1",
                "the region cn-north-1 is in the partition aws-cn, not in aws",
            ],
            ["crossAccountRepositoryArns", "x", "crossAccountRepositoryArns", '"x"', structured],
            ["crossAccountRepositoryArns", ["*"], "crossAccountRepositoryArns[0]", '"*"', arnExpected],
            ["artifactPrefix", "", "artifactPrefix", '""', prefixExpected],
            ["artifactPrefix", "images", "artifactPrefix", '"images"', prefixExpected],
            ["artifactPrefix", "/", "artifactPrefix", '"/"', prefixExpected],
            ["artifactPrefix", "/images/", "artifactPrefix", '"/images/"', prefixExpected],
            ["artifactPrefix", "images//", "artifactPrefix", '"images//"', prefixExpected],
            ["artifactPrefix", "../", "artifactPrefix", '"../"', prefixExpected],
            ["artifactPrefix", "im*/", "artifactPrefix", '"im*/"', prefixExpected],
            ["artifactPrefix", "im?/", "artifactPrefix", '"im?/"', prefixExpected],
            ["artifactPrefix", "${aws:username}/", "artifactPrefix", "${aws:username}/", prefixExpected],
            ["artifactPrefix", "im ages/", "artifactPrefix", '"im ages/"', prefixExpected],
            ["artifactPrefix", "images/\n", "artifactPrefix", prefixExpected],
            ["artifactPrefix", `${"i".repeat(256)}/`, "artifactPrefix", "iii", prefixExpected],
            ["engine", "", "engine", '""', "expected one of docker, stream"],
            ["engine", "podman", "engine", '"podman"', "expected one of docker, stream"],
            ["engine", "Docker", "engine", '"Docker"', "expected one of docker, stream"],
            ["cache", "", "cache", '""', "expected one of none, local"],
            ["cache", "s3", "cache", '"s3"', "expected one of none, local"],
            ["encryption", "", "encryption", '""', keyExpected],
            ["encryption", "KMS", "encryption", '"KMS"', keyExpected],
            ["encryption", "aws:kms", "encryption", '"aws:kms"', keyExpected],
            ["encryption", keyArn.slice(0, -1), "encryption", keyExpected],
            ["encryption", `${keyArn}/x`, "encryption", keyExpected],
            ["encryption", keyArn.replace(/.*key\//, ""), "encryption", keyExpected],
            ["encryption", { keyArn }, "encryption", keyExpected],
            ["encryption", "alias/images", "encryption", '"alias/images"', aliasRefused],
            ["encryption", keyArn.replace(/key\/.*/, "alias/images"), "encryption", aliasRefused],
            ["encryption", keyArn.replace("ap-northeast-1", "eu-west-1"), "encryption", regionExpected],
            ["encryption", keyArn.replace("arn:aws:", "arn:aws-cn:"), "encryption", regionExpected],
            ["compute", "BUILD_GENERAL1_SMALL", "compute", '"BUILD_GENERAL1_SMALL"', structured],
            ["compute", [], "compute", '"[]"', "expected an object with the fields type, image"],
            ["compute", 5, "compute", '"5"', "expected an object with the fields type, image"],
            [
                "compute",
                { size: "LARGE" },
                "compute.size",
                '"LARGE"',
                "not a field of compute",
                computeFields,
            ],
            ["compute", { type: "SMALL" }, "compute.type", '"SMALL"', "BUILD_GENERAL1_2XLARGE"],
            [
                "compute",
                { type: "lambda" },
                "compute.type",
                '"lambda"',
                "no Docker daemon; set engine to stream",
            ],
            [
                "compute",
                { image: "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22" },
                "compute.image",
                "for EC2 compute",
            ],
            ["compute", { type: 1 }, "compute.type", '"1"', "expected one of BUILD_GENERAL1_SMALL"],
            ["compute", { image: "ubuntu:24.04" }, "compute.image", '"ubuntu:24.04"', "aws/codebuild/"],
            ["compute", { image: 7 }, "compute.image", '"7"', "expected a build image of CodeBuild"],
            ["compute", { image: "aws/codebuild/standard" }, "compute.image", "expected a build image"],
            ["compute", { timeoutMinutes: 4 }, "compute.timeoutMinutes", '"4"', "from 5 to 2160"],
            ["compute", { timeoutMinutes: 2161 }, "compute.timeoutMinutes", '"2161"', "from 5 to 2160"],
            ["compute", { timeoutMinutes: 7.5 }, "compute.timeoutMinutes", '"7.5"', "a whole number"],
            ["compute", { timeoutMinutes: "30" }, "compute.timeoutMinutes", '"30"', "a whole number"],
            ["compute", { queuedTimeoutMinutes: 4 }, "compute.queuedTimeoutMinutes", '"4"', "5 to 480"],
            ["compute", { queuedTimeoutMinutes: 481 }, "compute.queuedTimeoutMinutes", "481", "5 to 480"],
            ["compute", { size: "LARGE" }, "compute.size", '"LARGE"', computeFields],
            ["compute", { image: "aws/codebuild/windows-base:2019-3.0" }, "compute.image", "windows-base"],
            [
                "compute",
                { image: "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22" },
                "compute.image",
                "lambda-standard",
            ],
            ["imageUri", imageUri.replace(".com", ".com.cn"), "imageUri", ".com.cn", uriExpected],
            ["network", "", "network", '""', networkExpected],
            ["network", "private", "network", '"private"', networkExpected],
            ["network", "Isolated", "network", '"Isolated"', networkExpected],
            ["network", ["isolated"], "network", '["isolated"]', networkExpected],
            ["network", true, "network", '"true"', networkExpected],
            ["network", {}, "network.vpcId", '"undefined"', "expected the id of a VPC, vpc-"],
            ["network", { ...vpc, vpcId: "vpc-*" }, "network.vpcId", '"vpc-*"', "the id of a VPC"],
            [
                "network",
                { ...vpc, zones: 2 },
                "network.zones",
                "known are vpcId, subnetIds, securityGroupIds",
            ],
            [
                "network",
                { ...vpc, subnetIds: [] },
                "network.subnetIds",
                '"[]"',
                "1 to 16 different ids, subnet-",
            ],
            [
                "network",
                { ...vpc, subnetIds: "subnet-0a1b2c3d" },
                "network.subnetIds",
                "expected a list of 1",
            ],
            ["network", { ...vpc, subnetIds: ["sg-0a1b2c3d"] }, "network.subnetIds", "ids, subnet-"],
            ["network", { ...vpc, subnetIds: [vpc.subnetIds[0], 7] }, "network.subnetIds", "ids, subnet-"],
            ["network", { ...vpc, subnetIds: ["a", "a"] }, "network.subnetIds", "different ids, subnet-"],
            ["network", { ...vpc, subnetIds: manySubnets }, "network.subnetIds", "1 to 16 different ids"],
            [
                "network",
                { ...vpc, securityGroupIds: undefined },
                "network.securityGroupIds",
                "1 to 5 different",
            ],
            [
                "network",
                { ...vpc, securityGroupIds: ["sg-*"] },
                "network.securityGroupIds",
                "1 to 5 different",
            ],
            ["retention", 90, "retention", '"90"', "expected an object with the fields archiveDays"],
            ["retention", { days: 1 }, "retention.days", "known are archiveDays, oldVersionDays, protect"],
            ["retention", { archiveDays: -1 }, "retention.archiveDays", '"-1"', "from 0 to 36500"],
            ["retention", { archiveDays: 36501 }, "retention.archiveDays", "36501", "from 0 to 36500"],
            ["retention", { archiveDays: "90" }, "retention.archiveDays", '"90"', "a whole number"],
            ["retention", { oldVersionDays: 0.5 }, "retention.oldVersionDays", '"0.5"', "from 0 to"],
            ["retention", { protect: "true" }, "retention.protect", '"true"', "expected true or false"],
            ["retention", { protect: 1 }, "retention.protect", '"1"', "expected true or false"],
            ["tags", "team=a", "tags", '"team=a"', structured],
            ["tags", ["team"], "tags", '["team"]', "expected an object"],
            ["tags", { stack: "x" }, "tags.stack", '"x"', "set by the program; choose another key"],
            ["tags", { project: "x" }, "tags.project", '"x"', "set by the program"],
            ["tags", { "managed-by": "x" }, "tags.managed-by", '"x"', "set by the program"],
            ["tags", { component: "x" }, "tags.component", '"x"', "set by the program"],
            ["tags", { "": "x" }, "tags.", '"x"', tagKeyExpected],
            ["tags", { "aws:team": "x" }, "tags.aws:team", '"x"', "not beginning with aws:"],
            ["tags", { "AWS:team": "x" }, "tags.AWS:team", '"x"', "not beginning with aws:"],
            ["tags", { "a*": "x" }, "tags.a*", '"x"', tagKeyExpected],
            ["tags", { ["k".repeat(129)]: "x" }, "tags.kkk", '"x"', tagKeyExpected],
            ["tags", { team: 7 }, "tags.team", '"7"', tagValueExpected],
            ["tags", { team: null }, "tags.team", '"null"', tagValueExpected],
            ["tags", { team: "a;b" }, "tags.team", '"a;b"', tagValueExpected],
            ["tags", { team: "v".repeat(257) }, "tags.team", "vvv", tagValueExpected],
            ["tags", manyTags, "tags", "47 tags", "expected at most 46"],
        ];
        for (const [key, value, ...message] of malformed) {
            const shown = configurationText(value);
            it(`${key}: ${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}`, async () => {
                await assertRefused({ [key]: value }, ...message);
            });
        }

        it("an account that is the stack's own and another at once", async () => {
            await assertRefused(
                { repositoryArns: [ownArn], crossAccountRepositoryArns: [`${ownArn}-2`] },
                "crossAccountRepositoryArns",
                `${ownArn}-2`,
                "expected repositories of other accounts",
                `${ownArn} in repositoryArns`,
            );
        });

        it("a key that it does not know", async () => {
            await assertRefused({ imageURI: "x" }, "ecr-image-export:imageURI is not known", ":imageUri,");
        });

        it("text where a structured value belongs, although it begins like one", async () => {
            await assert.rejects(
                loadAll({
                    "aws:region": "ap-northeast-1",
                    "ecr-image-export:imageUri": imageUri,
                    "ecr-image-export:retention": "{archiveDays: 1}",
                }),
                /retention is "\{archiveDays: 1\}": expected a structured value/,
            );
        });
    });

    describe("notifications", () => {
        const slack = { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" };

        it("are for whoever is named, of what goes wrong", async () => {
            const of = async (notifications: object) => (await load({ notifications })).notifications;
            const emails = ["platform@example.com", "first.last+ecr@mail.example.co.jp"];
            assert.deepEqual(await of({ emails }), { emails, slack: undefined, onSuccess: false });
            assert.deepEqual(await of({ slack, onSuccess: true }), { emails: [], slack, onSuccess: true });
        });

        it("are for subscribers of the topic where nobody is named, and for nobody without any field", async () => {
            assert.deepEqual((await load({ notifications: { emails: [] } })).notifications, {
                emails: [],
                slack: undefined,
                onSuccess: false,
            });
            assert.equal((await load({ notifications: {} })).notifications, undefined);
        });

        const refused: [unknown, ...string[]][] = [
            [
                ["a@example.com"],
                "notifications",
                "expected an object with the fields emails, slack, onSuccess",
            ],
            [{ email: [] }, "notifications.email", "known are emails, slack, onSuccess"],
            [{ emails: "a@example.com" }, "notifications.emails", "expected a list of e-mail addresses"],
            [{ emails: ["a@example.com", "b"] }, "notifications.emails[1]", '"b"', "an e-mail address alone"],
            [{ emails: ["A <a@example.com>"] }, "notifications.emails[0]", "an e-mail address alone"],
            [{ emails: ["a@example.com", "a@example.com"] }, "notifications.emails[1]", "listed twice"],
            [{ emails: [5] }, "notifications.emails[0]", '"5"', "an e-mail address alone"],
            [{ onSuccess: "true" }, "notifications.onSuccess", '"true"', "expected true or false"],
            [{ slack: "C07EZ1ABC23" }, "notifications.slack", "with the fields workspaceId, channelId"],
            [{ slack: { ...slack, team: "T" } }, "notifications.slack.team", "known are workspaceId"],
            [
                { slack: { workspaceId: "my-team", channelId: "C07EZ1ABC23" } },
                "notifications.slack.workspaceId",
                '"my-team"',
                "the id of a Slack workspace",
            ],
            [
                { slack: { workspaceId: "T07EA123LEP" } },
                "notifications.slack.channelId",
                "the id of a Slack channel",
            ],
        ];
        for (const [notifications, key, ...parts] of refused) {
            it(`refuses ${JSON.stringify(notifications)}`, async () => {
                await assertRefused({ notifications }, `The configuration value ${key} is "`, ...parts);
            });
        }

        it("reach no Slack from a partition without the chat service", async () => {
            await assert.rejects(
                loadAll({
                    "aws:region": "cn-north-1",
                    "ecr-image-export:imageUri":
                        "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/nginx:1.29",
                    "ecr-image-export:notifications": JSON.stringify({ slack }),
                }),
                /notifications\.slack is .*: AWS has no chat service in the partition aws-cn/,
            );
        });
    });

    it("reads how many images of a batch are exported at a time", async () => {
        for (const maxConcurrency of [1, 10_000]) {
            assert.deepEqual((await load({ batch: { maxConcurrency } })).batch, { maxConcurrency });
        }
        for (const maxConcurrency of [0, 10_001, 2.5, "10"]) {
            await assertRefused({ batch: { maxConcurrency } }, "batch.maxConcurrency", "from 1 to 10000");
        }
        await assertRefused({ batch: { concurrency: 5 } }, "batch.concurrency", "known are maxConcurrency");
    });

    it("keeps archives out of the folders of batches", async () => {
        for (const artifactPrefix of ["batches/", "batches/images/", "batch-results/"]) {
            await assertRefused({ artifactPrefix }, "artifactPrefix", artifactPrefix, "belong to batches");
        }
    });

    describe("triggers", () => {
        const repositoryArns = ["arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api"];
        const expression = "cron(0 3 * * ? *)";

        it("export every push to the repositories of this account and region, where nothing else is said", async () => {
            const { triggers } = await load({
                repositoryArns: [...repositoryArns, "arn:aws:ecr:eu-west-1:111122223333:repository/far"],
                crossAccountRepositoryArns: ["arn:aws:ecr:ap-northeast-1:444455556666:repository/base"],
                triggers: { onPush: {} },
            });
            assert.deepEqual(triggers, {
                onPush: { repositories: ["nginx", "backend/api"], tags: ["*"] },
                schedule: undefined,
            });
        });

        it("export what is listed", async () => {
            const onPush = { repositories: ["backend/api"], tags: ["v*", "latest"] };
            assert.deepEqual((await load({ repositoryArns, triggers: { onPush } })).triggers?.onPush, onPush);
        });

        it("export on a schedule, in a time zone, with a request", async () => {
            const short = await load({ triggers: { schedule: { expression } } });
            assert.deepEqual(short.triggers?.schedule, { expression, timeZone: "UTC", request: {} });
            const schedule = {
                expression: "rate(12 hours)",
                timeZone: "Asia/Tokyo",
                request: {
                    imageUri,
                    artifactKey: "images/nightly.tar",
                    platform: "linux/arm64",
                    force: true,
                },
            };
            assert.deepEqual((await load({ triggers: { schedule } })).triggers?.schedule, schedule);
        });

        const refused: [Record<string, unknown>, ...string[]][] = [
            [{ onpush: {} }, "triggers.onpush", "known are onPush, schedule"],
            [{ onPush: "nginx" }, "triggers.onPush", "expected an object"],
            [{ onPush: { repositories: [] } }, "triggers.onPush.repositories", "not empty"],
            [{ onPush: { repositories: ["nginx", "nginx2"] } }, "repositories[1]", '"nginx2"', "nginx"],
            [{ onPush: { tags: ["v*", "v 1"] } }, "triggers.onPush.tags[1]", "v 1", "for instance v*"],
            [{ onPush: { tags: ["v**"] } }, "triggers.onPush.tags[0]"],
            [{ schedule: {} }, "triggers.schedule.expression", "cron(0 3 * * ? *)"],
            [{ schedule: { expression: "0 3 * * *" } }, "triggers.schedule.expression", "0 3 * * *"],
            [{ schedule: { expression: "rate(0 days)" } }, "triggers.schedule.expression"],
            [
                { schedule: { expression, timeZone: "Tokyo" } },
                "triggers.schedule.timeZone",
                "Tokyo",
                "Asia/Tokyo",
            ],
            [{ schedule: { expression, request: { image: "x" } } }, "triggers.schedule.request.image"],
            [
                { schedule: { expression, request: { imageUri: imageUri.replace("nginx", "other") } } },
                "triggers.schedule.request.imageUri",
                "repository/nginx",
            ],
            [
                { schedule: { expression, request: { artifactKey: "other/x.tar" } } },
                "triggers.schedule.request.artifactKey",
                "images/",
            ],
        ];
        for (const [triggers, ...parts] of refused) {
            it(`refuse ${JSON.stringify(triggers)}`, async () => {
                await assertRefused({ triggers }, ...parts);
            });
        }

        it("cannot see pushes in another account or region", async () => {
            const elsewhere = imageUri.replace("ap-northeast-1", "eu-west-1");
            await assertRefused(
                { imageUri: elsewhere, triggers: { onPush: {} } },
                "triggers.onPush",
                "pushes elsewhere",
            );
        });
    });

    it("leaves the keys of other programs and providers alone", async () => {
        const { region } = await loadAll({
            "aws:region": "ap-northeast-1",
            "aws:defaultTags": "{}",
            "other:key": "x",
            "ecr-image-export:imageUri": imageUri,
        });
        assert.equal(region, "ap-northeast-1");
    });
});

describe("the permissions boundary of the configuration", () => {
    const arn = "arn:aws:iam::111122223333:policy/team/boundary";

    it("is the ARN of a managed policy of the account, or of AWS", async () => {
        assert.equal((await load({ permissionsBoundary: arn })).permissionsBoundary, arn);
        const ofAws = "arn:aws:iam::aws:policy/PowerUserAccess";
        assert.equal((await load({ permissionsBoundary: ofAws })).permissionsBoundary, ofAws);
    });

    for (const given of [
        "boundary",
        arn.replace("policy/", "role/"),
        arn.replace("arn:aws:", "arn:aws-cn:"),
    ]) {
        it(`is not ${given}`, async () => {
            await assertRefused(
                { permissionsBoundary: given },
                "permissionsBoundary",
                given,
                "arn:aws:iam::ACCOUNT",
            );
        });
    }
});

describe("the existing bucket of the configuration", () => {
    const retention = { archiveDays: 0 };

    it("is taken with a decision on how long its archives are kept", async () => {
        const config = await load({ existingBucket: "hand-made-archives", retention });
        assert.equal(config.existingBucket, "hand-made-archives");
        assert.deepEqual(config.retention, { archiveDays: 0, oldVersionDays: 30, protect: true });
    });

    const refused: [what: string, values: Record<string, unknown>, ...parts: string[]][] = [
        ["a default that would delete archives", {}, "expected retention.archiveDays beside it"],
        [
            "another number alone",
            { retention: { oldVersionDays: 0 } },
            "since S3 deletes the archives that are older",
        ],
        [
            "a destroy that would delete it",
            { retention: { ...retention, protect: false } },
            "would delete the bucket and all that is in it",
        ],
        ["an ARN", { existingBucket: "arn:aws:s3:::x", retention }, "expected the name of a bucket"],
        ["an address", { existingBucket: "s3://hand-made", retention }, "expected the name of a bucket"],
    ];
    for (const [what, values, ...parts] of refused) {
        it(`is refused with ${what}`, async () => {
            await assertRefused(
                { existingBucket: "hand-made-archives", ...values },
                "existingBucket",
                ...parts,
            );
        });
    }
});

describe("Pulumi.yaml", () => {
    const { name, config } = readProject();
    // Pulumi knows string, boolean, integer and array: an object cannot be declared, nor a list of them.
    const objects = [
        "compute",
        "network",
        "pullThroughCache",
        "retention",
        "notifications",
        "batch",
        "triggers",
        "tags",
    ];
    // Pulumi asks for a value of every declared key that has no default.
    const open = ["existingBucket", "permissionsBoundary"];

    it("names the project whose keys config.ts reads", () => {
        assert.equal(name, "ecr-image-export");
    });

    it("declares every key that config.ts knows but the objects and those without a default, and no other", () => {
        assert.deepEqual(
            Object.keys(config),
            configKeys.filter((key) => !objects.includes(key) && !open.includes(key)),
        );
    });

    it("declares the defaults of config.ts", async () => {
        const defaults = Object.entries(config)
            .filter(([, declaration]) => declaration.default !== undefined)
            .map(([key, declaration]) => [key, declaration.default]);
        assert.deepEqual(defaults, [
            ["repositoryArns", []],
            ["crossAccountRepositoryArns", []],
            ["artifactPrefix", "images/"],
            ["engine", "docker"],
            ["cache", "none"],
            ["encryption", "s3"],
        ]);
        assert.deepEqual(await load(Object.fromEntries(defaults) as Record<string, unknown>), await load());
    });

    it("says of each key what it means, and of each default that it has the declared type", () => {
        for (const [key, { type, items, description, default: value }] of Object.entries(config)) {
            assert.match(description ?? "", /^[A-Z].{20,}/, key);
            assert(type === "array" ? items?.type === "string" : type === "string", `type of ${key}`);
            if (value !== undefined) assert.equal(Array.isArray(value) ? "array" : typeof value, type, key);
        }
    });

    for (const stack of ["dev", "prod"]) {
        it(`is completed by Pulumi.${stack}.yaml to a configuration that works`, async () => {
            const { tags } = await loadAll(stackConfiguration(stack), stack);
            assert.equal(tags["stack"], stack);
        });
    }

    it("has stacks that differ where environments should", async () => {
        const dev = await loadAll(stackConfiguration("dev"), "dev");
        const prod = await loadAll(stackConfiguration("prod"), "prod");
        assert.deepEqual([dev.retention.protect, prod.retention.protect], [false, true]);
        assert(prod.retention.archiveDays > dev.retention.archiveDays);
        assert(prod.retention.oldVersionDays > dev.retention.oldVersionDays);
        assert.deepEqual([dev.encryption, prod.encryption], ["s3", "kms"]);
    });
});
