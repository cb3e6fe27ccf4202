import * as pulumi from "@pulumi/pulumi";

import type { EngineName } from "../contract/engine";
import { letRolePull, policyDocument } from "./statements";
import { type EcrRepository, repositoryArn } from "../contract/image";

/**
 * The policies that the owners of other accounts' repositories have to attach, so that the build may pull: a pull
 * across accounts needs the consent of both sides.
 *
 * @param engine Engine of the stack, which decides what the build asks for.
 * @param accountId Account of the stack.
 * @param repositories Repositories that the build pulls from; those of the stack's own account need no policy.
 * @param buildRoleArn ARN of the build's service role.
 * @returns JSON policy by ARN of the repository.
 */
export function repositoryPolicies(
    engine: EngineName,
    accountId: pulumi.Input<string>,
    repositories: readonly EcrRepository[],
    buildRoleArn: pulumi.Input<string>,
): pulumi.Output<Record<string, string>> {
    const policy = pulumi.jsonStringify(policyDocument(letRolePull(engine, buildRoleArn)));
    return pulumi
        .all([accountId, policy])
        .apply(([own, json]) =>
            Object.fromEntries(
                repositories
                    .filter((repository) => repository.accountId !== own)
                    .map((repository) => [repositoryArn(repository), json]),
            ),
        );
}
