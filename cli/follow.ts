/** Follows an execution to its end, with few calls: Step Functions for its state, CodeBuild and the log for how far it is. */
import {
    DescribeExecutionCommand,
    type DescribeExecutionCommandOutput,
    StopExecutionCommand,
} from "@aws-sdk/client-sfn";

import { messageOf } from "../contract/errors";
import { BuildFollower } from "./build";
import { call } from "./call";
import { type Context, Interruption } from "./context";
import { isDenied } from "./failure";
import { followLog, type Stage, stageOfBuild, stageText } from "./stage";
import { formatDuration, type Piece, statusLine, styled } from "./terminal";

// Each look is three calls. AWS lets an account make 15 to 25 of each kind a second, for everybody in it.
const firstPollMs = 1000;
const slowestPollMs = 5000;

/** What Step Functions knows of an execution. */
export type Execution = DescribeExecutionCommandOutput & { readonly executionArn: string };

/** Asks Step Functions. */
export async function describeExecution(context: Context, executionArn: string): Promise<Execution> {
    const answer = await call(context, "sfn", executionArn, (sfn) =>
        sfn.send(new DescribeExecutionCommand({ executionArn })),
    );
    return { ...answer, executionArn };
}

/** What an execution is doing, and what its build has written since the last time. */
export interface Look {
    readonly execution: Execution;
    readonly stage: Stage;
    readonly lines: readonly string[];
}

/** Looks at a running execution again and again. */
export class Watch {
    /** Why the build cannot be seen, where these credentials may not. */
    public hidden: unknown;
    private readonly build: BuildFollower;
    private logged: Stage | undefined;

    public constructor(
        private readonly context: Context,
        private readonly executionArn: string,
    ) {
        this.build = new BuildFollower(context, executionArn);
    }

    /** Looks once. Without permission to see its build, the execution is followed all the same. */
    public async look(): Promise<Look> {
        const execution = await describeExecution(this.context, this.executionArn);
        const lines = await this.lookAtBuild();
        this.logged = followLog(this.logged, lines);
        const stage =
            this.build.arn === undefined ? { name: "checking" } : stageOfBuild(this.build.phase, this.logged);
        return { execution, stage, lines };
    }

    private async lookAtBuild(): Promise<readonly string[]> {
        if (this.hidden !== undefined) return [];
        try {
            return await this.build.look();
        } catch (error) {
            if (!isDenied(error)) throw error;
            this.hidden = error;
            return [];
        }
    }
}

/**
 * Follows an execution with a live status on stderr.
 *
 * @param isLogging Whether the lines of the build's log are printed as well.
 * @returns the execution, ended
 */
export async function followExecution(
    context: Context,
    executionArn: string,
    isLogging: boolean,
): Promise<Execution> {
    const watch = new Watch(context, executionArn);
    let lastStage = "";
    let pauseMs = 0;
    return poll(context, executionArn, async (print) => {
        const { execution, stage, lines } = await watch.look();
        if (isLogging) for (const line of lines) print(styled(line, "dim"));
        // What has just changed may change again soon.
        pauseMs = stage.name === lastStage ? Math.min(slowestPollMs, pauseMs * 1.3) : firstPollMs;
        lastStage = stage.name;
        const hidden =
            watch.hidden === undefined
                ? undefined
                : `The build cannot be seen with these credentials, so its progress is not shown. The stack's output startExportPolicy has what is needed. (${messageOf(watch.hidden)})`;
        return { execution, key: stage.name, text: stageText(stage), hidden, pauseMs };
    });
}

/** What a look at a running execution gives {@link poll}. */
export interface Polled {
    readonly execution: Execution;
    /** Changes when a new line is worth it where there is no terminal. */
    readonly key: string;
    readonly text: string;
    /** Why less is shown than there is; said once. */
    readonly hidden: string | undefined;
    readonly pauseMs: number;
}

/**
 * Looks at an execution until it has ended, with a status line and its clock. After Ctrl-C asks, once, whether to stop the
 * execution as well; where nobody can be asked it goes on, and the commands to stop it and to watch it again are printed.
 *
 * @throws Interruption after Ctrl-C, whatever the answer
 */
export async function poll(
    context: Context,
    executionArn: string,
    look: (print: (line: Piece) => void) => Promise<Polled>,
): Promise<Execution> {
    const status = statusLine(context.stderr);
    let isHiddenSaid = false;
    try {
        for (;;) {
            const { execution, key, text, hidden, pauseMs } = await look(status.print);
            if (execution.status !== "RUNNING") return execution;
            if (hidden !== undefined && !isHiddenSaid) status.print(styled(hidden, "yellow"));
            isHiddenSaid ||= hidden !== undefined;
            const startMs = execution.startDate?.getTime() ?? context.now();
            await pause(context, pauseMs * (0.75 + context.random() / 2), () => {
                const elapsed = ` ${formatDuration(context.now() - startMs)} since the start`;
                status.show(key, styled(text, "cyan"), styled(elapsed, "dim"));
            });
        }
    } catch (error) {
        status.clear();
        if (error instanceof Interruption) await askToStop(context, executionArn, error);
        throw error;
    } finally {
        status.clear();
    }
}

/** Waits; on a terminal the clock of the status goes on. */
async function pause(context: Context, milliseconds: number, tick: () => void): Promise<void> {
    tick();
    const endMs = context.now() + milliseconds;
    for (let leftMs = milliseconds; leftMs > 0; leftMs = endMs - context.now()) {
        await context.sleep(context.stderr.isTty ? Math.min(1000, leftMs) : leftMs, context.signal);
        tick();
    }
}

async function askToStop(context: Context, executionArn: string, { by }: Interruption): Promise<void> {
    const isAnswered = by === "SIGINT" && context.ask !== undefined;
    const answer = isAnswered ? await context.ask("\nStop the execution as well? [y/N] ") : "";
    if (/^y(es)?$/i.test(answer)) {
        // The context's own signal stays aborted.
        await stopExecution({ ...context, signal: new AbortController().signal }, executionArn);
        context.stderr.write(`Stopped ${executionArn}\n`);
        return;
    }
    context.stderr.write(
        "The execution goes on. To stop it, or to watch it again:\n",
        `  image-export stop ${executionArn}\n`,
        `  image-export status ${executionArn} --wait\n`,
    );
}

/** Stops an execution, and with it its build. */
export async function stopExecution(context: Context, executionArn: string): Promise<void> {
    const cause = "Stopped with the command line of image-export.";
    await call(context, "sfn", executionArn, (sfn) =>
        sfn.send(new StopExecutionCommand({ executionArn, error: "Stopped", cause })),
    );
}
