import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { exportDefinition, type ExportDefinitionArgs } from "./definition";
import {
    assumedByStepFunctions,
    awaitBuilds,
    type AwsLocation,
    deliverExecutionLog,
    followExports,
    policyDocument,
    runBuilds,
    startExports,
    traceExecutions,
} from "./iamStatements";

/** Arguments of {@link ExportOrchestration}. */
export interface ExportOrchestrationArgs extends Omit<ExportDefinitionArgs, "partition"> {
    /** Where the stack lives. */
    readonly at: AwsLocation;
    /** ARN of the CodeBuild project that exports one image. */
    readonly projectArn: pulumi.Input<string>;
    /**
     * Days that the executions' log is kept.
     *
     * @default 90
     */
    readonly logRetentionDays?: number;
    /** Tags of state machine, role and log group. */
    readonly tags: Record<string, string>;
}

/**
 * The state machine that people and programs start exports with, its role and its log group.
 *
 * @example
 * const orchestration = new ExportOrchestration("export", {
 *     at: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" },
 *     projectName: runner.projectName,
 *     projectArn: runner.projectArn,
 *     engine: "docker",
 *     imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:latest",
 *     repositories,
 *     artifactBucket: storage.bucketName,
 *     artifactPrefix: "images/",
 *     timeoutMinutes: 30,
 *     queuedTimeoutMinutes: 60,
 *     tags: { project: "ecr-image-export" },
 * });
 */
export class ExportOrchestration extends pulumi.ComponentResource {
    /** ARN of the state machine. */
    public readonly stateMachineArn: pulumi.Output<string>;
    /** Name of the state machine. */
    public readonly stateMachineName: pulumi.Output<string>;
    /** Name of the executions' log group. */
    public readonly logGroupName: pulumi.Output<string>;
    /** JSON policy that lets a principal start exports, follow and stop them. */
    public readonly startExportPolicy: pulumi.Output<string>;

    public constructor(name: string, args: ExportOrchestrationArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:ExportOrchestration", name, args, opts);
        const child = { parent: this };

        const stateMachineResourceName = `${name}-machine`;
        const logGroup = createLogGroup(name, args, child);
        const role = createRole(name, stateMachineResourceName, args, child);
        const policy = attachPolicy(name, role, args, child);
        const stateMachine = createStateMachine(stateMachineResourceName, role, logGroup, args, {
            ...child,
            // Step Functions checks at creation that the role may deliver the log.
            dependsOn: [policy],
        });

        this.stateMachineArn = stateMachine.arn;
        this.stateMachineName = stateMachine.name;
        this.logGroupName = logGroup.name;
        this.startExportPolicy = pulumi.jsonStringify(
            policyDocument(startExports(stateMachine.arn), followExports(args.at, stateMachine.name)),
        );
        this.registerOutputs({
            stateMachineArn: this.stateMachineArn,
            stateMachineName: this.stateMachineName,
            logGroupName: this.logGroupName,
            startExportPolicy: this.startExportPolicy,
        });
    }
}

function createLogGroup(
    name: string,
    args: ExportOrchestrationArgs,
    opts: pulumi.CustomResourceOptions,
): aws.cloudwatch.LogGroup {
    return new aws.cloudwatch.LogGroup(
        `${name}-execution-log`,
        {
            // This prefix keeps the resource policy of CloudWatch Logs from growing with every state machine:
            // docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
            namePrefix: `/aws/vendedlogs/states/${name}-`,
            retentionInDays: args.logRetentionDays ?? 90,
            tags: args.tags,
        },
        opts,
    );
}

function createRole(
    name: string,
    stateMachineResourceName: string,
    args: ExportOrchestrationArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.Role {
    return new aws.iam.Role(
        `${name}-machine-role`,
        {
            description: "Role of the state machine that exports container images",
            // Pulumi names the state machine: its resource name, then random digits.
            assumeRolePolicy: policyDocument(assumedByStepFunctions(args.at, stateMachineResourceName)),
            tags: args.tags,
        },
        opts,
    );
}

function attachPolicy(
    name: string,
    role: aws.iam.Role,
    args: ExportOrchestrationArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.RolePolicy {
    return new aws.iam.RolePolicy(
        `${name}-machine-policy`,
        {
            role: role.name,
            policy: policyDocument(
                runBuilds(args.projectArn),
                awaitBuilds(args.at),
                deliverExecutionLog(),
                traceExecutions(),
            ),
        },
        opts,
    );
}

function createStateMachine(
    stateMachineResourceName: string,
    role: aws.iam.Role,
    logGroup: aws.cloudwatch.LogGroup,
    args: ExportOrchestrationArgs,
    opts: pulumi.CustomResourceOptions,
): aws.sfn.StateMachine {
    return new aws.sfn.StateMachine(
        stateMachineResourceName,
        {
            type: "STANDARD",
            roleArn: role.arn,
            definition: pulumi.jsonStringify(exportDefinition({ ...args, partition: args.at.partition })),
            tracingConfiguration: { enabled: true },
            loggingConfiguration: {
                level: "ERROR",
                // Requests may name what nobody else should read.
                includeExecutionData: false,
                logDestination: pulumi.interpolate`${logGroup.arn}:*`,
            },
            tags: args.tags,
        },
        opts,
    );
}
