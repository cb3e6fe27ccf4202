/** What a build prints on its way: lines that a person reads in the log, and a program follows. */

/** What a build does, in this order; an engine leaves some out. The word before the colon of a line. */
export const buildSteps = ["check", "login", "resolve", "pull", "save", "export", "upload", "record", "done"] as const;

/**
 * The line that begins a step: `=== pull: Pull nginx:1.29 (after 3 s)`. buildspec/docker.yml and buildspec/stream.yml print it,
 * which a test holds to {@link parseStep}.
 *
 * @returns the step; undefined for any other line
 */
export function parseStep(line: string): (typeof buildSteps)[number] | undefined {
    const [, name] = /^=== ([a-z]+): .* \(after \d+ s\)$/.exec(line) ?? [];
    return buildSteps.find((step) => step === name);
}

/** How far the bytes are, as engine `stream` says once a second. */
export interface Progress {
    /** Bytes of the archive that are at the destination. */
    readonly writtenBytes: number;
    readonly totalBytes: number;
    readonly seconds: number;
}

/** Writes a progress as a line: `12.3 of 500.0 MB in 1.2 s`. */
export function progressText({ writtenBytes, totalBytes, seconds }: Progress): string {
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
    return `${megabytes(writtenBytes)} of ${megabytes(totalBytes)} MB in ${seconds.toFixed(1)} s`;
}

/** Reads what {@link progressText} has written; undefined for any other line. */
export function parseProgress(line: string): Progress | undefined {
    const [, written, total, seconds] = /^([\d.]+) of ([\d.]+) MB in ([\d.]+) s$/.exec(line) ?? [];
    if (written === undefined) return undefined;
    return { writtenBytes: Number(written) * 1e6, totalBytes: Number(total) * 1e6, seconds: Number(seconds) };
}
