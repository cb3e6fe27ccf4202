import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { type AwsLocation, dashboardUrl } from "../contract/aws";

/** Arguments of {@link Dashboard}. */
export interface DashboardArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation<pulumi.Input<string>>;
    /** The state machine that exports one image. */
    readonly exportMachine: { readonly arn: pulumi.Input<string>; readonly name: pulumi.Input<string> };
    /** The state machine that exports batches. */
    readonly batchMachine: { readonly arn: pulumi.Input<string> };
    /** Name of the CodeBuild project. */
    readonly projectName: pulumi.Input<string>;
    /** Minutes that a build may run. */
    readonly timeoutMinutes: number;
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Names of the log groups of both state machines' executions. */
    readonly executionLogs: readonly pulumi.Input<string>[];
}

/**
 * The CloudWatch dashboard: results, times, what is stored, what went wrong.
 *
 * @example
 * const dashboard = new Dashboard("export-dashboard", {
 *     at: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" },
 *     exportMachine,
 *     batchMachine,
 *     projectName: runner.projectName,
 *     timeoutMinutes: 30,
 *     artifactBucket: storage.bucketName,
 *     executionLogs: [orchestration.logGroupName, batch.logGroupName],
 * });
 */
export class Dashboard extends pulumi.ComponentResource {
    /** The dashboard in the console. */
    public readonly url: pulumi.Output<string>;

    public constructor(name: string, args: DashboardArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:Dashboard", name, args, opts);
        const shown = pulumi.output({
            region: args.at.region,
            exportMachineArn: args.exportMachine.arn,
            batchMachineArn: args.batchMachine.arn,
            projectName: args.projectName,
            timeoutMinutes: args.timeoutMinutes,
            bucketName: args.artifactBucket,
            executionLogs: args.executionLogs,
        });
        const dashboard = new aws.cloudwatch.Dashboard(
            name,
            {
                // Pulumi does not name dashboards; the name of the state machine is as unique.
                dashboardName: args.exportMachine.name,
                dashboardBody: pulumi.jsonStringify(shown.apply(dashboardBody)),
            },
            { parent: this },
        );
        this.url = dashboard.dashboardName.apply((dashboardName) => dashboardUrl(args.at, dashboardName));
        this.registerOutputs({ url: this.url });
    }
}

/** What is shown, by names. */
interface Shown {
    readonly region: string;
    readonly exportMachineArn: string;
    readonly batchMachineArn: string;
    readonly projectName: string;
    readonly timeoutMinutes: number;
    readonly bucketName: string;
    readonly executionLogs: readonly string[];
}

/** The body of a dashboard. */
interface DashboardBody {
    readonly widgets: readonly Widget[];
}

/**
 * One widget, on a grid of 24 columns.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html}
 */
interface Widget {
    readonly type: "metric" | "log";
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
    readonly properties: {
        readonly title: string;
        readonly view: string;
        readonly [property: string]: unknown;
    };
}

/** A metric: namespace, name, then name and value of each dimension, then how it is shown. */
type Metric = readonly [string, string, ...(string | object)[]];

const [fiveMinutes, hour, day] = [300, 3600, 86_400];

/** Results, then times, then what is stored, then what went wrong. */
function dashboardBody(args: Shown): DashboardBody {
    const ofBuilds = ["ProjectName", args.projectName] as const;
    const ofMachine = ["StateMachineArn", args.exportMachineArn] as const;
    const metrics = (title: string, view: string, shown: readonly Metric[], properties: object) => ({
        type: "metric" as const,
        properties: { title, view, region: args.region, metrics: shown, ...properties },
    });
    const results = (machineArn: string): Metric[] =>
        [
            ["ExecutionsSucceeded", "succeeded", "#2ca02c"],
            ["ExecutionsFailed", "failed", "#d62728"],
            ["ExecutionsTimedOut", "timed out", "#ff7f0e"],
            ["ExecutionsAborted", "aborted", "#7f7f7f"],
        ].map(([name = "", label, color]) => [
            "AWS/States",
            name,
            "StateMachineArn",
            machineArn,
            { label, color },
        ]);
    const counts = { stat: "Sum", period: hour, stacked: true, yAxis: { left: { min: 0 } } };

    return {
        widgets: [
            at(
                0,
                0,
                12,
                6,
                metrics("Exports by result", "timeSeries", results(args.exportMachineArn), counts),
            ),
            at(
                12,
                0,
                12,
                6,
                metrics("Batches by result", "timeSeries", results(args.batchMachineArn), counts),
            ),
            at(
                0,
                6,
                12,
                6,
                metrics(
                    "Duration of exports (ms)",
                    "timeSeries",
                    ["p50", "p90", "p99"].map((stat) => [
                        "AWS/States",
                        "ExecutionTime",
                        ...ofMachine,
                        { stat, label: stat },
                    ]),
                    { period: hour, yAxis: { left: { min: 0 } } },
                ),
            ),
            at(
                12,
                6,
                12,
                6,
                metrics(
                    "Queue and build time (s)",
                    "timeSeries",
                    [
                        ["AWS/CodeBuild", "QueuedDuration", ...ofBuilds, { label: "in the queue" }],
                        ["AWS/CodeBuild", "BuildDuration", ...ofBuilds, { label: "phase BUILD" }],
                        ["AWS/CodeBuild", "Duration", ...ofBuilds, { label: "in all" }],
                    ],
                    {
                        stat: "Maximum",
                        period: fiveMinutes,
                        yAxis: { left: { min: 0 } },
                        annotations: {
                            horizontal: [{ label: "timeout", value: args.timeoutMinutes * 60 }],
                        },
                    },
                ),
            ),
            at(
                0,
                12,
                12,
                6,
                metrics(
                    "Bytes stored",
                    "timeSeries",
                    [
                        [
                            "AWS/S3",
                            "BucketSizeBytes",
                            "BucketName",
                            args.bucketName,
                            "StorageType",
                            "StandardStorage",
                            { label: "archives and old versions" },
                        ],
                    ],
                    // S3 reports it once a day.
                    { stat: "Average", period: day, yAxis: { left: { min: 0 } } },
                ),
            ),
            at(
                12,
                12,
                12,
                6,
                metrics(
                    "Builds",
                    "timeSeries",
                    [
                        [
                            "AWS/CodeBuild",
                            "SucceededBuilds",
                            ...ofBuilds,
                            { label: "succeeded", color: "#2ca02c" },
                        ],
                        ["AWS/CodeBuild", "FailedBuilds", ...ofBuilds, { label: "failed", color: "#d62728" }],
                    ],
                    counts,
                ),
            ),
            at(0, 18, 24, 6, {
                type: "log",
                properties: {
                    title: "Recent failures",
                    view: "table",
                    region: args.region,
                    query: failuresQuery(args.executionLogs),
                },
            }),
        ],
    };
}

function at(
    x: number,
    y: number,
    width: number,
    height: number,
    widget: Pick<Widget, "type" | "properties">,
): Widget {
    return { ...widget, x, y, width, height };
}

/** Executions that did not succeed, of both logs: each with its link's last part, its ARN. */
function failuresQuery(logGroupNames: readonly string[]): string {
    return [
        ...logGroupNames.map((name) => `SOURCE '${name}'`),
        "fields @timestamp, type, details.error, details.cause, execution_arn",
        'filter type in ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"]',
        "sort @timestamp desc",
        "limit 20",
    ].join(" | ");
}
