import { createHash } from "node:crypto";

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";
import { buildRole, type BuildRoleArgs } from "../policies/buildRole";
import { type PolicyArgs, policyDocument, type StackLocation } from "../policies/document";
import { buildsUrl } from "../contract/aws";
import { exitStatusText } from "../contract/errors";
import { defaultArtifactKey, exporterPrefix } from "../contract/keys";
import { defaultPlatform } from "../contract/platform";
import { referrersVariable, type RequestVariable, setVariable, sinceVariables } from "../contract/request";
import { repositoryPolicies } from "../policies/repositories";
import { buildspecLimit, checkDocumentSize, fittingStatements } from "../policies/sizes";
import { trust } from "../policies/trust";
import { createLogGroup, createRole, type Scope } from "./stackDefaults";

/** Arguments of {@link BuildRunner}: keys of the configuration, what the role is about, and what is known of the stack. */
export interface BuildRunnerArgs
    extends Pick<PolicyArgs, BuildRoleArgs>, Pick<StackConfig, "cache" | "compute" | "imageUri" | "referrers"> {
    /** The engine's buildspec, as YAML. */
    readonly buildspec: string;
    /** Text of the exporter, an ES module; for engine `stream` only, which needs it. */
    readonly exporter?: pulumi.Input<string> | undefined;
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
}

/**
 * The CodeBuild project that exports one image a build, with its service role, its log group and, for engine `stream`, the
 * exporter.
 *
 * @example new BuildRunner("export", { ...config, ...archives, at, buildspec, network: undefined });
 */
export class BuildRunner extends pulumi.ComponentResource {
    public readonly projectName: pulumi.Output<string>;
    public readonly projectArn: pulumi.Output<string>;
    /** ARN of the service role, which other accounts name in their repository policies. */
    public readonly roleArn: pulumi.Output<string>;
    /** Key of the archive of the image by default. */
    public readonly artifactKey: pulumi.Output<string>;
    /** Name of the builds' log group. */
    public readonly logGroupName: pulumi.Output<string>;
    /** JSON policies that owners of other accounts' repositories have to attach, by ARN: docs/outputs.md. */
    public readonly repositoryPolicies: pulumi.Output<Record<string, string>>;

    public constructor(name: string, args: BuildRunnerArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:BuildRunner", name, args, opts);
        const child = { parent: this };
        const scope = { name, args, opts: child };

        checkDocumentSize("The buildspec", args.buildspec, buildspecLimit);
        const projectResourceName = `${name}-project`;
        const logGroup = createLogGroup(`${name}-log`, `/aws/codebuild/${name}-`, args.encryptionKeyArn, child);
        const exporter = uploadExporter(scope);
        const statements = fittingStatements(
            "the role of builds",
            buildRole,
            { ...args, exporterKey: exporter?.key, logGroupArn: logGroup.arn },
            args.repositories,
        );
        const role = createRole(
            name,
            "Service role of the builds that export container images",
            // Pulumi names the project: its resource name, then random digits.
            trust.builds(args.at, projectResourceName),
            policyDocument(statements),
            child,
        );
        const project = createProject(scope, projectResourceName, role.arn, logGroup.name, exporter?.key);

        this.projectName = project.name;
        this.projectArn = project.arn;
        this.roleArn = role.arn;
        this.artifactKey = defaultKey(args);
        this.logGroupName = logGroup.name;
        this.repositoryPolicies = repositoryPolicies({ ...args, buildRoleArn: role.arn });
        this.registerOutputs({
            projectName: this.projectName,
            projectArn: this.projectArn,
            roleArn: this.roleArn,
            artifactKey: this.artifactKey,
            logGroupName: this.logGroupName,
            repositoryPolicies: this.repositoryPolicies,
        });
    }
}

/**
 * The exporter, for engine `stream`: an archive of one file, whose name in the bucket tells its content. It lies
 * beside the archives, at a key that no `artifactPrefix` can begin with, so no build can replace it.
 */
function uploadExporter({ name, args, opts }: Scope<BuildRunnerArgs>): aws.s3.BucketObjectv2 | undefined {
    if (args.exporter === undefined) return undefined;
    const text = pulumi.output(args.exporter);
    const hash = text.apply((known) => createHash("sha256").update(known).digest("hex").slice(0, 16));
    return new aws.s3.BucketObjectv2(
        `${name}-exporter`,
        {
            bucket: args.artifactBucket,
            key: pulumi.interpolate`${exporterPrefix}${hash}.zip`,
            source: new pulumi.asset.AssetArchive({
                "exporter.mjs": text.apply((known) => new pulumi.asset.StringAsset(known)),
            }),
            // Named although it is the bucket's default, so that a change of it uploads the exporter again: one that
            // stays encrypted with a key that is gone cannot be read.
            ...(args.encryptionKeyArn === undefined
                ? { serverSideEncryption: "AES256" }
                : { serverSideEncryption: "aws:kms", kmsKeyId: args.encryptionKeyArn, bucketKeyEnabled: true }),
        },
        opts,
    );
}

function createProject(
    { args, opts }: Scope<BuildRunnerArgs>,
    projectResourceName: string,
    serviceRole: pulumi.Output<string>,
    groupName: pulumi.Output<string>,
    exporterKey: pulumi.Output<string> | undefined,
): aws.codebuild.Project {
    const { buildspec, compute, engine, network } = args;
    const source = exporterKey
        ? { type: "S3", location: pulumi.interpolate`${args.artifactBucket}/${exporterKey}` }
        : { type: "NO_SOURCE" };
    return new aws.codebuild.Project(
        projectResourceName,
        {
            description: "Exports one container image from Amazon ECR to S3 as a tar archive",
            serviceRole,
            source: { ...source, buildspec },
            artifacts: { type: "NO_ARTIFACTS" },
            environment: {
                ...machine(compute),
                image: compute.image,
                // The Docker daemon of the build needs it: pull and save are its work.
                privilegedMode: engine === "docker",
                environmentVariables: Object.entries(buildVariables(args)).map(([name, value]) => ({ name, value })),
            },
            // Lambda compute has its own timeout, 15 minutes, and takes no other.
            ...(compute.type !== "lambda" && {
                buildTimeout: compute.timeoutMinutes,
                queuedTimeout: compute.queuedTimeoutMinutes,
            }),
            // docs.aws.amazon.com/codebuild/latest/userguide/caching-local.html. Always said, also when there is none: the provider
            // takes a cache that is no longer declared for one to leave alone.
            cache:
                args.cache === "local" ? { type: "LOCAL", modes: ["LOCAL_DOCKER_LAYER_CACHE"] } : { type: "NO_CACHE" },
            ...(network && {
                vpcConfig: {
                    vpcId: network.vpcId,
                    subnets: [...network.subnetIds],
                    securityGroupIds: [...network.securityGroupIds],
                },
            }),
            badgeEnabled: false,
            logsConfig: { cloudwatchLogs: { groupName, status: "ENABLED" } },
        },
        opts,
    );
}

/** The console's list of the builds of a project, whose name and account may be known only once they are made. */
export function buildsPage(at: StackLocation, project: pulumi.Input<string>): pulumi.Output<string> {
    return pulumi.all([at.accountId, project]).apply(([accountId, name]) => buildsUrl(at, accountId, name));
}

/** Environment type and compute type: docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-compute-types.html */
function machine(compute: BuildRunnerArgs["compute"]): { type: string; computeType: string } {
    const arm = compute.image.includes("aarch64");
    return compute.type === "lambda"
        ? // Two vCPUs: the exporter hashes in two threads.
          { type: arm ? "ARM_LAMBDA_CONTAINER" : "LINUX_LAMBDA_CONTAINER", computeType: "BUILD_LAMBDA_4GB" }
        : { type: arm ? "ARM_CONTAINER" : "LINUX_CONTAINER", computeType: compute.type };
}

/** The key of the image of the stack, whose account may be known only once it is asked. */
function defaultKey({ artifactPrefix, imageUri, at }: BuildRunnerArgs): pulumi.Output<string> {
    const keyFor = (accountId: string): string => defaultArtifactKey(artifactPrefix, imageUri, { ...at, accountId });
    return pulumi.output(at.accountId).apply(keyFor);
}

/** Every variable that a build reads, so that one started by hand, without a state machine, works too. */
function buildVariables(args: BuildRunnerArgs): Record<string, pulumi.Input<string>> {
    const request: Record<RequestVariable, pulumi.Input<string>> = {
        IMAGE_URI: args.imageUri.uri,
        IMAGE_DIGEST: "",
        PLATFORM: defaultPlatform,
        FORCE: "false",
        ARTIFACT_BUCKET: args.artifactBucket,
        ARTIFACT_KEY: defaultKey(args),
        EXECUTION_ID: "",
    };
    return {
        ...request,
        ARTIFACT_PREFIX: args.artifactPrefix,
        EXIT_STATUSES: exitStatusText,
        SIGNING_KEY_ARN: args.signingKeyArn ?? "",
        ...(args.engine === "docker"
            ? { ARCHIVE_FILE: "image.tar" }
            : {
                  TIMEOUT_MINUTES: String(args.compute.timeoutMinutes),
                  [referrersVariable]: String(args.referrers),
                  [setVariable]: "",
                  [sinceVariables.key]: "",
                  [sinceVariables.for]: "",
              }),
    };
}
