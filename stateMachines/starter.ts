/**
 * The definition of the state machine that triggers start exports through. Pure, and written under the rules of
 * definition.ts.
 *
 * EventBridge delivers an event at least once, and cannot name the execution that it starts. This state machine can:
 * the name is made of what the trigger was, so that the same event twice starts one export
 * (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
 */
import type * as pulumi from "@pulumi/pulumi";

import type { StateMachineDefinition } from "./export";

/** Arguments of {@link starterDefinition}. */
export interface StarterDefinitionArgs {
    /** AWS partition of the stack, for instance `aws`. */
    readonly partition: string;
    /** ARN of the state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
}

/**
 * The state machine that starts one export. Its input, which a trigger makes: `trigger`, a word; `identity`, a text that
 * two deliveries of the same event share; `request`, the request.
 */
export function starterDefinition(args: StarterDefinitionArgs): StateMachineDefinition {
    return {
        Comment: "Starts the export that a push or a schedule asks for, once",
        StartAt: "Start export",
        States: {
            "Start export": {
                Type: "Task",
                Resource: `arn:${args.partition}:states:::states:startExecution`,
                Parameters: {
                    StateMachineArn: args.exportMachineArn,
                    "Name.$": "States.Format('{}-{}', $.trigger, States.Hash($.identity, 'SHA-256'))",
                    "Input.$": "$.request",
                },
                Retry: [
                    {
                        ErrorEquals: [
                            "StepFunctions.ExecutionLimitExceededException",
                            "StepFunctions.ThrottlingException",
                            "StepFunctions.SdkClientException",
                            "StepFunctions.AWSStepFunctionsException",
                        ],
                        IntervalSeconds: 5,
                        BackoffRate: 2,
                        MaxAttempts: 8,
                        MaxDelaySeconds: 300,
                        JitterStrategy: "FULL",
                    },
                ],
                Catch: [
                    {
                        ErrorEquals: ["StepFunctions.ExecutionAlreadyExistsException"],
                        Next: "Already started",
                    },
                ],
                End: true,
            },
            "Already started": { Type: "Succeed" },
        },
    };
}
