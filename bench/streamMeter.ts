import { spawn } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import * as path from "node:path";

/** What one run of a command has cost. */
export interface Measurement {
    readonly wallSeconds: number;
    /** User and system time of the command with its children, and of the daemons that worked for it. */
    readonly cpuSeconds: number;
    /** Largest sum of resident memory of all those processes, sampled. */
    readonly peakRssBytes: number;
    /** Largest size of the watched directories, beyond what they had before; sampled. */
    readonly peakDiskBytes: number;
}

/** What to watch beside the command. */
export interface Watched {
    readonly env?: NodeJS.ProcessEnv;
    /** Processes that work for the command and outlive it, with all below them. */
    readonly daemons?: readonly number[];
    readonly directories?: readonly string[];
}

/** Reading /proc takes time from the processes that are measured, so not too often. */
const sampleMs = 100;
const ticksPerSecond = 100; // USER_HZ, the same on every Linux architecture that Node runs on

/** Runs a shell script and measures it. Linux only: it reads /proc. */
export async function measure(script: string, watched: Watched): Promise<Measurement> {
    const { env = process.env, daemons = [], directories = [] } = watched;
    const diskBefore = sizeOf(directories);
    const cpuBefore = cpuOf(daemons);
    const selfBefore = reapedCpu();
    const started = performance.now();
    const child = spawn("bash", ["-euc", `set -o pipefail; ${script}`], {
        env,
        stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.on("data", (chunk: Buffer) => {
        log += chunk.toString();
    });
    let peakRssBytes = 0;
    let peakDiskBytes = 0;
    let count = 0;
    const timer = setInterval(() => {
        peakRssBytes = Math.max(peakRssBytes, rssOf([child.pid ?? 0, ...daemons]));
        if (count++ % 2 === 0) peakDiskBytes = Math.max(peakDiskBytes, sizeOf(directories) - diskBefore);
    }, sampleMs);
    const code = await new Promise((resolve) => child.once("close", resolve));
    const wallSeconds = (performance.now() - started) / 1000;
    clearInterval(timer);
    if (code !== 0) {
        throw new Error(`"${script}" ended with ${String(code)}:\n${log}`);
    }
    peakDiskBytes = Math.max(peakDiskBytes, sizeOf(directories) - diskBefore);
    const cpuSeconds = reapedCpu() - selfBefore + cpuOf(daemons) - cpuBefore;
    return { wallSeconds, cpuSeconds, peakRssBytes, peakDiskBytes };
}

interface ProcessStat {
    readonly pid: number;
    readonly parent: number;
    /** Own time and that of ended children, in seconds. */
    readonly cpuSeconds: number;
    readonly rssBytes: number;
}

function statOf(pid: number | "self"): ProcessStat | undefined {
    try {
        const text = readFileSync(`/proc/${pid}/stat`, "utf8");
        const fields = text
            .slice(text.lastIndexOf(")") + 2)
            .split(" ")
            .map(Number);
        const [, parent = 0] = fields;
        const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0);
        const rssBytes = (fields[21] ?? 0) * 4096;
        return { pid: Number(pid), parent, cpuSeconds: ticks / ticksPerSecond, rssBytes };
    } catch {
        return undefined; // it has ended
    }
}

/** Time of the ended children of this process. */
function reapedCpu(): number {
    const text = readFileSync("/proc/self/stat", "utf8");
    const fields = text
        .slice(text.lastIndexOf(")") + 2)
        .split(" ")
        .map(Number);
    return ((fields[13] ?? 0) + (fields[14] ?? 0)) / ticksPerSecond;
}

/** The processes and everything below them. */
function treeOf(roots: readonly number[]): ProcessStat[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    const all = pids.flatMap((pid) => statOf(Number(pid)) ?? []);
    const members = new Set(roots);
    for (let before = 0; before !== members.size;) {
        before = members.size;
        all.filter(({ parent }) => members.has(parent)).forEach(({ pid }) => members.add(pid));
    }
    return all.filter(({ pid }) => members.has(pid));
}

function rssOf(roots: readonly number[]): number {
    return treeOf(roots).reduce((sum, { rssBytes }) => sum + rssBytes, 0);
}

function cpuOf(roots: readonly number[]): number {
    return roots.length === 0 ? 0 : treeOf(roots).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

function sizeOf(directories: readonly string[]): number {
    return directories.reduce((sum, directory) => sum + sizeOfOne(directory), 0);
}

function sizeOfOne(directory: string): number {
    try {
        return readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
            const name = path.join(directory, entry.name);
            if (entry.isDirectory()) {
                return entry.name === "merged" ? sum : sum + sizeOfOne(name); // a mount of what is beside it
            }
            return entry.isFile() ? sum + blocksOf(name) : sum;
        }, 0);
    } catch {
        return 0; // it has been removed meanwhile
    }
}

function blocksOf(file: string): number {
    try {
        return statSync(file).blocks * 512;
    } catch {
        return 0;
    }
}
