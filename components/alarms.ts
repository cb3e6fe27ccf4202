import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

/** An alarm over five minutes of a metric, which the first of anything raises, or what reaches the threshold. */
export interface Alarm extends Pick<
    aws.cloudwatch.MetricAlarmArgs,
    "namespace" | "metricName" | "dimensions" | "statistic" | "threshold"
> {
    /** What has happened, and the first thing to do about it. */
    readonly description: pulumi.Input<string>;
    /** Heading in docs/operations.md that says the rest. */
    readonly section: string;
}

/**
 * Makes alarms as all of this program are: each says what to do, and silence is good.
 *
 * @param alarms The alarms by the last part of their names.
 * @param topicArn ARN of the topic that is notified; without one the console shows the alarms all the same.
 */
export function createAlarms(
    name: string,
    alarms: Readonly<Record<string, Alarm>>,
    topicArn: pulumi.Input<string> | undefined,
    opts: pulumi.CustomResourceOptions,
): void {
    for (const [suffix, { description, section, threshold = 1, ...metric }] of Object.entries(alarms)) {
        new aws.cloudwatch.MetricAlarm(
            `${name}-${suffix}`,
            {
                ...metric,
                alarmDescription: pulumi.interpolate`${description} See "${section}" in docs/operations.md.`,
                comparisonOperator: "GreaterThanOrEqualToThreshold",
                threshold,
                evaluationPeriods: 1,
                period: 300,
                // Of what does not happen there are no values.
                treatMissingData: "notBreaching",
                ...(topicArn !== undefined && { alarmActions: [topicArn] }),
            },
            opts,
        );
    }
}

/** An alarm of how often something happened to executions of a state machine. */
export function executionAlarm(
    stateMachineArn: pulumi.Input<string>,
    metricName: string,
    description: pulumi.Input<string>,
    section: string,
): Alarm {
    return {
        namespace: "AWS/States",
        metricName,
        statistic: "Sum",
        dimensions: { StateMachineArn: stateMachineArn },
        description,
        section,
    };
}
