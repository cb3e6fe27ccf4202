/** The role of the state machine that exports batches, beside what every state machine's has. */
import { manifestPrefix, resultPrefix } from "../contract/keys";
import { allow, arnIn, joined, type PolicyTable } from "./document";
import { writeEncrypted } from "./key";
import { executionsOf } from "./stateMachineRole";

/** What {@link batchRole} is about. */
export type BatchRoleArgs = "at" | "exportMachineArn" | "exportMachineName" | "artifactBucketArn" | "encryptionKeyArn";

export const batchRole = {
    ExportEachImage: {
        why: "a batch exports each image by an execution of the export state machine",
        page: "step-functions/latest/dg/connect-stepfunctions.html",
        statement: ({ exportMachineArn }) => allow("states:StartExecution", exportMachineArn),
    },
    FollowEachExport: {
        why: "a batch reads how those executions ended, and stops them when it is stopped itself: they would run on and be billed",
        page: "step-functions/latest/dg/connect-stepfunctions.html",
        statement: ({ at, exportMachineName }) =>
            allow("states:DescribeExecution states:StopExecution", executionsOf(at, exportMachineName)),
    },
    AwaitExports: {
        why: "Step Functions learns from one EventBridge rule, which it manages itself, that an execution has ended",
        page: "step-functions/latest/dg/connect-stepfunctions.html",
        statement: ({ at }) =>
            allow(
                "events:DescribeRule events:PutRule events:PutTargets",
                arnIn(at, "events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"),
            ),
    },
    ReadManifests: {
        why: "a batch reads the manifest that somebody has put under its prefix",
        page: "step-functions/latest/dg/input-output-itemreader.html",
        statement: ({ artifactBucketArn }) => allow("s3:GetObject", joined`${artifactBucketArn}/${manifestPrefix}*`),
    },
    WriteResults: {
        why: "Step Functions writes what became of each image, large results in parts",
        page: "step-functions/latest/dg/input-output-resultwriter.html",
        statement: ({ artifactBucketArn }) =>
            allow(
                "s3:AbortMultipartUpload s3:GetObject s3:ListMultipartUploadParts s3:PutObject",
                joined`${artifactBucketArn}/${resultPrefix}*`,
            ),
    },
    WriteEncrypted: writeEncrypted,
} satisfies PolicyTable<BatchRoleArgs>;

/** Statements in a policy of their own: they name the state machine, which needs the other policy to be created. */
export const batchMapRole = {
    RunMap: {
        why: "a Distributed Map runs each item in an execution of the state machine that it belongs to",
        page: "step-functions/latest/dg/iam-policies-eg-dist-map.html",
        statement: ({ machineArn }) => allow("states:StartExecution", machineArn),
    },
    FollowMap: {
        why: "Step Functions reads how each item ended, and stops the items of a batch that is stopped; their ARN has the label of the Map behind the name of the state machine (`execution:NAME/LABEL:ID`), AWS documents the permission without it",
        page: "step-functions/latest/dg/iam-policies-eg-dist-map.html",
        statement: ({ at, machineName }) =>
            allow("states:DescribeExecution states:StopExecution", [
                executionsOf(at, machineName),
                arnIn(at, "states", joined`execution:${machineName}/*`),
            ]),
    },
    CountResults: {
        why: "a batch, and whoever follows it, asks its own Map Runs how many images were exported",
        page: "step-functions/latest/apireference/API_DescribeMapRun.html",
        statement: ({ at, machineName }) =>
            allow("states:DescribeMapRun", arnIn(at, "states", joined`mapRun:${machineName}/*`)),
    },
} satisfies PolicyTable<"at" | "machineArn" | "machineName">;
