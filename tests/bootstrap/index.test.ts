/** The bootstrap program, whole: what it declares, and whom it trusts. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";

import { policiesFor } from "../../bootstrap/policies";
import { at, type AwsType, awsTypes } from "../../lab/awsTypes";
import { evaluate, type Evaluation, resourceOf, unknown } from "../../lab/evaluation";
import { judge, type PolicyDocument } from "../../lab/iam";
import { configurationText, root } from "../../lab/stackFiles";
import { bootstrapTypes } from "../support/bootstrapTypes";
import { loadOtherProgram } from "../support/otherProgram";
import { typesAndNamesOf } from "../support/evaluated";

const iamArn = (resource: string) => `arn:${at.partition}:iam::${at.accountId}:${resource}`;
const pulumiHost = "api.pulumi.com/oidc";
const githubHost = "token.actions.githubusercontent.com";
const ofRole = (way: string, policies: number) => [
    `Role ${way}-role`,
    ...Array.from({ length: policies }, (_, index) => `RolePolicy ${way}-${index + 1}`),
];
const byPulumi = ["DeploymentSettings settings", "OpenIdConnectProvider pulumi-provider", ...ofRole("pulumi", 2)];
const byGitHub = ["OpenIdConnectProvider github-provider", ...ofRole("github", 2)];
const previews = ofRole("github-preview", 1);
/** Types and names of what is declared, without what they all begin with. */
function declaredBy(evaluation: Evaluation): string[] {
    return typesAndNamesOf(evaluation)
        .map((each) => each.replace(/^.*:(\w+) deploy-image-export-/, "$1 "))
        .sort();
}

const types: Record<string, AwsType | undefined> = {
    ...awsTypes,
    ...bootstrapTypes,
    "aws:iam/policy:Policy": { answer: (_, { name }) => ({ id: String(name), arn: iamArn(`policy/${String(name)}`) }) },
};

/** Evaluates the bootstrap program as a stack, with other values in the place of its file's. */
function evaluateBootstrap(stack: string, changes: Record<string, unknown> = {}, preview = false): Promise<Evaluation> {
    const project = "ecr-image-export-bootstrap";
    const file = readFileSync(join(root, "bootstrap", `Pulumi.${stack}.yaml`), "utf8");
    const { config } = parse(file) as { config: Record<string, unknown> };
    const values = new Map(Object.entries(config));
    for (const [key, value] of Object.entries(changes)) values.set(`${project}:${key}`, value);
    return evaluate(
        () => {
            pulumi.runtime.setAllConfig({});
            for (const [key, value] of values) pulumi.runtime.setConfig(key, configurationText(value));
            return loadOtherProgram("bootstrap");
        },
        { stack, preview, project, organization: "octo-org", types },
    );
}

/** Claims of a token beside its subject. */
interface Claims {
    readonly aud?: string;
    readonly ref?: string;
}

describe("the bootstrap program", () => {
    let dev: Evaluation;
    let prod: Evaluation;

    before(async () => {
        dev = await evaluateBootstrap("dev");
        prod = await evaluateBootstrap("prod");
    });

    it("declares the boundary, and a provider and roles for each way; none for previews of prod", () => {
        assert.deepEqual(declaredBy(dev), ["Policy boundary", ...byPulumi, ...byGitHub, ...previews].sort());
        assert.deepEqual(declaredBy(prod), ["Policy boundary", ...byPulumi, ...byGitHub].sort());
    });

    it("exports what deployments are set up with, and nothing undefined", () => {
        const outputs = ["permissionsBoundary", "pulumiDeployRoleArn", "githubDeployRoleArn"];
        assert.deepEqual(Object.keys(prod.result), outputs);
        assert.deepEqual(Object.keys(dev.result), [...outputs, "githubPreviewRoleArn"]);
        assert.equal(dev.result["permissionsBoundary"], iamArn("policy/deploy-image-export-boundary-dev"));
    });

    it("declares the same in a preview", async () => {
        const previewed = await evaluateBootstrap("dev", {}, true);
        assert.deepEqual(typesAndNamesOf(previewed), typesAndNamesOf(dev));
        assert.equal(previewed.result["pulumiDeployRoleArn"], unknown);
        assert.doesNotMatch(JSON.stringify(previewed), /Calling \[to(?:String|JSON)\]/);
    });

    it("gives previews only what reads", () => {
        const { preview, deploy } = policiesFor({ ...at, domain: "amazonaws.com", stack: "dev" });
        for (const [way, ...documents] of [
            ["github-preview", preview],
            ["github", preview, deploy],
            ["pulumi", preview, deploy],
        ] as const) {
            for (const [index, document] of documents.entries()) {
                const { role, policy } = resourceOf(dev, `deploy-image-export-${way}-${index + 1}`).inputs;
                assert.equal(role, `deploy-image-export-${way}-role-0a1b2c3`);
                assert.deepEqual(JSON.parse(String(policy)), document);
            }
        }
    });

    it("takes one way to deploy, and the providers that the account already has", async () => {
        const cloud = await evaluateBootstrap("dev", { with: ["pulumi-deployments"] });
        assert.deepEqual(declaredBy(cloud), ["Policy boundary", ...byPulumi].sort());
        const github = await evaluateBootstrap("dev", { with: ["github-actions"], existingProviders: [githubHost] });
        assert.deepEqual(declaredBy(github), ["Policy boundary", ...byGitHub.slice(1), ...previews].sort());
        assert.deepEqual(trustOf(github, "github"), trustOf(dev, "github"));
    });

    it("has Pulumi Cloud deploy pushes with its role, and run no code of pull requests", () => {
        const settings = (evaluation: Evaluation) =>
            resourceOf(evaluation, "deploy-image-export-settings").inputs as {
                vcs: { paths?: string[]; deployCommits: boolean; previewPullRequests: boolean };
                operationContext: { oidc: { aws: { roleARN: string } } };
            };
        const { vcs, operationContext } = settings(dev);
        assert.equal(operationContext.oidc.aws.roleARN, dev.result["pulumiDeployRoleArn"]);
        assert.deepEqual([vcs.deployCommits, vcs.previewPullRequests], [true, false]);
        const ofProd = settings(prod).vcs;
        assert.deepEqual([ofProd.deployCommits, ofProd.previewPullRequests], [false, false]);

        const workflow = parse(readFileSync(join(root, ".github/workflows/deploy.yml"), "utf8")) as {
            on: Record<"push" | "pull_request", { paths: string[] }>;
        };
        const ofProgram = workflow.on.push.paths.filter((path) => !path.startsWith(".github/"));
        assert.deepEqual(ofProgram.sort(), vcs.paths?.sort());
        assert.deepEqual(workflow.on.pull_request.paths.sort(), workflow.on.push.paths.sort());
    });

    describe("trusts", () => {
        const stack = "pulumi:deploy:org:octo-org:project:ecr-image-export:stack:dev:operation:update:scope:write";
        const repository = "repo:octo-org/ecr-image-export";
        const main = `${repository}:ref:refs/heads/main`;
        const prodJob = `${repository}:environment:prod`;
        const release = "refs/tags/v1.0.0";
        const rows: [role: string, subject: string, allowed: boolean, other?: Claims][] = [
            ["pulumi", stack, true],
            ["pulumi", stack.replace("update", "preview"), true],
            ["pulumi", stack.replace("update", "destroy"), false],
            ["pulumi", stack.replace("stack:dev", "stack:prod"), false],
            ["pulumi", stack.replace("octo-org", "evil-org"), false],
            ["pulumi", stack, false, { aud: "evil-org" }],
            ["github", main, true],
            ["github", main.replace("main", "feature"), false],
            ["github", `${repository}:pull_request`, false],
            ["github", main.replace("octo-org", "forker"), false],
            ["github", main, false, { aud: "https://github.com/octo-org" }],
            ["github-preview", `${repository}:pull_request`, true],
            ["github-preview", "repo:forker/ecr-image-export:pull_request", false],
            ["prod github", prodJob, true, { ref: release }],
            ["prod github", prodJob.replace("prod", "dev"), false, { ref: release }],
            ["prod github", prodJob, false, { ref: "refs/heads/v1.0.0" }],
            ["prod github", `${repository}:ref:${release}`, false, { ref: release }],
        ];
        for (const [role, subject, allowed, other = {}] of rows) {
            it(`${allowed ? "" : "not "}${subject}, ${JSON.stringify(other)}, for the role ${role}`, async () => {
                const [name = "", ...ofProd] = role.split(" ").reverse();
                assert.equal(await assumes(ofProd.length > 0 ? prod : dev, name, subject, other), allowed);
            });
        }

        it("a repository by its numbers, where GitHub names it so", async () => {
            const numbered = "repo:octo-org@123456/ecr-image-export@456789";
            const program = await evaluateBootstrap("dev", { githubSubject: numbered });
            assert.equal(await assumes(program, "github", `${numbered}:ref:refs/heads/main`), true);
            assert.equal(await assumes(program, "github", main), false);
        });
    });

    const refused: [key: string, value: unknown, message: RegExp][] = [
        ["githubSubject", "repo:octo-org/*", /expected repo:octo-org\/ecr-image-export, or the same with/],
        ["githubSubject", "repo:evil-org@1/ecr-image-export@2", /or the same with the numbers/],
        ["branch", "*", /expected one branch/],
        ["deployOn", "merge", /expected one of push, tag/],
        ["with", ["jenkins"], /expected one of pulumi-deployments, github-actions/],
        ["existingProviders", ["example.com"], /expected one of api\.pulumi\.com\/oidc/],
        ["existingBucket", "arn:aws:s3:::x", /expected a bucket's name/],
    ];
    for (const [key, value, message] of refused) {
        it(`refuses ${key} ${JSON.stringify(value)}`, async () => {
            await assert.rejects(evaluateBootstrap("dev", { [key]: value }), (error: Error) => {
                assert.match(error.message, new RegExp(`^The configuration value ${key} is `));
                assert.match(error.message, message);
                return true;
            });
        });
    }
});

function trustOf(evaluation: Evaluation, role: string): PolicyDocument {
    const { assumeRolePolicy } = resourceOf(evaluation, `deploy-image-export-${role}-role`).inputs;
    return JSON.parse(String(assumeRolePolicy)) as PolicyDocument;
}

/** Whether somebody with a token of the role's provider may assume a role. */
async function assumes(
    evaluation: Evaluation,
    role: string,
    subject: string,
    { aud, ref = "" }: Claims = {},
): Promise<boolean> {
    const host = role === "pulumi" ? pulumiHost : githubHost;
    const audience = aud ?? (role === "pulumi" ? "octo-org" : "sts.amazonaws.com");
    // The simulator does not know these keys. It knows tags of the principal, which are compared in the same way.
    const asTags = <T>(value: T): T =>
        JSON.parse(JSON.stringify(value).replaceAll(`"${host}:`, '"aws:PrincipalTag/token-')) as T;
    const { verdict } = await judge({
        principal: iamArn(`oidc-provider/${host}`),
        action: "sts:AssumeRoleWithWebIdentity",
        resource: iamArn(`role/deploy-image-export-${role}-role-0a1b2c3`),
        accountId: at.accountId,
        identityPolicies: [],
        resourcePolicy: asTags(trustOf(evaluation, role)),
        context: asTags({ [`${host}:aud`]: audience, [`${host}:sub`]: subject, ...(ref && { [`${host}:ref`]: ref }) }),
    });
    return verdict === "Allowed";
}
