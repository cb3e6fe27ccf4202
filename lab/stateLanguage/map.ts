/**
 * A Distributed Map: reads the items (from the input or from S3), runs an execution for each, so many at a time, counts them, and
 * writes what became of them to S3.
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html and input-output-resultwriter.html
 */
import { randomUUID } from "node:crypto";

import { parse } from "csv-parse/sync";

import { type Host, type Outcome, StateError } from "./host";
import type { State } from "./machine";

/** What a Map runs with. */
interface MapArgs {
    readonly map: Extract<State, { readonly Type: "Map" }>;
    readonly stateMachineArn: string;
    /** The items; undefined where they are read from `source`. */
    readonly items: readonly unknown[] | undefined;
    readonly source: { readonly Bucket: string; readonly Key: string } | undefined;
    readonly target: { readonly Bucket: string; readonly Prefix: string };
    /** Makes the input of an execution. */
    readonly select: (item: { readonly Index: number; readonly Value: unknown }) => Promise<unknown>;
    readonly child: (input: unknown, executionArn: string) => Promise<Outcome>;
    readonly host: Pick<Host, "readObject" | "writeObject" | "startChild" | "countMap" | "signal">;
}

/** Runs a Map to its end; its result is that of a Map with a ResultWriter. */
export async function runMap(args: MapArgs): Promise<unknown> {
    const { map, host, stateMachineArn, target } = args;
    const items = args.items ?? (await readItems(args));
    const executions = stateMachineArn.replace(":stateMachine:", ":execution:");
    const run = randomUUID();
    const mapRunArn = `${stateMachineArn.replace(":stateMachine:", ":mapRun:")}/${map.Label}:${run}`;
    const children: { readonly input: unknown; readonly outcome: Outcome }[] = [];
    const counts = { SUCCEEDED: 0, FAILED: 0, ABORTED: 0 };
    let next = 0;
    const count = (isEnded = false) => {
        const { SUCCEEDED: succeeded, FAILED: failed, ABORTED: aborted } = counts;
        const running = next - succeeded - failed - aborted;
        host.countMap({ mapRunArn, total: items.length, running, succeeded, failed, aborted, isEnded });
    };
    const worker = async (): Promise<void> => {
        while (next < items.length && !host.signal.aborted) {
            const item = { Index: next, Value: items[next++] };
            count();
            const input = await args.select(item);
            const executionArn = `${executions}/${map.Label}:${randomUUID()}`;
            await host.startChild(executionArn);
            const outcome = await args.child(input, executionArn);
            children[item.Index] = { input, outcome };
            counts[outcome.status] += 1;
        }
    };
    count();
    await Promise.all(Array.from({ length: Math.min(map.MaxConcurrency, items.length) }, worker));
    if (host.signal.aborted) throw new StateError("States.TaskFailed", undefined);
    const key = await writeResults(host, target, run, children);
    count(true);
    const lost = counts.FAILED + counts.ABORTED;
    if (lost * 100 > map.ToleratedFailurePercentage * items.length) {
        const cause = "The specified tolerated failure threshold was exceeded";
        throw new StateError("States.ExceedToleratedFailureThreshold", cause);
    }
    return { MapRunArn: mapRunArn, ResultWriterDetails: { Bucket: target.Bucket, Key: key } };
}

async function readItems({ map, source, host }: MapArgs): Promise<readonly unknown[]> {
    try {
        const text = await host.readObject(String(source?.Bucket), String(source?.Key));
        const items = parseItems(map.ItemReader?.ReaderConfig.InputType ?? "JSON", text);
        if (!Array.isArray(items)) throw new Error("The JSON file does not contain an array.");
        return items as unknown[];
    } catch (error) {
        throw new StateError("States.ItemReaderFailed", error instanceof Error ? error.message : String(error));
    }
}

/** Whether AWS's reader drops a byte order mark or blanks is not documented: this one keeps both. */
function parseItems(type: "CSV" | "JSON" | "JSONL", text: string): unknown {
    if (type === "JSON") return JSON.parse(text);
    if (type === "JSONL") {
        const lines = text.split(/\r?\n/).filter((line) => line !== "");
        return lines.map((line): unknown => JSON.parse(line));
    }
    const lines = { record_delimiter: ["\r\n", "\n"], skip_empty_lines: true, relax_column_count: true };
    const [header = [], ...rows] = parse(text, lines);
    return rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
}

/** The files of a ResultWriter with `COMPACT` and `JSONL`; gives the key of their manifest. */
async function writeResults(
    host: MapArgs["host"],
    { Bucket, Prefix }: MapArgs["target"],
    run: string,
    children: readonly { readonly input: unknown; readonly outcome: Outcome }[],
): Promise<string> {
    const lines = { SUCCEEDED: [] as string[], FAILED: [] as string[] };
    for (const { input, outcome } of children) {
        if (outcome.status === "SUCCEEDED") {
            lines.SUCCEEDED.push(JSON.stringify(outcome.output));
        } else {
            // One that was aborted has neither error nor cause.
            const { error, cause } = outcome.status === "FAILED" ? outcome : {};
            const row = { Error: error, Cause: cause, Input: JSON.stringify(input), Status: outcome.status };
            lines.FAILED.push(JSON.stringify(row));
        }
    }
    const folder = `${Prefix}/${run}`;
    const files: Record<string, { Key: string; Size: number }[]> = { FAILED: [], PENDING: [], SUCCEEDED: [] };
    for (const [status, rows] of Object.entries(lines)) {
        if (rows.length === 0) continue;
        const Key = `${folder}/${status}_0.jsonl`;
        const text = `${rows.join("\n")}\n`;
        await host.writeObject(Bucket, Key, text);
        files[status] = [{ Key, Size: Buffer.byteLength(text) }];
    }
    const manifest = { DestinationBucket: Bucket, ResultFiles: files };
    await host.writeObject(Bucket, `${folder}/manifest.json`, JSON.stringify(manifest));
    return `${folder}/manifest.json`;
}
