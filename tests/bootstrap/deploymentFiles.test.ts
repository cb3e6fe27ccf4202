/** The deployment files and the workflow: they say what the bootstrap program says, and name what is there. */
import { strict as assert } from "node:assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import { root } from "../../lab/stackFiles";
import type { Evaluation } from "../support/pulumiMocks";
import { evaluateBootstrap } from "./support";

interface DeploymentFile {
    readonly settings: {
        readonly sourceContext: unknown;
        readonly gitHub: Record<string, unknown> & { readonly paths?: readonly string[] };
        readonly operationContext: {
            readonly oidc: { readonly aws: Record<string, unknown> };
            readonly preRunCommands: readonly string[];
            readonly options: Record<string, unknown>;
        };
    };
}

interface Step {
    readonly uses?: string;
    readonly run?: string;
    readonly with?: Record<string, unknown>;
    readonly env?: Record<string, string>;
}

interface Job {
    readonly if: string;
    readonly permissions: Record<string, string>;
    readonly environment?: string;
    readonly concurrency: string;
    readonly steps: readonly Step[];
}

interface Workflow {
    readonly on: Record<string, { branches?: string[]; tags?: string[]; paths?: string[] }>;
    readonly permissions: Record<string, string>;
    readonly jobs: Record<string, Job>;
}

function read(file: string): unknown {
    return parse(readFileSync(join(root, file), "utf8"));
}

/** A filter of paths names files that are there. */
function assertThere(paths: readonly string[]): void {
    assert(paths.length > 0);
    for (const path of paths) {
        const file = path.replace(/\/\*\*$/, "");
        assert(existsSync(join(root, file)), `${path} is not there`);
    }
}

/** What a push has to change for `dev` to be deployed: everything that the program reads. */
const sources = [
    "Pulumi.dev.yaml",
    "Pulumi.yaml",
    "index.ts",
    "config.ts",
    "engine.ts",
    "imageExport.ts",
    "settings.ts",
    "package-lock.json",
    "buildspec/**",
    "components/**",
    "exporter/**",
];

describe("the sources of a deployment", () => {
    it("are all that index.ts reads", () => {
        assertThere(sources);
        const read = new Set<string>();
        const follow = (file: string): void => {
            if (read.has(file)) return;
            read.add(file);
            const text = readFileSync(join(root, file), "utf8");
            for (const [, path = ""] of text.matchAll(/from "(\.\.?\/[^"]+)"/g)) {
                follow(`${join(file, "..", path)}.ts`);
            }
        };
        follow("index.ts");
        assert(read.size > 15, `${read.size} files`);
        for (const file of read) {
            assert(
                sources.some((path) => file === path || file.startsWith(path.replace("**", ""))),
                `a change of ${file} would not be deployed`,
            );
        }
    });
});

for (const stack of ["dev", "prod"]) {
    describe(`Pulumi.${stack}.deploy.yaml`, () => {
        const { settings } = read(`Pulumi.${stack}.deploy.yaml`) as DeploymentFile;
        let declared: Record<string, unknown>;
        let program: Evaluation;

        before(async () => {
            program = await evaluateBootstrap(stack);
            declared = program.resource("deploy-image-export-pulumi-settings").inputs;
        });

        it("is for a stack of the project", () => {
            assert(existsSync(join(root, `Pulumi.${stack}.yaml`)));
            assert.equal(declared["stack"], stack);
            assert.equal(declared["project"], (read("Pulumi.yaml") as { name: string }).name);
            assert.equal(declared["organization"], "octo-org");
        });

        it("says what the bootstrap program says", () => {
            const { gitHub, operationContext } = settings;
            assert.deepEqual(declared["sourceContext"], settings.sourceContext);
            const { provider, pullRequestTemplate, ...github } = declared["vcs"] as Record<string, unknown>;
            assert.equal(provider, "github");
            // The provider has no settings for tags.
            const { deployTags, tagFilters, ...known } = gitHub;
            assert.deepEqual(github, known);
            assert.deepEqual(
                [deployTags, tagFilters],
                stack === "prod" ? [true, ["v*"]] : [undefined, undefined],
            );
            assert.equal(pullRequestTemplate, false);
            const { oidc, preRunCommands, options } = declared["operationContext"] as {
                oidc: { aws: Record<string, unknown> };
                preRunCommands: string[];
                options: Record<string, unknown>;
            };
            const { roleArn, ...aws } = operationContext.oidc.aws;
            assert.deepEqual(oidc.aws, { ...aws, roleARN: roleArn });
            assert.equal(roleArn, program.result["pulumiDeployRoleArn"]);
            assert.deepEqual(preRunCommands, operationContext.preRunCommands);
            for (const [option, value] of Object.entries(options)) {
                assert.equal(operationContext.options[option], value, option);
            }
        });

        it("has the fields of the CLI's file, and no other", () => {
            assert.deepEqual(Object.keys(settings), ["sourceContext", "gitHub", "operationContext"]);
            // github.com/pulumi/pulumi, sdk/go/common/apitype/deployments.go, and for tags
            // www.pulumi.com/docs/deployments/concepts/settings/tag-filtering
            const known = {
                gitHub: [
                    "repository",
                    "pullRequestTemplate",
                    "deployCommits",
                    "previewPullRequests",
                    "paths",
                    "deployTags",
                    "tagFilters",
                ],
                aws: ["roleArn", "sessionName", "duration", "policyArns"],
                options: [
                    "skipInstallDependencies",
                    "skipIntermediateDeployments",
                    "shell",
                    "deleteAfterDestroy",
                    "remediateIfDriftDetected",
                ],
            };
            const { gitHub, operationContext } = settings;
            for (const [given, fields] of [
                [gitHub, known.gitHub],
                [operationContext.oidc.aws, known.aws],
                [operationContext.options, known.options],
            ] as const) {
                for (const field of Object.keys(given)) assert(fields.includes(field), field);
            }
        });
    });
}

describe("what deploys", () => {
    const settingsOf = (stack: string) =>
        (read(`Pulumi.${stack}.deploy.yaml`) as DeploymentFile).settings.gitHub;

    it("dev is a push that changes its sources, and its pull requests are previewed", () => {
        const { deployCommits, previewPullRequests, paths, deployTags } = settingsOf("dev");
        assert.deepEqual([deployCommits, previewPullRequests, deployTags], [true, true, undefined]);
        assert.deepEqual(paths, sources);
    });

    it("prod is a tag, and nobody's pull request runs with its role", () => {
        const { deployCommits, previewPullRequests, paths, deployTags, tagFilters } = settingsOf("prod");
        assert.deepEqual([deployCommits, previewPullRequests, deployTags], [false, false, true]);
        assert.deepEqual([tagFilters, paths], [["v*"], undefined]);
    });
});

describe(".github/workflows/deploy.yml", () => {
    const workflow = read(".github/workflows/deploy.yml") as Workflow;
    const { preview, dev, prod } = workflow.jobs;
    assert(preview && dev && prod);

    it("runs on pull requests, pushes to main and tags, as what they change asks for", () => {
        const paths = [".github/workflows/deploy.yml", ...sources];
        assertThere(paths);
        assert.deepEqual(workflow.on, {
            pull_request: { branches: ["main"], paths },
            push: { branches: ["main"], tags: ["v*"], paths },
        });
        assert.deepEqual(Object.keys(workflow.jobs), ["preview", "dev", "prod"]);
    });

    it("is inert in a fork, and anywhere before it is set up", () => {
        for (const [name, job] of Object.entries(workflow.jobs)) {
            assert(job.if.startsWith("vars.DEPLOY == 'github-actions' && "), name);
            assert(!job.if.includes("||"), name);
        }
    });

    it("runs no code of a fork with a token", () => {
        assert.match(preview.if, /github\.event\.pull_request\.head\.repo\.full_name == github\.repository$/);
        assert(!("pull_request_target" in workflow.on) && !("workflow_run" in workflow.on));
    });

    it("deploys dev from main, and prod from tags under the rules of its environment", () => {
        assert.match(dev.if, /github\.event_name == 'push' && github\.ref == 'refs\/heads\/main'$/);
        assert.equal(dev.environment, undefined);
        assert.match(prod.if, /github\.event_name == 'push' && startsWith\(github\.ref, 'refs\/tags\/v'\)$/);
        assert.equal(prod.environment, "prod");
    });

    it("asks for the tokens that each role of the bootstrap trusts", async () => {
        const subjectOf = async (stack: string, role: string) => {
            const { inputs } = (await evaluateBootstrap(stack)).resource(
                `deploy-image-export-github-${role}-role`,
            );
            return /"token\.actions\.githubusercontent\.com:sub":"([^"]*)"/.exec(
                String(inputs["assumeRolePolicy"]),
            )?.[1];
        };
        const repository = "repo:octo-org/ecr-image-export";
        assert.equal(
            await subjectOf("dev", "deploy"),
            `${repository}:ref:refs/heads/${workflow.on["push"]?.branches?.[0] ?? ""}`,
        );
        assert.equal(await subjectOf("dev", "preview"), `${repository}:pull_request`);
        assert.equal(
            await subjectOf("prod", "deploy"),
            `${repository}:environment:${prod.environment ?? ""}`,
        );
    });

    it("may no more than each job needs", () => {
        assert.deepEqual(workflow.permissions, { contents: "read" });
        const deploys = { contents: "read", "id-token": "write" };
        assert.deepEqual(dev.permissions, deploys);
        assert.deepEqual(prod.permissions, deploys);
        assert.deepEqual(preview.permissions, { ...deploys, "pull-requests": "write" });
    });

    it("pins each action to a commit, and says which release that is", () => {
        const text = readFileSync(join(root, ".github/workflows/deploy.yml"), "utf8");
        const uses = text.match(/uses: .*/g) ?? [];
        assert.equal(uses.length, 12);
        for (const each of uses) {
            assert.match(each, /^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$/);
        }
        assert.equal(new Set(uses).size, 4);
    });

    it("previews with a comment, and deploys, stacks that there are, with a role each", () => {
        const stacks = { preview: ["preview", "dev"], dev: ["up", "dev"], prod: ["up", "prod"] };
        for (const [name, [command, stack = ""]] of Object.entries(stacks)) {
            const steps = workflow.jobs[name]?.steps ?? [];
            const pulumi = steps.find(({ uses }) => uses?.startsWith("pulumi/actions@"))?.with;
            assert(pulumi);
            assert.equal(pulumi["command"], command);
            assert.equal(pulumi["stack-name"], `\${{ vars.PULUMI_ORGANIZATION }}/${stack}`);
            assert.equal(pulumi["comment-on-pr"], name === "preview" ? true : undefined);
            assert(readdirSync(root).includes(`Pulumi.${stack}.yaml`));
            const role = steps.find(({ uses }) => uses?.startsWith("aws-actions/"))?.with?.["role-to-assume"];
            assert.equal(role, `\${{ vars.${name.toUpperCase()}_ROLE }}`);
            assert.deepEqual(
                steps.flatMap(({ run }) => run ?? []),
                ["npm ci"],
            );
        }
    });

    it("never deploys a stack twice at a time", () => {
        const groups = Object.values(workflow.jobs).map(({ concurrency }) => concurrency);
        assert.deepEqual(groups, [
            "preview-${{ github.event.pull_request.number }}",
            "deploy-dev",
            "deploy-prod",
        ]);
    });

    it("takes the variables that docs/deployments.md sets, and no others", () => {
        const guide = readFileSync(join(root, "docs/deployments.md"), "utf8");
        const text = readFileSync(join(root, ".github/workflows/deploy.yml"), "utf8");
        const named = (pattern: RegExp, where: string) =>
            [...new Set([...where.matchAll(pattern)].map(([, name]) => name))].sort();
        assert.deepEqual(named(/vars\.(\w+)/g, text), named(/gh variable set (\w+)/g, guide));
        assert.deepEqual(named(/secrets\.(\w+)/g, text), named(/gh secret set (\w+)/g, guide));
    });
});
