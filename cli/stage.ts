/** How far an export is, read from its build: CodeBuild's phases, and what the build writes to its log. Pure. */
import { formatBytes, formatRate } from "./terminal";

/** Where an export is, in the order in which it passes through these. An engine leaves some out. */
export type StageName =
    | "checking"
    | "queued"
    | "provisioning"
    | "preparing"
    | "resolving"
    | "pulling"
    | "saving"
    | "uploading"
    | "recording"
    | "finishing"
    | "building";

/** How far an export is. */
export interface Stage {
    readonly name: StageName;
    /** Bytes of the archive that are written, as engine `stream` reports them. */
    readonly progress?: Progress;
}

/** What engine `stream` reports once a second. */
export interface Progress {
    readonly writtenBytes: number;
    readonly totalBytes: number;
    readonly seconds: number;
}

/** The stage of each phase: docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases */
const stageOfPhase: Readonly<Record<string, StageName>> = {
    SUBMITTED: "queued",
    QUEUED: "queued",
    PROVISIONING: "provisioning",
    DOWNLOAD_SOURCE: "preparing",
    INSTALL: "preparing",
    PRE_BUILD: "preparing",
    BUILD: "building",
    POST_BUILD: "finishing",
    UPLOAD_ARTIFACTS: "finishing",
    FINALIZING: "finishing",
    COMPLETED: "finishing",
};

/** The stage that each step of the buildspecs begins: by the first words of the line `=== STEP (after N s)`. */
const stageOfStep: readonly (readonly [beginning: string, stage: StageName])[] = [
    ["Check the request", "resolving"],
    ["Log in to ", "resolving"],
    ["Resolve ", "resolving"],
    ["Pull ", "pulling"],
    ["Save the archive", "saving"],
    ["Upload to ", "uploading"],
    ["Write the record", "recording"],
    ["Export ", "uploading"],
    ["Done", "finishing"],
];

/** The stage that a line of a build's log begins; undefined for a line that begins none. */
export function stageOfLine(line: string): StageName | undefined {
    const [, step] = /^=== (.+) \(after \d+ s\)$/.exec(line) ?? [];
    return stageOfStep.find(([beginning]) => step?.startsWith(beginning))?.[1];
}

/** What a line of the log of engine `stream` says of its progress, as exporter/main.ts writes it. */
export function progressOfLine(line: string): Progress | undefined {
    const numbers = /^([\d.]+) of ([\d.]+) MB in ([\d.]+) s$/.exec(line)?.slice(1).map(Number);
    const [written = 0, total = 0, seconds = 0] = numbers ?? [];
    if (numbers === undefined) return undefined;
    return { writtenBytes: written * 1e6, totalBytes: total * 1e6, seconds };
}

/** How far a build is: its phase, and in the phase BUILD what the log has told. */
export function stageOfBuild(phase: string | undefined, told: Stage | undefined): Stage {
    const name = stageOfPhase[phase ?? ""] ?? "building";
    return name === "building" ? (told ?? { name }) : { name };
}

/** The stage after further lines of the log. */
export function followLog(stage: Stage | undefined, lines: readonly string[]): Stage | undefined {
    let told = stage;
    for (const line of lines) {
        const name = stageOfLine(line);
        const progress = progressOfLine(line);
        if (name !== undefined) told = { name };
        else if (progress !== undefined) told = { name: "uploading", progress };
    }
    return told;
}

/** A stage in one line. */
export function stageText({ name, progress }: Stage): string {
    if (progress === undefined || progress.totalBytes === 0) return name;
    const { writtenBytes, totalBytes, seconds } = progress;
    const percent = Math.floor((100 * writtenBytes) / totalBytes);
    const rate = seconds === 0 ? "" : `, ${formatRate(writtenBytes / seconds)}`;
    return `${name} ${formatBytes(writtenBytes)} of ${formatBytes(totalBytes)} (${percent} %)${rate}`;
}
