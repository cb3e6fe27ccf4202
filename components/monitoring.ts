import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { createAlarm } from "./alarm";
import { exportNamePrefix } from "../stateMachines/batch";
import { buildsUrl, dashboardUrl } from "./consoleLinks";
import { dashboardBody } from "./dashboard";
import {
    assumedByChat,
    assumedByEventBridge,
    type AwsLocation,
    denyInsecurePublishing,
    letAlarmsPublish,
    policyDocument,
    publishEncrypted,
    publishNotifications,
    readOutcomes,
    showMetrics,
    wakeNotifier,
} from "../policies/statements";
import { notifierDefinition, type Subject } from "../stateMachines/notifier";
import { createStateMachine } from "./stateMachine";

/** Who is told, and of what. */
export interface Notifications {
    /** Addresses; each has to confirm its subscription before it is told anything. */
    readonly emails: readonly string[];
    /** A channel of Slack, whose workspace the account has been authorized for. */
    readonly slack: SlackChannel | undefined;
    /** Whether executions that end well are told of, too. */
    readonly onSuccess: boolean;
}

/** A channel of Slack. */
export interface SlackChannel {
    /** Id of the workspace, for instance `T07EA123LEP`. */
    readonly workspaceId: string;
    /** Id of the channel, for instance `C07EZ1ABC23`. */
    readonly channelId: string;
}

/** A state machine that is watched. */
export interface WatchedMachine {
    readonly arn: pulumi.Input<string>;
    readonly name: pulumi.Input<string>;
    /** Name of its executions' log group. */
    readonly logGroupName: pulumi.Input<string>;
}

/** Arguments of {@link Monitoring}. */
export interface MonitoringArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation;
    /**
     * Who is told, and of what.
     *
     * @default nobody: there is the dashboard, and neither topic nor alarms
     */
    readonly notifications?: Notifications | undefined;
    /** The state machine that exports one image. */
    readonly exportMachine: WatchedMachine;
    /** The state machine that exports batches. */
    readonly batchMachine: WatchedMachine;
    /** Name of the CodeBuild project. */
    readonly projectName: pulumi.Input<string>;
    /** Minutes that a build may run. */
    readonly timeoutMinutes: number;
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Image that is exported when a request names none. */
    readonly imageUri: string;
    /** Key of that image's archive. */
    readonly artifactKey: string;
    /** ARN of the KMS key that encrypts topic and log; undefined where the topic is not encrypted. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
    /** Tags of everything that can be tagged. */
    readonly tags: Record<string, string>;
}

/** The part of its timeout that a build may take before an alarm tells of it. */
const closeToTimeout = 0.8;

/**
 * Shows what becomes of exports on a dashboard and, where somebody is to be told, tells of it: alarms, and a message for
 * each execution that ends badly, go to a topic, and from there by e-mail and to Slack.
 *
 * @example
 * const monitoring = new Monitoring("export", {
 *     at: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" },
 *     notifications: { emails: ["platform@example.com"], slack: undefined, onSuccess: false },
 *     exportMachine,
 *     batchMachine,
 *     projectName: runner.projectName,
 *     timeoutMinutes: 30,
 *     artifactBucket: storage.bucketName,
 *     imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:latest",
 *     artifactKey: "images/nginx/latest.tar",
 *     tags: { project: "ecr-image-export" },
 * });
 */
export class Monitoring extends pulumi.ComponentResource {
    /** ARN of the topic; undefined where nobody is told. */
    public readonly topicArn: pulumi.Output<string> | undefined;
    /** The dashboard in the console. */
    public readonly dashboardUrl: pulumi.Output<string>;
    /** Name of the log group of the state machine that sends messages; undefined where nobody is told. */
    public readonly logGroupName: pulumi.Output<string> | undefined;

    public constructor(name: string, args: MonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:Monitoring", name, args, opts);
        const child = { parent: this };

        const dashboard = createDashboard(name, args, child);
        const told = args.notifications && notify(name, args, args.notifications, child);

        this.topicArn = told?.topic.arn;
        this.dashboardUrl = dashboard.dashboardName.apply((dashboardName) =>
            dashboardUrl(args.at, dashboardName),
        );
        this.logGroupName = told?.logGroup.name;
        this.registerOutputs({
            topicArn: this.topicArn,
            dashboardUrl: this.dashboardUrl,
            logGroupName: this.logGroupName,
        });
    }
}

function createDashboard(
    name: string,
    args: MonitoringArgs,
    opts: pulumi.CustomResourceOptions,
): aws.cloudwatch.Dashboard {
    const shown = pulumi.output({
        region: args.at.region,
        exportMachineArn: args.exportMachine.arn,
        batchMachineArn: args.batchMachine.arn,
        projectName: args.projectName,
        timeoutMinutes: args.timeoutMinutes,
        bucketName: args.artifactBucket,
        executionLogs: [args.exportMachine.logGroupName, args.batchMachine.logGroupName],
    });
    return new aws.cloudwatch.Dashboard(
        `${name}-dashboard`,
        {
            // Pulumi gives dashboards no names: that of the state machine is as unique.
            dashboardName: args.exportMachine.name,
            dashboardBody: pulumi.jsonStringify(shown.apply(dashboardBody)),
        },
        opts,
    );
}

/** Everything that tells somebody of something. */
function notify(
    name: string,
    args: MonitoringArgs,
    notifications: Notifications,
    opts: pulumi.CustomResourceOptions,
): { topic: aws.sns.Topic; logGroup: aws.cloudwatch.LogGroup } {
    const topic = createTopic(name, args, opts);
    for (const email of notifications.emails) {
        new aws.sns.TopicSubscription(
            `${name}-email-${email}`,
            { topic: topic.arn, protocol: "email", endpoint: email },
            opts,
        );
    }
    if (notifications.slack) createChannel(name, notifications.slack, topic, args, opts);
    const notifier = createNotifier(name, topic, args, opts);
    createRules(name, notifier.machine, notifications, args, opts);
    createAlarms(name, notifier.machine, topic, args, opts);
    return { topic, logGroup: notifier.logGroup };
}

function createTopic(name: string, args: MonitoringArgs, opts: pulumi.CustomResourceOptions): aws.sns.Topic {
    const topic = new aws.sns.Topic(
        `${name}-topic`,
        {
            displayName: "Image export",
            // Alarms cannot publish to a topic that AWS's own key encrypts:
            // docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
            ...(args.encryptionKeyArn === undefined ? {} : { kmsMasterKeyId: args.encryptionKeyArn }),
            tags: args.tags,
        },
        opts,
    );
    new aws.sns.TopicPolicy(
        `${name}-topic-policy`,
        {
            arn: topic.arn,
            policy: pulumi.jsonStringify(
                policyDocument(
                    letAlarmsPublish(args.at, topic.arn, `${name}-*`),
                    denyInsecurePublishing(topic.arn),
                ),
            ),
        },
        opts,
    );
    return topic;
}

/** All that anybody can do with AWS from the channel is to look at metrics. */
function createChannel(
    name: string,
    { workspaceId, channelId }: SlackChannel,
    topic: aws.sns.Topic,
    args: MonitoringArgs,
    opts: pulumi.CustomResourceOptions,
): void {
    const mayDo = policyDocument(showMetrics());
    const guardrail = new aws.iam.Policy(
        `${name}-chat-guardrail`,
        {
            description: "The most that anybody can do from the Slack channel of image exports",
            policy: mayDo,
            tags: args.tags,
        },
        opts,
    );
    const role = new aws.iam.Role(
        `${name}-chat-role`,
        {
            description: "Role of the Slack channel that is told of image exports",
            assumeRolePolicy: policyDocument(assumedByChat(args.at, topic.name)),
            tags: args.tags,
        },
        opts,
    );
    const policy = new aws.iam.RolePolicy(`${name}-chat-policy`, { role: role.name, policy: mayDo }, opts);
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
            tags: args.tags,
        },
        { ...opts, dependsOn: [policy] },
    );
}

function createNotifier(
    name: string,
    topic: aws.sns.Topic,
    args: MonitoringArgs,
    opts: pulumi.CustomResourceOptions,
): ReturnType<typeof createStateMachine> {
    const { at, encryptionKeyArn } = args;
    return createStateMachine(
        `${name}-notifier`,
        {
            at,
            purpose: "tells how exports of container images ended",
            definition: pulumi.jsonStringify(
                notifierDefinition({
                    at,
                    topicArn: topic.arn,
                    imageUri: args.imageUri,
                    artifactKey: args.artifactKey,
                    artifactBucket: args.artifactBucket,
                    buildsUrl: pulumi
                        .all([at.accountId, args.projectName])
                        .apply(([accountId, projectName]) => buildsUrl(at, accountId, projectName)),
                }),
            ),
            statements: [
                readOutcomes(at, [args.exportMachine.name, args.batchMachine.name]),
                publishNotifications(topic.arn),
                ...(encryptionKeyArn === undefined
                    ? []
                    : [publishEncrypted(at, encryptionKeyArn, topic.arn)]),
            ],
            encryptionKeyArn,
            tags: args.tags,
        },
        opts,
    );
}

/**
 * One rule for each kind of execution. The exports of a batch are left to the batch: a thousand images that fail are one
 * message.
 */
function createRules(
    name: string,
    notifier: aws.sfn.StateMachine,
    { onSuccess }: Notifications,
    args: MonitoringArgs,
    opts: pulumi.CustomResourceOptions,
): void {
    const role = new aws.iam.Role(
        `${name}-ended-role`,
        {
            description: "Role of the rules that tell of the end of an execution",
            assumeRolePolicy: policyDocument(assumedByEventBridge(args.at, `${name}-ended`)),
            tags: args.tags,
        },
        opts,
    );
    const policy = new aws.iam.RolePolicy(
        `${name}-ended-policy`,
        { role: role.name, policy: policyDocument(wakeNotifier(notifier.arn)) },
        opts,
    );
    const status = ["FAILED", "TIMED_OUT", "ABORTED", ...(onSuccess ? ["SUCCEEDED"] : [])];
    const watched: Record<Subject, object> = {
        export: {
            stateMachineArn: [args.exportMachine.arn],
            name: [{ "anything-but": { prefix: exportNamePrefix } }],
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
                tags: args.tags,
            },
            opts,
        );
        new aws.cloudwatch.EventTarget(
            `${name}-ended-${subject}-target`,
            {
                rule: rule.name,
                arn: notifier.arn,
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
            { ...opts, dependsOn: [policy] },
        );
    }
}

function createAlarms(
    name: string,
    notifier: aws.sfn.StateMachine,
    topic: aws.sns.Topic,
    args: MonitoringArgs,
    opts: pulumi.CustomResourceOptions,
): void {
    const { exportMachine, batchMachine, projectName, timeoutMinutes } = args;
    const common = { topicArn: topic.arn, tags: args.tags };
    const ofMachine = (machine: pulumi.Input<string>, metricName: string) => ({
        ...common,
        namespace: "AWS/States",
        metricName,
        statistic: "Sum" as const,
        dimensions: { StateMachineArn: machine },
    });
    const ofBuilds = { ...common, namespace: "AWS/CodeBuild", dimensions: { ProjectName: projectName } };

    for (const [plural, machine, failed] of [
        ["exports", exportMachine, "When an export fails"],
        ["batches", batchMachine, "When a batch fails"],
    ] as const) {
        const alarm = (suffix: string, metricName: string, happened: string, section: string) => {
            createAlarm(
                `${name}-${plural}-${suffix}`,
                {
                    ...ofMachine(machine.arn, metricName),
                    description: pulumi.interpolate`An execution of the state machine ${machine.name} ${happened}`,
                    section,
                },
                opts,
            );
        };
        alarm("failed", "ExecutionsFailed", "has failed. Its error and cause say what to do.", failed);
        alarm(
            "timed-out",
            "ExecutionsTimedOut",
            "has timed out. Look where it stood in its graph, and start it again.",
            "When an execution timed out",
        );
        alarm(
            "aborted",
            "ExecutionsAborted",
            "was aborted. Unless that was meant, start it again; CloudTrail names who called StopExecution.",
            "When an execution was aborted",
        );
        alarm(
            "throttled",
            "ExecutionThrottled",
            "is throttled. Nothing is lost, but it takes longer: start fewer at a time, or ask for a higher quota.",
            "When executions are throttled",
        );
    }
    createAlarm(
        `${name}-builds-failed`,
        {
            ...ofBuilds,
            metricName: "FailedBuilds",
            statistic: "Sum",
            description: pulumi.interpolate`A build of the project ${projectName} has failed. Its log says why; so does the execution that it belongs to.`,
            section: "When a build fails",
        },
        opts,
    );
    createAlarm(
        `${name}-builds-slow`,
        {
            ...ofBuilds,
            metricName: "Duration",
            statistic: "Maximum",
            atLeast: timeoutMinutes * 60 * closeToTimeout,
            description: pulumi.interpolate`A build of the project ${projectName} took more than ${closeToTimeout * 100} % of its ${timeoutMinutes} minutes. A larger image will time out: raise compute.timeoutMinutes or take a larger compute.type; Lambda compute has no more than its 15 minutes.`,
            section: "When builds come close to their timeout",
        },
        opts,
    );
    createAlarm(
        `${name}-notifier-failed`,
        {
            ...ofMachine(notifier.arn, "ExecutionsFailed"),
            description: pulumi.interpolate`The state machine ${notifier.name} could not send its message. Its failed execution names the reason, and the execution that it was to tell of.`,
            section: "When a message could not be sent",
        },
        opts,
    );
}
