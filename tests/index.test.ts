import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import {
    assertNarrow,
    assertTied,
    houseRules,
    itKeepsTheHouseRules,
    type Statement,
    statementsOf,
} from "./support/houseRules";
import { obstacles, type VpcConfig, waysOut } from "./support/networkGraph";
import { notifying } from "./support/notifying";
import { evaluateStack } from "../lab/program";
import { tagsOfStack } from "./support/stackTags";
import { Evaluation, unknown } from "../lab/evaluation";
import { root, stackConfiguration } from "../lab/stackFiles";

/** Whether a resource of a policy, with `*` for any text, covers another, whose `*` are taken as they stand. */
function covers(pattern: string, resource: string): boolean {
    const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(resource);
}

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
    "ecr-image-export:index:Dashboard image-export-monitoring-dashboard",
    "ecr-image-export:index:LoggedStateMachine image-export-batch-machine",
    "ecr-image-export:index:LoggedStateMachine image-export-single-machine",
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

describe("index.ts", function () {
    this.timeout(60_000); // the first evaluation loads the whole SDK

    for (const [stack, expected] of Object.entries(stacks)) {
        for (const preview of [false, true]) {
            describe(`${preview ? "previewed" : "deployed"} as ${stack}`, () => {
                let program: Evaluation;
                before(async () => {
                    program = await evaluateStack(stack, preview);
                });

                itKeepsTheHouseRules(() => program, expected.tags);

                it("declares these resources and no other", () => {
                    assert.deepEqual(program.typesAndNames(), expected.resources);
                });

                it("has these outputs and no other", () => {
                    assert.deepEqual(Object.keys(program.result).sort(), expected.outputNames);
                });

                it("writes no error text of an Output into an output", () => {
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

        it("lets builds pull from the configured repositories alone", () => {
            const { Statement: statements } = prod.resource("image-export-build-policy").inputs["policy"] as {
                Statement: Statement[];
            };
            const pull = statements.find(({ Sid }) => Sid === "PullImages");
            assert.deepEqual(pull?.Resource, [
                "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx",
                "arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api",
                "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base",
            ]);
        });

        it("joins the components: role, bucket, project and state machine know each other's names", () => {
            const machine = prod.resource("image-export-single-machine").inputs;
            const text = String(machine["definition"]);
            assert.match(text, /"ProjectName":"image-export-build-project-0a1b2c3"/);
            assert.match(text, /"artifactBucket":"image-export-storage-bucket-0a1b2c3"/);
            const project = prod.resource("image-export-build-project").inputs;
            assert.match(JSON.stringify(project["environment"]), /"image-export-storage-bucket-0a1b2c3"/);
            assert.equal(project["serviceRole"], prod.result["buildRoleArn"]);
        });

        it("gives the build the buildspec of its engine", () => {
            const { source } = prod.resource("image-export-build-project").inputs;
            const buildspec = readFileSync(join(root, "buildspec/docker.yml"), "utf8");
            assert.deepEqual(source, { type: "NO_SOURCE", buildspec });
        });

        it("uploads the exporter once the bucket keeps versions and no policy of another key refuses it", async () => {
            const program = await evaluateStack("prod", false, { "ecr-image-export:engine": "stream" });
            const { dependencies } = program.resource("image-export-build-exporter");
            assert(dependencies.includes("image-export-storage-versioning"));
            assert(dependencies.includes("image-export-storage-policy"));
        });

        it("gives state machine and project the configured timeouts", () => {
            assert.equal(prod.resource("image-export-build-project").inputs["buildTimeout"], 60);
            const definition = String(prod.resource("image-export-single-machine").inputs["definition"]);
            assert.match(definition, new RegExp(`"TimeoutSeconds":${(60 + 60 + 10) * 60}\\b`));
        });

        it("encrypts every log group with the key, whose policy admits each of them", () => {
            const logs = statementsOf(prod.resource("image-export-storage-key-policy")).find(
                ({ Sid }) => Sid === "EncryptLogs",
            );
            const { StringLike: names } = logs?.Condition as { StringLike: Record<string, string> };
            const pattern = names["kms:EncryptionContext:aws:logs:arn"]?.replaceAll("*", ".*") ?? "";
            const groups = prod.customResources().filter(({ type }) => type.endsWith(":LogGroup"));
            assert.notDeepEqual(groups, []);
            for (const { name, inputs } of groups) {
                assert.equal(inputs["kmsKeyId"], key, name);
                const arn = `arn:aws:logs:ap-northeast-1:111122223333:log-group:${String(inputs["namePrefix"])}`;
                assert.match(`${arn}x`, new RegExp(`^${pattern}$`), name);
            }
        });

        it("encrypts the topic with the key, whose policy admits whoever publishes to it", () => {
            const topic = prod.resource("image-export-monitoring-topic").inputs;
            assert.equal(topic["kmsMasterKeyId"], key);
            const admitted = statementsOf(prod.resource("image-export-storage-key-policy")).filter(
                ({ Condition = {} }) => {
                    const { StringLike: contexts } = Condition as { StringLike?: Record<string, string> };
                    const pattern = contexts?.["kms:EncryptionContext:aws:sns:topicArn"];
                    return pattern !== undefined && covers(pattern, String(prod.result["notificationTopicArn"]));
                },
            );
            assert.deepEqual(
                admitted.map(({ Principal }) => Principal),
                [{ AWS: "arn:aws:iam::111122223333:root" }, { Service: "cloudwatch.amazonaws.com" }],
            );
        });

        it("lets each of its alarms publish", async () => {
            const triggered = await evaluateStack("prod", false, {
                "ecr-image-export:triggers": JSON.stringify({ schedule: { expression: "rate(1 day)" } }),
            });
            const [publish] = statementsOf(triggered.resource("image-export-monitoring-topic-policy"));
            const { ArnLike: sources } = publish?.Condition as { ArnLike: Record<string, string> };
            const alarms = triggered.customResources().filter(({ type }) => type.endsWith(":MetricAlarm"));
            assert.equal(alarms.length, 13);
            for (const { name, inputs } of alarms) {
                assert.deepEqual(inputs["alarmActions"], [triggered.result["notificationTopicArn"]], name);
                const alarm = `arn:aws:cloudwatch:ap-northeast-1:111122223333:alarm:${name}-0a1b2c3`;
                assert(covers(sources["aws:SourceArn"] ?? "", alarm), name);
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

        it("writes the whole definition of the state machine once the names are known", async () => {
            const { inputs } = (await evaluateStack("dev", true)).resource("image-export-single-machine");
            assert.equal(inputs["definition"], unknown);
        });
    });

    it("runs in a region of another partition", async () => {
        const program = await evaluateStack("dev", false, {
            "aws:region": "cn-north-1",
            "ecr-image-export:imageUri": "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/nginx:1.29",
        });
        const inputs = program
            .customResources()
            .filter(({ type }) => /role|machine/i.test(type))
            .map((resource) => resource.inputs);
        const text = JSON.stringify(inputs);
        assert.match(text, /arn:aws-cn:states:::codebuild:startBuild\.sync/);
        // What the mocks answer is of the partition aws; what the program writes by itself is not.
        assert.deepEqual(
            new Set(text.match(/arn:aws:(?:codebuild|states|events|ecr):[a-zA-Z0-9:-]*/g)),
            new Set([
                "arn:aws:codebuild:ap-northeast-1:111122223333:project",
                "arn:aws:states:ap-northeast-1:111122223333:stateMachine:image-export-batch-machine-0a1b2c3",
                "arn:aws:states:ap-northeast-1:111122223333:stateMachine:image-export-single-machine-0a1b2c3",
            ]),
        );
    });

    it("has whoever uses a role wait for the policies of the role", async () => {
        const program = await evaluateStack("prod", false, {
            "ecr-image-export:network": "isolated",
            "ecr-image-export:triggers": JSON.stringify({
                onPush: { repositories: ["backend/api"] },
                schedule: { expression: "rate(1 day)" },
            }),
        });
        const policies = program.customResources().filter(({ type }) => type === "aws:iam/rolePolicy:RolePolicy");
        assert(policies.length >= 8);
        for (const policy of policies) {
            const [role] = policy.propertyDependencies["role"] ?? [];
            const users = program
                .customResources()
                .filter(({ type }) => type !== policy.type)
                .filter((user) => Object.values(user.propertyDependencies).some((from) => from.includes(role ?? "")));
            const late = users.filter(({ dependencies }) => !dependencies.includes(policy.name));
            assert.deepEqual(
                late.map(({ name }) => name),
                [],
                `${policy.name} may not be there yet`,
            );
        }
    });

    it("has the rule wait for the queue that keeps what it cannot deliver", async () => {
        const triggers = JSON.stringify({ onPush: { repositories: ["backend/api"] } });
        const program = await evaluateStack("prod", false, { "ecr-image-export:triggers": triggers });
        const { dependencies } = program.resource("image-export-triggers-on-push-target");
        assert(dependencies.includes("image-export-triggers-undelivered-policy"));
    });

    it("starts exports by itself where it is told to", async () => {
        const program = await evaluateStack("dev", false, {
            "ecr-image-export:triggers": JSON.stringify({
                onPush: { tags: ["v*"] },
                schedule: { expression: "rate(1 day)" },
            }),
        });
        const triggers = program.typesAndNames().filter((each) => each.includes(" image-export-triggers"));
        assert.equal(triggers.length, 19);
        for (const rule of Object.values(houseRules)) rule(program, stacks.dev.tags);
        assert.deepEqual(Object.keys(program.result["logGroupNames"] as object).sort(), [
            "batches",
            "builds",
            "executions",
            "triggers",
        ]);
    });

    it("lets builds import through a cache what they may pull through it, and no more", async () => {
        const program = await evaluateStack("dev", false, {
            "ecr-image-export:imageUri":
                "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/docker-hub/library/nginx:1.29",
            "ecr-image-export:repositoryArns": JSON.stringify([
                "arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api",
            ]),
            "ecr-image-export:pullThroughCache": JSON.stringify([
                { prefix: "docker-hub", upstreamRegistryUrl: "public.ecr.aws" },
            ]),
        });
        assert.deepEqual(
            program.typesAndNames().filter((each) => !resources.includes(each)),
            [
                "aws:ecr/pullThroughCacheRule:PullThroughCacheRule image-export-cache-docker-hub",
                "ecr-image-export:index:PullThroughCache image-export-cache",
            ],
        );
        const statements = statementsOf(program.resource("image-export-build-policy"));
        const resourceOf = (sid: string) => statements.find(({ Sid }) => Sid === sid)?.Resource;
        const cached = "arn:aws:ecr:ap-northeast-1:111122223333:repository/docker-hub/library/nginx";
        assert.deepEqual(resourceOf("ImportImages"), [cached]);
        assert.deepEqual(resourceOf("PullImages"), [
            cached,
            "arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api",
        ]);
        const definition = String(program.resource("image-export-single-machine").inputs["definition"]);
        assert.match(definition, /amazonaws\.com\/docker-hub\/library\/nginx"/);
        assert.doesNotMatch(definition, /docker-hub\/\*|docker-hub"/, "the prefix alone opens nothing");
        assert.doesNotMatch(JSON.stringify(statements), /secretsmanager/);
    });

    it("gives builds a local cache when asked to", async () => {
        const program = await evaluateStack("dev", false, { "ecr-image-export:cache": "local" });
        assert.deepEqual(program.resource("image-export-build-project").inputs["cache"], {
            type: "LOCAL",
            modes: ["LOCAL_DOCKER_LAYER_CACHE"],
        });
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
                    const names = program.typesAndNames().filter((each) => !resources.includes(each));
                    assert.deepEqual(
                        names.filter((each) => !/^aws:(?:ec2|vpc)\//.test(each)),
                        [
                            "aws:cloudwatch/logGroup:LogGroup image-export-network-flows-log",
                            "aws:iam/role:Role image-export-network-flows-role",
                            "aws:iam/rolePolicy:RolePolicy image-export-network-flows-policy",
                            ...(engine === "stream"
                                ? ["aws:s3/bucketObjectv2:BucketObjectv2 image-export-build-exporter"]
                                : []),
                            "ecr-image-export:index:FlowLogs image-export-network-flows",
                            "ecr-image-export:index:IsolatedNetwork image-export-network",
                        ],
                    );
                });

                it("runs builds where ECR, S3, CloudWatch Logs and STS can be reached, and nothing else", () => {
                    const { vpcConfig } = program.resource("image-export-build-project").inputs;
                    assert.deepEqual(waysOut(program), []);
                    for (const service of ["ecr.api", "ecr.dkr", "s3", "logs", "sts"]) {
                        assert.deepEqual(obstacles(program, vpcConfig as VpcConfig, service), [], service);
                    }
                });

                it("has the project wait for the way to be open", () => {
                    const { dependencies } = program.resource("image-export-build-project");
                    const way = program
                        .customResources()
                        .filter(({ type }) => /:(?:VpcEndpoint|SecurityGroup.*Rule)$/.test(type));
                    assert.equal(way.length, 8);
                    for (const { name } of way) assert(dependencies.includes(name), name);
                });

                it("lets pass whatever the build's role may do at these services", () => {
                    const passing = program
                        .customResources()
                        .filter(({ type }) => type.endsWith(":VpcEndpoint"))
                        .flatMap(statementsOf);
                    const needed = statementsOf(program.resource("image-export-build-policy")).filter(
                        ({ Action }) => !String([Action].flat()[0]).startsWith("ec2:"),
                    );
                    assert.equal(needed.length, engine === "stream" ? 5 : 4);
                    for (const { Sid, Action, Resource } of needed) {
                        for (const action of [Action].flat()) {
                            for (const resource of [Resource ?? []].flat()) {
                                assert(
                                    passing.some(
                                        (each) =>
                                            [each.Action].flat().includes(action) &&
                                            [each.Resource ?? []].flat().some((bound) => covers(bound, resource)),
                                    ),
                                    `${Sid ?? ""}: ${action} on ${resource} does not pass`,
                                );
                            }
                        }
                    }
                });

                it("tells the name of the flow logs' group", () => {
                    const { flows } = program.result["logGroupNames"] as Record<string, string>;
                    assert.equal(flows, "/aws/vpc-flow-logs/image-export-network-flows-20250101000000000000000001");
                });
            });
        }
    });

    it("runs builds in a VPC that is given, and makes none", async () => {
        const network = {
            vpcId: "vpc-0a1b2c3d",
            subnetIds: ["subnet-0a1b2c3d"],
            securityGroupIds: ["sg-0a1b2c3d"],
        };
        const program = await evaluateStack("dev", false, {
            "ecr-image-export:network": JSON.stringify(network),
        });
        assert.deepEqual(program.typesAndNames(), resources);
        assert.deepEqual(program.resource("image-export-build-project").inputs["vpcConfig"], {
            vpcId: network.vpcId,
            subnets: network.subnetIds,
            securityGroupIds: network.securityGroupIds,
        });
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

    it("composes and no more", () => {
        const text = readFileSync(join(root, "index.ts"), "utf8");
        assert.doesNotMatch(text, /\b(?:for|while|function|throw|try|switch)\b/);
    });
});

describe("the house rules", () => {
    /** What a program does wrong, by the rule that has to notice it. */
    const offences: Record<keyof typeof houseRules, Partial<Evaluation["resources"][number]>> = {
        "gives every resource to its component": { parent: "" },
        "begins every child's name with that of its component": { name: "bucket" },
        "gives no resource a fixed physical name": { inputs: { bucket: "my-bucket" } },
        "tags everything that can be tagged": { inputs: {} },
        "writes policies in a resource of their own, not into the role": { inputs: { inlinePolicies: [] } },
        "allows no action by a wildcard, and every resource only where AWS knows none": {
            inputs: { policy: { Statement: [{ Effect: "Allow", Action: "s3:*", Resource: "a" }] } },
        },
        "holds nothing that would have to be kept secret": { inputs: { bucket: "AKIAIOSFODNN7EXAMPLE" } },
        "writes no error text of an Output into an input": {
            inputs: { bucket: "Calling [toString] on an [Output<T>] is not supported." },
        },
    };

    it("are all tried", () => {
        assert.deepEqual(Object.keys(offences), Object.keys(houseRules));
    });

    let dev: Evaluation;
    before(async () => {
        dev = await evaluateStack("dev", false);
    });

    for (const [sentence, offence] of Object.entries(offences)) {
        it(`notice an offence against: ${sentence}`, () => {
            const changed = dev.resources.map((resource) =>
                resource.name === "image-export-storage-bucket" ? { ...resource, ...offence } : resource,
            );
            assert.throws(() => houseRules[sentence]?.(new Evaluation(changed, {}), stacks.dev.tags));
        });
    }

    it("notice a key policy that lets somebody use the key for anything, or anybody for something", () => {
        const root = { AWS: "arn:aws:iam::111122223333:root" };
        const tied = { StringEquals: { "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::bucket" } };
        const allow = { Effect: "Allow", Resource: "*" };
        assertTied([{ ...allow, Principal: root, Action: "kms:Decrypt", Condition: tied }], "a key");
        for (const statement of [
            { ...allow, Principal: root, Action: "kms:Decrypt" },
            { ...allow, Principal: root, Action: ["kms:CreateGrant"] },
            { ...allow, Principal: root, Action: "kms:Describe*" },
            { ...allow, Principal: "*", Action: "kms:Decrypt", Condition: tied },
            { ...allow, Principal: { AWS: "*" }, Action: "kms:DescribeKey" },
        ]) {
            assert.throws(() => {
                assertTied([statement], "a key");
            });
        }
    });
});
