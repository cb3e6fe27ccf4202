/** Child processes of the lab: run to the end, or started, waited for and stopped again. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** What the lab has started, and stops again. */
export interface Stoppable {
    /** Ends it and all that it has started, and waits until it is gone. */
    readonly stop: () => Promise<void>;
}

/** A server that listens on 127.0.0.1. */
export interface Listening extends Stoppable {
    readonly port: number;
}

/**
 * Runs a command to its end.
 *
 * @param env Environment, on top of the lab's own.
 * @returns what it wrote to standard output.
 * @throws Error with what it wrote to standard error, when it fails.
 */
export async function run(
    command: string,
    args: readonly string[],
    { env }: { readonly env?: Record<string, string> } = {},
): Promise<string> {
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 };
    return (await promisify(execFile)(command, args, options)).stdout;
}

/** The variable by which whatever belongs to a lab is found: it holds the lab's folder, or one in that. */
export const labVariable = "IMAGE_EXPORT_LAB";

// Its standard input ends when the lab does, however that ends. Whatever the lab has started has its variable.
const watching = `
cat >/dev/null
belonging() { grep -lzxE "$0=$1(/.*)?" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
while pids=$(belonging "$@"); [ -n "$pids" ]; do kill -KILL $pids 2>/dev/null; sleep 0.1; done
grep -F " $1/" /proc/self/mounts | cut -d" " -f2 | sort -r | xargs -r umount --lazy
rm -rf "$1"`;

/**
 * Sees to it that nothing of a lab is left when the lab has ended, be it by SIGKILL: neither processes that have
 * {@link labVariable} in their environment, nor mounts, nor the folder. To stop it is to have that done.
 */
export function watchOver(folder: string): Stoppable {
    const watchdog = spawn("bash", ["-c", watching, labVariable, folder], {
        stdio: ["pipe", "ignore", "ignore"],
        detached: true, // in a session of its own: what a terminal sends to the lab is not for it
    });
    const end = new Promise((resolve) => watchdog.once("close", resolve));
    watchdog.unref();
    return {
        stop: async () => {
            watchdog.ref();
            watchdog.stdin.end();
            await end;
        },
    };
}

/**
 * Starts a server, in a process group of its own, and waits until it is ready.
 *
 * @param env Environment, on top of the lab's own.
 * @param folder Folder of the lab, in which the log is.
 * @param ready What the log says when the server is ready for use, with the port as its group, where there is one.
 * @throws Error with the end of its log, when it ends before it is ready or is not ready within two minutes.
 */
export async function startProcess(
    command: string,
    args: readonly string[],
    { folder, env, ready }: { readonly folder: string; readonly env?: Record<string, string>; readonly ready: RegExp },
): Promise<Listening> {
    const logFile = join(folder, `${command}.log`);
    const log = openSync(logFile, "a");
    const child = spawn(command, args, {
        env: { ...process.env, ...env, [labVariable]: folder },
        stdio: ["ignore", log, log],
        detached: true,
    });
    closeSync(log);
    const end = once(child, "exit").catch(() => undefined); // told by its log
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    const stop = async () => {
        if (!hasEnded()) signal(child.pid, "SIGTERM");
        await Promise.race([end, sleep(10_000, undefined, { ref: false })]);
        // What is left of the group: children that the server did not take with it.
        signal(child.pid, "SIGKILL");
        await end;
    };
    const deadline = Date.now() + 120_000;
    for (;;) {
        const said = readFileSync(logFile, "utf8");
        const match = ready.exec(said);
        if (match !== null) return { stop, port: Number(match[1]) };
        if (hasEnded() || Date.now() > deadline) {
            await stop();
            throw new Error(`${command} did not start:\n${said.trim().split("\n").slice(-15).join("\n")}`);
        }
        await sleep(50);
    }
}

function signal(group: number | undefined, name: NodeJS.Signals): void {
    if (group === undefined) return;
    try {
        process.kill(-group, name);
    } catch {
        // The group has ended.
    }
}
