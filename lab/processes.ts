/** Child processes of the lab: run to the end, or started, waited for and stopped again. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What the lab has started, and stops again. */
export interface Stoppable {
    /** Ends it and all that it has started, and waits until it is gone. */
    readonly stop: () => Promise<void>;
}

/** A server that is ready, and what its log has said by then. */
export interface RunningProcess extends Stoppable {
    readonly ready: RegExpExecArray;
}

/** Options of {@link startProcess}. */
export interface StartOptions {
    /** Folder of the lab, in which the log is. */
    readonly folder: string;
    /** Environment of the process, on top of the lab's own. */
    readonly env?: Record<string, string>;
    /** What its log says when it is ready for use. */
    readonly ready: RegExp;
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
    const limits = { env: { ...process.env, ...options.env }, maxBuffer: 64 * 1024 * 1024 };
    return new Promise((resolve, reject) => {
        execFile(command, args, limits, (error, stdout, stderr) => {
            if (error === null) resolve(stdout);
            else reject(new Error(`${command} ${args.join(" ")}: ${lastLines(stderr || error.message)}`));
        });
    });
}

/** The variable by which whatever belongs to a lab is found: it holds the lab's folder. */
export const labVariable = "IMAGE_EXPORT_LAB";

// Its standard input ends when the lab does, however that ends. Whatever the lab has started has its variable.
const watching = `
cat >/dev/null
belonging() { grep -lzx "$0=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
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
 * @throws Error with the end of its log, when it ends before it is ready or is not ready within two minutes.
 */
export async function startProcess(
    command: string,
    args: readonly string[],
    { folder, env, ready }: StartOptions,
): Promise<RunningProcess> {
    const logFile = join(folder, `${command.split("/").at(-1) ?? ""}.log`);
    const log = openSync(logFile, "a");
    const child = spawn(command, args, {
        env: { ...process.env, ...env, [labVariable]: folder },
        stdio: ["ignore", log, log],
        detached: true,
    });
    closeSync(log);
    const life = { ended: false };
    const end = Promise.race(["exit", "error"].map((event) => once(child, event))).finally(() => {
        life.ended = true;
    });
    end.catch(() => undefined); // told by its log
    const stop = async () => {
        if (!life.ended) signal(child.pid, "SIGTERM");
        await Promise.race([end, sleep(10_000, undefined, { ref: false })]).catch(() => undefined);
        // What is left of the group: children that the server did not take with it.
        signal(child.pid, "SIGKILL");
        await end.catch(() => undefined);
    };
    const deadline = Date.now() + 120_000;
    for (;;) {
        const said = readFileSync(logFile, "utf8");
        const match = ready.exec(said);
        if (match !== null) return { stop, ready: match };
        if (life.ended || Date.now() > deadline) {
            await stop();
            throw new Error(`${command} did not start:\n${lastLines(said)}`);
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

function lastLines(text: string): string {
    return text.trim().split("\n").slice(-15).join("\n");
}
