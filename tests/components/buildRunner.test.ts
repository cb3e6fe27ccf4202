import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";

import { BuildRunner, type BuildRunnerArgs } from "../../components/buildRunner";
import { exitStatusText } from "../../contract/errors";
import { parseImageUri, parseRepositoryArn } from "../../contract/image";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf, statementsOf } from "../support/houseRules";
import { evaluate, type Evaluation, resourceOf, unknown } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29");
const bucketArn = "arn:aws:s3:::artifacts-0a1b2c3";

const args: BuildRunnerArgs = {
    at,
    engine: "docker",
    referrers: false,
    buildspec: "version: 0.2\n",
    cache: "none",
    imageUri: image,
    repositories: [image.repository, parseRepositoryArn("arn:aws:ecr:eu-west-1:444455556666:repository/platform/base")],
    cachedRepositories: [],
    artifactBucket: "artifacts-0a1b2c3",
    artifactBucketArn: bucketArn,
    artifactPrefix: "images/",
    compute: {
        type: "BUILD_GENERAL1_MEDIUM",
        image: "aws/codebuild/standard:7.0",
        timeoutMinutes: 30,
        queuedTimeoutMinutes: 60,
    },
};

/** What the role may do, whatever the options are. */
const own = ["LogInToEcr", "PullImages", "WriteArchives", "WriteLog"];

function evaluateRunner(changes: Partial<BuildRunnerArgs> = {}, preview = false): Promise<Evaluation> {
    return evaluate(() => ({ runner: new BuildRunner("test", { ...args, ...changes }).urn }), { preview });
}

describe("BuildRunner", () => {
    let runner: Evaluation;
    before(async () => {
        runner = await evaluateRunner();
    });

    itKeepsTheHouseRules(() => runner);

    it("is a project with its role, the role's policy and a log group", () => {
        assert.deepEqual(typesAndNamesOf(runner), [
            "aws:cloudwatch/logGroup:LogGroup test-log",
            "aws:codebuild/project:Project test-project",
            "aws:iam/role:Role test-role",
            "aws:iam/rolePolicy:RolePolicy test-policy",
            "ecr-image-export:index:BuildRunner test",
        ]);
    });

    it("trusts the project that it makes", () => {
        // The trust names a prefix; the project's own ARN has to match it.
        const arn = "arn:aws:codebuild:ap-northeast-1:111122223333:project/test-project-0a1b2c3";
        assert.equal(componentOf(runner, "BuildRunner").outputs?.["projectArn"], arn);
    });

    it("lets the role log in, pull, write archives and its log", () => {
        assert.deepEqual(sidsOf(resourceOf(runner, "test-policy")), own);
    });

    it("lets the role import the images of repositories that a cache fills, and of no other", async () => {
        const arn = "arn:aws:ecr:ap-northeast-1:111122223333:repository/docker-hub/library/nginx";
        const cached = parseRepositoryArn(arn);
        const repositories = [...args.repositories, cached];
        const policy = resourceOf(await evaluateRunner({ repositories, cachedRepositories: [cached] }), "test-policy");
        assert.deepEqual(sidsOf(policy), own.toSpliced(2, 0, "ImportImages"));
        assert.deepEqual(statementsOf(policy)[2]?.Resource, [arn]);
    });

    it("keeps layers on the build host where it is told to", async () => {
        const { inputs } = resourceOf(await evaluateRunner({ cache: "local" }), "test-project");
        assert.deepEqual(inputs["cache"], { type: "LOCAL", modes: ["LOCAL_DOCKER_LAYER_CACHE"] });
    });

    it("declares the project of the design", () => {
        assert.deepEqual(resourceOf(runner, "test-project").inputs, {
            description: "Exports one container image from Amazon ECR to S3 as a tar archive",
            serviceRole: "arn:aws:iam::111122223333:role/test-role-0a1b2c3",
            source: { type: "NO_SOURCE", buildspec: "version: 0.2\n" },
            artifacts: { type: "NO_ARTIFACTS" },
            environment: {
                type: "LINUX_CONTAINER",
                computeType: "BUILD_GENERAL1_MEDIUM",
                image: "aws/codebuild/standard:7.0",
                privilegedMode: true,
                environmentVariables: [
                    { name: "IMAGE_URI", value: image.uri },
                    { name: "IMAGE_DIGEST", value: "" },
                    { name: "PLATFORM", value: "linux/amd64" },
                    { name: "FORCE", value: "false" },
                    { name: "ARTIFACT_BUCKET", value: "artifacts-0a1b2c3" },
                    { name: "ARTIFACT_KEY", value: "images/web/nginx/1.29.tar" },
                    { name: "EXECUTION_ID", value: "" },
                    { name: "ARTIFACT_PREFIX", value: "images/" },
                    { name: "EXIT_STATUSES", value: exitStatusText },
                    { name: "SIGNING_KEY_ARN", value: "" },
                    { name: "ARCHIVE_FILE", value: "image.tar" },
                ],
            },
            buildTimeout: 30,
            queuedTimeout: 60,
            cache: { type: "NO_CACHE" },
            badgeEnabled: false,
            logsConfig: {
                cloudwatchLogs: { groupName: "/aws/codebuild/test-20250101000000000000000001", status: "ENABLED" },
            },
        });
    });

    describe("in a VPC", () => {
        const network = {
            vpcId: "vpc-0a1b2c3d",
            subnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
            securityGroupIds: ["sg-0a1b2c3d"],
        };
        let inVpc: Evaluation;
        before(async () => {
            inVpc = await evaluateRunner({ network });
        });

        itKeepsTheHouseRules(() => inVpc);

        it("is the same project, in these subnets and groups", () => {
            assert.deepEqual(typesAndNamesOf(inVpc), typesAndNamesOf(runner));
            const { vpcConfig, ...rest } = resourceOf(inVpc, "test-project").inputs;
            assert.deepEqual(vpcConfig, {
                vpcId: "vpc-0a1b2c3d",
                subnets: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
                securityGroupIds: ["sg-0a1b2c3d"],
            });
            assert.deepEqual(rest, resourceOf(runner, "test-project").inputs);
        });

        it("lets the role, besides, have network interfaces there", () => {
            assert.deepEqual(sidsOf(resourceOf(inVpc, "test-policy")), [
                ...own,
                ...["LookUpNetwork", "CreateNetworkInterfaces", "LendNetworkInterfaces", "DeleteNetworkInterfaces"],
            ]);
        });
    });

    it("takes machine and timeouts as they are configured", async () => {
        const compute = {
            type: "BUILD_GENERAL1_LARGE",
            image: "aws/codebuild/amazonlinux-x86_64-standard:6.0",
            timeoutMinutes: 5,
            queuedTimeoutMinutes: 480,
        };
        const { inputs } = resourceOf(await evaluateRunner({ compute }), "test-project");
        const environment = inputs["environment"] as Record<string, unknown>;
        assert.deepEqual(
            [environment["computeType"], environment["image"], environment["type"]],
            [compute.type, compute.image, "LINUX_CONTAINER"],
        );
        assert.deepEqual([inputs["buildTimeout"], inputs["queuedTimeout"]], [5, 480]);
    });

    it("runs an arm64 build image on an arm64 machine", async () => {
        const compute = { ...args.compute, image: "aws/codebuild/amazonlinux-aarch64-standard:4.0" };
        const { inputs } = resourceOf(await evaluateRunner({ compute }), "test-project");
        assert.equal((inputs["environment"] as Record<string, unknown>)["type"], "ARM_CONTAINER");
    });

    it("refuses a buildspec that CodeBuild would refuse", async () => {
        await evaluateRunner({ buildspec: "#".repeat(25_600) });
        await assert.rejects(
            evaluateRunner({ buildspec: "#".repeat(25_601) }),
            /The buildspec would have 25601 characters, and AWS takes 25600: shorten it\./,
        );
    });

    it("registers names and ARNs as its outputs", () => {
        const { repositoryPolicies, ...names } = componentOf(runner, "BuildRunner").outputs ?? {};
        assert.deepEqual(Object.keys(repositoryPolicies as object), [
            "arn:aws:ecr:eu-west-1:444455556666:repository/platform/base",
        ]);
        assert.deepEqual(names, {
            projectName: "test-project-0a1b2c3",
            projectArn: "arn:aws:codebuild:ap-northeast-1:111122223333:project/test-project-0a1b2c3",
            roleArn: "arn:aws:iam::111122223333:role/test-role-0a1b2c3",
            artifactKey: "images/web/nginx/1.29.tar",
            logGroupName: "/aws/codebuild/test-20250101000000000000000001",
        });
    });

    it("shows the policy in a preview but for what AWS has yet to name", async () => {
        const preview = await evaluateRunner({}, true);
        const policy = resourceOf(preview, "test-policy");
        assert.deepEqual(sidsOf(policy), own);
        assert.equal(statementsOf(policy).at(-1)?.Resource, unknown);
        assert.deepEqual(typesAndNamesOf(preview), typesAndNamesOf(runner));
    });
});

describe("BuildRunner with engine stream", () => {
    const stream: Partial<BuildRunnerArgs> = { engine: "stream", exporter: "// exporter" };
    const bundleKey = `.exporter/${createHash("sha256").update("// exporter").digest("hex").slice(0, 16)}.zip`;
    let runner: Evaluation;
    before(async () => {
        runner = await evaluateRunner(stream);
    });

    itKeepsTheHouseRules(() => runner);

    it("uploads the exporter, too", () => {
        assert.deepEqual(typesAndNamesOf(runner), [
            "aws:cloudwatch/logGroup:LogGroup test-log",
            "aws:codebuild/project:Project test-project",
            "aws:iam/role:Role test-role",
            "aws:iam/rolePolicy:RolePolicy test-policy",
            "aws:s3/bucketObjectv2:BucketObjectv2 test-exporter",
            "ecr-image-export:index:BuildRunner test",
        ]);
    });

    it("names the exporter by its text, at a key that no artifactPrefix begins with", async () => {
        const { inputs } = resourceOf(runner, "test-exporter");
        assert.equal(inputs["key"], bundleKey);
        const { assets } = inputs["source"] as { assets: Record<string, { text: string }> };
        assert.deepEqual(Object.keys(assets), ["exporter.mjs"]);
        assert.equal(assets["exporter.mjs"]?.text, "// exporter");
        const again = await evaluateRunner(stream);
        assert.equal(resourceOf(again, "test-exporter").inputs["key"], bundleKey, "the same text, the same key");
        const other = await evaluateRunner({ ...stream, exporter: "// other" });
        assert.notEqual(resourceOf(other, "test-exporter").inputs["key"], bundleKey);
    });

    it("runs the exporter without privilege", () => {
        const { source, environment } = resourceOf(runner, "test-project").inputs;
        assert.deepEqual(source, {
            type: "S3",
            location: `artifacts-0a1b2c3/${bundleKey}`,
            buildspec: "version: 0.2\n",
        });
        assert.equal((environment as { privilegedMode: boolean }).privilegedMode, false);
    });

    it("tells the exporter how long a build may take", async () => {
        const timeoutOf = ({ inputs }: { inputs: Record<string, unknown> }) =>
            (
                inputs["environment"] as { environmentVariables: { name: string; value: string }[] }
            ).environmentVariables.find(({ name }) => name === "TIMEOUT_MINUTES")?.value;
        assert.equal(timeoutOf(resourceOf(runner, "test-project")), "30");
        const longer = await evaluateRunner({ ...stream, compute: { ...args.compute, timeoutMinutes: 45 } });
        assert.equal(timeoutOf(resourceOf(longer, "test-project")), "45");
    });

    it("may read the exporter, too", () => {
        const expected = own.toSpliced(3, 0, "ListArchives").toSpliced(2, 0, "ReadExporter", "ReadSets");
        assert.deepEqual(sidsOf(resourceOf(runner, "test-policy")), expected);
    });

    const machines: [string, string, string, string][] = [
        ["BUILD_GENERAL1_SMALL", "aws/codebuild/standard:8.0", "LINUX_CONTAINER", "BUILD_GENERAL1_SMALL"],
        [
            "BUILD_GENERAL1_LARGE",
            "aws/codebuild/amazonlinux-aarch64-standard:4.0",
            "ARM_CONTAINER",
            "BUILD_GENERAL1_LARGE",
        ],
        [
            "lambda",
            "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22",
            "LINUX_LAMBDA_CONTAINER",
            "BUILD_LAMBDA_4GB",
        ],
        [
            "lambda",
            "aws/codebuild/amazonlinux-aarch64-lambda-standard:nodejs22",
            "ARM_LAMBDA_CONTAINER",
            "BUILD_LAMBDA_4GB",
        ],
    ];
    for (const [type, buildImage, environmentType, computeType] of machines) {
        it(`runs on ${type} with ${buildImage} as ${environmentType}`, async () => {
            const compute = { type, image: buildImage, timeoutMinutes: 15, queuedTimeoutMinutes: 60 };
            const { inputs } = resourceOf(await evaluateRunner({ ...stream, compute }), "test-project");
            const environment = inputs["environment"] as Record<string, unknown>;
            assert.equal(environment["type"], environmentType);
            assert.equal(environment["computeType"], computeType);
            // Lambda compute takes no timeouts.
            assert.equal("buildTimeout" in inputs, type !== "lambda");
            assert.equal("queuedTimeout" in inputs, type !== "lambda");
        });
    }
});

describe("BuildRunner with a KMS key", () => {
    const encryptionKeyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const engines: Partial<BuildRunnerArgs>[] = [{ engine: "docker" }, { engine: "stream", exporter: "// exporter" }];
    for (const engine of engines) {
        describe(`and engine ${engine.engine}`, () => {
            let runner: Evaluation;
            let without: Evaluation;
            before(async () => {
                runner = await evaluateRunner({ ...engine, encryptionKeyArn });
                without = await evaluateRunner(engine);
            });

            itKeepsTheHouseRules(() => runner);

            it("may use the key", () => {
                const [before, after] = [without, runner].map((each) => sidsOf(resourceOf(each, "test-policy")));
                assert.deepEqual(
                    after?.filter((sid) => sid !== "WriteEncrypted"),
                    before,
                );
                assert.equal(after?.length, (before?.length ?? 0) + 1);
            });
        });
    }

    it("names the key for the exporter, so that another key uploads it again", async () => {
        const stream = { engine: "stream", exporter: "// exporter", encryptionKeyArn } as const;
        const { inputs } = resourceOf(await evaluateRunner(stream), "test-exporter");
        const { serverSideEncryption, kmsKeyId, bucketKeyEnabled } = inputs;
        assert.deepEqual(
            { serverSideEncryption, kmsKeyId, bucketKeyEnabled },
            { serverSideEncryption: "aws:kms", kmsKeyId: encryptionKeyArn, bucketKeyEnabled: true },
        );
    });
});
