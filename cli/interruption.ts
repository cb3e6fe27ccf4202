/** Ctrl-C while an execution is watched: it goes on without its watcher, unless that is told otherwise. */
import { StopExecutionCommand } from "@aws-sdk/client-sfn";

import { call } from "./call";
import { type Context, Interruption } from "./command";

/**
 * Watches an execution. After Ctrl-C asks, once, whether to stop the execution too; where nobody can be asked it goes on,
 * and the commands to stop it and to watch it again are printed.
 *
 * @throws Interruption in any case, after Ctrl-C
 */
export async function watchInterruptibly<T>(
    context: Context,
    executionArn: string,
    watch: () => Promise<T>,
): Promise<T> {
    try {
        return await watch();
    } catch (error) {
        if (!(error instanceof Interruption)) throw error;
        const { stderr } = context;
        const isAnswered = error.by === "SIGINT" && context.ask !== undefined;
        const answer = isAnswered ? await context.ask("\nStop the execution, too? [y/N] ") : "";
        if (/^y(es)?$/i.test(answer)) {
            // The context's own signal stays aborted.
            await stopExecution({ ...context, signal: new AbortController().signal }, executionArn);
            stderr.write(`Stopped ${executionArn}\n`);
        } else {
            stderr.write(
                `The execution goes on. To stop it, or to watch it again:\n` +
                    `  image-export stop ${executionArn}\n` +
                    `  image-export status ${executionArn} --wait\n`,
            );
        }
        throw error;
    }
}

/** Stops an execution, and with it its build. */
export async function stopExecution(context: Context, executionArn: string): Promise<void> {
    await call(context, "sfn", executionArn, (sfn) =>
        sfn.send(
            new StopExecutionCommand({
                executionArn,
                error: "Stopped",
                cause: "Stopped with the command line of image-export.",
            }),
        ),
    );
}
