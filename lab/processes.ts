/** Child processes of the lab: run to the end, or started, waited for and stopped again. */
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A server that the lab has started. */
export interface RunningProcess {
    /** Ends the process and all that it has started, and waits until it is gone. */
    stop(): Promise<void>;
}

/** Options of {@link startProcess}. */
export interface StartOptions {
    /** Environment of the process, on top of the lab's own. */
    readonly env?: Record<string, string>;
    /** File that takes what the process prints. */
    readonly logFile: string;
    /** Tells whether the process is ready for use. */
    readonly ready: () => Promise<boolean>;
}

/**
 * Runs a command to its end.
 *
 * @returns what it wrote to standard output.
 * @throws Error with the end of what it wrote to standard error, when it fails.
 */
export async function run(
    command: string,
    args: readonly string[],
    options: { readonly env?: Record<string, string> } = {},
): Promise<string> {
    return new Promise((resolve, reject) => {
        execFile(
            command,
            args,
            { env: { ...process.env, ...options.env }, maxBuffer: 64 * 1024 * 1024 },
            (error, stdout, stderr) => {
                if (error === null) resolve(stdout);
                else reject(new Error(`${command} ${args.join(" ")}: ${lastLines(stderr || error.message)}`));
            },
        );
    });
}

// The last resort, for an end that leaves no time to stop anything in order.
const groups = new Set<number>();
process.on("exit", () => {
    for (const group of groups) signal(group, "SIGKILL");
});

/**
 * Starts a server, in a process group of its own, and waits until it is ready.
 *
 * @throws Error with the end of its log, when it ends before it is ready or is not ready within 30 seconds.
 */
export async function startProcess(
    command: string,
    args: readonly string[],
    options: StartOptions,
): Promise<RunningProcess> {
    const log = openSync(options.logFile, "a");
    const child = spawn(command, args, {
        env: { ...process.env, ...options.env },
        stdio: ["ignore", log, log],
        detached: true,
    });
    closeSync(log);
    if (child.pid !== undefined) groups.add(child.pid);
    const life = { ended: false };
    const end = new Promise<void>((resolve) => {
        const settle = () => {
            life.ended = true;
            resolve();
        };
        child.once("exit", settle);
        child.once("error", settle);
    });
    const stop = async () => {
        if (!life.ended) signal(child.pid, "SIGTERM");
        await Promise.race([end, sleep(10_000, undefined, { ref: false })]);
        // What is left of the group: children that the server did not take with it.
        signal(child.pid, "SIGKILL");
        await end;
        if (child.pid !== undefined) groups.delete(child.pid);
    };
    const deadline = Date.now() + 30_000;
    while (!(await options.ready())) {
        if (life.ended || Date.now() > deadline) {
            await stop();
            throw new Error(`${command} did not start:\n${lastLines(readFileSync(options.logFile, "utf8"))}`);
        }
        await sleep(50);
    }
    return { stop };
}

/** A TCP port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
    return new Promise((resolve, reject) => {
        const server = createServer();
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            server.close(() => {
                if (address !== null && typeof address === "object") resolve(address.port);
            });
        });
    });
}

/** Tells whether an HTTP server answers at a URL, whatever it answers. */
export async function answers(url: string): Promise<boolean> {
    return fetch(url).then(
        () => true,
        () => false,
    );
}

function signal(group: number | undefined, name: NodeJS.Signals): void {
    if (group === undefined) return;
    try {
        process.kill(-group, name);
    } catch {
        // The group has ended.
    }
}

function lastLines(text: string): string {
    return text.trim().split("\n").slice(-15).join("\n");
}
