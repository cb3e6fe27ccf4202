/** The permissions boundary against what the program's roles are allowed: enough, all in use, and no way up. */
import { strict as assert } from "node:assert";

import { boundary } from "../../bootstrap/boundary";
import type { Target } from "../../bootstrap/grants";
import { documentsOf, maxPolicyCharacters } from "../../bootstrap/policies";
import { judge, type PolicyDocument } from "../../lab/iam";
import { evaluateVariant, variants } from "../../proof/program";
import { at } from "../../lab/awsTypes";

const target: Target = { ...at, stack: "dev" };
const [document, ...more] = documentsOf(boundary, target);
const limit = JSON.parse(JSON.stringify(document)) as PolicyDocument;
const principal = `arn:aws:sts::${at.accountId}:assumed-role/image-export-build-role-0a1b2c3/session`;

/** A call that a statement is there for. */
interface Call {
    readonly action: string;
    readonly resource: string;
    readonly context: Record<string, string>;
}

function callsOf(policy: PolicyDocument): Call[] {
    return policy.Statement.flatMap((statement) => {
        const conditions = Object.values(
            (statement["Condition"] ?? {}) as Record<string, Record<string, unknown>>,
        );
        const context = Object.fromEntries(
            conditions.flatMap(Object.entries).map(([key, value]) => [key, literal([value].flat()[0])]),
        );
        return [statement["Resource"] as string | string[]].flat().flatMap((resource) =>
            [statement.Action].flat().map((action) => ({
                action,
                resource: resource === "*" ? "*" : instanceOf(resource),
                context: { "aws:SecureTransport": "true", ...context },
            })),
        );
    });
}

/** One of the resources that a pattern is for: a stream of a log group, an execution of a map. */
function instanceOf(pattern: string): string {
    return literal(
        pattern
            .replace(/^(arn:[^:]*:logs:.*):\*$/, "$1:log-stream:x")
            .replace(/^(arn:[^:]*:states:.*)\/\*$/, "$1/x:x"),
    );
}

/** A pattern with the same letters for any text. */
function literal(pattern: unknown): string {
    return String(pattern).replaceAll("*", "x");
}

function verdict({ action, resource, context }: Call, allowed: PolicyDocument): Promise<string> {
    return judge({
        principal,
        action,
        resource,
        accountId: at.accountId,
        identityPolicies: [allowed],
        boundary: limit,
        resourcePolicy: action.startsWith("kms:") ? keyPolicy : undefined,
        context,
    }).then(({ verdict: said }) => said);
}

/** A key leaves it to the policies of its account who may use it. */
const keyPolicy: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [
        {
            Effect: "Allow",
            Principal: { AWS: `arn:aws:iam::${at.accountId}:root` },
            Action: "kms:*",
            Resource: "*",
        },
    ],
};

const everything: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }],
};

describe("the permissions boundary", function () {
    this.timeout(120_000);
    const roles: [string, PolicyDocument][] = [];

    before(async () => {
        for (const variant of variants) {
            for (const { holder, where, document: policy } of (await evaluateVariant(variant)).policies) {
                if (holder.kind === "identity" && holder.principal.includes(":role/image-export-")) {
                    roles.push([`${variant.name}: ${where}`, policy]);
                }
            }
        }
    });

    it("is one policy that IAM takes", () => {
        assert.deepEqual(more, []);
        assert(JSON.stringify(document).length < maxPolicyCharacters);
    });

    it("lets each role do what its policy is there for", async () => {
        const seen = new Set<string>();
        for (const [where, policy] of roles) {
            for (const call of callsOf(policy)) {
                const key = JSON.stringify(call);
                if (seen.has(key)) continue;
                seen.add(key);
                assert.equal(await verdict(call, policy), "Allowed", `${where}: ${key}`);
            }
        }
        assert(seen.size > 50, `${seen.size} calls`);
    });

    it("has no action that no role is allowed", () => {
        const used = new Set(roles.flatMap(([, policy]) => policy.Statement.flatMap(({ Action }) => Action)));
        const unused = boundary.flatMap(({ actions }) => actions).filter((action) => !used.has(action));
        assert.deepEqual(unused, []);
    });

    const beyond: [action: string, resource: string, context?: Record<string, string>][] = [
        ["iam:CreateUser", `arn:aws:iam::${at.accountId}:user/x`],
        ["iam:PutRolePolicy", `arn:aws:iam::${at.accountId}:role/image-export-build-role-0a1b2c3`],
        ["iam:PassRole", `arn:aws:iam::${at.accountId}:role/image-export-build-role-0a1b2c3`],
        ["sts:AssumeRole", `arn:aws:iam::${at.accountId}:role/admin`],
        ["s3:GetObject", "arn:aws:s3:::another-bucket/x"],
        ["s3:DeleteObject", "arn:aws:s3:::image-export-bucket-0a1b2c3/images/x.tar"],
        ["s3:PutBucketPolicy", "arn:aws:s3:::image-export-bucket-0a1b2c3"],
        ["codebuild:StartBuild", `arn:aws:codebuild:ap-northeast-1:${at.accountId}:project/another`],
        ["states:StartExecution", `arn:aws:states:ap-northeast-1:${at.accountId}:stateMachine:another`],
        [
            "logs:PutLogEvents",
            `arn:aws:logs:ap-northeast-1:${at.accountId}:log-group:/aws/lambda/x:log-stream:y`,
        ],
        [
            "kms:Decrypt",
            `arn:aws:kms:ap-northeast-1:${at.accountId}:key/1234abcd-12ab-34cd-56ef-1234567890ab`,
        ],
        ["events:PutRule", `arn:aws:events:ap-northeast-1:${at.accountId}:rule/another`],
        ["sqs:SendMessage", `arn:aws:sqs:ap-northeast-1:${at.accountId}:another`],
        [
            "ec2:CreateNetworkInterfacePermission",
            `arn:aws:ec2:ap-northeast-1:${at.accountId}:network-interface/eni-1`,
            { "ec2:AuthorizedService": "another.amazonaws.com" },
        ],
        ["lambda:CreateFunction", `arn:aws:lambda:ap-northeast-1:${at.accountId}:function:x`],
    ];
    for (const [action, resource, context = {}] of beyond) {
        it(`holds a role whose policy allows everything from ${action} on ${resource}`, async () => {
            assert.equal(await verdict({ action, resource, context }, everything), "ImplicitlyDenied");
        });
    }

    it("lets a role whose policy allows nothing do nothing", async () => {
        const nothing = { Version: "2012-10-17", Statement: [] };
        const call = { action: "ecr:GetAuthorizationToken", resource: "*", context: {} };
        assert.equal(await verdict(call, nothing), "ImplicitlyDenied");
        assert.equal(await verdict(call, everything), "Allowed");
    });
});
