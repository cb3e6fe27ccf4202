import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";

/** A role with its one policy. What works with the role is made once it has the policy: `dependsOn`. */
export interface RoleWithPolicy {
    readonly role: aws.iam.Role;
    readonly policy: aws.iam.RolePolicy;
}

/** Makes a role that a service assumes, and what it may do, as an inline policy. */
export function createRole(
    name: string,
    description: string,
    assumeRolePolicy: aws.iam.PolicyDocument,
    policy: pulumi.Input<aws.iam.PolicyDocument>,
    opts: pulumi.CustomResourceOptions,
): RoleWithPolicy {
    const role = new aws.iam.Role(`${name}-role`, { description, assumeRolePolicy }, opts);
    return { role, policy: new aws.iam.RolePolicy(`${name}-policy`, { role: role.name, policy }, opts) };
}
