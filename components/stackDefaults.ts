/** What every resource of the stack gets, set at one place: tags, the permissions boundary of roles, what a role, a log group and a key are like. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";
import { tagLimits } from "../contract/aws";
import type { PolicyArgs } from "../policies/document";

/** Where the stack lives, and what encrypts. */
export type StackContext = Pick<PolicyArgs, "at" | "encryptionKeyArn">;

/** What the functions of a component share: how the names of its children begin, its arguments, and itself as their parent. */
export interface Scope<Args> {
    readonly name: string;
    readonly args: Args;
    readonly opts: { readonly parent: pulumi.Resource };
}

/**
 * Makes a role that a service assumes, and its one policy. Its ARN is known once it has that, so that what works with the role is
 * made later: IAM is eventually consistent.
 */
export function createRole(
    name: string,
    description: string,
    assumeRolePolicy: aws.iam.PolicyDocument,
    policy: pulumi.Input<aws.iam.PolicyDocument>,
    opts: pulumi.CustomResourceOptions,
) {
    const role = new aws.iam.Role(`${name}-role`, { description, assumeRolePolicy }, opts);
    const { id } = new aws.iam.RolePolicy(`${name}-policy`, { role: role.name, policy }, opts);
    return { name: role.name, arn: pulumi.all([role.arn, id]).apply(([arn]) => arn) };
}

/**
 * Makes a log group, which keeps what is written for 90 days.
 *
 * @param keyArn ARN of the KMS key that encrypts it; undefined where AWS's own keys do.
 */
export function createLogGroup(
    name: string,
    namePrefix: string,
    keyArn: pulumi.Input<string> | undefined,
    opts: pulumi.CustomResourceOptions,
): aws.cloudwatch.LogGroup {
    return new aws.cloudwatch.LogGroup(name, { namePrefix, retentionInDays: 90, kmsKeyId: keyArn }, opts);
}

/**
 * Makes a KMS key with an alias.
 *
 * @param args What it is for, and of which kind.
 * @param policy Who may use it: a resource of its own, so that the key does not depend on what the policy names. A refused destroy
 * then names what is protected and not what that depends on.
 * @returns the key's ARN, once its policy is there
 */
export function createKey(
    name: string,
    args: aws.kms.KeyArgs & Required<Pick<aws.kms.KeyArgs, "description">>,
    policy: pulumi.Input<aws.iam.PolicyDocument>,
    opts: pulumi.CustomResourceOptions & { readonly parent: pulumi.Resource },
): pulumi.Output<string> {
    // The longest: time to notice that it is still needed.
    const key = new aws.kms.Key(`${name}-key`, { ...args, deletionWindowInDays: 30 }, opts);
    const child = { parent: opts.parent };
    new aws.kms.Alias(`${name}-key-alias`, { namePrefix: `alias/${name}-`, targetKeyId: key.keyId }, child);
    const itsPolicy = new aws.kms.KeyPolicy(
        `${name}-key-policy`,
        { keyId: key.keyId, policy: pulumi.jsonStringify(policy) },
        { ...child, deletedWith: key },
    );
    return pulumi.all([key.arn, itsPolicy.keyId]).apply(([arn]) => arn);
}

/**
 * Applies to every resource of the stack that is registered from now on, those of components included. The children of a
 * remote component are registered elsewhere: it takes its tags as an argument.
 */
export function applyToEveryResource(config: Pick<StackConfig, "tags" | "permissionsBoundary">): void {
    const { tags, permissionsBoundary } = config;
    const componentNames = new WeakMap<pulumi.Resource, string>();
    pulumi.runtime.registerStackTransformation(({ resource, type, name, props, opts }) => {
        if (!type.startsWith("aws:")) {
            componentNames.set(resource, name);
            return undefined;
        }
        // The name comes first: an object takes few tags (docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html), and the
        // last ones are left out.
        const component = (opts.parent && componentNames.get(opts.parent)) ?? name;
        const most = type === "aws:s3/bucketObjectv2:BucketObjectv2" ? tagLimits.perObject : tagLimits.perResource;
        const all = Object.entries({ component, ...tags }).slice(0, most);
        return {
            props: {
                ...(props as Record<string, unknown>),
                // The SDK names every argument that a type takes, given or not.
                ...("tags" in props && { tags: Object.fromEntries(all) }),
                ...(type === "aws:iam/role:Role" && permissionsBoundary !== undefined && { permissionsBoundary }),
            },
            opts,
        };
    });
}
