/** What a terminal shows: styles, one live line, tables, numbers as people read them. Plain text everywhere else. */
import { styleText } from "node:util";

import type { Progress } from "../contract/progress";

export type Style = "bold" | "cyan" | "dim" | "green" | "red" | "yellow";

/** Text as it is printed: with styles, which a terminal shows and a file does not, or without. */
export type Piece = string | { readonly text: string; readonly styles: readonly Style[] };

export function styled(text: string, ...styles: Style[]): Piece {
    return { text, styles };
}

/** Where text goes. */
export interface Output {
    /** The only way to a terminal, a pipe or a file: every text becomes {@link printable} here. */
    readonly write: (...pieces: readonly Piece[]) => void;
    /** Writes in the place of what is in the line of the cursor, cut to that line. For terminals only. */
    readonly replaceLine: (...pieces: readonly Piece[]) => void;
    readonly isTty: boolean;
}

/** Writes to a stream; with styles where it is a terminal, unless NO_COLOR is set (no-color.org) or TERM is `dumb`. */
export function outputTo(
    stream: { readonly write: (text: string) => unknown; readonly isTTY?: boolean },
    env: Readonly<Record<string, string | undefined>>,
): Output {
    const isTty = stream.isTTY === true;
    const isStyled = isTty && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
    const render = (piece: Piece): string =>
        typeof piece === "string" || !isStyled
            ? textOf(piece)
            : styleText([...piece.styles], textOf(piece), { validateStream: false });
    return {
        write: (...pieces) => void stream.write(pieces.map(render).join("")),
        // Erases the line; without wrapping around at its end while it is written (DECAWM).
        replaceLine: (...pieces) => void stream.write(`\r\u001b[K\u001b[?7l${pieces.map(render).join("")}\u001b[?7h`),
        isTty,
    };
}

// C0 without tab and line feed, DEL and C1; the characters that change the direction of text: unicode.org/reports/tr9
const controls =
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text that a terminal can only show: what would move its cursor, change its colours or the order of its characters
 * becomes an escape, `\u001b`, which JSON reads as the same character.
 */
export function printable(text: string): string {
    return text.replace(controls, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function writeJson(output: Output, value: unknown): void {
    output.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

function textOf(piece: Piece): string {
    return printable(typeof piece === "string" ? piece : piece.text);
}

function width(piece: Piece): number {
    return Array.from(textOf(piece)).length;
}

/** A status that is replaced while something goes on. */
export function statusLine(output: Output) {
    let shown: readonly Piece[] = [];
    let lastKey: string | undefined;
    return {
        /** Shows a status: a terminal in the place of the last one; elsewhere a line is written when `key` changes. */
        show: (key: string, ...pieces: readonly Piece[]): void => {
            shown = pieces;
            if (output.isTty) output.replaceLine(...pieces);
            else if (key !== lastKey) output.write(...pieces, "\n");
            lastKey = key;
        },
        /** Writes a line that stays, above the status. */
        print: (line: Piece): void => {
            if (output.isTty) output.replaceLine();
            output.write(line, "\n");
            if (output.isTty) output.replaceLine(...shown);
        },
        clear: (): void => {
            if (output.isTty && shown.length > 0) output.replaceLine();
            shown = [];
        },
    };
}

type Amount = Pick<Progress, "writtenBytes" | "totalBytes">;

/**
 * A transfer in one line: how much, how fast, how long still. At most ten a second.
 *
 * @param doing What is done, for instance `Downloading`.
 */
export function transferLine({ stderr, now }: { readonly stderr: Output; readonly now: () => number }, doing: string) {
    const { show, clear } = statusLine(stderr);
    let first: { readonly bytes: number; readonly ms: number } | undefined;
    let shownMs = -Infinity;
    return {
        clear,
        show: ({ writtenBytes, totalBytes }: Amount): void => {
            const nowMs = now();
            // What was there before counts as done, but not for the rate.
            first ??= { bytes: writtenBytes, ms: nowMs };
            if (nowMs - shownMs < 100 && writtenBytes < totalBytes) return;
            shownMs = nowMs;
            const seconds = (nowMs - first.ms) / 1000;
            const rate = (writtenBytes - first.bytes) / seconds;
            const left = formatDuration(((totalBytes - writtenBytes) / rate) * 1000);
            // The first second says nothing about the rate.
            const speed = seconds < 1 || rate === 0 ? "" : `, ${formatBytes(rate)}/s, ${left} left`;
            const text = `${doing} ${partText({ writtenBytes, totalBytes })}${speed}`;
            show(doing, stderr.isTty ? text : `${doing} ${formatBytes(totalBytes)}`);
        },
    };
}

/** Hands on what is transferred, with {@link transferLine} while it goes on. */
export async function* withProgress<Chunk extends Uint8Array>(
    context: Parameters<typeof transferLine>[0],
    doing: string,
    chunks: AsyncIterable<Chunk>,
    totalBytes: number,
    fromBytes = 0,
): AsyncGenerator<Chunk> {
    const line = transferLine(context, doing);
    let writtenBytes = fromBytes;
    try {
        line.show({ writtenBytes, totalBytes });
        for await (const chunk of chunks) {
            yield chunk;
            writtenBytes += chunk.length;
            line.show({ writtenBytes, totalBytes });
        }
    } finally {
        line.clear();
    }
}

/** How much of something there is: `138 MB of 550 MB (25 %)`. */
export function partText({ writtenBytes, totalBytes }: Amount): string {
    const percent = totalBytes === 0 ? 0 : Math.floor((100 * writtenBytes) / totalBytes);
    return `${formatBytes(writtenBytes)} of ${formatBytes(totalBytes)} (${percent} %)`;
}

/** A table: columns as wide as what is in them, two spaces between them, nothing cut off. */
export function table(rows: readonly (readonly Piece[])[]): Piece[] {
    const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ""))));
    return rows.flatMap((row) => [
        ...row.flatMap((cell, column) => {
            const padding = column === row.length - 1 ? 0 : (widths?.[column] ?? 0) - width(cell) + 2;
            return [cell, " ".repeat(padding)];
        }),
        "\n",
    ]);
}

/** A name and a value of a {@link block}. */
export type Row = readonly [name: string, value: Piece | null | undefined];

/** A block of names and values, the values one below the other. What has no value is left out. */
export function block(rows: readonly Row[]): Piece[] {
    return table(rows.flatMap(([name, value = null]) => (value === null || value === "" ? [] : [[name, value]])));
}

/** Bytes in decimal units, as disks and S3's prices have them, with three digits: `1.66 GB`. */
export function formatBytes(bytes: number): string {
    const rounded = Number(bytes.toPrecision(3));
    const power = Math.floor(Math.log10(Math.max(1, rounded)) / 3);
    const unit = ["B", "kB", "MB", "GB", "TB", "PB"][power] ?? "EB";
    return `${power === 0 ? rounded : (rounded / 1000 ** power).toPrecision(3)} ${unit}`;
}

/** A duration: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(milliseconds: number): string {
    const seconds = Math.round(milliseconds / 1000);
    if (milliseconds < 9950) return `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s`;
    if (seconds < 60) return `${seconds} s`;
    const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
}

/** A time in the zone of this machine: `2026-11-25 13:05:00 +01:00`. */
export function formatTime(time: Date | number): string {
    // Swedish is written as ISO 8601, but for its minus sign.
    const text = new Date(time).toLocaleString("sv-SE", { timeZoneName: "longOffset" });
    return text.replace("GMT", "").replace("\u2212", "-");
}
