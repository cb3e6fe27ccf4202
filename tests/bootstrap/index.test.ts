/** The bootstrap program, whole: what it declares, whom it trusts, and what whoever deploys can and cannot do. */
import { strict as assert } from "node:assert";

import { lengthOf, maxPoliciesOfRole, maxPolicyCharacters } from "../../bootstrap/policies";
import { judge, type PolicyDocument } from "../../lab/iam";
import { at } from "../../lab/awsTypes";
import { type Evaluation, unknown } from "../../lab/evaluation";
import { type Call, evaluateBootstrap, verdictFor } from "./support";

const iam = (resource: string) => `arn:aws:iam::${at.accountId}:${resource}`;
const here = (service: string, resource: string) =>
    `arn:aws:${service}:${at.region}:${at.accountId}:${resource}`;
const pulumiProvider = iam("oidc-provider/api.pulumi.com/oidc");
const githubProvider = iam("oidc-provider/token.actions.githubusercontent.com");
const boundary = iam("policy/deploy-image-export-boundary-dev");

const policies = [1, 2, 3].map((number) => `aws:iam/policy:Policy deploy-image-export-policy-${number}`);
const attachments = (role: string, count: number) =>
    Array.from(
        { length: count },
        (_, index) =>
            `aws:iam/rolePolicyAttachment:RolePolicyAttachment deploy-image-export-${role}-attachment-${index + 1}`,
    );
const base = [
    ...policies,
    "aws:iam/policy:Policy deploy-image-export-boundary",
    "aws:iam/policy:Policy deploy-image-export-preview-1",
    "ecr-image-export-bootstrap:index:DeployPolicies deploy-image-export",
];
const pulumiCloud = [
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider deploy-image-export-pulumi-provider",
    "aws:iam/role:Role deploy-image-export-pulumi-role",
    ...attachments("pulumi", policies.length + 1),
    "ecr-image-export-bootstrap:index:PulumiDeployments deploy-image-export-pulumi",
    "pulumiservice:index:DeploymentSettings deploy-image-export-pulumi-settings",
];
const github = [
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider deploy-image-export-github-provider",
    "aws:iam/role:Role deploy-image-export-github-deploy-role",
    ...attachments("github-deploy", policies.length + 1),
    "ecr-image-export-bootstrap:index:GitHubActions deploy-image-export-github",
];
const preview = [
    "aws:iam/role:Role deploy-image-export-github-preview-role",
    ...attachments("github-preview", 1),
];

describe("the bootstrap program", function () {
    this.timeout(60_000);
    let dev: Evaluation;
    let prod: Evaluation;

    before(async () => {
        dev = await evaluateBootstrap("dev");
        prod = await evaluateBootstrap("prod");
    });

    it("declares policies, boundary, providers, roles and settings for dev", () => {
        assert.deepEqual(dev.typesAndNames(), [...base, ...pulumiCloud, ...github, ...preview].sort());
    });

    it("has no role for previews of prod, which would run what nobody has agreed to", () => {
        assert.deepEqual(prod.typesAndNames(), [...base, ...pulumiCloud, ...github].sort());
        assert(!("githubPreviewRoleArn" in prod.result));
    });

    it("declares the same in a preview", async () => {
        const previewed = await evaluateBootstrap("dev", {}, true);
        assert.deepEqual(previewed.typesAndNames(), dev.typesAndNames());
        assert.equal(previewed.result["pulumiDeployRoleArn"], unknown);
        assert.doesNotMatch(JSON.stringify(previewed), /Calling \[to(?:String|JSON)\]/);
    });

    it("makes one way to deploy where one is asked for", async () => {
        const one = await evaluateBootstrap("dev", { with: ["github-actions"] });
        assert.deepEqual(one.typesAndNames(), [...base, ...github, ...preview].sort());
        const other = await evaluateBootstrap("dev", { with: ["pulumi-deployments"] });
        assert.deepEqual(other.typesAndNames(), [...base, ...pulumiCloud].sort());
    });

    it("uses the providers that the account has", async () => {
        const hosts = ["api.pulumi.com/oidc", "token.actions.githubusercontent.com"];
        const program = await evaluateBootstrap("dev", { existingProviders: hosts });
        assert.deepEqual(
            program.typesAndNames(),
            dev.typesAndNames().filter((each) => !each.includes("OpenIdConnectProvider")),
        );
        for (const name of ["pulumi", "github-deploy", "github-preview"]) {
            assert.deepEqual(trustOf(program, name), trustOf(dev, name));
        }
    });

    it("registers each provider with its audience", () => {
        const inputsOf = (name: string) => {
            const { url, clientIdLists } = dev.resource(name).inputs;
            return { url, clientIdLists };
        };
        assert.deepEqual(inputsOf("deploy-image-export-pulumi-provider"), {
            url: "https://api.pulumi.com/oidc",
            clientIdLists: ["octo-org"],
        });
        assert.deepEqual(inputsOf("deploy-image-export-github-provider"), {
            url: "https://token.actions.githubusercontent.com",
            clientIdLists: ["sts.amazonaws.com"],
        });
    });

    it("tells its outputs", () => {
        assert.deepEqual(dev.result, {
            permissionsBoundary: boundary,
            pulumiDeployRoleArn: iam("role/deploy-image-export-pulumi-role-0a1b2c3"),
            githubDeployRoleArn: iam("role/deploy-image-export-github-deploy-role-0a1b2c3"),
            githubPreviewRoleArn: iam("role/deploy-image-export-github-preview-role-0a1b2c3"),
        });
    });

    it("keeps within IAM's sizes", () => {
        for (const { name, inputs } of dev.customResources().filter(({ type }) => type.endsWith(":Policy"))) {
            const document = JSON.parse(String(inputs["policy"])) as Parameters<typeof lengthOf>[0];
            assert(lengthOf(document) <= maxPolicyCharacters, `${name}: ${lengthOf(document)}`);
        }
        assert(policies.length + 1 <= maxPoliciesOfRole);
    });

    describe("trusts", () => {
        it("deployments of stack dev, in whole", () => {
            assert.deepEqual(trustOf(dev, "pulumi"), {
                Version: "2012-10-17",
                Statement: [
                    {
                        Effect: "Allow",
                        Principal: { Federated: pulumiProvider },
                        Action: "sts:AssumeRoleWithWebIdentity",
                        Condition: {
                            StringEquals: {
                                "api.pulumi.com/oidc:aud": "octo-org",
                                "api.pulumi.com/oidc:sub": ["preview", "refresh", "update"].map(
                                    (operation) =>
                                        `pulumi:deploy:org:octo-org:project:ecr-image-export:stack:dev:operation:${operation}:scope:write`,
                                ),
                            },
                        },
                    },
                ],
            });
        });

        const githubTrust = (sub: string, ref = {}) => ({
            Version: "2012-10-17",
            Statement: [
                {
                    Effect: "Allow",
                    Principal: { Federated: githubProvider },
                    Action: "sts:AssumeRoleWithWebIdentity",
                    Condition: {
                        StringEquals: {
                            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                            "token.actions.githubusercontent.com:sub": sub,
                        },
                        ...ref,
                    },
                },
            ],
        });

        it("the jobs of the workflow, in whole", () => {
            const repository = "repo:octo-org/ecr-image-export";
            assert.deepEqual(trustOf(dev, "github-deploy"), githubTrust(`${repository}:ref:refs/heads/main`));
            assert.deepEqual(trustOf(dev, "github-preview"), githubTrust(`${repository}:pull_request`));
            assert.deepEqual(
                trustOf(prod, "github-deploy"),
                githubTrust(`${repository}:environment:prod`, {
                    StringLike: { "token.actions.githubusercontent.com:ref": "refs/tags/v*" },
                }),
            );
        });

        it("a repository by its numbers, where GitHub names it so", async () => {
            const numbered = "repo:octo-org@123456/ecr-image-export@456789";
            const program = await evaluateBootstrap("dev", { githubSubject: numbered });
            assert.deepEqual(
                trustOf(program, "github-deploy"),
                githubTrust(`${numbered}:ref:refs/heads/main`),
            );
        });

        const ofStack =
            "pulumi:deploy:org:octo-org:project:ecr-image-export:stack:dev:operation:update:scope:write";
        const ofMain = "repo:octo-org/ecr-image-export:ref:refs/heads/main";
        const tokens: [what: string, role: string, audience: string, subject: string, allowed: boolean][] = [
            ["an update of the stack", "pulumi", "octo-org", ofStack, true],
            ["a preview of the stack", "pulumi", "octo-org", ofStack.replace("update", "preview"), true],
            ["a refresh of the stack", "pulumi", "octo-org", ofStack.replace("update", "refresh"), true],
            ["a destroy of the stack", "pulumi", "octo-org", ofStack.replace("update", "destroy"), false],
            ["another stack", "pulumi", "octo-org", ofStack.replace("stack:dev", "stack:prod"), false],
            ["a stack whose name begins alike", "pulumi", "octo-org", ofStack.replace("dev", "dev-2"), false],
            ["another project", "pulumi", "octo-org", ofStack.replace("ecr-image-export", "other"), false],
            ["another organization", "pulumi", "evil-org", ofStack.replace("octo-org", "evil-org"), false],
            ["another organization's audience", "pulumi", "evil-org", ofStack, false],
            [
                "a subject of another organization",
                "pulumi",
                "octo-org",
                ofStack.replace("octo", "evil"),
                false,
            ],
            [
                "an environment of Pulumi ESC",
                "pulumi",
                "octo-org",
                "pulumi:environments:org:octo-org:env:dev",
                false,
            ],
            ["a push to main", "github-deploy", "sts.amazonaws.com", ofMain, true],
            [
                "another branch",
                "github-deploy",
                "sts.amazonaws.com",
                ofMain.replace("main", "feature"),
                false,
            ],
            ["a branch that begins alike", "github-deploy", "sts.amazonaws.com", `${ofMain}tenance`, false],
            ["a tag", "github-deploy", "sts.amazonaws.com", ofMain.replace("heads/main", "tags/main"), false],
            [
                "a pull request",
                "github-deploy",
                "sts.amazonaws.com",
                "repo:octo-org/ecr-image-export:pull_request",
                false,
            ],
            ["a fork", "github-deploy", "sts.amazonaws.com", ofMain.replace("octo-org", "forker"), false],
            [
                "another repository",
                "github-deploy",
                "sts.amazonaws.com",
                ofMain.replace("ecr-image-export", "x"),
                false,
            ],
            ["another audience", "github-deploy", "https://github.com/octo-org", ofMain, false],
            [
                "a pull request",
                "github-preview",
                "sts.amazonaws.com",
                "repo:octo-org/ecr-image-export:pull_request",
                true,
            ],
            [
                "a pull request of a fork",
                "github-preview",
                "sts.amazonaws.com",
                "repo:forker/ecr-image-export:pull_request",
                false,
            ],
            ["a push to main", "github-preview", "sts.amazonaws.com", ofMain, false],
        ];
        for (const [what, role, audience, subject, allowed] of tokens) {
            it(`${allowed ? "" : "not "}${what}, for the role ${role}`, async () => {
                assert.equal(await assumes(dev, role, audience, subject), allowed);
            });
        }

        it("nobody of one provider with a token of the other", async () => {
            assert.equal(
                await assumes(dev, "pulumi", "octo-org", ofStack, { provider: githubProvider }),
                false,
            );
            assert.equal(
                await assumes(dev, "github-deploy", "sts.amazonaws.com", ofMain, {
                    provider: pulumiProvider,
                }),
                false,
            );
        });

        const ofEnvironment = "repo:octo-org/ecr-image-export:environment:prod";
        const release = "refs/tags/v1.0.0";
        for (const [what, subject, ref, allowed] of [
            ["a release in the environment prod", ofEnvironment, release, true],
            ["another environment", ofEnvironment.replace("prod", "dev"), release, false],
            ["the environment, from a branch", ofEnvironment, "refs/heads/v1.0.0", false],
            ["the environment, from another tag", ofEnvironment, "refs/tags/nightly", false],
            ["the environment, from nowhere", ofEnvironment, "", false],
            [
                "a release without the environment",
                `repo:octo-org/ecr-image-export:ref:${release}`,
                release,
                false,
            ],
            ["main", ofMain, "refs/heads/main", false],
        ] as const) {
            it(`${allowed ? "" : "not "}${what}, for the role of prod`, async () => {
                const audience = "sts.amazonaws.com";
                assert.equal(await assumes(prod, "github-deploy", audience, subject, { ref }), allowed);
            });
        }
    });

    describe("lets whoever deploys", () => {
        const role = iam("role/image-export-build-role-0a1b2c3");
        const ownRole = iam("role/deploy-image-export-pulumi-role-0a1b2c3");
        const bounded = { "iam:PermissionsBoundary": boundary };
        const tagged = { "aws:ResourceTag/project": "ecr-image-export", "aws:ResourceTag/stack": "dev" };
        const tagging = { "aws:RequestTag/project": "ecr-image-export", "aws:RequestTag/stack": "dev" };
        const passTo = (service: string): Call => ({
            action: "iam:PassRole",
            resource: role,
            context: { "iam:PassedToService": service },
        });
        const can: Record<string, Call> = {
            "make a role with the boundary": { action: "iam:CreateRole", resource: role, context: bounded },
            "write its policy": { action: "iam:PutRolePolicy", resource: role, context: bounded },
            "put the boundary on it": {
                action: "iam:PutRolePermissionsBoundary",
                resource: role,
                context: bounded,
            },
            "hand it to CodeBuild": passTo("codebuild.amazonaws.com"),
            "make the bucket": {
                action: "s3:CreateBucket",
                resource: "arn:aws:s3:::image-export-bucket-0a1b2c3",
            },
            "upload the exporter": {
                action: "s3:PutObject",
                resource: "arn:aws:s3:::image-export-bucket-0a1b2c3/.exporter/0a.zip",
            },
            "change a state machine": {
                action: "states:UpdateStateMachine",
                resource: here("states", "stateMachine:image-export-machine-0a1b2c3"),
            },
            "make a VPC with the stack's tags": {
                action: "ec2:CreateVpc",
                resource: here("ec2", "vpc/vpc-1"),
                context: tagging,
            },
            "delete the stack's VPC": {
                action: "ec2:DeleteVpc",
                resource: here("ec2", "vpc/vpc-1"),
                context: tagged,
            },
            "make a key with the stack's tags": { action: "kms:CreateKey", resource: "*", context: tagging },
            "look zones up": { action: "ec2:DescribeAvailabilityZones", resource: "*" },
        };
        for (const [what, call] of Object.entries(can)) {
            it(what, async () => {
                assert.equal(await verdictFor(dev, "deploy-image-export-pulumi-role", call), "Allowed");
                assert.equal(
                    await verdictFor(dev, "deploy-image-export-github-deploy-role", call),
                    "Allowed",
                );
            });
        }

        const cannot: Record<string, Call> = {
            "make a role without a boundary": { action: "iam:CreateRole", resource: role },
            "make a role with another boundary": {
                action: "iam:CreateRole",
                resource: role,
                context: { "iam:PermissionsBoundary": iam("policy/image-export-everything") },
            },
            "write the policy of a role without the boundary": {
                action: "iam:PutRolePolicy",
                resource: role,
            },
            "take the boundary off": {
                action: "iam:DeleteRolePermissionsBoundary",
                resource: role,
                context: bounded,
            },
            "make a role of another name": {
                action: "iam:CreateRole",
                resource: iam("role/admin"),
                context: bounded,
            },
            "attach a managed policy": { action: "iam:AttachRolePolicy", resource: role, context: bounded },
            "write its own policy": { action: "iam:PutRolePolicy", resource: ownRole, context: bounded },
            "change who may assume its own role": { action: "iam:UpdateAssumeRolePolicy", resource: ownRole },
            "change the boundary": { action: "iam:CreatePolicyVersion", resource: boundary },
            "assume another role": { action: "sts:AssumeRole", resource: iam("role/admin") },
            "make a user": { action: "iam:CreateUser", resource: iam("user/image-export-user") },
            "make keys": { action: "iam:CreateAccessKey", resource: iam("user/admin") },
            "change a provider of tokens": {
                action: "iam:AddClientIDToOpenIDConnectProvider",
                resource: pulumiProvider,
            },
            "hand a role to Lambda": passTo("lambda.amazonaws.com"),
            "hand a role to EC2": passTo("ec2.amazonaws.com"),
            "hand another role to CodeBuild": {
                ...passTo("codebuild.amazonaws.com"),
                resource: iam("role/admin"),
            },
            "read archives": {
                action: "s3:GetObject",
                resource: "arn:aws:s3:::image-export-bucket-0a1b2c3/images/x.tar",
            },
            "reach another bucket": { action: "s3:PutBucketPolicy", resource: "arn:aws:s3:::another-bucket" },
            "start builds": {
                action: "codebuild:StartBuild",
                resource: here("codebuild", "project/image-export-project-0a1b2c3"),
            },
            "change another state machine": {
                action: "states:UpdateStateMachine",
                resource: here("states", "stateMachine:payments"),
            },
            "delete the VPC of another stack": {
                action: "ec2:DeleteVpc",
                resource: here("ec2", "vpc/vpc-1"),
                context: { ...tagged, "aws:ResourceTag/stack": "prod" },
            },
            "delete a VPC without tags": { action: "ec2:DeleteVpc", resource: here("ec2", "vpc/vpc-1") },
            "make a VPC without tags": { action: "ec2:CreateVpc", resource: here("ec2", "vpc/vpc-1") },
            "delete another's key": {
                action: "kms:ScheduleKeyDeletion",
                resource: here("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab"),
            },
            "decrypt past S3": {
                action: "kms:Decrypt",
                resource: here("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab"),
            },
            "work in another region": {
                action: "sqs:CreateQueue",
                resource: `arn:aws:sqs:eu-west-1:${at.accountId}:image-export-x`,
            },
        };
        for (const [what, call] of Object.entries(cannot)) {
            it(`not ${what}`, async () => {
                for (const name of ["pulumi-role", "github-deploy-role"]) {
                    assert.equal(
                        await verdictFor(dev, `deploy-image-export-${name}`, call),
                        "ImplicitlyDenied",
                    );
                }
            });
        }

        it("reach the bucket that the stack has adopted, and none of its own making then", async () => {
            const program = await evaluateBootstrap("dev", { existingBucket: "hand-made-archives" });
            const verdictOn = (bucket: string) =>
                verdictFor(program, "deploy-image-export-pulumi-role", {
                    action: "s3:PutBucketPolicy",
                    resource: `arn:aws:s3:::${bucket}`,
                });
            assert.equal(await verdictOn("hand-made-archives"), "Allowed");
            assert.equal(await verdictOn("image-export-bucket-0a1b2c3"), "ImplicitlyDenied");
        });
    });

    it("lets a preview change nothing", async () => {
        const document = dev.resource("deploy-image-export-preview-1").inputs["policy"];
        assert.deepEqual((JSON.parse(String(document)) as PolicyDocument).Statement, [
            {
                Effect: "Allow",
                Action: ["ec2:DescribeAvailabilityZones", "states:ValidateStateMachineDefinition"],
                Resource: ["*"],
            },
        ]);
        for (const call of [
            { action: "ec2:DescribeAvailabilityZones", resource: "*", expected: "Allowed" },
            {
                action: "s3:CreateBucket",
                resource: "arn:aws:s3:::image-export-bucket-1",
                expected: "ImplicitlyDenied",
            },
        ]) {
            assert.equal(
                await verdictFor(dev, "deploy-image-export-github-preview-role", call),
                call.expected,
            );
        }
    });

    describe("refuses", () => {
        const refused: [key: string, value: unknown, message: RegExp][] = [
            ["repository", "https://github.com/octo-org/x", /expected OWNER\/NAME/],
            ["repository", "octo-org/*", /expected OWNER\/NAME/],
            [
                "githubSubject",
                "repo:octo-org/*",
                /expected repo:octo-org\/ecr-image-export, or the same with/,
            ],
            ["githubSubject", "repo:evil-org@1/ecr-image-export@2", /or the same with the numbers/],
            ["branch", "*", /expected the name of one branch/],
            ["deployOn", "merge", /expected one of push, tag/],
            ["with", ["jenkins"], /expected one of pulumi-deployments, github-actions/],
            ["with", "github-actions", /expected a list|not valid JSON|JSON/],
            ["existingProviders", ["example.com"], /expected one of api\.pulumi\.com\/oidc/],
            ["existingBucket", "arn:aws:s3:::x", /expected the name of a bucket/],
        ];
        for (const [key, value, message] of refused) {
            it(`${key} ${JSON.stringify(value)}`, async () => {
                await assert.rejects(evaluateBootstrap("dev", { [key]: value }), message);
            });
        }
    });
});

function trustOf(evaluation: Evaluation, name: string): unknown {
    return JSON.parse(
        String(evaluation.resource(`deploy-image-export-${name}-role`).inputs["assumeRolePolicy"]),
    );
}

/** Whether somebody with a token may assume a role. */
async function assumes(
    evaluation: Evaluation,
    name: string,
    audience: string,
    subject: string,
    { provider = name === "pulumi" ? pulumiProvider : githubProvider, ref = "" } = {},
): Promise<boolean> {
    const host = provider.slice(provider.indexOf("/") + 1);
    // The simulator does not know these keys. It knows tags of the principal, which are compared in the same way.
    const asTags = (text: string) => text.replaceAll(`"${host}:`, '"aws:PrincipalTag/token-');
    const token = {
        [`${host}:aud`]: audience,
        [`${host}:sub`]: subject,
        ...(ref && { [`${host}:ref`]: ref }),
    };
    const { verdict } = await judge({
        principal: provider,
        action: "sts:AssumeRoleWithWebIdentity",
        resource: iam(`role/deploy-image-export-${name}-role-0a1b2c3`),
        accountId: at.accountId,
        identityPolicies: [],
        resourcePolicy: JSON.parse(asTags(JSON.stringify(trustOf(evaluation, name)))) as PolicyDocument,
        context: JSON.parse(asTags(JSON.stringify(token))) as Record<string, string>,
    });
    return verdict === "Allowed";
}
