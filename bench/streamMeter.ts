import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import * as path from "node:path";
import { text } from "node:stream/consumers";

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
    readonly env: NodeJS.ProcessEnv;
    /** Processes that work for the command and outlive it, with all below them. */
    readonly daemons?: readonly number[];
    readonly directories?: readonly string[];
}

/** Reading /proc takes time from the processes that are measured, so not too often. */
const sampleMs = 100;
const ticksPerSecond = 100; // USER_HZ, the same on every Linux architecture that Node runs on

/** Runs a shell script and measures it. Linux only: it reads /proc. */
export async function measure(script: string, watched: Watched): Promise<Measurement> {
    const { env, daemons = [], directories = [] } = watched;
    const diskOf = (): number => directories.reduce((sum, directory) => sum + sizeOf(directory), 0);
    const cpuOf = (): number => (statOf("self")?.childrenSeconds ?? 0) + sumOver(daemons, "cpuSeconds");
    const diskBefore = diskOf();
    const cpuBefore = cpuOf();
    const started = performance.now();
    const child = spawn("bash", ["-euc", `set -o pipefail; ${script}`], { env, stdio: ["ignore", "ignore", "pipe"] });
    const log = text(child.stderr);
    let peakRssBytes = 0;
    let peakDiskBytes = 0;
    const timer = setInterval(() => {
        peakRssBytes = Math.max(peakRssBytes, sumOver([child.pid ?? 0, ...daemons], "rssBytes"));
    }, sampleMs);
    const diskTimer = setInterval(() => (peakDiskBytes = Math.max(peakDiskBytes, diskOf() - diskBefore)), 2 * sampleMs);
    const [code] = (await once(child, "close")) as [number | null];
    const wallSeconds = (performance.now() - started) / 1000;
    clearInterval(timer);
    clearInterval(diskTimer);
    if (code !== 0) throw new Error(`"${script}" ended with ${String(code)}:\n${await log}`);
    peakDiskBytes = Math.max(peakDiskBytes, diskOf() - diskBefore);
    return { wallSeconds, cpuSeconds: cpuOf() - cpuBefore, peakRssBytes, peakDiskBytes };
}

interface ProcessStat {
    readonly pid: number;
    readonly parent: number;
    /** Own time and that of ended children. */
    readonly cpuSeconds: number;
    /** Time of ended children. */
    readonly childrenSeconds: number;
    readonly rssBytes: number;
}

/** What the kernel says of a process (man proc_pid_stat); undefined for one that has ended. */
function statOf(pid: string): ProcessStat | undefined {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold anything
        const numberIn = (field: number): number => Number(fields[field - 3]);
        const childrenSeconds = (numberIn(16) + numberIn(17)) / ticksPerSecond;
        const cpuSeconds = (numberIn(14) + numberIn(15)) / ticksPerSecond + childrenSeconds;
        return { pid: Number(pid), parent: numberIn(4), cpuSeconds, childrenSeconds, rssBytes: numberIn(24) * 4096 };
    } catch {
        return undefined;
    }
}

/** What processes and everything below them have together. */
function sumOver(roots: readonly number[], what: "cpuSeconds" | "rssBytes"): number {
    const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (statOf(name) ?? []) : []));
    const members = new Set(roots);
    for (let before = 0; before !== members.size;) {
        before = members.size;
        all.filter(({ parent }) => members.has(parent)).forEach(({ pid }) => members.add(pid));
    }
    return all.filter(({ pid }) => members.has(pid)).reduce((sum, each) => sum + each[what], 0);
}

function sizeOf(directory: string): number {
    try {
        return readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
            const name = path.join(directory, entry.name);
            if (entry.isFile()) return sum + 512 * (statSync(name, { throwIfNoEntry: false })?.blocks ?? 0);
            // "merged" is a mount of what is beside it.
            return entry.isDirectory() && entry.name !== "merged" ? sum + sizeOf(name) : sum;
        }, 0);
    } catch {
        return 0; // it has been removed meanwhile
    }
}
