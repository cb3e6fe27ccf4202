import * as pulumi from "@pulumi/pulumi";

import { exportDefinition, type ExportDefinitionArgs } from "./definition";
import {
    awaitBuilds,
    type AwsLocation,
    followExports,
    policyDocument,
    runBuilds,
    startExports,
} from "./iamStatements";
import { createStateMachine } from "./stateMachine";

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
        const { machine, logGroup } = createStateMachine(
            name,
            {
                ...args,
                purpose: "exports container images",
                definition: pulumi.jsonStringify(exportDefinition({ ...args, partition: args.at.partition })),
                statements: [runBuilds(args.projectArn), awaitBuilds(args.at)],
            },
            { parent: this },
        );

        this.stateMachineArn = machine.arn;
        this.stateMachineName = machine.name;
        this.logGroupName = logGroup.name;
        this.startExportPolicy = pulumi.jsonStringify(
            policyDocument(startExports(machine.arn), followExports(args.at, machine.name)),
        );
        this.registerOutputs({
            stateMachineArn: this.stateMachineArn,
            stateMachineName: this.stateMachineName,
            logGroupName: this.logGroupName,
            startExportPolicy: this.startExportPolicy,
        });
    }
}
