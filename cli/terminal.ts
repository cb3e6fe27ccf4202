/** What a terminal shows: colours, one live line, tables, numbers as people read them. Plain text everywhere else. */
import type { Context, Output } from "./command";

type Style = (text: string) => string;

/** The styles of {@link styles}. */
export type Styles = Readonly<Record<"bold" | "cyan" | "dim" | "green" | "red" | "yellow", Style>>;

const codes = {
    bold: [1, 22],
    cyan: [36, 39],
    dim: [2, 22],
    green: [32, 39],
    red: [31, 39],
    yellow: [33, 39],
};

/** Colours for an output; none where it is no terminal, or is a dumb one, or NO_COLOR is set (no-color.org). */
export function styles(output: Pick<Output, "isTty">, env: Context["env"]): Styles {
    const isPlain = !output.isTty || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
    const style =
        ([on, off]: readonly number[]): Style =>
        (text) =>
            isPlain || text === "" ? text : `\u001b[${on}m${text}\u001b[${off}m`;
    return {
        bold: style(codes.bold),
        cyan: style(codes.cyan),
        dim: style(codes.dim),
        green: style(codes.green),
        red: style(codes.red),
        yellow: style(codes.yellow),
    };
}

// eslint-disable-next-line no-control-regex -- the escape character is what is looked for
const escapes = /(\u001b\[[\d;]*m)/;

/** The characters that a text takes on a terminal: colours take none. */
export function width(text: string): number {
    return text
        .split(escapes)
        .filter((part) => !part.startsWith("\u001b"))
        .reduce((sum, part) => sum + Array.from(part).length, 0);
}

/** A status that is replaced while something goes on. */
export interface StatusLine {
    /**
     * Shows a status. A terminal shows each one in the place of the last; elsewhere a line is written when `key` changes.
     *
     * @param key What stays the same while only numbers change; by default the text.
     */
    readonly show: (text: string, key?: string) => void;
    /** Writes a line that stays, above the status. */
    readonly print: (line: string) => void;
    /** Takes the status away. */
    readonly clear: () => void;
}

/** The status line of an output. */
export function statusLine(output: Output): StatusLine {
    let shown = "";
    let lastKey: string | undefined;
    const clear = () => {
        if (output.isTty && shown !== "") output.write("\r\u001b[K");
    };
    return {
        show: (text, key = text) => {
            if (output.isTty) {
                const next = cut(text, output.columns - 1);
                if (next !== shown) {
                    clear();
                    output.write(next);
                }
                shown = next;
            } else if (key !== lastKey) {
                output.write(`${text}\n`);
            }
            lastKey = key;
        },
        print: (line) => {
            clear();
            output.write(`${line}\n`);
            if (output.isTty) output.write(shown);
        },
        clear: () => {
            clear();
            shown = "";
        },
    };
}

/** A text of at most so many characters; colours are closed. */
export function cut(text: string, columns: number): string {
    if (width(text) <= columns) return text;
    let left = Math.max(0, columns - 1);
    let result = "";
    for (const part of text.split(escapes)) {
        const isEscape = part.startsWith("\u001b");
        const kept = isEscape ? part : Array.from(part).slice(0, left).join("");
        if (!isEscape) left -= Array.from(kept).length;
        result += kept;
    }
    return `${result}…`;
}

/** A table: columns as wide as what is in them, two spaces between them, nothing cut off. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
    const all = [header, ...rows];
    const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ""))));
    const pad = (cell: string, column: number) =>
        cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
    return all.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("");
}

/** A block of names and values, the values one below the other. */
export function block(rows: readonly (readonly [name: string, value: string])[]): string {
    const widest = Math.max(...rows.map(([name]) => name.length));
    return rows.map(([name, value]) => `${name.padEnd(widest)}  ${value}\n`).join("");
}

/** Bytes in decimal units, as disks and S3's prices are told in: `1.66 GB`. */
export function formatBytes(bytes: number): string {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let value = bytes;
    let unit = 0;
    // 999.6 would be rounded to 1000.
    while (unit < units.length - 1 && value >= 999.5) {
        value /= 1000;
        unit++;
    }
    const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return `${value.toFixed(digits)} ${units[unit] ?? ""}`;
}

/** Bytes a second. */
export function formatRate(bytesPerSecond: number): string {
    return `${formatBytes(bytesPerSecond)}/s`;
}

/** A duration: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(milliseconds: number): string {
    const seconds = Math.round(milliseconds / 1000);
    if (milliseconds < 9950) return `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s`;
    if (seconds < 60) return `${seconds} s`;
    const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
}

/** A time in the zone of this machine: `2026-11-25 13:05:00 +01:00`. */
export function formatTime(time: Date | number): string {
    const date = new Date(time);
    const two = (value: number) => String(value).padStart(2, "0");
    const offset = -date.getTimezoneOffset();
    const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
    const day = [String(date.getFullYear()), two(date.getMonth() + 1), two(date.getDate())].join("-");
    const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
    return `${day} ${clock} ${zone}`;
}
