/**
 * What a build of engine `stream` runs: `node exporter.mjs --image=IMAGE [options] DESTINATION`, with several
 * images, or `--set=DIGEST` in the place of one, for a set. People run `image-export run`.
 */
import "./smallHeap";
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { asExportError, ExportError, exportErrors, messageOf } from "../contract/errors";
import { progressText } from "../contract/progress";
import { type Receiver, receivers } from "../contract/request";
import { type ExportProgress, exportImage, type ExportOptions } from "./exportImage";
import { stopSignal } from "./stopSignal";
import { readStoredSet } from "./storedSet";

/**
 * Exports, and prints the outcome: the result as one line of JSON on stdout, or `{"error": NAME, "cause": TEXT}`.
 *
 * @returns the exit code: 0, or the exit status of one of {@link exportErrors}
 */
async function main(): Promise<number> {
    try {
        const result = await exportImage(await readArguments(stopSignal()));
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

async function readArguments(signal: AbortSignal): Promise<ExportOptions> {
    const { values, positionals } = parseOrRefuse();
    const [destination] = positionals;
    const { image: [image, ...others] = [], set, platform, referrers, force, progress } = values;
    const { since: key, "since-for": receiver } = values;
    if (destination === undefined || positionals.length > 1 || (image === undefined) === (set === undefined)) {
        throw new ExportError(
            "InvalidInput",
            "Expected --image=IMAGE, once or more, or --set=DIGEST, and DESTINATION.",
        );
    }
    return {
        image:
            image === undefined
                ? await readStoredSet(set ?? "", destination, signal)
                : others.length === 0
                  ? image
                  : [image, ...others],
        destination,
        platform,
        referrers,
        since: key === undefined ? undefined : { key, for: readReceiver(receiver) },
        force,
        signal,
        onProgress: progress ? reportProgress() : undefined,
        onNote: (note) => {
            write(2, note);
        },
    };
}

function parseOrRefuse() {
    try {
        return parseArgs({
            allowPositionals: true,
            options: {
                image: { type: "string", multiple: true },
                set: { type: "string" },
                platform: { type: "string" },
                referrers: { type: "boolean" },
                since: { type: "string" },
                "since-for": { type: "string" },
                force: { type: "boolean" },
                progress: { type: "boolean" },
            },
        });
    } catch (error) {
        throw new ExportError("InvalidInput", messageOf(error), error);
    }
}

function readReceiver(given: string | undefined): Receiver | undefined {
    const known = receivers.find((each) => each === given);
    if (known === given) return known;
    throw new ExportError("InvalidInput", `--since-for is "${given ?? ""}": expected ${receivers.join(" or ")}.`);
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
