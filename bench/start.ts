/**
 * Measures how long the program takes to start: `npm run bench:start [-- RUNS]`. Each run evaluates index.ts under
 * Pulumi's mocks in a process of its own, with the modules compiled in memory as `pulumi up` has it.
 */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";

interface Measurement {
    readonly seconds: number;
    readonly megabytes: number;
    readonly resources: number;
}

function measure(): Measurement {
    const program = join(__dirname, "startProgram.ts");
    const output = execFileSync(process.execPath, ["-r", "ts-node/register", program], { encoding: "utf8" });
    return JSON.parse(output) as Measurement;
}

function spread(values: number[], digits: number): string {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (index: number) => (sorted[index] ?? NaN).toFixed(digits);
    return `median ${at(Math.floor(sorted.length / 2))}, ${at(0)} to ${at(sorted.length - 1)}`;
}

const runs = Number(process.argv[2] ?? 7);
measure(); // brings the files into the page cache
const measurements = Array.from({ length: runs }, measure);
const processor = cpus()[0]?.model ?? "unknown processor";
console.log(`Start of the program, ${runs} runs, Node ${process.version}, ${cpus().length} × ${processor}`);
const seconds = measurements.map((each) => each.seconds);
const megabytes = measurements.map((each) => each.megabytes);
console.log(`  wall time      ${spread(seconds, 2)} s`);
console.log(`  peak memory    ${spread(megabytes, 0)} MB`);
console.log(`  resources      ${measurements[0]?.resources ?? 0}`);
