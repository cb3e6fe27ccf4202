/**
 * What a stack of ecr-image-export needs in its account to be deployed on git push: the composition root of a program of
 * its own, since a stack does not configure its own deployments. docs/deployments.md says how it is used.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { partitionOf } from "../components/imageReference";
import { loadConfig } from "./config";
import { DeployPolicies } from "./deployPolicies";
import { GitHubActions } from "./githubActions";
import { PulumiDeployments } from "./pulumiDeployments";
import { providers } from "./trust";

// Not the beginning of the names that deployments may use: what is made here is out of their reach.
const name = "deploy-image-export";
const config = loadConfig();
const stack = pulumi.getStack();
const partition = partitionOf(config.region);
const accountId = aws.getCallerIdentityOutput().accountId;
const tags = { project: pulumi.getProject(), stack, "managed-by": "pulumi" };

const existing = (host: string) =>
    config.existingProviders.includes(host)
        ? pulumi.interpolate`arn:${partition}:iam::${accountId}:oidc-provider/${host}`
        : undefined;

const policies = new DeployPolicies(name, {
    target: { partition, region: config.region, accountId, stack, existingBucket: config.existingBucket },
    tags,
});

const pulumiDeployments = config.with.includes("pulumi-deployments")
    ? new PulumiDeployments(`${name}-pulumi`, {
          organization: pulumi.getOrganization(),
          stack,
          repository: config.repository,
          branch: config.branch,
          deployOn: config.deployOn,
          existingProviderArn: existing(providers.pulumi),
          deployPolicyArns: policies.deployPolicyArns,
          tags,
      })
    : undefined;

const githubActions = config.with.includes("github-actions")
    ? new GitHubActions(`${name}-github`, {
          subject: config.githubSubject,
          stack,
          deployOn: config.deployOn,
          branch: config.branch,
          existingProviderArn: existing(providers.github),
          deployPolicyArns: policies.deployPolicyArns,
          previewPolicyArns: policies.previewPolicyArns,
          tags,
      })
    : undefined;

/** The value of the stack's configuration key `permissionsBoundary`. */
export const permissionsBoundary = policies.boundaryArn;
export const pulumiDeployRoleArn = pulumiDeployments?.roleArn;
export const githubDeployRoleArn = githubActions?.deployRoleArn;
export const githubPreviewRoleArn = githubActions?.previewRoleArn;
