/**
 * An execution on this machine: runs the declared definition in an interpreter of the Amazon States Language, and
 * serves its integrations as Step Functions does, under credentials of the state machine's role.
 */
import { createHash, randomUUID } from "node:crypto";

import {
    BatchGetBuildsCommand,
    CodeBuildClient,
    StartBuildCommand,
    StopBuildCommand,
} from "@aws-sdk/client-codebuild";
import { DescribeImagesCommand, ECRClient } from "@aws-sdk/client-ecr";
import {
    DescribeRuleCommand,
    EventBridgeClient,
    PutRuleCommand,
    PutTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { StateMachine } from "aws-local-stepfunctions";

import type { DeclaredStateMachine } from "./account";
import type { Build } from "./codebuild";
import {
    type ChildResult,
    type Definition,
    type MapProgress,
    type MapRun,
    withoutDistributedMaps,
} from "./distributedMap";
import { type Execution, executionArn } from "./executions";
import type { Credentials } from "./iam";

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
    /** Judges a call of Step Functions to itself: the reason of a refusal, or undefined. */
    readonly refusal: (action: string, resource: string) => Promise<string | undefined>;
    /** Looks for an execution of the stack that has ended, and at how. */
    readonly findExecution: (arn: string) => Execution | undefined;
    /** Takes what is published to a topic. */
    readonly publish: (message: PublishedMessage) => void;
    /** Starts an execution of another state machine of the stack; undefined where its name is taken. */
    readonly startExecution: (machineArn: string, name: string, input: unknown) => Execution | undefined;
    /** Called with how far a Map Run is. */
    readonly countMap: (progress: MapProgress) => void;
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

/** A message that was published to a topic. */
export interface PublishedMessage {
    readonly topicArn: string;
    readonly subject: string;
    /** Its forms: `default`, and one for each protocol that has its own. */
    readonly forms: Readonly<Record<string, string>>;
}

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
    name: string,
): Promise<ExecutionResult> {
    const { definition, maps } = withoutDistributedMaps(
        JSON.parse(withoutHashes(machine.definition)) as Definition,
    );
    const execution = {
        Id: executionArn(machine.arn, name),
        Name: name,
        RoleArn: machine.roleArn,
        StartTime: new Date().toISOString(),
    };
    const context = { Execution: execution, StateMachine: { Id: machine.arn, Name: machine.name } };
    const mapRuns = new Map<string, MapRun>();
    const handlersOf = ({ States }: Definition): Record<string, Handler> =>
        Object.fromEntries(
            Object.entries(States)
                .filter(([, { Type }]) => Type === "Task")
                .map(([state, { Resource }]): [string, Handler] => [
                    state,
                    maps.has(state)
                        ? (parameters) => runMap(state, parameters)
                        : integration(host, mapRuns, String(Resource)),
                ]),
        );
    const runMap = async (state: string, parameters: unknown): Promise<MapRun> => {
        const run = await maps.get(state)?.(
            {
                stateMachineArn: machine.arn,
                ...objects(host),
                report: host.countMap,
                run: async (child, childInput, item) => {
                    const childContext = { ...context, Map: { Item: item } };
                    const result = await interpret(host, child, childInput, childContext, handlersOf(child));
                    return childResult(result);
                },
                startChild: async (childArn) => {
                    await allowed(host, "states:StartExecution", machine.arn);
                    await allowed(host, "states:DescribeExecution", childArn);
                },
            },
            parameters,
        );
        if (run === undefined) throw new Error(`${state} is no Distributed Map.`);
        mapRuns.set(run.MapRunArn, run);
        return run;
    };
    const withInput = { ...context, Execution: { ...execution, Input: input } };
    return interpret(host, definition, input, withInput, handlersOf(definition));
}

type Handler = (parameters: unknown) => Promise<unknown>;

async function interpret(
    host: ExecutionHost,
    definition: Definition,
    input: unknown,
    context: object,
    handlers: Record<string, Handler>,
): Promise<ExecutionResult> {
    const runnable = definition as unknown as ConstructorParameters<typeof StateMachine>[0];
    const execution = new StateMachine(runnable).run(input as Json, {
        overrides: { taskResourceLocalHandlers: handlers as Record<string, (input: Json) => Promise<Json>> },
        context: context as never,
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

function childResult(result: ExecutionResult): ChildResult {
    if (result.status === "SUCCEEDED") return { output: result.output };
    return result.status === "FAILED"
        ? { error: result.error, cause: result.cause }
        : { error: undefined, cause: result.status };
}

/** What serves a Task, by its resource: docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html */
function integration(host: ExecutionHost, mapRuns: ReadonlyMap<string, MapRun>, resource: string): Handler {
    const served: Record<string, Handler> = {
        "codebuild:startBuild.sync": (parameters) => startBuildSync(host, parameters as StartBuildParameters),
        "aws-sdk:ecr:describeImages": (parameters) =>
            describeImages(host, parameters as DescribeImagesParameters),
        "aws-sdk:s3:headObject": (parameters) => headObject(host, parameters as HeadObjectParameters),
        "states:startExecution": async (parameters) => {
            const { arn, startDate } = await startExecution(host, parameters as StartExecutionParameters);
            return { ExecutionArn: arn, StartDate: startDate.toISOString() };
        },
        "states:startExecution.sync:2": (parameters) =>
            startExecutionSync(host, parameters as StartExecutionParameters),
        "aws-sdk:sfn:describeExecution": (parameters) =>
            describeExecution(host, (parameters as { readonly ExecutionArn: string }).ExecutionArn),
        "sns:publish": (parameters) => publish(host, parameters as PublishParameters),
        "aws-sdk:sfn:describeMapRun": async (parameters) => {
            const { MapRunArn } = parameters as { readonly MapRunArn: string };
            await allowed(host, "states:DescribeMapRun", MapRunArn, "Sfn");
            return mapRuns.get(MapRunArn);
        },
    };
    const service = resource.replace(/^arn:[a-z-]+:states:::/, "");
    return (
        served[service] ??
        (() => Promise.reject(new Error(`The lab does not know the integration ${resource}.`)))
    );
}

/** Objects of S3, read and written with the role's credentials. */
function objects(host: ExecutionHost) {
    const s3 = new S3Client({ ...clientOf(host), forcePathStyle: true });
    return {
        readObject: async (Bucket: string, Key: string): Promise<string> => {
            const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
            return (await Body?.transformToString()) ?? "";
        },
        writeObject: async (Bucket: string, Key: string, Body: string): Promise<void> => {
            await s3.send(new PutObjectCommand({ Bucket, Key, Body })).catch((error: unknown) => {
                throw named("States.ResultWriterFailed", String(error));
            });
        },
    };
}

async function allowed(
    host: ExecutionHost,
    action: string,
    resource: string,
    service = "StepFunctions",
): Promise<void> {
    const refusal = await host.refusal(action, resource);
    if (refusal !== undefined) throw named(`${service}.AccessDeniedException`, refusal);
}

/**
 * The interpreter's SHA-256 is right for texts of one block only, and gives longer ones that begin alike the same hash. So
 * it is left to put the text into the name of the execution, and {@link hashed} hashes it.
 */
function withoutHashes(definition: string): string {
    return definition.replace(/States\.Hash\(([^'"]*), 'SHA-256'\)/g, "States.Format('sha256<{}>', $1)");
}

function hashed(name: string): string {
    return name.replace(/sha256<(.*)>/s, (_, text: string) =>
        createHash("sha256").update(text).digest("hex"),
    );
}

interface StartExecutionParameters {
    readonly StateMachineArn: string;
    readonly Name: string;
    readonly Input: unknown;
}

/** docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html */
async function startExecution(
    host: ExecutionHost,
    { StateMachineArn, Name, Input }: StartExecutionParameters,
): Promise<Execution> {
    const name = hashed(Name);
    await allowed(host, "states:StartExecution", StateMachineArn);
    const execution = host.startExecution(StateMachineArn, name, Input);
    if (execution === undefined) {
        const arn = executionArn(StateMachineArn, name);
        throw named("StepFunctions.ExecutionAlreadyExistsException", `Execution Already Exists: '${arn}'`);
    }
    return execution;
}

/** An execution of another state machine, and the calls that Step Functions makes to follow it. */
async function startExecutionSync(
    host: ExecutionHost,
    parameters: StartExecutionParameters,
): Promise<unknown> {
    await manageRule(host, "StepFunctionsGetEventsForStepFunctionsExecutionRule", "StepFunctions", {
        source: ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
    });
    const execution = await startExecution(host, parameters);
    const result = await execution.result;
    await allowed(host, "states:DescribeExecution", execution.arn);
    const described = {
        ExecutionArn: execution.arn,
        Name: execution.arn.split(":").at(-1),
        StateMachineArn: execution.machineArn,
        Status: result.status,
    };
    if (result.status === "SUCCEEDED") return { ...described, Output: result.output };
    if (result.status === "ABORTED") {
        await allowed(host, "states:StopExecution", execution.arn);
        throw named("States.TaskFailed", JSON.stringify(described));
    }
    const { error, cause } = result;
    throw named("States.TaskFailed", JSON.stringify({ ...described, Error: error, Cause: cause }));
}

/** docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html */
async function describeExecution(host: ExecutionHost, arn: string): Promise<unknown> {
    await allowed(host, "states:DescribeExecution", arn, "Sfn");
    const execution = host.findExecution(arn);
    if (execution === undefined) throw named("Sfn.ExecutionDoesNotExistException", `${arn} does not exist`);
    const result = await execution.result;
    return {
        ExecutionArn: arn,
        Status: result.status,
        Input: JSON.stringify(execution.input),
        ...(result.status === "SUCCEEDED" ? { Output: JSON.stringify(result.output) } : {}),
        ...(result.status === "FAILED" ? { Error: result.error, Cause: result.cause } : {}),
    };
}

interface PublishParameters {
    readonly TopicArn: string;
    readonly Subject: string;
    readonly MessageStructure: string;
    readonly Message: Readonly<Record<string, string>>;
}

/** docs.aws.amazon.com/sns/latest/api/API_Publish.html */
async function publish(
    host: ExecutionHost,
    { TopicArn, Subject, MessageStructure, Message }: PublishParameters,
): Promise<unknown> {
    await allowed(host, "sns:Publish", TopicArn, "SNS");
    if (MessageStructure !== "json" || typeof Message["default"] !== "string") {
        throw named(
            "SNS.InvalidParameterException",
            "Message Structure - No default entry in JSON message body",
        );
    }
    host.publish({ topicArn: TopicArn, subject: Subject, forms: Message });
    return { MessageId: randomUUID() };
}

/** Clients of AWS with the credentials of the state machine's role. */
function clientOf({ region, endpoint, credentials }: ExecutionHost) {
    return { region, endpoint, credentials, maxAttempts: 1 };
}

interface DescribeImagesParameters {
    readonly RepositoryName: string;
    readonly ImageIds: readonly { readonly ImageTag: string }[];
}

async function describeImages(
    host: ExecutionHost,
    { RepositoryName, ImageIds }: DescribeImagesParameters,
): Promise<unknown> {
    const ecr = new ECRClient(clientOf(host));
    const command = new DescribeImagesCommand({
        repositoryName: RepositoryName,
        imageIds: ImageIds.map(({ ImageTag }) => ({ imageTag: ImageTag })),
    });
    const { imageDetails = [] } = await sdkCall("Ecr", ecr.send(command));
    return {
        ImageDetails: imageDetails.map(({ imageDigest, imageManifestMediaType, imageTags }) => ({
            ImageDigest: imageDigest,
            ImageManifestMediaType: imageManifestMediaType,
            ImageTags: imageTags,
        })),
    };
}

interface HeadObjectParameters {
    readonly Bucket: string;
    readonly Key: string;
}

async function headObject(host: ExecutionHost, parameters: HeadObjectParameters): Promise<unknown> {
    const s3 = new S3Client({ ...clientOf(host), forcePathStyle: true });
    const { ContentLength, ETag, Metadata, VersionId } = await sdkCall(
        "S3",
        s3.send(new HeadObjectCommand(parameters)),
    );
    return { ContentLength, ETag, Metadata, VersionId };
}

/**
 * Makes a call of an SDK integration; its error is named by the service and the exception:
 * docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
 */
async function sdkCall<T>(service: string, call: Promise<T>): Promise<T> {
    try {
        return await call;
    } catch (error) {
        if (!(error instanceof Error)) throw error;
        // The answer to a HEAD has no body that would name the exception; S3's SDK knows one for 404.
        const names: Record<string, string> = { NotFound: "NoSuchKeyException", "403": "S3Exception" };
        throw named(`${service}.${names[error.name] ?? error.name}`, error.message);
    }
}

/** The calls of the integration, each of which the state machine's role must be allowed. */
async function startBuildSync(
    host: ExecutionHost,
    parameters: StartBuildParameters,
): Promise<{ Build: Build }> {
    const codebuild = new CodeBuildClient(clientOf(host));
    await manageRule(host, "StepFunctionsGetEventForCodeBuildStartBuildRule", "CodeBuild", {
        source: ["aws.codebuild"],
        "detail-type": ["CodeBuild Build State Change"],
    });
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

/** The rule through which Step Functions learns that what a Task has started is over. */
async function manageRule(
    host: ExecutionHost,
    rule: string,
    service: string,
    pattern: object,
): Promise<void> {
    const events = new EventBridgeClient(clientOf(host));
    const target = { Id: "StepFunctions", Arn: `arn:aws:states:${host.region}::target` };
    const EventPattern = JSON.stringify(pattern);
    await called(events.send(new PutRuleCommand({ Name: rule, EventPattern })), service);
    await called(events.send(new PutTargetsCommand({ Rule: rule, Targets: [target] })), service);
    await called(events.send(new DescribeRuleCommand({ Name: rule })), service);
}

/** Makes a call; its error is named as the states language names it: `CodeBuild.` and the exception. */
async function called(call: Promise<unknown>, service = "CodeBuild"): Promise<void> {
    try {
        await call;
    } catch (error) {
        if (!(error instanceof Error)) throw error;
        // moto writes times as text, where CodeBuild's API has numbers: the SDK cannot read the answer, which was good.
        if ("$response" in error && !("$fault" in error)) return;
        throw named(`${service}.${error.name}`, error.message);
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
