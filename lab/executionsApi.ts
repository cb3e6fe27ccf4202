/**
 * What Step Functions and CodeBuild tell of the lab's own executions and builds. The emulator knows neither: its state
 * machines do not run. The gateway has judged each call before it is answered here.
 * Sources: docs.aws.amazon.com/step-functions/latest/apireference and docs.aws.amazon.com/codebuild/latest/APIReference
 */
import { randomUUID } from "node:crypto";

import type { RunningBuild } from "./codebuild";
import type { Execution, Executions } from "./executions";
import type { MapRun } from "./stateLanguage/host";

/** An error as the API answers it. */
export class ApiError extends Error {
    public constructor(
        public readonly code: string,
        message: string,
    ) {
        super(message);
    }
}

type Fields = Readonly<Record<string, unknown>>;

/** Starts an execution; undefined where its name is taken. */
export type StartExecution = (machineArn: string, input: unknown, name: string) => Execution | undefined;

/** Answers for the executions and builds of the lab. */
export class ExecutionsApi {
    private readonly builds = new Map<string, RunningBuild>();

    public constructor(
        private readonly executions: Executions,
        private readonly startExecution: StartExecution,
    ) {}

    /** Takes down what a build is doing. */
    public follow(build: RunningBuild): void {
        this.builds.set(build.id, build);
    }

    /**
     * Answers an operation of Step Functions or CodeBuild.
     *
     * @throws ApiError
     */
    public answer(action: string, fields: Fields): object {
        const answers: Record<string, () => object> = {
            "states:StartExecution": () => this.start(fields),
            "states:DescribeExecution": () => described(this.find(fields)),
            "states:ListExecutions": () => this.list(fields),
            "states:GetExecutionHistory": () => history(this.find(fields), fields),
            "states:StopExecution": () => {
                this.find(fields).stop(fields["error"], fields["cause"]);
                return { stopDate: Date.now() / 1000 };
            },
            "states:ListMapRuns": () => this.listMapRuns(fields),
            "states:DescribeMapRun": () => this.describeMapRun(String(fields["mapRunArn"])),
            "codebuild:BatchGetBuilds": () => this.getBuilds(fields["ids"] as readonly string[]),
        };
        const answer = answers[action];
        if (answer === undefined) throw new ApiError("UnknownOperation", `The lab does not know ${action}.`);
        return answer();
    }

    private start({ stateMachineArn, name = randomUUID(), input = "{}" }: Fields): object {
        const machine = String(stateMachineArn);
        const execution = this.startExecution(machine, parseInput(String(input)), String(name));
        if (execution === undefined) {
            throw new ApiError("ExecutionAlreadyExists", `Execution Already Exists: '${String(name)}'`);
        }
        return { executionArn: execution.arn, startDate: execution.startDate.getTime() / 1000 };
    }

    private find({ executionArn }: Fields): Execution {
        const execution = this.executions.byArn.get(String(executionArn));
        if (execution !== undefined) return execution;
        throw new ApiError("ExecutionDoesNotExist", `Execution Does Not Exist: '${String(executionArn)}'`);
    }

    private list({ stateMachineArn, statusFilter }: Fields): object {
        const executions = [...this.executions.byArn.values()]
            .filter(({ machineArn }) => machineArn === stateMachineArn)
            .filter((execution) => statusFilter === undefined || statusOf(execution) === statusFilter)
            .sort((one, other) => other.startDate.getTime() - one.startDate.getTime());
        return { executions: executions.map(summary) };
    }

    private listMapRuns(fields: Fields): object {
        const { arn, machineArn, startDate, mapRuns } = this.find(fields);
        const mapRunArns = [...mapRuns.keys()];
        return {
            mapRuns: mapRunArns.map((mapRunArn) => ({
                mapRunArn,
                executionArn: arn,
                stateMachineArn: machineArn,
                startDate: startDate.getTime() / 1000,
            })),
        };
    }

    private describeMapRun(mapRunArn: string): object {
        for (const { arn, mapRuns } of this.executions.byArn.values()) {
            const progress = mapRuns.get(mapRunArn);
            if (progress !== undefined) return describedMapRun(arn, progress);
        }
        throw new ApiError("ResourceNotFound", `Map Run Does Not Exist: '${mapRunArn}'`);
    }

    private getBuilds(ids: readonly string[]): object {
        const builds = ids.flatMap((id) => this.builds.get(id) ?? []);
        return { builds, buildsNotFound: ids.filter((id) => !this.builds.has(id)) };
    }
}

function parseInput(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        throw new ApiError("InvalidExecutionInput", "Invalid State Machine Execution Input");
    }
}

function statusOf({ ended }: Execution): string {
    return ended?.status ?? "RUNNING";
}

function summary(execution: Execution): object {
    const { arn, machineArn, startDate, ended } = execution;
    return {
        executionArn: arn,
        stateMachineArn: machineArn,
        name: arn.split(":").at(-1),
        status: statusOf(execution),
        startDate: startDate.getTime() / 1000,
        stopDate: ended && ended.date.getTime() / 1000,
    };
}

function described(execution: Execution): object {
    const { input, ended, stopped } = execution;
    const told = { ...summary(execution), input: JSON.stringify(input) };
    if (ended?.status === "SUCCEEDED") return { ...told, output: JSON.stringify(ended.output) };
    if (ended?.status === "FAILED") return { ...told, error: ended.error, cause: ended.cause };
    return ended === undefined ? told : { ...told, ...stopped };
}

function history({ events }: Execution, { reverseOrder }: Fields): object {
    return { events: reverseOrder === true ? events.toReversed() : events };
}

function describedMapRun(
    executionArn: string,
    { mapRunArn, total, running, succeeded, failed, aborted, isEnded }: MapRun,
): object {
    const pending = total - running - succeeded - failed - aborted;
    const counts = { total, pending, running, succeeded, failed, timedOut: 0, aborted };
    return {
        mapRunArn,
        executionArn,
        status: isEnded ? "SUCCEEDED" : "RUNNING",
        itemCounts: { ...counts, resultsWritten: isEnded ? total : 0 },
        executionCounts: { ...counts, resultsWritten: isEnded ? total : 0 },
    };
}
