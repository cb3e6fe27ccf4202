/** A state machine with what every one of this program has: a role of its own, a log group, traces. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import {
    assumedByStepFunctions,
    type AwsLocation,
    deliverExecutionLog,
    policyDocument,
    traceExecutions,
} from "../policies/statements";

/** Arguments of {@link createStateMachine}. */
export interface StateMachineArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation;
    /** What the state machine is for: the role's description says so. */
    readonly purpose: string;
    /** The definition, as JSON. */
    readonly definition: pulumi.Input<string>;
    /** What the role may do, beside logs and traces. */
    readonly statements: pulumi.Input<aws.iam.PolicyStatement[]>;
    /** ARN of the KMS key that encrypts the log; undefined where AWS's own keys do. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
    /**
     * Days that the executions' log is kept.
     *
     * @default 90
     */
    readonly logRetentionDays?: number | undefined;
    /** Tags of state machine, role and log group. */
    readonly tags: Record<string, string>;
}

/** A state machine, its role and its log group. */
export interface LoggedStateMachine {
    readonly machine: aws.sfn.StateMachine;
    readonly role: aws.iam.Role;
    readonly logGroup: aws.cloudwatch.LogGroup;
}

/** Declares `NAME-machine`, `NAME-machine-role`, `NAME-machine-policy` and `NAME-execution-log`. */
export function createStateMachine(
    name: string,
    args: StateMachineArgs,
    opts: pulumi.CustomResourceOptions,
): LoggedStateMachine {
    const machineName = `${name}-machine`;
    const logGroup = new aws.cloudwatch.LogGroup(
        `${name}-execution-log`,
        {
            // This prefix keeps the resource policy of CloudWatch Logs from growing with every state machine:
            // docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
            namePrefix: `/aws/vendedlogs/states/${name}-`,
            retentionInDays: args.logRetentionDays ?? 90,
            kmsKeyId: args.encryptionKeyArn,
            tags: args.tags,
        },
        opts,
    );
    const role = new aws.iam.Role(
        `${machineName}-role`,
        {
            description: `Role of the state machine that ${args.purpose}`,
            // Pulumi names the state machine: its resource name, then random digits.
            assumeRolePolicy: policyDocument(assumedByStepFunctions(args.at, machineName)),
            tags: args.tags,
        },
        opts,
    );
    const policy = new aws.iam.RolePolicy(
        `${machineName}-policy`,
        {
            role: role.name,
            policy: pulumi
                .output(args.statements)
                .apply((statements) =>
                    policyDocument(...statements, deliverExecutionLog(), traceExecutions()),
                ),
        },
        opts,
    );
    const machine = new aws.sfn.StateMachine(
        machineName,
        {
            type: "STANDARD",
            roleArn: role.arn,
            definition: args.definition,
            tracingConfiguration: { enabled: true },
            loggingConfiguration: {
                level: "ERROR",
                // Requests may name what nobody else should read.
                includeExecutionData: false,
                logDestination: pulumi.interpolate`${logGroup.arn}:*`,
            },
            tags: args.tags,
        },
        // Step Functions checks at creation that the role may deliver the log.
        { ...opts, dependsOn: [policy] },
    );
    return { machine, role, logGroup };
}
