/** Runs a state machine's definition in an interpreter, with builds and AWS services that are simulated. */
import { strict as assert } from "node:assert";

import {
    ExecutionError,
    StateMachine,
    type StateMachineDefinition as Definition,
} from "aws-local-stepfunctions";

import type { StateMachineDefinition } from "../../stateMachines/export";

/** How an execution ended: well, or as its Fail state says. */
export type Outcome =
    { readonly output: Record<string, unknown> } | { readonly error: string; readonly cause: string };

/** The parameters of `codebuild:startBuild.sync`, as the state machine gives them. */
export interface StartBuild {
    readonly ProjectName: string;
    readonly EnvironmentVariablesOverride: readonly { Name: string; Type: string; Value: string }[];
}

/** Simulates CodeBuild: answers with the output of the task, or throws an {@link awsError}. */
export type Build = (request: StartBuild) => unknown;

/** The task that starts a build. */
export const task = "Export image";

/** The id of every execution. */
export const executionId = "arn:aws:states:ap-northeast-1:111122223333:execution:export:1";

/** Simulates what the tasks of a definition call; what it does not call can be left out. Each answers with the output of the task, or throws an {@link awsError}. */
export interface Services {
    /** `codebuild:startBuild.sync` */
    readonly build?: Build;
    /** `ecr:describeImages` @default no image is there that anybody asks for */
    readonly describeImages?: (request: Json) => unknown;
    /** `s3:headObject` @default there is no object */
    readonly headObject?: (request: { Bucket: string; Key: string }) => unknown;
    /** `sfn:describeExecution` */
    readonly describeExecution?: (request: { ExecutionArn: string }) => unknown;
    /** `sns:publish` */
    readonly publish?: (request: Published) => unknown;
    /** `states:startExecution` */
    readonly startExecution?: (request: { Name: string; Input: unknown }) => unknown;
}

/** The parameters of `sns:publish`, as the state machine gives them. */
export interface Published {
    readonly TopicArn: string;
    readonly Subject: string;
    readonly MessageStructure: string;
    readonly Message: Record<string, string>;
}

type Json = Parameters<StateMachine["run"]>[0];

/** An error as Step Functions reports it: `Error` is its name, `Cause` its message. */
export function awsError(name: string, cause: string): Error {
    return Object.assign(new Error(cause), { name });
}

/** Starts an execution; retries happen at once. */
export function start(
    definition: StateMachineDefinition,
    input: unknown,
    services: Services,
): { readonly outcome: Promise<Outcome>; readonly abort: () => void } {
    const machine = new StateMachine(structuredClone(definition) as unknown as Definition, {
        validationOptions: { noValidate: true }, // a test of its own validates
    });
    const tasks = Object.entries(definition.States).filter(([, { Type }]) => Type === "Task");
    const asSent = JSON.parse(JSON.stringify(input)) as Json; // StartExecution takes a text
    const { result, abort } = machine.run(asSent, {
        overrides: {
            taskResourceLocalHandlers: Object.fromEntries(
                tasks.map(([name, { Resource }]) => {
                    const serve = serviceOf(String(Resource), services);
                    return [name, async (request) => (await serve(request)) as Json];
                }),
            ),
            retryIntervalOverrides: Object.fromEntries(tasks.map(([name]) => [name, 0])),
        },
        context: { Execution: { Id: executionId, Input: asSent } },
    });
    const outcome = result.then(
        (output) => ({ output: output as Record<string, unknown> }),
        (error: unknown) => {
            if (!(error instanceof ExecutionError)) throw error;
            assert(error.cause instanceof Error, "an execution that failed has a cause");
            return { error: error.cause.name, cause: error.cause.message };
        },
    );
    return { outcome, abort };
}

/** What a task of this resource calls. */
function serviceOf(resource: string, services: Services): (request: Json) => unknown {
    const noObject = () => {
        throw awsError("S3.NoSuchKeyException", "Not Found (Service: S3, Status Code: 404)");
    };
    const simulated: Record<string, unknown> = {
        "codebuild:startBuild.sync": services.build,
        "aws-sdk:ecr:describeImages": services.describeImages ?? (() => ({ ImageDetails: [] })),
        "aws-sdk:s3:headObject": services.headObject ?? noObject,
        "aws-sdk:sfn:describeExecution": services.describeExecution,
        "sns:publish": services.publish,
        "states:startExecution": services.startExecution,
    };
    const service = simulated[resource.split(":states:::")[1] ?? ""];
    if (service === undefined) throw new Error(`nothing simulates ${resource}`);
    return service as (request: Json) => unknown;
}

/** Runs an execution to its end. */
export function execute(
    definition: StateMachineDefinition,
    input: unknown,
    services: Services,
): Promise<Outcome> {
    return start(definition, input, services).outcome;
}
