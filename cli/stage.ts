/** How far an export is, read from its build: CodeBuild's phases, and what the build writes to its log. Pure. */
import { type BuildStep, parseProgress, parseStep, type Progress } from "../contract/progress";
import { formatBytes, partText } from "./terminal";

/** How far an export is. */
export interface Stage {
    /** What it does, for instance `pulling`. */
    readonly name: string;
    /** Bytes of the archive that are written, as engine `stream` reports them. */
    readonly progress?: Progress;
}

/** The stage of each phase; docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases */
const stageOfPhase: Readonly<Record<string, string>> = {
    SUBMITTED: "queued",
    QUEUED: "queued",
    PROVISIONING: "provisioning",
    DOWNLOAD_SOURCE: "preparing",
    INSTALL: "preparing",
    PRE_BUILD: "preparing",
    POST_BUILD: "finishing",
    UPLOAD_ARTIFACTS: "finishing",
    FINALIZING: "finishing",
    COMPLETED: "finishing",
};

/** The stage that each step of a build begins. */
const stageOfStep: Readonly<Record<BuildStep, string>> = {
    check: "resolving",
    login: "resolving",
    resolve: "resolving",
    pull: "pulling",
    save: "saving",
    export: "uploading",
    upload: "uploading",
    record: "recording",
    done: "finishing",
};

/** How far a build is: its phase, and in the phase BUILD what the log said last. */
export function stageOfBuild(phase: string | undefined, logged: Stage | undefined): Stage {
    const name = stageOfPhase[phase ?? ""];
    return name === undefined ? (logged ?? { name: "building" }) : { name };
}

/** The stage after further lines of the log. */
export function followLog(stage: Stage | undefined, lines: readonly string[]): Stage | undefined {
    let last = stage;
    for (const line of lines) {
        const step = parseStep(line);
        const progress = parseProgress(line);
        if (step !== undefined) last = { name: stageOfStep[step] };
        else if (progress !== undefined) last = { name: stageOfStep.export, progress };
    }
    return last;
}

/** A stage in one line. */
export function stageText({ name, progress }: Stage): string {
    if (progress === undefined || progress.totalBytes === 0) return name;
    const { writtenBytes, totalBytes, seconds } = progress;
    const rate = seconds === 0 ? "" : `, ${formatBytes(writtenBytes / seconds)}/s`;
    return `${name} ${partText(writtenBytes, totalBytes)}${rate}`;
}
