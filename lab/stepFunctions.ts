/**
 * An execution on this machine: runs the declared definition in the interpreter of stateLanguage/, and serves its integrations as
 * Step Functions does, under credentials of the state machine's role.
 */
import { randomUUID } from "node:crypto";

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

import type { DeclaredStateMachine } from "./account";
import type { Build } from "./codebuild";
import { type Execution, executionArn, type ExecutionResult } from "./executions";
import type { Credentials } from "./iam";
import type { HistoryEvent, Host, MapRun } from "./stateLanguage/host";
import { execute as interpret, realClock } from "./stateLanguage/interpreter";
import { readMachine } from "./stateLanguage/machine";
import { StateError } from "./stateLanguage/stateError";

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
    readonly countMap: (run: MapRun) => void;
    /** Takes the execution's history, as it happens. */
    readonly tell: (event: HistoryEvent) => void;
    /** Aborts the execution, which stops its build. */
    readonly signal: AbortSignal;
}

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

/** Runs one execution to its end. */
export async function execute(
    host: ExecutionHost,
    machine: DeclaredStateMachine,
    input: unknown,
    name: string,
): Promise<ExecutionResult> {
    const mapRuns = new Map<string, MapRun>();
    const served = integrations(host, mapRuns);
    const definition = readMachine(
        JSON.parse(machine.definition),
        (resource) => serviceOf(resource) in served,
    );
    const context = {
        Execution: {
            Id: executionArn(machine.arn, name),
            Name: name,
            RoleArn: machine.roleArn,
            StartTime: new Date().toISOString(),
        },
        StateMachine: { Id: machine.arn, Name: machine.name },
    };
    const run: Host = {
        clock: realClock,
        signal: host.signal,
        call: async (resource, parameters) => served[serviceOf(resource)]?.(parameters as never),
        tell: host.tell,
        ...objects(host),
        startChild: async (childArn) => {
            await allowed(host, "states:StartExecution", machine.arn);
            await allowed(host, "states:DescribeExecution", childArn);
        },
        countMap: (progress) => {
            mapRuns.set(progress.mapRunArn, progress);
            host.countMap(progress);
        },
    };
    return (await interpret(definition, input, context, run)) as ExecutionResult;
}

type Handler = (parameters: never) => Promise<unknown>;

function serviceOf(resource: string): string {
    return resource.replace(/^arn:[a-z-]+:states:::/, "");
}

/** What serves a Task, by its resource: docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html */
function integrations(
    host: ExecutionHost,
    mapRuns: ReadonlyMap<string, MapRun>,
): Readonly<Record<string, Handler>> {
    return {
        "codebuild:startBuild.sync": (parameters: StartBuildParameters) => startBuildSync(host, parameters),
        "aws-sdk:ecr:describeImages": (parameters: DescribeImagesParameters) =>
            describeImages(host, parameters),
        "aws-sdk:s3:headObject": (parameters: HeadObjectParameters) => headObject(host, parameters),
        "states:startExecution": async (parameters: StartExecutionParameters) => {
            const { arn, startDate } = await startExecution(host, parameters);
            return { ExecutionArn: arn, StartDate: startDate.toISOString() };
        },
        "states:startExecution.sync:2": (parameters: StartExecutionParameters) =>
            startExecutionSync(host, parameters),
        "aws-sdk:sfn:describeExecution": ({ ExecutionArn }: { readonly ExecutionArn: string }) =>
            describeExecution(host, ExecutionArn),
        "sns:publish": (parameters: PublishParameters) => publish(host, parameters),
        "aws-sdk:sfn:describeMapRun": async ({ MapRunArn }: { readonly MapRunArn: string }) => {
            await allowed(host, "states:DescribeMapRun", MapRunArn);
            const run = mapRuns.get(MapRunArn);
            if (run === undefined)
                throw serviceError("StepFunctions", "ResourceNotFoundException", MapRunArn);
            return {
                ItemCounts: {
                    Total: run.total,
                    Succeeded: run.succeeded,
                    Failed: run.failed,
                    Aborted: run.aborted,
                },
            };
        },
    };
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
                throw new StateError("States.ResultWriterFailed", String(error));
            });
        },
    };
}

async function allowed(
    host: ExecutionHost,
    action: string,
    resource: string,
    service: Service = "StepFunctions",
): Promise<void> {
    const refusal = await host.refusal(action, resource);
    if (refusal !== undefined) throw serviceError(service, "AccessDeniedException", refusal);
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
    await allowed(host, "states:StartExecution", StateMachineArn);
    const execution = host.startExecution(StateMachineArn, Name, Input);
    if (execution === undefined) {
        const arn = executionArn(StateMachineArn, Name);
        throw serviceError(
            "StepFunctions",
            "ExecutionAlreadyExistsException",
            `Execution Already Exists: '${arn}'`,
        );
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
        throw new StateError("States.TaskFailed", JSON.stringify(described));
    }
    const { error, cause } = result;
    throw new StateError("States.TaskFailed", JSON.stringify({ ...described, Error: error, Cause: cause }));
}

/** docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html */
async function describeExecution(host: ExecutionHost, arn: string): Promise<unknown> {
    await allowed(host, "states:DescribeExecution", arn);
    const execution = host.findExecution(arn);
    if (execution === undefined)
        throw serviceError("StepFunctions", "ExecutionDoesNotExistException", `${arn} does not exist`);
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
        throw serviceError(
            "SNS",
            "InvalidParameterException",
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

/** Makes a call of a service for a task; its error is named as Step Functions names it. */
async function sdkCall<T>(service: Service, call: Promise<T>): Promise<T> {
    try {
        return await call;
    } catch (error) {
        if (!(error instanceof Error)) throw error;
        throw serviceError(service, error.name, error.message);
    }
}

type Service = "CodeBuild" | "Ecr" | "S3" | "SNS" | "StepFunctions";

/**
 * The errors that a service's model lists, as far as its calls here end in them, and the name of every other error, of throttling
 * and denials as well.
 */
const errorNames: Readonly<Record<Service, { readonly listed: readonly string[]; readonly other: string }>> =
    {
        CodeBuild: {
            listed: ["AccountLimitExceededException", "InvalidInputException", "ResourceNotFoundException"],
            other: "AWSCodeBuildException",
        },
        Ecr: { listed: ["ImageNotFoundException", "RepositoryNotFoundException"], other: "EcrException" },
        S3: { listed: ["NoSuchKeyException"], other: "S3Exception" },
        SNS: { listed: ["InvalidParameterException"], other: "AuthorizationErrorException" },
        StepFunctions: {
            listed: [
                "ExecutionAlreadyExistsException",
                "ExecutionDoesNotExistException",
                "ResourceNotFoundException",
            ],
            other: "AWSStepFunctionsException",
        },
    };

/** An error of a service: docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html */
function serviceError(service: Service, code: string, message: string): StateError {
    const { listed, other } = errorNames[service];
    // The answer to a HEAD has no body that would name the exception; S3's SDK knows one for 404.
    const name = code === "NotFound" ? "NoSuchKeyException" : code;
    const isListed = listed.includes(name);
    const reason = `${message} (Service: ${service}, Error Code: ${code})`;
    return new StateError(`${service}.${isListed ? name : other}`, isListed ? message : reason);
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
    if (build.BuildStatus !== "SUCCEEDED") throw new StateError("States.TaskFailed", JSON.stringify(build));
    return { Build: build };
}

/** The rule through which Step Functions learns that what a Task has started is over. */
async function manageRule(
    host: ExecutionHost,
    rule: string,
    service: Service,
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
async function called(call: Promise<unknown>, service: Service = "CodeBuild"): Promise<void> {
    try {
        await call;
    } catch (error) {
        if (!(error instanceof Error)) throw error;
        // moto writes times as text, where CodeBuild's API has numbers: the SDK cannot read the answer, which was good.
        if ("$response" in error && !("$fault" in error)) return;
        throw serviceError(service, error.name, error.message);
    }
}
