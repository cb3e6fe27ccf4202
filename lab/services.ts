/**
 * The services of AWS that run something: CodeBuild, Step Functions, EventBridge and its Scheduler. Each acts under the role that
 * the program declares for it.
 */
import { randomUUID } from "node:crypto";

import { S3Client } from "@aws-sdk/client-s3";

import type { Account } from "./account";
import { AwsApi, type Backends, type Caller, type DescribeImage, type PublishedMessage } from "./awsApi";
import { type Build, type RunningBuild, startBuild } from "./codebuild";
import type { Invocation } from "./events";
import { type Execution, type ExecutionResult, Executions } from "./executions";
import type { Clock, HistoryEvent } from "./stateLanguage/host";
import { execute } from "./stepFunctions";

/** Who is told what goes on. */
export interface Watcher {
    /** Takes the histories of executions. */
    tell?: (event: HistoryEvent) => void;
    /** Takes the logs of builds. */
    log?: (line: string) => void;
    /** May change what becomes known of a build that has ended. */
    build?: (build: Build) => Build;
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

/** What became of an event at one target: an execution, or why there is none. */
export type Delivery =
    | { readonly execution: Execution }
    | {
          readonly undelivered: string;
          /** ARN of the queue that the event is kept in; undefined where it is lost. */
          readonly keptIn: string | undefined;
      };

/** The services of a lab. */
export class Services implements Backends {
    public readonly executions = new Executions();
    public readonly api: AwsApi;
    /** Every message that was published, the first one first. */
    public readonly published: PublishedMessage[] = [];
    public readonly watcher: Watcher = {};
    /** Known once the AWS API listens, which needs {@link api}. */
    public machine: Machine | undefined;
    public readonly builds = new Map<string, RunningBuild>();

    public constructor(
        public readonly account: Account,
        public readonly describeImage: DescribeImage,
        private readonly clock: Clock,
    ) {
        this.api = new AwsApi(this);
    }

    /** Starts a build of a project with these variables. */
    public async startBuild(projectName: string, variables: Record<string, string>): Promise<RunningBuild> {
        const project = this.account.projects.get(projectName);
        if (project === undefined) throw new Error(`The stack declares no project ${projectName}.`);
        const { iam, location } = this.account;
        const credentials = await iam.assume(project.serviceRole, "codebuild.amazonaws.com", project.arn);
        const { endpoint, buildEnvironment: environment, folder } = this.runningMachine();
        const tell = (line: string) => this.watcher.log?.(line);
        const host = { region: location.region, endpoint, environment, folder, tell };
        const build = startBuild(host, project, variables, credentials);
        this.builds.set(build.description.id, build);
        return build;
    }

    /** Starts an execution; undefined where its name is taken. */
    public startExecution(machineArn: string, input: unknown, name: string = randomUUID()): Execution | undefined {
        return this.executions.start(
            machineArn,
            name,
            input,
            (execution) => this.run(execution),
            (execution) => this.deliver(this.account.events.onEvent(execution.endEvent())),
        );
    }

    /** Starts what rules and schedules start. What AWS would try again for a day is tried once: nothing changes meanwhile. */
    public deliver(invocations: readonly Invocation[]): Promise<Delivery[]> {
        return Promise.all(invocations.map((invocation) => this.deliverOne(invocation)));
    }

    private async deliverOne(invocation: Invocation): Promise<Delivery> {
        const { roleArn, service, sourceArn, targetArn, input, deadLetterArn } = invocation;
        let caller: Caller | undefined;
        try {
            const { accessKeyId } = await this.account.iam.assume(roleArn, service, sourceArn);
            caller = { accessKeyId, region: this.account.location.region };
            const fields = { stateMachineArn: targetArn, input: JSON.stringify(input) };
            const answer = await this.api.call(caller, "states:StartExecution", fields);
            const { executionArn } = answer as { readonly executionArn: string };
            const execution = this.executions.byArn.get(executionArn);
            if (execution !== undefined) return { execution };
            throw new Error(`There is no ${executionArn}.`);
        } catch (error) {
            const isKept = await this.mayKeep(invocation, caller);
            return { undelivered: String(error), keptIn: isKept ? deadLetterArn : undefined };
        }
    }

    /** A schedule sends to the queue with its role, a rule without: the queue's policy has to let it. */
    private async mayKeep(invocation: Invocation, caller: Caller | undefined): Promise<boolean> {
        const { service, sourceArn, deadLetterArn: queue } = invocation;
        const { iam, events } = this.account;
        if (queue === undefined) return false;
        if (service === "scheduler.amazonaws.com") {
            return caller !== undefined && iam.allows(caller.accessKeyId, "sqs:SendMessage", queue);
        }
        const policy = events.queuePolicies.get(queue);
        return iam.allowsService(service, "sqs:SendMessage", queue, policy, { "aws:SourceArn": sourceArn });
    }

    private async run(execution: Execution): Promise<ExecutionResult> {
        const { iam, location, stateMachines } = this.account;
        const { region } = location;
        const machine = stateMachines.get(execution.machineArn);
        if (machine === undefined) throw new Error(`The stack declares no ${execution.machineArn}.`);
        const credentials = await iam.assume(machine.roleArn, "states.amazonaws.com", machine.arn);
        const { endpoint } = this.runningMachine();
        const s3 = new S3Client({ region, endpoint, credentials, forcePathStyle: true, maxAttempts: 1 });
        const host = {
            api: this.api,
            caller: { accessKeyId: credentials.accessKeyId, region },
            s3,
            clock: this.clock,
            endOf: (id: string) => this.endOf(id),
            tell: (event: HistoryEvent) => this.watcher.tell?.(event),
        };
        try {
            return await execute(host, machine, execution);
        } finally {
            s3.destroy();
        }
    }

    private async endOf(id: string): Promise<void> {
        const build = this.builds.get(id);
        await this.executions.byArn.get(id)?.result;
        await build?.ended;
        if (build !== undefined) build.description = this.watcher.build?.(build.description) ?? build.description;
    }

    private runningMachine(): Machine {
        if (this.machine === undefined) throw new Error("Nothing can run before the machine is up.");
        return this.machine;
    }
}
