/** A transfer in one line: how much, how fast, how long still. */
import type { Context } from "./command";
import { formatBytes, formatDuration, formatRate, statusLine } from "./terminal";

/** Shows a transfer on stderr while it goes on. */
export interface TransferLine {
    /** @param doneBytes Of the whole, what was there before included. */
    readonly show: (doneBytes: number, totalBytes: number) => void;
    readonly clear: () => void;
}

// A terminal is not made better by more.
const intervalMs = 100;

/**
 * @param doing What is done, as `Downloading`.
 * @param fromBytes What was there before: it does not count for the rate.
 */
export function transferLine(context: Context, doing: string, fromBytes = 0): TransferLine {
    const line = statusLine(context.stderr);
    const startedMs = context.now();
    let shownMs = -Infinity;
    return {
        show: (doneBytes, totalBytes) => {
            const nowMs = context.now();
            if (nowMs - shownMs < intervalMs && doneBytes < totalBytes) return;
            shownMs = nowMs;
            const text = context.stderr.isTty
                ? transferText(doing, doneBytes, totalBytes, doneBytes - fromBytes, nowMs - startedMs)
                : `${doing} ${formatBytes(totalBytes)}`;
            line.show(text, doing);
        },
        clear: line.clear,
    };
}

function transferText(
    doing: string,
    doneBytes: number,
    totalBytes: number,
    movedBytes: number,
    elapsedMs: number,
): string {
    const percent = totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes);
    const text = `${doing} ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} (${percent} %)`;
    // The first second says nothing of the rate.
    if (elapsedMs < 1000 || movedBytes === 0) return text;
    const bytesPerMs = movedBytes / elapsedMs;
    const left = formatDuration((totalBytes - doneBytes) / bytesPerMs);
    return `${text}, ${formatRate(bytesPerMs * 1000)}, ${left} left`;
}
