/** The parts that both ways to deploy have: a provider of tokens, and roles that these tokens can assume. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { type Tokens, trust } from "./trust";

/** A provider of tokens in the account. */
export interface TokenProvider {
    /** Host and path, without `https://`. */
    readonly host: string;
    readonly audience: string;
    readonly arn: pulumi.Input<string>;
}

/** Registers a provider of tokens, unless the account has it already: IAM takes each once. */
export function tokenProvider(
    name: string,
    { host, audience, existingArn }: { host: string; audience: string; existingArn?: pulumi.Input<string> },
    tags: Record<string, string>,
    opts: pulumi.CustomResourceOptions,
): TokenProvider {
    if (existingArn !== undefined) return { host, audience, arn: existingArn };
    const { arn } = new aws.iam.OpenIdConnectProvider(
        `${name}-provider`,
        { url: `https://${host}`, clientIdLists: [audience], tags },
        opts,
    );
    return { host, audience, arn };
}

/** Arguments of {@link createTokenRole}. */
export interface TokenRoleArgs {
    readonly description: string;
    readonly provider: TokenProvider;
    readonly tokens: Tokens;
    readonly policyArns: readonly pulumi.Input<string>[];
    readonly tags: Record<string, string>;
}

/** A role for the holders of certain tokens, known once it has its policies. */
export function createTokenRole(
    name: string,
    { description, provider, tokens, policyArns, tags }: TokenRoleArgs,
    opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
    const role = new aws.iam.Role(
        `${name}-role`,
        {
            description,
            assumeRolePolicy: pulumi
                .output(provider.arn)
                .apply((arn) => JSON.stringify(trust(arn, provider.host, provider.audience, tokens))),
            tags,
        },
        opts,
    );
    const attached = policyArns.map(
        (policyArn, index) =>
            new aws.iam.RolePolicyAttachment(
                `${name}-attachment-${index + 1}`,
                { role: role.name, policyArn },
                opts,
            ),
    );
    return pulumi.all([role.arn, attached.map(({ id }) => id)]).apply(([arn]) => arn);
}
