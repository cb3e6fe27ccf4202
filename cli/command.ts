/**
 * What a command is, and what it gets. The shape of the command line:
 *
 * - `launch.js` bundles cli/ on first use and runs it; `main.ts` finds the command, parses its arguments, prints its help.
 * - `commands.ts` is the table of commands: name, summary, module. A module runs only when its command is called.
 * - `commands/NAME.ts` exports one `command`, made by {@link defineCommand}. Help, completion and the test of docs/cli.md
 *   are made of what it declares.
 * - Everything that a command touches is in its {@link Context}: a test gives another one. It prints results to
 *   `stdout`, and all that is said on the way to `stderr`.
 * - It ends with an exit code, or throws a `Failure` (`failure.ts`), which `main.ts` alone prints.
 */
import type { parseArgs } from "node:util";

import type { AwsClients } from "./aws";

/** How a command ended; what a shell script asks for. */
export const exitCodes = { success: 0, failed: 1, usage: 2, timedOut: 3, interrupted: 130 } as const;

/** An option, as `node:util` parseArgs takes it, and what is said of it. */
export interface Option {
    readonly type: "boolean" | "string";
    readonly short?: string;
    /** What help calls its value, for instance `URI`. Strings only. */
    readonly value?: string;
    /** One line of help, without a full stop. */
    readonly description: string;
    /** Values that there are; anything else is refused, and completion offers them. */
    readonly choices?: readonly string[];
}

/** The options of a command by their names. */
export type Options = Readonly<Record<string, Option>>;

/** The options that were given. */
export type Values<O extends Options> = ReturnType<
    typeof parseArgs<{ options: { [name in keyof O]: { type: O[name]["type"] } } }>
>["values"];

/** What was given to a command. */
export interface Arguments<O extends Options> {
    readonly values: Values<O>;
    /** As many as the command declares; those in brackets may be missing. */
    readonly positionals: readonly string[];
}

/** A command of the command line. */
export interface Command<O extends Options = Options> {
    /** Names of its arguments; what may be left out is in brackets: `["KEY", "[FILE]"]`. */
    readonly positionals: readonly string[];
    readonly options: O;
    /** What the help says besides: how it behaves, its exit codes. */
    readonly description: string;
    /** Whole commands that can be run, with what each does. */
    readonly examples: readonly { readonly command: string; readonly does: string }[];
    /** @returns the exit code */
    run(given: Arguments<O>, context: Context): Promise<number>;
}

/** Keeps the types of the options, so that `run` knows the values. */
export function defineCommand<const O extends Options>(command: Command<O>): Command {
    return command;
}

/** Why the signal of a context is aborted. */
export class Interruption extends Error {
    public constructor(
        /** `SIGINT` is Ctrl-C; anything else may not be answered with a question. */
        public readonly by: "SIGINT" | "SIGTERM",
    ) {
        super(`Stopped by ${by}.`);
    }
}

/** Where text goes. */
export interface Output {
    readonly write: (text: string) => void;
    readonly isTty: boolean;
    /** Characters in a line. */
    readonly columns: number;
}

/** What a process left. */
export interface ProcessResult {
    readonly exitCode: number;
    readonly stdout: string;
    readonly stderr: string;
}

/** All that a command touches. */
export interface Context {
    readonly stdout: Output;
    readonly stderr: Output;
    readonly env: Readonly<Record<string, string | undefined>>;
    /** Folder of the repository, where Pulumi's project is. */
    readonly root: string;
    /** Milliseconds since 1970. */
    readonly now: () => number;
    /** Waits; rejects with the signal's reason when that is aborted. */
    readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
    /** From 0 to 1, for jitter. */
    readonly random: () => number;
    /** Aborted with an {@link Interruption} by the first Ctrl-C, and by SIGTERM; the second Ctrl-C ends the process. */
    readonly signal: AbortSignal;
    /**
     * Asks whoever sits at the terminal. Undefined where nobody does.
     *
     * @returns the answer without spaces around; empty where none was given
     */
    readonly ask: ((question: string) => Promise<string>) | undefined;
    readonly aws: AwsClients;
    /** Runs a program to its end. Rejects with `code` `ENOENT` where there is no such program. */
    readonly runProcess: (
        command: string,
        args: readonly string[],
        options?: { readonly cwd?: string; readonly signal?: AbortSignal },
    ) => Promise<ProcessResult>;
}
