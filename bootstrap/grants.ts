/**
 * What a deployment may do: for each resource type that ecr-image-export declares, the calls that the AWS provider makes
 * to create, read, change, tag and delete such a resource, and on what. Nothing else is allowed; the tests compare the
 * table with the types that the program declares.
 *
 * Where AWS lets a resource have a name of the program's choice, that name's beginning is the limit. Where it has none
 * (VPCs, keys), the tags are, which the program puts on everything. The actions are those of the Service Authorization
 * Reference (docs.aws.amazon.com/service-authorization/latest/reference/).
 */

/** The account and the stack that is deployed to it. */
export interface Target {
    /** AWS partition, for instance `aws`. */
    readonly partition: string;
    /** AWS region of the stack. */
    readonly region: string;
    readonly accountId: string;
    /** Name of the stack of ecr-image-export, for instance `dev`. */
    readonly stack: string;
    /** Name of the stack's bucket, where it has adopted one instead of making its own. */
    readonly existingBucket?: string | undefined;
}

/** Conditions of a statement: operator, key, value. */
export type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

/** Some actions on some resources. */
export interface Grant {
    readonly actions: readonly string[];
    /** ARNs, or patterns of them. */
    readonly on: readonly ((target: Target) => string)[];
    readonly when?: (target: Target) => Conditions;
}

/** What every name that the program gives begins with. */
export const namePrefix = "image-export-";

/** The project whose stacks are deployed; the tag `project` of its resources. */
export const project = "ecr-image-export";

/** A resource of the stack's account and region. */
export const here =
    (service: string, resource: string) =>
    ({ partition, region, accountId }: Target) =>
        `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
const role =
    (name: string) =>
    ({ partition, accountId }: Target) =>
        `arn:${partition}:iam::${accountId}:role/${name}`;
const everything = () => "*";

/** The bucket of the archives. */
export const arnOfBucket = ({ partition, existingBucket }: Target) =>
    `arn:${partition}:s3:::${existingBucket ?? `${namePrefix}bucket-*`}`;
/** Objects in the bucket of the archives. */
export const arnOfObjects = (keys: string) => (target: Target) => `${arnOfBucket(target)}/${keys}`;
const logGroups = ["codebuild", "vendedlogs/states", "vpc-flow-logs"].map((service) =>
    here("logs", `log-group:/aws/${service}/${namePrefix}*`),
);
const roles = role(`${namePrefix}*`);
const topics = here("sns", `${namePrefix}*`);
// Named as the topic is.
const chatConfigurations = ({ partition, accountId }: Target) =>
    `arn:${partition}:chatbot::${accountId}:chat-configuration/slack-channel/${namePrefix}*`;
const keys = here("kms", "key/*");
const ec2 = (kind: string) => here("ec2", `${kind}/*`);

/** The resource has the tags of the stack. */
const tagged = ({ stack }: Target): Conditions => ({
    StringEquals: { "aws:ResourceTag/project": project, "aws:ResourceTag/stack": stack },
});
/** The resource is given the tags of the stack. */
const tagging = ({ stack }: Target): Conditions => ({
    StringEquals: { "aws:RequestTag/project": project, "aws:RequestTag/stack": stack },
});
/** The role is limited by the boundary that this program makes: see boundary.ts. */
const bounded = (target: Target): Conditions => ({
    StringEquals: { "iam:PermissionsBoundary": boundaryArn(target) },
});

/** ARN of the permissions boundary of every role of the stack. It is named, since a condition of its users names it. */
export function boundaryArn({ partition, accountId, stack }: Target): string {
    return `arn:${partition}:iam::${accountId}:policy/${boundaryName(stack)}`;
}

/** Name of the permissions boundary, which does not begin like the names that a deployment may use. */
export function boundaryName(stack: string): string {
    return `deploy-${namePrefix}boundary-${stack}`;
}

/** A role of the stack may be handed to this service, and to no other. */
const passTo = (service: string): Grant => ({
    actions: ["iam:PassRole"],
    on: [roles],
    when: () => ({ StringEquals: { "iam:PassedToService": service } }),
});

const sideResource = (...actions: string[]): Grant[] => [{ actions, on: [arnOfBucket] }];

/** The tags of a resource of EC2, when it is made and later. */
const ec2Tags = (kind: string, createAction: string): Grant[] => [
    {
        actions: ["ec2:CreateTags"],
        on: [ec2(kind)],
        when: () => ({ StringEquals: { "ec2:CreateAction": createAction } }),
    },
    { actions: ["ec2:CreateTags", "ec2:DeleteTags"], on: [ec2(kind)], when: tagged },
];
/** EC2 has no resource types for questions. */
const ec2Reads = (...actions: string[]): Grant => ({ actions, on: [everything] });

/** The grants of each resource type, by its token. */
export const grants: Readonly<Record<string, readonly Grant[]>> = {
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": [
        {
            actions: ["chatbot:DeleteSlackChannelConfiguration", "chatbot:UpdateSlackChannelConfiguration"],
            on: [chatConfigurations],
        },
        { actions: ["chatbot:TagResource", "chatbot:UntagResource"], on: [chatConfigurations] },
        // These have no resource type.
        {
            actions: [
                "chatbot:CreateSlackChannelConfiguration",
                "chatbot:DescribeSlackChannelConfigurations",
                "chatbot:ListTagsForResource",
            ],
            on: [everything],
        },
        passTo("chatbot.amazonaws.com"),
    ],
    "aws:cloudwatch/dashboard:Dashboard": [
        {
            actions: ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
            // A dashboard has no region, and the name of the state machine.
            on: [
                ({ partition, accountId }) =>
                    `arn:${partition}:cloudwatch::${accountId}:dashboard/${namePrefix}*`,
            ],
        },
    ],
    "aws:cloudwatch/eventRule:EventRule": [
        {
            actions: [
                "events:DeleteRule",
                "events:DescribeRule",
                "events:DisableRule",
                "events:EnableRule",
                "events:ListTagsForResource",
                "events:PutRule",
                "events:TagResource",
                "events:UntagResource",
            ],
            on: [here("events", `rule/${namePrefix}*`)],
        },
    ],
    "aws:cloudwatch/eventTarget:EventTarget": [
        {
            actions: ["events:ListTargetsByRule", "events:PutTargets", "events:RemoveTargets"],
            on: [here("events", `rule/${namePrefix}*`)],
        },
        passTo("events.amazonaws.com"),
    ],
    "aws:cloudwatch/logGroup:LogGroup": [
        {
            actions: [
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:DisassociateKmsKey",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            on: logGroups,
        },
        // The provider looks a group up by the beginning of its name: the action has no resource type.
        { actions: ["logs:DescribeLogGroups"], on: [everything] },
    ],
    "aws:cloudwatch/metricAlarm:MetricAlarm": [
        {
            actions: [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            on: [here("cloudwatch", `alarm:${namePrefix}*`)],
        },
    ],
    "aws:codebuild/project:Project": [
        {
            actions: [
                "codebuild:BatchGetProjects",
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
            ],
            on: [here("codebuild", `project/${namePrefix}*`)],
        },
        passTo("codebuild.amazonaws.com"),
    ],
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": [
        // AWS makes the group with the VPC, without tags: the provider takes its rules away first, and tags it then.
        {
            actions: ["ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"],
            on: [ec2("security-group")],
        },
        { actions: ["ec2:CreateTags"], on: [ec2("security-group")], when: tagging },
        ec2Reads("ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"),
    ],
    "aws:ec2/flowLog:FlowLog": [
        { actions: ["ec2:CreateFlowLogs"], on: [ec2("vpc-flow-log")], when: tagging },
        { actions: ["ec2:CreateFlowLogs"], on: [ec2("vpc")], when: tagged },
        { actions: ["ec2:DeleteFlowLogs"], on: [ec2("vpc-flow-log")], when: tagged },
        ...ec2Tags("vpc-flow-log", "CreateFlowLogs"),
        ec2Reads("ec2:DescribeFlowLogs"),
        passTo("vpc-flow-logs.amazonaws.com"),
    ],
    "aws:ec2/routeTable:RouteTable": [
        { actions: ["ec2:CreateRouteTable"], on: [ec2("route-table")], when: tagging },
        { actions: ["ec2:CreateRouteTable"], on: [ec2("vpc")], when: tagged },
        { actions: ["ec2:DeleteRouteTable", "ec2:DeleteRoute"], on: [ec2("route-table")], when: tagged },
        ...ec2Tags("route-table", "CreateRouteTable"),
        ec2Reads("ec2:DescribeRouteTables"),
    ],
    "aws:ec2/routeTableAssociation:RouteTableAssociation": [
        {
            actions: [
                "ec2:AssociateRouteTable",
                "ec2:DisassociateRouteTable",
                "ec2:ReplaceRouteTableAssociation",
            ],
            on: [ec2("route-table"), ec2("subnet")],
            when: tagged,
        },
        ec2Reads("ec2:DescribeRouteTables"),
    ],
    "aws:ec2/securityGroup:SecurityGroup": [
        { actions: ["ec2:CreateSecurityGroup"], on: [ec2("security-group")], when: tagging },
        { actions: ["ec2:CreateSecurityGroup"], on: [ec2("vpc")], when: tagged },
        {
            actions: [
                "ec2:DeleteSecurityGroup",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
            ],
            on: [ec2("security-group")],
            when: tagged,
        },
        ...ec2Tags("security-group", "CreateSecurityGroup"),
        ec2Reads("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups"),
    ],
    "aws:ec2/subnet:Subnet": [
        { actions: ["ec2:CreateSubnet"], on: [ec2("subnet")], when: tagging },
        { actions: ["ec2:CreateSubnet"], on: [ec2("vpc")], when: tagged },
        { actions: ["ec2:DeleteSubnet", "ec2:ModifySubnetAttribute"], on: [ec2("subnet")], when: tagged },
        ...ec2Tags("subnet", "CreateSubnet"),
        ec2Reads("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    ],
    "aws:ec2/vpc:Vpc": [
        { actions: ["ec2:CreateVpc"], on: [ec2("vpc")], when: tagging },
        {
            actions: ["ec2:DeleteVpc", "ec2:DescribeVpcAttribute", "ec2:ModifyVpcAttribute"],
            on: [ec2("vpc")],
            when: tagged,
        },
        ...ec2Tags("vpc", "CreateVpc"),
        ec2Reads(
            "ec2:DescribeNetworkAcls",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeVpcs",
        ),
    ],
    "aws:ec2/vpcEndpoint:VpcEndpoint": [
        { actions: ["ec2:CreateVpcEndpoint"], on: [ec2("vpc-endpoint")], when: tagging },
        {
            actions: ["ec2:CreateVpcEndpoint"],
            on: ["vpc", "subnet", "security-group", "route-table"].map(ec2),
            when: tagged,
        },
        {
            actions: ["ec2:ModifyVpcEndpoint"],
            on: ["vpc-endpoint", "subnet", "security-group", "route-table"].map(ec2),
            when: tagged,
        },
        { actions: ["ec2:DeleteVpcEndpoints"], on: [ec2("vpc-endpoint")], when: tagged },
        ...ec2Tags("vpc-endpoint", "CreateVpcEndpoint"),
        ec2Reads("ec2:DescribePrefixLists", "ec2:DescribeVpcEndpoints"),
        // Private DNS: docs.aws.amazon.com/vpc/latest/privatelink/security_iam_id-based-policy-examples.html
        {
            actions: ["route53:AssociateVPCWithHostedZone"],
            on: [({ partition }) => `arn:${partition}:route53:::hostedzone/*`],
        },
    ],
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": [
        {
            actions: [
                "ecr:CreatePullThroughCacheRule",
                "ecr:DeletePullThroughCacheRule",
                "ecr:DescribePullThroughCacheRules",
                "ecr:UpdatePullThroughCacheRule",
            ],
            // Rules belong to the registry of the account, and have no resource type.
            on: [everything],
        },
        {
            actions: ["iam:CreateServiceLinkedRole"],
            on: [role("aws-service-role/pullthroughcache.ecr.amazonaws.com/*")],
            when: () => ({
                StringEquals: { "iam:AWSServiceName": "pullthroughcache.ecr.amazonaws.com" },
            }),
        },
    ],
    // Of no use to any role: nothing here attaches a policy. It bounds what a chat channel can do.
    "aws:iam/policy:Policy": [
        {
            actions: [
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:ListPolicyVersions",
                "iam:TagPolicy",
                "iam:UntagPolicy",
            ],
            on: [({ partition, accountId }) => `arn:${partition}:iam::${accountId}:policy/${namePrefix}*`],
        },
    ],
    "aws:iam/role:Role": [
        { actions: ["iam:CreateRole", "iam:PutRolePermissionsBoundary"], on: [roles], when: bounded },
        {
            actions: [
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            on: [roles],
        },
    ],
    "aws:iam/rolePolicy:RolePolicy": [
        { actions: ["iam:DeleteRolePolicy", "iam:PutRolePolicy"], on: [roles], when: bounded },
        { actions: ["iam:GetRolePolicy"], on: [roles] },
    ],
    "aws:kms/alias:Alias": [
        {
            actions: ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            on: [here("kms", `alias/${namePrefix}*`)],
        },
        {
            actions: ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            on: [keys],
            when: tagged,
        },
        // The provider looks an alias up among all of them: the action has no resource type.
        { actions: ["kms:ListAliases"], on: [everything] },
    ],
    "aws:kms/key:Key": [
        // A key has no ARN before it is made.
        { actions: ["kms:CreateKey"], on: [everything], when: tagging },
        { actions: ["kms:TagResource"], on: [keys], when: tagging },
        {
            actions: [
                "kms:DescribeKey",
                "kms:DisableKey",
                "kms:EnableKey",
                "kms:EnableKeyRotation",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "kms:UntagResource",
                "kms:UpdateKeyDescription",
            ],
            on: [keys],
            when: tagged,
        },
    ],
    "aws:s3/bucket:Bucket": [
        {
            actions: [
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:GetAccelerateConfiguration",
                "s3:GetBucketAcl",
                "s3:GetBucketCORS",
                "s3:GetBucketLocation",
                "s3:GetBucketLogging",
                "s3:GetBucketObjectLockConfiguration",
                "s3:GetBucketPolicy",
                "s3:GetBucketRequestPayment",
                "s3:GetBucketTagging",
                "s3:GetBucketVersioning",
                "s3:GetBucketWebsite",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
                "s3:ListTagsForResource",
                "s3:PutBucketTagging",
                "s3:TagResource",
                "s3:UntagResource",
            ],
            on: [arnOfBucket],
        },
        // With `retention.protect: false` the bucket is emptied before it is deleted.
        { actions: ["s3:ListBucketVersions"], on: [arnOfBucket] },
        { actions: ["s3:DeleteObject", "s3:DeleteObjectVersion"], on: [arnOfObjects("*")] },
    ],
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": sideResource(
        "s3:GetLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": [
        {
            actions: [
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            on: [arnOfObjects(".exporter/*")],
        },
        { actions: ["s3:ListBucketVersions"], on: [arnOfBucket] },
        // The exporter is encrypted like the archives, with the stack's key or a given one, of whatever account.
        {
            actions: ["kms:Decrypt", "kms:GenerateDataKey"],
            on: [({ partition, region }) => `arn:${partition}:kms:${region}:*:key/*`],
            when: (target) => ({
                StringEquals: { "kms:ViaService": `s3.${target.region}.amazonaws.com` },
                StringLike: { "kms:EncryptionContext:aws:s3:arn": arnOfBucket(target) },
            }),
        },
    ],
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": sideResource(
        "s3:GetBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": sideResource(
        "s3:DeleteBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": sideResource(
        "s3:GetBucketPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": sideResource(
        "s3:GetEncryptionConfiguration",
        "s3:PutEncryptionConfiguration",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": sideResource(
        "s3:GetBucketVersioning",
        "s3:PutBucketVersioning",
    ),
    "aws:scheduler/schedule:Schedule": [
        {
            actions: [
                "scheduler:CreateSchedule",
                "scheduler:DeleteSchedule",
                "scheduler:GetSchedule",
                "scheduler:UpdateSchedule",
            ],
            on: [here("scheduler", `schedule/${namePrefix}*/${namePrefix}*`)],
        },
        passTo("scheduler.amazonaws.com"),
    ],
    "aws:scheduler/scheduleGroup:ScheduleGroup": [
        {
            actions: [
                "scheduler:CreateScheduleGroup",
                "scheduler:DeleteScheduleGroup",
                "scheduler:GetScheduleGroup",
                "scheduler:ListTagsForResource",
                "scheduler:TagResource",
                "scheduler:UntagResource",
            ],
            on: [here("scheduler", `schedule-group/${namePrefix}*`)],
        },
    ],
    "aws:sfn/stateMachine:StateMachine": [
        {
            actions: [
                "states:CreateStateMachine",
                "states:DeleteStateMachine",
                "states:DescribeStateMachine",
                "states:ListStateMachineVersions",
                "states:ListTagsForResource",
                "states:TagResource",
                "states:UntagResource",
                "states:UpdateStateMachine",
            ],
            on: [here("states", `stateMachine:${namePrefix}*`)],
        },
        passTo("states.amazonaws.com"),
    ],
    "aws:sns/topic:Topic": [
        {
            actions: [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetTopicAttributes",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:TagResource",
                "sns:UntagResource",
            ],
            on: [topics],
        },
    ],
    "aws:sns/topicPolicy:TopicPolicy": [
        { actions: ["sns:GetTopicAttributes", "sns:SetTopicAttributes"], on: [topics] },
    ],
    "aws:sns/topicSubscription:TopicSubscription": [
        {
            actions: [
                "sns:GetSubscriptionAttributes",
                "sns:SetSubscriptionAttributes",
                "sns:Subscribe",
                "sns:Unsubscribe",
            ],
            on: [topics],
        },
    ],
    "aws:sqs/queue:Queue": [
        {
            actions: [
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ],
            on: [here("sqs", `${namePrefix}*`)],
        },
    ],
    "aws:sqs/queuePolicy:QueuePolicy": [
        {
            actions: ["sqs:GetQueueAttributes", "sqs:SetQueueAttributes"],
            on: [here("sqs", `${namePrefix}*`)],
        },
    ],
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": securityGroupRule("Egress"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": securityGroupRule("Ingress"),
};

/**
 * What a preview needs: it compares the program with Pulumi's record of the stack, and asks AWS what only AWS knows. A
 * preview that is to look at the resources themselves (`--refresh`) needs the grants of a deployment.
 */
export const previewGrants: readonly Grant[] = [
    // For `aws.getAvailabilityZones`. `aws.getCallerIdentity` is answered to everybody.
    { actions: ["ec2:DescribeAvailabilityZones"], on: [everything] },
    // The provider has Step Functions check a definition that changes, before there is anything to name.
    { actions: ["states:ValidateStateMachineDefinition"], on: [everything] },
];

/** The functions of the provider that {@link previewGrants} are for, beside the definitions. */
export const grantedFunctions: readonly string[] = [
    "aws:index/getAvailabilityZones:getAvailabilityZones",
    "aws:index/getCallerIdentity:getCallerIdentity",
];

function securityGroupRule(direction: "Egress" | "Ingress"): Grant[] {
    const authorize = `ec2:AuthorizeSecurityGroup${direction}`;
    return [
        { actions: [authorize], on: [ec2("security-group-rule")], when: tagging },
        {
            actions: [authorize, `ec2:RevokeSecurityGroup${direction}`, "ec2:ModifySecurityGroupRules"],
            on: [ec2("security-group")],
            when: tagged,
        },
        {
            actions: ["ec2:ModifySecurityGroupRules"],
            on: [ec2("security-group-rule")],
            when: tagged,
        },
        ...ec2Tags("security-group-rule", `AuthorizeSecurityGroup${direction}`),
        ec2Reads("ec2:DescribeSecurityGroupRules"),
    ];
}
