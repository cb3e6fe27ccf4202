/**
 * The whole pipeline as one component, for programs that build on it, and for index.ts.
 */
import * as pulumi from "@pulumi/pulumi";

import { BatchOrchestration } from "./components/batch";
import { BuildRunner } from "./components/buildRunner";
import type { AwsLocation } from "./policies/statements";
import { defaultArtifactKey } from "./components/imageReference";
import { Monitoring } from "./components/monitoring";
import { IsolatedNetwork } from "./components/network";
import { ExportOrchestration } from "./components/orchestration";
import { boundedBy } from "./components/permissionsBoundary";
import { PullThroughCache } from "./components/pullThroughCache";
import { repositoryPolicies } from "./policies/repositoryPolicies";
import { ArtifactStorage } from "./components/storage";
import { Triggers } from "./components/triggers";
import { checkSettings, type StackConfig } from "./config";
import { loadEngine } from "./engine";
import type { Settings } from "./settings";

/** Arguments of {@link ImageExport}: the settings of a pipeline, and what only a look at the account can tell. */
export interface ImageExportArgs extends Settings {
    /** AWS account of everything, that of the provider. */
    readonly accountId: pulumi.Input<string>;
    /**
     * Availability zones of the region, by name, two or more, for `network: isolated`: a subnet is made in each of the first
     * two.
     *
     * @default none; asked for with an isolated network
     */
    readonly zones?: pulumi.Input<string[]>;
}

/** Names of the log groups of a pipeline. */
export interface LogGroupNames {
    /** Log group of the builds. */
    readonly builds: pulumi.Output<string>;
    /** Log group of the executions that export one image. */
    readonly executions: pulumi.Output<string>;
    /** Log group of the executions that export a batch. */
    readonly batches: pulumi.Output<string>;
    /** Log group of the state machine that sends messages; there with notifications. */
    readonly notifications?: pulumi.Output<string>;
    /** Log group of the state machine that triggers start; there with triggers. */
    readonly triggers?: pulumi.Output<string>;
    /** Log group of the VPC's flow logs; there with a VPC of the pipeline's own. */
    readonly flows?: pulumi.Output<string>;
}

/**
 * The whole pipeline: bucket, network, builds, state machines, triggers. Its arguments are the configuration keys of a stack,
 * checked in the same way.
 *
 * @example
 * const pipeline = new ImageExport("images", {
 *     region: "ap-northeast-1",
 *     accountId: aws.getCallerIdentityOutput().accountId,
 *     imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/backend/api:v1",
 *     engine: "stream",
 * });
 * export const stateMachineArn = pipeline.stateMachineArn;
 */
export class ImageExport extends pulumi.ComponentResource {
    /** Name of the bucket of the archives. */
    public readonly artifactBucketName: pulumi.Output<string>;
    /** ARN of the bucket of the archives. */
    public readonly artifactBucketArn: pulumi.Output<string>;
    /** The only key prefix that builds write. */
    public readonly artifactPrefix: pulumi.Output<string>;
    /** ARN of the KMS key that encrypts; undefined where S3's own keys do. */
    public readonly encryptionKeyArn: pulumi.Output<string> | undefined;
    /** JSON policy of what the owner of a given key has to let its policy allow; undefined without a given key. */
    public readonly encryptionKeyPolicy: pulumi.Output<string> | undefined;
    /** ARN of the state machine that exports one image. */
    public readonly stateMachineArn: pulumi.Output<string>;
    /** Name of that state machine. */
    public readonly stateMachineName: pulumi.Output<string>;
    /** ARN of the state machine that exports a batch. */
    public readonly batchStateMachineArn: pulumi.Output<string>;
    /** Name of the CodeBuild project. */
    public readonly buildProjectName: pulumi.Output<string>;
    /** ARN of the builds' service role, which other accounts name in their repository policies. */
    public readonly buildRoleArn: pulumi.Output<string>;
    /** ARN of the topic of alarms and messages; undefined without notifications. */
    public readonly notificationTopicArn: pulumi.Output<string> | undefined;
    /** The CloudWatch dashboard in the console. */
    public readonly dashboardUrl: pulumi.Output<string>;
    /** Names of the log groups. */
    public readonly logGroupNames: LogGroupNames;
    /** JSON policy that lets a principal start exports, follow and stop them. */
    public readonly startExportPolicy: pulumi.Output<string>;
    /** JSON policy that lets a principal start batches, follow and stop them. */
    public readonly startBatchPolicy: pulumi.Output<string>;
    /** JSON policy that lets a principal list and read archives. */
    public readonly readArtifactsPolicy: pulumi.Output<string>;
    /** JSON policy that the owner of each other account's repository has to attach, by ARN of the repository. */
    public readonly repositoryPolicies: pulumi.Output<Record<string, string>>;

    public constructor(name: string, args: ImageExportArgs, opts?: pulumi.ComponentResourceOptions) {
        const plan = planned(args); // refuses what cannot work before anything is declared
        super("ecr-image-export:index:ImageExport", name, args, opts);
        // The parts had no parent once: without the alias, a stack of that time would be made anew, archives and all.
        const part = {
            parent: this,
            aliases: [{ parent: pulumi.rootStackResource }],
            transformations:
                plan.permissionsBoundary === undefined ? [] : [boundedBy(plan.permissionsBoundary)],
        };

        const storage = createStorage(name, plan, part);
        createCache(name, plan, part);
        const isolated = createNetwork(name, storage, plan, part);
        const runner = createRunner(name, storage, isolated, plan, part);
        const orchestration = createOrchestration(name, storage, runner, plan, part);
        const batch = createBatch(name, storage, orchestration, plan, part);
        const monitoring = createMonitoring(name, { storage, runner, orchestration, batch }, plan, part);
        const triggers = createTriggers(name, storage, orchestration, monitoring, plan, part);

        this.artifactBucketName = storage.bucketName;
        this.artifactBucketArn = storage.bucketArn;
        this.artifactPrefix = pulumi.output(plan.artifactPrefix);
        this.encryptionKeyArn = storage.encryptionKeyArn;
        this.encryptionKeyPolicy = storage.encryptionKeyPolicy;
        this.stateMachineArn = orchestration.stateMachineArn;
        this.stateMachineName = orchestration.stateMachineName;
        this.batchStateMachineArn = batch.stateMachineArn;
        this.buildProjectName = runner.projectName;
        this.buildRoleArn = runner.roleArn;
        this.notificationTopicArn = monitoring.topicArn;
        this.dashboardUrl = monitoring.dashboardUrl;
        this.logGroupNames = {
            builds: runner.logGroupName,
            executions: orchestration.logGroupName,
            batches: batch.logGroupName,
            ...(monitoring.logGroupName && { notifications: monitoring.logGroupName }),
            ...(triggers && { triggers: triggers.logGroupName }),
            ...(isolated && { flows: isolated.flowLogGroupName }),
        };
        this.startExportPolicy = orchestration.startExportPolicy;
        this.startBatchPolicy = batch.startBatchPolicy;
        this.readArtifactsPolicy = storage.readArtifactsPolicy;
        this.repositoryPolicies = repositoryPolicies(
            plan.engine,
            plan.at.accountId,
            plan.repositories,
            runner.roleArn,
        );
        this.registerOutputs({
            artifactBucketName: this.artifactBucketName,
            artifactBucketArn: this.artifactBucketArn,
            artifactPrefix: this.artifactPrefix,
            encryptionKeyArn: this.encryptionKeyArn,
            encryptionKeyPolicy: this.encryptionKeyPolicy,
            stateMachineArn: this.stateMachineArn,
            stateMachineName: this.stateMachineName,
            batchStateMachineArn: this.batchStateMachineArn,
            buildProjectName: this.buildProjectName,
            buildRoleArn: this.buildRoleArn,
            notificationTopicArn: this.notificationTopicArn,
            dashboardUrl: this.dashboardUrl,
            logGroupNames: this.logGroupNames,
            startExportPolicy: this.startExportPolicy,
            startBatchPolicy: this.startBatchPolicy,
            readArtifactsPolicy: this.readArtifactsPolicy,
            repositoryPolicies: this.repositoryPolicies,
        });
    }
}

/** Checked settings, and where the pipeline lives. */
interface Plan extends StackConfig {
    readonly at: AwsLocation;
    /** Availability zones for a network of the pipeline's own. */
    readonly zones: pulumi.Input<string[]>;
}

function planned({ accountId, zones, ...settings }: ImageExportArgs): Plan {
    const config = checkSettings(settings);
    const { region, partition, network } = config;
    if (network === "isolated" && zones === undefined) {
        throw new pulumi.RunError(
            "The argument zones is missing: expected the names of two availability zones or more, for instance " +
                "aws.getAvailabilityZonesOutput().names, since network is isolated.",
        );
    }
    return { ...config, at: { partition, region, accountId }, zones: zones ?? [] };
}

/** The part of the pipeline that a resource belongs to comes first: an S3 object takes ten tags only. */
function tagsOf(component: string, plan: Plan): Record<string, string> {
    return { component, ...plan.tags };
}

function createStorage(name: string, plan: Plan, opts: pulumi.ComponentResourceOptions): ArtifactStorage {
    const { at, artifactPrefix, encryption, retention, existingBucket } = plan;
    return new ArtifactStorage(
        name,
        { at, artifactPrefix, encryption, retention, existingBucket, tags: tagsOf("storage", plan) },
        opts,
    );
}

function createCache(name: string, plan: Plan, opts: pulumi.ComponentResourceOptions): void {
    const { pullThroughCache: rules } = plan;
    if (rules.length > 0) new PullThroughCache(name, { rules }, opts);
}

/** A VPC without internet, where the pipeline is to have one of its own. */
function createNetwork(
    name: string,
    storage: ArtifactStorage,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): IsolatedNetwork | undefined {
    const { at, network, zones, engine, repositories, artifactPrefix } = plan;
    if (network !== "isolated") return undefined;
    return new IsolatedNetwork(
        name,
        {
            at,
            zones,
            engine,
            repositories,
            artifactBucketArn: storage.bucketArn,
            artifactPrefix,
            encryptionKeyArn: storage.encryptionKeyArn,
            tags: tagsOf("network", plan),
        },
        opts,
    );
}

function createRunner(
    name: string,
    storage: ArtifactStorage,
    isolated: IsolatedNetwork | undefined,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): BuildRunner {
    const { at, engine, cache, image, repositories, cachedRepositories, artifactPrefix, compute, network } =
        plan;
    return new BuildRunner(
        name,
        {
            at,
            engine: loadEngine(engine, cache),
            image,
            repositories,
            cachedRepositories,
            artifactBucketName: storage.bucketName,
            artifactBucketArn: storage.bucketArn,
            artifactPrefix,
            encryptionKeyArn: storage.encryptionKeyArn,
            compute,
            network: typeof network === "object" ? network : isolated?.buildNetwork,
            tags: tagsOf("build", plan),
        },
        opts,
    );
}

function createOrchestration(
    name: string,
    storage: ArtifactStorage,
    runner: BuildRunner,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): ExportOrchestration {
    const { at, engine, image, repositories, cachedRepositories, artifactPrefix, compute } = plan;
    return new ExportOrchestration(
        name,
        {
            at,
            projectName: runner.projectName,
            projectArn: runner.projectArn,
            buildLogGroupName: runner.logGroupName,
            encryptionKeyArn: storage.encryptionKeyArn,
            engine,
            imageUri: image.uri,
            repositories,
            cachedRepositories,
            artifactBucket: storage.bucketName,
            artifactBucketArn: storage.bucketArn,
            artifactPrefix,
            timeoutMinutes: compute.timeoutMinutes,
            queuedTimeoutMinutes: compute.queuedTimeoutMinutes,
            tags: tagsOf("orchestration", plan),
        },
        opts,
    );
}

function createBatch(
    name: string,
    storage: ArtifactStorage,
    orchestration: ExportOrchestration,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): BatchOrchestration {
    return new BatchOrchestration(
        `${name}-batch`,
        {
            at: plan.at,
            exportMachineArn: orchestration.stateMachineArn,
            exportMachineName: orchestration.stateMachineName,
            artifactBucketName: storage.bucketName,
            artifactBucketArn: storage.bucketArn,
            encryptionKeyArn: storage.encryptionKeyArn,
            maxConcurrency: plan.batch.maxConcurrency,
            tags: tagsOf("batch", plan),
        },
        opts,
    );
}

/** What is watched. */
interface Watched {
    readonly storage: ArtifactStorage;
    readonly runner: BuildRunner;
    readonly orchestration: ExportOrchestration;
    readonly batch: BatchOrchestration;
}

function createMonitoring(
    name: string,
    { storage, runner, orchestration, batch }: Watched,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): Monitoring {
    const { at, image, artifactPrefix, compute, notifications } = plan;
    const watched = (machine: ExportOrchestration | BatchOrchestration) => ({
        arn: machine.stateMachineArn,
        name: machine.stateMachineName,
        logGroupName: machine.logGroupName,
    });
    return new Monitoring(
        name,
        {
            at,
            notifications,
            exportMachine: watched(orchestration),
            batchMachine: watched(batch),
            projectName: runner.projectName,
            timeoutMinutes: compute.timeoutMinutes,
            artifactBucket: storage.bucketName,
            imageUri: image.uri,
            artifactKey: defaultArtifactKey(artifactPrefix, image),
            encryptionKeyArn: storage.encryptionKeyArn,
            tags: tagsOf("monitoring", plan),
        },
        opts,
    );
}

function createTriggers(
    name: string,
    storage: ArtifactStorage,
    orchestration: ExportOrchestration,
    monitoring: Monitoring,
    plan: Plan,
    opts: pulumi.ComponentResourceOptions,
): Triggers | undefined {
    if (plan.triggers === undefined) return undefined;
    return new Triggers(
        `${name}-triggers`,
        {
            at: plan.at,
            ...plan.triggers,
            exportMachineArn: orchestration.stateMachineArn,
            topicArn: monitoring.topicArn,
            encryptionKeyArn: storage.encryptionKeyArn,
            tags: tagsOf("triggers", plan),
        },
        opts,
    );
}
