import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { text } from "node:stream/consumers";

/** What one run of a command has cost. */
export interface Measurement {
    readonly wallSeconds: number;
    /** User and system time of the command with its children, and of the daemons that worked for it. */
    readonly cpuSeconds: number;
    /** Largest sum of resident memory of all those processes, sampled. */
    readonly peakRssBytes: number;
    /** Largest use of the directory's file system, beyond what was used before; sampled. */
    readonly peakDiskBytes: number;
    /** Uploaded to the store. */
    readonly sentBytes: number;
}

/** What to watch beside the command. */
export interface Watched {
    readonly env: NodeJS.ProcessEnv;
    /** Processes that work for the command and outlive it, with all below them. */
    readonly daemons?: readonly number[];
    /** On the file system whose use is watched. */
    readonly directory: string;
    /** How many bytes the store has been sent so far. */
    readonly sentBytes: () => Promise<number>;
}

/** Reading /proc takes time from the processes that are measured, so not too often. */
const sampleMs = 100;
const ticksPerSecond = 100; // USER_HZ, the same on every Linux architecture that Node runs on

/** Runs a shell script and measures it. Linux only: it reads /proc. */
export async function measure(script: string, watched: Watched): Promise<Measurement> {
    const { env, daemons = [], directory } = watched;
    const diskOf = (): number => {
        const { blocks, bfree, bsize } = statfsSync(directory);
        return (blocks - bfree) * bsize;
    };
    const cpuOf = (): number => (statOf("self")?.childrenSeconds ?? 0) + sumOver(daemons, "cpuSeconds");
    const diskBefore = diskOf();
    const cpuBefore = cpuOf();
    const sentBefore = await watched.sentBytes();
    const started = performance.now();
    const child = spawn("bash", ["-euc", `set -o pipefail; ${script}`], { env, stdio: ["ignore", "ignore", "pipe"] });
    const log = text(child.stderr);
    let peakRssBytes = 0;
    let peakDiskBytes = 0;
    const sampleDisk = (): number => (peakDiskBytes = Math.max(peakDiskBytes, diskOf() - diskBefore));
    const timer = setInterval(() => {
        peakRssBytes = Math.max(peakRssBytes, sumOver([child.pid ?? 0, ...daemons], "rssBytes"));
        sampleDisk();
    }, sampleMs);
    const [code] = (await once(child, "close")) as [number | null];
    const wallSeconds = (performance.now() - started) / 1000;
    clearInterval(timer);
    if (code !== 0) throw new Error(`"${script}" ended with ${String(code)}:\n${await log}`);
    sampleDisk();
    const sentBytes = (await watched.sentBytes()) - sentBefore;
    return { wallSeconds, cpuSeconds: cpuOf() - cpuBefore, peakRssBytes, peakDiskBytes, sentBytes };
}

/** What the kernel says of a process (man proc_pid_stat); undefined for one that has ended. */
function statOf(pid: string) {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold anything
        const numberIn = (field: number): number => Number(fields[field - 3]);
        /** Of children that have ended. */
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

/** Runs of one method. */
export interface Series extends Readonly<Record<keyof Measurement, number[]>> {
    readonly method: string;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
    const sorted = values.toSorted((a, b) => a - b);
    const middle = (sorted.length - 1) / 2;
    return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/** Bytes in whole megabytes. */
export function megabytes(bytes: number): string {
    return Math.round(bytes / 1e6).toString();
}

/** A Markdown table of medians, with the range of the times. */
export function tableOfSeries(series: readonly Series[]): string {
    const head = ["method", "wall s (median)", "wall s (range)", "CPU s", "peak RSS MB", "peak disk MB", "sent MB"];
    const rows = series.map(({ method, wallSeconds, cpuSeconds, peakRssBytes, peakDiskBytes, sentBytes }) => [
        method,
        median(wallSeconds).toFixed(2),
        `${Math.min(...wallSeconds).toFixed(2)} to ${Math.max(...wallSeconds).toFixed(2)}`,
        median(cpuSeconds).toFixed(2),
        megabytes(Math.max(...peakRssBytes)),
        megabytes(median(peakDiskBytes)),
        megabytes(median(sentBytes)),
    ]);
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
