/** The build of an execution, and its log. */
import { GetLogEventsCommand, type GetLogEventsResponse } from "@aws-sdk/client-cloudwatch-logs";
import { BatchGetBuildsCommand } from "@aws-sdk/client-codebuild";
import { GetExecutionHistoryCommand, type HistoryEvent } from "@aws-sdk/client-sfn";

import { call } from "./call";
import type { Context } from "./command";
import { codeOf } from "./failure";

/** A build, as far as CodeBuild tells of it. */
export interface Build {
    readonly arn: string;
    /** What it is doing; `COMPLETED` when it has ended. */
    readonly phase: string | undefined;
    readonly status: string | undefined;
    readonly log: BuildLog | undefined;
}

/** Where a build writes its log. */
export interface BuildLog {
    readonly groupName: string;
    readonly streamName: string;
    /** A page of the console. */
    readonly url: string | undefined;
}

/** ARN of the build that an execution started last; undefined where it has started none. */
export async function findBuildArn(context: Context, executionArn: string): Promise<string | undefined> {
    let nextToken: string | undefined;
    do {
        // From the end: the build is what a running execution waits for, and its last event.
        const page = await call(context, "sfn", executionArn, (sfn) =>
            sfn.send(new GetExecutionHistoryCommand({ executionArn, reverseOrder: true, nextToken })),
        );
        for (const event of page.events ?? []) {
            const arn = startedBuild(event);
            if (arn !== undefined) return arn;
        }
        nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return undefined;
}

/** The event holds what CodeBuild answered, the Build; AWS does not document in which form. Its ARN stands out in any. */
function startedBuild({ taskSubmittedEventDetails: submitted }: HistoryEvent): string | undefined {
    if (submitted?.resourceType !== "codebuild") return undefined;
    return /arn:[\w-]+:codebuild:[\w-]+:\d{12}:build\/[\w-]+:[\w-]+/.exec(submitted.output ?? "")?.[0];
}

/** What CodeBuild tells of a build. */
export async function describeBuild(context: Context, arn: string): Promise<Build> {
    const id = arn.slice(arn.indexOf(":build/") + ":build/".length);
    const { builds: [build] = [] } = await call(context, "codebuild", arn, (codebuild) =>
        codebuild.send(new BatchGetBuildsCommand({ ids: [id] })),
    );
    const { groupName, streamName, deepLink } = build?.logs ?? {};
    return {
        arn,
        phase: build?.currentPhase,
        status: build?.buildStatus,
        log:
            groupName === undefined || streamName === undefined
                ? undefined
                : { groupName, streamName, url: deepLink },
    };
}

/** Reads a log from its beginning, each time what is new. */
export class LogReader {
    private nextToken: string | undefined;
    private readonly arn: string;

    public constructor(
        private readonly context: Context,
        buildArn: string,
        private readonly log: BuildLog,
    ) {
        const place = buildArn.replace(/:codebuild:/, ":logs:").replace(/:build\/.*$/, "");
        this.arn = `${place}:log-group:${log.groupName}:log-stream:${log.streamName}`;
    }

    /** The lines that were written since the last time. */
    public async read(): Promise<string[]> {
        const lines: string[] = [];
        for (;;) {
            const { nextToken } = this;
            const page = await this.page(nextToken);
            lines.push(...(page.events ?? []).flatMap(({ message = "" }) => linesOf(message)));
            this.nextToken = page.nextForwardToken ?? nextToken;
            // At the end of a stream the token stays the same:
            // docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
            if (page.nextForwardToken === undefined || page.nextForwardToken === nextToken) return lines;
        }
    }

    private async page(nextToken: string | undefined): Promise<GetLogEventsResponse> {
        const { groupName: logGroupName, streamName: logStreamName } = this.log;
        const input = { logGroupName, logStreamName, startFromHead: true, nextToken };
        try {
            return await call(this.context, "logs", this.arn, (logs) =>
                logs.send(new GetLogEventsCommand(input)),
            );
        } catch (error) {
            // CodeBuild names the stream before it makes it.
            if (codeOf(error) === "ResourceNotFoundException") return {};
            throw error;
        }
    }
}

function linesOf(message: string): string[] {
    return message.replace(/\r?\n$/, "").split(/\r?\n/);
}
