/** What is declared, besides the dashboard, where somebody is to be told: by the name of the component. */
export function notifying(name: string): string[] {
    return [
        `aws:cloudwatch/eventRule:EventRule ${name}-ended-batch`,
        `aws:cloudwatch/eventRule:EventRule ${name}-ended-export`,
        `aws:cloudwatch/eventTarget:EventTarget ${name}-ended-batch-target`,
        `aws:cloudwatch/eventTarget:EventTarget ${name}-ended-export-target`,
        `aws:cloudwatch/logGroup:LogGroup ${name}-notifier-execution-log`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-batches-aborted`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-batches-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-batches-throttled`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-batches-timed-out`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-builds-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-builds-slow`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-exports-aborted`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-exports-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-exports-throttled`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-exports-timed-out`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-notifier-failed`,
        `aws:iam/role:Role ${name}-ended-role`,
        `aws:iam/role:Role ${name}-notifier-machine-role`,
        `aws:iam/rolePolicy:RolePolicy ${name}-ended-policy`,
        `aws:iam/rolePolicy:RolePolicy ${name}-notifier-machine-policy`,
        `aws:sfn/stateMachine:StateMachine ${name}-notifier-machine`,
        `aws:sns/topic:Topic ${name}-topic`,
        `aws:sns/topicPolicy:TopicPolicy ${name}-topic-policy`,
    ];
}
