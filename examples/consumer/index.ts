/**
 * A program that builds on a stack of ecr-image-export by its outputs only: a task of ECS may start exports and read the
 * archives, and finds the result of each execution in a queue. To be deployed in the stack's own account and region, since that
 * is where EventBridge reports its executions.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { readStackOutputs, stackOutputNames, type StackOutputs } from "../../contract/outputs";

/** Declares everything, once the other stack is known to be what it has to be; what it returns are the outputs of this one. */
export = async () => {
    const pipeline = await readStack(new pulumi.Config().require("exportStack"));

    const role = new aws.iam.Role("releaser", {
        description: "Has images exported and passes the archives on",
        assumeRolePolicy: {
            Version: "2012-10-17",
            Statement: [
                {
                    Effect: "Allow",
                    Principal: { Service: "ecs-tasks.amazonaws.com" },
                    Action: "sts:AssumeRole",
                    Condition: { StringEquals: { "aws:SourceAccount": aws.getCallerIdentityOutput().accountId } },
                },
            ],
        },
    });
    new aws.iam.RolePolicy("start-exports", { role: role.name, policy: pipeline.startExportPolicy });
    new aws.iam.RolePolicy("read-archives", { role: role.name, policy: pipeline.readArtifactsPolicy });

    // Every end of an execution. The detail of the event carries the result of the export as a JSON string.
    const finished = new aws.cloudwatch.EventRule("finished-exports", {
        description: "Executions of ecr-image-export that have ended",
        eventPattern: JSON.stringify({
            source: ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            detail: {
                stateMachineArn: [pipeline.stateMachineArn],
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
    new aws.iam.RolePolicy("receive-results", {
        role: role.name,
        policy: {
            Version: "2012-10-17",
            Statement: [{ Effect: "Allow", Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage"], Resource: queue.arn }],
        },
    });

    return {
        /** The role for the task definition's `taskRoleArn`. */
        roleArn: role.arn,
        /** Where the role receives the results of executions. */
        queueUrl: queue.url,
        /** Where the role finds archives: the bucket, and the prefix of their keys. */
        archives: { bucket: pipeline.artifactBucketName, prefix: pipeline.artifactPrefix },
    };
};

/**
 * Reads the outputs of a stack of ecr-image-export, before anything depends on them.
 *
 * @throws pulumi.RunError with one message for all that is wrong, which the CLI prints without a stack trace.
 */
async function readStack(name: string): Promise<StackOutputs> {
    const stack = new pulumi.StackReference(name);
    const outputs: Record<string, unknown> = {};
    for (const output of stackOutputNames) outputs[output] = (await stack.getOutputDetails(output)).value;
    try {
        return readStackOutputs(outputs);
    } catch (error) {
        throw new pulumi.RunError(`The configuration value exportStack is "${name}". ${(error as Error).message}`);
    }
}
