import { strict as assert } from "node:assert";

import { createDashboard } from "../../components/dashboard";
import { at } from "../../lab/awsTypes";
import { evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";

interface Widget {
    readonly width: number;
    readonly height: number;
    readonly properties: { readonly title: string; readonly [property: string]: unknown };
}

let widgets: readonly Widget[];

function properties(title: string): Record<string, unknown> {
    return widgets.find((widget) => widget.properties.title === title)?.properties ?? assert.fail(title);
}

/** The names of a widget's metrics. */
function metricsOf(title: string): string[] {
    return (properties(title)["metrics"] as string[][]).map(([, name = ""]) => name);
}

describe("Dashboard", () => {
    let dashboard: Evaluation;
    before(async () => {
        dashboard = await evaluate(() => ({
            url: createDashboard(
                "test",
                {
                    at,
                    exportMachine: { arn: "arn:export", name: "export-machine", logGroupName: "/states/export" },
                    batchMachine: { arn: "arn:batch", name: "batch-machine", logGroupName: "/states/batch" },
                    projectName: "project",
                    timeoutMinutes: 30,
                    artifactBucket: "artifacts",
                },
                {},
            ),
        }));
        const body = String(resourceOf(dashboard, "test").inputs["dashboardBody"]);
        widgets = (JSON.parse(body) as { widgets: Widget[] }).widgets;
    });

    it("has the name of the state machine, and a page in the console", () => {
        assert.equal(resourceOf(dashboard, "test").inputs["dashboardName"], "export-machine");
        assert.match(String(dashboard.result["url"]), /#dashboards\/dashboard\/export-machine$/);
    });

    it("fills its 24 columns in rows of one height, without a gap", () => {
        const [last, ...pairs] = widgets.map(({ width, height }) => `${width} ${height}`).reverse();
        assert.equal(last, "24 6");
        assert(pairs.length % 2 === 0 && pairs.every((each) => each === "12 6"), pairs.join());
    });

    it("shows results, times, bytes and failures", () => {
        const results = ["ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"];
        assert.deepEqual(metricsOf("Exports by result"), results);
        assert.deepEqual(metricsOf("Batches by result"), results);
        assert.deepEqual(metricsOf("Duration of exports (ms)"), Array(3).fill("ExecutionTime"));
        assert.deepEqual(metricsOf("Queue and build time (s)"), ["QueuedDuration", "BuildDuration", "Duration"]);
        assert.deepEqual(metricsOf("Builds"), ["SucceededBuilds", "FailedBuilds"]);
        assert.deepEqual(properties("Bytes stored")["metrics"], [
            [
                "AWS/S3",
                "BucketSizeBytes",
                "BucketName",
                "artifacts",
                "StorageType",
                "StandardStorage",
                { label: "archives and old versions" },
            ],
        ]);
    });

    it("draws the timeout where builds come close to it", () => {
        assert.deepEqual(properties("Queue and build time (s)")["annotations"], {
            horizontal: [{ label: "timeout", value: 1800 }],
        });
    });

    it("lists failures of both state machines, the newest first", () => {
        assert.equal(
            properties("Recent failures")["query"],
            "SOURCE '/states/export' | SOURCE '/states/batch' | " +
                "fields @timestamp, type, details.error, details.cause, execution_arn | " +
                'filter type in ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"] | ' +
                "sort @timestamp desc | limit 20",
        );
    });

    it("names its region in every widget", () => {
        for (const widget of widgets) assert.equal(widget.properties["region"], "ap-northeast-1");
    });
});
