/** Runs of one method. */
export interface Series {
    readonly method: string;
    readonly wallSeconds: number[];
    readonly cpuSeconds: number[];
    readonly peakRssBytes: number[];
    readonly peakDiskBytes: number[];
    /** Bytes that the method sends to the object store. */
    readonly movedBytes: number;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
    const sorted = values.toSorted((a, b) => a - b);
    const middle = (sorted.length - 1) / 2;
    return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

const megabytes = (bytes: number): string => Math.round(bytes / 1e6).toString();
const range = (values: readonly number[]): string =>
    `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;

/** A Markdown table of medians, with the range of the times. */
export function tableOf(series: readonly Series[]): string {
    const head = ["method", "wall s (median)", "wall s (range)", "CPU s", "peak RSS MB", "peak disk MB", "sent MB"];
    const rows = series.map((one) => [
        one.method,
        median(one.wallSeconds).toFixed(2),
        range(one.wallSeconds),
        median(one.cpuSeconds).toFixed(2),
        megabytes(Math.max(...one.peakRssBytes)),
        megabytes(median(one.peakDiskBytes)),
        megabytes(one.movedBytes),
    ]);
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
