/** Policies for the owners of other accounts' repositories, as outputs of the stack. */
import * as pulumi from "@pulumi/pulumi";

import { repositoryArn } from "../contract/image";
import { pullActions, type PullArgs } from "./buildRole";
import { policyOf, type PolicyTable, type StackLocation } from "./document";

/** What {@link foreignRepository} depends on. */
export interface ForeignRepositoryArgs extends Pick<PullArgs, "engine"> {
    /** ARN of the builds' service role. */
    readonly buildRoleArn: pulumi.Input<string>;
}

/** The statement of a repository of another account. */
export const foreignRepository = {
    LetImageExportPull: {
        why: "a pull across accounts needs the consent of both sides: this build role may pull, and do nothing else",
        page: "AmazonECR/latest/userguide/repository-policy-examples.html",
        statement: ({ engine, buildRoleArn }) => ({
            Effect: "Allow",
            Principal: { AWS: buildRoleArn },
            Action: pullActions[engine],
        }),
    },
} satisfies PolicyTable<ForeignRepositoryArgs>;

/**
 * The policies that the owners of other accounts' repositories have to attach.
 *
 * @param args.at Where the stack lives: repositories of its own account need no policy.
 * @returns JSON policy by ARN of the repository.
 */
export function repositoryPolicies({
    at,
    repositories,
    ...args
}: ForeignRepositoryArgs & PullArgs & { readonly at: StackLocation }): pulumi.Output<Record<string, string>> {
    const policy = pulumi.jsonStringify(policyOf(foreignRepository, args));
    return pulumi
        .all([at.accountId, policy])
        .apply(([own, json]) =>
            Object.fromEntries(
                repositories
                    .filter(({ accountId }) => accountId !== own)
                    .map((repository) => [repositoryArn(repository), json]),
            ),
        );
}
