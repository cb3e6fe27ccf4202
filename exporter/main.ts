/** What a build of engine `stream` runs: `node exporter.mjs [options] IMAGE DESTINATION`. People run `image-export run`. */
import "./smallHeap";
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { asExportError, ExportError, exportErrors, messageOf } from "../contract/errors";
import { progressText } from "../contract/progress";
import { type ExportProgress, exportImage, type ExportOptions } from "./exportImage";

/**
 * Exports, and prints the outcome: the result as one line of JSON on stdout, or `{"error": NAME, "cause": TEXT}`.
 *
 * @returns the exit code: 0, or the exit status of one of {@link exportErrors}
 */
async function main(): Promise<number> {
    try {
        const result = await exportImage({ ...readArguments(), signal: stopSignal() });
        write(1, JSON.stringify(result));
        return 0;
    } catch (error) {
        const { name, message } = asExportError(error);
        write(2, `${name}: ${message}`);
        write(1, JSON.stringify({ error: name, cause: message }));
        return exportErrors[name].exitStatus;
    }
}

/** Synchronous, so that nothing is lost when the process ends right after. */
function write(descriptor: 1 | 2, line: string): void {
    writeSync(descriptor, `${line}\n`);
}

function readArguments(): ExportOptions {
    const { values, positionals } = parseOrRefuse();
    const [image, destination] = positionals;
    if (image === undefined || destination === undefined || positionals.length > 2) {
        throw new ExportError("InvalidInput", `Expected IMAGE and DESTINATION, got ${positionals.length} arguments.`);
    }
    return {
        image,
        destination,
        platform: values.platform,
        force: values.force,
        onProgress: values.progress ? reportProgress() : undefined,
        onNote: (note) => {
            write(2, note);
        },
    };
}

function parseOrRefuse() {
    try {
        return parseArgs({
            allowPositionals: true,
            options: { platform: { type: "string" }, force: { type: "boolean" }, progress: { type: "boolean" } },
        });
    } catch (error) {
        throw new ExportError("InvalidInput", messageOf(error), error);
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
        write(2, progressText({ writtenBytes, totalBytes, seconds: (now - started) / 1000 }));
    };
}

// A rejection is not possible: main turns every failure into an exit code.
void main().then((code) => process.exit(code));
