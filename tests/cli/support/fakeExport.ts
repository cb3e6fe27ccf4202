/** An export as AWS shows it to who watches: an execution, its build and the log of that, by a timeline. */
import { awsError, type AwsAnswer, startTimeMs } from "./context";

export const machineArn = "arn:aws:states:eu-west-1:111122223333:stateMachine:export";
export const executionArn = "arn:aws:states:eu-west-1:111122223333:execution:export:run";
const logArn = "arn:aws:logs:eu-west-1:111122223333:log-group:group:log-stream:0b5c";
export const buildArn = "arn:aws:codebuild:eu-west-1:111122223333:build/project:0b5c";

/** What an export that succeeded puts out. */
export const exported = {
    imageUri: "111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx:1.29",
    imageDigest: `sha256:${"a".repeat(64)}`,
    platform: "linux/amd64",
    artifactBucket: "bucket",
    artifactKey: "images/nginx/1.29.tar",
    artifactVersionId: "v1",
    sizeBytes: 550_000_000,
    sha256: "b".repeat(64),
    referrerCount: null,
    skipped: false,
    engine: "stream",
    buildId: "project:0b5c",
};

/** What is the case from a time on. */
export interface Moment {
    /** Seconds since the execution was started. */
    readonly at: number;
    readonly phase?: string;
    /** Written to the log. */
    readonly log?: readonly string[];
    readonly end?: {
        readonly status: string;
        readonly output?: unknown;
        readonly error?: string;
        readonly cause?: string;
    };
}

/** The life of an export with engine `stream`. */
export const streamed: readonly Moment[] = [
    { at: 2, phase: "QUEUED" },
    { at: 10, phase: "PROVISIONING" },
    { at: 20, phase: "DOWNLOAD_SOURCE" },
    { at: 25, phase: "BUILD", log: ["", "=== check: Check the request (after 0 s)"] },
    { at: 30, log: ["=== export: Export nginx:1.29 to s3://bucket/key (after 1 s)"] },
    { at: 35, log: ["137.5 of 550.0 MB in 2.0 s"] },
    { at: 40, log: ["412.5 of 550.0 MB in 4.0 s"] },
    { at: 45, phase: "POST_BUILD", log: ["=== done: Done (after 9 s)"] },
    { at: 50, phase: "COMPLETED", end: { status: "SUCCEEDED", output: exported } },
];

/** Answers by the timeline. `refused` are operations that these credentials may not call. */
export function fakeExport(timeline: readonly Moment[], refused: readonly string[] = []): AwsAnswer {
    let now = startTimeMs;
    const past = () => timeline.filter(({ at }) => startTimeMs + at * 1000 <= now);
    const last = <K extends keyof Moment>(field: K) =>
        past().findLast((moment) => moment[field] !== undefined)?.[field];
    const described = () => {
        const { output, ...end } = last("end") ?? { status: "RUNNING" };
        return {
            executionArn,
            startDate: new Date(startTimeMs),
            stopDate: end.status === "RUNNING" ? undefined : new Date(startTimeMs + (timeline.at(-1)?.at ?? 0) * 1000),
            input: "{}",
            ...end,
            output: output && JSON.stringify(output),
        };
    };
    const answers: Record<string, (input: Record<string, unknown>) => unknown> = {
        StartExecution: () => ({ executionArn }),
        StopExecution: () => ({}),
        DescribeExecution: described,
        GetExecutionHistory: () => ({
            events:
                last("phase") === undefined
                    ? [{ type: "TaskStateEntered" }]
                    : [
                          {
                              type: "TaskSubmitted",
                              taskSubmittedEventDetails: {
                                  resourceType: "codebuild",
                                  output: JSON.stringify({ Build: { Arn: buildArn, Id: "project:0b5c" } }),
                              },
                          },
                      ],
        }),
        BatchGetBuilds: () => ({
            builds: [
                {
                    currentPhase: last("phase"),
                    logs: { groupName: "group", streamName: "0b5c", cloudWatchLogsArn: logArn },
                },
            ],
        }),
        GetLogEvents: ({ nextToken }) => {
            const lines = past().flatMap(({ log = [] }) => log);
            if (lines.length === 0) {
                throw awsError("ResourceNotFoundException", "The specified log stream does not exist.");
            }
            const from = Number(nextToken ?? 0);
            return {
                events: lines.slice(from).map((message) => ({ message: `${message}\n` })),
                nextForwardToken: String(lines.length),
            };
        },
    };
    return (operation, input, nowMs = startTimeMs) => {
        now = nowMs;
        if (refused.includes(operation)) {
            throw awsError("AccessDeniedException", `not authorized to perform ${operation}`);
        }
        const answer = answers[operation];
        if (answer === undefined) throw new Error(`unexpected ${operation}`);
        return answer(input);
    };
}
