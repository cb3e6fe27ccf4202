import type * as pulumi from "@pulumi/pulumi";

/**
 * For the option `transformations` of a component: every role below it gets this permissions boundary, so that whoever
 * deploys can be held to making no other roles.
 *
 * @param policyArn ARN of a managed policy: the most that such a role can do, whatever its own policy says.
 */
export function boundedBy(policyArn: string): pulumi.ResourceTransformation {
    return ({ type, props, opts }) =>
        type === "aws:iam/role:Role"
            ? { props: { ...(props as object), permissionsBoundary: policyArn }, opts }
            : undefined;
}
