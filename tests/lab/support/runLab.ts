/** The lab as a command of its own, and what it leaves. */
import * as assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { labVariable } from "../../../lab/processes";

const main = join(__dirname, "..", "..", "..", "lab", "main.ts");

/** How a lab ended. */
export interface Ending {
    /** Null where a signal ended it. */
    readonly code: number | null;
    readonly output: string;
}

/** Runs the lab as `npm run lab` does, with a folder for temporary files of its own. */
export async function runLab(
    folder: string,
    args: string[],
    options: {
        readonly interruptAt?: string;
        readonly signal?: NodeJS.Signals;
        readonly env?: Record<string, string>;
    } = {},
): Promise<Ending> {
    const child = spawn(process.execPath, ["-r", "ts-node/register", main, ...args], {
        env: { ...process.env, ...options.env, TMPDIR: folder },
        stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (data: Buffer) => {
        output += data.toString();
        // More than once, as people do; but a process on its way out, that has told its last, dies of it.
        const isOver = output.includes("Everything that the lab started is stopped");
        if (options.interruptAt !== undefined && output.includes(options.interruptAt) && !isOver) {
            child.kill(options.signal ?? "SIGINT");
        }
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, output };
}

/** Command lines of processes that a lab in this folder has started. */
function processesOf(folder: string): string[] {
    return readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .flatMap((pid) => {
            try {
                const [environment = "", command = ""] = ["environ", "cmdline"].map((file) =>
                    readFileSync(join("/proc", pid, file), "utf8"),
                );
                return environment.includes(`${labVariable}=${folder}/`) ? [command.replaceAll("\0", " ")] : [];
            } catch {
                return []; // It has ended.
            }
        });
}

/** What labs in this folder have left. */
export function leftIn(folder: string): string[] {
    return [
        ...processesOf(folder),
        ...readdirSync(folder).filter((name) => name.startsWith("image-export-lab-")),
        ...readFileSync("/proc/mounts", "utf8")
            .split("\n")
            .filter((line) => line.includes(folder)),
    ];
}

/** A folder for the labs of each test, in which nothing may be left; to be called in a `describe`. */
export function folderOfLabs(): () => string {
    let folder = "";
    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "image-export-test-"));
    });
    afterEach(() => {
        assert.deepEqual(leftIn(folder), []);
        rmSync(folder, { recursive: true });
    });
    return () => folder;
}

/** Waits, until mocha's limit, for what ends by itself once a lab was killed. */
export async function nothingLeftIn(folder: string): Promise<void> {
    while (leftIn(folder).length > 0) await sleep(100);
}
