import { strict as assert } from "node:assert";

import { Triggers, type TriggersArgs } from "../../components/triggers";
import { at } from "../../lab/awsTypes";
import { compilePattern } from "../../lab/events";
import { itKeepsTheHouseRules, sidsOf } from "../support/houseRules";
import { evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { typesAndNamesOf } from "../support/evaluated";

const account = "ap-northeast-1:111122223333";
const exportMachineArn = `arn:aws:states:${account}:stateMachine:export-0a1b2c3`;
const starterArn = `arn:aws:states:${account}:stateMachine:test-machine-0a1b2c3`;
const queueArn = `arn:aws:sqs:${account}:test-undelivered-0a1b2c3`;
const onPush = { repositories: ["backend/api", "nginx"], tags: ["v*", "latest"] };
const schedule = { expression: "cron(0 3 * * ? *)", timeZone: "Asia/Tokyo", request: { platform: "linux/arm64" } };
const args: TriggersArgs = { at, onPush, schedule, exportMachineArn };

function evaluateTriggers(changes: Partial<TriggersArgs> = {}): Promise<Evaluation> {
    return evaluate(() => ({ triggers: new Triggers("test", { ...args, ...changes }).urn }));
}

const always = [
    "aws:cloudwatch/logGroup:LogGroup test-machine-log",
    "aws:cloudwatch/metricAlarm:MetricAlarm test-alarms-failed",
    "aws:cloudwatch/metricAlarm:MetricAlarm test-alarms-undelivered",
    "aws:iam/role:Role test-machine-role",
    "aws:iam/rolePolicy:RolePolicy test-machine-policy",
    "aws:sfn/stateMachine:StateMachine test-machine",
    "aws:sqs/queue:Queue test-undelivered",
    "aws:sqs/queuePolicy:QueuePolicy test-undelivered-policy",
    "ecr-image-export:index:Triggers test",
];
const forPushes = [
    "aws:cloudwatch/eventRule:EventRule test-on-push",
    "aws:cloudwatch/eventTarget:EventTarget test-on-push-target",
    "aws:iam/role:Role test-on-push-role",
    "aws:iam/rolePolicy:RolePolicy test-on-push-policy",
];
const forSchedules = [
    "aws:iam/role:Role test-schedule-role",
    "aws:iam/rolePolicy:RolePolicy test-schedule-policy",
    "aws:scheduler/schedule:Schedule test-schedule",
    "aws:scheduler/scheduleGroup:ScheduleGroup test-schedules",
];

describe("Triggers", () => {
    let triggers: Evaluation;
    before(async () => {
        triggers = await evaluateTriggers();
    });

    itKeepsTheHouseRules(() => triggers);

    it("declares what its triggers need, and no more", async () => {
        assert.deepEqual(typesAndNamesOf(triggers), [...always, ...forPushes, ...forSchedules].sort());
        const pushes = await evaluateTriggers({ schedule: undefined });
        assert.deepEqual(typesAndNamesOf(pushes), [...always, ...forPushes].sort());
        const schedules = await evaluateTriggers({ onPush: undefined });
        assert.deepEqual(typesAndNamesOf(schedules), [...always, ...forSchedules].sort());
    });

    it("matches pushes that went well, of these repositories and tags", () => {
        const { eventPattern } = resourceOf(triggers, "test-on-push").inputs;
        assert.deepEqual(JSON.parse(String(eventPattern)), {
            source: ["aws.ecr"],
            "detail-type": ["ECR Image Action"],
            detail: {
                "action-type": ["PUSH"],
                result: ["SUCCESS"],
                "repository-name": ["backend/api", "nginx"],
                "image-tag": [{ wildcard: "v*" }, "latest"],
            },
        });
    });

    for (const tags of [["*"], ["*", "v*"], ["latest", "*"]]) {
        it(`matches every tag by ${tags.join(", ")}, but not the events of an image's parts, which have none`, async () => {
            const { inputs } = resourceOf(
                await evaluateTriggers({ onPush: { repositories: ["nginx"], tags } }),
                "test-on-push",
            );
            const pattern = JSON.parse(String(inputs["eventPattern"])) as Record<string, unknown>;
            const matches = compilePattern(pattern);
            const push = (tag: string) => ({
                source: "aws.ecr",
                "detail-type": "ECR Image Action",
                detail: { "action-type": "PUSH", result: "SUCCESS", "repository-name": "nginx", "image-tag": tag },
            });
            assert.deepEqual(
                ["v1", "latest", ""].map((tag) => matches(push(tag) as never)),
                [true, true, false],
            );
        });
    }

    it("asks for exactly the pushed image, under the identity of the event", () => {
        const { inputTransformer, ...target } = resourceOf(triggers, "test-on-push-target").inputs;
        assert.deepEqual(target, {
            rule: "test-on-push-0a1b2c3",
            arn: starterArn,
            roleArn: "arn:aws:iam::111122223333:role/test-on-push-role-0a1b2c3",
            retryPolicy: { maximumEventAgeInSeconds: 86400, maximumRetryAttempts: 185 },
            deadLetterConfig: { arn: queueArn },
        });
        const { inputPaths, inputTemplate } = inputTransformer as {
            inputPaths: Record<string, string>;
            inputTemplate: string;
        };
        assert.deepEqual(JSON.parse(inputTemplate), {
            trigger: "push",
            identity: "<id>",
            request: { imageUri: "<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>@<digest>" },
        });
        const used = [...inputTemplate.matchAll(/<(\w+)>/g)].map(([, name]) => name);
        assert.deepEqual(used.sort(), Object.keys(inputPaths).sort());
    });

    it("asks for what is new since the newest archive, where it is to", async () => {
        const since = "latest";
        const deltas = await evaluateTriggers({ onPush: { ...onPush, since } });
        const { inputTransformer } = resourceOf(deltas, "test-on-push-target").inputs;
        const { inputTemplate } = inputTransformer as { inputTemplate: string };
        assert.deepEqual((JSON.parse(inputTemplate) as { request: unknown }).request, {
            imageUri: "<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>@<digest>",
            since,
        });
    });

    it("names China's registries by their own suffix", async () => {
        const china = await evaluateTriggers({
            at: { partition: "aws-cn", region: "cn-north-1", accountId: "111122223333" },
        });
        const { inputTransformer } = resourceOf(china, "test-on-push-target").inputs;
        assert.match(JSON.stringify(inputTransformer), /<region>\.amazonaws\.com\.cn\/<repository>/);
    });

    it("starts at the scheduled times, under an identity that attempts share", () => {
        const { target, ...inputs } = resourceOf(triggers, "test-schedule").inputs;
        assert.deepEqual(inputs, {
            description: "Starts an export of a container image",
            groupName: "test-schedules-0a1b2c3",
            scheduleExpression: "cron(0 3 * * ? *)",
            scheduleExpressionTimezone: "Asia/Tokyo",
            flexibleTimeWindow: { mode: "OFF" },
        });
        const { input, ...rest } = target as { input: string };
        assert.deepEqual(JSON.parse(input), {
            trigger: "schedule",
            identity: "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> <aws.scheduler.execution-id>",
            request: { platform: "linux/arm64" },
        });
        assert.deepEqual(rest, {
            arn: starterArn,
            roleArn: "arn:aws:iam::111122223333:role/test-schedule-role-0a1b2c3",
            retryPolicy: { maximumEventAgeInSeconds: 86400, maximumRetryAttempts: 185 },
            deadLetterConfig: { arn: queueArn },
        });
    });

    it("lets each trigger start the one state machine, and that one start exports", () => {
        assert.deepEqual(sidsOf(resourceOf(triggers, "test-on-push-policy")), ["StartTarget"]);
        assert.deepEqual(sidsOf(resourceOf(triggers, "test-schedule-policy")), ["StartTarget", "KeepUndelivered"]);
        assert.equal(sidsOf(resourceOf(triggers, "test-machine-policy"))[0], "StartTriggeredExports");
    });

    it("keeps what it cannot deliver for 14 days, encrypted, and lets nobody else put anything there", async () => {
        assert.deepEqual(resourceOf(triggers, "test-undelivered").inputs, {
            messageRetentionSeconds: 1209600,
            sqsManagedSseEnabled: true,
        });
        const sids = (evaluation: Evaluation) => sidsOf(resourceOf(evaluation, "test-undelivered-policy"));
        assert.deepEqual(sids(triggers), ["LetRuleKeepUndelivered", "DenyInsecureQueue"]);
        assert.deepEqual(sids(await evaluateTriggers({ onPush: undefined })), ["DenyInsecureQueue"]);
    });

    it("alarms on what was not delivered and not started, and tells the topic if there is one", async () => {
        const alarms = ["test-alarms-undelivered", "test-alarms-failed"];
        for (const name of alarms) {
            const inputs = resourceOf(triggers, name).inputs;
            assert.match(String(inputs["alarmDescription"]), /by hand/);
            assert(!("alarmActions" in inputs));
        }
        assert.deepEqual(resourceOf(triggers, "test-alarms-undelivered").inputs["dimensions"], {
            QueueName: "test-undelivered-0a1b2c3",
        });
        assert.deepEqual(resourceOf(triggers, "test-alarms-failed").inputs["dimensions"], {
            StateMachineArn: starterArn,
        });
        const topicArn = `arn:aws:sns:${account}:alarms`;
        const told = await evaluateTriggers({ topicArn });
        for (const name of alarms) assert.deepEqual(resourceOf(told, name).inputs["alarmActions"], [topicArn]);
    });
});
