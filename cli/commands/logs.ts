import { BuildFollower } from "../build";
import { type Context, exitCodes } from "../context";
import { describeExecution } from "../follow";
import { findExecution, type StackOptions } from "../stack";

const pollMs = 2000;

interface LogsOptions extends StackOptions {
    readonly follow?: boolean | undefined;
}

/** `image-export logs EXECUTION` */
export async function logs(given: string, options: LogsOptions, context: Context): Promise<number> {
    const arn = await findExecution(given, options, context);
    const build = new BuildFollower(context, arn);
    let isEmpty = true;
    for (;;) {
        // The state first: what was written before an end is then read after it.
        const { status } = await describeExecution(context, arn);
        const lines = await build.look();
        isEmpty &&= lines.length === 0;
        for (const line of lines) context.stdout.write(`${line}\n`);
        if (status !== "RUNNING" || options.follow !== true) break;
        await context.sleep(pollMs * (0.75 + context.random() / 2), context.signal);
    }
    if (isEmpty) {
        context.stderr.write(
            build.arn === undefined
                ? "The export has no build: it was skipped or refused, or has only just begun.\n"
                : `The build ${build.arn} has written nothing so far.\n`,
        );
    }
    return exitCodes.success;
}
