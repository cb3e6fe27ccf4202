import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { EcrRepository } from "../contract/image";
import { policyDocument, statementsOf } from "../policies/document";
import { checkDefinition } from "../policies/sizes";
import { stateMachineRole } from "../policies/stateMachineRole";
import { trust } from "../policies/trust";
import type { StateMachineDefinition } from "../stateMachines/language";
import { createLogGroup, createRole, type StackContext } from "./stackDefaults";

/** A state machine as others know it, and the log group of its executions. */
export type MachineNames = Readonly<Record<"arn" | "name" | "logGroupName", pulumi.Input<string>>>;

/** Arguments of {@link createStateMachine}. */
interface StateMachineArgs extends StackContext {
    /** What the state machine does, as the role's description says it: "exports container images". */
    readonly purpose: string;
    /** What is larger than Step Functions takes is refused with a pulumi.RunError. */
    readonly definition: StateMachineDefinition;
    /** What the definition grows with. @default nothing */
    readonly repositories?: readonly EcrRepository[];
    /** What the role may do, beside logs and traces. */
    readonly statements: pulumi.Input<aws.iam.PolicyStatement[]>;
}

/** Makes a state machine with what every one of this program has: a role of its own, a log group, traces. */
export function createStateMachine(name: string, args: StateMachineArgs, opts: pulumi.CustomResourceOptions) {
    checkDefinition(name, args.definition, args.repositories);
    // This prefix keeps the resource policy of CloudWatch Logs from growing with every state machine:
    // docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
    const logPrefix = `/aws/vendedlogs/states/${name}-`;
    const logGroup = createLogGroup(`${name}-log`, logPrefix, args.encryptionKeyArn, opts);
    const role = createRole(
        name,
        `Role of the state machine that ${args.purpose}`,
        // Pulumi names the state machine: its resource name, then random digits.
        trust.stateMachine(args.at, name),
        pulumi
            .output(args.statements)
            .apply((statements) => policyDocument([...statements, ...statementsOf(stateMachineRole, {})])),
        opts,
    );
    const machine = new aws.sfn.StateMachine(
        name,
        {
            type: "STANDARD",
            roleArn: role.arn,
            definition: pulumi.jsonStringify(args.definition),
            tracingConfiguration: { enabled: true },
            loggingConfiguration: {
                level: "ERROR",
                // Requests may name what nobody else should read.
                includeExecutionData: false,
                logDestination: pulumi.interpolate`${logGroup.arn}:*`,
            },
        },
        opts,
    );
    const names = { arn: machine.arn, name: machine.name, logGroupName: logGroup.name };
    return { names, roleName: role.name };
}
