/** Policies that are outputs of the stack, for people and programs: start exports, start batches, read archives. */
import { manifestPrefix, resultPrefix } from "../contract/keys";
import { batchMapRole } from "./batchRole";
import { allow, allowListing, arnIn, joined, type PolicyTable } from "./document";
import { readEncrypted, writeEncrypted } from "./key";
import { executionsOf } from "./stateMachineRole";

type MachineArgs = "at" | "machineArn" | "machineName";

const startAndFollow = {
    StartExports: {
        why: "a requester starts executions of the one state machine, and finds them again",
        page: "step-functions/latest/apireference/API_StartExecution.html",
        statement: ({ machineArn }) => allow("states:ListExecutions states:StartExecution", machineArn),
    },
    FollowExports: {
        why: "a requester sees where its executions are and how they ended, and stops them",
        page: "step-functions/latest/apireference/API_GetExecutionHistory.html",
        statement: ({ at, machineName }) =>
            allow(
                "states:DescribeExecution states:GetExecutionHistory states:StopExecution",
                executionsOf(at, machineName),
            ),
    },
} satisfies PolicyTable<MachineArgs>;

/** For whoever requests exports. */
export const startExport: PolicyTable<MachineArgs | "projectArn" | "buildLogGroupName"> = {
    ...startAndFollow,
    FollowBuilds: {
        why: "a requester sees how far the build of an export is, and where its log is",
        page: "codebuild/latest/APIReference/API_BatchGetBuilds.html",
        statement: ({ projectArn }) => allow("codebuild:BatchGetBuilds", projectArn),
    },
    ReadBuildLogs: {
        why: "a requester reads what the build of an export does, and why it failed; `:*` stands for the streams of the one group",
        page: "AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html",
        statement: ({ at, buildLogGroupName }) =>
            allow("logs:GetLogEvents", arnIn(at, "logs", joined`log-group:${buildLogGroupName}:*`)),
    },
};

/** For whoever requests batches. */
export const startBatch: PolicyTable<MachineArgs | "artifactBucketArn" | "encryptionKeyArn"> = {
    ...startAndFollow,
    FindMapRuns: {
        why: "a requester finds the Map Run that counts the images of a batch",
        page: "step-functions/latest/apireference/API_ListMapRuns.html",
        statement: ({ at, machineName }) => allow("states:ListMapRuns", executionsOf(at, machineName)),
    },
    CountResults: batchMapRole.CountResults,
    PutManifests: {
        why: "a requester puts the manifest of a batch where the batch reads it",
        page: "AmazonS3/latest/API/API_PutObject.html",
        statement: ({ artifactBucketArn }) => allow("s3:PutObject", joined`${artifactBucketArn}/${manifestPrefix}*`),
    },
    ReadResults: {
        why: "a requester reads what became of each image",
        page: "AmazonS3/latest/API/API_GetObject.html",
        statement: ({ artifactBucketArn }) => allow("s3:GetObject", joined`${artifactBucketArn}/${resultPrefix}*`),
    },
    WriteEncrypted: writeEncrypted,
};

/** For whoever fetches archives. */
export const readArtifacts: PolicyTable<"at" | "artifactBucketArn" | "artifactPrefix" | "encryptionKeyArn"> = {
    ReadArchives: {
        why: "a reader fetches an archive, or the very version that the result of an export names",
        page: "AmazonS3/latest/API/API_GetObject.html",
        statement: ({ artifactBucketArn, artifactPrefix }) =>
            allow("s3:GetObject s3:GetObjectVersion", joined`${artifactBucketArn}/${artifactPrefix}*`),
    },
    ListArchives: {
        why: "a reader finds archives",
        page: "AmazonS3/latest/API/API_ListObjectsV2.html",
        statement: allowListing,
    },
    ReadEncrypted: readEncrypted,
};
