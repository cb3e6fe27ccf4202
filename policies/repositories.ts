/** Policies for the owners of other accounts' repositories and registries, as outputs of the stack. */
import * as pulumi from "@pulumi/pulumi";

import { isPattern, repositoryArn } from "../contract/image";
import { pullActions } from "./buildRole";
import { allowTo, type PolicyArgs, policyOf, type PolicyTable } from "./document";

/** The statement of a repository of another account, or of its registry for patterns: a repository's policy belongs to one. */
export const foreignRepository = {
    LetImageExportPull: {
        why: "a pull across accounts needs the consent of both sides: this build role may pull, and do nothing else",
        page: "AmazonECR/latest/userguide/repository-policy-examples.html",
        statement: ({ engine, buildRoleArn, patterns }) =>
            allowTo({ AWS: buildRoleArn }, pullActions[engine], patterns?.map(repositoryArn)),
    },
} satisfies PolicyTable<"engine" | "buildRoleArn" | "patterns">;

/**
 * The policies that the owners of other accounts' repositories have to attach.
 *
 * @param args.at Where the stack lives: repositories of its own account need no policy.
 * @returns JSON policy by ARN: for a repository its own, for a pattern that of its registry with all patterns of it.
 */
export function repositoryPolicies({
    at,
    repositories,
    ...args
}: Pick<PolicyArgs, "at" | "repositories" | "engine" | "buildRoleArn">): pulumi.Output<Record<string, string>> {
    return pulumi.output(at.accountId).apply((own) => {
        const foreign = repositories.filter(({ accountId }) => accountId !== own);
        const policies = foreign.map((repository) => {
            const patterns = foreign.filter(
                ({ name, region, accountId }) =>
                    isPattern(name) && region === repository.region && accountId === repository.accountId,
            );
            const about = isPattern(repository.name) ? { ...args, patterns } : args;
            return [repositoryArn(repository), pulumi.jsonStringify(policyOf(foreignRepository, about))];
        });
        return pulumi.output(Object.fromEntries(policies) as Record<string, pulumi.Output<string>>);
    });
}
