/**
 * The composition root: configuration, pipeline, stack outputs. The README describes every output.
 */
import * as aws from "@pulumi/aws";

import { readSettings } from "./config";
import { ImageExport } from "./imageExport";

const settings = readSettings();

const pipeline = new ImageExport("image-export", {
    ...settings,
    accountId: aws.getCallerIdentityOutput().accountId,
    ...(settings.network === "isolated" && {
        zones: aws.getAvailabilityZonesOutput({
            state: "available",
            // Not the local zones that the account has opted in to.
            filters: [{ name: "opt-in-status", values: ["opt-in-not-required"] }],
        }).names,
    }),
});

export const artifactBucketName = pipeline.artifactBucketName;
export const artifactBucketArn = pipeline.artifactBucketArn;
export const artifactPrefix = pipeline.artifactPrefix;
export const encryptionKeyArn = pipeline.encryptionKeyArn;
export const encryptionKeyPolicy = pipeline.encryptionKeyPolicy;
export const stateMachineArn = pipeline.stateMachineArn;
export const stateMachineName = pipeline.stateMachineName;
export const batchStateMachineArn = pipeline.batchStateMachineArn;
export const buildProjectName = pipeline.buildProjectName;
export const buildRoleArn = pipeline.buildRoleArn;
export const notificationTopicArn = pipeline.notificationTopicArn;
export const dashboardUrl = pipeline.dashboardUrl;
export const logGroupNames = pipeline.logGroupNames;
export const startExportPolicy = pipeline.startExportPolicy;
export const startBatchPolicy = pipeline.startBatchPolicy;
export const readArtifactsPolicy = pipeline.readArtifactsPolicy;
export const repositoryPolicies = pipeline.repositoryPolicies;
