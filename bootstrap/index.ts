/**
 * What a stack of ecr-image-export needs in its account to be deployed on git push: a program of its own, since a stack does
 * not configure its own deployments. docs/deployments.md says how it is used.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import * as pulumiservice from "@pulumi/pulumiservice";

import { loadConfig, providers } from "./config";
import * as policies from "./policies";

// Not the beginning of the names that deployments may use: what is made here is out of their reach.
const name = "deploy-image-export";
const { region, repository, branch, deployOn, existingBucket, ...config } = loadConfig();
const stack = pulumi.getStack();
const organization = pulumi.getOrganization();
const onPush = deployOn === "push";
const tags = { project: pulumi.getProject(), stack, "managed-by": "pulumi" };
/** What a push has to change: everything that the program reads. */
const paths = [
    ...[`Pulumi.${stack}.yaml`, "Pulumi.yaml", "package-lock.json", "index.ts", "config.ts"],
    ...["buildspec/**", "components/**", "contract/**", "exporter/**", "policies/**", "stateMachines/**"],
];

const { partition, dnsSuffix } = aws.getPartitionOutput();
const { accountId } = aws.getCallerIdentityOutput();
const target = pulumi.output({ partition, domain: dnsSuffix, region, accountId, stack, existingBucket });
const { preview, deploy, boundary: most } = target.apply(policies.policiesFor);
const boundary = new aws.iam.Policy(`${name}-boundary`, {
    // The one name that is given: a condition of the deployments' policy has it.
    name: policies.boundaryName(stack),
    description: `The most that roles of ecr-image-export, stack ${stack}, can ever do`,
    policy: pulumi.jsonStringify(most),
    tags,
});

/** The outputs. `permissionsBoundary` is the value of the stack's configuration key of that name. */
export = {
    permissionsBoundary: boundary.arn,
    ...(config.with.includes("pulumi-deployments") && { pulumiDeployRoleArn: deployByPulumi() }),
    ...(config.with.includes("github-actions") && deployByGitHub()),
};

/** Pulumi Cloud deploys the stack. A stack is destroyed by people, under their own names. */
function deployByPulumi(): pulumi.Output<string> {
    const provider = { provider: providers.pulumi, audience: organization };
    const of = `pulumi:deploy:org:${organization}:project:${policies.project}:stack:${stack}`;
    const roleARN = createRole("pulumi", createProvider("pulumi", provider), [preview, deploy], {
        ...provider,
        // https://www.pulumi.com/docs/deployments/guides/oidc/
        subjects: ["preview", "refresh", "update"].map((each) => `${of}:operation:${each}:scope:write`),
    });
    new pulumiservice.DeploymentSettings(`${name}-settings`, {
        organization,
        project: policies.project,
        stack,
        sourceContext: { git: { branch: `refs/heads/${branch}` } },
        vcs: {
            provider: "github",
            repository,
            // A tag is no commit to deploy: the provider has no setting for tags yet, and docs/deployments.md has the command.
            deployCommits: onPush,
            // They would run the code of pull requests with the role that deploys, since a stack has one.
            previewPullRequests: false,
            ...(onPush && { paths }),
        },
        operationContext: {
            oidc: { aws: { roleARN, sessionName: "${stack.name}-${deployment.version}", duration: "1h0m0s" } },
            preRunCommands: ["npm ci"],
            // `npm ci` takes the versions of the lock file.
            options: { skipInstallDependencies: true, skipIntermediateDeployments: true },
        },
    });
    return roleARN;
}

/** The roles of .github/workflows/deploy.yml: one deploys; the other previews pull requests, where pushes deploy. */
function deployByGitHub(): Readonly<Record<string, pulumi.Output<string>>> {
    // The audience of github.com/aws-actions/configure-aws-credentials.
    const provider = { provider: providers.github, audience: "sts.amazonaws.com" };
    const providerArn = createProvider("github", provider);
    // https://docs.github.com/en/actions/reference/security/oidc: the environment stands in the place of the tag.
    const deployed = onPush
        ? { subjects: `${config.githubSubject}:ref:refs/heads/${branch}` }
        : { subjects: `${config.githubSubject}:environment:${stack}`, ref: "refs/tags/v*" };
    return {
        githubDeployRoleArn: createRole("github", providerArn, [preview, deploy], { ...provider, ...deployed }),
        ...(onPush && {
            githubPreviewRoleArn: createRole("github-preview", providerArn, [preview], {
                ...provider,
                subjects: `${config.githubSubject}:pull_request`,
            }),
        }),
    };
}

/** Registers a provider of tokens, unless the account has it already: IAM takes each once. */
function createProvider(way: string, { provider, audience }: Omit<policies.Tokens, "subjects">): pulumi.Output<string> {
    if (config.existingProviders.some((each) => each === provider)) {
        return pulumi.interpolate`arn:${partition}:iam::${accountId}:oidc-provider/${provider}`;
    }
    const args = { url: `https://${provider}`, clientIdLists: [audience], tags };
    return new aws.iam.OpenIdConnectProvider(`${name}-${way}-provider`, args).arn;
}

/** A role for the holders of tokens; its ARN is known once it has its policies. */
function createRole(
    way: string,
    providerArn: pulumi.Output<string>,
    documents: readonly pulumi.Output<aws.iam.PolicyDocument>[],
    tokens: policies.Tokens,
): pulumi.Output<string> {
    const role = new aws.iam.Role(`${name}-${way}-role`, {
        description: `Deployments or previews of ecr-image-export, stack ${stack}`,
        assumeRolePolicy: pulumi.jsonStringify(policies.trustPolicy(providerArn, tokens)),
        tags,
    });
    const attached = documents.map((document, index) => {
        const policy = pulumi.jsonStringify(document);
        return new aws.iam.RolePolicy(`${name}-${way}-${index + 1}`, { role: role.name, policy });
    });
    return pulumi.all([role.arn, attached.map(({ id }) => id)]).apply(([arn]) => arn);
}
