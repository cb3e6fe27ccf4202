/** How far an export is, read from its build: CodeBuild's phases, and what the build writes to its log. Pure. */
import { parseProgress, parseStep, type Progress } from "../contract/progress";
import { formatBytes, partText } from "./terminal";

/** How far an export is. */
export interface Stage {
    /** A phase of CodeBuild, or within the phase BUILD a step of the build (contract/progress.ts). */
    readonly name: string;
    /** Bytes of the archive that are written, as engine `stream` reports them. */
    readonly progress?: Progress;
}

/**
 * How far a build is: its phase, and in the phase BUILD what the log said last. The phases:
 * docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases
 */
export function stageOfBuild(phase: string | undefined, logged: Stage | undefined): Stage {
    const name = phase?.toLowerCase().replaceAll("_", " ") ?? "build";
    return name === "build" ? (logged ?? { name }) : { name };
}

/** The stage after further lines of the log. */
export function followLog(stage: Stage | undefined, lines: readonly string[]): Stage | undefined {
    return lines.reduce((last, line) => {
        const name = parseStep(line);
        const progress = parseProgress(line);
        return name === undefined ? (progress ? { name: "export", progress } : last) : { name };
    }, stage);
}

/** A stage in one line. */
export function stageText({ name, progress }: Stage): string {
    if (progress === undefined || progress.totalBytes === 0) return name;
    const { writtenBytes, totalBytes, seconds } = progress;
    const rate = seconds === 0 ? "" : `, ${formatBytes(writtenBytes / seconds)}/s`;
    return `${name}: ${partText(writtenBytes, totalBytes)}${rate}`;
}
