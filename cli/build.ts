/** The build of an execution: how far it is, by CodeBuild's phases and by what it writes to its log. */
import { CloudWatchLogs, type OutputLogEvent, paginateGetLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { CodeBuild, type LogsLocation } from "@aws-sdk/client-codebuild";
import { type HistoryEvent, SFN } from "@aws-sdk/client-sfn";

import { parseProgress, parseStep } from "../contract/progress";
import { call } from "./aws";
import type { Context } from "./context";
import { codeOf } from "./failure";
import { formatBytes, partText } from "./terminal";

/** How far an export is. */
export interface Stage {
    /** A phase of CodeBuild, or within the phase BUILD a step of the build (contract/progress.ts). */
    readonly name: string;
    /** With bytes and rate, where engine `stream` reports them. */
    readonly text: string;
}

/** Follows the build that an execution started last. */
export class BuildFollower {
    /** Its ARN; undefined as long as the execution has started none. */
    public arn: string | undefined;
    /** How far the export is. */
    public stage: Stage = { name: "checking", text: "checking" };
    private logged: Stage | undefined;
    private nextToken: string | undefined;

    public constructor(
        private readonly context: Context,
        private readonly executionArn: string,
    ) {}

    /** Looks at the build. @returns the lines that it has written to its log since the last time */
    public async look(): Promise<readonly string[]> {
        this.arn ??= await this.find();
        if (this.arn === undefined) return [];
        const [, id = ""] = this.arn.split(":build/");
        const { builds: [build] = [] } = await call(this.context, CodeBuild, this.arn, (codebuild) =>
            codebuild.batchGetBuilds({ ids: [id] }),
        );
        const lines = await this.read(this.arn, build?.logs);
        this.logged = lines.map(stageOfLine).findLast((stage) => stage !== undefined) ?? this.logged;
        this.stage = stageOfBuild(build?.currentPhase, this.logged);
        return lines;
    }

    private async find(): Promise<string | undefined> {
        const { executionArn } = this;
        // The last 100 events: the build is what a running execution waits for, and a few states come after it.
        const { events = [] } = await call(this.context, SFN, executionArn, (sfn) =>
            sfn.getExecutionHistory({ executionArn, reverseOrder: true }),
        );
        return events.map(startedBuild).find((arn) => arn !== undefined);
    }

    private async read(buildArn: string, log: LogsLocation = {}): Promise<readonly string[]> {
        const { groupName: logGroupName, streamName: logStreamName, cloudWatchLogsArn = buildArn } = log;
        if (logStreamName === undefined) return [];
        const lines: string[] = [];
        try {
            await call(this.context, CloudWatchLogs, cloudWatchLogsArn, async (client) => {
                // At the end of a stream the token stays the same:
                // docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
                const from = { client, startingToken: this.nextToken, stopOnSameToken: true };
                const pages = paginateGetLogEvents(from, { logGroupName, logStreamName, startFromHead: true });
                for await (const { events = [], nextForwardToken } of pages) {
                    this.context.signal.throwIfAborted();
                    lines.push(...events.flatMap(linesOf));
                    this.nextToken = nextForwardToken ?? this.nextToken;
                }
            });
        } catch (error) {
            // CodeBuild names the stream before it creates it.
            if (codeOf(error) !== "ResourceNotFoundException") throw error;
        }
        return lines;
    }
}

/** The event holds what CodeBuild answered, the Build; AWS does not document in which form. Its ARN stands out in any. */
function startedBuild({ taskSubmittedEventDetails: submitted }: HistoryEvent): string | undefined {
    if (submitted?.resourceType !== "codebuild") return undefined;
    return /arn:[\w-]+:codebuild:[\w-]+:\d{12}:build\/[\w-]+:[\w-]+/.exec(submitted.output ?? "")?.[0];
}

/** A progress bar returns to the beginning of its line. */
function linesOf({ message = "" }: OutputLogEvent): string[] {
    return message.replace(/\r?\n$/, "").split(/\r?\n|\r/);
}

/**
 * How far a build is: its phase, and in the phase BUILD what the log said last. The phases:
 * docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases
 */
export function stageOfBuild(phase = "BUILD", logged: Stage | undefined): Stage {
    const name = phase.toLowerCase().replaceAll("_", " ");
    return (name === "build" ? logged : undefined) ?? { name, text: name };
}

/** The stage that a line of the log tells; undefined for most lines. */
export function stageOfLine(line: string): Stage | undefined {
    const step = parseStep(line);
    if (step !== undefined) return { name: step, text: step };
    const progress = parseProgress(line);
    if (progress === undefined) return undefined;
    const { writtenBytes, seconds } = progress;
    const rate = seconds === 0 ? "" : `, ${formatBytes(writtenBytes / seconds)}/s`;
    return { name: "export", text: `export: ${partText(progress)}${rate}` };
}
