/**
 * An execution on this machine: runs the declared definition in an interpreter of the Amazon States Language, and
 * serves `codebuild:startBuild.sync` as Step Functions does, under credentials of the state machine's role.
 */
import { randomUUID } from "node:crypto";

import {
    BatchGetBuildsCommand,
    CodeBuildClient,
    StartBuildCommand,
    StopBuildCommand,
} from "@aws-sdk/client-codebuild";
import {
    DescribeRuleCommand,
    EventBridgeClient,
    PutRuleCommand,
    PutTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import { StateMachine } from "aws-local-stepfunctions";

import type { Build, Credentials } from "./codebuild";
import type { DeclaredStateMachine } from "./provision";

/** What an execution runs with. */
export interface ExecutionHost {
    readonly region: string;
    /** URL of the AWS API. */
    readonly endpoint: string;
    /** Credentials of the state machine's role. */
    readonly credentials: Credentials;
    /** Runs a build of a project with the variables of the request. */
    readonly runBuild: (
        project: string,
        variables: Record<string, string>,
        signal: AbortSignal,
    ) => Promise<Build>;
    /** Called with the name of each state that is entered. */
    readonly enter: (state: string) => void;
    /** Aborts the execution, which stops its build. */
    readonly signal: AbortSignal;
}

/** How an execution ended. */
export type ExecutionResult =
    | { readonly status: "SUCCEEDED"; readonly output: Record<string, unknown> }
    | { readonly status: "FAILED"; readonly error: string; readonly cause: string }
    | { readonly status: "ABORTED" };

interface StartBuildParameters {
    readonly ProjectName: string;
    readonly EnvironmentVariablesOverride: readonly { readonly Name: string; readonly Value: string }[];
}

type Json = Parameters<StateMachine["run"]>[0];

/** Runs one execution to its end. */
export async function execute(
    host: ExecutionHost,
    machine: DeclaredStateMachine,
    input: unknown,
): Promise<ExecutionResult> {
    const definition = JSON.parse(machine.definition) as ConstructorParameters<typeof StateMachine>[0];
    const tasks = Object.entries(definition.States).filter(
        ([, state]) =>
            state.Type === "Task" && state.Resource.endsWith(":states:::codebuild:startBuild.sync"),
    );
    const name = randomUUID();
    const execution = new StateMachine(definition).run(input as Json, {
        overrides: {
            taskResourceLocalHandlers: Object.fromEntries(
                tasks.map(([state]) => [
                    state,
                    async (parameters) =>
                        (await startBuildSync(
                            host,
                            parameters as unknown as StartBuildParameters,
                        )) as unknown as Json,
                ]),
            ),
        },
        context: {
            Execution: {
                Id: `${machine.arn.replace(":stateMachine:", ":execution:")}:${name}`,
                Input: input as Json,
                Name: name,
                RoleArn: machine.roleArn,
                StartTime: new Date().toISOString(),
            },
            StateMachine: { Id: machine.arn, Name: machine.name },
        },
        noThrowOnAbort: true,
    });
    host.signal.addEventListener("abort", execution.abort);
    const result = execution.result.then(
        (output): ExecutionResult =>
            host.signal.aborted
                ? { status: "ABORTED" }
                : { status: "SUCCEEDED", output: output as Record<string, unknown> },
        failure,
    );
    for await (const event of execution.eventLogs) {
        if (event.type === "StateEntered") host.enter(event.state.name);
    }
    host.signal.removeEventListener("abort", execution.abort);
    return result;
}

/** The calls of the integration, each of which the state machine's role must be allowed. */
async function startBuildSync(
    host: ExecutionHost,
    parameters: StartBuildParameters,
): Promise<{ Build: Build }> {
    const client = {
        region: host.region,
        endpoint: host.endpoint,
        credentials: host.credentials,
        maxAttempts: 1,
    };
    const events = new EventBridgeClient(client);
    const codebuild = new CodeBuildClient(client);
    const rule = "StepFunctionsGetEventForCodeBuildStartBuildRule";
    const pattern = { source: ["aws.codebuild"], "detail-type": ["CodeBuild Build State Change"] };
    const target = { Id: "StepFunctions", Arn: `arn:aws:states:${host.region}::target` };

    await called(events.send(new PutRuleCommand({ Name: rule, EventPattern: JSON.stringify(pattern) })));
    await called(events.send(new PutTargetsCommand({ Rule: rule, Targets: [target] })));
    await called(events.send(new DescribeRuleCommand({ Name: rule })));
    await called(codebuild.send(new StartBuildCommand({ projectName: parameters.ProjectName })));
    const variables = parameters.EnvironmentVariablesOverride.map(({ Name, Value }) => [Name, Value]);
    const build = await host.runBuild(
        parameters.ProjectName,
        Object.fromEntries(variables) as Record<string, string>,
        host.signal,
    );
    await called(codebuild.send(new BatchGetBuildsCommand({ ids: [build.Id] })));
    if (build.BuildStatus === "STOPPED") await called(codebuild.send(new StopBuildCommand({ id: build.Id })));
    if (build.BuildStatus !== "SUCCEEDED") throw named("States.TaskFailed", JSON.stringify(build));
    return { Build: build };
}

/** Makes a call; its error is named as the states language names it: `CodeBuild.` and the exception. */
async function called(call: Promise<unknown>): Promise<void> {
    try {
        await call;
    } catch (error) {
        if (!(error instanceof Error)) throw error;
        // moto writes times as text, where CodeBuild's API has numbers: the SDK cannot read the answer, which was good.
        if ("$response" in error && !("$fault" in error)) return;
        throw named(`CodeBuild.${error.name}`, error.message);
    }
}

function named(name: string, message: string): Error {
    const error = new Error(message);
    error.name = name;
    return error;
}

function failure(error: unknown): ExecutionResult {
    // The interpreter wraps what the Fail state reports.
    const reported = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
    return reported === undefined
        ? { status: "FAILED", error: "States.Runtime", cause: String(error) }
        : { status: "FAILED", error: reported.name, cause: reported.message };
}
