/**
 * Measures how long the program takes to start: `npm run bench:start [-- RUNS]`. Each run evaluates index.ts under
 * Pulumi's mocks in a process of its own, with the modules compiled in memory as `pulumi up` has it.
 */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";

import { evaluateStack } from "../lab/program";

interface Measurement {
    readonly seconds: number;
    readonly megabytes: number;
    readonly resources: number;
}

/** Evaluates the program for the stack dev, in this process. */
async function evaluate(): Promise<Measurement> {
    const resources = (await evaluateStack("dev", false)).resources.length;
    return { seconds: process.uptime(), megabytes: process.resourceUsage().maxRSS / 1024, resources };
}

function measure(): Measurement {
    const args = ["-r", "ts-node/register", __filename, "once"];
    return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Measurement;
}

function spread(values: number[], digits: number): string {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (index: number) => (sorted[index] ?? NaN).toFixed(digits);
    return `median ${at(Math.floor(sorted.length / 2))}, ${at(0)} to ${at(sorted.length - 1)}`;
}

if (process.argv[2] === "once") {
    void evaluate().then((measurement) => {
        console.log(JSON.stringify(measurement));
    });
} else {
    const runs = Number(process.argv[2] ?? 7);
    measure(); // brings the files into the page cache
    const measurements = Array.from({ length: runs }, measure);
    const processor = cpus()[0]?.model ?? "unknown processor";
    console.log(`Start of the program, ${runs} runs, Node ${process.version}, ${cpus().length} × ${processor}`);
    console.log(
        `  wall time      ${spread(
            measurements.map(({ seconds }) => seconds),
            2,
        )} s`,
    );
    console.log(
        `  peak memory    ${spread(
            measurements.map(({ megabytes }) => megabytes),
            0,
        )} MB`,
    );
    console.log(`  resources      ${measurements[0]?.resources ?? 0}`);
}
