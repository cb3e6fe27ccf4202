/** What previews, deployments and the roles that they make can and cannot do, by IAM's simulator. */
import { strict as assert } from "node:assert";

import { policiesFor } from "../../bootstrap/policies";
import { exporterPrefix } from "../../contract/keys";
import { at, awsTypes, physicalNameOf } from "../../lab/awsTypes";
import { judge, type PolicyDocument } from "../../lab/iam";
import { evaluateStack } from "../../lab/program";
import { variants } from "../../proof/program";
import { customResourcesOf } from "../../lab/evaluation";

const here = (service: string, resource: string) => `arn:aws:${service}:${at.region}:${at.accountId}:${resource}`;
const iamArn = (resource: string) => `arn:${at.partition}:iam::${at.accountId}:${resource}`;
const bucket = "arn:aws:s3:::image-export-bucket-0a1b2c3";
const role = iamArn("role/image-export-build-role-0a1b2c3");
const key = here("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab");
const vpc = here("ec2", "vpc/vpc-1");
const subnet = here("ec2", "subnet/subnet-1");
const group = here("ec2", "security-group/sg-1");
const machine = here("states", "stateMachine:image-export-machine-0a1b2c3");
const project = here("codebuild", "project/image-export-project-0a1b2c3");
const buildLog = here("logs", "log-group:/aws/codebuild/image-export-1");
const bounded = { "iam:PermissionsBoundary": iamArn("policy/deploy-image-export-boundary-dev") };
const tagged = { "aws:ResourceTag/project": "ecr-image-export", "aws:ResourceTag/stack": "dev" };
const othersTagged = { ...tagged, "aws:ResourceTag/stack": "prod" };
const tagging = { "aws:RequestTag/project": "ecr-image-export", "aws:RequestTag/stack": "dev" };

/** A call of somebody who has a role. */
type Call = readonly [action: string, resource: string, context?: Readonly<Record<string, string>>];

/** Whether policies allow a call. */
async function allows(
    identityPolicies: readonly PolicyDocument[],
    [action, resource, context = {}]: Call,
    more: { readonly boundary?: PolicyDocument; readonly resourcePolicy?: PolicyDocument } = {},
): Promise<boolean> {
    const { verdict } = await judge({
        principal: `arn:${at.partition}:sts::${at.accountId}:assumed-role/deploy-image-export-pulumi-role-0a1b2c3/session`,
        action,
        resource,
        accountId: at.accountId,
        identityPolicies,
        context: { "aws:SecureTransport": "true", "aws:ResourceAccount": at.accountId, ...context },
        ...more,
    });
    return verdict === "Allowed";
}

/** A statement that allows everything, as a mistake or malice would write it. */
const everything: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }],
};
/** A key's policy that leaves it to the policies of its account who may use the key. */
const keyPolicy: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { AWS: iamArn("root") }, Action: "kms:*", Resource: "*" }],
};
const ofKey = ([action]: Call) => (action.startsWith("kms:") ? { resourcePolicy: keyPolicy } : {});

function nameOf([action, resource]: Call): string {
    return `${action} on ${resource}`;
}

function passing(service: string, passed = role): Call {
    return ["iam:PassRole", passed, { "iam:PassedToService": `${service}.amazonaws.com` }];
}

/** Calls that previews and deployments are answered. */
const reading: readonly Call[] = [
    ["ec2:DescribeAvailabilityZones", "*"],
    ["states:DescribeStateMachine", machine],
    ["iam:GetRolePolicy", role],
    ["s3:GetBucketPolicy", bucket],
    ["s3:ListBucket", bucket],
    ["kms:GetKeyPolicy", key, tagged],
];

/** Calls that only deployments are answered. */
const deploying: readonly Call[] = [
    ["iam:CreateRole", role, bounded],
    ["iam:PutRolePolicy", role, bounded],
    ...["chatbot", "codebuild", "events", "scheduler", "states"].map((service) => passing(service)),
    ["s3:CreateBucket", bucket],
    ["s3:PutBucketPolicy", bucket],
    ["s3:PutLifecycleConfiguration", bucket],
    ["s3:PutObject", `${bucket}/${exporterPrefix}0a.zip`],
    ["kms:CreateKey", "*", tagging],
    ["kms:TagResource", key, tagging],
    ["kms:PutKeyPolicy", key, tagged],
    ["cloudwatch:PutDashboard", `arn:aws:cloudwatch::${at.accountId}:dashboard/image-export-machine-1`],
    ["events:PutTargets", here("events", "rule/image-export-on-push-1")],
    ["scheduler:CreateSchedule", here("scheduler", "schedule/image-export-1/image-export-1")],
    ["ecr:CreatePullThroughCacheRule", "*"],
    ["ec2:CreateVpc", vpc, tagging],
    ["ec2:CreateTags", vpc, { ...tagging, "ec2:CreateAction": "CreateVpc" }],
    ["ec2:CreateSubnet", subnet, tagging],
    ["ec2:CreateSubnet", vpc, tagged],
    ["ec2:AssociateRouteTable", subnet, tagged],
    ["ec2:RevokeSecurityGroupEgress", group],
    ["ec2:CreateTags", group, tagging],
];

/** Calls that neither is answered, with the reason that they are listed for. */
const forbidden: Readonly<Record<string, readonly Call[]>> = {
    "the boundary": [
        ["iam:CreateRole", role],
        ["iam:CreateRole", role, { "iam:PermissionsBoundary": iamArn("policy/image-export-everything") }],
        ["iam:PutRolePolicy", role],
        ["iam:DeleteRolePermissionsBoundary", role, bounded],
        ["iam:AttachRolePolicy", role, bounded],
    ],
    "itself and others": [
        ["iam:CreateRole", iamArn("role/admin"), bounded],
        ["iam:PutRolePolicy", iamArn("role/deploy-image-export-pulumi-role-0a1b2c3"), bounded],
        ["iam:AddClientIDToOpenIDConnectProvider", iamArn("oidc-provider/api.pulumi.com/oidc")],
        ["sts:AssumeRole", role],
        passing("lambda"),
        passing("codebuild", iamArn("role/admin")),
    ],
    archives: [
        ["s3:GetObject", `${bucket}/images/x.tar`],
        ["s3:DeleteObject", `${bucket}/images/x.tar`],
        ["s3:DeleteBucket", bucket],
        ["kms:ScheduleKeyDeletion", key, tagged],
        ["logs:GetLogEvents", `${buildLog}:log-stream:x`],
        ["codebuild:StartBuild", project],
        ["states:StartExecution", machine],
    ],
    "what is not the stack's": [
        ["s3:PutBucketPolicy", "arn:aws:s3:::another-bucket"],
        ["states:UpdateStateMachine", here("states", "stateMachine:payments")],
        ["sqs:CreateQueue", `arn:aws:sqs:eu-west-1:${at.accountId}:image-export-x`],
        ["ec2:CreateVpc", vpc],
        ["ec2:CreateVpc", `arn:aws:ec2:eu-west-1:${at.accountId}:vpc/vpc-1`, tagging],
        ["ec2:CreateTags", vpc, tagging],
        ["ec2:DeleteVpc", vpc, othersTagged],
        ["ec2:RevokeSecurityGroupEgress", group, othersTagged],
        ["ec2:CreateTags", group, { ...tagging, ...othersTagged }],
        ["ec2:RunInstances", here("ec2", "instance/i-1"), tagging],
        ["ec2:DescribeInstanceAttribute", here("ec2", "instance/i-1")],
        ["kms:TagResource", key, { ...tagging, ...othersTagged }],
        ["kms:GetKeyPolicy", key],
    ],
};

/** By type of what has a name: a call that changes it. */
const changes: Readonly<Record<string, string>> = {
    "aws:cloudwatch/eventRule:EventRule": "events:PutRule",
    "aws:cloudwatch/logGroup:LogGroup": "logs:PutRetentionPolicy",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:PutMetricAlarm",
    "aws:codebuild/project:Project": "codebuild:UpdateProject",
    "aws:iam/policy:Policy": "iam:CreatePolicyVersion",
    "aws:iam/role:Role": "iam:TagRole",
    "aws:s3/bucket:Bucket": "s3:PutBucketTagging",
    "aws:scheduler/scheduleGroup:ScheduleGroup": "scheduler:DeleteScheduleGroup",
    "aws:sfn/stateMachine:StateMachine": "states:UpdateStateMachine",
    "aws:sns/topic:Topic": "sns:SetTopicAttributes",
    "aws:sqs/queue:Queue": "sqs:SetQueueAttributes",
};

describe("the policies of the bootstrap", () => {
    const target = { ...at, domain: "amazonaws.com", stack: "dev" };
    const documentsFor = (changes: object) => {
        const policies = policiesFor({ ...target, ...changes });
        return JSON.parse(JSON.stringify(policies)) as Record<keyof typeof policies, PolicyDocument>;
    };
    const { preview, deploy, boundary } = documentsFor({});
    const previews = [preview];
    const deployments = [preview, deploy];

    it("fit into IAM with the longest names", () => {
        const longest = documentsFor({
            region: "ap-northeast-99",
            stack: "s".repeat(40),
            existingBucket: "b".repeat(63),
        });
        const sizeOf = (document: object) => JSON.stringify(document).length;
        const inline = sizeOf(longest.preview) + sizeOf(longest.deploy);
        // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        assert(inline <= 10_240, `${inline} characters of inline policies`);
        assert(sizeOf(longest.boundary) <= 6_144, `${sizeOf(longest.boundary)} characters`);
    });

    for (const call of [...reading, ...deploying]) {
        it(`allow ${nameOf(call)}`, async () => {
            assert.equal(await allows(deployments, call, ofKey(call)), true);
            assert.equal(await allows(previews, call, ofKey(call)), reading.includes(call));
        });
    }

    for (const [about, calls] of Object.entries(forbidden)) {
        it(`keep off ${about}`, async () => {
            for (const call of calls) {
                assert.equal(await allows(deployments, call, ofKey(call)), false, nameOf(call));
                assert.equal(await allows(previews, call, ofKey(call)), false, nameOf(call));
            }
        });
    }

    it("keep off archives even where the bucket's policy lets deployments in", async () => {
        const resourcePolicy: PolicyDocument = {
            Version: "2012-10-17",
            Statement: [{ ...keyPolicy.Statement[0], Action: "s3:*", Resource: `${bucket}/*` }],
        };
        const call: Call = ["s3:GetObject", `${bucket}/images/x.tar`];
        assert.equal(await allows([everything], call, { resourcePolicy }), true);
        assert.equal(await allows([...deployments, everything], call, { resourcePolicy }), false);
    });

    it("reach the bucket that the stack has adopted, and no other", async () => {
        const policies = [documentsFor({ existingBucket: "archives" }).deploy];
        assert.equal(await allows(policies, ["s3:PutBucketPolicy", "arn:aws:s3:::archives"]), true);
        assert.equal(await allows(policies, ["s3:PutBucketPolicy", bucket]), false);
    });

    it("reach everything of the program that has a name, and the boundary what its roles may", async () => {
        const seen = new Set<string>();
        // What is plain is in all others.
        for (const { stack, changes: configuration } of variants.filter(({ name }) => name.includes(" with "))) {
            const program = await evaluateStack(stack, false, configuration);
            for (const { type, name, inputs } of customResourcesOf(program)) {
                const arn = awsTypes[type]?.answer(physicalNameOf(name), inputs, at)["arn"];
                const action = changes[type];
                const calls = type.endsWith(":RolePolicy") ? callsOf(inputs["policy"] as PolicyDocument) : [];
                if (action !== undefined && arn !== undefined) calls.push([action, arn]);
                for (const call of calls.filter((each) => !seen.has(JSON.stringify(each)))) {
                    seen.add(JSON.stringify(call));
                    const [policies, more] = call[0] === action ? [deployments, {}] : [[everything], { boundary }];
                    const allowed = await allows(policies, call, { ...more, ...ofKey(call) });
                    assert.equal(allowed, true, `${name}: ${JSON.stringify(call)}`);
                }
            }
        }
        assert(seen.size > 80, `${seen.size} calls`);
    });

    const beyond: readonly Call[] = [
        ["iam:PutRolePolicy", role],
        passing("codebuild"),
        ["sts:AssumeRole", iamArn("role/admin")],
        ["s3:GetObject", "arn:aws:s3:::another-bucket/x"],
        ["s3:PutObject", `${bucket}/x`, { "aws:ResourceAccount": "444455556666" }],
        ["s3:PutBucketPolicy", bucket],
        ["states:StartExecution", here("states", "stateMachine:another")],
        ["logs:PutLogEvents", here("logs", "log-group:/aws/lambda/x:log-stream:y")],
        ["kms:Decrypt", key],
        ["ec2:CreateNetworkInterfacePermission", here("ec2", "network-interface/eni-1")],
    ];
    it("hold a role whose policy allows everything within the boundary", async () => {
        for (const call of beyond) {
            assert.equal(await allows([everything], call, ofKey(call)), true, call[0]);
            assert.equal(await allows([everything], call, { boundary, ...ofKey(call) }), false, call[0]);
        }
        assert.equal(await allows([], ["ecr:GetAuthorizationToken", "*"], { boundary }), false);
    });
});

/** Calls that the statements of a role's policy are there for. */
function callsOf(policy: PolicyDocument): Call[] {
    return policy.Statement.flatMap(({ Action, Resource, Condition = {} }) => {
        const conditions = Object.values(Condition as Record<string, Record<string, string | string[]>>);
        const context = Object.fromEntries(
            conditions
                .flatMap(Object.entries<string | string[]>)
                .map(([name, value]) => [name, instanceOf([value].flat()[0])]),
        );
        return [Resource as string | string[]]
            .flat()
            .flatMap((resource) => [Action].flat().map((action): Call => [action, instanceOf(resource), context]));
    });
}

/** One of the resources that a pattern is for: a stream of a log group, an execution of a map. */
function instanceOf(pattern = ""): string {
    if (pattern === "*") return pattern;
    return pattern
        .replace(/^(arn:[^:]*:logs:.*):\*$/, "$1:log-stream:x")
        .replace(/^(arn:[^:]*:states:.*)\/\*$/, "$1/x:x")
        .replaceAll("*", "x");
}
