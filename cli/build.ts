/** The build of an execution: how far it is, by CodeBuild's phases and by what it writes to its log. */
import { CloudWatchLogsClient, paginateGetLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { BatchGetBuildsCommand, CodeBuildClient, type LogsLocation } from "@aws-sdk/client-codebuild";
import { type HistoryEvent, paginateGetExecutionHistory, SFNClient } from "@aws-sdk/client-sfn";

import { parseProgress, parseStep, type Progress } from "../contract/progress";
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
        const { builds: [build] = [] } = await call(this.context, CodeBuildClient, this.arn, (codebuild) =>
            codebuild.send(new BatchGetBuildsCommand({ ids: [id] })),
        );
        const lines = await this.read(this.arn, build?.logs);
        this.logged = followLog(this.logged, lines);
        this.stage = stageOfBuild(build?.currentPhase, this.logged);
        return lines;
    }

    private async find(): Promise<string | undefined> {
        const { context, executionArn } = this;
        return call(context, SFNClient, executionArn, async (client) => {
            // From the end: the build is what a running execution waits for, and its last event.
            const pages = paginateGetExecutionHistory({ client }, { executionArn, reverseOrder: true });
            for await (const { events = [] } of pages) {
                context.signal.throwIfAborted();
                const arn = events.map(startedBuild).find((each) => each !== undefined);
                if (arn !== undefined) return arn;
            }
            return undefined;
        });
    }

    private async read(buildArn: string, log: LogsLocation = {}): Promise<readonly string[]> {
        const { groupName: logGroupName, streamName: logStreamName } = log;
        if (logStreamName === undefined) return [];
        const place = buildArn.replace(/:codebuild:/, ":logs:").replace(/:build\/.*$/, "");
        const arn = `${place}:log-group:${logGroupName}:log-stream:${logStreamName}`;
        const messages: string[] = [];
        try {
            await call(this.context, CloudWatchLogsClient, arn, async (client) => {
                // At the end of a stream the token stays the same:
                // docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
                const from = { client, startingToken: this.nextToken, stopOnSameToken: true };
                const pages = paginateGetLogEvents(from, { logGroupName, logStreamName, startFromHead: true });
                for await (const { events = [], nextForwardToken } of pages) {
                    this.context.signal.throwIfAborted();
                    messages.push(...events.map(({ message = "" }) => message.replace(/\r?\n$/, "")));
                    this.nextToken = nextForwardToken ?? this.nextToken;
                }
            });
        } catch (error) {
            // CodeBuild names the stream before it creates it.
            if (codeOf(error) !== "ResourceNotFoundException") throw error;
        }
        // A progress bar returns to the beginning of its line.
        return messages.flatMap((message) => message.split(/\r?\n|\r/));
    }
}

/** The event holds what CodeBuild answered, the Build; AWS does not document in which form. Its ARN stands out in any. */
function startedBuild({ taskSubmittedEventDetails: submitted }: HistoryEvent): string | undefined {
    if (submitted?.resourceType !== "codebuild") return undefined;
    return /arn:[\w-]+:codebuild:[\w-]+:\d{12}:build\/[\w-]+:[\w-]+/.exec(submitted.output ?? "")?.[0];
}

/**
 * How far a build is: its phase, and in the phase BUILD what the log said last. The phases:
 * docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases
 */
export function stageOfBuild(phase = "BUILD", logged: Stage | undefined): Stage {
    const name = phase.toLowerCase().replaceAll("_", " ");
    return (name === "build" ? logged : undefined) ?? { name, text: name };
}

/** The stage after further lines of the log. */
export function followLog(stage: Stage | undefined, lines: readonly string[]): Stage | undefined {
    return lines.reduce((last, line) => {
        const name = parseStep(line);
        const progress = parseProgress(line);
        if (name !== undefined) return { name, text: name };
        return progress ? { name: "export", text: progressText(progress) } : last;
    }, stage);
}

function progressText({ writtenBytes, totalBytes, seconds }: Progress): string {
    const rate = seconds === 0 ? "" : `, ${formatBytes(writtenBytes / seconds)}/s`;
    return `export: ${partText(writtenBytes, totalBytes)}${rate}`;
}
