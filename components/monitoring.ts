import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";
import { batchExecutionPrefix } from "../contract/request";
import { type Alarm, createAlarms, executionAlarm } from "./alarms";
import { buildsPage } from "./buildRunner";
import { createDashboard, type DashboardArgs } from "./dashboard";
import { type PolicyArgs, policyOf, statementsOf } from "../policies/document";
import { chatRole, notifierRole, topicPolicy } from "../policies/notifications";
import { ruleRole } from "../policies/triggers";
import { trust } from "../policies/trust";
import { notifierDefinition, type NotifierDefinitionArgs, type Subject } from "../stateMachines/notifier";
import { createRole, type Scope, type StackContext } from "./stackDefaults";
import { createStateMachine, type MachineNames } from "./stateMachine";

type Notifications = NonNullable<StackConfig["notifications"]>;

export interface MonitoringArgs
    extends
        StackContext,
        DashboardArgs,
        Pick<PolicyArgs, "namePrefix">,
        // Nobody is notified without: a dashboard only, without topic and alarms.
        Pick<StackConfig, "notifications">,
        Omit<NotifierDefinitionArgs, "topicArn" | "buildsUrl"> {}

/** The part of its timeout that a build may take before an alarm is raised. */
const closeToTimeout = 0.8;

/**
 * Shows exports on a dashboard and, with `notifications`, reports what goes wrong: alarms, and a message for each execution
 * that does not succeed, go to a topic, and from there to e-mail and Slack.
 *
 * @example new Monitoring("export", { ...args, notifications: { emails: ["platform@example.com"], onSuccess: false } });
 */
export class Monitoring extends pulumi.ComponentResource {
    /** ARN of the topic; undefined without notifications. */
    public readonly topicArn: pulumi.Output<string> | undefined;
    /** The dashboard in the console. */
    public readonly dashboardUrl: pulumi.Output<string>;
    /** Name of the log group of the state machine that sends messages; undefined without notifications. */
    public readonly logGroupName: pulumi.Output<string> | undefined;

    public constructor(name: string, args: MonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:Monitoring", name, args, opts);
        const child = { parent: this };

        const { at, exportMachine, batchMachine, projectName, timeoutMinutes, artifactBucket } = args;
        this.dashboardUrl = createDashboard(
            `${name}-dashboard`,
            { at, exportMachine, batchMachine, projectName, timeoutMinutes, artifactBucket },
            child,
        );
        const notifying = args.notifications && notify({ name, args, opts: child }, args.notifications);

        this.topicArn = notifying?.topicArn;
        this.logGroupName = notifying?.logGroupName;
        this.registerOutputs({
            topicArn: this.topicArn,
            dashboardUrl: this.dashboardUrl,
            logGroupName: this.logGroupName,
        });
    }
}

/** Everything that notifies somebody. */
function notify(scope: Scope<MonitoringArgs>, { emails, slack, onSuccess }: Notifications) {
    const { name, args, opts } = scope;
    const topic = createTopic(scope);
    for (const email of emails) {
        new aws.sns.TopicSubscription(
            `${name}-email-${email}`,
            { topic: topic.arn, protocol: "email", endpoint: email },
            opts,
        );
    }
    if (slack) createChannel(scope, slack, topic);
    const reportedNames = [args.exportMachine.name, args.batchMachine.name];
    const given = { ...args, topicArn: topic.arn, reportedNames };
    const buildsUrl = buildsPage(args.at, args.projectName);
    const { names: notifier } = createStateMachine(
        `${name}-notifier`,
        {
            ...args,
            purpose: "reports how exports of container images ended",
            definition: notifierDefinition({ ...given, buildsUrl }),
            statements: statementsOf(notifierRole, given),
        },
        opts,
    );
    createRules(scope, notifier.arn, onSuccess);
    createAlarms(`${name}-alarms`, alarmsOf(args, notifier), topic.arn, opts);
    return { topicArn: topic.arn, logGroupName: notifier.logGroupName };
}

function createTopic({ name, args, opts }: Scope<MonitoringArgs>): aws.sns.Topic {
    const topic = new aws.sns.Topic(
        `${name}-topic`,
        {
            displayName: "Image export",
            // Alarms cannot publish to a topic that AWS's own key encrypts:
            // docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
            kmsMasterKeyId: args.encryptionKeyArn,
        },
        opts,
    );
    new aws.sns.TopicPolicy(
        `${name}-topic-policy`,
        { arn: topic.arn, policy: pulumi.jsonStringify(policyOf(topicPolicy, { ...args, topicArn: topic.arn })) },
        opts,
    );
    return topic;
}

/** All that anybody can do with AWS from the channel is to look at metrics. */
function createChannel(
    { name, args, opts }: Scope<MonitoringArgs>,
    { workspaceId, channelId }: NonNullable<Notifications["slack"]>,
    topic: aws.sns.Topic,
): void {
    const mayDo = policyOf(chatRole, {});
    const guardrail = new aws.iam.Policy(
        `${name}-chat-guardrail`,
        { description: "The most that anybody can do from the Slack channel of image exports", policy: mayDo },
        opts,
    );
    const role = createRole(
        `${name}-chat`,
        "Role of the Slack channel for image exports",
        trust.chat(args.at, topic.name),
        mayDo,
        opts,
    );
    new aws.chatbot.SlackChannelConfiguration(
        `${name}-chat`,
        {
            // Pulumi gives these no names: that of the topic is as unique.
            configurationName: topic.name,
            slackTeamId: workspaceId,
            slackChannelId: channelId,
            snsTopicArns: [topic.arn],
            iamRoleArn: role.arn,
            // Without any, AWS takes AdministratorAccess.
            guardrailPolicyArns: [guardrail.arn],
            loggingLevel: "ERROR",
        },
        opts,
    );
}

/**
 * One rule for each kind of execution. The exports of a batch are left to the batch: a thousand images that fail are one
 * message.
 */
function createRules(
    { name, args, opts }: Scope<MonitoringArgs>,
    notifierArn: pulumi.Output<string>,
    onSuccess: boolean,
): void {
    const role = createRole(
        `${name}-ended`,
        "Role of the rules that report the end of an execution",
        trust.rules(args.at, `${name}-ended`),
        policyOf(ruleRole, { startedArn: notifierArn }),
        opts,
    );
    const status = ["FAILED", "TIMED_OUT", "ABORTED", ...(onSuccess ? ["SUCCEEDED"] : [])];
    const watched: Record<Subject, object> = {
        export: {
            stateMachineArn: [args.exportMachine.arn],
            name: [{ "anything-but": { prefix: batchExecutionPrefix } }],
        },
        batch: { stateMachineArn: [args.batchMachine.arn] },
    };
    for (const [subject, detail] of Object.entries(watched)) {
        const rule = new aws.cloudwatch.EventRule(
            `${name}-ended-${subject}`,
            {
                description: `An execution has ended: ${subject}`,
                eventPattern: pulumi.jsonStringify({
                    source: ["aws.states"],
                    "detail-type": ["Step Functions Execution Status Change"],
                    detail: { status, ...detail },
                }),
            },
            opts,
        );
        new aws.cloudwatch.EventTarget(
            `${name}-ended-${subject}-target`,
            {
                rule: rule.name,
                arn: notifierArn,
                roleArn: role.arn,
                inputTransformer: {
                    inputPaths: { executionArn: "$.detail.executionArn", status: "$.detail.status" },
                    inputTemplate: pulumi.jsonStringify({
                        subject,
                        executionArn: "<executionArn>",
                        status: "<status>",
                    }),
                },
            },
            opts,
        );
    }
}

function alarmsOf(args: MonitoringArgs, notifier: MachineNames): Record<string, Alarm> {
    const { exportMachine, batchMachine, projectName, timeoutMinutes } = args;
    const ofBuilds = { namespace: "AWS/CodeBuild", dimensions: { ProjectName: projectName } };
    return {
        ...machineAlarms("exports", exportMachine, "When an export fails"),
        ...machineAlarms("batches", batchMachine, "When a batch fails"),
        "builds-failed": {
            ...ofBuilds,
            metricName: "FailedBuilds",
            statistic: "Sum",
            description: pulumi.interpolate`A build of the project ${projectName} has failed. Its log says why; so does the execution that it belongs to.`,
            section: "When a build fails",
        },
        "builds-slow": {
            ...ofBuilds,
            metricName: "Duration",
            statistic: "Maximum",
            threshold: timeoutMinutes * 60 * closeToTimeout,
            description: pulumi.interpolate`A build of the project ${projectName} took more than ${closeToTimeout * 100} % of its ${timeoutMinutes} minutes. A larger image will time out: raise compute.timeoutMinutes or take a larger compute.type; Lambda compute has no more than its 15 minutes.`,
            section: "When builds come close to their timeout",
        },
        "notifier-failed": executionAlarm(
            notifier.arn,
            "ExecutionsFailed",
            pulumi.interpolate`The state machine ${notifier.name} could not send its message. Its failed execution names the reason, and the execution that it was to report.`,
            "When a message could not be sent",
        ),
    };
}

function machineAlarms(plural: string, { arn, name }: MachineNames, failedSection: string): Record<string, Alarm> {
    const alarm = (metricName: string, happened: string, section: string): Alarm => {
        const description = pulumi.interpolate`An execution of the state machine ${name} ${happened}`;
        return executionAlarm(arn, metricName, description, section);
    };
    return {
        [`${plural}-failed`]: alarm(
            "ExecutionsFailed",
            "has failed. Its error and cause say what to do.",
            failedSection,
        ),
        [`${plural}-timed-out`]: alarm(
            "ExecutionsTimedOut",
            "has timed out. Look where it stood in its graph, and start it again.",
            "When an execution timed out",
        ),
        [`${plural}-aborted`]: alarm(
            "ExecutionsAborted",
            "was aborted. Unless that was meant, start it again; CloudTrail names who called StopExecution.",
            "When an execution was aborted",
        ),
        [`${plural}-throttled`]: alarm(
            "ExecutionThrottled",
            "is throttled. Nothing is lost, but it takes longer: start fewer at a time, or ask for a higher quota.",
            "When executions are throttled",
        ),
    };
}
