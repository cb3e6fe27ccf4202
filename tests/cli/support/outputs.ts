import type { StackOutputs } from "../../../contract/outputs";

const account = "111122223333";

/** Outputs of a stack, as `pulumi stack output --json` has them. */
export const outputs: StackOutputs = {
    artifactBucketName: "bucket",
    artifactBucketArn: "arn:aws:s3:::bucket",
    artifactPrefix: "images/",
    stateMachineArn: `arn:aws:states:eu-west-1:${account}:stateMachine:export`,
    stateMachineName: "export",
    batchStateMachineArn: `arn:aws:states:eu-west-1:${account}:stateMachine:batch`,
    buildProjectName: "project",
    buildRoleArn: `arn:aws:iam::${account}:role/build`,
    dashboardUrl: "https://dashboard",
    logGroupNames: { builds: "group" },
    startExportPolicy: "{}",
    startBatchPolicy: "{}",
    readArtifactsPolicy: "{}",
    repositoryPolicies: {},
};
