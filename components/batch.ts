import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { batchDefinition, type BatchDefinitionArgs } from "../stateMachines/batch";
import { batchMapRole, batchRole, type BatchRoleArgs } from "../policies/batchRole";
import { startBatch } from "../policies/callers";
import { type PolicyArgs, policyOf, statementsOf } from "../policies/document";
import { createStateMachine, type MachineNames } from "./stateMachine";

export interface BatchOrchestrationArgs extends Pick<PolicyArgs, BatchRoleArgs>, BatchDefinitionArgs {}

/**
 * The state machine that exports many images, each by an execution of the export state machine.
 *
 * @example new BatchOrchestration("export-batch", { ...storage, at, ...exportMachine, maxConcurrency: 10 });
 */
export class BatchOrchestration extends pulumi.ComponentResource {
    /** The state machine. */
    public readonly stateMachine: MachineNames;
    /** JSON policy that lets a principal put manifests, start batches, follow and stop them, and read their results. */
    public readonly startBatchPolicy: pulumi.Output<string>;

    public constructor(name: string, args: BatchOrchestrationArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:BatchOrchestration", name, args, opts);
        const { names, roleName } = createStateMachine(
            `${name}-machine`,
            {
                ...args,
                purpose: "exports container images in batches",
                definition: batchDefinition(args),
                statements: statementsOf(batchRole, args),
            },
            { parent: this },
        );
        const itself = { at: args.at, machineArn: names.arn, machineName: names.name };
        // Of its own, since it names the state machine, which needs the other one to be made.
        new aws.iam.RolePolicy(
            `${name}-map-policy`,
            { role: roleName, policy: policyOf(batchMapRole, itself) },
            { parent: this },
        );

        this.stateMachine = names;
        this.startBatchPolicy = pulumi.jsonStringify(policyOf(startBatch, { ...args, ...itself }));
        this.registerOutputs({ stateMachine: this.stateMachine, startBatchPolicy: this.startBatchPolicy });
    }
}
