import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { asExportError, ExportError, exitStatuses } from "../contract/errors";
import { type ExportProgress, exportImage, type ExportOptions } from "./exportImage";

/** An option, as `node:util` parseArgs takes it, and what help says of it. */
interface ExporterOption {
    readonly type: "boolean" | "string";
    /** What help calls its value. */
    readonly value?: string;
    readonly description: string;
}

/** The options of an export, here and of `image-export run`. {@link readArguments} reads them. */
export const exporterOptions = {
    platform: {
        type: "string",
        value: "PLATFORM",
        description: "os/arch[/variant], or all for every platform (default linux/amd64)",
    },
    force: { type: "boolean", description: "export although the same export is there already" },
    concurrency: {
        type: "string",
        value: "N",
        description: "ranges fetched and parts written at a time (default 8)",
    },
    "memory-mib": { type: "string", value: "N", description: "memory for parts under way (default 80)" },
    insecure: { type: "boolean", description: "plain HTTP to registries that are not on this machine" },
} as const satisfies Readonly<Record<string, ExporterOption>>;

/** What was given for {@link exporterOptions}. */
export type ExporterValues = {
    readonly [Name in keyof typeof exporterOptions]?:
        ((typeof exporterOptions)[Name]["type"] extends "boolean" ? boolean : string) | undefined;
};

const usage = `Usage: node exporter.mjs IMAGE DESTINATION [options]

  IMAGE        HOST/REPOSITORY[:TAG][@sha256:DIGEST]
  DESTINATION  s3://BUCKET/KEY or a file

${Object.entries<ExporterOption>(exporterOptions)
    .map(([name, { value = "", description }]) => `  ${`--${name} ${value}`.padEnd(21)}${description}`)
    .join("\n")}
  --progress           say on stderr how far it is

The result goes to stdout as one line of JSON; so does a failure: {"error": NAME, "cause": TEXT}.
Exit codes: 0 done or skipped, 1 ExportFailed, 2 InvalidInput, 3 ImageNotFound, 4 AccessDenied, 5 DigestMismatch.
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
    if (values.help) {
        return "help";
    }
    const onProgress = values.progress ? reportProgress() : undefined;
    return { ...readArguments(positionals, values), onProgress };
}

/**
 * Reads the arguments of an export.
 *
 * @param positionals Image and destination.
 * @throws ExportError `InvalidInput` when they cannot be used.
 */
export function readArguments(positionals: readonly string[], values: ExporterValues): ExportOptions {
    const [image, destination] = positionals;
    if (image === undefined || destination === undefined || positionals.length > 2) {
        throw new ExportError(
            "InvalidInput",
            `Expected IMAGE and DESTINATION, got ${positionals.length} arguments.`,
        );
    }
    const memoryMib = numberOf("--memory-mib", values["memory-mib"]);
    return {
        image,
        destination,
        platform: values.platform,
        force: values.force,
        insecure: values.insecure,
        concurrency: numberOf("--concurrency", values.concurrency),
        memoryBytes: memoryMib === undefined ? undefined : memoryMib * 1024 * 1024,
    };
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

function numberOf(option: string, text: string | undefined): number | undefined {
    if (text !== undefined && !/^[1-9]\d{0,8}$/.test(text)) {
        throw new ExportError("InvalidInput", `${option} is "${text}": expected a whole number from 1 on.`);
    }
    return text === undefined ? undefined : Number(text);
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
        if (now - reported < 1000 && !isDone) {
            return;
        }
        reported = now;
        const seconds = (now - started) / 1000;
        const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
        write(2, `${megabytes(writtenBytes)} of ${megabytes(totalBytes)} MB in ${seconds.toFixed(1)} s\n`);
    };
}
