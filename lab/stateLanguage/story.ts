/** The history of an execution as lines that a person follows. */
import type { HistoryEvent } from "./host";

/** The line for an event. */
export function storyLine(event: HistoryEvent): string {
    switch (event.type) {
        case "entered":
            return `state: ${event.state}`;
        case "failed":
            return `error: ${event.error}${event.cause === undefined ? "" : `, ${short(event.cause)}`}`;
        case "retried":
            return `retry: after ${event.afterSeconds.toFixed(1)} s`;
        case "caught":
            return `caught: the error leads to "${event.next}"`;
    }
}

function short(cause: string): string {
    const line = cause.replace(/\s+/g, " ");
    return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
