/** The wiring: configuration, components, outputs. docs/configuration.md describes the keys, docs/outputs.md the outputs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as aws from "@pulumi/aws";

import { BatchOrchestration } from "./components/batch";
import { BuildRunner } from "./components/buildRunner";
import { IsolatedNetwork } from "./components/isolatedNetwork";
import { Monitoring } from "./components/monitoring";
import { ExportOrchestration } from "./components/orchestration";
import { PrivateNetwork } from "./components/privateNetwork";
import { PullThroughCache } from "./components/pullThroughCache";
import { applyToEveryResource } from "./components/stackDefaults";
import { SigningKey } from "./components/signingKey";
import { ArtifactStorage } from "./components/storage";
import { Triggers } from "./components/triggers";
import { loadConfig } from "./config";
import type { StackOutputs } from "./contract/outputs";
import { buildExporterBundle } from "./exporter/bundle";

const config = loadConfig();
const { artifactPrefix, engine, imageUri: image, repositories, cachedRepositories } = config;
const at = { partition: config.partition, region: config.region, accountId: aws.getCallerIdentityOutput().accountId };

/** How all names of resources begin, and so the names that Pulumi gives them in AWS. */
const namePrefix = "image-export-";
applyToEveryResource(config);

// Pulumi shows a component as changed when any of its arguments is: so each is given what it needs, and no more.
const { encryption, retention, existingBucket, accessLogs, pullThroughCache } = config;
const ofStorage = { encryption, retention, existingBucket, accessLogs };
const storage = new ArtifactStorage(`${namePrefix}storage`, { ...ofStorage, at, artifactPrefix, namePrefix });
const { bucketName: artifactBucket, bucketArn: artifactBucketArn, encryptionKeyArn } = storage;

if (pullThroughCache.length > 0) {
    new PullThroughCache(`${namePrefix}cache`, { pullThroughCache });
}

const signing =
    config.signing === undefined
        ? undefined
        : new SigningKey(`${namePrefix}signing`, { at, signing: config.signing, protect: retention.protect });
const signingKeyArn = signing?.keyArn;

const ofBucket = { at, artifactBucket, artifactBucketArn, encryptionKeyArn };
const surroundings = { ...ofBucket, engine, repositories, cachedRepositories, artifactPrefix, signingKeyArn };
const isolated =
    config.network === "isolated"
        ? new IsolatedNetwork(`${namePrefix}network`, {
              ...surroundings,
              zones: aws.getAvailabilityZonesOutput({
                  state: "available",
                  // Not the local zones that the account has opted in to.
                  filters: [{ name: "opt-in-status", values: ["opt-in-not-required"] }],
              }).names,
          })
        : undefined;
const shielded =
    config.network === "private"
        ? new PrivateNetwork(`${namePrefix}network`, { ...surroundings, tags: config.tags })
        : undefined;
const flows = isolated?.flowLogGroupName ?? shielded?.flowLogGroupName;

const runner = new BuildRunner(`${namePrefix}build`, {
    ...surroundings,
    cache: config.cache,
    compute: config.compute,
    referrers: config.referrers,
    imageUri: image,
    buildspec: readFileSync(join(__dirname, "buildspec", `${engine}.yml`), "utf8"),
    exporter: engine === "stream" ? buildExporterBundle() : undefined,
    network: typeof config.network === "object" ? config.network : (isolated?.buildNetwork ?? shielded?.buildNetwork),
});

const orchestration = new ExportOrchestration(`${namePrefix}single`, {
    ...surroundings,
    timeoutMinutes: config.compute.timeoutMinutes,
    queuedTimeoutMinutes: config.compute.queuedTimeoutMinutes,
    imageUri: image.uri,
    referrers: config.referrers,
    projectName: runner.projectName,
    projectArn: runner.projectArn,
    buildLogGroupName: runner.logGroupName,
});

const batch = new BatchOrchestration(`${namePrefix}batch`, {
    ...ofBucket,
    exportMachineArn: orchestration.stateMachine.arn,
    exportMachineName: orchestration.stateMachine.name,
    maxConcurrency: config.batch.maxConcurrency,
});

const monitoring = new Monitoring(`${namePrefix}monitoring`, {
    ...ofBucket,
    notifications: config.notifications,
    exportMachine: orchestration.stateMachine,
    batchMachine: batch.stateMachine,
    projectName: runner.projectName,
    timeoutMinutes: config.compute.timeoutMinutes,
    imageUri: image.uri,
    artifactKey: runner.artifactKey,
    namePrefix,
});

const triggers =
    config.triggers &&
    new Triggers(`${namePrefix}triggers`, {
        at,
        encryptionKeyArn,
        ...config.triggers,
        exportMachineArn: orchestration.stateMachine.arn,
        topicArn: monitoring.topicArn,
    });

/** The outputs: contract/outputs.ts has their types. One that a stack does not have is left out. */
export = {
    artifactBucketName: artifactBucket,
    artifactBucketArn,
    artifactPrefix,
    ...(encryptionKeyArn && { encryptionKeyArn }),
    ...(signing && { signingKeyArn: signing.keyArn, signingPublicKey: signing.publicKey }),
    ...(storage.encryptionKeyPolicy && { encryptionKeyPolicy: storage.encryptionKeyPolicy }),
    stateMachineArn: orchestration.stateMachine.arn,
    stateMachineName: orchestration.stateMachine.name,
    batchStateMachineArn: batch.stateMachine.arn,
    buildProjectName: runner.projectName,
    buildRoleArn: runner.roleArn,
    ...(monitoring.topicArn && { notificationTopicArn: monitoring.topicArn }),
    ...(shielded && { egressAddress: shielded.egressAddress }),
    dashboardUrl: monitoring.dashboardUrl,
    logGroupNames: {
        builds: runner.logGroupName,
        executions: orchestration.stateMachine.logGroupName,
        batches: batch.stateMachine.logGroupName,
        ...(monitoring.logGroupName && { notifications: monitoring.logGroupName }),
        ...(triggers && { triggers: triggers.logGroupName }),
        ...(flows && { flows }),
    },
    startExportPolicy: orchestration.startExportPolicy,
    startBatchPolicy: batch.startBatchPolicy,
    readArtifactsPolicy: storage.readArtifactsPolicy,
    repositoryPolicies: runner.repositoryPolicies,
} satisfies { readonly [Name in keyof StackOutputs]: unknown };
