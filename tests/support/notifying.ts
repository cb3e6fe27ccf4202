/** What is declared, besides the dashboard, where somebody is to be told: by the name of the component. */
export function notifying(name: string): string[] {
    return [
        `aws:cloudwatch/eventRule:EventRule ${name}-ended-batch`,
        `aws:cloudwatch/eventRule:EventRule ${name}-ended-export`,
        `aws:cloudwatch/eventTarget:EventTarget ${name}-ended-batch-target`,
        `aws:cloudwatch/eventTarget:EventTarget ${name}-ended-export-target`,
        `aws:cloudwatch/logGroup:LogGroup ${name}-notifier-log`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-batches-aborted`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-batches-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-batches-throttled`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-batches-timed-out`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-builds-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-builds-slow`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-exports-aborted`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-exports-failed`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-exports-throttled`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-exports-timed-out`,
        `aws:cloudwatch/metricAlarm:MetricAlarm ${name}-alarms-notifier-failed`,
        `aws:iam/role:Role ${name}-ended-role`,
        `aws:iam/role:Role ${name}-notifier-role`,
        `aws:iam/rolePolicy:RolePolicy ${name}-ended-policy`,
        `aws:iam/rolePolicy:RolePolicy ${name}-notifier-policy`,
        `aws:sfn/stateMachine:StateMachine ${name}-notifier`,
        `aws:sns/topic:Topic ${name}-topic`,
        `aws:sns/topicPolicy:TopicPolicy ${name}-topic-policy`,
    ];
}
