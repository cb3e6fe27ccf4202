import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { dashboardUrl } from "../contract/aws";
import type { ExportDefinitionArgs } from "../stateMachines/export";
import type { MachineNames } from "./stateMachine";

export interface DashboardArgs extends Pick<
    ExportDefinitionArgs,
    "at" | "projectName" | "timeoutMinutes" | "artifactBucket"
> {
    /** The state machine that exports one image. */
    readonly exportMachine: MachineNames;
    /** The state machine that exports batches. */
    readonly batchMachine: MachineNames;
}

/**
 * Makes the CloudWatch dashboard: results, times, what is stored, what went wrong.
 *
 * @returns its address in the console
 */
export function createDashboard(
    name: string,
    args: DashboardArgs,
    opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
    const { dashboardName } = new aws.cloudwatch.Dashboard(
        name,
        {
            // Pulumi does not name dashboards; the name of the state machine is as unique.
            dashboardName: args.exportMachine.name,
            dashboardBody: pulumi.jsonStringify(pulumi.output(args).apply(dashboardBody)),
        },
        opts,
    );
    return dashboardName.apply((known) => dashboardUrl(args.at, known));
}

/** A metric: namespace, name, then name and value of each dimension, then how it is shown. */
type Metric = readonly [string, string, ...(string | object)[]];

const [fiveMinutes, hour, day] = [300, 3600, 86_400];
const fromZero = { yAxis: { left: { min: 0 } } };
const counts = { stat: "Sum", period: hour, stacked: true, ...fromZero };
const green = "#2ca02c";
const red = "#d62728";

/**
 * Results, then times, then what is stored, then what went wrong: two widgets in a row of 24 columns, the log over all. Each takes the
 * next free position.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html}
 */
function dashboardBody(shown: pulumi.Unwrap<DashboardArgs>): object {
    const { exportMachine, batchMachine, projectName } = shown;
    const { region } = shown.at;
    const graph = (title: string, metrics: readonly Metric[], properties: object) => ({
        type: "metric",
        width: 12,
        height: 6,
        properties: { title, view: "timeSeries", region, metrics, ...properties },
    });
    const ofBuilds = (name: string, label: string, color?: string): Metric => {
        return ["AWS/CodeBuild", name, "ProjectName", projectName, { label, ...(color && { color }) }];
    };
    const percentiles = ["p50", "p90", "p99"].map((stat): Metric => {
        return ["AWS/States", "ExecutionTime", "StateMachineArn", exportMachine.arn, { stat, label: stat }];
    });
    const stored = ["BucketName", shown.artifactBucket, "StorageType", "StandardStorage"] as const;
    const graphs = [
        graph("Exports by result", results(exportMachine.arn), counts),
        graph("Batches by result", results(batchMachine.arn), counts),
        graph("Duration of exports (ms)", percentiles, { period: hour, ...fromZero }),
        graph(
            "Queue and build time (s)",
            [
                ofBuilds("QueuedDuration", "in the queue"),
                ofBuilds("BuildDuration", "phase BUILD"),
                ofBuilds("Duration", "in all"),
            ],
            {
                stat: "Maximum",
                period: fiveMinutes,
                ...fromZero,
                annotations: { horizontal: [{ label: "timeout", value: shown.timeoutMinutes * 60 }] },
            },
        ),
        graph(
            "Bytes stored",
            [["AWS/S3", "BucketSizeBytes", ...stored, { label: "archives and old versions" }]],
            // S3 reports it once a day.
            { stat: "Average", period: day, ...fromZero },
        ),
        graph(
            "Builds",
            [ofBuilds("SucceededBuilds", "succeeded", green), ofBuilds("FailedBuilds", "failed", red)],
            counts,
        ),
    ];
    // Executions that did not succeed, of both logs: each with its ARN.
    const query = [
        `SOURCE '${exportMachine.logGroupName}'`,
        `SOURCE '${batchMachine.logGroupName}'`,
        "fields @timestamp, type, details.error, details.cause, execution_arn",
        'filter type in ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"]',
        "sort @timestamp desc",
        "limit 20",
    ].join(" | ");
    const properties = { title: "Recent failures", view: "table", region, query };
    return { widgets: [...graphs, { type: "log", width: 24, height: 6, properties }] };
}

function results(machineArn: string): Metric[] {
    return [
        ["ExecutionsSucceeded", "succeeded", green],
        ["ExecutionsFailed", "failed", red],
        ["ExecutionsTimedOut", "timed out", "#ff7f0e"],
        ["ExecutionsAborted", "aborted", "#7f7f7f"],
    ].map(([name = "", label, color]) => {
        return ["AWS/States", name, "StateMachineArn", machineArn, { label, color }];
    });
}
