import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { assertNarrow, houseRules, itKeepsTheHouseRules, type Statement } from "./support/houseRules";
import { obstacles, type VpcConfig, waysOut } from "./support/networkGraph";
import { notifying } from "./support/notifying";
import { evaluateStack } from "../lab/program";
import { tagsOfStack } from "./support/stackTags";
import { customResourcesOf, type Evaluation, resourceOf, unknown } from "../lab/evaluation";
import { root, stackConfiguration } from "../lab/stackFiles";
import { typesAndNamesOf } from "./support/evaluated";

const key = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/** What every stack declares. */
const resources = [
    "aws:cloudwatch/dashboard:Dashboard image-export-monitoring-dashboard",
    "aws:cloudwatch/logGroup:LogGroup image-export-batch-machine-log",
    "aws:cloudwatch/logGroup:LogGroup image-export-build-log",
    "aws:cloudwatch/logGroup:LogGroup image-export-single-machine-log",
    "aws:codebuild/project:Project image-export-build-project",
    "aws:iam/role:Role image-export-batch-machine-role",
    "aws:iam/role:Role image-export-build-role",
    "aws:iam/role:Role image-export-single-machine-role",
    "aws:iam/rolePolicy:RolePolicy image-export-batch-machine-policy",
    "aws:iam/rolePolicy:RolePolicy image-export-batch-map-policy",
    "aws:iam/rolePolicy:RolePolicy image-export-build-policy",
    "aws:iam/rolePolicy:RolePolicy image-export-single-machine-policy",
    "aws:s3/bucket:Bucket image-export-storage-bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration image-export-storage-lifecycle",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls image-export-storage-ownership",
    "aws:s3/bucketPolicy:BucketPolicy image-export-storage-policy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock image-export-storage-access-block",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration image-export-storage-encryption",
    "aws:s3/bucketVersioning:BucketVersioning image-export-storage-versioning",
    "aws:sfn/stateMachine:StateMachine image-export-batch-machine",
    "aws:sfn/stateMachine:StateMachine image-export-single-machine",
    "ecr-image-export:index:ArtifactStorage image-export-storage",
    "ecr-image-export:index:BatchOrchestration image-export-batch",
    "ecr-image-export:index:BuildRunner image-export-build",
    "ecr-image-export:index:ExportOrchestration image-export-single",
    "ecr-image-export:index:Monitoring image-export-monitoring",
].sort();

/** A contract with other stacks: see the README. */
const outputNames = [
    "artifactBucketArn",
    "artifactBucketName",
    "artifactPrefix",
    "batchStateMachineArn",
    "buildProjectName",
    "buildRoleArn",
    "dashboardUrl",
    "logGroupNames",
    "readArtifactsPolicy",
    "repositoryPolicies",
    "startBatchPolicy",
    "startExportPolicy",
    "stateMachineArn",
    "stateMachineName",
];

/** What is expected of each stack. */
const stacks = {
    dev: { tags: tagsOfStack("dev"), resources, outputNames },
    prod: {
        tags: tagsOfStack("prod", { "cost-center": "container-platform" }),
        resources: [
            ...resources,
            "aws:kms/alias:Alias image-export-storage-key-alias",
            "aws:kms/key:Key image-export-storage-key",
            "aws:kms/keyPolicy:KeyPolicy image-export-storage-key-policy",
            ...notifying("image-export-monitoring"),
            "aws:sns/topicSubscription:TopicSubscription image-export-monitoring-email-container-platform@example.com",
        ].sort(),
        outputNames: [...outputNames, "encryptionKeyArn", "notificationTopicArn"].sort(),
    },
};

describe("index.ts", () => {
    for (const [stack, expected] of Object.entries(stacks)) {
        for (const preview of [false, true]) {
            describe(`${preview ? "previewed" : "deployed"} as ${stack}`, () => {
                let program: Evaluation;
                before(async () => {
                    program = await evaluateStack(stack, preview);
                });

                itKeepsTheHouseRules(() => program, expected.tags);

                it("declares these resources and no other", () => {
                    assert.deepEqual(typesAndNamesOf(program), expected.resources);
                });

                it("has these outputs and no other", () => {
                    assert.deepEqual(Object.keys(program.result).sort(), expected.outputNames);
                    assert.doesNotMatch(JSON.stringify(program.result), /Calling \[to|\[object Object\]/);
                });
            });
        }
    }

    describe("deployed as prod", () => {
        let prod: Evaluation;
        before(async () => {
            prod = await evaluateStack("prod", false);
        });

        it("has outputs that name what was made", () => {
            const { readArtifactsPolicy, repositoryPolicies, startBatchPolicy, startExportPolicy, ...names } =
                prod.result;
            const at = "ap-northeast-1:111122223333";
            assert.deepEqual(names, {
                artifactBucketArn: "arn:aws:s3:::image-export-storage-bucket-0a1b2c3",
                artifactBucketName: "image-export-storage-bucket-0a1b2c3",
                artifactPrefix: "images/",
                batchStateMachineArn: `arn:aws:states:${at}:stateMachine:image-export-batch-machine-0a1b2c3`,
                buildProjectName: "image-export-build-project-0a1b2c3",
                buildRoleArn: "arn:aws:iam::111122223333:role/image-export-build-role-0a1b2c3",
                dashboardUrl:
                    "https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1#dashboards/dashboard/image-export-single-machine-0a1b2c3",
                encryptionKeyArn: key,
                logGroupNames: {
                    builds: "/aws/codebuild/image-export-build-20250101000000000000000001",
                    executions: "/aws/vendedlogs/states/image-export-single-machine-20250101000000000000000001",
                    batches: "/aws/vendedlogs/states/image-export-batch-machine-20250101000000000000000001",
                    notifications: "/aws/vendedlogs/states/image-export-monitoring-notifier-20250101000000000000000001",
                },
                notificationTopicArn: `arn:aws:sns:${at}:image-export-monitoring-topic-0a1b2c3`,
                stateMachineArn: `arn:aws:states:${at}:stateMachine:image-export-single-machine-0a1b2c3`,
                stateMachineName: "image-export-single-machine-0a1b2c3",
            });
            assert.deepEqual(Object.keys(repositoryPolicies as object), [
                "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base",
            ]);
            const foreign = Object.values(repositoryPolicies as Record<string, unknown>);
            for (const policy of [readArtifactsPolicy, startBatchPolicy, startExportPolicy, ...foreign]) {
                const { Statement: statements } = JSON.parse(String(policy)) as { Statement: Statement[] };
                assert.notDeepEqual(statements, []);
                assertNarrow(statements, "an output");
            }
        });

        it("joins the components: role, bucket, project and state machine know each other's names", () => {
            const machine = resourceOf(prod, "image-export-single-machine").inputs;
            const text = String(machine["definition"]);
            assert.match(text, /"projectName":"image-export-build-project-0a1b2c3"/);
            assert.match(text, /"artifactBucket":"image-export-storage-bucket-0a1b2c3"/);
            const project = resourceOf(prod, "image-export-build-project").inputs;
            assert.match(JSON.stringify(project["environment"]), /"image-export-storage-bucket-0a1b2c3"/);
            assert.equal(project["serviceRole"], prod.result["buildRoleArn"]);
        });

        it("gives the build the buildspec of its engine", () => {
            const { source } = resourceOf(prod, "image-export-build-project").inputs;
            const buildspec = readFileSync(join(root, "buildspec/docker.yml"), "utf8");
            assert.deepEqual(source, { type: "NO_SOURCE", buildspec });
        });

        it("uploads the exporter once the bucket keeps versions and no policy of another key refuses it", async () => {
            const program = await evaluateStack("prod", false, { "ecr-image-export:engine": "stream" });
            const { dependencies } = resourceOf(program, "image-export-build-exporter");
            assert(dependencies.includes("image-export-storage-versioning"));
            assert(dependencies.includes("image-export-storage-policy"));
        });

        it("gives state machine and project the configured timeouts", () => {
            assert.equal(resourceOf(prod, "image-export-build-project").inputs["buildTimeout"], 60);
            const definition = String(resourceOf(prod, "image-export-single-machine").inputs["definition"]);
            assert.match(definition, new RegExp(`"TimeoutSeconds":${(60 + 60 + 10) * 60}\\b`));
        });

        it("encrypts every log group with the key", () => {
            const groups = customResourcesOf(prod).filter(({ type }) => type.endsWith(":LogGroup"));
            assert.equal(groups.length, 4);
            for (const { name, inputs } of groups) assert.equal(inputs["kmsKeyId"], key, name);
        });

        it("has every alarm tell the topic, which the key encrypts", async () => {
            const triggers = JSON.stringify({ schedule: { expression: "rate(1 day)" } });
            const triggered = await evaluateStack("prod", false, { "ecr-image-export:triggers": triggers });
            assert.equal(resourceOf(triggered, "image-export-monitoring-topic").inputs["kmsMasterKeyId"], key);
            const alarms = customResourcesOf(triggered).filter(({ type }) => type.endsWith(":MetricAlarm"));
            assert.equal(alarms.length, 13);
            for (const { name, inputs } of alarms) {
                assert.deepEqual(inputs["alarmActions"], [triggered.result["notificationTopicArn"]], name);
            }
        });

        it("protects bucket and key and nothing else; dev protects nothing", async () => {
            const guarded = ({ resources: all }: Evaluation) =>
                all
                    .filter(({ protect }) => protect)
                    .map(({ name }) => name)
                    .sort();
            assert.deepEqual(guarded(prod), ["image-export-storage-bucket", "image-export-storage-key"]);
            assert.deepEqual(guarded(await evaluateStack("dev", false)), []);
        });
    });

    describe("previewed", () => {
        it("knows which outputs it cannot know yet", async () => {
            const { result } = await evaluateStack("dev", true);
            assert.equal(result["artifactPrefix"], "images/");
            assert.deepEqual(result["repositoryPolicies"], {}, "there are no repositories of other accounts");
            for (const [name, value] of Object.entries(result)) {
                if (["artifactPrefix", "repositoryPolicies"].includes(name)) continue;
                const values = name === "logGroupNames" ? Object.values(value as object) : [value];
                for (const each of values) assert.equal(each, unknown, name);
            }
        });
    });

    it("has whoever uses a role wait for the policies of the role", async () => {
        const program = await evaluateStack("prod", false, {
            "ecr-image-export:network": "isolated",
            "ecr-image-export:triggers": JSON.stringify({
                onPush: { repositories: ["backend/api"] },
                schedule: { expression: "rate(1 day)" },
            }),
        });
        const policies = customResourcesOf(program).filter(({ type }) => type === "aws:iam/rolePolicy:RolePolicy");
        assert(policies.length >= 8);
        for (const policy of policies) {
            const [role] = policy.propertyDependencies["role"] ?? [];
            const users = customResourcesOf(program)
                .filter(({ type }) => type !== policy.type)
                // A policy that names its own state machine comes after it.
                .filter(({ name }) => !policy.dependencies.includes(name))
                .filter((user) => Object.values(user.propertyDependencies).some((from) => from.includes(role ?? "")));
            const late = users.filter(({ dependencies }) => !dependencies.includes(policy.name));
            assert.deepEqual(
                late.map(({ name }) => name),
                [],
                `${policy.name} may not be there yet`,
            );
        }
    });

    it("starts exports by itself where it is told to", async () => {
        const program = await evaluateStack("dev", false, {
            "ecr-image-export:triggers": JSON.stringify({
                onPush: { tags: ["v*"] },
                schedule: { expression: "rate(1 day)" },
            }),
        });
        const triggers = typesAndNamesOf(program).filter((each) => each.includes(" image-export-triggers"));
        assert.equal(triggers.length, 17);
        for (const rule of Object.values(houseRules)) rule(program, stacks.dev.tags);
        assert.deepEqual(Object.keys(program.result["logGroupNames"] as object).sort(), [
            "batches",
            "builds",
            "executions",
            "triggers",
        ]);
    });

    it("fills repositories through a cache where it is told to", async () => {
        const program = await evaluateStack("dev", false, {
            "ecr-image-export:imageUri":
                "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/docker-hub/library/nginx:1.29",
            "ecr-image-export:pullThroughCache": JSON.stringify([
                { prefix: "docker-hub", upstreamRegistryUrl: "public.ecr.aws" },
            ]),
        });
        assert.deepEqual(
            typesAndNamesOf(program).filter((each) => !resources.includes(each)),
            [
                "aws:ecr/pullThroughCacheRule:PullThroughCacheRule image-export-cache-docker-hub",
                "ecr-image-export:index:PullThroughCache image-export-cache",
            ],
        );
        const definition = String(resourceOf(program, "image-export-single-machine").inputs["definition"]);
        // ECR is not asked which digest the tag means: the cache may have to import it first.
        assert.match(definition, /"cached":\["docker-hub\/library\/nginx"\]/);
    });

    describe("deployed with an isolated network", () => {
        const configuration = stackConfiguration("isolated", "examples/stacks");
        for (const engine of ["docker", "stream"]) {
            describe(`and engine ${engine}`, () => {
                let program: Evaluation;
                before(async () => {
                    const changes = { ...configuration, "ecr-image-export:engine": engine };
                    program = await evaluateStack("dev", false, changes);
                });

                itKeepsTheHouseRules(() => program, stacks.dev.tags);

                it("declares the network besides the rest", () => {
                    const names = typesAndNamesOf(program).filter((each) => !resources.includes(each));
                    assert.deepEqual(
                        names.filter((each) => !/^aws:(?:ec2|vpc)\//.test(each)),
                        [
                            "aws:cloudwatch/logGroup:LogGroup image-export-network-flows-log",
                            "aws:iam/role:Role image-export-network-flows-role",
                            "aws:iam/rolePolicy:RolePolicy image-export-network-flows-policy",
                            ...(engine === "stream"
                                ? ["aws:s3/bucketObjectv2:BucketObjectv2 image-export-build-exporter"]
                                : []),
                            "ecr-image-export:index:IsolatedNetwork image-export-network",
                        ],
                    );
                });

                it("runs builds where ECR, S3 and CloudWatch Logs can be reached, and nothing else", () => {
                    const { vpcConfig } = resourceOf(program, "image-export-build-project").inputs;
                    assert.deepEqual(waysOut(program), []);
                    for (const service of ["ecr.api", "ecr.dkr", "s3", "logs"]) {
                        assert.deepEqual(obstacles(program, vpcConfig as VpcConfig, service), [], service);
                    }
                });

                it("has the project wait for the way to be open", () => {
                    const { dependencies } = resourceOf(program, "image-export-build-project");
                    const way = customResourcesOf(program).filter(({ type }) =>
                        /:(?:VpcEndpoint|SecurityGroup.*Rule)$/.test(type),
                    );
                    assert.equal(way.length, 7);
                    for (const { name } of way) assert(dependencies.includes(name), name);
                });
            });
        }
    });

    it("tells the owner of a given key what its policy has to allow, in a preview already", async () => {
        const changes = { "ecr-image-export:encryption": key };
        const { result } = await evaluateStack("dev", true, changes);
        assert.equal(result["encryptionKeyArn"], key);
        assert.match(String(result["encryptionKeyPolicy"]), /"EncryptObjects".*image-export-storage-bucket-\*/);
    });

    it("refuses a configuration that cannot work before it declares anything", async () => {
        await assert.rejects(evaluateStack("dev", true, { "ecr-image-export:engine": "podman" }), {
            message: /engine is "podman": expected docker or stream/,
        });
    });

    const triggers = { "ecr-image-export:triggers": '{ "schedule": { "expression": "rate(1 day)" } }' };
    for (const [key, value, expected] of [
        ["batch", '{ "maxConcurrency": 3 }', ["batch"]],
        ["compute", '{ "type": "BUILD_GENERAL1_LARGE" }', ["build"]],
        ["repositoryArns", '["arn:aws:ecr:ap-northeast-1:111122223333:repository/other"]', ["build", "single"]],
        ["artifactPrefix", "exports/", ["storage", "build", "single", "monitoring"]],
        ["retention", '{ "archiveDays": 3 }', ["storage"]],
    ] as const) {
        it(`shows the change of ${key} at the components that it concerns, and at no other`, async () => {
            const before = await evaluateStack("dev", false, triggers);
            const after = await evaluateStack("dev", false, { ...triggers, [`ecr-image-export:${key}`]: value });
            const changed = after.resources.filter(
                ({ type, inputs }, at) =>
                    type.startsWith("ecr-image-export:") && !isDeepStrictEqual(inputs, before.resources[at]?.inputs),
            );
            assert.deepEqual(
                changed.map(({ name }) => name),
                expected.map((name) => `image-export-${name}`),
            );
        });
    }

    it("composes and no more", () => {
        const text = readFileSync(join(root, "index.ts"), "utf8");
        assert.doesNotMatch(text, /\b(?:for|while|function|throw|try|switch)\b/);
    });
});
