/**
 * The permissions boundary: the most that a role of the stack can ever do, whatever policy a deployment writes for it.
 * Without it, whoever may make a role and write its policy may do everything. It knows no action of IAM and STS, so that no
 * role of the stack makes or assumes another.
 *
 * The tests compare it with the policies that the program declares for its roles: all of it is in use, and it is enough.
 */
import { arnOfBucket, arnOfObjects, type Grant, here, namePrefix } from "./grants";

const everything = () => "*";
const logGroups = ["codebuild", "vendedlogs/states", "vpc-flow-logs"].map((service) =>
    here("logs", `log-group:/aws/${service}/${namePrefix}*`),
);
const ruleOfStepFunctions = here("events", "rule/StepFunctionsGetEvent*");

/** What roles of the stack may be allowed, by what it is for. */
export const boundary: readonly Grant[] = [
    // Images of this account and, where their owners consent, of others.
    { actions: ["ecr:GetAuthorizationToken"], on: [everything] },
    {
        actions: [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:BatchImportUpstreamImage",
            "ecr:CreateRepository",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
        ],
        on: [({ partition }) => `arn:${partition}:ecr:*:*:repository/*`],
    },
    // Archives, the exporter, manifests and results.
    {
        actions: [
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
        ],
        on: [arnOfObjects("*")],
    },
    {
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        on: [({ partition, region }) => `arn:${partition}:kms:${region}:*:key/*`],
        when: (target) => ({
            StringEquals: { "kms:ViaService": `s3.${target.region}.amazonaws.com` },
            StringLike: { "kms:EncryptionContext:aws:s3:arn": arnOfBucket(target) },
        }),
    },
    // Builds, executions and triggers.
    {
        actions: ["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"],
        on: [here("codebuild", `project/${namePrefix}*`)],
    },
    { actions: ["states:StartExecution"], on: [here("states", `stateMachine:${namePrefix}*`)] },
    {
        actions: ["states:DescribeExecution", "states:StopExecution"],
        on: [here("states", `execution:${namePrefix}*`)],
    },
    { actions: ["states:DescribeMapRun"], on: [here("states", `mapRun:${namePrefix}*`)] },
    {
        actions: ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
        on: [ruleOfStepFunctions],
    },
    { actions: ["sqs:SendMessage"], on: [here("sqs", `${namePrefix}*`)] },
    // Messages, and what a chat channel shows.
    { actions: ["sns:Publish"], on: [here("sns", `${namePrefix}*`)] },
    {
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        on: [({ partition, region }) => `arn:${partition}:kms:${region}:*:key/*`],
        when: (target) => ({
            StringEquals: { "kms:ViaService": `sns.${target.region}.amazonaws.com` },
            StringLike: {
                "kms:EncryptionContext:aws:sns:topicArn": here("sns", `${namePrefix}*`)(target),
            },
        }),
    },
    {
        actions: ["cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage"],
        on: [everything],
    },
    // Logs and traces.
    {
        actions: ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        on: logGroups,
    },
    {
        actions: [
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ],
        // None of them has a resource type that says more.
        on: [everything],
    },
    // Builds in a VPC.
    {
        actions: [
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ],
        on: [everything],
    },
    {
        actions: ["ec2:CreateNetworkInterface"],
        on: ["network-interface", "subnet", "security-group"].map((kind) => here("ec2", `${kind}/*`)),
    },
    {
        actions: ["ec2:CreateNetworkInterfacePermission"],
        on: [here("ec2", "network-interface/*")],
        when: () => ({ StringEquals: { "ec2:AuthorizedService": "codebuild.amazonaws.com" } }),
    },
    { actions: ["ec2:DeleteNetworkInterface"], on: [here("ec2", "network-interface/*")] },
];
