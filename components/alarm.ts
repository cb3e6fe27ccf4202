/** An alarm as every one of this program is: it says what to do, and silence is good. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

/** Arguments of {@link createAlarm}. */
export interface AlarmArgs {
    /** What has happened, and the first thing to do about it. */
    readonly description: pulumi.Input<string>;
    /** Heading in docs/operations.md that says the rest. */
    readonly section: string;
    /** Namespace of the metric, for instance `AWS/States`. */
    readonly namespace: string;
    /** Name of the metric. */
    readonly metricName: string;
    /** What the metric is about. */
    readonly dimensions: Record<string, pulumi.Input<string>>;
    /** What is compared, over each five minutes. */
    readonly statistic: "Sum" | "Maximum";
    /**
     * The least value that is an alarm, in the metric's unit.
     *
     * @default 1
     */
    readonly atLeast?: number;
    /**
     * ARN of the topic that is told.
     *
     * @default none; the console shows the alarm all the same
     */
    readonly topicArn?: pulumi.Input<string> | undefined;
    /** Tags of the alarm. */
    readonly tags: Record<string, string>;
}

/** Declares an alarm over five minutes of a metric. */
export function createAlarm(
    name: string,
    args: AlarmArgs,
    opts: pulumi.CustomResourceOptions,
): aws.cloudwatch.MetricAlarm {
    const { description, section, atLeast = 1, topicArn, ...metric } = args;
    return new aws.cloudwatch.MetricAlarm(
        name,
        {
            ...metric,
            alarmDescription: pulumi.interpolate`${description} See "${section}" in docs/operations.md.`,
            comparisonOperator: "GreaterThanOrEqualToThreshold",
            threshold: atLeast,
            evaluationPeriods: 1,
            period: 300,
            // Of what does not happen there are no values.
            treatMissingData: "notBreaching",
            ...(topicArn === undefined ? {} : { alarmActions: [topicArn] }),
        },
        opts,
    );
}
