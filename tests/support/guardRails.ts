/**
 * The guard rails: what must hold for every stack of this program, whoever changes it. Pure functions over resources as
 * the engine shows them, so that the unit tests apply them to the program without an engine.
 *
 * In a preview a rule may only read what it judges: a value that cannot be known yet ends the rule for that resource, and
 * Pulumi reports that it could not be run.
 */
import { untaggableTypes } from "./untaggableTypes";
import {
    conditionValues,
    grantsOf,
    isAboutEverybody,
    isOfOneAccount,
    listOf,
    namesAResource,
    type Statement,
    statementsOf,
} from "./policyDocuments";

/** A resource before it is created or changed. */
export interface Resource {
    /** Type token, for instance `aws:s3/bucket:Bucket`. */
    readonly type: string;
    readonly name: string;
    /** The resource's inputs. */
    readonly props: Readonly<Record<string, unknown>>;
}

/** A resource as part of its stack. */
export interface StackResource extends Resource {
    readonly urn: string;
    /** The resources that the value of each property was taken from. */
    readonly propertyDependencies: Readonly<Record<string, readonly StackResource[]>>;
}

/** A guard rail for one resource, judged before it is created or changed. */
export interface ResourceRule {
    /** The rule in a sentence. */
    readonly description: string;
    /**
     * Judges a resource.
     *
     * @param engine Value of the stack's configuration key `engine`.
     * @returns what is wrong with it.
     */
    readonly judge: (resource: Resource, engine: string) => string[];
}

/** A guard rail for what one resource cannot tell: which others stand beside it. Judged at the end. */
export interface StackRule {
    /** The rule in a sentence. */
    readonly description: string;
    /**
     * Judges all resources together.
     *
     * @returns what is missing, and the URN of the resource that lacks it.
     */
    readonly judge: (resources: readonly StackResource[]) => { readonly urn: string; readonly message: string }[];
}

/** Actions that may be granted on resources that have no name, by the reason. Everything else names its resources. */
export const unnamedResourcesAllowed: Readonly<Record<string, readonly string[]>> = {
    "The token grants nothing by itself, and the action has no resource type.": ["ecr:GetAuthorizationToken"],
    "Look-ups of a network have no resource type.": [
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    ],
    "A network interface has no name before it is made: conditions name the subnets, and the service that uses it.": [
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
    ],
    "Log deliveries and resource policies of CloudWatch Logs have no resource type.": [
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    ],
    "Metrics have no resource type.": ["cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage"],
    "Traces have no resource type.": [
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ],
};

const requiredTags = ["component", "project", "stack", "managed-by"];

const accessBlockOfBucket = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock";
const policyOfBucket = "aws:s3/bucketPolicy:BucketPolicy";
const encryptionOfBucket = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration";
const policyOfQueue = "aws:sqs/queuePolicy:QueuePolicy";
const policyOfTopic = "aws:sns/topicPolicy:TopicPolicy";

/** What a policy that asks for TLS has to deny; SNS knows no `sns:*` in the policy of a topic. */
const deniedInPlain: Readonly<Record<string, { readonly action: string; readonly on: string } | undefined>> = {
    [policyOfBucket]: { action: "s3:*", on: "bucket and objects" },
    [policyOfQueue]: { action: "sqs:*", on: "the queue" },
    [policyOfTopic]: { action: "sns:Publish", on: "the topic" },
};

/** What has to stand beside a resource of each type, and the property that names the resource there. */
const guards: Readonly<Record<string, { readonly types: readonly string[]; readonly property: string }>> = {
    "aws:s3/bucket:Bucket": { types: [accessBlockOfBucket, encryptionOfBucket, policyOfBucket], property: "bucket" },
    "aws:sns/topic:Topic": { types: [policyOfTopic], property: "arn" },
    "aws:sqs/queue:Queue": { types: [policyOfQueue], property: "queueUrl" },
};

/** The rules for single resources, by name. */
export const resourceRules: Readonly<Record<string, ResourceRule>> = {
    "iam-actions-are-named": {
        description: "Policies of roles allow actions by their names, without wildcards and exclusions.",
        judge: (resource) =>
            identityGrantsOf(resource).flatMap((grant) => [
                ...listOf(grant.Action)
                    .filter((action) => /[*?]/.test(action))
                    .map((action) => `${inStatement(grant)} allows ${action}: name each action.`),
                ...(grant.NotAction === undefined
                    ? []
                    : [`${inStatement(grant)} allows all actions but some: name those that are allowed.`]),
            ]),
    },

    "iam-resources-are-named": {
        description: "Policies of roles name their resources, except for actions that know none.",
        judge: (resource) =>
            identityGrantsOf(resource).flatMap((grant) => {
                const unnamed = listOf(grant.Resource).filter((arn) => !namesAResource(arn));
                if (grant.NotResource !== undefined) unnamed.push("all resources but some");
                const allowed = Object.values(unnamedResourcesAllowed).flat();
                const actions = listOf(grant.Action).filter((action) => !allowed.includes(action));
                return unnamed.flatMap((arn) =>
                    actions.map((action) => `${inStatement(grant)} allows ${action} on ${arn}: name the resource.`),
                );
            }),
    },

    "iam-policies-are-written-out": {
        description:
            "Roles and chat channels have no managed policies of AWS, which allow more than this program needs.",
        judge: ({ type, props }) => {
            if (type === "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration") {
                const bounds = listOf(props["guardrailPolicyArns"]);
                return bounds.length > 0 && !bounds.some(isOfAws)
                    ? []
                    : ["The channel's bound is AWS's own: set guardrailPolicyArns to a policy of this stack."];
            }
            if (type !== "aws:iam/rolePolicyAttachment:RolePolicyAttachment" && type !== "aws:iam/role:Role") return [];
            return [...listOf(props["policyArn"]), ...listOf(props["managedPolicyArns"])]
                .filter(isOfAws)
                .map((arn) => `${String(arn)} is attached: write a policy of the actions that are needed.`);
        },
    },

    "iam-trust-names-its-source": {
        description:
            "A service may assume a role on behalf of this account's named resources alone: no confused deputy.",
        judge: ({ type, props }) =>
            type === "aws:iam/role:Role" ? grantsOf(props["assumeRolePolicy"]).flatMap(trustOffences) : [],
    },

    "nothing-is-public": {
        description: "Buckets block public access in all four ways, and no resource policy lets everybody in.",
        judge: (resource) => [...openWays(resource), ...publicGrants(resource)],
    },

    "encryption-is-on": {
        description: "Buckets and queues are encrypted, and the keys of the stack are rotated.",
        judge: ({ type, props }) => {
            // KMS rotates symmetric keys only.
            if (type === "aws:kms/key:Key" && !("keyUsage" in props) && props["enableKeyRotation"] !== true) {
                return ["The key is not rotated: set enableKeyRotation."];
            }
            if (type === "aws:sqs/queue:Queue" && !("kmsMasterKeyId" in props)) {
                return props["sqsManagedSseEnabled"] === true
                    ? []
                    : ["The queue is not encrypted: set sqsManagedSseEnabled, or kmsMasterKeyId."];
            }
            return type === encryptionOfBucket && !namesAlgorithm(props["rules"])
                ? ["No rule names an algorithm: set sseAlgorithm to AES256 or aws:kms."]
                : [];
        },
    },

    "tls-only": {
        description:
            "Buckets, queues and topics refuse whoever comes without TLS, and nothing is sent over plain HTTP.",
        judge: ({ type, props }) => {
            if (type === "aws:sns/topicSubscription:TopicSubscription" && props["protocol"] === "http") {
                return ["The subscription is over plain HTTP: use https."];
            }
            const denied = deniedInPlain[type];
            if (denied === undefined) return [];
            return statementsOf(props["policy"]).some((statement) => deniesPlainHttp(statement, denied.action))
                ? []
                : [
                      `The policy does not deny everybody ${denied.action} where aws:SecureTransport is false, on ${denied.on}.`,
                  ];
        },
    },

    "privileged-builds-are-of-engine-docker": {
        description: "Builds are privileged with engine docker alone, whose Docker daemon needs it.",
        judge: ({ type, props }, engine) => {
            const { privilegedMode } = (props["environment"] ?? {}) as { readonly privilegedMode?: boolean };
            return type === "aws:codebuild/project:Project" && privilegedMode === true && engine !== "docker"
                ? [`The build is privileged, although the engine is ${engine}: set privilegedMode to false.`]
                : [];
        },
    },

    "logs-expire": {
        description: "Logs go to log groups of the stack, which keep them for a time that is set.",
        judge: ({ type, props }) => {
            if (type === "aws:cloudwatch/logGroup:LogGroup") {
                const days = props["retentionInDays"];
                // 0 stands for ever.
                return typeof days === "number" && days > 0 ? [] : ["The log is kept for ever: set retentionInDays."];
            }
            if (type !== "aws:codebuild/project:Project") return [];
            const { cloudwatchLogs } = (props["logsConfig"] ?? {}) as { readonly cloudwatchLogs?: object };
            // Asked for, not read: in a preview the name may not be known.
            return cloudwatchLogs !== undefined && "groupName" in cloudwatchLogs
                ? []
                : [
                      "CodeBuild would make a log group of its own, which is kept for ever: set logsConfig.cloudwatchLogs.groupName.",
                  ];
        },
    },

    "tags-are-set": {
        description: `Everything that takes tags has these: ${requiredTags.join(", ")}.`,
        judge: ({ type, props }) => {
            if (!type.startsWith("aws:") || untaggableTypes.includes(type)) return [];
            const tags = (props["tags"] ?? {}) as Readonly<Record<string, string>>;
            return requiredTags.filter((tag) => !tags[tag]).map((tag) => `The tag ${tag} is missing.`);
        },
    },
};

/** The rules for the whole stack, by name. */
export const stackRules: Readonly<Record<string, StackRule>> = {
    "guards-are-in-place": {
        description:
            "Every bucket has an access block, an encryption and a policy beside it, every queue and topic a policy; other rules judge them.",
        judge: (resources) =>
            resources.flatMap((resource) => {
                const { types = [], property = "" } = guards[resource.type] ?? {};
                return types
                    .filter((type) => !resources.some((each) => each.type === type && isOf(each, property, resource)))
                    .map((type) => ({ urn: resource.urn, message: `It has no ${type.split(":")[2] ?? type}.` }));
            }),
    },
};

/** Whether a resource takes a property from another. Not by the property's value, which is not known in a preview. */
function isOf(resource: StackResource, property: string, other: StackResource): boolean {
    return resource.propertyDependencies[property]?.includes(other) ?? false;
}

interface EncryptionRule {
    readonly applyServerSideEncryptionByDefault?: { readonly sseAlgorithm?: string };
}

function namesAlgorithm(rules: unknown): boolean {
    return listOf(rules as EncryptionRule | readonly EncryptionRule[] | undefined).some((rule) =>
        ["AES256", "aws:kms", "aws:kms:dsse"].includes(rule.applyServerSideEncryptionByDefault?.sseAlgorithm ?? ""),
    );
}

/** What the policies of a role, user or group allow; trust is another matter. */
function identityGrantsOf({ type, props }: Resource): Statement[] {
    if (!type.startsWith("aws:iam/")) return [];
    const inline = listOf(props["inlinePolicies"] as { readonly policy?: unknown } | undefined);
    return [props["policy"], ...inline.map(({ policy }) => policy)].flatMap(grantsOf);
}

/** Whether an ARN is that of a managed policy of AWS. */
function isOfAws(arn: unknown): boolean {
    return /^arn:[^:]+:iam::aws:policy\//.test(String(arn));
}

function inStatement({ Sid }: Statement): string {
    return Sid === undefined ? "A statement" : `The statement ${Sid}`;
}

const equalities = ["ArnEquals", "ArnLike", "StringEquals"];

function trustOffences(trust: Statement): string[] {
    if (isAboutEverybody(trust)) return ["Everybody may assume the role: name a principal."];
    const { Principal } = trust;
    const services = typeof Principal === "object" ? listOf(Principal["Service"]) : [];
    const accounts = conditionValues(trust, ["StringEquals"], "aws:SourceAccount");
    const sources = conditionValues(trust, equalities, "aws:SourceArn");
    return services.flatMap((service) => [
        ...(accounts.length > 0 ? [] : [`${service} may assume the role for any account: add aws:SourceAccount.`]),
        ...(sources.length > 0 && sources.every(isOfOneAccount)
            ? []
            : [`${service} may assume the role for any resource: add aws:SourceArn with region and account.`]),
    ]);
}

function openWays({ type, props }: Resource): string[] {
    if (type !== accessBlockOfBucket) return [];
    return ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"]
        .filter((way) => props[way] !== true)
        .map((way) => `${way} is not true.`);
}

/** Conditions that keep a grant to everybody within an account, an organization or a network. */
const conditionsOnCallers = [
    "aws:PrincipalAccount",
    "aws:PrincipalOrgID",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceOwner",
    "aws:SourceVpce",
    "kms:CallerAccount",
];

function publicGrants({ type, props }: Resource): string[] {
    // The policy of an endpoint grants nothing: it narrows what may pass.
    if (type.startsWith("aws:iam/") || type === "aws:ec2/vpcEndpoint:VpcEndpoint") return [];
    return grantsOf(props["policy"])
        .filter(isAboutEverybody)
        .filter(
            (grant) =>
                !conditionsOnCallers.flatMap((key) => conditionValues(grant, equalities, key)).some(isOfOneAccount),
        )
        .map((grant) => `${inStatement(grant)} lets everybody in: name a principal.`);
}

function deniesPlainHttp(statement: Statement, action: string): boolean {
    const resources = listOf(statement.Resource);
    return (
        statement.Effect === "Deny" &&
        statement.NotPrincipal === undefined &&
        isAboutEverybody(statement) &&
        listOf(statement.Action).includes(action) &&
        // Any further condition would let some pass.
        JSON.stringify(statement.Condition) === JSON.stringify({ Bool: { "aws:SecureTransport": "false" } }) &&
        resources.some((arn) => !arn.includes("/")) &&
        (action !== "s3:*" || resources.some((arn) => arn.endsWith("/*")))
    );
}
