import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { boundary } from "./boundary";
import { boundaryName, type Grant, grants, previewGrants, type Target } from "./grants";
import { documentsOf } from "./policies";

/** Arguments of {@link DeployPolicies}. */
export interface DeployPoliciesArgs {
    /** The account and the stack that is deployed to it. */
    readonly target: Omit<Target, "accountId"> & { readonly accountId: pulumi.Input<string> };
    /** Tags of the policies. */
    readonly tags: Record<string, string>;
}

/**
 * What deployments and previews may do, and the boundary of every role that a deployment makes.
 *
 * @example
 * const policies = new DeployPolicies("deploy-image-export", {
 *     target: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333", stack: "dev" },
 *     tags: { project: "ecr-image-export-bootstrap" },
 * });
 */
export class DeployPolicies extends pulumi.ComponentResource {
    /** ARN of the boundary: the value of the stack's configuration key `permissionsBoundary`. */
    public readonly boundaryArn: pulumi.Output<string>;
    /** ARNs of the policies of whoever deploys. */
    public readonly deployPolicyArns: readonly pulumi.Output<string>[];
    /** ARNs of the policies of whoever previews, which are among those of whoever deploys. */
    public readonly previewPolicyArns: readonly pulumi.Output<string>[];

    public constructor(name: string, args: DeployPoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export-bootstrap:index:DeployPolicies", name, args, opts);
        const child = { parent: this };
        const { stack } = args.target;

        const previews = createPolicies(
            `${name}-preview`,
            `Previews of ecr-image-export, stack ${stack}`,
            previewGrants,
            args,
            child,
        );
        const deployments = createPolicies(
            `${name}-policy`,
            `Deployments of ecr-image-export, stack ${stack}`,
            Object.values(grants).flat(),
            args,
            child,
        );
        this.boundaryArn = createBoundary(name, args, child).arn;
        this.previewPolicyArns = previews.map(({ arn }) => arn);
        this.deployPolicyArns = [...previews, ...deployments].map(({ arn }) => arn);
        this.registerOutputs({
            boundaryArn: this.boundaryArn,
            deployPolicyArns: this.deployPolicyArns,
            previewPolicyArns: this.previewPolicyArns,
        });
    }
}

function createPolicies(
    name: string,
    description: string,
    allowed: readonly Grant[],
    { target, tags }: DeployPoliciesArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.Policy[] {
    // How many there are cannot wait for the account's id. Every id is as long as this one.
    const { length } = documentsOf(allowed, { ...target, accountId: "0".repeat(12) });
    return Array.from(
        { length },
        (_, index) =>
            new aws.iam.Policy(
                `${name}-${index + 1}`,
                { description, policy: documentAt(index, allowed, target), tags },
                opts,
            ),
    );
}

function createBoundary(
    name: string,
    { target, tags }: DeployPoliciesArgs,
    opts: pulumi.CustomResourceOptions,
): aws.iam.Policy {
    return new aws.iam.Policy(
        `${name}-boundary`,
        {
            // The one name that is given: a condition of the deployments' policies has it.
            name: boundaryName(target.stack),
            description: `The most that roles of ecr-image-export, stack ${target.stack}, can ever do`,
            policy: documentAt(0, boundary, target),
            tags,
        },
        opts,
    );
}

function documentAt(
    index: number,
    allowed: readonly Grant[],
    target: DeployPoliciesArgs["target"],
): pulumi.Output<string> {
    return pulumi
        .output(target.accountId)
        .apply((accountId) => JSON.stringify(documentsOf(allowed, { ...target, accountId })[index]));
}
