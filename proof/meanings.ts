/**
 * What every statement is meant to let pass, told without the language of policies and without a look at them: a second,
 * independent account, of which `proof/rows.ts` makes requests, by the hundred, that have to pass or must not. Why a statement
 * is there stands beside it in policies/.
 *
 * Patterns are those of `like` in scope.ts: what stands in angle brackets may be anything.
 */
import { isPattern } from "../contract/image";
import { arnIn, at } from "../lab/awsTypes";
import type { Holder } from "./holders";
import { type Stack, trustName } from "./program";
import { like, noResource, otherThan, type Scope } from "./scope";

/** What a statement is meant for. */
export interface Meaning {
    readonly actions: readonly string[];
    /** What the actions reach. Every action must be able to reach each of these. */
    readonly resources: readonly Scope[];
    /** What a request has to carry. */
    readonly context: Readonly<Record<string, Scope>>;
    /** Who is meant, in the policy of a resource; everybody when it is left out. */
    readonly principals?: readonly Scope[];
    /** Whether the statement takes away instead of giving. */
    readonly denies?: true;
}

/**
 * A meaning in short.
 *
 * @param actions The service and its actions: `s3:GetObject,PutObject`.
 * @param resources Patterns, one for each type of resource, or the scopes themselves.
 */
function may(
    actions: string,
    resources: readonly (string | Scope)[],
    context: Readonly<Record<string, string | Scope>> = {},
    more: Pick<Meaning, "principals" | "denies"> = {},
): Meaning {
    const [service = "", names = ""] = actions.split(":");
    return {
        actions: names.split(",").map((name) => `${service}:${name}`),
        resources: resources.map(asScope),
        context: Object.fromEntries(Object.entries(context).map(([key, value]) => [key, asScope(value)])),
        ...more,
    };
}

function asScope(scope: string | Scope): Scope {
    return typeof scope === "string" ? like(scope) : scope;
}

/**
 * What a statement is meant for.
 *
 * @param sid Its `Sid`; none for trust.
 * @returns undefined where there is no account of it.
 */
export function meaningOf(sid: string | undefined, stack: Stack, holder: Holder): Meaning | undefined {
    return meanings[sid ?? trustName]?.(stack, holder);
}

/** Whether a statement speaks of an action on a resource. `s3:*` is an action that only statements that deny may have. */
export function speaksOf(
    { actions, resources }: Meaning,
    { action, resource }: { readonly action: string; readonly resource: string },
): boolean {
    return (
        actions.some((each) => each === action || (each.endsWith(":*") && action.startsWith(each.slice(0, -1)))) &&
        resources.some((scope) => scope.contains(resource))
    );
}

/** An ARN of the stack's own account. */
function own(service: string, resource: string): string {
    return arnIn(at, service, resource);
}

const rule = (name: string) => own("events", `rule/StepFunctionsGetEvent${name}Rule`);
const executions = (stack: Stack, name: string) => own("states", `execution:${stack.id(name)}:<1|a-b>`);
const mapRuns = (stack: Stack, type: string) =>
    own("states", `${type}:${stack.id("image-export-batch-machine")}/<images:1|JSON:a-b>`);
const objects = (stack: Stack, pattern: string) => `${stack.arn("image-export-storage-bucket")}/${pattern}`;
// S3 knows no folders: `..` in a key is a name like any other.
const archives = (stack: Stack) => objects(stack, "images/<nginx/1.tar|nginx/1.tar.json|../other/nginx.tar>");
const manifests = (stack: Stack) => objects(stack, "batches/<five.json|2025/five.csv>");
const results = (stack: Stack) => objects(stack, "batch-results/<1/manifest.json|1/2/FAILED_0.jsonl>");
const everyObject = (stack: Stack) => objects(stack, "<images/nginx/1.tar|.exporter/0a1b2c3d4e5f6071.zip|nginx.tar>");
const buildStreams = (stack: Stack) => `${stack.arn("image-export-build-log")}:<log-stream:5f2b|log-stream:a/b>`;
const interfaces = own("ec2", "network-interface/<eni-0a1b2c3d|eni-1a2b3c4d>");
const everybody = like(own("iam", "role/<somebody>"));
const topics = own("sns", "image-export-<topic-0a1b2c3>");

function ofNetwork(stack: Stack, type: string, ids: string): Scope {
    const { [ids]: known = [] } = stack.input("image-export-build-project", "vpcConfig") as Record<string, string[]>;
    return like(...known.map((id) => own("ec2", `${type}/${id}`)));
}

const subnets = (stack: Stack) => ofNetwork(stack, "subnet", "subnets");

/** S3 works for the caller, on the stack's bucket: with a Bucket Key, which has the bucket as its context. */
function throughS3(stack: Stack, bucket = stack.arn("image-export-storage-bucket")): Record<string, string> {
    return { "kms:ViaService": `s3.${at.region}.amazonaws.com`, "kms:EncryptionContext:aws:s3:arn": bucket };
}

function throughSns(topic: string): Record<string, string> {
    return { "kms:ViaService": `sns.${at.region}.amazonaws.com`, "kms:EncryptionContext:aws:sns:topicArn": topic };
}

const pulls: Record<Stack["engine"], string> = {
    docker: "ecr:BatchCheckLayerAvailability,BatchGetImage,GetDownloadUrlForLayer",
    stream: "ecr:BatchGetImage,GetDownloadUrlForLayer",
};

/** What starts, and what is started: by holder of the published policy. */
const machineOf: Readonly<Record<string, string>> = {
    startExportPolicy: "image-export-single-machine",
    startBatchPolicy: "image-export-batch-machine",
};
const machine = ({ of }: Holder) => machineOf[of] ?? of;

/** The service that assumes a role, and what for: by name of the role. */
const trusted: Readonly<Record<string, (stack: Stack) => [service: string, source: string]>> = {
    "image-export-build-role": () => ["codebuild", own("codebuild", "project/image-export-build-project<-0a1b2c3>")],
    "image-export-network-flows-role": () => ["vpc-flow-logs", own("ec2", "vpc-flow-log/<fl-0a1b2c3d|fl-1a2b3c4d>")],
    "image-export-monitoring-ended-role": () => rulesOf("image-export-monitoring-ended"),
    "image-export-triggers-on-push-role": () => rulesOf("image-export-triggers-on-push"),
    "image-export-triggers-schedule-role": (stack) => ["scheduler", stack.arn("image-export-triggers-schedules")],
    "image-export-monitoring-chat-role": (stack) => [
        "chatbot",
        own("chatbot", `chat-configuration/slack-channel/${stack.id("image-export-monitoring-topic")}`),
    ],
};

function rulesOf(name: string): [service: string, source: string] {
    return ["events", own("events", `rule/${name}<-0a1b2c3|-fffffff>`)];
}

/** Every other role is a state machine's. */
function machineTrust(role: string): [service: string, source: string] {
    return ["states", own("states", `stateMachine:${role.replace(/-role$/, "")}<-0a1b2c3|-fffffff>`)];
}

const deny = { denies: true } as const;
const insecure = { "aws:SecureTransport": "false" };

const meanings: Readonly<Record<string, (stack: Stack, holder: Holder) => Meaning>> = {
    [trustName]: (stack, { of }) => {
        const [service, source] = trusted[of]?.(stack) ?? machineTrust(of);
        return may(
            "sts:AssumeRole",
            [stack.arn(of)],
            { "aws:SourceAccount": at.accountId, "aws:SourceArn": source },
            { principals: [like(`${service}.amazonaws.com`)] },
        );
    },

    // The build.
    LogInToEcr: () => may("ecr:GetAuthorizationToken", [noResource]),
    PullImages: ({ engine, repositories }) => may(pulls[engine], [like(...repositories)]),
    ImportImages: ({ cached }) => may("ecr:BatchImportUpstreamImage,CreateRepository", [like(...cached)]),
    LetImageExportPull: (stack, holder) =>
        may(
            pulls[stack.engine],
            stack.foreign.filter((arn) => arn.includes("<") === (holder.kind === "resource" && isPattern(holder.arn))),
            {},
            { principals: [like(stack.arn("image-export-build-role"))] },
        ),
    ReadExporter: (stack) =>
        may("s3:GetObject,GetObjectVersion", [objects(stack, stack.id("image-export-build-exporter"))]),
    WriteArchives: (stack) => may("s3:AbortMultipartUpload,GetObject,PutObject", [archives(stack)]),
    WriteEncrypted: (stack) => may("kms:Decrypt,GenerateDataKey", [stack.key], throughS3(stack)),
    WriteLog: (stack) => may("logs:CreateLogStream,PutLogEvents", [buildStreams(stack)]),
    LookUpNetwork: () =>
        may("ec2:DescribeDhcpOptions,DescribeNetworkInterfaces,DescribeSecurityGroups,DescribeSubnets,DescribeVpcs", [
            noResource,
        ]),
    CreateNetworkInterfaces: (stack) =>
        may("ec2:CreateNetworkInterface", [
            interfaces,
            subnets(stack),
            ofNetwork(stack, "security-group", "securityGroupIds"),
        ]),
    LendNetworkInterfaces: (stack) =>
        may("ec2:CreateNetworkInterfacePermission", [interfaces], {
            "ec2:AuthorizedService": "codebuild.amazonaws.com",
            "ec2:Subnet": subnets(stack),
        }),
    DeleteNetworkInterfaces: (stack) =>
        may("ec2:DeleteNetworkInterface", [interfaces], { "ec2:Subnet": subnets(stack) }),

    // The network.
    WriteFlowLogs: (stack) =>
        may("logs:CreateLogStream,DescribeLogStreams,PutLogEvents", [
            `${stack.arn("image-export-network-flows-log")}:<log-stream:eni-0a1b-all|log-stream:eni-1a2b-all>`,
        ]),
    DownloadLayers: () =>
        may("s3:GetObject", [`arn:${at.partition}:s3:::prod-${at.region}-starport-layer-bucket/<0a1b|2c3d/4e5f>`]),
    PassExporters: (stack) => may("s3:GetObject,GetObjectVersion", [objects(stack, ".exporter/<0a1b.zip|2c3d.zip>")]),
    PassBuildLogs: () =>
        may("logs:CreateLogStream,PutLogEvents", [
            own("logs", "log-group:/aws/codebuild/<image-export-1:log-stream:5f2b|image-export-2:log-stream:a/b>"),
        ]),
    IdentifyCaller: () => may("sts:GetCallerIdentity", [noResource]),

    // The state machines.
    DeliverExecutionLog: () =>
        may(
            "logs:CreateLogDelivery,DeleteLogDelivery,DescribeLogGroups,DescribeResourcePolicies,GetLogDelivery," +
                "ListLogDeliveries,PutResourcePolicy,UpdateLogDelivery",
            [noResource],
        ),
    TraceExecutions: () =>
        may("xray:GetSamplingRules,GetSamplingTargets,PutTelemetryRecords,PutTraceSegments", [noResource]),
    // Of this account and region, and not from a cache, which may be older than what the tag means upstream.
    ResolveTags: ({ repositories, foreign, cached }) =>
        may("ecr:DescribeImages", [like(...repositories.filter((each) => ![...foreign, ...cached].includes(each)))]),
    FindExports: (stack) => may("s3:GetObject", [archives(stack)]),
    RunBuilds: (stack) =>
        may("codebuild:BatchGetBuilds,StartBuild,StopBuild", [stack.arn("image-export-build-project")]),
    AwaitBuilds: () => may("events:DescribeRule,PutRule,PutTargets", [rule("ForCodeBuildStartBuild")]),
    ExportEachImage: (stack) => may("states:StartExecution", [stack.arn("image-export-single-machine")]),
    FollowEachExport: (stack) =>
        may("states:DescribeExecution,StopExecution", [executions(stack, "image-export-single-machine")]),
    AwaitExports: () => may("events:DescribeRule,PutRule,PutTargets", [rule("sForStepFunctionsExecution")]),
    RunMap: (stack) => may("states:StartExecution", [stack.arn("image-export-batch-machine")]),
    FollowMap: (stack) =>
        may("states:DescribeExecution,StopExecution", [
            executions(stack, "image-export-batch-machine"),
            mapRuns(stack, "execution"),
        ]),
    CountResults: (stack) => may("states:DescribeMapRun", [mapRuns(stack, "mapRun")]),
    ReadManifests: (stack) => may("s3:GetObject", [manifests(stack)]),
    WriteResults: (stack) =>
        may("s3:AbortMultipartUpload,GetObject,ListMultipartUploadParts,PutObject", [results(stack)]),

    // Notifications and triggers.
    WakeNotifier: (stack) => may("states:StartExecution", [stack.arn("image-export-monitoring-notifier")]),
    ReadOutcomes: (stack) =>
        may("states:DescribeExecution", [
            executions(stack, "image-export-single-machine"),
            executions(stack, "image-export-batch-machine"),
        ]),
    PublishNotifications: (stack) => may("sns:Publish", [stack.arn("image-export-monitoring-topic")]),
    PublishEncrypted: (stack) =>
        may("kms:Decrypt,GenerateDataKey", [stack.key], throughSns(stack.arn("image-export-monitoring-topic"))),
    ShowMetrics: () => may("cloudwatch:GetMetricStatistics,GetMetricWidgetImage", [noResource]),
    PullTrigger: (stack) => may("states:StartExecution", [stack.arn("image-export-triggers-machine")]),
    StartTriggeredExports: (stack) => may("states:StartExecution", [stack.arn("image-export-single-machine")]),
    CompareTriggeredExports: (stack) =>
        may("states:DescribeExecution", [executions(stack, "image-export-single-machine")]),
    KeepUndelivered: (stack) => may("sqs:SendMessage", [stack.arn("image-export-triggers-undelivered")]),

    // Who requests and reads.
    StartExports: (stack, holder) => may("states:ListExecutions,StartExecution", [stack.arn(machine(holder))]),
    FollowExports: (stack, holder) =>
        may("states:DescribeExecution,GetExecutionHistory,StopExecution", [executions(stack, machine(holder))]),
    FollowBuilds: (stack) => may("codebuild:BatchGetBuilds", [stack.arn("image-export-build-project")]),
    ReadBuildLogs: (stack) => may("logs:GetLogEvents", [buildStreams(stack)]),
    FindMapRuns: (stack, holder) => may("states:ListMapRuns", [executions(stack, machine(holder))]),
    PutManifests: (stack) => may("s3:PutObject", [manifests(stack)]),
    ReadResults: (stack) => may("s3:GetObject", [results(stack)]),
    ReadArchives: (stack) => may("s3:GetObject,GetObjectVersion", [archives(stack)]),
    ListArchives: (stack) =>
        may("s3:ListBucket", [stack.arn("image-export-storage-bucket")], { "s3:prefix": "images/<|nginx/>" }),
    ReadEncrypted: (stack) => may("kms:Decrypt", [stack.key], throughS3(stack)),

    // The bucket, the topic, the queue.
    DenyInsecureTransport: (stack) =>
        may("s3:*", [stack.arn("image-export-storage-bucket"), everyObject(stack)], insecure, deny),
    DenyOtherEncryption: (stack) =>
        may(
            "s3:PutObject",
            [everyObject(stack)],
            { "s3:x-amz-server-side-encryption": otherThan("aws:kms", "AES256", "aws:kms:dsse", "aws:kmsx") },
            deny,
        ),
    DenyOtherKeys: (stack) => {
        const { key } = stack;
        const others = [key.replace(/.$/, "0"), key.replace(at.region, "eu-west-1"), own("kms", "alias/aws/s3")];
        return may(
            "s3:PutObject",
            [everyObject(stack)],
            {
                "s3:x-amz-server-side-encryption": "aws:kms",
                "s3:x-amz-server-side-encryption-aws-kms-key-id": { ...otherThan(key, ...others), orMissing: true },
            },
            deny,
        );
    },
    DenyCustomerKeys: (stack) =>
        may(
            "s3:PutObject",
            [everyObject(stack)],
            { "s3:x-amz-server-side-encryption-customer-algorithm": { ...otherThan("", "AES256"), outside: [] } },
            deny,
        ),
    LetAlarmsPublish: (stack) =>
        may(
            "sns:Publish",
            [stack.arn("image-export-monitoring-topic")],
            {
                "aws:SourceAccount": at.accountId,
                "aws:SourceArn": own(
                    "cloudwatch",
                    "alarm:image-export-<exports-failed-0a1b2c3|triggers-failed-0a1b2c3>",
                ),
            },
            { principals: [like("cloudwatch.amazonaws.com")] },
        ),
    DenyInsecurePublishing: (stack) => may("sns:Publish", [stack.arn("image-export-monitoring-topic")], insecure, deny),
    LetRuleKeepUndelivered: (stack) =>
        may(
            "sqs:SendMessage",
            [stack.arn("image-export-triggers-undelivered")],
            { "aws:SourceArn": stack.arn("image-export-triggers-on-push") },
            { principals: [like("events.amazonaws.com")] },
        ),
    DenyInsecureQueue: (stack) => may("sqs:*", [stack.arn("image-export-triggers-undelivered")], insecure, deny),

    // The key.
    AdministerKey: ({ key }) =>
        may(
            "kms:CancelKeyDeletion,CreateAlias,DeleteAlias,DescribeKey,DisableKey,EnableKey,EnableKeyRotation,GetKeyPolicy," +
                "GetKeyRotationStatus,ListResourceTags,PutKeyPolicy,ScheduleKeyDeletion,TagResource,UntagResource," +
                "UpdateAlias,UpdateKeyDescription",
            [key],
            {},
            { principals: [everybody] },
        ),
    EncryptObjects: (stack) =>
        may(
            "kms:Decrypt,GenerateDataKey",
            [stack.key],
            // The owner of a given key admits the bucket before its name is known.
            stack.key.includes(at.accountId)
                ? throughS3(stack)
                : throughS3(stack, `arn:${at.partition}:s3:::image-export-storage-bucket-<0a1b2c3|fffffff>`),
            { principals: [everybody] },
        ),
    EncryptLogs: ({ key }) =>
        may(
            "kms:Decrypt,Encrypt,GenerateDataKey,GenerateDataKeyWithoutPlaintext,ReEncryptFrom,ReEncryptTo",
            [key],
            {
                "kms:EncryptionContext:aws:logs:arn": own(
                    "logs",
                    "log-group:/aws/<codebuild|vendedlogs/states>/image-export-<build-1|machine-log-2>",
                ),
            },
            { principals: [like(`logs.${at.region}.amazonaws.com`)] },
        ),
    EncryptNotifications: ({ key }) =>
        may("kms:Decrypt,GenerateDataKey", [key], throughSns(topics), { principals: [everybody] }),
    EncryptAlarms: ({ key }) =>
        may(
            "kms:Decrypt,GenerateDataKey",
            [key],
            { "aws:SourceAccount": at.accountId, "kms:EncryptionContext:aws:sns:topicArn": topics },
            { principals: [like("cloudwatch.amazonaws.com")] },
        ),
};
