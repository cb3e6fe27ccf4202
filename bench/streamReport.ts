import type { Measurement } from "./streamMeter";

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
    const head = ["method", "wall s (median)", "wall s (range)", "CPU s", "peak RSS MB", "peak disk MB"];
    const rows = series.map(({ method, wallSeconds, cpuSeconds, peakRssBytes, peakDiskBytes }) => [
        method,
        median(wallSeconds).toFixed(2),
        `${Math.min(...wallSeconds).toFixed(2)} to ${Math.max(...wallSeconds).toFixed(2)}`,
        median(cpuSeconds).toFixed(2),
        megabytes(Math.max(...peakRssBytes)),
        megabytes(median(peakDiskBytes)),
    ]);
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
