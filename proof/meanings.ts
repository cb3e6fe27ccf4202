/**
 * What every statement is meant to let pass, told without the language of policies and without a look at them: a second,
 * independent account, of which `proof/rows.ts` makes requests, by the hundred, that have to pass or must not. Why a statement
 * is there stands beside it in policies/.
 *
 * Patterns are those of `like` in scope.ts: what stands in angle brackets may be anything.
 */
import { isPattern, parseImageUri, repositoryArn } from "../contract/image";
import { arnIn, at, awsTypes, physicalNameOf } from "../lab/awsTypes";
import { type Evaluation, resourceOf } from "../lab/evaluation";
import { givenKeyArn, type Holder, trustName } from "./holders";
import { like, noResource, otherThan, type Scope } from "./scope";

/** What a statement is meant for. */
export interface Meaning {
    readonly actions: readonly string[];
    /** What the actions reach. Every action must be able to reach each of these. */
    readonly resources: readonly Scope[];
    /** What a request has to carry. */
    readonly context: Readonly<Record<string, Scope>>;
    /** Who is meant, in the policy of a resource; everybody when it is left out. */
    readonly principal?: Scope;
    /** Whether the statement takes away instead of giving. */
    readonly denies?: true;
}

/** A pattern, or the scope itself. */
type Values = string | Scope;

/**
 * A meaning in short.
 *
 * @param actions The service and its actions: `s3:GetObject,PutObject`.
 * @param resources One for each type of resource.
 */
function may(
    actions: string,
    resources: Values | readonly Values[],
    context: Readonly<Record<string, Values>> = {},
    principal?: Values,
): Meaning {
    const [service = "", names = ""] = actions.split(":");
    return {
        actions: names.split(",").map((name) => `${service}:${name}`),
        resources: [resources].flat().map(asScope),
        context: Object.fromEntries(Object.entries(context).map(([key, values]) => [key, asScope(values)])),
        ...(principal !== undefined && { principal: asScope(principal) }),
    };
}

/** What nobody may. */
function nobodyMay(...meaning: Parameters<typeof may>): Meaning {
    return { ...may(...meaning), denies: true };
}

function asScope(values: Values): Scope {
    return typeof values === "string" ? like(values) : values;
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

/** What the names of the program's resources begin with. */
const prefix = "image-export-";

const interfaces = own("ec2", "network-interface/<eni-0a1b2c3d|eni-1a2b3c4d>");
const everybody = own("iam", "role/<somebody>");
const topics = own("sns", "image-export-<topic-0a1b2c3>");
const administering =
    "kms:CancelKeyDeletion,CreateAlias,DeleteAlias,DescribeKey,DisableKey,EnableKey,GetKeyPolicy,GetKeyRotationStatus," +
    "ListResourceTags,PutKeyPolicy,ScheduleKeyDeletion,TagResource,UntagResource,UpdateAlias,UpdateKeyDescription";
const insecure = { "aws:SecureTransport": "false" };
const pulls: Readonly<Record<string, string>> = {
    docker: "ecr:BatchCheckLayerAvailability,BatchGetImage,GetDownloadUrlForLayer",
    stream: "ecr:BatchGetImage,GetDownloadUrlForLayer",
};

const rule = (name: string) => own("events", `rule/StepFunctionsGetEvent${name}Rule`);
const through = (service: string, context: string, resource: string) => ({
    "kms:ViaService": `${service}.${at.region}.amazonaws.com`,
    [`kms:EncryptionContext:aws:${context}`]: resource,
});

/**
 * The account of a stack's statements, which knows of the stack its names, ARNs and configuration, and no policy.
 *
 * @returns a function that tells what a statement is meant for, by its `Sid`; undefined where there is no account of it.
 */
export function accountOf(
    evaluation: Evaluation,
    configuration: Readonly<Record<string, string>>,
): (sid: string, holder: Holder) => Meaning | undefined {
    const given = (key: string) => configuration[`ecr-image-export:${key}`] ?? "";
    const listed = (key: string) =>
        (JSON.parse(given(key) || "[]") as string[]).map((arn) => arn.replace(/\/\*$/, "/<app|team/app>"));
    const answerTo = (resource: string): Record<string, string> => {
        const { type, name, inputs } = resourceOf(evaluation, `${prefix}${resource}`);
        return awsTypes[type]?.answer(physicalNameOf(name), inputs, at) ?? {};
    };
    const arn = (resource: string): string => {
        const { arn: known } = answerTo(resource);
        if (known === undefined) throw new Error(`${resource} has no ARN under the mocks`);
        return known;
    };
    const nameOf = (resource: string): string => {
        const { name, id = "" } = answerTo(resource);
        return name ?? id;
    };

    const pull = pulls[given("engine")] ?? "";
    const foreign = listed("crossAccountRepositoryArns");
    const image = repositoryArn(parseImageUri(given("imageUri")).repository);
    const repositories = [image, ...listed("repositoryArns"), ...foreign];
    const caches = JSON.parse(given("pullThroughCache") || "[]") as { prefix: string }[];
    const cached = repositories.filter((each) => caches.some(({ prefix }) => each.includes(`:repository/${prefix}/`)));
    // Of this account and region, and not from a cache, which may be older than what the tag means upstream.
    const resolved = repositories.filter((each) => !foreign.includes(each) && !cached.includes(each));
    const key = given("encryption") === "kms" ? arn("storage-key") : givenKeyArn;
    const signingKey = given("signing") === "kms" ? arn("signing-key") : givenKeyArn;
    const asRecordsAre = { "kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256" };

    const bucket = arn("storage-bucket");
    // S3 knows no folders: `..` in a key is a name like any other.
    const archives = `${bucket}/images/<nginx/1.tar|nginx/1.tar.json|../other/nginx.tar>`;
    const manifests = `${bucket}/batches/<five.json|2025/five.csv>`;
    const sets = `${bucket}/.sets/<0a1b.json|2c3d.json>`;
    const results = `${bucket}/batch-results/<1/manifest.json|1/2/FAILED_0.jsonl>`;
    const everyObject = `${bucket}/<images/nginx/1.tar|.exporter/0a1b2c3d4e5f6071.zip|nginx.tar>`;
    // S3 works for the caller: with a Bucket Key, which has the bucket as its context.
    const throughS3 = through("s3", "s3:arn", bucket);
    const throughSns = (topic: string) => through("sns", "sns:topicArn", topic);

    const executions = (machine: string) => own("states", `execution:${nameOf(machine)}:<1|a-b>`);
    const mapRuns = (type: string) => own("states", `${type}:${nameOf("batch-machine")}/<images:1|JSON:a-b>`);
    const buildStreams = () => `${arn("build-log")}:<log-stream:5f2b|log-stream:a/b>`;
    const ofNetwork = (type: string, ids: string) => {
        const { vpcConfig } = resourceOf(evaluation, `${prefix}build-project`).inputs;
        const { [ids]: known = [] } = vpcConfig as Record<string, string[]>;
        return like(...known.map((id) => own("ec2", `${type}/${id}`)));
    };
    const subnets = () => ofNetwork("subnet", "subnets");

    /** What the holder of a published policy starts. */
    const machineOf = ({ of }: Holder) => (of === "startBatchPolicy" ? "batch-machine" : "single-machine");

    /** The service that assumes a role, and what for. */
    const trustIn = (role: string): [service: string, source: string] => {
        const ofOwnName = (type: string) => `${type}${prefix}${role}<-0a1b2c3|-fffffff>`;
        switch (role) {
            case "build":
                return ["codebuild", own("codebuild", `project/${prefix}build-project<-0a1b2c3>`)];
            case "network-flows":
                return ["vpc-flow-logs", own("ec2", "vpc-flow-log/<fl-0a1b2c3d|fl-1a2b3c4d>")];
            case "monitoring-ended":
            case "triggers-on-push":
                return ["events", own("events", ofOwnName("rule/"))];
            case "triggers-schedule":
                return ["scheduler", arn("triggers-schedules")];
            case "monitoring-chat":
                return ["chatbot", own("chatbot", `chat-configuration/slack-channel/${nameOf("monitoring-topic")}`)];
            default:
                return ["states", own("states", ofOwnName("stateMachine:"))];
        }
    };

    const meanings: Readonly<Record<string, (holder: Holder) => Meaning>> = {
        [trustName]: ({ of }) => {
            const role = of.slice(prefix.length);
            const [service, source] = trustIn(role.replace(/-role$/, ""));
            const onBehalfOf = { "aws:SourceAccount": at.accountId, "aws:SourceArn": source };
            return may("sts:AssumeRole", arn(role), onBehalfOf, `${service}.amazonaws.com`);
        },

        // The build.
        LogInToEcr: () => may("ecr:GetAuthorizationToken", noResource),
        PullImages: () => may(pull, like(...repositories)),
        ImportImages: () => may("ecr:BatchImportUpstreamImage,CreateRepository", like(...cached)),
        LetImageExportPull: (holder) => {
            const ofRegistry = isPattern(holder.arn);
            const consented = foreign.filter((each) => each.includes("<") === ofRegistry);
            return may(pull, consented, {}, arn("build-role"));
        },
        ReadExporter: () => may("s3:GetObject,GetObjectVersion", `${bucket}/${nameOf("build-exporter")}`),
        ReadSets: () => may("s3:GetObject", sets),
        WriteArchives: () => may("s3:AbortMultipartUpload,GetObject,PutObject", archives),
        WriteEncrypted: () => may("kms:Decrypt,GenerateDataKey", key, throughS3),
        SignRecords: () => may("kms:Sign", signingKey, asRecordsAre),
        WriteLog: () => may("logs:CreateLogStream,PutLogEvents", buildStreams()),
        LookUpNetwork: () =>
            may(
                "ec2:DescribeDhcpOptions,DescribeNetworkInterfaces,DescribeSecurityGroups,DescribeSubnets,DescribeVpcs",
                noResource,
            ),
        CreateNetworkInterfaces: () =>
            may("ec2:CreateNetworkInterface", [interfaces, subnets(), ofNetwork("security-group", "securityGroupIds")]),
        LendNetworkInterfaces: () =>
            may("ec2:CreateNetworkInterfacePermission", interfaces, {
                "ec2:AuthorizedService": "codebuild.amazonaws.com",
                "ec2:Subnet": subnets(),
            }),
        DeleteNetworkInterfaces: () => may("ec2:DeleteNetworkInterface", interfaces, { "ec2:Subnet": subnets() }),

        // The network.
        WriteFlowLogs: () =>
            may(
                "logs:CreateLogStream,DescribeLogStreams,PutLogEvents",
                `${arn("network-flows-log")}:<log-stream:eni-0a1b-all|log-stream:eni-1a2b-all>`,
            ),
        DownloadLayers: () =>
            may("s3:GetObject", `arn:${at.partition}:s3:::prod-${at.region}-starport-layer-bucket/<0a1b|2c3d/4e5f>`),
        PassExporters: () => may("s3:GetObject,GetObjectVersion", `${bucket}/.exporter/<0a1b.zip|2c3d.zip>`),
        PassBuildLogs: () =>
            may(
                "logs:CreateLogStream,PutLogEvents",
                own("logs", "log-group:/aws/codebuild/<image-export-1:log-stream:5f2b|image-export-2:log-stream:a/b>"),
            ),

        // The state machines.
        DeliverExecutionLog: () =>
            may(
                "logs:CreateLogDelivery,DeleteLogDelivery,DescribeLogGroups,DescribeResourcePolicies,GetLogDelivery," +
                    "ListLogDeliveries,PutResourcePolicy,UpdateLogDelivery",
                noResource,
            ),
        TraceExecutions: () =>
            may("xray:GetSamplingRules,GetSamplingTargets,PutTelemetryRecords,PutTraceSegments", noResource),
        ResolveTags: () => may("ecr:DescribeImages", like(...resolved)),
        FindExports: () => may("s3:GetObject", archives),
        WriteSets: () => may("s3:PutObject", sets),
        PutEncrypted: () => may("kms:GenerateDataKey", key, throughS3),
        RunBuilds: () => may("codebuild:BatchGetBuilds,StartBuild,StopBuild", arn("build-project")),
        AwaitBuilds: () => may("events:DescribeRule,PutRule,PutTargets", rule("ForCodeBuildStartBuild")),
        ExportEachImage: () => may("states:StartExecution", arn("single-machine")),
        FollowEachExport: () => may("states:DescribeExecution,StopExecution", executions("single-machine")),
        AwaitExports: () => may("events:DescribeRule,PutRule,PutTargets", rule("sForStepFunctionsExecution")),
        RunMap: () => may("states:StartExecution", arn("batch-machine")),
        FollowMap: () =>
            may("states:DescribeExecution,StopExecution", [executions("batch-machine"), mapRuns("execution")]),
        CountResults: () => may("states:DescribeMapRun", mapRuns("mapRun")),
        ReadManifests: () => may("s3:GetObject", manifests),
        WriteResults: () => may("s3:AbortMultipartUpload,GetObject,ListMultipartUploadParts,PutObject", results),

        // Notifications and triggers.
        StartTarget: ({ of }) =>
            may("states:StartExecution", arn(of.includes("monitoring") ? "monitoring-notifier" : "triggers-machine")),
        ReadOutcomes: () =>
            may("states:DescribeExecution", [executions("single-machine"), executions("batch-machine")]),
        PublishNotifications: () => may("sns:Publish", arn("monitoring-topic")),
        PublishEncrypted: () => may("kms:Decrypt,GenerateDataKey", key, throughSns(arn("monitoring-topic"))),
        ShowMetrics: () => may("cloudwatch:GetMetricStatistics,GetMetricWidgetImage", noResource),
        StartTriggeredExports: () => may("states:StartExecution", arn("single-machine")),
        CompareTriggeredExports: () => may("states:DescribeExecution", executions("single-machine")),
        KeepUndelivered: () => may("sqs:SendMessage", arn("triggers-undelivered")),

        // Who requests and reads.
        StartExports: (holder) => may("states:ListExecutions,StartExecution", arn(machineOf(holder))),
        FollowExports: (holder) =>
            may("states:DescribeExecution,GetExecutionHistory,StopExecution", executions(machineOf(holder))),
        FollowBuilds: () => may("codebuild:BatchGetBuilds", arn("build-project")),
        ReadBuildLogs: () => may("logs:GetLogEvents", buildStreams()),
        FindMapRuns: (holder) => may("states:ListMapRuns", executions(machineOf(holder))),
        PutManifests: () => may("s3:PutObject", manifests),
        ReadResults: () => may("s3:GetObject", results),
        ReadArchives: () => may("s3:GetObject,GetObjectVersion", archives),
        ListArchives: () => may("s3:ListBucket", bucket, { "s3:prefix": "images/<|nginx/>" }),
        ReadEncrypted: () => may("kms:Decrypt", key, throughS3),

        // The bucket, the topic, the queue.
        DenyInsecureTransport: () => nobodyMay("s3:*", [bucket, everyObject], insecure),
        DenyOtherEncryption: () =>
            nobodyMay("s3:PutObject", everyObject, {
                "s3:x-amz-server-side-encryption": otherThan("aws:kms", "AES256", "aws:kms:dsse", "aws:kmsx"),
            }),
        DenyOtherKeys: () => {
            const others = [key.replace(/.$/, "0"), key.replace(at.region, "eu-west-1"), own("kms", "alias/aws/s3")];
            return nobodyMay("s3:PutObject", everyObject, {
                "s3:x-amz-server-side-encryption": "aws:kms",
                "s3:x-amz-server-side-encryption-aws-kms-key-id": { ...otherThan(key, ...others), orMissing: true },
            });
        },
        DenyCustomerKeys: () =>
            nobodyMay("s3:PutObject", everyObject, {
                "s3:x-amz-server-side-encryption-customer-algorithm": { ...otherThan("", "AES256"), outside: [] },
            }),
        LetAlarmsPublish: () => {
            const alarms = own("cloudwatch", "alarm:image-export-<exports-failed-0a1b2c3|triggers-failed-0a1b2c3>");
            const onBehalfOf = { "aws:SourceAccount": at.accountId, "aws:SourceArn": alarms };
            return may("sns:Publish", arn("monitoring-topic"), onBehalfOf, "cloudwatch.amazonaws.com");
        },
        DenyInsecurePublishing: () => nobodyMay("sns:Publish", arn("monitoring-topic"), insecure),
        LetRuleKeepUndelivered: () => {
            const onBehalfOf = { "aws:SourceArn": arn("triggers-on-push") };
            return may("sqs:SendMessage", arn("triggers-undelivered"), onBehalfOf, "events.amazonaws.com");
        },
        DenyInsecureQueue: () => nobodyMay("sqs:*", arn("triggers-undelivered"), insecure),

        // The key.
        AdministerKey: () => may(`${administering},EnableKeyRotation`, key, {}, everybody),
        AdministerSigningKey: () => may(administering, signingKey, {}, everybody),
        LetSignRecords: () => may("kms:Sign", signingKey, asRecordsAre, everybody),
        LetReadPublicKey: () => may("kms:GetPublicKey", signingKey, {}, everybody),
        EncryptObjects: () => {
            // The owner of a given key admits the bucket before its name is known.
            const buckets = `arn:${at.partition}:s3:::image-export-storage-bucket-<0a1b2c3|fffffff>`;
            const context = key === givenKeyArn ? through("s3", "s3:arn", buckets) : throughS3;
            return may("kms:Decrypt,GenerateDataKey", key, context, everybody);
        },
        EncryptLogs: () => {
            const groups = "log-group:/aws/<codebuild|vendedlogs/states>/image-export-<build-1|machine-log-2>";
            return may(
                "kms:Decrypt,Encrypt,GenerateDataKey,GenerateDataKeyWithoutPlaintext,ReEncryptFrom,ReEncryptTo",
                key,
                { "kms:EncryptionContext:aws:logs:arn": own("logs", groups) },
                `logs.${at.region}.amazonaws.com`,
            );
        },
        EncryptNotifications: () => may("kms:Decrypt,GenerateDataKey", key, throughSns(topics), everybody),
        EncryptAlarms: () => {
            const context = { "aws:SourceAccount": at.accountId, "kms:EncryptionContext:aws:sns:topicArn": topics };
            return may("kms:Decrypt,GenerateDataKey", key, context, "cloudwatch.amazonaws.com");
        },
    };
    return (sid, holder) => meanings[sid]?.(holder);
}
