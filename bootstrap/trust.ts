/** Who may assume the roles: deployments of one stack, and nobody else. */
import { project } from "./grants";

/** The OIDC providers, by their host and path, which the keys of conditions begin with. */
export const providers = {
    pulumi: "api.pulumi.com/oidc",
    github: "token.actions.githubusercontent.com",
} as const;

/** The audience of GitHub's tokens for AWS: github.com/aws-actions/configure-aws-credentials */
export const githubAudience = "sts.amazonaws.com";

/** A stack of ecr-image-export in Pulumi Cloud. */
export interface PulumiStack {
    /** Organization, in lower case as in the address of Pulumi Cloud's console. */
    readonly organization: string;
    readonly stack: string;
}

/**
 * The tokens of one stack's deployments. A stack is destroyed by people, under their own names.
 *
 * @see {@link https://www.pulumi.com/docs/deployments/guides/oidc/}
 */
export function pulumiSubjects({ organization, stack }: PulumiStack): string[] {
    return ["preview", "refresh", "update"].map(
        (operation) =>
            `pulumi:deploy:org:${organization}:project:${project}:stack:${stack}:operation:${operation}:scope:write`,
    );
}

/** What GitHub Actions deploys when. */
export interface GitHubTrigger {
    /** How tokens name the repository: `repo:OWNER/NAME`, or `repo:OWNER@ID/NAME@ID`. */
    readonly subject: string;
    readonly stack: string;
    readonly deployOn: "push" | "tag";
    readonly branch: string;
}

/** Tokens of a provider. */
export interface Tokens {
    /** What their subject is, in full: one of these. */
    readonly subjects: string | string[];
    /** A pattern of the git reference that a token is given for. */
    readonly ref?: string;
}

/**
 * The tokens of the job that deploys: by its branch or, for tags, by its environment, which the job has then in the place of
 * the tag, and by the tag besides.
 *
 * @see {@link https://docs.github.com/en/actions/reference/security/oidc}
 */
export function githubDeployTokens({ subject, stack, deployOn, branch }: GitHubTrigger): Tokens {
    return deployOn === "push"
        ? { subjects: `${subject}:ref:refs/heads/${branch}` }
        : { subjects: `${subject}:environment:${stack}`, ref: "refs/tags/v*" };
}

/** The tokens of the job that previews a pull request. GitHub gives none to pull requests from forks. */
export function githubPreviewTokens({ subject }: Pick<GitHubTrigger, "subject">): Tokens {
    return { subjects: `${subject}:pull_request` };
}

/** A trust policy. */
export interface Trust {
    readonly Version: "2012-10-17";
    readonly Statement: readonly [
        {
            readonly Effect: "Allow";
            readonly Principal: { readonly Federated: string };
            readonly Action: "sts:AssumeRoleWithWebIdentity";
            readonly Condition: Readonly<Record<string, Record<string, string | string[]>>>;
        },
    ];
}

/** Lets these tokens of a provider, for this audience, assume a role. */
export function trust(
    providerArn: string,
    provider: string,
    audience: string,
    { subjects, ref }: Tokens,
): Trust {
    return {
        Version: "2012-10-17",
        Statement: [
            {
                Effect: "Allow",
                Principal: { Federated: providerArn },
                Action: "sts:AssumeRoleWithWebIdentity",
                Condition: {
                    StringEquals: { [`${provider}:aud`]: audience, [`${provider}:sub`]: subjects },
                    ...(ref !== undefined && { StringLike: { [`${provider}:ref`]: ref } }),
                },
            },
        ],
    };
}
