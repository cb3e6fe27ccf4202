/** Finds the command, parses its arguments, runs it, and prints what it throws. */
import { parseArgs } from "node:util";

import { type Arguments, type Command, type Context, exitCodes, Interruption, type Options } from "./command";
import { commands } from "./commands";
import { processContext } from "./context";
import { asFailure, printFailure, UsageFailure } from "./failure";
import { commandHelp, generalHelp } from "./help";

/** What `launch.js` knows of where it is. */
export interface Installation {
    /** Folder of the repository. */
    readonly root: string;
    readonly version: string;
}

/** Runs the command line in this process. */
export async function main(argv: readonly string[], installation: Installation): Promise<number> {
    return runCommandLine(argv, installation.version, processContext(installation.root));
}

/** Runs the command line. @returns the exit code */
export async function runCommandLine(
    argv: readonly string[],
    version: string,
    context: Context,
): Promise<number> {
    try {
        return await dispatch(argv, version, context);
    } catch (error) {
        // As a shell tells of a process that a signal ended: 128 and the number of the signal.
        if (error instanceof Interruption) return error.by === "SIGINT" ? exitCodes.interrupted : 143;
        const failure = asFailure(error);
        printFailure(context, failure);
        return failure.exitCode;
    }
}

async function dispatch([name, ...rest]: readonly string[], version: string, context: Context) {
    const { stdout } = context;
    if (name === "--version" || name === "-v") {
        stdout.write(`${version}\n`);
        return exitCodes.success;
    }
    if (name === "--help" || name === "-h" || (name === "help" && rest[0] === undefined)) {
        stdout.write(generalHelp(context));
        return exitCodes.success;
    }
    if (name === undefined) {
        context.stderr.write(generalHelp({ ...context, stdout: context.stderr }));
        return exitCodes.usage;
    }
    const wanted = name === "help" ? (rest[0] ?? "") : name;
    const entry = Object.hasOwn(commands, wanted) ? commands[wanted] : undefined;
    if (entry === undefined) {
        throw new UsageFailure(
            `There is no ${wanted.startsWith("-") ? "option" : "command"} ${wanted}.`,
            "See all commands: image-export --help",
        );
    }
    const { command } = entry.load();
    if (name === "help" || asksForHelp(rest)) {
        stdout.write(commandHelp(wanted, entry.summary, command, context));
        return exitCodes.success;
    }
    return command.run(parse(wanted, command, rest), context);
}

function asksForHelp(args: readonly string[]): boolean {
    const options = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
    return options.includes("--help") || options.includes("-h");
}

/** What was given to a command; arguments that it cannot take are refused. */
function parse(name: string, command: Command, args: readonly string[]): Arguments<Options> {
    const help = `See its options and examples: image-export ${name} --help`;
    const { values, positionals } = parseOptions(command.options, args, help);
    for (const [option, { choices }] of Object.entries(command.options)) {
        const value = values[option];
        if (choices !== undefined && typeof value === "string" && !choices.includes(value)) {
            throw new UsageFailure(`--${option} is "${value}": expected ${choices.join(", ")}.`, help);
        }
    }
    const required = command.positionals.filter((each) => !each.startsWith("["));
    if (positionals.length < required.length || positionals.length > command.positionals.length) {
        const expected = command.positionals.length === 0 ? "no arguments" : command.positionals.join(" ");
        const got = positionals.length === 0 ? "none" : positionals.join(" ");
        throw new UsageFailure(`image-export ${name} takes ${expected}; given: ${got}.`, help);
    }
    return { values, positionals };
}

function parseOptions(options: Options, args: readonly string[], help: string) {
    try {
        return parseArgs({ args: [...args], options, allowPositionals: true });
    } catch (error) {
        // The first sentence tells what is wrong; the rest is about quoting.
        const [message = ""] = asFailure(error).message.split(/\. (?=[A-Z])/);
        throw new UsageFailure(`${message.replace(/\.$/, "")}.`, help);
    }
}
