/**
 * What a Distributed Map reads from S3 and writes to it.
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html and input-output-resultwriter.html
 */
import { parse } from "csv-parse/sync";

import { type Host, type Outcome, StateError } from "./host";
import type { MapState } from "./machine";

type ItemReader = NonNullable<MapState["ItemReader"]>;

/** Where the results go. */
export interface S3Folder {
    readonly Bucket: string;
    readonly Prefix: string;
}

/** The execution of an item. */
export interface Child {
    readonly input: unknown;
    readonly outcome: Outcome;
}

/** @throws StateError `States.ItemReaderFailed` where there is no list to read. */
export async function readItems(reader: ItemReader, source: unknown, host: Host): Promise<readonly unknown[]> {
    try {
        const text = await host.call(reader.Resource, source, host.signal);
        const items = parseItems(reader.ReaderConfig.InputType, String(text));
        if (!Array.isArray(items)) throw new Error("The JSON file does not contain an array.");
        return items as unknown[];
    } catch (error) {
        throw new StateError("States.ItemReaderFailed", error instanceof Error ? error.message : String(error));
    }
}

/** Whether AWS's reader drops a byte order mark or blanks is not documented: this one keeps both. */
function parseItems(form: ItemReader["ReaderConfig"]["InputType"], text: string): unknown {
    if (form === "JSON") return JSON.parse(text);
    if (form === "JSONL") {
        const lines = text.split(/\r?\n/).filter((line) => line !== "");
        return lines.map((line): unknown => JSON.parse(line));
    }
    const lines = { record_delimiter: ["\r\n", "\n"], skip_empty_lines: true, relax_column_count: true };
    const [header = [], ...rows] = parse(text, lines);
    return rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
}

/** The files of a ResultWriter with `COMPACT` and `JSONL`; gives where their manifest is. */
export async function writeResults(
    { Resource }: NonNullable<MapState["ResultWriter"]>,
    { Bucket, Prefix }: S3Folder,
    run: string,
    children: readonly Child[],
    host: Host,
): Promise<object> {
    const write = (Key: string, Body: string) =>
        host.call(Resource, { Bucket, Key, Body }, host.signal).catch((error: unknown) => {
            throw new StateError("States.ResultWriterFailed", String(error));
        });
    const rows = children.map(({ input, outcome }) => {
        if (outcome.status === "SUCCEEDED") return { file: "SUCCEEDED", row: outcome.output };
        // One that was aborted has neither error nor cause.
        const { error, cause } = outcome.status === "FAILED" ? outcome : {};
        const row = { Error: error, Cause: cause, Input: JSON.stringify(input), Status: outcome.status };
        return { file: "FAILED", row };
    });
    const folder = `${Prefix}/${run}`;
    const files: Record<string, { Key: string; Size: number }[]> = { FAILED: [], PENDING: [], SUCCEEDED: [] };
    for (const [status, list] of Object.entries(files)) {
        const text = rows.flatMap(({ file, row }) => (file === status ? [`${JSON.stringify(row)}\n`] : [])).join("");
        if (text === "") continue;
        const Key = `${folder}/${status}_0.jsonl`;
        await write(Key, text);
        list.push({ Key, Size: Buffer.byteLength(text) });
    }
    const Key = `${folder}/manifest.json`;
    await write(Key, JSON.stringify({ DestinationBucket: Bucket, ResultFiles: files }));
    return { Bucket, Key };
}
