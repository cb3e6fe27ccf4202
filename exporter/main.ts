import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { asExportError, ExportError, exitStatuses } from "../contract/errors";
import { progressText } from "../contract/progress";
import { type ExporterOption, exporterOptions, readArguments } from "./arguments";
import { type ExportProgress, exportImage, type ExportOptions } from "./exportImage";

const usage = `Usage: node exporter.mjs IMAGE DESTINATION [options]

  IMAGE        HOST/REPOSITORY[:TAG][@sha256:DIGEST]
  DESTINATION  s3://BUCKET/KEY or a file

${Object.entries<ExporterOption>(exporterOptions)
    .map(([name, { value = "", description }]) => `  ${`--${name} ${value}`.padEnd(21)}${description}`)
    .join("\n")}
  --progress           say on stderr how far it is

The result goes to stdout as one line of JSON; so does a failure: {"error": NAME, "cause": TEXT}.
Exit codes: 0 done or skipped, ${Object.entries(exitStatuses)
    .map(([name, status]) => `${status} ${name}`)
    .join(", ")}.
`;

/** Runs the command: exports, prints the outcome, and leaves the exit code to {@link exitStatuses}. */
export async function main(argv: readonly string[]): Promise<number> {
    try {
        const options = parseArguments(argv);
        if (options === "help") {
            write(1, usage);
            return 0;
        }
        const result = await exportImage({ ...options, signal: stopSignal() });
        write(1, `${JSON.stringify(result)}\n`);
        return 0;
    } catch (error) {
        const { name, message } = asExportError(error);
        write(2, `${name}: ${message}\n`);
        write(1, `${JSON.stringify({ error: name, cause: message })}\n`);
        return exitStatuses[name];
    }
}

/** Synchronous, so that nothing is lost when the process ends right after. */
function write(descriptor: 1 | 2, text: string): void {
    writeSync(descriptor, text);
}

function parseArguments(argv: readonly string[]): ExportOptions | "help" {
    const { values, positionals } = parseOrRefuse(argv);
    if (values.help) return "help";
    const onProgress = values.progress ? reportProgress() : undefined;
    const onNote = (note: string): void => {
        write(2, `${note}\n`);
    };
    return { ...readArguments(positionals, values), onProgress, onNote };
}

function parseOrRefuse(argv: readonly string[]) {
    try {
        return parseArgs({
            args: [...argv],
            allowPositionals: true,
            options: {
                ...exporterOptions,
                progress: { type: "boolean" },
                help: { type: "boolean", short: "h" },
            },
        });
    } catch (error) {
        throw new ExportError("InvalidInput", `${asExportError(error).message}\n\n${usage}`, error);
    }
}

/** Aborted by SIGTERM and SIGINT: a stopped build takes its upload back. */
function stopSignal(): AbortSignal {
    const controller = new AbortController();
    for (const name of ["SIGTERM", "SIGINT"] as const) {
        process.once(name, () => {
            controller.abort(new ExportError("ExportFailed", `Stopped by ${name}.`));
        });
    }
    return controller.signal;
}

/** Writes at most one line a second, and the last one. */
function reportProgress(): (progress: ExportProgress) => void {
    const started = Date.now();
    let reported = started;
    return ({ writtenBytes, totalBytes }) => {
        const now = Date.now();
        const isDone = totalBytes > 0 && writtenBytes === totalBytes;
        if (now - reported < 1000 && !isDone) return;
        reported = now;
        const seconds = (now - started) / 1000;
        write(2, `${progressText({ writtenBytes, totalBytes, seconds })}\n`);
    };
}
