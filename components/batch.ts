import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { batchDefinition } from "../stateMachines/batch";
import { batchMapRole, batchRole } from "../policies/batchRole";
import { startBatch } from "../policies/callers";
import { policyOf, type StackLocation, statementsOf } from "../policies/document";
import { LoggedStateMachine } from "./stateMachine";

/** Arguments of {@link BatchOrchestration}. */
export interface BatchOrchestrationArgs {
    /** Where the stack lives. */
    readonly at: StackLocation;
    /** ARN of the state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
    /** Name of that state machine. */
    readonly exportMachineName: pulumi.Input<string>;
    /** Name of the bucket of the archives, where manifests are read and results are written. */
    readonly artifactBucketName: pulumi.Input<string>;
    /** ARN of the bucket of the archives. */
    readonly artifactBucketArn: pulumi.Input<string>;
    /** ARN of the KMS key that encrypts manifests, results and log; undefined where AWS's own keys do. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
    /** Images that are exported at a time, 1 to 10,000. */
    readonly maxConcurrency: number;
}

/**
 * The state machine that exports many images, each by an execution of the export state machine.
 *
 * @example new BatchOrchestration("export-batch", { ...storage, at, ...exportMachine, maxConcurrency: 10 });
 */
export class BatchOrchestration extends pulumi.ComponentResource {
    /** ARN of the state machine. */
    public readonly stateMachineArn: pulumi.Output<string>;
    /** Name of the state machine. */
    public readonly stateMachineName: pulumi.Output<string>;
    /** Name of the executions' log group. */
    public readonly logGroupName: pulumi.Output<string>;
    /** JSON policy that lets a principal put manifests, start batches, follow and stop them, and read their results. */
    public readonly startBatchPolicy: pulumi.Output<string>;

    public constructor(name: string, args: BatchOrchestrationArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:BatchOrchestration", name, args, opts);
        const machine = new LoggedStateMachine(
            `${name}-machine`,
            {
                ...args,
                purpose: "exports container images in batches",
                definition: pulumi.jsonStringify(
                    batchDefinition({ ...args, partition: args.at.partition, artifactBucket: args.artifactBucketName }),
                ),
                statements: statementsOf(batchRole, args),
            },
            { parent: this },
        );
        const itself = { at: args.at, machineArn: machine.arn, machineName: machine.name };
        // Of its own, since it names the state machine, which needs the other one to be made.
        new aws.iam.RolePolicy(
            `${name}-map-policy`,
            { role: machine.roleName, policy: policyOf(batchMapRole, itself) },
            { parent: this },
        );

        this.stateMachineArn = machine.arn;
        this.stateMachineName = machine.name;
        this.logGroupName = machine.logGroupName;
        this.startBatchPolicy = pulumi.jsonStringify(policyOf(startBatch, { ...args, ...itself }));
        this.registerOutputs({
            stateMachineArn: this.stateMachineArn,
            stateMachineName: this.stateMachineName,
            logGroupName: this.logGroupName,
            startBatchPolicy: this.startBatchPolicy,
        });
    }
}
