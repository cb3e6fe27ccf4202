/**
 * What previews, deployments and the roles that deployments make may do. Where AWS lets a resource have a name of the program's
 * choice, the beginning of that name is the limit; where it has none (VPCs, keys), the tags are, which the program puts on
 * everything. Source of the actions: docs.aws.amazon.com/service-authorization/latest/reference/
 */
import type * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";

/** The project whose stacks are deployed; the tag `project` of its resources. */
export const project = "ecr-image-export";

/** What every name that the program gives begins with. */
const prefix = "image-export-";

/** The account and the stack that is deployed to it. */
export interface Target {
    readonly partition: string;
    /** Domain of the partition's services, for instance `amazonaws.com`. */
    readonly domain: string;
    readonly region: string;
    readonly accountId: string;
    /** Name of the stack of ecr-image-export, for instance `dev`. */
    readonly stack: string;
    /** Name of the bucket that the stack has adopted; undefined where it makes its own. */
    readonly existingBucket?: string | undefined;
}

type Policy = aws.iam.PolicyDocument;
type Statement = aws.iam.PolicyStatement;

function policyOf(...statements: Statement[]): Policy {
    return { Version: "2012-10-17", Statement: statements };
}

/** Allows actions, which are separated by white space. */
function allow(actions: string, Resource: string | string[], Condition?: Statement["Condition"]): Statement {
    return { Effect: "Allow", Action: actions.split(/\s+/), Resource, ...(Condition && { Condition }) };
}

/** What previews, deployments and the roles that deployments make may do for a target. */
export function policiesFor({ partition, domain, region, accountId, stack, existingBucket }: Target) {
    const here = (service: string, resource: string) =>
        `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
    const global = (service: string, resource: string) => `arn:${partition}:${service}::${accountId}:${resource}`;
    const ec2 = (types: string) => types.split(/\s+/).map((type) => here("ec2", `${type}/*`));
    const bucket = `arn:${partition}:s3:::${existingBucket ?? `${prefix}*`}`;
    const exporter = `${bucket}/.exporter/*`;
    const roles = global("iam", `role/${prefix}*`);
    const keys = here("kms", "key/*");
    // Everything that has a name, but for roles, buckets and aliases of keys.
    const named = [
        global("chatbot", `chat-configuration/slack-channel/${prefix}*`),
        global("cloudwatch", `dashboard/${prefix}*`),
        here("cloudwatch", `alarm:${prefix}*`),
        here("codebuild", `project/${prefix}*`),
        here("events", `rule/${prefix}*`),
        global("iam", `policy/${prefix}*`),
        here("logs", `log-group:/aws/*/${prefix}*`),
        here("scheduler", `schedule/${prefix}*`),
        here("scheduler", `schedule-group/${prefix}*`),
        here("sns", `${prefix}*`),
        here("sqs", `${prefix}*`),
        here("states", `stateMachine:${prefix}*`),
    ];
    // The resource has the stack's tags, is given them, or belongs to no stack yet.
    const tagsIn = (where: string) => ({
        StringEquals: { [`aws:${where}/project`]: project, [`aws:${where}/stack`]: stack },
    });
    const tagged = tagsIn("ResourceTag");
    const tagging = tagsIn("RequestTag");
    const untagged = { Null: { "aws:ResourceTag/project": "true" } };
    // Keys of whatever account, as a stack may be given one, but through a service and for one bucket or topic only.
    const keysThrough = (service: string, context: string, of: string) =>
        allow("kms:Decrypt kms:GenerateDataKey", `arn:${partition}:kms:${region}:*:key/*`, {
            StringEquals: { "kms:ViaService": `${service}.${region}.${domain}` },
            StringLike: { [`kms:EncryptionContext:aws:${context}`]: of },
        });

    // What a preview may do: look at what the stack has. It reads no archive, no log and no message, since it runs code that nobody
    // has agreed to yet.
    const preview = policyOf(
        // None of these has a resource type that says more. EC2's are listed, since `ec2:Describe*` reads user data, too.
        allow(
            `chatbot:Describe* chatbot:ListTagsForResource ecr:DescribePullThroughCacheRules kms:GetPublicKey kms:ListAliases
            ec2:DescribeAddresses* ec2:DescribeAvailabilityZones ec2:DescribeFlowLogs ec2:DescribeInternetGateways
            ec2:DescribeNatGateways ec2:DescribeNetwork* ec2:Describe*PrefixLists ec2:DescribeRouteTables
            ec2:DescribeSecurityGroup* ec2:DescribeSubnets ec2:DescribeVpc*
            logs:DescribeLogGroups states:ValidateStateMachineDefinition`,
            "*",
        ),
        // Not `logs:Get*`, which reads the log.
        allow(
            `cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* codebuild:BatchGetProjects events:Describe* events:List*
            iam:Get* iam:List* logs:List* scheduler:Get* scheduler:List* sns:Get* sns:List* sqs:Get* sqs:List*
            states:Describe* states:List*`,
            [...named, roles],
        ),
        allow("s3:GetBucket* s3:Get*Configuration s3:ListBucket* s3:ListTags*", bucket),
        allow("kms:Describe* kms:Get* kms:List*", keys, tagged),
    );

    // What a deployment may do besides: make and change what the program declares. It deletes no bucket, no archive and no key:
    // that is for people, under their own names.
    const deploy = policyOf(
        allow(
            `chatbot:*SlackChannelConfiguration chatbot:*Tag* cloudwatch:*Alarm* cloudwatch:*Dashboard* cloudwatch:*Tag*
            codebuild:*Project events:*Rule events:*Targets* events:*Tag* iam:*Policy*
            logs:*LogGroup* logs:*RetentionPolicy logs:*KmsKey logs:*Tag* scheduler:*Schedule* scheduler:*Tag*
            sns:*Topic* sns:*Subscription* sns:Subscribe sns:Unsubscribe sns:*Tag* sqs:*Queue*
            states:*StateMachine* states:*Tag*`,
            named,
        ),
        // These belong to the account, and have no resource type.
        allow("chatbot:CreateSlackChannelConfiguration ecr:*PullThroughCacheRule", "*"),
        allow(
            "iam:CreateServiceLinkedRole",
            global("iam", "role/aws-service-role/pullthroughcache.ecr.amazonaws.com/*"),
        ),

        // Roles, under the permissions boundary only, which cannot be taken off; handed to these services only.
        allow("iam:CreateRole iam:DeleteRolePolicy iam:PutRolePermissionsBoundary iam:PutRolePolicy", roles, {
            StringEquals: { "iam:PermissionsBoundary": global("iam", `policy/${boundaryName(stack)}`) },
        }),
        allow("iam:DeleteRole iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole*", roles),
        allow("iam:PassRole", roles, {
            StringEquals: {
                "iam:PassedToService": "chatbot codebuild events scheduler states vpc-flow-logs"
                    .split(" ")
                    .map((service) => `${service}.amazonaws.com`),
            },
        }),

        // The bucket, and in it the exporter. Whoever may write the bucket's policy could let himself in to the archives, and
        // whoever may write a role's trust could take the role: neither here.
        allow(
            `s3:CreateBucket s3:DeleteBucketPolicy s3:PutBucket* s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration
            s3:TagResource s3:UntagResource`,
            bucket,
        ),
        allow("s3:DeleteObject* s3:GetObject* s3:PutObject*", exporter),
        keysThrough("s3", "s3:arn", bucket),
        { Effect: "Deny", Action: ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*"], NotResource: exporter },
        { Effect: "Deny", Action: "sts:AssumeRole", Resource: "*" },

        // A key has no ARN before it is made.
        allow("kms:CreateKey", "*", tagging),
        allow("kms:TagResource", keys, { ...tagging, ...untagged }),
        allow("kms:*Alias kms:EnableKey* kms:PutKeyPolicy kms:*agResource kms:UpdateKeyDescription", keys, tagged),
        allow("kms:*Alias", here("kms", `alias/${prefix}*`)),

        // Networks: what is made is given the stack's tags, what exists has them.
        allow("ec2:CreateVpc", ec2("vpc"), tagging),
        allow(
            `ec2:AllocateAddress ec2:AuthorizeSecurityGroup* ec2:CreateFlowLogs ec2:CreateInternetGateway
            ec2:CreateNatGateway ec2:CreateRouteTable ec2:CreateSecurityGroup ec2:CreateSubnet ec2:CreateVpcEndpoint`,
            ec2(
                `elastic-ip internet-gateway natgateway route-table security-group security-group-rule subnet vpc-endpoint
                vpc-flow-log`,
            ),
            tagging,
        ),
        allow("ec2:CreateTags", here("ec2", "*"), { ...tagging, Null: { "ec2:CreateAction": "false" } }),
        allow(
            `ec2:*ssociate* ec2:*tachInternetGateway ec2:AuthorizeSecurityGroup* ec2:Create* ec2:Delete* ec2:Modify*
            ec2:ReleaseAddress ec2:Replace* ec2:RevokeSecurityGroup*`,
            here("ec2", "*"),
            tagged,
        ),
        // AWS makes a VPC's default group without tags: the provider takes its rules away and tags it.
        allow("ec2:RevokeSecurityGroup*", ec2("security-group"), untagged),
        allow("ec2:CreateTags", ec2("security-group"), { ...tagging, ...untagged }),
        // Private DNS: docs.aws.amazon.com/vpc/latest/privatelink/security_iam_id-based-policy-examples.html
        allow("route53:AssociateVPCWithHostedZone", `arn:${partition}:route53:::hostedzone/*`),
    );

    // The permissions boundary: the most that a role of the stack can ever do, whatever policy a deployment writes for it. It knows
    // no action of IAM and STS, so that no role of the stack makes or assumes another, and none that deletes an archive.
    const boundary = policyOf(
        // None of these has a resource type that says more.
        allow(
            `cloudwatch:GetMetric* ec2:DescribeDhcpOptions ec2:DescribeNetworkInterfaces ec2:DescribeSecurityGroups
            ec2:DescribeSubnets ec2:DescribeVpcs ecr:GetAuthorizationToken logs:*LogDeliver* logs:DescribeLogGroups
            logs:*ResourcePolic* xray:GetSampling* xray:Put*`,
            "*",
        ),
        // Images of this account and, where their owners consent, of others.
        allow(
            `ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:BatchImportUpstreamImage ecr:CreateRepository
            ecr:DescribeImages ecr:GetDownloadUrlForLayer`,
            `arn:${partition}:ecr:*:*:repository/*`,
        ),
        // Archives, the exporter, manifests and results; not in a bucket of somebody else whose name begins alike.
        allow(
            "s3:AbortMultipartUpload s3:GetObject s3:GetObjectVersion s3:ListMultipartUploadParts s3:PutObject",
            `${bucket}/*`,
            { StringEquals: { "aws:ResourceAccount": accountId } },
        ),
        allow("s3:ListBucket", bucket),
        keysThrough("s3", "s3:arn", bucket),
        keysThrough("sns", "sns:topicArn", here("sns", `${prefix}*`)),
        allow("kms:Sign", `arn:${partition}:kms:${region}:*:key/*`, {
            StringEquals: { "kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256" },
        }),
        // Builds, executions, triggers, messages and logs; the rules by which Step Functions learns what it waits for.
        allow(
            `codebuild:BatchGetBuilds codebuild:StartBuild codebuild:StopBuild events:DescribeRule events:PutRule
            events:PutTargets logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents sns:Publish sqs:SendMessage
            states:DescribeExecution states:DescribeMapRun states:StartExecution states:StopExecution`,
            [
                ...named,
                here("states", `execution:${prefix}*`),
                here("states", `mapRun:${prefix}*`),
                here("events", "rule/StepFunctionsGetEvent*"),
            ],
        ),
        // Builds in a VPC.
        allow("ec2:CreateNetworkInterface", ec2("network-interface subnet security-group")),
        allow("ec2:DeleteNetworkInterface", ec2("network-interface")),
        allow("ec2:CreateNetworkInterfacePermission", ec2("network-interface"), {
            StringEquals: { "ec2:AuthorizedService": "codebuild.amazonaws.com" },
        }),
    );

    return { preview, deploy, boundary };
}

/** Name of the permissions boundary, which does not begin like the names that a deployment may use. */
export function boundaryName(stack: string): string {
    return `deploy-${prefix}boundary-${stack}`;
}

/** Tokens of an OIDC provider. */
export interface Tokens {
    /** Host and path of the provider, with which the keys of conditions begin. */
    readonly provider: string;
    readonly audience: string;
    /** The subject, in full: one of these. */
    readonly subjects: string | string[];
    /** A pattern of the git reference that a token is given for. */
    readonly ref?: string;
}

/** Lets the holders of tokens, and nobody else, assume a role. */
export function trustPolicy(providerArn: pulumi.Input<string>, { provider, audience, subjects, ref }: Tokens): Policy {
    return policyOf({
        Effect: "Allow",
        Principal: { Federated: providerArn },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {
            StringEquals: { [`${provider}:aud`]: audience, [`${provider}:sub`]: subjects },
            ...(ref !== undefined && { StringLike: { [`${provider}:ref`]: ref } }),
        },
    });
}
