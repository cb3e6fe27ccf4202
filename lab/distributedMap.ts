/**
 * A Distributed Map on this machine. The interpreter of the Amazon States Language runs a Map inline, whatever its mode;
 * here each one becomes a Task that does what Step Functions does: reads the items (from the input or from S3), runs a
 * child execution for each, so many at a time, counts them, and writes what became of them to S3.
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html and input-output-resultwriter.html
 */
import { randomUUID } from "node:crypto";

/** A state machine's definition, as the interpreter takes it. */
export interface Definition {
    readonly StartAt: string;
    readonly States: Record<string, Record<string, unknown>>;
}

/** How a child execution ended. */
export type ChildResult =
    { readonly output: unknown } | { readonly error: string | undefined; readonly cause: string | undefined };

/** What a Map runs with. */
export interface MapHost {
    /** ARN of the state machine that the Map belongs to. */
    readonly stateMachineArn: string;
    /** The text of an object. Throws where it cannot be read. */
    readonly readObject: (bucket: string, key: string) => Promise<string>;
    readonly writeObject: (bucket: string, key: string, text: string) => Promise<void>;
    /** Called before each child execution, with its ARN. */
    readonly startChild: (executionArn: string) => Promise<void>;
    /** Called when the Map Run begins, when a child begins or ends, and at the end. */
    readonly report: (progress: MapProgress) => void;
    /** Runs a definition to its end; the item is in the context, as `$$.Map.Item`. */
    readonly run: (definition: Definition, input: unknown, item: MapItem) => Promise<ChildResult>;
}

/** An item and its place. */
export interface MapItem {
    readonly Index: number;
    readonly Value: unknown;
}

/** The result of a Map with a ResultWriter, and what `DescribeMapRun` tells of its Map Run. */
export interface MapRun {
    readonly MapRunArn: string;
    readonly ResultWriterDetails: { readonly Bucket: string; readonly Key: string };
    readonly ItemCounts: { readonly Total: number; readonly Succeeded: number; readonly Failed: number };
}

/** How far a Map Run is. */
export interface MapProgress {
    readonly mapRunArn: string;
    readonly total: number;
    readonly running: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly isEnded: boolean;
}

interface DistributedMapState {
    readonly Label: string;
    readonly ItemsPath?: string;
    readonly ItemReader?: {
        readonly ReaderConfig: { readonly InputType: "CSV" | "JSON" | "JSONL" };
        readonly Parameters: object;
    };
    readonly ItemSelector?: object;
    readonly ItemProcessor: Definition & { readonly ProcessorConfig: { readonly Mode?: string } };
    readonly MaxConcurrency?: number;
    readonly ResultWriter: { readonly Parameters: object };
    readonly [field: string]: unknown;
}

/** The parameters of the Task that stands for a Map. */
interface MapTask {
    readonly input: unknown;
    readonly items?: readonly unknown[];
    readonly object?: { readonly Bucket: string; readonly Key: string };
    readonly writer: { readonly Bucket: string; readonly Prefix: string };
}

/**
 * Replaces the Distributed Maps of a definition.
 *
 * @returns the definition for the interpreter, and by the name of each Map the handler of the Task that it became
 */
export function withoutDistributedMaps(definition: Definition): {
    readonly definition: Definition;
    readonly maps: ReadonlyMap<string, (host: MapHost, parameters: unknown) => Promise<MapRun>>;
} {
    const maps = new Map<string, (host: MapHost, parameters: unknown) => Promise<MapRun>>();
    const states = Object.entries(definition.States).map(([name, state]): [string, typeof state] => {
        if (!isDistributedMap(state)) return [name, state];
        maps.set(name, (host, parameters) => runMap(state, host, parameters as MapTask));
        return [name, asTask(state)];
    });
    return { definition: { ...definition, States: Object.fromEntries(states) }, maps };
}

function isDistributedMap(
    state: Record<string, unknown>,
): state is Record<string, unknown> & DistributedMapState {
    const processor = state["ItemProcessor"] as DistributedMapState["ItemProcessor"] | undefined;
    return state["Type"] === "Map" && processor?.ProcessorConfig.Mode === "DISTRIBUTED";
}

function asTask(state: DistributedMapState): Record<string, unknown> {
    const { ResultPath, Catch, Retry, Next, End } = state;
    const rest = Object.entries({ ResultPath, Catch, Retry, Next, End });
    return {
        Type: "Task",
        Resource: "arn:aws:states:::lab:distributedMap",
        Parameters: {
            "input.$": "$",
            ...(state.ItemReader
                ? { object: state.ItemReader.Parameters }
                : { "items.$": state.ItemsPath ?? "$" }),
            writer: state.ResultWriter.Parameters,
        },
        ...Object.fromEntries(rest.filter(([, value]) => value !== undefined)),
    };
}

async function runMap(state: DistributedMapState, host: MapHost, task: MapTask): Promise<MapRun> {
    const items = task.object === undefined ? (task.items ?? []) : await readItems(state, host, task.object);
    const executions = host.stateMachineArn.replace(":stateMachine:", ":execution:");
    const run = randomUUID();
    const mapRunArn = `${host.stateMachineArn.replace(":stateMachine:", ":mapRun:")}/${state.Label}:${run}`;
    const children: Child[] = [];
    let next = 0;
    let succeeded = 0;
    let failed = 0;
    const report = (isEnded = false) => {
        const running = next - succeeded - failed;
        host.report({ mapRunArn, total: items.length, running, succeeded, failed, isEnded });
    };
    const worker = async (): Promise<void> => {
        while (next < items.length) {
            const item = { Index: next, Value: items[next++] };
            report();
            await host.startChild(`${executions}/${state.Label}:${randomUUID()}`);
            const child = await runChild(state, host, task.input, item);
            children[item.Index] = child;
            if ("output" in child.result) succeeded++;
            else failed++;
        }
    };
    report();
    const workers = Math.min(state.MaxConcurrency ?? 10_000, items.length);
    await Promise.all(Array.from({ length: workers }, worker));
    const key = await writeResults(host, task.writer, `${task.writer.Prefix}/${run}`, children);
    report(true);
    return {
        MapRunArn: mapRunArn,
        ResultWriterDetails: { Bucket: task.writer.Bucket, Key: key },
        ItemCounts: { Total: items.length, Succeeded: succeeded, Failed: failed },
    };
}

/** A child execution that has ended. */
interface Child {
    readonly input: unknown;
    readonly result: ChildResult;
}

async function runChild(
    { ItemProcessor, ItemSelector }: DistributedMapState,
    host: MapHost,
    mapInput: unknown,
    item: MapItem,
): Promise<Child> {
    const child = { StartAt: ItemProcessor.StartAt, States: ItemProcessor.States };
    if (ItemSelector === undefined) {
        return { input: item.Value, result: await host.run(child, item.Value, item) };
    }
    const select = { Type: "Pass", Parameters: ItemSelector, End: true };
    // The interpreter copies the input of every state; that of a Map may hold all of its items.
    const readsInput = /[^$]\$[.[]/.test(JSON.stringify(ItemSelector));
    const selected = await host.run(
        { StartAt: "Select", States: { Select: select } },
        readsInput ? mapInput : {},
        item,
    );
    if (!("output" in selected)) throw named("States.Runtime", selected.cause ?? "ItemSelector");
    return { input: selected.output, result: await host.run(child, selected.output, item) };
}

async function readItems(
    state: DistributedMapState,
    host: MapHost,
    { Bucket, Key }: { readonly Bucket: string; readonly Key: string },
): Promise<readonly unknown[]> {
    try {
        const text = await host.readObject(Bucket, Key);
        const items = parseItems(state.ItemReader?.ReaderConfig.InputType ?? "JSON", text);
        if (!Array.isArray(items)) throw new Error("The JSON file does not contain an array.");
        return items as unknown[];
    } catch (error) {
        throw named("States.ItemReaderFailed", error instanceof Error ? error.message : String(error));
    }
}

function parseItems(type: "CSV" | "JSON" | "JSONL", text: string): unknown {
    if (type === "JSON") return JSON.parse(text);
    const lines = text.split(/\r?\n/).filter((line) => line !== "");
    if (type === "JSONL") return lines.map((line): unknown => JSON.parse(line));
    const [header = [], ...rows] = lines.map(cellsOf);
    return rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
}

/** The cells of a line of CSV; a quoted cell may hold commas and doubled quotes. */
function cellsOf(line: string): string[] {
    return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
        ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? "",
    );
}

/** The files of the ResultWriter with `COMPACT` and `JSONL`; gives the key of their manifest. */
async function writeResults(
    host: MapHost,
    { Bucket }: { readonly Bucket: string },
    folder: string,
    children: readonly Child[],
): Promise<string> {
    const lines = { SUCCEEDED: [] as string[], FAILED: [] as string[] };
    for (const { input, result } of children) {
        if ("output" in result) {
            lines.SUCCEEDED.push(JSON.stringify(result.output));
        } else {
            const row = {
                Error: result.error,
                Cause: result.cause,
                Input: JSON.stringify(input),
                Status: "FAILED",
            };
            lines.FAILED.push(JSON.stringify(row));
        }
    }
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

function named(name: string, message: string): Error {
    return Object.assign(new Error(message), { name });
}
