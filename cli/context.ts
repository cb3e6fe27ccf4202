/** The context of a real process. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { environmentClients } from "./aws";
import { type Context, Interruption, type Output, type ProcessResult } from "./command";

/** What a command touches when it runs in this process. */
export function processContext(root: string): Context {
    return {
        stdout: outputOf(process.stdout),
        stderr: outputOf(process.stderr),
        env: process.env,
        root,
        now: Date.now,
        sleep: async (milliseconds, signal) => {
            await sleep(milliseconds, undefined, signal && { signal }).catch(() => undefined);
            signal?.throwIfAborted();
        },
        random: Math.random,
        signal: stopSignal(),
        ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
        aws: environmentClients(),
        runProcess,
    };
}

function outputOf(stream: NodeJS.WriteStream): Output {
    // The reader of a pipe may leave early (`| head`); that is no error of the command.
    stream.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE") throw error;
    });
    return {
        write: (text) => void stream.write(text),
        isTty: stream.isTTY,
        get columns() {
            // 0 where nobody has told the terminal its size.
            return stream.isTTY && stream.columns > 0 ? stream.columns : 80;
        },
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
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const left = new AbortController();
    // Ctrl-C or the end of input, in the place of an answer.
    for (const event of ["SIGINT", "close"]) {
        terminal.once(event, () => {
            left.abort();
        });
    }
    try {
        return (await terminal.question(question, { signal: left.signal })).trim();
    } catch {
        process.stderr.write("\n");
        return "";
    } finally {
        terminal.close();
    }
}

async function runProcess(
    command: string,
    args: readonly string[],
    options: { readonly cwd?: string; readonly signal?: AbortSignal } = {},
): Promise<ProcessResult> {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const exit = new Promise<number>((resolve, reject) => {
        child.once("error", reject).once("close", (code) => {
            resolve(code ?? 1);
        });
    });
    const [exitCode, stdout, stderr] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
    return { exitCode, stdout, stderr };
}
