/**
 * An execution on this machine: runs the declared definition in the interpreter of stateLanguage/, and serves its integrations as
 * Step Functions does: by calls of AWS's API, under the state machine's role.
 */
import {
    GetObjectCommand,
    HeadObjectCommand,
    PutObjectCommand,
    type PutObjectCommandInput,
    S3Client,
} from "@aws-sdk/client-s3";

import { type Account, AwsError, type Machine } from "./account";
import { type AwsApi, type Caller, type Fields, requireAccess } from "./awsApi";
import type { Execution, ExecutionResult } from "./executions";
import { StateError } from "./stateLanguage/host";
import { execute as interpret } from "./stateLanguage/interpreter";
import { type Machine as Definition, readMachine } from "./stateLanguage/machine";

interface Setting {
    readonly account: Account;
    readonly machine: Machine;
    readonly api: AwsApi;
    /** Waits for the end of a build or of an execution, as Step Functions does by events. */
    readonly endOf: (id: string) => Promise<unknown> | undefined;
}

/** What the Tasks of an execution run with: a session of the state machine's role, and S3 as it sees it. */
interface Session extends Setting {
    readonly execution: Execution;
    readonly caller: Caller;
    readonly s3: S3Client;
}

/**
 * Reads the definition of a state machine.
 *
 * @throws Error when it has what the lab does not know.
 */
export function readDefinition(definition: string): Definition {
    const served = { ...calls, ...jobs, ...objectTasks };
    return readMachine(JSON.parse(definition), (resource) => nameOf(resource) in served);
}

/** The name of an integration: what follows `arn:aws:states:::`. */
function nameOf(resource: string): string {
    return resource.replace(/^arn:[a-z-]+:states:::/, "");
}

/** Runs an execution to its end. */
export async function execute(setting: Setting, execution: Execution): Promise<ExecutionResult> {
    const { endpoint, clock, watcher } = setting.machine;
    const { iam, location, stateMachines } = setting.account;
    const declared = stateMachines.get(execution.machineArn);
    if (declared === undefined) throw new Error(`The stack declares no ${execution.machineArn}.`);
    const { arn: machineArn, name: Name, roleArn } = declared;
    const credentials = await iam.assume(roleArn, "states.amazonaws.com", machineArn);
    const { region } = location;
    const s3 = new S3Client({ region, endpoint, credentials, forcePathStyle: true, maxAttempts: 1 });
    const caller = { accessKeyId: credentials.accessKeyId, region };
    const session = { ...setting, execution, caller, s3 };
    const context = {
        Execution: { Id: execution.arn, Name: execution.name, StartTime: new Date().toISOString() },
        StateMachine: { Id: machineArn, Name },
    };
    const outcome = await interpret(declared.definition, execution.input, context, {
        clock,
        signal: execution.signal,
        call: (resource, parameters, signal) => serve(session, nameOf(resource), parameters as Fields, signal),
        tell: (event) => watcher.tell?.(event),
        startChild: async (childArn) => {
            const starting = { action: "states:StartExecution", resource: machineArn };
            await named("StepFunctions", requireAccess(iam, caller, starting));
            const following = { action: "states:DescribeExecution", resource: childArn };
            await named("StepFunctions", requireAccess(iam, caller, following));
        },
        countMap: (run) => execution.mapRuns.set(run.mapRunArn, run),
    });
    s3.destroy();
    return outcome as ExecutionResult;
}

/** A call of the API that is a Task of its own, and how the names of its errors begin. */
interface Call {
    readonly action: string;
    readonly errors: string;
}

/** docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html and supported-services-awssdk.html */
const calls: Readonly<Record<string, Call | undefined>> = {
    "aws-sdk:ecr:describeImages": { action: "ecr:DescribeImages", errors: "Ecr" },
    "aws-sdk:sfn:describeExecution": { action: "states:DescribeExecution", errors: "Sfn" },
    "aws-sdk:sfn:describeMapRun": { action: "states:DescribeMapRun", errors: "Sfn" },
    "sns:publish": { action: "sns:Publish", errors: "SNS" },
    "states:startExecution": { action: "states:StartExecution", errors: "StepFunctions" },
};

/** What a Task starts and waits for: the calls that this takes. */
interface Job extends Call {
    /** The rule by which Step Functions learns of the end. */
    readonly rule: string;
    readonly idOf: (started: never) => string;
    readonly describe: (id: string) => [action: string, fields: Fields];
    readonly stop: (id: string) => [action: string, fields: Fields];
    /** What the Task gives, out of the description, and what tells how the job has ended. */
    readonly result: (described: never) => { readonly status: string; readonly told: object; readonly result: object };
}

/** docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html and connect-stepfunctions.html */
const jobs: Readonly<Record<string, Job | undefined>> = {
    "codebuild:startBuild.sync": {
        action: "codebuild:StartBuild",
        errors: "CodeBuild",
        rule: "StepFunctionsGetEventForCodeBuildStartBuildRule",
        idOf: ({ build }: { build: { id: string } }) => build.id,
        describe: (id) => ["codebuild:BatchGetBuilds", { ids: [id] }],
        stop: (id) => ["codebuild:StopBuild", { id }],
        result: ({ Builds: [build] }: { Builds: [{ BuildStatus: string }] }) => {
            return { status: build.BuildStatus, told: build, result: { Build: build } };
        },
    },
    "states:startExecution.sync:2": {
        action: "states:StartExecution",
        errors: "StepFunctions",
        rule: "StepFunctionsGetEventsForStepFunctionsExecutionRule",
        idOf: ({ executionArn }: { executionArn: string }) => executionArn,
        describe: (executionArn) => ["states:DescribeExecution", { executionArn }],
        stop: (executionArn) => ["states:StopExecution", { executionArn }],
        result: (told: { Status: string; Output?: string }) => {
            const Output: unknown = JSON.parse(told.Output ?? "null");
            return { status: told.Status, told, result: { ...told, Output } };
        },
    },
};

async function serve(
    { api, endOf, execution, caller, s3 }: Session,
    resource: string,
    parameters: Fields,
    signal: AbortSignal,
): Promise<unknown> {
    const ofObject = objectCalls[resource];
    if (ofObject !== undefined) return ofObject(s3, parameters as never);
    const job = jobs[resource];
    const { action, errors } = job ?? calls[resource] ?? { action: resource, errors: "" };
    const call = async (asked: string, fields: Fields) => (await named(errors, api(caller, asked, fields))) ?? {};
    const started = (start: Fields) => call(action, recased(withJson(start), "toLowerCase") as Fields);
    if (job === undefined) return recased(await started(parameters), "toUpperCase");

    await call("events:PutRule", { Name: job.rule });
    await call("events:PutTargets", { Rule: job.rule });
    await call("events:DescribeRule", { Name: job.rule });
    const answer = await started(parameters);
    const [resourceType, ...operation] = resource.split(":");
    const output = JSON.stringify(recased(answer, "toUpperCase"));
    const details = { resourceType, resource: operation.join(":"), output };
    execution.record("TaskSubmitted", { taskSubmittedEventDetails: details });
    const id = job.idOf(answer as never);
    const stop = () => void call(...job.stop(id)).catch(() => undefined); // what may not be stopped goes on
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    await endOf(id);
    signal.removeEventListener("abort", stop);
    const described = recased(await call(...job.describe(id)), "toUpperCase");
    const { status, told, result } = job.result(described as never);
    if (status !== "SUCCEEDED") throw new StateError("States.TaskFailed", JSON.stringify(told));
    return result;
}

/** Fields that are JSON to the API, and values to a definition. */
function withJson(parameters: Fields): Fields {
    const given = Object.entries(parameters).filter(([name]) => name === "Input" || name === "Message");
    return { ...parameters, ...Object.fromEntries(given.map(([name, value]) => [name, JSON.stringify(value)])) };
}

/** Names of fields begin with a capital in definitions, and with a small letter in the APIs. */
function recased(value: unknown, change: "toLowerCase" | "toUpperCase"): unknown {
    if (Array.isArray(value)) return value.map((each) => recased(each, change));
    if (typeof value !== "object" || value === null) return value;
    const named = (name: string) => name.charAt(0)[change]() + name.slice(1);
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [named(name), recased(each, change)]));
}

/** What every error is called that the model of a service does not list, throttling and denials as well. */
const others: Readonly<Record<string, string>> = {
    CodeBuild: "AWSCodeBuildException",
    Ecr: "EcrException",
    Sfn: "SfnException",
    SNS: "AuthorizationErrorException",
    StepFunctions: "AWSStepFunctionsException",
};

/** Names the error of a call as the states language does: by service and exception. */
async function named<T>(service: string, call: Promise<T>): Promise<T> {
    try {
        return await call;
    } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        const { code, message } = error;
        if (code !== "AccessDeniedException") {
            throw new StateError(`${service}.${code.replace(/(Exception)?$/, "Exception")}`, message);
        }
        const reason = `${message} (Service: ${service}, Error Code: ${code})`;
        throw new StateError(`${service}.${others[service] ?? code}`, reason);
    }
}

type ObjectCalls = Readonly<Record<string, ((s3: S3Client, parameters: never) => Promise<unknown>) | undefined>>;

/** What a Task asks of S3, which speaks no JSON. */
const objectTasks: ObjectCalls = { "aws-sdk:s3:headObject": headObject, "aws-sdk:s3:putObject": putJson };

/** The same, and what an ItemReader and a ResultWriter ask. */
const objectCalls: ObjectCalls = {
    ...objectTasks,
    "s3:getObject": async (s3, parameters) =>
        (await s3.send(new GetObjectCommand(parameters))).Body?.transformToString(),
    "s3:putObject": (s3, parameters) => s3.send(new PutObjectCommand(parameters)),
};

/** A Body that is no string is written as JSON. */
async function putJson(s3: S3Client, { Body, ...rest }: PutObjectCommandInput): Promise<unknown> {
    try {
        const { ETag, VersionId } = await s3.send(new PutObjectCommand({ ...rest, Body: JSON.stringify(Body) }));
        return { ETag, VersionId };
    } catch (error) {
        throw new StateError("S3.S3Exception", (error as Error).message);
    }
}

async function headObject(s3: S3Client, parameters: { Bucket: string; Key: string }): Promise<unknown> {
    try {
        const { ContentLength, ETag, Metadata, VersionId } = await s3.send(new HeadObjectCommand(parameters));
        return { ContentLength, ETag, Metadata, VersionId };
    } catch (error) {
        // The answer to a HEAD has no body that would name the exception; S3's SDK knows one for 404.
        const { name, message } = error as Error;
        throw new StateError(name === "NotFound" ? "S3.NoSuchKeyException" : "S3.S3Exception", message);
    }
}
