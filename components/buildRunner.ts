import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import {
    assumedByCodeBuild,
    type AwsLocation,
    logInToEcr,
    policyDocument,
    pullImages,
    writeArchives,
    writeLog,
} from "./iamStatements";
import { defaultArtifactKey, type EcrImage, type EcrRepository, repositoryArn } from "./imageReference";
import { defaultPlatform } from "./definition";

/** The machine that a build runs on, and how long it may take. */
export interface Compute {
    /** Compute type of CodeBuild, for instance `BUILD_GENERAL1_MEDIUM`. */
    readonly type: string;
    /** Build image, one of CodeBuild's own, for instance `aws/codebuild/standard:7.0`. */
    readonly image: string;
    /** Minutes that a build may run, 5 to 2160. */
    readonly timeoutMinutes: number;
    /** Minutes that a build may wait in the queue, 5 to 480. */
    readonly queuedTimeoutMinutes: number;
}

/** Arguments of {@link BuildRunner}. */
export interface BuildRunnerArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation;
    /** The buildspec, as YAML. */
    readonly buildspec: string;
    /** Image that a build exports when nobody says otherwise. */
    readonly image: EcrImage;
    /** Repositories that builds may pull from. */
    readonly repositories: readonly EcrRepository[];
    /** Name of the bucket of the archives. */
    readonly artifactBucketName: pulumi.Input<string>;
    /** ARN of the bucket of the archives. */
    readonly artifactBucketArn: pulumi.Input<string>;
    /** The only key prefix that builds may write, with its closing slash. */
    readonly artifactPrefix: string;
    /** Machine and timeouts. */
    readonly compute: Compute;
    /**
     * Days that the builds' log is kept.
     *
     * @default 90
     */
    readonly logRetentionDays?: number;
    /** Tags of project, role and log group. */
    readonly tags: Record<string, string>;
}

/**
 * The CodeBuild project that exports one image a build, with its service role and its log group.
 *
 * @example
 * const runner = new BuildRunner("export", {
 *     at: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" },
 *     buildspec: readFileSync("buildspec/docker.yml", "utf8"),
 *     image,
 *     repositories: [image.repository],
 *     artifactBucketName: storage.bucketName,
 *     artifactBucketArn: storage.bucketArn,
 *     artifactPrefix: "images/",
 *     compute,
 *     tags: { project: "ecr-image-export" },
 * });
 */
export class BuildRunner extends pulumi.ComponentResource {
    /** Name of the project. */
    public readonly projectName: pulumi.Output<string>;
    /** ARN of the project. */
    public readonly projectArn: pulumi.Output<string>;
    /** ARN of the service role, which other accounts name in their repository policies. */
    public readonly roleArn: pulumi.Output<string>;
    /** Name of the builds' log group. */
    public readonly logGroupName: pulumi.Output<string>;

    public constructor(name: string, args: BuildRunnerArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:BuildRunner", name, args, opts);
        const child = { parent: this };

        const projectResourceName = `${name}-project`;
        const logGroup = createLogGroup(name, args, child);
        const role = createRole(name, projectResourceName, args, child);
        const policy = attachPolicy(name, role, logGroup, args, child);
        const project = createProject(projectResourceName, role, logGroup, args, {
            ...child,
            // IAM is eventually consistent: a project is only made once its role may do its work.
            dependsOn: [policy],
        });

        this.projectName = project.name;
        this.projectArn = project.arn;
        this.roleArn = role.arn;
        this.logGroupName = logGroup.name;
        this.registerOutputs({
            projectName: this.projectName,
            projectArn: this.projectArn,
            roleArn: this.roleArn,
            logGroupName: this.logGroupName,
        });
    }
}

function createLogGroup(
    name: string,
    args: BuildRunnerArgs,
    opts: pulumi.CustomResourceOptions,
): aws.cloudwatch.LogGroup {
    return new aws.cloudwatch.LogGroup(
        `${name}-build-log`,
        {
            namePrefix: `/aws/codebuild/${name}-`,
            retentionInDays: args.logRetentionDays ?? 90,
            tags: args.tags,
        },
        opts,
    );
}

function createRole(
    name: string,
    projectResourceName: string,
    args: BuildRunnerArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.Role {
    return new aws.iam.Role(
        `${name}-build-role`,
        {
            description: "Service role of the builds that export container images",
            // Pulumi names the project: its resource name, then random digits.
            assumeRolePolicy: policyDocument(assumedByCodeBuild(args.at, projectResourceName)),
            tags: args.tags,
        },
        opts,
    );
}

function attachPolicy(
    name: string,
    role: aws.iam.Role,
    logGroup: aws.cloudwatch.LogGroup,
    args: BuildRunnerArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.RolePolicy {
    return new aws.iam.RolePolicy(
        `${name}-build-policy`,
        {
            role: role.name,
            policy: policyDocument(
                logInToEcr(),
                pullImages(args.repositories.map(repositoryArn)),
                writeArchives(args.artifactBucketArn, args.artifactPrefix),
                writeLog(logGroup.arn),
            ),
        },
        opts,
    );
}

function createProject(
    projectResourceName: string,
    role: aws.iam.Role,
    logGroup: aws.cloudwatch.LogGroup,
    args: BuildRunnerArgs,
    opts: pulumi.CustomResourceOptions,
): aws.codebuild.Project {
    const { compute } = args;
    return new aws.codebuild.Project(
        projectResourceName,
        {
            description: "Exports one container image from Amazon ECR to S3 as a tar archive",
            serviceRole: role.arn,
            source: { type: "NO_SOURCE", buildspec: args.buildspec },
            artifacts: { type: "NO_ARTIFACTS" },
            environment: {
                type: compute.image.includes("aarch64") ? "ARM_CONTAINER" : "LINUX_CONTAINER",
                computeType: compute.type,
                image: compute.image,
                // The Docker daemon of the build needs it: pull and save are its work.
                privilegedMode: true,
                environmentVariables: Object.entries(buildVariables(args)).map(([variable, value]) => ({
                    name: variable,
                    value,
                })),
            },
            buildTimeout: compute.timeoutMinutes,
            queuedTimeout: compute.queuedTimeoutMinutes,
            badgeEnabled: false,
            logsConfig: { cloudwatchLogs: { groupName: logGroup.name, status: "ENABLED" } },
            tags: args.tags,
        },
        opts,
    );
}

/** Every variable that the buildspec reads, so that a build started by hand, without a state machine, works too. */
function buildVariables(args: BuildRunnerArgs): Record<string, pulumi.Input<string>> {
    return {
        IMAGE_URI: args.image.uri,
        PLATFORM: defaultPlatform,
        ARCHIVE_FILE: "image.tar",
        ARTIFACT_BUCKET: args.artifactBucketName,
        ARTIFACT_PREFIX: args.artifactPrefix,
        ARTIFACT_KEY: defaultArtifactKey(args.artifactPrefix, args.image),
    };
}
