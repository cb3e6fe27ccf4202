import * as pulumi from "@pulumi/pulumi";

import { createTokenRole, tokenProvider } from "./deployRole";
import {
    githubAudience,
    githubDeployTokens,
    githubPreviewTokens,
    type GitHubTrigger,
    providers,
} from "./trust";

/** Arguments of {@link GitHubActions}. */
export interface GitHubActionsArgs extends GitHubTrigger {
    /** ARN of GitHub's OIDC provider, where the account has it already. */
    readonly existingProviderArn?: pulumi.Input<string> | undefined;
    readonly deployPolicyArns: readonly pulumi.Input<string>[];
    readonly previewPolicyArns: readonly pulumi.Input<string>[];
    readonly tags: Record<string, string>;
}

/**
 * The roles of `.github/workflows/deploy.yml`: one that deploys and, where pushes do, one that previews pull requests and
 * can do next to nothing, since it runs code that nobody has agreed to yet.
 *
 * @example
 * new GitHubActions("deploy-image-export-github", {
 *     subject: "repo:octo-org@123456/ecr-image-export@456789",
 *     stack: "dev",
 *     deployOn: "push",
 *     branch: "main",
 *     deployPolicyArns: policies.deployPolicyArns,
 *     previewPolicyArns: policies.previewPolicyArns,
 *     tags: { project: "ecr-image-export-bootstrap" },
 * });
 */
export class GitHubActions extends pulumi.ComponentResource {
    /** ARN of the role that deploys. */
    public readonly deployRoleArn: pulumi.Output<string>;
    /** ARN of the role that previews; undefined for a stack that tags deploy. */
    public readonly previewRoleArn: pulumi.Output<string> | undefined;

    public constructor(name: string, args: GitHubActionsArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export-bootstrap:index:GitHubActions", name, args, opts);
        const child = { parent: this };
        const { stack, existingProviderArn: existingArn, tags } = args;

        const provider = tokenProvider(
            name,
            { host: providers.github, audience: githubAudience, ...(existingArn && { existingArn }) },
            tags,
            child,
        );
        this.deployRoleArn = createTokenRole(
            `${name}-deploy`,
            {
                description: `Deployments of ecr-image-export, stack ${stack}, by GitHub Actions`,
                provider,
                tokens: githubDeployTokens(args),
                policyArns: args.deployPolicyArns,
                tags,
            },
            child,
        );
        this.previewRoleArn =
            args.deployOn === "push"
                ? createTokenRole(
                      `${name}-preview`,
                      {
                          description: `Previews of ecr-image-export, stack ${stack}, by GitHub Actions`,
                          provider,
                          tokens: githubPreviewTokens(args),
                          policyArns: args.previewPolicyArns,
                          tags,
                      },
                      child,
                  )
                : undefined;
        this.registerOutputs({ deployRoleArn: this.deployRoleArn, previewRoleArn: this.previewRoleArn });
    }
}
