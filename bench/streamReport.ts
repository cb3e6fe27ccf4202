/** Runs of one method. */
export interface Series {
    method: string;
    wallSeconds: readonly number[];
    cpuSeconds: readonly number[];
    peakRssBytes: readonly number[];
    peakDiskBytes: readonly number[];
    /** Bytes that the method sends to the object store. */
    movedBytes: number;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    const [low, high] = [
        sorted[Math.floor((sorted.length - 1) / 2)],
        sorted[Math.ceil((sorted.length - 1) / 2)],
    ];
    return ((low ?? NaN) + (high ?? NaN)) / 2;
}

const megabytes = (bytes: number): string => Math.round(bytes / 1e6).toString();
const range = (values: readonly number[]): string =>
    `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;

/** A Markdown table of medians, with the range of the times. */
export function tableOf(series: readonly Series[]): string {
    const head = [
        "method",
        "wall s (median)",
        "wall s (range)",
        "CPU s",
        "peak RSS MB",
        "peak disk MB",
        "sent MB",
    ];
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

/** A bar of a chart. */
export interface Bar {
    label: string;
    value: number;
    text: string;
}

const rowHeight = 30;
const labelWidth = 220;
const barWidth = 440;

/** A bar chart as SVG, readable on light and dark pages. */
export function chartOf(title: string, bars: readonly Bar[]): string {
    const largest = Math.max(...bars.map(({ value }) => value));
    const height = 50 + bars.length * rowHeight;
    const rows = bars.map(({ label, value, text }, at) => {
        const y = 45 + at * rowHeight;
        const width = Math.max(2, (value / largest) * barWidth);
        return [
            `<text x="${labelWidth - 10}" y="${y + 15}" text-anchor="end">${escapeText(label)}</text>`,
            `<rect x="${labelWidth}" y="${y}" width="${width.toFixed(1)}" height="20" rx="3" fill="#4c8bf5"/>`,
            `<text x="${(labelWidth + width + 8).toFixed(1)}" y="${y + 15}">${escapeText(text)}</text>`,
        ].join("");
    });
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 ${height}" font-family="sans-serif" font-size="13" fill="#808890">`,
        `<text x="10" y="24" font-size="15">${escapeText(title)}</text>`,
        ...rows,
        "</svg>\n",
    ].join("\n");
}

function escapeText(text: string): string {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
