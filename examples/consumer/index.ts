/**
 * A program that builds on a stack of ecr-image-export, by its outputs alone: a task of ECS may start exports and read the
 * archives, and finds in a queue what each execution came to. To be deployed in the stack's own account and region, since
 * that is where EventBridge tells of its executions.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { readStackOutput } from "../../components/stackOutputs";

const config = new pulumi.Config();
const exportStack = new pulumi.StackReference(config.require("exportStack"));

const role = new aws.iam.Role("releaser", {
    description: "Has images exported and passes the archives on",
    assumeRolePolicy: {
        Version: "2012-10-17",
        Statement: [
            {
                Effect: "Allow",
                Principal: { Service: "ecs-tasks.amazonaws.com" },
                Action: "sts:AssumeRole",
                Condition: {
                    StringEquals: { "aws:SourceAccount": aws.getCallerIdentityOutput().accountId },
                },
            },
        ],
    },
});
for (const policy of ["startExportPolicy", "readArtifactsPolicy"] as const) {
    new aws.iam.RolePolicy(policy, { role: role.name, policy: readStackOutput(exportStack, policy) });
}

// Every end of an execution, good or bad. The detail of the event carries the result of the export, as JSON text.
const finished = new aws.cloudwatch.EventRule("finished-exports", {
    description: "Executions of ecr-image-export that have ended",
    eventPattern: pulumi.jsonStringify({
        source: ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        detail: {
            stateMachineArn: [readStackOutput(exportStack, "stateMachineArn")],
            status: ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
        },
    }),
});
const queue = new aws.sqs.Queue("finished-exports", {
    sqsManagedSseEnabled: true,
    messageRetentionSeconds: 14 * 24 * 60 * 60,
});
const queuePolicy = new aws.sqs.QueuePolicy("finished-exports", {
    queueUrl: queue.url,
    policy: pulumi.jsonStringify({
        Version: "2012-10-17",
        Statement: [
            {
                Effect: "Allow",
                Principal: { Service: "events.amazonaws.com" },
                Action: "sqs:SendMessage",
                Resource: queue.arn,
                Condition: { ArnEquals: { "aws:SourceArn": finished.arn } },
            },
        ],
    }),
});
new aws.cloudwatch.EventTarget(
    "finished-exports",
    { rule: finished.name, arn: queue.arn },
    // EventBridge drops what a queue does not admit.
    { dependsOn: [queuePolicy] },
);
new aws.iam.RolePolicy("receive", {
    role: role.name,
    policy: {
        Version: "2012-10-17",
        Statement: [
            { Effect: "Allow", Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage"], Resource: queue.arn },
        ],
    },
});

/** The role for the task definition's `taskRoleArn`. */
export const roleArn = role.arn;
/** Where the role receives what executions came to. */
export const queueUrl = queue.url;
/** Where the role finds archives: the bucket, and the prefix of their keys. */
export const archives = {
    bucket: readStackOutput(exportStack, "artifactBucketName"),
    prefix: readStackOutput(exportStack, "artifactPrefix"),
};
