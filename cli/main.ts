/** Runs the command line, and prints what its commands throw. */
import { CommanderError } from "@commander-js/extra-typings";

import { type Context, exitCodes, Interruption, processContext } from "./context";
import { asFailure, printFailure, usageFailure } from "./failure";
import { createProgram } from "./program";

/** Runs the command line in this process. @param root Folder of the repository. */
export async function main(argv: readonly string[], root: string): Promise<number> {
    return runCommandLine(argv, processContext(root));
}

/** Runs the command line. @returns the exit code */
export async function runCommandLine(argv: readonly string[], context: Context): Promise<number> {
    let exitCode: number = exitCodes.success;
    const program = createProgram(context, (ended) => {
        exitCode = ended;
    });
    try {
        await program.parseAsync(argv, { from: "user" });
        return exitCode;
    } catch (error) {
        if (error instanceof Interruption) {
            return error.by === "SIGINT" ? exitCodes.interrupted : exitCodes.ended;
        }
        // Help and version have been printed; help without a command is no success.
        if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.success;
        if (error instanceof CommanderError && error.code === "commander.help") return exitCodes.usage;
        const failure = error instanceof CommanderError ? asUsage(error, argv[0]) : asFailure(error);
        printFailure(context.stderr, failure);
        return failure.details.exitCode ?? exitCodes.failed;
    }
}

function asUsage({ message }: CommanderError, name = "") {
    const said = message.replace(/^error: /, "");
    const text = `${said.charAt(0).toUpperCase()}${said.slice(1)}`.replace(/[^.?)]$/, "$&.");
    const about = text.startsWith("Unknown command") ? "" : ` ${name}`;
    return usageFailure(text, `See options and examples: image-export${about} --help`);
}
