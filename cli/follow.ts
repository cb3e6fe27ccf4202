/** Follows an execution to its end, with few calls: Step Functions for its state, CodeBuild and the log for how far it is. */
import { DescribeExecutionCommand, type DescribeExecutionCommandOutput } from "@aws-sdk/client-sfn";

import { type Build, describeBuild, findBuildArn, LogReader } from "./build";
import { call } from "./call";
import type { Context } from "./command";
import { isDenied } from "./failure";
import { followLog, type Stage, stageOfBuild, stageText } from "./stage";
import { formatDuration, statusLine, styles } from "./terminal";

// Each poll is three calls. AWS lets an account make 15 to 25 of each kind a second, for everybody in it.
const firstPollMs = 1000;
const slowestPollMs = 5000;

/** What Step Functions tells of an execution. */
export type Execution = DescribeExecutionCommandOutput & { readonly executionArn: string };

/** Asks Step Functions. */
export async function describeExecution(context: Context, executionArn: string): Promise<Execution> {
    const answer = await call(context, "sfn", executionArn, (sfn) =>
        sfn.send(new DescribeExecutionCommand({ executionArn })),
    );
    return { ...answer, executionArn };
}

/** Looks at a running execution again and again. */
export class Watch {
    private buildArn: string | undefined;
    private build: Build | undefined;
    private log: LogReader | undefined;
    private told: Stage | undefined;
    private isBuildHidden = false;

    /** Why the build cannot be seen, where these credentials may not. */
    public hidden: unknown;

    public constructor(
        private readonly context: Context,
        private readonly executionArn: string,
    ) {}

    /** What the execution is doing, and what its build has written since the last time. */
    public async look(): Promise<{
        readonly execution: Execution;
        readonly stage: Stage;
        readonly lines: readonly string[];
    }> {
        const execution = await describeExecution(this.context, this.executionArn);
        const lines = await this.lookAtBuild();
        const stage: Stage =
            this.buildArn === undefined ? { name: "checking" } : stageOfBuild(this.build?.phase, this.told);
        return { execution, stage, lines };
    }

    /** Without permission for it, the execution is followed all the same. */
    private async lookAtBuild(): Promise<readonly string[]> {
        if (this.isBuildHidden) return [];
        try {
            this.buildArn ??= await findBuildArn(this.context, this.executionArn);
            if (this.buildArn === undefined) return [];
            this.build = await describeBuild(this.context, this.buildArn);
            if (this.build.log !== undefined) {
                this.log ??= new LogReader(this.context, this.buildArn, this.build.log);
            }
            const lines = (await this.log?.read()) ?? [];
            this.told = followLog(this.told, lines);
            return lines;
        } catch (error) {
            if (!isDenied(error)) throw error;
            this.isBuildHidden = true;
            this.hidden = error;
            return [];
        }
    }
}

/**
 * Follows an execution with a live status on stderr.
 *
 * @param options.logs Whether the lines of the build's log are printed, too.
 * @returns the execution, ended
 */
export async function followExecution(
    context: Context,
    executionArn: string,
    { logs }: { readonly logs: boolean },
): Promise<Execution> {
    const { stderr, env } = context;
    const { cyan, dim, yellow } = styles(stderr, env);
    const status = statusLine(stderr);
    const watch = new Watch(context, executionArn);
    let pauseMs = firstPollMs;
    let lastStage = "";
    try {
        for (;;) {
            const { execution, stage, lines } = await watch.look();
            if (logs) for (const line of lines) status.print(dim(line));
            if (execution.status !== "RUNNING") return execution;
            if (watch.hidden !== undefined) {
                status.print(yellow(hiddenText(watch.hidden)));
                watch.hidden = undefined;
            }
            const startMs = execution.startDate?.getTime() ?? context.now();
            const show = () => {
                const elapsed = formatDuration(context.now() - startMs);
                status.show(`${cyan(stageText(stage))} ${dim(`${elapsed} since the start`)}`, stage.name);
            };
            // What has just changed may change again soon.
            pauseMs = stage.name === lastStage ? Math.min(slowestPollMs, pauseMs * 1.3) : firstPollMs;
            lastStage = stage.name;
            await pause(context, pauseMs * (0.75 + context.random() / 2), show);
        }
    } finally {
        status.clear();
    }
}

/** Waits; on a terminal the clock of the status goes on. */
export async function pause(context: Context, milliseconds: number, tick: () => void): Promise<void> {
    tick();
    const endMs = context.now() + milliseconds;
    for (let leftMs = milliseconds; leftMs > 0; leftMs = endMs - context.now()) {
        await context.sleep(context.stderr.isTty ? Math.min(1000, leftMs) : leftMs, context.signal);
        tick();
    }
}

function hiddenText(error: unknown): string {
    const said = error instanceof Error ? error.message : String(error);
    return `The build cannot be seen with these credentials, so its progress is not shown. The stack's output startExportPolicy has what is needed. (${said})`;
}
