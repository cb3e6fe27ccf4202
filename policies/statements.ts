/**
 * Every policy statement of the program, one builder each. Nothing else in the program writes a statement, so that
 * this file is the whole answer to "what may it do?". Action and resource types are those of the Service
 * Authorization Reference (docs.aws.amazon.com/service-authorization/latest/reference/).
 */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { AwsLocation as Location } from "../contract/aws";
import type { EngineName } from "../contract/engine";
import { exporterPrefix } from "../contract/keys";

/** Where the stack lives. */
export type AwsLocation = Location<pulumi.Input<string>>;

/** Makes a policy document of statements. */
export function policyDocument(...statements: aws.iam.PolicyStatement[]): aws.iam.PolicyDocument {
    return { Version: "2012-10-17", Statement: statements };
}

/** Lets a service assume a role, but only on behalf of a resource of this account: no confused deputy. */
function assumedBy(
    service: string,
    accountId: pulumi.Input<string>,
    sourceArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Effect: "Allow",
        Principal: { Service: service },
        Action: "sts:AssumeRole",
        Condition: {
            StringEquals: { "aws:SourceAccount": accountId },
            ArnLike: { "aws:SourceArn": sourceArn },
        },
    };
}

/**
 * CodeBuild may assume the service role, for projects whose name begins with `projectNamePrefix`. The name is a
 * prefix because the project is named by Pulumi, and because the project refers to the role.
 *
 * @see {@link https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html}
 */
export function assumedByCodeBuild(at: AwsLocation, projectNamePrefix: string): aws.iam.PolicyStatement {
    const projects = pulumi.interpolate`arn:${at.partition}:codebuild:${at.region}:${at.accountId}:project/${projectNamePrefix}*`;
    return assumedBy("codebuild.amazonaws.com", at.accountId, projects);
}

/**
 * Step Functions may assume the role, for state machines whose name begins with `stateMachineNamePrefix`.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html}
 */
export function assumedByStepFunctions(
    at: AwsLocation,
    stateMachineNamePrefix: string,
): aws.iam.PolicyStatement {
    const machines = pulumi.interpolate`arn:${at.partition}:states:${at.region}:${at.accountId}:stateMachine:${stateMachineNamePrefix}*`;
    return assumedBy("states.amazonaws.com", at.accountId, machines);
}

/**
 * The flow logs of a VPC may assume the role. The source is any flow log of the region, since AWS names it after it
 * was made.
 *
 * @see {@link https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html}
 */
export function assumedByFlowLogs(at: AwsLocation): aws.iam.PolicyStatement {
    const flowLogs = pulumi.interpolate`arn:${at.partition}:ec2:${at.region}:${at.accountId}:vpc-flow-log/*`;
    return assumedBy("vpc-flow-logs.amazonaws.com", at.accountId, flowLogs);
}

/** The build asks ECR for the password of `docker login`. */
export function logInToEcr(): aws.iam.PolicyStatement {
    return {
        Sid: "LogInToEcr",
        Effect: "Allow",
        Action: "ecr:GetAuthorizationToken",
        // The action has no resource type. The token itself grants nothing: each pull is authorized on its own.
        Resource: "*",
    };
}

/** What each engine needs of a repository: manifests and layers, and Docker the check of the layers between them. */
const pullActions: Record<EngineName, string[]> = {
    docker: ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    stream: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
};

/** The build pulls images from these repositories. */
export function pullImages(engine: EngineName, repositoryArns: string[]): aws.iam.PolicyStatement {
    return { Sid: "PullImages", Effect: "Allow", Action: pullActions[engine], Resource: repositoryArns };
}

/**
 * The build has ECR import images into repositories of a pull-through cache: the first pull makes the repository too, a
 * later one fetches what a tag means by then. Credentials for the upstream registry are read by ECR's own service-linked
 * role, not by the build.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html}
 */
export function importImages(repositoryArns: string[]): aws.iam.PolicyStatement {
    return {
        Sid: "ImportImages",
        Effect: "Allow",
        Action: ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"],
        Resource: repositoryArns,
    };
}

/**
 * CodeBuild fetches the exporter, the source of the project, with the service role.
 *
 * @see {@link https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html}
 */
export function readExporter(bundleArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "ReadExporter",
        Effect: "Allow",
        Action: ["s3:GetObject", "s3:GetObjectVersion"],
        Resource: bundleArn,
    };
}

/**
 * For the repository policy of another account: this build role may pull.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html}
 */
export function letRolePull(engine: EngineName, roleArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "LetImageExportPull",
        Effect: "Allow",
        Principal: { AWS: roleArn },
        Action: pullActions[engine],
    };
}

/**
 * The build uploads archives. `PutObject` covers every call of a multipart upload but its abort
 * (docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html), `GetObject` the HEAD that confirms the upload
 * and tells the version.
 */
export function writeArchives(
    bucketArn: pulumi.Input<string>,
    artifactPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "WriteArchives",
        Effect: "Allow",
        Action: ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
        Resource: pulumi.interpolate`${bucketArn}/${artifactPrefix}*`,
    };
}

/** The build writes its log. The `:*` stands for the log streams of the group. */
export function writeLog(logGroupArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "WriteLog",
        Effect: "Allow",
        Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
        Resource: pulumi.interpolate`${logGroupArn}:*`,
    };
}

/**
 * In a VPC: CodeBuild looks up the network of the project before it places a build there.
 *
 * @see {@link https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html}
 */
export function lookUpNetwork(): aws.iam.PolicyStatement {
    return {
        Sid: "LookUpNetwork",
        Effect: "Allow",
        Action: [
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ],
        // The Describe actions of EC2 have no resource type.
        Resource: "*",
    };
}

/**
 * In a VPC: CodeBuild makes a network interface for the build, in these subnets and with these security groups. AWS's
 * example for CodeBuild has `*` here; the action takes all three resource types, and each has to be allowed.
 *
 * @see {@link https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html}
 */
export function createNetworkInterfaces(
    at: AwsLocation,
    subnetIds: pulumi.Input<pulumi.Input<string>[]>,
    securityGroupIds: pulumi.Input<pulumi.Input<string>[]>,
): aws.iam.PolicyStatement {
    return {
        Sid: "CreateNetworkInterfaces",
        Effect: "Allow",
        Action: "ec2:CreateNetworkInterface",
        Resource: pulumi
            .all([
                networkInterfaces(at),
                ec2Arns(at, "subnet", subnetIds),
                ec2Arns(at, "security-group", securityGroupIds),
            ])
            .apply(([interfaces, subnets, groups]) => [interfaces, ...subnets, ...groups]),
    };
}

/**
 * In a VPC: CodeBuild lends the network interface to the machine of the build, which is in an account of AWS. The
 * service and the subnets are conditions of AWS's own example.
 *
 * @see {@link https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html}
 */
export function lendNetworkInterfaces(
    at: AwsLocation,
    subnetIds: pulumi.Input<pulumi.Input<string>[]>,
): aws.iam.PolicyStatement {
    return {
        Sid: "LendNetworkInterfaces",
        Effect: "Allow",
        Action: "ec2:CreateNetworkInterfacePermission",
        Resource: networkInterfaces(at),
        Condition: {
            StringEquals: { "ec2:AuthorizedService": "codebuild.amazonaws.com" },
            ArnEquals: { "ec2:Subnet": ec2Arns(at, "subnet", subnetIds) },
        },
    };
}

/** In a VPC: CodeBuild deletes the network interface after the build. AWS's example for CodeBuild has `*` here. */
export function deleteNetworkInterfaces(
    at: AwsLocation,
    subnetIds: pulumi.Input<pulumi.Input<string>[]>,
): aws.iam.PolicyStatement {
    return {
        Sid: "DeleteNetworkInterfaces",
        Effect: "Allow",
        Action: "ec2:DeleteNetworkInterface",
        Resource: networkInterfaces(at),
        Condition: { ArnEquals: { "ec2:Subnet": ec2Arns(at, "subnet", subnetIds) } },
    };
}

/** Network interfaces are named by AWS when a build starts. */
function networkInterfaces(at: AwsLocation): pulumi.Output<string> {
    return pulumi.interpolate`arn:${at.partition}:ec2:${at.region}:${at.accountId}:network-interface/*`;
}

function ec2Arns(
    at: AwsLocation,
    type: string,
    ids: pulumi.Input<pulumi.Input<string>[]>,
): pulumi.Output<string[]> {
    return pulumi
        .all([at.accountId, ids])
        .apply(([accountId, known]) =>
            known.map((id) => `arn:${at.partition}:ec2:${at.region}:${accountId}:${type}/${id}`),
        );
}

/**
 * The flow logs of a VPC are written to one log group, which exists already.
 *
 * @see {@link https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html}
 */
export function writeFlowLogs(logGroupArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "WriteFlowLogs",
        Effect: "Allow",
        Action: ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        Resource: pulumi.interpolate`${logGroupArn}:*`,
    };
}

/**
 * For the policy of a VPC endpoint: what the statement allows may pass, and nothing else does. Such a policy grants
 * nothing, it takes away: whoever asks still needs permissions of their own. So it names everybody, as it has to at a
 * gateway endpoint, and for layers, which ECR lets the build fetch with a signature of its own.
 *
 * @see {@link https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html}
 */
export function throughEndpoint(statement: aws.iam.PolicyStatement): aws.iam.PolicyStatement {
    return { ...statement, Principal: "*" };
}

/**
 * For the policy of a VPC endpoint: the bucket where ECR keeps the layers of all images of a region.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html}
 */
export function downloadLayers(at: AwsLocation): aws.iam.PolicyStatement {
    return {
        Sid: "DownloadLayers",
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: `arn:${at.partition}:s3:::prod-${at.region}-starport-layer-bucket/*`,
    };
}

/**
 * For the policy of a VPC endpoint: CodeBuild fetches an exporter of the stack, whichever it is: the endpoint exists
 * before the exporter has a name.
 */
export function passExporters(artifactBucketArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "PassExporters",
        Effect: "Allow",
        Action: ["s3:GetObject", "s3:GetObjectVersion"],
        Resource: pulumi.interpolate`${artifactBucketArn}/${exporterPrefix}*`,
    };
}

/** For the policy of a VPC endpoint: builds of the account write their logs. The stack's own group comes later. */
export function passBuildLogs(at: AwsLocation): aws.iam.PolicyStatement {
    return {
        Sid: "PassBuildLogs",
        Effect: "Allow",
        Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
        Resource: pulumi.interpolate`arn:${at.partition}:logs:${at.region}:${at.accountId}:log-group:/aws/codebuild/*`,
    };
}

/** For the policy of a VPC endpoint: a build may ask which role it has. No other role can be assumed through it. */
export function identifyCaller(): aws.iam.PolicyStatement {
    return {
        Sid: "IdentifyCaller",
        Effect: "Allow",
        Action: "sts:GetCallerIdentity",
        // The action has no resource type.
        Resource: "*",
    };
}

/**
 * The state machine asks ECR which digest a tag means, before it starts a build.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html}
 */
export function resolveTags(repositoryArns: string[]): aws.iam.PolicyStatement {
    return {
        Sid: "ResolveTags",
        Effect: "Allow",
        Action: "ecr:DescribeImages",
        Resource: repositoryArns,
    };
}

/**
 * The state machine looks whether an export is there already: HEAD of the archive and of its record, which S3 grants with
 * the right to read.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html}
 */
export function findExports(
    bucketArn: pulumi.Input<string>,
    artifactPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "FindExports",
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: pulumi.interpolate`${bucketArn}/${artifactPrefix}*`,
    };
}

/**
 * The state machine starts builds of one project, reads how they ended, and stops the build of an execution that is
 * aborted: without `StopBuild` that build would run on, and be billed.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html}
 */
export function runBuilds(projectArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "RunBuilds",
        Effect: "Allow",
        Action: ["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"],
        Resource: projectArn,
    };
}

/**
 * Step Functions learns from one EventBridge rule, which it manages itself, that a build has ended.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html}
 */
export function awaitBuilds(at: AwsLocation): aws.iam.PolicyStatement {
    return {
        Sid: "AwaitBuilds",
        Effect: "Allow",
        Action: ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
        Resource: pulumi.interpolate`arn:${at.partition}:events:${at.region}:${at.accountId}:rule/StepFunctionsGetEventForCodeBuildStartBuildRule`,
    };
}

/**
 * Step Functions sets up the delivery of the execution log.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html}
 */
export function deliverExecutionLog(): aws.iam.PolicyStatement {
    return {
        Sid: "DeliverExecutionLog",
        Effect: "Allow",
        Action: [
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ],
        // Log deliveries and resource policies of CloudWatch Logs have no resource type.
        Resource: "*",
    };
}

/**
 * Step Functions sends the execution's trace to X-Ray.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html}
 */
export function traceExecutions(): aws.iam.PolicyStatement {
    return {
        Sid: "TraceExecutions",
        Effect: "Allow",
        Action: [
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ],
        // Traces have no resource type.
        Resource: "*",
    };
}

/** For the bucket policy: nobody, whatever else they may, reaches the bucket without TLS. */
export function denyInsecureTransport(bucketArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "DenyInsecureTransport",
        Effect: "Deny",
        Principal: "*",
        // A Deny is widest where it names everything: every action of S3 on this bucket and its objects.
        Action: "s3:*",
        Resource: [pulumi.interpolate`${bucketArn}`, pulumi.interpolate`${bucketArn}/*`],
        Condition: { Bool: { "aws:SecureTransport": "false" } },
    };
}

/**
 * For the bucket policy: nobody uploads with another encryption than SSE-KMS. An upload that names none is not denied:
 * the bucket's default is for these, and S3 judges the request before it applies the default. The parts of a
 * multipart upload never name one.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html}
 */
export function denyOtherEncryption(bucketArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "DenyOtherEncryption",
        Effect: "Deny",
        Principal: "*",
        Action: "s3:PutObject",
        Resource: pulumi.interpolate`${bucketArn}/*`,
        Condition: {
            // Without this, StringNotEquals would be true of a request that names no encryption.
            Null: { "s3:x-amz-server-side-encryption": "false" },
            StringNotEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
        },
    };
}

/**
 * For the bucket policy: nobody uploads with another key. An upload that asks for SSE-KMS and names no key is denied
 * too, since S3 then takes the account's `aws/s3` key, and not the bucket's.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html}
 */
export function denyOtherKeys(
    bucketArn: pulumi.Input<string>,
    keyArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "DenyOtherKeys",
        Effect: "Deny",
        Principal: "*",
        Action: "s3:PutObject",
        Resource: pulumi.interpolate`${bucketArn}/*`,
        Condition: {
            StringEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
            // True as well of a request that names no key.
            ArnNotEquals: { "s3:x-amz-server-side-encryption-aws-kms-key-id": keyArn },
        },
    };
}

/**
 * For the bucket policy: nobody uploads with a key that only the uploader has (SSE-C). S3 blocks that by itself in
 * buckets made since April 2026, until somebody lifts it.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html}
 */
export function denyCustomerKeys(bucketArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "DenyCustomerKeys",
        Effect: "Deny",
        Principal: "*",
        Action: "s3:PutObject",
        Resource: pulumi.interpolate`${bucketArn}/*`,
        Condition: { Null: { "s3:x-amz-server-side-encryption-customer-algorithm": "false" } },
    };
}

/**
 * S3 uses the key on the caller's behalf, for this bucket and nothing else. With a Bucket Key the encryption context
 * is the ARN of the bucket; that of an object, which is the context without a Bucket Key, is refused.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html}
 */
function throughS3(
    at: AwsLocation,
    bucketArn: pulumi.Input<string>,
): { StringEquals: Record<string, pulumi.Input<string>>; ArnLike: Record<string, pulumi.Input<string>> } {
    return {
        StringEquals: { "kms:ViaService": `s3.${at.region}.amazonaws.com` },
        ArnLike: { "kms:EncryptionContext:aws:s3:arn": bucketArn },
    };
}

/**
 * Whoever writes to the bucket encrypts: builds their archives, batches their results, people their manifests. S3 asks
 * for a data key when an upload begins, and decrypts it again for each part.
 *
 * @see {@link https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions}
 */
export function writeEncrypted(
    at: AwsLocation,
    keyArn: pulumi.Input<string>,
    bucketArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "WriteEncrypted",
        Effect: "Allow",
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        Resource: keyArn,
        Condition: throughS3(at, bucketArn),
    };
}

/** Whoever only reads from the bucket decrypts. */
export function readEncrypted(
    at: AwsLocation,
    keyArn: pulumi.Input<string>,
    bucketArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "ReadEncrypted",
        Effect: "Allow",
        Action: "kms:Decrypt",
        Resource: keyArn,
        Condition: throughS3(at, bucketArn),
    };
}

/**
 * For the key policy: the account administers the key. Its root stands for whomever the account's IAM policies allow,
 * so that the key cannot be lost with one user or role. No action here encrypts or decrypts, nor creates a grant: what
 * IAM policies allow of these has no effect on this key, be it `kms:*`. Who changes the key policy can change that.
 *
 * @see {@link https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html}
 */
export function administerKey(at: AwsLocation): aws.iam.PolicyStatement {
    return {
        Sid: "AdministerKey",
        Effect: "Allow",
        Principal: { AWS: accountRoot(at) },
        Action: [
            "kms:CancelKeyDeletion",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:DescribeKey",
            "kms:DisableKey",
            "kms:EnableKey",
            "kms:EnableKeyRotation",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateAlias",
            "kms:UpdateKeyDescription",
        ],
        // In a key policy: this key.
        Resource: "*",
    };
}

/**
 * For the key policy: whoever IAM policies of the account allow it uses the key, through S3 and for this bucket only.
 * These are the build, by {@link writeEncrypted}, readers, by {@link readEncrypted}, and whoever deploys the stack
 * and so uploads the exporter.
 *
 * @param bucketArn ARN of the bucket, or a pattern of it.
 */
export function encryptObjects(at: AwsLocation, bucketArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "EncryptObjects",
        Effect: "Allow",
        Principal: { AWS: accountRoot(at) },
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        // In a key policy: this key.
        Resource: "*",
        Condition: throughS3(at, bucketArn),
    };
}

/**
 * For the key policy: CloudWatch Logs encrypts the stack's log groups. Callers of CloudWatch Logs need nothing of the
 * key.
 *
 * @param logGroupName Pattern of the log groups' names. The names themselves are not known yet: a log group can only be
 *     made once the key lets CloudWatch Logs encrypt it.
 * @see {@link https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html}
 */
export function encryptLogs(at: AwsLocation, logGroupName: string): aws.iam.PolicyStatement {
    // Of the few services whose principal has another domain in China.
    const domain = at.partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
    return {
        Sid: "EncryptLogs",
        Effect: "Allow",
        Principal: { Service: `logs.${at.region}.${domain}` },
        // What the documentation's wildcards come to for a symmetric key. `Describe*` is left out: it has no encryption
        // context, so that the condition would never be met.
        Action: [
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        // In a key policy: this key.
        Resource: "*",
        Condition: {
            ArnLike: {
                "kms:EncryptionContext:aws:logs:arn": pulumi.interpolate`arn:${at.partition}:logs:${at.region}:${at.accountId}:log-group:${logGroupName}`,
            },
        },
    };
}

/**
 * For the key policy: whoever IAM policies of the account allow it publishes to the stack's encrypted topics, with the
 * key through SNS.
 *
 * @param topicName Pattern of the topics' names.
 * @see {@link https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html}
 */
export function encryptNotifications(at: AwsLocation, topicName: string): aws.iam.PolicyStatement {
    return {
        Sid: "EncryptNotifications",
        Effect: "Allow",
        Principal: { AWS: accountRoot(at) },
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        // In a key policy: this key.
        Resource: "*",
        Condition: {
            StringEquals: { "kms:ViaService": `sns.${at.region}.amazonaws.com` },
            ArnLike: { "kms:EncryptionContext:aws:sns:topicArn": topicArn(at, topicName) },
        },
    };
}

/**
 * For the key policy: alarms of the account publish to the stack's encrypted topics. EventBridge could not be held to an
 * account in the same way: it sends neither `aws:SourceAccount` nor `aws:SourceArn` for an encrypted topic.
 *
 * @param topicName Pattern of the topics' names.
 * @see {@link https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html}
 */
export function encryptAlarms(at: AwsLocation, topicName: string): aws.iam.PolicyStatement {
    return {
        Sid: "EncryptAlarms",
        Effect: "Allow",
        Principal: { Service: "cloudwatch.amazonaws.com" },
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        // In a key policy: this key.
        Resource: "*",
        Condition: {
            StringEquals: { "aws:SourceAccount": at.accountId },
            ArnLike: { "kms:EncryptionContext:aws:sns:topicArn": topicArn(at, topicName) },
        },
    };
}

function topicArn(at: AwsLocation, topicName: string): pulumi.Output<string> {
    return pulumi.interpolate`arn:${at.partition}:sns:${at.region}:${at.accountId}:${topicName}`;
}

function accountRoot(at: AwsLocation): pulumi.Output<string> {
    return pulumi.interpolate`arn:${at.partition}:iam::${at.accountId}:root`;
}

/** For people and programs that request exports: start executions of one state machine, and list them. */
export function startExports(stateMachineArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "StartExports",
        Effect: "Allow",
        Action: ["states:ListExecutions", "states:StartExecution"],
        Resource: stateMachineArn,
    };
}

/** For people and programs that request exports: follow and stop the executions of one state machine. */
export function followExports(
    at: AwsLocation,
    stateMachineName: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "FollowExports",
        Effect: "Allow",
        Action: ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
        Resource: executionsOf(at, stateMachineName),
    };
}

/**
 * For people and programs that request exports: see how far the builds of the project are.
 *
 * @see {@link https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html}
 */
export function followBuilds(projectArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "FollowBuilds",
        Effect: "Allow",
        Action: "codebuild:BatchGetBuilds",
        Resource: projectArn,
    };
}

/**
 * For people and programs that request exports: read what the builds write to their log. The `:*` stands for the log
 * streams of the group.
 *
 * @see {@link https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html}
 */
export function readBuildLogs(at: AwsLocation, logGroupName: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "ReadBuildLogs",
        Effect: "Allow",
        Action: "logs:GetLogEvents",
        Resource: pulumi.interpolate`arn:${at.partition}:logs:${at.region}:${at.accountId}:log-group:${logGroupName}:*`,
    };
}

/** For people and programs that fetch archives: read the objects under the prefix, old versions too. */
export function readArchives(
    bucketArn: pulumi.Input<string>,
    artifactPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "ReadArchives",
        Effect: "Allow",
        Action: ["s3:GetObject", "s3:GetObjectVersion"],
        Resource: pulumi.interpolate`${bucketArn}/${artifactPrefix}*`,
    };
}

/** For people and programs that fetch archives: list what is under the prefix. */
export function listArchives(
    bucketArn: pulumi.Input<string>,
    artifactPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "ListArchives",
        Effect: "Allow",
        Action: "s3:ListBucket",
        Resource: bucketArn,
        Condition: { StringLike: { "s3:prefix": `${artifactPrefix}*` } },
    };
}

/**
 * The state machine of batches exports each image by an execution of the export state machine.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html}
 */
export function exportEachImage(exportMachineArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "ExportEachImage",
        Effect: "Allow",
        Action: "states:StartExecution",
        Resource: exportMachineArn,
    };
}

/**
 * The state machine of batches reads how those executions ended, and stops them when it is stopped itself.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html}
 */
export function followEachExport(
    at: AwsLocation,
    exportMachineName: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "FollowEachExport",
        Effect: "Allow",
        Action: ["states:DescribeExecution", "states:StopExecution"],
        Resource: executionsOf(at, exportMachineName),
    };
}

/**
 * Step Functions learns from one EventBridge rule, which it manages itself, that an execution has ended.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html}
 */
export function awaitExports(at: AwsLocation): aws.iam.PolicyStatement {
    return {
        Sid: "AwaitExports",
        Effect: "Allow",
        Action: ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
        Resource: pulumi.interpolate`arn:${at.partition}:events:${at.region}:${at.accountId}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule`,
    };
}

/**
 * A Distributed Map runs each item in an execution of the state machine that it belongs to.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html}
 */
export function runMap(batchMachineArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return { Sid: "RunMap", Effect: "Allow", Action: "states:StartExecution", Resource: batchMachineArn };
}

/**
 * Step Functions follows the executions of the Map's items. Their ARN has the label of the Map behind the name of the
 * state machine (`execution:NAME/LABEL:ID`); AWS documents the permission without it.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html}
 */
export function followMap(at: AwsLocation, batchMachineName: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "FollowMap",
        Effect: "Allow",
        Action: ["states:DescribeExecution", "states:StopExecution"],
        Resource: [
            executionsOf(at, batchMachineName),
            pulumi.interpolate`arn:${at.partition}:states:${at.region}:${at.accountId}:execution:${batchMachineName}/*`,
        ],
    };
}

/** The state machine of batches, and whoever follows it, ask its Map Runs, and no other's, how many images were exported. */
export function countResults(
    at: AwsLocation,
    batchMachineName: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "CountResults",
        Effect: "Allow",
        Action: "states:DescribeMapRun",
        Resource: pulumi.interpolate`arn:${at.partition}:states:${at.region}:${at.accountId}:mapRun:${batchMachineName}/*`,
    };
}

/**
 * For people and programs that request batches: find the Map Run of an execution, which counts its images.
 *
 * @see {@link https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html}
 */
export function findMapRuns(
    at: AwsLocation,
    batchMachineName: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "FindMapRuns",
        Effect: "Allow",
        Action: "states:ListMapRuns",
        Resource: executionsOf(at, batchMachineName),
    };
}

/** The state machine of batches reads the manifests that people put under their prefix. */
export function readManifests(
    bucketArn: pulumi.Input<string>,
    manifestPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "ReadManifests",
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: pulumi.interpolate`${bucketArn}/${manifestPrefix}*`,
    };
}

/**
 * Step Functions writes the results of a batch, large ones in parts.
 *
 * @see {@link https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html}
 */
export function writeResults(bucketArn: pulumi.Input<string>, resultPrefix: string): aws.iam.PolicyStatement {
    return {
        Sid: "WriteResults",
        Effect: "Allow",
        Action: ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
        Resource: pulumi.interpolate`${bucketArn}/${resultPrefix}*`,
    };
}

/** For people and programs that request batches: put a manifest under its prefix. */
export function putManifests(
    bucketArn: pulumi.Input<string>,
    manifestPrefix: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "PutManifests",
        Effect: "Allow",
        Action: "s3:PutObject",
        Resource: pulumi.interpolate`${bucketArn}/${manifestPrefix}*`,
    };
}

/** For people and programs that request batches: read what became of each image. */
export function readResults(bucketArn: pulumi.Input<string>, resultPrefix: string): aws.iam.PolicyStatement {
    return {
        Sid: "ReadResults",
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: pulumi.interpolate`${bucketArn}/${resultPrefix}*`,
    };
}

/** The ARNs of all executions of a state machine. */
function executionsOf(at: AwsLocation, stateMachineName: pulumi.Input<string>): pulumi.Output<string> {
    return pulumi.interpolate`arn:${at.partition}:states:${at.region}:${at.accountId}:execution:${stateMachineName}:*`;
}

/**
 * EventBridge may assume the role, for rules whose name begins with `ruleNamePrefix`.
 *
 * @see {@link https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html}
 */
export function assumedByEventBridge(at: AwsLocation, ruleNamePrefix: string): aws.iam.PolicyStatement {
    const rules = pulumi.interpolate`arn:${at.partition}:events:${at.region}:${at.accountId}:rule/${ruleNamePrefix}*`;
    return assumedBy("events.amazonaws.com", at.accountId, rules);
}

/**
 * EventBridge Scheduler may assume the role, for the schedules of one group: the group is what it names as the source.
 *
 * @see {@link https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html}
 */
export function assumedByScheduler(
    at: AwsLocation,
    scheduleGroupArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return assumedBy("scheduler.amazonaws.com", at.accountId, scheduleGroupArn);
}

/** A trigger starts the state machine that names the export, and nothing else. */
export function pullTrigger(starterArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "PullTrigger",
        Effect: "Allow",
        Action: "states:StartExecution",
        Resource: starterArn,
    };
}

/** The state machine behind the triggers starts exports. */
export function startTriggeredExports(exportMachineArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "StartTriggeredExports",
        Effect: "Allow",
        Action: "states:StartExecution",
        Resource: exportMachineArn,
    };
}

/**
 * EventBridge Scheduler keeps what it could not deliver in the queue of dead letters.
 *
 * @see {@link https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html}
 */
export function keepUndelivered(queueArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return { Sid: "KeepUndelivered", Effect: "Allow", Action: "sqs:SendMessage", Resource: queueArn };
}

/**
 * For the policy of the queue of dead letters: one rule of EventBridge may put there what it could not deliver.
 *
 * @see {@link https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html}
 */
export function letRuleKeepUndelivered(
    queueArn: pulumi.Input<string>,
    ruleArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "LetRuleKeepUndelivered",
        Effect: "Allow",
        Principal: { Service: "events.amazonaws.com" },
        Action: "sqs:SendMessage",
        Resource: queueArn,
        Condition: { ArnEquals: { "aws:SourceArn": ruleArn } },
    };
}

/** For the policy of the queue of dead letters: nobody reaches it without TLS. */
export function denyInsecureQueue(queueArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "DenyInsecureQueue",
        Effect: "Deny",
        Principal: "*",
        Action: "sqs:*",
        Resource: queueArn,
        Condition: { Bool: { "aws:SecureTransport": "false" } },
    };
}

/** A rule that an execution has ended by starts the state machine that tells of it, and nothing else. */
export function wakeNotifier(notifierArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return { Sid: "WakeNotifier", Effect: "Allow", Action: "states:StartExecution", Resource: notifierArn };
}

/** The state machine that tells how executions ended asks for error and cause, which the event may lack. */
export function readOutcomes(
    at: AwsLocation,
    stateMachineNames: pulumi.Input<string>[],
): aws.iam.PolicyStatement {
    return {
        Sid: "ReadOutcomes",
        Effect: "Allow",
        Action: "states:DescribeExecution",
        Resource: stateMachineNames.map((name) => executionsOf(at, name)),
    };
}

/** The state machine that tells how executions ended publishes to the topic. */
export function publishNotifications(notificationTopicArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "PublishNotifications",
        Effect: "Allow",
        Action: "sns:Publish",
        Resource: notificationTopicArn,
    };
}

/**
 * SNS encrypts, with the key, what that state machine publishes.
 *
 * @see {@link https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html}
 */
export function publishEncrypted(
    at: AwsLocation,
    keyArn: pulumi.Input<string>,
    notificationTopicArn: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    return {
        Sid: "PublishEncrypted",
        Effect: "Allow",
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        Resource: keyArn,
        Condition: {
            StringEquals: {
                "kms:EncryptionContext:aws:sns:topicArn": notificationTopicArn,
                "kms:ViaService": `sns.${at.region}.amazonaws.com`,
            },
        },
    };
}

/**
 * For the topic's policy: alarms of this account publish, those whose names begin as the stack's do. The state machine
 * that tells of executions has a role of the account, for which its own policy is enough.
 *
 * @param alarmNames Pattern of the alarms' names.
 * @see {@link https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html}
 */
export function letAlarmsPublish(
    at: AwsLocation,
    notificationTopicArn: pulumi.Input<string>,
    alarmNames: string,
): aws.iam.PolicyStatement {
    return {
        Sid: "LetAlarmsPublish",
        Effect: "Allow",
        Principal: { Service: "cloudwatch.amazonaws.com" },
        Action: "sns:Publish",
        Resource: notificationTopicArn,
        Condition: {
            StringEquals: { "aws:SourceAccount": at.accountId },
            ArnLike: { "aws:SourceArn": alarmsOf(at, alarmNames) },
        },
    };
}

/**
 * For the topic's policy: nobody publishes without TLS. SNS knows no `sns:*` in the policy of a topic.
 *
 * @see {@link https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html}
 */
export function denyInsecurePublishing(notificationTopicArn: pulumi.Input<string>): aws.iam.PolicyStatement {
    return {
        Sid: "DenyInsecurePublishing",
        Effect: "Deny",
        Principal: "*",
        Action: "sns:Publish",
        Resource: notificationTopicArn,
        Condition: { Bool: { "aws:SecureTransport": "false" } },
    };
}

/**
 * The chat service may assume the channel's role, for one channel configuration.
 *
 * @see {@link https://docs.aws.amazon.com/chatbot/latest/adminguide/cross-service-confused-deputy-prevention.html}
 */
export function assumedByChat(
    at: AwsLocation,
    configurationName: pulumi.Input<string>,
): aws.iam.PolicyStatement {
    // Without a region: the service is one for all of them.
    const channel = pulumi.interpolate`arn:${at.partition}:chatbot::${at.accountId}:chat-configuration/slack-channel/${configurationName}`;
    return assumedBy("chatbot.amazonaws.com", at.accountId, channel);
}

/**
 * The chat channel draws the metric behind an alarm; the alarm itself comes with the notification.
 *
 * @see {@link https://docs.aws.amazon.com/chatbot/latest/adminguide/chatbot-iam-policies.html}
 */
export function showMetrics(): aws.iam.PolicyStatement {
    return {
        Sid: "ShowMetrics",
        Effect: "Allow",
        Action: ["cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage"],
        // Metrics have no resource type.
        Resource: "*",
    };
}

function alarmsOf(at: AwsLocation, alarmNames: string): pulumi.Output<string> {
    return pulumi.interpolate`arn:${at.partition}:cloudwatch:${at.region}:${at.accountId}:alarm:${alarmNames}`;
}
