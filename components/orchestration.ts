import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { exportDefinition, type ExportDefinitionArgs, isAskable } from "../stateMachines/export";
import { startExport } from "../policies/callers";
import { type PolicyArgs, policyOf, statementsOf } from "../policies/document";
import { exportRole } from "../policies/exportRole";
import { fittingStatements } from "../policies/sizes";
import { stateMachineRole } from "../policies/stateMachineRole";
import { buildsPage } from "./buildRunner";
import { createStateMachine, type MachineNames } from "./stateMachine";

export interface ExportOrchestrationArgs
    extends
        Omit<ExportDefinitionArgs, "buildsUrl">,
        Pick<PolicyArgs, "artifactBucketArn" | "projectArn" | "buildLogGroupName" | "encryptionKeyArn"> {}

/**
 * The state machine that people and programs start exports with, its role and its log group.
 *
 * @example new ExportOrchestration("export", { ...archives, ...timeouts, at, ...project, engine, imageUri, repositories });
 */
export class ExportOrchestration extends pulumi.ComponentResource {
    /** The state machine. */
    public readonly stateMachine: MachineNames;
    /** JSON policy that lets a principal start exports, follow them and their builds, and stop them. */
    public readonly startExportPolicy: pulumi.Output<string>;

    public constructor(name: string, args: ExportOrchestrationArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:ExportOrchestration", name, args, opts);
        const { names } = createStateMachine(
            `${name}-machine`,
            {
                ...args,
                purpose: "exports container images",
                definition: exportDefinition({ ...args, buildsUrl: buildsPage(args.at, args.projectName) }),
                statements: statements(args),
            },
            { parent: this },
        );

        this.stateMachine = names;
        this.startExportPolicy = pulumi.jsonStringify(
            policyOf(startExport, { ...args, machineArn: names.arn, machineName: names.name }),
        );
        this.registerOutputs({ stateMachine: this.stateMachine, startExportPolicy: this.startExportPolicy });
    }
}

function statements(args: ExportOrchestrationArgs): pulumi.Output<aws.iam.PolicyStatement[]> {
    // Those of other accounts are among them until the stack's own is known.
    const near = args.repositories.filter((repository) => isAskable(args, repository));
    const longest = { ...args, askedRepositories: near };
    fittingStatements("the role of the export state machine", exportRole, longest, near, stateMachineRole);
    return pulumi.output(args.at.accountId).apply((accountId) => {
        // Another account would have to let it.
        const askedRepositories = near.filter((repository) => repository.accountId === accountId);
        return pulumi.output(statementsOf(exportRole, { ...args, askedRepositories }));
    });
}
