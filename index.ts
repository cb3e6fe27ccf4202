/**
 * The composition root: configuration, components, stack outputs. The README describes every output.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as aws from "@pulumi/aws";

import { BatchOrchestration } from "./components/batch";
import { BuildRunner } from "./components/buildRunner";
import { IsolatedNetwork } from "./components/network";
import { ExportOrchestration } from "./components/orchestration";
import { PullThroughCache } from "./components/pullThroughCache";
import { repositoryPolicies as policiesOfOtherAccounts } from "./components/repositoryPolicies";
import { ArtifactStorage } from "./components/storage";
import { Triggers } from "./components/triggers";
import { loadConfig } from "./config";
import { buildExporterBundle } from "./exporter/bundle";

const name = "image-export";
const { region, partition, image, repositories, engine, compute, network, tags, ...config } = loadConfig();
/** The part of the stack that a resource belongs to comes first: an S3 object takes ten tags only. */
const tagsOf = (component: string) => ({ component, ...tags });
const at = { partition, region, accountId: aws.getCallerIdentityOutput().accountId };

const buildspec = readFileSync(join(__dirname, "buildspec", `${engine}.yml`), "utf8");

const storage = new ArtifactStorage(name, {
    at,
    artifactPrefix: config.artifactPrefix,
    encryption: config.encryption,
    retention: config.retention,
    tags: tagsOf("storage"),
});

if (config.pullThroughCache.length > 0) new PullThroughCache(name, { rules: config.pullThroughCache });

const isolated =
    network === "isolated"
        ? new IsolatedNetwork(name, {
              at,
              zones: aws.getAvailabilityZonesOutput({
                  state: "available",
                  // Not the local zones that the account has opted in to.
                  filters: [{ name: "opt-in-status", values: ["opt-in-not-required"] }],
              }).names,
              engine,
              repositories,
              artifactBucketArn: storage.bucketArn,
              artifactPrefix: config.artifactPrefix,
              encryptionKeyArn: storage.encryptionKeyArn,
              tags: tagsOf("network"),
          })
        : undefined;

const runner = new BuildRunner(name, {
    at,
    engine:
        engine === "docker"
            ? { name: engine, buildspec, keepLayers: config.cache === "local" }
            : { name: engine, buildspec, bundle: buildExporterBundle() },
    image,
    repositories,
    cachedRepositories: config.cachedRepositories,
    artifactBucketName: storage.bucketName,
    artifactBucketArn: storage.bucketArn,
    artifactPrefix: config.artifactPrefix,
    encryptionKeyArn: storage.encryptionKeyArn,
    compute,
    network: typeof network === "object" ? network : isolated?.buildNetwork,
    tags: tagsOf("build"),
});

const orchestration = new ExportOrchestration(name, {
    at,
    projectName: runner.projectName,
    projectArn: runner.projectArn,
    encryptionKeyArn: storage.encryptionKeyArn,
    engine,
    imageUri: image.uri,
    repositories,
    cachedRepositories: config.cachedRepositories,
    artifactBucket: storage.bucketName,
    artifactBucketArn: storage.bucketArn,
    artifactPrefix: config.artifactPrefix,
    timeoutMinutes: compute.timeoutMinutes,
    queuedTimeoutMinutes: compute.queuedTimeoutMinutes,
    tags: tagsOf("orchestration"),
});

const batch = new BatchOrchestration(`${name}-batch`, {
    at,
    exportMachineArn: orchestration.stateMachineArn,
    exportMachineName: orchestration.stateMachineName,
    artifactBucketName: storage.bucketName,
    artifactBucketArn: storage.bucketArn,
    encryptionKeyArn: storage.encryptionKeyArn,
    maxConcurrency: config.batch.maxConcurrency,
    tags: tagsOf("batch"),
});

const triggers =
    config.triggers &&
    new Triggers(`${name}-triggers`, {
        at,
        ...config.triggers,
        exportMachineArn: orchestration.stateMachineArn,
        encryptionKeyArn: storage.encryptionKeyArn,
        tags: tagsOf("triggers"),
    });

export const artifactBucketName = storage.bucketName;
export const artifactBucketArn = storage.bucketArn;
export const artifactPrefix = config.artifactPrefix;
export const encryptionKeyArn = storage.encryptionKeyArn;
export const encryptionKeyPolicy = storage.encryptionKeyPolicy;
export const stateMachineArn = orchestration.stateMachineArn;
export const stateMachineName = orchestration.stateMachineName;
export const batchStateMachineArn = batch.stateMachineArn;
export const buildProjectName = runner.projectName;
export const buildRoleArn = runner.roleArn;
export const logGroupNames = {
    builds: runner.logGroupName,
    executions: orchestration.logGroupName,
    batches: batch.logGroupName,
    ...(triggers && { triggers: triggers.logGroupName }),
    ...(isolated && { flows: isolated.flowLogGroupName }),
};
export const startExportPolicy = orchestration.startExportPolicy;
export const startBatchPolicy = batch.startBatchPolicy;
export const readArtifactsPolicy = storage.readArtifactsPolicy;
export const repositoryPolicies = policiesOfOtherAccounts(engine, at.accountId, repositories, runner.roleArn);
