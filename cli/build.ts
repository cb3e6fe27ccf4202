/** The build of an execution, and its log. */
import { GetLogEventsCommand, type GetLogEventsResponse } from "@aws-sdk/client-cloudwatch-logs";
import { BatchGetBuildsCommand } from "@aws-sdk/client-codebuild";
import { GetExecutionHistoryCommand, type HistoryEvent } from "@aws-sdk/client-sfn";

import { call } from "./call";
import type { Context } from "./context";
import { codeOf } from "./failure";
import { followLog, type Stage, stageOfBuild } from "./stage";

/** Follows the build that an execution started last. */
export class BuildFollower {
    /** Its ARN; undefined as long as the execution has started none. */
    public arn: string | undefined;
    /** How far the export is. */
    public stage: Stage = { name: "checking" };
    private phase: string | undefined;
    private logged: Stage | undefined;
    private log: { readonly logGroupName: string | undefined; readonly logStreamName: string } | undefined;
    private nextToken: string | undefined;

    public constructor(
        private readonly context: Context,
        private readonly executionArn: string,
    ) {}

    /** Looks at the build. @returns the lines that it has written to its log since the last time */
    public async look(): Promise<readonly string[]> {
        this.arn ??= await this.find();
        if (this.arn === undefined) return [];
        await this.describe(this.arn);
        const lines = await this.read(this.arn);
        this.logged = followLog(this.logged, lines);
        this.stage = stageOfBuild(this.phase, this.logged);
        return lines;
    }

    private async find(): Promise<string | undefined> {
        const { context, executionArn } = this;
        let nextToken: string | undefined;
        do {
            // From the end: the build is what a running execution waits for, and its last event.
            const page = await call(context, "sfn", executionArn, (sfn) =>
                sfn.send(new GetExecutionHistoryCommand({ executionArn, reverseOrder: true, nextToken })),
            );
            const arn = page.events?.map(startedBuild).find((each) => each !== undefined);
            if (arn !== undefined) return arn;
            nextToken = page.nextToken;
        } while (nextToken !== undefined);
        return undefined;
    }

    private async describe(arn: string): Promise<void> {
        const id = arn.slice(arn.indexOf(":build/") + ":build/".length);
        const { builds: [build] = [] } = await call(this.context, "codebuild", arn, (codebuild) =>
            codebuild.send(new BatchGetBuildsCommand({ ids: [id] })),
        );
        const { groupName: logGroupName, streamName: logStreamName } = build?.logs ?? {};
        this.phase = build?.currentPhase;
        if (logStreamName !== undefined) this.log = { logGroupName, logStreamName };
    }

    private async read(buildArn: string): Promise<readonly string[]> {
        const { log } = this;
        const lines: string[] = [];
        if (log === undefined) return lines;
        const place = buildArn.replace(/:codebuild:/, ":logs:").replace(/:build\/.*$/, "");
        const arn = `${place}:log-group:${log.logGroupName}:log-stream:${log.logStreamName}`;
        for (;;) {
            const { nextToken } = this;
            const request = new GetLogEventsCommand({ ...log, startFromHead: true, nextToken });
            const page = await call(this.context, "logs", arn, (logs) => logs.send(request)).catch(
                (error: unknown): GetLogEventsResponse => {
                    // CodeBuild names the stream before it creates it.
                    if (codeOf(error) === "ResourceNotFoundException") return {};
                    throw error;
                },
            );
            // A progress bar returns to the beginning of its line.
            const messages = (page.events ?? []).map(({ message = "" }) => message.replace(/\r?\n$/, ""));
            lines.push(...messages.flatMap((message) => message.split(/\r?\n|\r/)));
            this.nextToken = page.nextForwardToken ?? nextToken;
            // At the end of a stream the token stays the same:
            // docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
            if (page.nextForwardToken === undefined || page.nextForwardToken === nextToken) return lines;
        }
    }
}

/** The event holds what CodeBuild answered, the Build; AWS does not document in which form. Its ARN stands out in any. */
function startedBuild({ taskSubmittedEventDetails: submitted }: HistoryEvent): string | undefined {
    if (submitted?.resourceType !== "codebuild") return undefined;
    return /arn:[\w-]+:codebuild:[\w-]+:\d{12}:build\/[\w-]+:[\w-]+/.exec(submitted.output ?? "")?.[0];
}
