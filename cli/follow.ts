/** Follows an execution to its end, with few calls: Step Functions for its state, CodeBuild and the log for how far it is. */
import { type DescribeExecutionCommandOutput, SFN } from "@aws-sdk/client-sfn";

import { messageOf } from "../contract/errors";
import { call } from "./aws";
import { buildFollower } from "./build";
import { type Context, type Flags, Interruption } from "./context";
import { isDenied } from "./failure";
import { formatDuration, type Piece, statusLine, styled, writeJson } from "./terminal";

// Each look is three calls. AWS lets an account make 15 to 25 of each kind a second, for everybody in it.
const firstPollMs = 1000;
const slowestPollMs = 5000;

export type Execution = DescribeExecutionCommandOutput;

/**
 * Starts an execution, and prints its ARN: on stderr where it is to be followed, else as the outcome.
 *
 * @param name Its own makes it safe to send the call again: the same execution is not started twice.
 * @returns its ARN
 */
export async function startExecution(
    context: Context,
    stateMachineArn: string,
    name: string,
    input: object,
    { wait, json }: Flags<"json" | "wait">,
): Promise<string> {
    const { stdout, stderr } = context;
    const execution = { stateMachineArn, name, input: JSON.stringify(input) };
    const { executionArn = "" } = await call(context, SFN, stateMachineArn, (sfn) => sfn.startExecution(execution));
    if (wait !== false) stderr.write(styled("execution", "dim"), ` ${executionArn}\n`);
    else if (json === true) writeJson(stdout, { executionArn });
    else stdout.write(`${executionArn}\n`);
    return executionArn;
}

export async function describeExecution(context: Context, executionArn: string): Promise<Execution> {
    return call(context, SFN, executionArn, (sfn) => sfn.describeExecution({ executionArn }));
}

/**
 * Follows an execution with a live status on stderr. Without permission to see its build it is followed all the same.
 *
 * @param isLogging Whether the lines of the build's log are printed as well.
 * @returns the execution, ended
 */
export async function followExecution(context: Context, executionArn: string, isLogging: boolean): Promise<Execution> {
    const look = buildFollower(context, executionArn);
    return poll(context, executionArn, async (print) => {
        const { stage, lines } = await look();
        if (isLogging) for (const line of lines) print(styled(line, "dim"));
        return stage;
    });
}

/**
 * Looks at an execution until it has ended, with a status line and its clock. After Ctrl-C asks, once, whether to stop the
 * execution as well; where nobody can be asked it goes on, and the commands to stop it and to watch it again are printed.
 *
 * @param look Finds what is shown: the stage, and what changes within it after a colon. Once that is denied, it is told, and not
 *     tried again.
 * @throws Interruption after Ctrl-C, whatever the answer
 */
export async function poll(
    context: Context,
    executionArn: string,
    look: (print: (line: Piece) => void) => Promise<string>,
): Promise<Execution> {
    const status = statusLine(context.stderr);
    let stage = "running";
    let isDeniedToLook = false;
    let lastName: string | undefined;
    let pauseMs = 0;
    try {
        for (;;) {
            const execution = await describeExecution(context, executionArn);
            try {
                if (!isDeniedToLook) stage = await look(status.print);
            } catch (error) {
                if (!isDenied(error)) throw error;
                isDeniedToLook = true;
                const advice = "The stack's outputs startExportPolicy and startBatchPolicy have what is needed.";
                const note = `How far it is cannot be seen with these credentials. ${advice} (${messageOf(error)})`;
                status.print(styled(note, "yellow"));
            }
            if (execution.status !== "RUNNING") return execution;
            // What has just changed may change again soon.
            const [name = ""] = stage.split(":");
            pauseMs = name === lastName ? Math.min(slowestPollMs, pauseMs * 1.3) : firstPollMs;
            lastName = name;
            const startMs = execution.startDate?.getTime() ?? context.now();
            await pause(context, pauseMs * (0.75 + context.random() / 2), () => {
                const elapsed = ` ${formatDuration(context.now() - startMs)} since the start`;
                status.show(name, styled(stage, "cyan"), styled(elapsed, "dim"));
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
    const answer = by === "SIGINT" ? await context.ask?.("\nStop the execution as well? [y/N] ") : undefined;
    if (/^y(es)?$/i.test(answer ?? "")) {
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
    await call(context, SFN, executionArn, (sfn) => sfn.stopExecution({ executionArn, error: "Stopped", cause }));
}
