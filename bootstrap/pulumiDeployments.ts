import * as pulumi from "@pulumi/pulumi";
import * as pulumiservice from "@pulumi/pulumiservice";

import { createTokenRole, tokenProvider } from "./deployRole";
import { project } from "./grants";
import { providers, pulumiSubjects } from "./trust";

/** Arguments of {@link PulumiDeployments}. */
export interface PulumiDeploymentsArgs {
    /** Organization in Pulumi Cloud. */
    readonly organization: string;
    /** Name of the stack that is deployed. */
    readonly stack: string;
    /** The GitHub repository, `OWNER/NAME`. */
    readonly repository: string;
    readonly branch: string;
    readonly deployOn: "push" | "tag";
    /** ARN of Pulumi Cloud's OIDC provider, where the account has it already. */
    readonly existingProviderArn?: pulumi.Input<string> | undefined;
    readonly deployPolicyArns: readonly pulumi.Input<string>[];
    readonly tags: Record<string, string>;
}

/** What a push has to change: everything that the program reads. Beside it, the file of the stack. */
const paths = [
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

/**
 * Pulumi Cloud deploys the stack on git push, with a role of the account that nobody else can assume.
 *
 * @example
 * new PulumiDeployments("deploy-image-export-pulumi", {
 *     organization: "octo-org",
 *     stack: "dev",
 *     repository: "octo-org/ecr-image-export",
 *     branch: "main",
 *     deployOn: "push",
 *     deployPolicyArns: policies.deployPolicyArns,
 *     tags: { project: "ecr-image-export-bootstrap" },
 * });
 */
export class PulumiDeployments extends pulumi.ComponentResource {
    /** ARN of the role of deployments. */
    public readonly roleArn: pulumi.Output<string>;

    public constructor(name: string, args: PulumiDeploymentsArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export-bootstrap:index:PulumiDeployments", name, args, opts);
        const child = { parent: this };
        const { organization, stack, existingProviderArn: existingArn, tags } = args;

        const provider = tokenProvider(
            name,
            { host: providers.pulumi, audience: organization, ...(existingArn && { existingArn }) },
            tags,
            child,
        );
        this.roleArn = createTokenRole(
            name,
            {
                description: `Deployments of ecr-image-export, stack ${stack}, by Pulumi Cloud`,
                provider,
                tokens: { subjects: pulumiSubjects({ organization, stack }) },
                policyArns: args.deployPolicyArns,
                tags,
            },
            child,
        );
        createSettings(name, this.roleArn, args, child);
        this.registerOutputs({ roleArn: this.roleArn });
    }
}

function createSettings(
    name: string,
    roleARN: pulumi.Output<string>,
    args: PulumiDeploymentsArgs,
    opts: pulumi.CustomResourceOptions,
): void {
    const { organization, stack, repository, branch, deployOn } = args;
    new pulumiservice.DeploymentSettings(
        `${name}-settings`,
        {
            organization,
            project,
            stack,
            sourceContext: { git: { branch: `refs/heads/${branch}` } },
            vcs: trigger(stack, repository, deployOn),
            operationContext: {
                oidc: {
                    aws: {
                        roleARN,
                        sessionName: "${stack.name}-${deployment.operation}-${deployment.version}",
                        duration: "1h0m0s",
                    },
                },
                preRunCommands: ["npm ci"],
                options: {
                    // `npm ci`, above, takes the versions of the lock file.
                    skipInstallDependencies: true,
                    skipIntermediateDeployments: true,
                },
            },
        },
        opts,
    );
}

/**
 * A tag is no commit to deploy: for stacks that tags deploy, the provider has no setting yet, and docs/deployments.md has the
 * command. Such a stack previews no pull requests, whose code would run with its role.
 */
function trigger(
    stack: string,
    repository: string,
    deployOn: "push" | "tag",
): pulumiservice.types.input.DeploymentSettingsVcsArgs {
    const onPush = deployOn === "push";
    return {
        provider: "github",
        repository,
        deployCommits: onPush,
        previewPullRequests: onPush,
        ...(onPush && { paths: [`Pulumi.${stack}.yaml`, ...paths] }),
    };
}
