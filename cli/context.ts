/** All that a command touches: a test gives it something else. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { withPathStyle } from "../exporter/destination/pathStyle";
import { type Output, outputTo } from "./terminal";

/** How a command ended; what a shell script asks for. The last two are by Ctrl-C and by SIGTERM. */
export const exitCodes = { success: 0, failed: 1, usage: 2, timedOut: 3, interrupted: 130, ended: 143 } as const;

/** Options without values, as the parser hands them over. */
export type Flags<Name extends string> = Readonly<Partial<Record<Name, boolean | undefined>>>;

export type Values<Name extends string> = Readonly<Partial<Record<Name, string | undefined>>>;

/** Why the signal of a context is aborted. */
export class Interruption extends Error {
    public constructor(
        /** `SIGINT` is Ctrl-C; anything else may not be answered with a question. */
        public readonly by: "SIGINT" | "SIGTERM",
    ) {
        super(`Stopped by ${by}.`);
    }
}

export type ClientClass<Client> = new (configuration: {
    readonly region?: string;
    readonly maxAttempts: number;
    readonly requestHandler: { readonly socketTimeout: number };
}) => Client;

export interface Context {
    /** For results. */
    readonly stdout: Output;
    /** For all that is said on the way. */
    readonly stderr: Output;
    readonly env: Readonly<Record<string, string | undefined>>;
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
    /**
     * Gives a client, the same one as before.
     *
     * @param region By default the environment's, as for every tool of AWS.
     * @param isRenewed Whether it is another one than before, which reads the credentials again.
     */
    readonly client: <Client>(type: ClientClass<Client>, region?: string, isRenewed?: boolean) => Client;
    /** Runs a program to its end. Rejects as `execFile` of Node does, where it failed and where there is no such program. */
    readonly runProgram: (command: string, args: readonly string[]) => Promise<{ readonly stdout: string }>;
}

/** What a command touches when it runs in this process. */
export function processContext(root: string): Context {
    const signal = stopSignal();
    for (const stream of [process.stdout, process.stderr]) {
        // The reader of a pipe may leave early (`| head`); that is no error of the command.
        stream.on("error", (error: NodeJS.ErrnoException) => {
            if (error.code !== "EPIPE") throw error;
        });
    }
    return {
        stdout: outputTo(process.stdout, process.env),
        stderr: outputTo(process.stderr, process.env),
        env: process.env,
        now: Date.now,
        sleep: async (milliseconds, stopped) => {
            await sleep(milliseconds, undefined, stopped && { signal: stopped }).catch(() => undefined);
            stopped?.throwIfAborted();
        },
        random: Math.random,
        signal,
        ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
        client: environmentClients(),
        runProgram: async (command, args) => {
            const running = promisify(execFile)(command, args, { cwd: root, signal, maxBuffer: Infinity });
            running.child.stdin?.end();
            return running.finally(() => {
                signal.throwIfAborted();
            });
        },
    };
}

/** Clients with the credentials of the environment: variables, profile, SSO, role of the machine. */
function environmentClients(): Context["client"] {
    const last = new Map<unknown, { readonly region: string | undefined; readonly client: unknown }>();
    return <Client>(type: ClientClass<Client>, region?: string, isRenewed = false) => {
        const known = last.get(type);
        if (known !== undefined && known.region === region && !isRenewed) return known.client as Client;
        const client = withPathStyle(
            new type({
                ...(region !== undefined && { region }),
                maxAttempts: 4,
                // A connection without a byte for so long is stalled.
                requestHandler: { socketTimeout: 30_000 },
            }),
        );
        last.set(type, { region, client });
        return client;
    };
}

function stopSignal(): AbortSignal {
    const controller = new AbortController();
    for (const name of ["SIGINT", "SIGTERM"] as const) {
        // Once: the second Ctrl-C ends the process as if there was no handler.
        process.once(name, () => {
            controller.abort(new Interruption(name));
        });
    }
    return controller.signal;
}

async function ask(question: string): Promise<string> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: question });
    terminal.prompt();
    // Closed by Ctrl-C and by the end of input, in the place of an answer.
    const [line] = (await Promise.race([once(terminal, "line"), once(terminal, "close")])) as string[];
    terminal.close();
    if (line === undefined) process.stderr.write("\n");
    return line?.trim() ?? "";
}
