import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";
import { partitions } from "../contract/aws";
import { isPattern, prefixOf } from "../contract/image";
import { type PolicyArgs, policyOf, statementsOf } from "../policies/document";
import { checkDocumentSize, eventPatternLimit } from "../policies/sizes";
import { queuePolicy, ruleRole, scheduleRole, starterRole } from "../policies/triggers";
import { trust } from "../policies/trust";
import { starterDefinition } from "../stateMachines/starter";
import { createAlarms, executionAlarm } from "./alarms";
import { createRole, type Scope } from "./stackDefaults";
import { createStateMachine, type MachineNames } from "./stateMachine";

type Given = NonNullable<StackConfig["triggers"]>;
type Trigger<Name extends keyof Given> = NonNullable<Given[Name]>;

/** Arguments of {@link Triggers}, of which one or two are what starts exports. */
export interface TriggersArgs extends Pick<PolicyArgs, "at" | "encryptionKeyArn" | "exportMachineArn">, Partial<Given> {
    /** ARN of the topic that alarms notify. @default none */
    readonly topicArn?: pulumi.Input<string> | undefined;
}

/**
 * Starts exports by itself: on a push to ECR, on a schedule. Each trigger goes through a small state machine that names the
 * execution after the event, so that an event that is delivered twice starts one export. What cannot be delivered is
 * kept in a dead-letter queue for 14 days, and an alarm is raised.
 *
 * @example new Triggers("export", { at, onPush: { repositories: ["backend/api"], tags: ["v*"] }, exportMachineArn });
 */
export class Triggers extends pulumi.ComponentResource {
    /** Name of the log group of the state machine that starts exports. */
    public readonly logGroupName: pulumi.Output<string>;

    public constructor(name: string, args: TriggersArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:Triggers", name, args, opts);
        const child = { parent: this };
        const scope = { name, args, opts: child };

        // It names executions after events, and starts them.
        const { names: starter } = createStateMachine(
            `${name}-machine`,
            {
                ...args,
                purpose: "starts exports of container images",
                definition: starterDefinition(args),
                statements: statementsOf(starterRole, args),
            },
            child,
        );
        // The dead-letter queue: what a trigger could not deliver, for as long as SQS keeps anything.
        const queue = new aws.sqs.Queue(
            `${name}-undelivered`,
            { messageRetentionSeconds: 14 * 24 * 3600, sqsManagedSseEnabled: true },
            child,
        );
        const rule = args.onPush && createPushRule(scope, args.onPush);
        const { id: admission } = new aws.sqs.QueuePolicy(
            `${name}-undelivered-policy`,
            {
                queueUrl: queue.url,
                policy: pulumi.jsonStringify(policyOf(queuePolicy, { queueArn: queue.arn, ruleArn: rule?.arn })),
            },
            child,
        );
        // Known once the queue admits what the rule cannot deliver.
        const queueArn = pulumi.all([queue.arn, admission]).apply(([arn]) => arn);
        if (rule && args.onPush) createPushTarget(scope, args.onPush, rule, starter.arn, queueArn);
        if (args.schedule) createSchedule(scope, args.schedule, starter.arn, queueArn);
        createAlarms(`${name}-alarms`, alarmsOf(starter, queue.name), args.topicArn, child);

        this.logGroupName = starter.logGroupName;
        this.registerOutputs({ logGroupName: this.logGroupName });
    }
}

/** docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html */
function createPushRule(
    { name, opts }: Scope<TriggersArgs>,
    { repositories, tags }: Trigger<"onPush">,
): aws.cloudwatch.EventRule {
    const pattern = {
        source: ["aws.ecr"],
        "detail-type": ["ECR Image Action"],
        detail: {
            "action-type": ["PUSH"],
            result: ["SUCCESS"],
            "repository-name": repositories.map((name) => (isPattern(name) ? { prefix: prefixOf(name) } : name)),
            "image-tag": tagPattern(tags),
        },
    };
    checkDocumentSize("The event pattern of triggers.onPush", pattern, eventPatternLimit, repositories);
    return new aws.cloudwatch.EventRule(
        `${name}-on-push`,
        {
            description: "An image that is to be exported was pushed to Amazon ECR",
            eventPattern: pulumi.jsonStringify(pattern),
        },
        opts,
    );
}

function createPushTarget(
    { name, args: { at }, opts }: Scope<TriggersArgs>,
    { since }: Trigger<"onPush">,
    rule: aws.cloudwatch.EventRule,
    starterArn: pulumi.Output<string>,
    queueArn: pulumi.Output<string>,
): void {
    const role = createRole(
        `${name}-on-push`,
        "Role of the rule that starts an export on a push",
        trust.rules(at, `${name}-on-push`),
        policyOf(ruleRole, { startedArn: starterArn }),
        opts,
    );
    new aws.cloudwatch.EventTarget(
        `${name}-on-push-target`,
        {
            rule: rule.name,
            arn: starterArn,
            roleArn: role.arn,
            inputTransformer: {
                inputPaths: {
                    id: "$.id",
                    account: "$.account",
                    region: "$.region",
                    repository: "$.detail.repository-name",
                    tag: "$.detail.image-tag",
                    digest: "$.detail.image-digest",
                },
                // By digest as well, so that exactly the pushed image is exported, whatever the tag means by then.
                inputTemplate: pulumi.jsonStringify({
                    trigger: "push",
                    identity: "<id>",
                    request: {
                        imageUri: `<account>.dkr.ecr.<region>.${partitions[at.partition].domain}/<repository>:<tag>@<digest>`,
                        ...(since !== undefined && { since }),
                    },
                }),
            },
            ...delivery(queueArn),
        },
        opts,
    );
}

/** How long either trigger tries to deliver an event, and where one goes that it cannot: EventBridge and its Scheduler take the same. */
function delivery(queueArn: pulumi.Output<string>) {
    return {
        retryPolicy: { maximumEventAgeInSeconds: 24 * 3600, maximumRetryAttempts: 185 },
        deadLetterConfig: { arn: queueArn },
    };
}

/**
 * ECR reports each manifest of a pushed image of several platforms, and each attestation, by an event of its own with an empty tag,
 * which `*` would match. Members of a list are alternatives, so that `*` beside others is as good as `*` by itself:
 * docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
function tagPattern(tags: readonly string[]): unknown[] {
    if (tags.includes("*")) return [{ "anything-but": [""] }];
    return tags.map((tag) => (tag.includes("*") ? { wildcard: tag } : tag));
}

function createSchedule(
    { name, args, opts }: Scope<TriggersArgs>,
    { expression, timeZone, request }: Trigger<"schedule">,
    starterArn: pulumi.Output<string>,
    queueArn: pulumi.Output<string>,
): void {
    // Of its own: the group is what the role's trust can be limited to, and what can be tagged.
    const group = new aws.scheduler.ScheduleGroup(`${name}-schedules`, {}, opts);
    const role = createRole(
        `${name}-schedule`,
        "Role of the schedule that starts exports",
        trust.schedule(args.at, group.arn),
        policyOf(scheduleRole, { startedArn: starterArn, queueArn }),
        opts,
    );
    new aws.scheduler.Schedule(
        `${name}-schedule`,
        {
            description: "Starts an export of a container image",
            groupName: group.name,
            scheduleExpression: expression,
            scheduleExpressionTimezone: timeZone,
            flexibleTimeWindow: { mode: "OFF" },
            target: {
                arn: starterArn,
                roleArn: role.arn,
                // Scheduler fills these in; the last is of this attempt only, so nobody can take the name of its export beforehand.
                input: pulumi.jsonStringify({
                    trigger: "schedule",
                    identity:
                        "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> <aws.scheduler.execution-id>",
                    request,
                }),
                ...delivery(queueArn),
            },
        },
        opts,
    );
}

function alarmsOf(starter: MachineNames, queueName: pulumi.Output<string>) {
    const undelivered = {
        description: pulumi.interpolate`A push or a schedule could not start an export. Look at the messages in the queue ${queueName}: each has the event and the reason. Start those exports by hand, then purge the queue.`,
        section: "When a trigger could not be delivered",
        namespace: "AWS/SQS",
        metricName: "ApproximateNumberOfMessagesVisible",
        statistic: "Maximum",
        dimensions: { QueueName: queueName },
    };
    const failed = executionAlarm(
        starter.arn,
        "ExecutionsFailed",
        pulumi.interpolate`The state machine ${starter.name}, which starts exports on a push or a schedule, has failed. Its failed execution names the reason and has the request as its input: start that export by hand.`,
        "When a trigger could not start its export",
    );
    return { undelivered, failed };
}
