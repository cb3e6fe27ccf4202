import { strict as assert } from "node:assert";

import { Monitoring, type MonitoringArgs } from "../../components/monitoring";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf } from "../support/houseRules";
import { notifying } from "../support/notifying";
import { customResourcesOf, evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

const account = "ap-northeast-1:111122223333";
const machineArn = (name: string) => `arn:aws:states:${account}:stateMachine:${name}`;
const topicArn = `arn:aws:sns:${account}:test-topic-0a1b2c3`;
const notifierArn = machineArn("test-notifier-0a1b2c3");
const key = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const slack = { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" };
const notifications = { emails: ["a@example.com", "b@example.com"], slack, onSuccess: false };
const watched = (name: string) => ({ arn: machineArn(name), name, logGroupName: `/states/${name}` });
const args: MonitoringArgs = {
    at,
    notifications,
    exportMachine: watched("export-machine"),
    batchMachine: watched("batch-machine"),
    projectName: "export-project",
    timeoutMinutes: 30,
    artifactBucket: "artifacts",
    imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.29",
    artifactKey: "images/nginx/1.29.tar",
    namePrefix: "test-",
    encryptionKeyArn: key,
};

function evaluateMonitoring(changes: Partial<MonitoringArgs> = {}): Promise<Evaluation> {
    return evaluate(() => ({ monitoring: new Monitoring("test", { ...args, ...changes }).urn }));
}

const always = ["aws:cloudwatch/dashboard:Dashboard test-dashboard", "ecr-image-export:index:Monitoring test"];
const forSomebody = notifying("test");
const forEmails = [
    "aws:sns/topicSubscription:TopicSubscription test-email-a@example.com",
    "aws:sns/topicSubscription:TopicSubscription test-email-b@example.com",
];
const forSlack = [
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration test-chat",
    "aws:iam/policy:Policy test-chat-guardrail",
    "aws:iam/role:Role test-chat-role",
    "aws:iam/rolePolicy:RolePolicy test-chat-policy",
];

describe("Monitoring", () => {
    let monitoring: Evaluation;
    before(async () => {
        monitoring = await evaluateMonitoring();
    });

    itKeepsTheHouseRules(() => monitoring);

    it("declares what those who are told need, and no more", async () => {
        assert.deepEqual(typesAndNamesOf(monitoring), [...always, ...forSomebody, ...forEmails, ...forSlack].sort());
        const nobody = await evaluateMonitoring({ notifications: undefined });
        assert.deepEqual(typesAndNamesOf(nobody), always);
        const subscribersOfTheirOwn = await evaluateMonitoring({
            notifications: { emails: [], slack: undefined, onSuccess: false },
        });
        assert.deepEqual(typesAndNamesOf(subscribersOfTheirOwn), [...always, ...forSomebody].sort());
    });

    it("tells the topic, and where the dashboard is", async () => {
        const dashboardUrl =
            "https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1#dashboards/dashboard/export-machine";
        assert.deepEqual(componentOf(monitoring, "Monitoring").outputs, {
            topicArn,
            dashboardUrl,
            logGroupName: "/aws/vendedlogs/states/test-notifier-20250101000000000000000001",
        });
        const nobody = await evaluateMonitoring({ notifications: undefined });
        assert.deepEqual(componentOf(nobody, "Monitoring").outputs, { dashboardUrl });
    });

    describe("topic", () => {
        it("is encrypted with the key where there is one", async () => {
            assert.deepEqual(resourceOf(monitoring, "test-topic").inputs, {
                displayName: "Image export",
                kmsMasterKeyId: key,
            });
            const plain = await evaluateMonitoring({ encryptionKeyArn: undefined });
            assert(!("kmsMasterKeyId" in resourceOf(plain, "test-topic").inputs));
        });

        it("lets alarms of this stack publish, and nobody without TLS", () => {
            const policy = resourceOf(monitoring, "test-topic-policy");
            assert.deepEqual(sidsOf(policy), ["LetAlarmsPublish", "DenyInsecurePublishing"]);
        });

        it("is subscribed to by each address", () => {
            for (const endpoint of notifications.emails) {
                assert.deepEqual(resourceOf(monitoring, `test-email-${endpoint}`).inputs, {
                    topic: topicArn,
                    protocol: "email",
                    endpoint,
                });
            }
        });
    });

    describe("messages", () => {
        const pattern = (evaluation: Evaluation, rule: string) =>
            JSON.parse(String(resourceOf(evaluation, rule).inputs["eventPattern"])) as { detail: object };

        it("are sent when an export or a batch ends badly", () => {
            const common = { source: ["aws.states"], "detail-type": ["Step Functions Execution Status Change"] };
            const status = ["FAILED", "TIMED_OUT", "ABORTED"];
            assert.deepEqual(pattern(monitoring, "test-ended-export"), {
                ...common,
                detail: {
                    status,
                    stateMachineArn: [machineArn("export-machine")],
                    // Those of a batch are the batch's to tell of.
                    name: [{ "anything-but": { prefix: "batch-" } }],
                },
            });
            assert.deepEqual(pattern(monitoring, "test-ended-batch"), {
                ...common,
                detail: { status, stateMachineArn: [machineArn("batch-machine")] },
            });
        });

        it("are sent on success only where that is asked for", async () => {
            const all = await evaluateMonitoring({ notifications: { ...notifications, onSuccess: true } });
            for (const rule of ["test-ended-export", "test-ended-batch"]) {
                const { status } = pattern(all, rule).detail as { status: string[] };
                assert.deepEqual(status, ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"]);
            }
        });

        it("are written by a state machine that gets what it needs of the event", () => {
            for (const subject of ["export", "batch"]) {
                const { inputTransformer, ...target } = resourceOf(monitoring, `test-ended-${subject}-target`).inputs;
                assert.deepEqual(target, {
                    rule: `test-ended-${subject}-0a1b2c3`,
                    arn: notifierArn,
                    roleArn: "arn:aws:iam::111122223333:role/test-ended-role-0a1b2c3",
                });
                const { inputPaths, inputTemplate } = inputTransformer as { inputPaths: object; inputTemplate: string };
                assert.deepEqual(inputPaths, { executionArn: "$.detail.executionArn", status: "$.detail.status" });
                assert.deepEqual(JSON.parse(inputTemplate), {
                    subject,
                    executionArn: "<executionArn>",
                    status: "<status>",
                });
            }
        });

        it("name the project's builds and publish to the topic", () => {
            const definition = String(resourceOf(monitoring, "test-notifier").inputs["definition"]);
            assert.match(definition, /\/codesuite\/codebuild\/111122223333\/projects\/export-project\/history/);
            assert(definition.includes(`"TopicArn":"${topicArn}"`));
        });

        it("need these permissions, and no others", async () => {
            assert.deepEqual(sidsOf(resourceOf(monitoring, "test-ended-policy")), ["StartTarget"]);
            const expected = ["ReadOutcomes", "PublishNotifications", "PublishEncrypted"];
            const ofMachine = ["DeliverExecutionLog", "TraceExecutions"];
            assert.deepEqual(sidsOf(resourceOf(monitoring, "test-notifier-policy")), [...expected, ...ofMachine]);
            const plain = await evaluateMonitoring({ encryptionKeyArn: undefined });
            assert.deepEqual(sidsOf(resourceOf(plain, "test-notifier-policy")), [
                ...expected.slice(0, 2),
                ...ofMachine,
            ]);
        });
    });

    describe("alarms", () => {
        const alarms = () => customResourcesOf(monitoring).filter(({ type }) => type.endsWith(":MetricAlarm"));

        it("are set off by the first of anything within five minutes, and tell the topic", () => {
            for (const { name, inputs } of alarms()) {
                const { threshold, ...rest } = inputs;
                const expected = {
                    comparisonOperator: "GreaterThanOrEqualToThreshold",
                    evaluationPeriods: 1,
                    period: 300,
                    treatMissingData: "notBreaching",
                    alarmActions: [topicArn],
                };
                for (const [property, value] of Object.entries(expected)) {
                    assert.deepEqual(rest[property], value, `${property} of ${name}`);
                }
                // 80 % of 30 minutes, in seconds.
                assert.equal(threshold, name === "test-alarms-builds-slow" ? 1440 : 1, name);
            }
        });

        it("watch these metrics", () => {
            const watches = alarms().map(({ name, inputs }) => [
                name.replace("test-alarms-", ""),
                `${String(inputs["namespace"])} ${String(inputs["metricName"])} ${String(inputs["statistic"])}`,
                Object.entries(inputs["dimensions"] as object)
                    .flat()
                    .join(" "),
            ]);
            const ofMachine = (machine: string) => `StateMachineArn ${machineArn(machine)}`;
            const ofBoth = (suffix: string, metric: string) => [
                [`exports-${suffix}`, `AWS/States ${metric} Sum`, ofMachine("export-machine")],
                [`batches-${suffix}`, `AWS/States ${metric} Sum`, ofMachine("batch-machine")],
            ];
            assert.deepEqual(
                watches.sort(),
                [
                    ...ofBoth("failed", "ExecutionsFailed"),
                    ...ofBoth("timed-out", "ExecutionsTimedOut"),
                    ...ofBoth("aborted", "ExecutionsAborted"),
                    ...ofBoth("throttled", "ExecutionThrottled"),
                    ["builds-failed", "AWS/CodeBuild FailedBuilds Sum", "ProjectName export-project"],
                    ["builds-slow", "AWS/CodeBuild Duration Maximum", "ProjectName export-project"],
                    ["notifier-failed", "AWS/States ExecutionsFailed Sum", ofMachine("test-notifier-0a1b2c3")],
                ].sort(),
            );
        });

        it("say what has happened, what to do, and where more of it is written", () => {
            for (const { name, inputs } of alarms()) {
                const text = String(inputs["alarmDescription"]);
                assert.match(
                    text,
                    /^(?:An execution of the|A build of the|The) .*\. See "When [^"]+" in docs\/operations\.md\.$/,
                    name,
                );
                // What CloudWatch takes.
                assert(text.length <= 1024, name);
            }
        });
    });

    describe("Slack", () => {
        it("is told of what is published to the topic, and bound to looking at metrics", () => {
            assert.deepEqual(resourceOf(monitoring, "test-chat").inputs, {
                configurationName: "test-topic-0a1b2c3",
                slackTeamId: "T07EA123LEP",
                slackChannelId: "C07EZ1ABC23",
                snsTopicArns: [topicArn],
                iamRoleArn: "arn:aws:iam::111122223333:role/test-chat-role-0a1b2c3",
                guardrailPolicyArns: ["arn:aws:iam::111122223333:policy/test-chat-guardrail-0a1b2c3"],
                loggingLevel: "ERROR",
            });
            assert.deepEqual(sidsOf(resourceOf(monitoring, "test-chat-guardrail")), ["ShowMetrics"]);
            assert.deepEqual(sidsOf(resourceOf(monitoring, "test-chat-policy")), ["ShowMetrics"]);
        });
    });
});
