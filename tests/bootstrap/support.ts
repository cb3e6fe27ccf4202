/** The bootstrap program, evaluated, and what its policies say to a call. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";

import { at, type AwsType, awsTypes } from "../../lab/awsTypes";
import { evaluate, type Evaluation } from "../../lab/evaluation";
import { judge, type PolicyDocument } from "../../lab/iam";
import { configurationText, root } from "../../lab/stackFiles";
import { loadOtherProgram } from "../support/otherProgram";

/** ARN of something of IAM in the account that is bootstrapped. */
export function iamArn(resource: string): string {
    return `arn:${at.partition}:iam::${at.accountId}:${resource}`;
}

const types: Record<string, AwsType | undefined> = {
    ...awsTypes,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        taggable: true,
        answer: (_, { url }) => {
            const arn = iamArn(`oidc-provider/${String(url).replace("https://", "")}`);
            return { id: arn, arn };
        },
    },
    "aws:iam/policy:Policy": {
        taggable: true,
        answer: (_, { name }) => ({
            id: iamArn(`policy/${String(name)}`),
            arn: iamArn(`policy/${String(name)}`),
        }),
    },
    "pulumiservice:index:DeploymentSettings": { taggable: false, answer: (name) => ({ id: name }) },
};

/** Evaluates the bootstrap program as a stack, with other values in the place of its file's. */
export function evaluateBootstrap(
    stack: string,
    changes: Record<string, unknown> = {},
    preview = false,
): Promise<Evaluation> {
    const project = "ecr-image-export-bootstrap";
    const file = readFileSync(join(root, "bootstrap", `Pulumi.${stack}.yaml`), "utf8");
    const { config } = parse(file) as { config: Record<string, unknown> };
    const changed = Object.fromEntries(
        Object.entries(changes).map(([key, value]) => [`${project}:${key}`, value]),
    );
    const values = Object.entries({ ...config, ...changed }).map(([key, value]) => [
        key,
        configurationText(value),
    ]);
    return evaluate(
        () => {
            pulumi.runtime.setAllConfig(Object.fromEntries(values) as Record<string, string>);
            return loadOtherProgram("bootstrap");
        },
        { stack, preview, project, organization: "octo-org", types },
    );
}

/** The policies of a role of the bootstrap, by the way it deploys. */
export function policiesOf(evaluation: Evaluation, role: string): PolicyDocument[] {
    return evaluation
        .customResources()
        .filter(
            ({ type, inputs }) =>
                type.endsWith(":RolePolicy") && inputs["role"] === `deploy-image-export-${role}-role-0a1b2c3`,
        )
        .map(({ inputs }) => JSON.parse(String(inputs["policy"])) as PolicyDocument);
}

/** A call of somebody who has a role. */
export type Call = readonly [action: string, resource: string, context?: Readonly<Record<string, string>>];

/** Whether policies allow a call. */
export async function allows(
    identityPolicies: readonly PolicyDocument[],
    [action, resource, context = {}]: Call,
    more: { readonly boundary?: PolicyDocument; readonly resourcePolicy?: PolicyDocument } = {},
): Promise<boolean> {
    const { verdict } = await judge({
        principal: `arn:${at.partition}:sts::${at.accountId}:assumed-role/deploy-image-export-pulumi-role-0a1b2c3/session`,
        action,
        resource,
        accountId: at.accountId,
        identityPolicies,
        context: { "aws:SecureTransport": "true", ...context },
        ...more,
    });
    return verdict === "Allowed";
}
