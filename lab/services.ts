/**
 * The services of AWS that run something: CodeBuild, Step Functions, EventBridge and its Scheduler. Each acts under the role that
 * the program declares for it.
 */
import { randomUUID } from "node:crypto";

import type { Account } from "./account";
import { type Build, runBuild, type RunningBuild } from "./codebuild";
import { deliver, type Delivery } from "./delivery";
import type { Invocation } from "./events";
import { endOf, type Execution, type ExecutionResult, Executions } from "./executions";
import { ExecutionsApi } from "./executionsApi";
import type { HistoryEvent } from "./stateLanguage/host";
import { execute, type ExecutionHost, type PublishedMessage } from "./stepFunctions";

/** What is reported of an execution while it runs. */
export interface ExecutionWatcher {
    readonly tell: (event: HistoryEvent) => void;
    readonly log: (line: string) => void;
    /** May change what Step Functions learns of a build. */
    readonly build: (build: Build) => Build;
}

/** The machine that services run on. */
export interface Machine {
    /** URL of the AWS API, where each call is judged. */
    readonly endpoint: string;
    /** Variables that every build gets from the machine. */
    readonly buildEnvironment: Record<string, string>;
    /** Folder under which builds get theirs. */
    readonly folder: string;
}

/** An execution that is to be started. */
export interface StartOptions {
    readonly watcher?: Partial<ExecutionWatcher>;
    readonly signal?: AbortSignal | undefined;
    /** @default a random one */
    readonly name?: string;
}

/** The services of a lab. */
export class Services {
    public readonly executions = new Executions();
    /** What Step Functions and CodeBuild answer about executions and builds. */
    public readonly api: ExecutionsApi;
    /** Every message that was published, the first one first. */
    public readonly published: PublishedMessage[] = [];
    /** Known once the AWS API listens, which needs {@link api}. */
    public machine: Machine | undefined;

    public constructor(private readonly account: Account) {
        this.api = new ExecutionsApi(this.executions, (machineArn, input, name) =>
            this.startExecution(machineArn, input, { name }),
        );
    }

    /** Runs a build of a project with these variables. */
    public async build(
        projectName: string,
        variables: Record<string, string>,
        signal: AbortSignal = never,
        tell: (line: string) => void = ignore,
        follow: (build: RunningBuild) => void = ignore,
    ): Promise<Build> {
        const project = this.account.projects.get(projectName);
        if (project === undefined) throw new Error(`The stack declares no project ${projectName}.`);
        const { iam, location } = this.account;
        const credentials = await iam.assume(project.serviceRole, "codebuild.amazonaws.com", project.arn);
        const { endpoint, buildEnvironment: environment, folder } = this.runningMachine();
        const followed = (running: RunningBuild) => {
            this.api.follow(running);
            follow(running);
        };
        const host = { region: location.region, endpoint, environment, folder, tell, follow: followed };
        return runBuild(host, project, variables, credentials, signal);
    }

    /** Starts an execution; undefined where its name is taken. */
    public startExecution(
        machineArn: string,
        input: unknown,
        options: StartOptions = {},
    ): Execution | undefined {
        const { name = randomUUID(), watcher = {}, signal = never } = options;
        return this.executions.start(machineArn, name, input, (execution) =>
            this.run(execution, name, watcher, AbortSignal.any([signal, execution.signal])),
        );
    }

    /** Starts what rules and schedules start; what became of each. */
    public deliver(
        invocations: readonly Invocation[],
        watcher: Partial<ExecutionWatcher> = {},
    ): Promise<Delivery[]> {
        return Promise.all(
            invocations.map((invocation) =>
                deliver(this.account, invocation, () => {
                    const { targetArn, input } = invocation;
                    const execution = this.startExecution(targetArn, input, { watcher });
                    if (execution === undefined) throw new Error("A random name was taken.");
                    return execution;
                }),
            ),
        );
    }

    private async run(
        execution: Execution,
        name: string,
        watcher: Partial<ExecutionWatcher>,
        signal: AbortSignal,
    ): Promise<ExecutionResult> {
        const { machineArn, input } = execution;
        const { iam, events, location, stateMachines } = this.account;
        const machine = stateMachines.get(machineArn);
        if (machine === undefined) throw new Error(`The stack declares no state machine ${machineArn}.`);
        const credentials = await iam.assume(machine.roleArn, "states.amazonaws.com", machine.arn);
        const host: ExecutionHost = {
            region: location.region,
            endpoint: this.runningMachine().endpoint,
            credentials,
            runBuild: async (project, variables, buildSignal) => {
                const submitted = firstTime((running: RunningBuild) => {
                    execution.tell("TaskSubmitted", submittedBuild(running));
                });
                const ended = await this.build(project, variables, buildSignal, watcher.log, submitted);
                return watcher.build?.(ended) ?? ended;
            },
            refusal: (action, resource) => iam.refusal(credentials.accessKeyId, action, resource),
            findExecution: (arn) => this.executions.byArn.get(arn),
            publish: (message) => this.published.push(message),
            startExecution: (other, otherName, otherInput) =>
                this.startExecution(other, otherInput, { watcher, signal, name: otherName }),
            countMap: (progress) => execution.mapRuns.set(progress.mapRunArn, progress),
            tell: watcher.tell ?? ignore,
            signal,
        };
        const result = await execute(host, machine, input, name);
        // Step Functions reports the end by itself.
        await this.deliver(events.onEvent(endOf(machineArn, name, input, result)));
        return result;
    }

    private runningMachine(): Machine {
        if (this.machine === undefined) throw new Error("Nothing can run before the machine is up.");
        return this.machine;
    }
}

const never = new AbortController().signal;

/** What the history of an execution has of a build that was started: the answer of StartBuild, as its integrations write it. */
function submittedBuild({ id, arn, projectName }: RunningBuild): object {
    const output = JSON.stringify({ Build: { Id: id, Arn: arn, ProjectName: projectName } });
    return { taskSubmittedEventDetails: { resourceType: "codebuild", resource: "startBuild.sync", output } };
}

/** Calls a function the first time only. */
function firstTime<T>(call: (argument: T) => void): (argument: T) => void {
    let isCalled = false;
    return (argument) => {
        if (!isCalled) call(argument);
        isCalled = true;
    };
}

function ignore(): void {
    // Nobody watches.
}
