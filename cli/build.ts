/** The build of an execution: how far it is, by CodeBuild's phases and by what it writes to its log. */
import { CloudWatchLogs, type OutputLogEvent, paginateGetLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { CodeBuild, type LogsLocation } from "@aws-sdk/client-codebuild";
import { type HistoryEvent, SFN } from "@aws-sdk/client-sfn";

import { parseProgress, parseStep } from "../contract/progress";
import { call } from "./aws";
import type { Context } from "./context";
import { codeOf } from "./failure";
import { formatBytes, partText } from "./terminal";

/**
 * Follows the build that an execution started last.
 *
 * @returns looks at it: its ARN, undefined as long as there is none; the stage of the export, which is a phase of CodeBuild or
 *     within the phase BUILD a step of the build, with bytes and rate after a colon where engine `stream` reports them; the new
 *     lines of its log
 */
export function buildFollower(context: Context, executionArn: string) {
    let arn: string | undefined;
    let logged: string | undefined;
    let nextToken: string | undefined;

    return async () => {
        arn ??= await findBuild(context, executionArn);
        if (arn === undefined) return { arn, stage: "checking", lines: [] };
        const [, id = ""] = arn.split(":build/");
        const { builds: [build] = [] } = await call(context, CodeBuild, arn, (codebuild) =>
            codebuild.batchGetBuilds({ ids: [id] }),
        );
        const lines = await readLog(arn, build?.logs);
        logged = lines.map(stageOfLine).findLast((stage) => stage !== undefined) ?? logged;
        return { arn, stage: stageOfBuild(build?.currentPhase, logged), lines };
    };

    async function readLog(buildArn: string, log: LogsLocation = {}): Promise<readonly string[]> {
        const { groupName: logGroupName, streamName: logStreamName, cloudWatchLogsArn = buildArn } = log;
        if (logStreamName === undefined) return [];
        const lines: string[] = [];
        try {
            await call(context, CloudWatchLogs, cloudWatchLogsArn, async (client) => {
                // At the end of a stream the token stays the same:
                // docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
                const from = { client, startingToken: nextToken, stopOnSameToken: true };
                const pages = paginateGetLogEvents(from, { logGroupName, logStreamName, startFromHead: true });
                for await (const { events = [], nextForwardToken } of pages) {
                    context.signal.throwIfAborted();
                    lines.push(...events.flatMap(linesOf));
                    nextToken = nextForwardToken ?? nextToken;
                }
            });
        } catch (error) {
            // CodeBuild names the stream before it creates it.
            if (codeOf(error) !== "ResourceNotFoundException") throw error;
        }
        return lines;
    }
}

async function findBuild(context: Context, executionArn: string): Promise<string | undefined> {
    // The last 100 events: the build is what a running execution waits for, and a few states come after it.
    const { events = [] } = await call(context, SFN, executionArn, (sfn) =>
        sfn.getExecutionHistory({ executionArn, reverseOrder: true }),
    );
    return events.map(startedBuild).find((arn) => arn !== undefined);
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
export function stageOfBuild(phase = "BUILD", logged: string | undefined): string {
    return (phase === "BUILD" ? logged : undefined) ?? phase.toLowerCase().replaceAll("_", " ");
}

/** The stage that a line of the log tells; undefined for most lines. */
export function stageOfLine(line: string): string | undefined {
    const progress = parseProgress(line);
    if (progress === undefined) return parseStep(line);
    const { writtenBytes, seconds } = progress;
    const rate = seconds === 0 ? "" : `, ${formatBytes(writtenBytes / seconds)}/s`;
    return `export: ${partText(progress)}${rate}`;
}
