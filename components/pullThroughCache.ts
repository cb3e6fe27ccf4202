import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";

export type PullThroughCacheArgs = Pick<StackConfig, "pullThroughCache">;

/**
 * Pull-through cache rules in the registry of the stack's own account and region. ECR makes the repositories below a
 * prefix by itself, with its own defaults, and leaves them behind when the rule is deleted.
 *
 * @example new PullThroughCache("export", { pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }] });
 */
export class PullThroughCache extends pulumi.ComponentResource {
    public constructor(name: string, args: PullThroughCacheArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:PullThroughCache", name, args, opts);
        for (const { prefix, upstreamRegistryUrl, credentialArn } of args.pullThroughCache) {
            // Such a rule exists already.
            if (upstreamRegistryUrl === undefined) continue;
            new aws.ecr.PullThroughCacheRule(
                `${name}-${prefix}`,
                { ecrRepositoryPrefix: prefix, upstreamRegistryUrl, ...(credentialArn && { credentialArn }) },
                // A prefix takes one rule: that of the new registry cannot be made beside that of the old.
                { parent: this, deleteBeforeReplace: true },
            );
        }
        this.registerOutputs();
    }
}
