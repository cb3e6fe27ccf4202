/** Patterns mean the same everywhere; what is too long for AWS is refused, with advice that helps; names leave room for Pulumi's digits. */
import { strict as assert } from "node:assert";

import * as fc from "fast-check";

import { covers, parseRepositoryArn } from "../contract/image";
import { at } from "../lab/awsTypes";
import { configurationOf } from "../lab/stackFiles";
import { customResourcesOf, type Evaluation, resourceOf } from "../lab/evaluation";
import { compilePattern } from "../lab/events";
import { judge, type PolicyDocument } from "../lab/iam";
import { evaluateStack } from "../lab/program";
import { variants } from "../proof/program";
import type { StateMachineDefinition } from "../stateMachines/language";
import { runExport } from "./support/exportExecution";
import { repositoryUris } from "./support/repositoryUris";

const arnOf = (name: string) => `arn:${at.partition}:ecr:${at.region}:${at.accountId}:repository/${name}`;

/** Evaluates the stack dev, which exports nginx by itself, with further repositories. */
function evaluateWith(
    names: readonly string[],
    changes: Readonly<Record<string, unknown>> = {},
    preview = false,
): Promise<Evaluation> {
    const keys = { repositoryArns: names.map(arnOf), triggers: { onPush: { repositories: ["nginx"] } }, ...changes };
    return evaluateStack("dev", preview, configurationOf(keys));
}

const policyOf = (stack: Evaluation, name: string) => resourceOf(stack, name).inputs["policy"] as PolicyDocument;
const buildPolicy = (stack: Evaluation) => policyOf(stack, "image-export-build-policy");
const machinePolicy = (stack: Evaluation) => policyOf(stack, "image-export-single-machine-policy");
const parsed = (stack: Evaluation, name: string, input: string) =>
    JSON.parse(String(resourceOf(stack, name).inputs[input])) as unknown;

describe("a pattern of repositories", () => {
    const listed = ["backend/*", "web/shop/*", "a/*", "base", "nginx"];
    let stack: Evaluation;
    before(async () => {
        stack = await evaluateWith(listed.slice(0, -1), { triggers: { onPush: {} }, network: "isolated" });
    });

    /** Who lets a repository pass: build and state machine by their policies, the state machine, the rule for pushes. */
    async function verdictsOn(name: string): Promise<boolean[]> {
        const allows = async (document: PolicyDocument, action: string) => {
            const principal = `arn:${at.partition}:sts::${at.accountId}:assumed-role/image-export/session`;
            const { accountId } = at;
            const identityPolicies = [document];
            const call = { principal, action, resource: arnOf(name), accountId, identityPolicies, context: {} };
            return (await judge(call)).verdict === "Allowed";
        };
        const endpoint = parsed(stack, "image-export-network-ecr-dkr-endpoint", "policy") as PolicyDocument;
        const withoutPrincipal = endpoint.Statement.map(({ Principal, ...statement }) => {
            assert.equal(Principal, "*");
            return statement;
        });
        const [uri = ""] = repositoryUris(parseRepositoryArn(arnOf(name)));
        const definition = parsed(stack, "image-export-single-machine", "definition") as StateMachineDefinition;
        const { outcome } = await runExport({ imageUri: `${uri}:1` }, { definition });
        const matches = compilePattern(parsed(stack, "image-export-triggers-on-push", "eventPattern") as never);
        const detail = { "action-type": "PUSH", result: "SUCCESS", "repository-name": name, "image-tag": "1" };
        return [
            await allows(buildPolicy(stack), "ecr:BatchGetImage"),
            await allows(machinePolicy(stack), "ecr:DescribeImages"),
            await allows({ ...endpoint, Statement: withoutPrincipal }, "ecr:BatchGetImage"),
            outcome.status === "SUCCEEDED",
            matches({ source: "aws.ecr", "detail-type": "ECR Image Action", detail }),
        ];
    }

    it("covers the same names for policies, state machine and rule", async () => {
        const part = fc.constantFrom("backend", "backend-x", "web", "shop", "a", "base", "nginx", "api");
        const names = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
        await fc.assert(
            fc.asyncProperty(
                names.filter((name) => name !== "a"),
                async (name) => {
                    const expected = listed.some((each) => covers(each, name));
                    assert.deepEqual(await verdictsOn(name), Array(5).fill(expected), name);
                },
            ),
            { numRuns: 60, examples: [["backend"], ["backend-x"], ["backend/a/b/c"], ["web/shop"], ["a/b"]] },
        );
    });

    it("leaves policies and pattern far below their limits, however many repositories it stands for", () => {
        const sizes = [
            JSON.stringify(buildPolicy(stack)),
            JSON.stringify(machinePolicy(stack)),
            ...["on-push"].map((name) =>
                String(resourceOf(stack, `image-export-triggers-${name}`).inputs["eventPattern"]),
            ),
        ].map(({ length }) => length);
        assert(Math.max(...sizes) < 4000, String(sizes));
    });

    it("is published to the owner of another registry as the policy of that registry", async () => {
        const foreign = ["platform/*", "base", "tools/*"].map((name) =>
            arnOf(name).replace(at.accountId, "444455556666"),
        );
        const [platform = "", base = "", tools = ""] = foreign;
        const { result } = await evaluateWith([], { crossAccountRepositoryArns: foreign });
        const policies = result["repositoryPolicies"] as Record<string, string>;
        const resources = Object.entries(policies).map(([arn, text]) => {
            const { Statement } = JSON.parse(text) as PolicyDocument;
            return [arn, Statement.map(({ Resource }) => Resource)];
        });
        assert.deepEqual(Object.fromEntries(resources), {
            [platform]: [[platform, tools]],
            [base]: [undefined],
            [tools]: [[platform, tools]],
        });
    });
});

describe("many single repositories", () => {
    const names = (count: number) =>
        Array.from({ length: count }, (_, index) => `backend/team-${index % 7}/app-${index}`);
    const vpc = {
        vpcId: "vpc-0a1b2c3d4e5f60718",
        subnetIds: Array.from({ length: 16 }, (_, index) => `subnet-0a1b2c3d4e5f607${10 + index}`),
        securityGroupIds: Array.from({ length: 5 }, (_, index) => `sg-0a1b2c3d4e5f607${10 + index}`),
    };
    const most = { network: vpc, artifactPrefix: `${"p".repeat(255)}/`, encryption: "kms", engine: "stream" };
    const stacks: [what: string, changes: Record<string, unknown>, fitting: number, refused: number, what: RegExp][] = [
        ["of the fewest permissions", {}, 80, 120, /^The policy of the role of (?:builds|the export state machine)/],
        ["of the most permissions", most, 38, 75, /^The policy of the role of builds/],
        ["with a trigger for all", { triggers: { onPush: {} } }, 60, 90, /^The event pattern of triggers\.onPush/],
    ];
    for (const [what, changes, fitting, refused, message] of stacks) {
        it(`fit into a stack ${what}: ${fitting}`, async () => {
            const stack = await evaluateWith(names(fitting), changes);
            for (const { inputs } of customResourcesOf(stack).filter(
                ({ type }) => type === "aws:iam/rolePolicy:RolePolicy",
            )) {
                assert(JSON.stringify(inputs["policy"]).length <= 10_240);
            }
        });

        for (const preview of [true, false]) {
            it(`do not, ${refused} of them, and the advice helps, ${preview ? "in a preview" : "in an update"}`, async () => {
                const error = await evaluateWith(names(refused), changes, preview).then(
                    () => assert.fail("it is not refused"),
                    (reason: unknown) => reason as Error,
                );
                assert.match(error.message, message);
                const [, pattern = ""] = /begin with \S+: write (\S+) for them\.$/.exec(error.message) ?? [];
                assert.notEqual(pattern, "", error.message);
                await evaluateWith([...names(refused), pattern.replace(/^arn.*:repository\//, "")], changes, preview);
            });
        }
    }
});

/** Characters of the longest name, by type of what Pulumi names: the services' API models. */
const nameLimits: Readonly<Record<string, number>> = {
    "aws:cloudwatch/eventRule:EventRule": 64,
    "aws:codebuild/project:Project": 150,
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:s3/bucket:Bucket": 63,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:scheduler/scheduleGroup:ScheduleGroup": 64,
    "aws:sfn/stateMachine:StateMachine": 80,
    "aws:sns/topic:Topic": 256,
    "aws:sqs/queue:Queue": 80,
};

describe("the names of resources", () => {
    it("leave room for the digits that Pulumi adds, whatever project and stack are called", async () => {
        const seen = new Set<string>();
        for (const { stack, changes } of variants) {
            for (const { type, name } of customResourcesOf(await evaluateStack(stack, false, { ...changes }))) {
                const limit = nameLimits[type];
                if (limit === undefined) continue;
                seen.add(type);
                assert(name.length + "-0a1b2c3".length <= limit, `${type} ${name}`);
            }
        }
        assert.deepEqual([...seen].sort(), Object.keys(nameLimits));
    });
});
