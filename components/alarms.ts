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

export interface AlarmsArgs {
    /** The alarms by the last part of their names. */
    readonly alarms: Readonly<Record<string, Alarm>>;
    /** ARN of the topic that is notified; without one the console shows the alarms all the same. */
    readonly topicArn?: pulumi.Input<string> | undefined;
}

/**
 * Alarms as all of this program are: each says what to do, and silence is good.
 *
 * @example new Alarms("export-alarms", { topicArn: topic.arn, alarms: { failed } });
 */
export class Alarms extends pulumi.ComponentResource {
    public constructor(name: string, args: AlarmsArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:Alarms", name, args, opts);
        for (const [suffix, { description, section, threshold = 1, ...metric }] of Object.entries(args.alarms)) {
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
                    ...(args.topicArn !== undefined && { alarmActions: [args.topicArn] }),
                },
                { parent: this },
            );
        }
        this.registerOutputs();
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
