import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { exportDefinition, type ExportDefinitionArgs, isAskable } from "../stateMachines/export";
import { startExport } from "../policies/callers";
import { policyOf, statementsOf } from "../policies/document";
import { exportRole } from "../policies/exportRole";
import { fittingStatements } from "../policies/sizes";
import { stateMachineRole } from "../policies/stateMachineRole";
import { buildsPage } from "./buildRunner";
import { LoggedStateMachine } from "./stateMachine";

/** Arguments of {@link ExportOrchestration}. */
export interface ExportOrchestrationArgs extends Omit<ExportDefinitionArgs, "buildsUrl"> {
    /** ARN of the CodeBuild project that exports one image. */
    readonly projectArn: pulumi.Input<string>;
    /** Name of the log group of the project's builds. */
    readonly buildLogGroupName: pulumi.Input<string>;
    /** ARN of the bucket of the archives. */
    readonly artifactBucketArn: pulumi.Input<string>;
    /** ARN of the KMS key that encrypts the log; undefined where AWS's own keys do. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
}

/**
 * The state machine that people and programs start exports with, its role and its log group.
 *
 * @example new ExportOrchestration("export", { ...archives, ...timeouts, at, ...project, engine, imageUri, repositories });
 */
export class ExportOrchestration extends pulumi.ComponentResource {
    /** ARN of the state machine. */
    public readonly stateMachineArn: pulumi.Output<string>;
    /** Name of the state machine. */
    public readonly stateMachineName: pulumi.Output<string>;
    /** Name of the executions' log group. */
    public readonly logGroupName: pulumi.Output<string>;
    /** JSON policy that lets a principal start exports, follow them and their builds, and stop them. */
    public readonly startExportPolicy: pulumi.Output<string>;

    public constructor(name: string, args: ExportOrchestrationArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:ExportOrchestration", name, args, opts);
        const machine = new LoggedStateMachine(
            `${name}-machine`,
            {
                ...args,
                purpose: "exports container images",
                definition: pulumi.jsonStringify(
                    exportDefinition({
                        ...args,
                        buildsUrl: buildsPage(args.at, args.projectName),
                    }),
                ),
                statements: statements(args),
            },
            { parent: this },
        );

        this.stateMachineArn = machine.arn;
        this.stateMachineName = machine.name;
        this.logGroupName = machine.logGroupName;
        this.startExportPolicy = pulumi.jsonStringify(
            policyOf(startExport, { ...args, machineArn: machine.arn, machineName: machine.name }),
        );
        this.registerOutputs({
            stateMachineArn: this.stateMachineArn,
            stateMachineName: this.stateMachineName,
            logGroupName: this.logGroupName,
            startExportPolicy: this.startExportPolicy,
        });
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
