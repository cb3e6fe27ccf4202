/** The bootstrap program, evaluated, and what its policies say to a call. */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";

import { configurationText, root } from "../../lab/stackFiles";
import { judge, type Judgement, type PolicyDocument } from "../../lab/iam";
import { at, type AwsType, awsTypes } from "../../lab/awsTypes";
import { evaluate, type Evaluation } from "../../lab/evaluation";

const load = createRequire(__filename);
const iam = (resource: string) => `arn:${at.partition}:iam::${at.accountId}:${resource}`;

/** The resource types of the bootstrap program. */
export const bootstrapTypes: Record<string, AwsType | undefined> = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        taggable: true,
        answer: (_, inputs) => {
            const arn = iam(`oidc-provider/${String(inputs["url"]).replace("https://", "")}`);
            return { id: arn, arn };
        },
    },
    "aws:iam/policy:Policy": {
        taggable: true,
        nameArgument: "name",
        answer: (physicalName, inputs) => {
            const name = "name" in inputs ? String(inputs["name"]) : physicalName;
            return { id: iam(`policy/${name}`), arn: iam(`policy/${name}`), name };
        },
    },
    "aws:iam/role:Role": awsTypes["aws:iam/role:Role"],
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
        taggable: false,
        answer: (name) => ({ id: name }),
    },
    "pulumiservice:index:DeploymentSettings": {
        taggable: false,
        answer: (_, inputs) => ({
            id: [inputs["organization"], inputs["project"], inputs["stack"]].join("/"),
        }),
    },
};

/** Evaluates the bootstrap program as a stack, with other values in the place of its file's. */
export function evaluateBootstrap(
    stack: string,
    changes: Record<string, unknown> = {},
    preview = false,
): Promise<Evaluation> {
    const file = parse(readFileSync(join(root, "bootstrap", `Pulumi.${stack}.yaml`), "utf8")) as {
        config: Record<string, unknown>;
    };
    const changed = Object.entries(changes).map(([key, value]) => [
        `ecr-image-export-bootstrap:${key}`,
        value,
    ]);
    const config = { ...file.config, ...(Object.fromEntries(changed) as Record<string, unknown>) };
    return evaluate(
        () => {
            pulumi.runtime.setAllConfig(
                Object.fromEntries(
                    Object.entries(config).map(([key, value]) => [key, configurationText(value)]),
                ),
            );
            const program = load.resolve("../../bootstrap/index");
            Reflect.deleteProperty(load.cache, program); // a program runs when it is loaded, and is loaded once
            return { ...(load(program) as Record<string, unknown>) };
        },
        {
            stack,
            preview,
            project: "ecr-image-export-bootstrap",
            organization: "octo-org",
            types: bootstrapTypes,
        },
    );
}

/** A call of somebody who has a role of the bootstrap. */
export interface Call {
    readonly action: string;
    readonly resource: string;
    readonly context?: Record<string, string>;
}

/** What the policies that are attached to a role of the bootstrap say to a call. */
export async function verdictFor(
    evaluation: Evaluation,
    roleName: string,
    { action, resource, context = {} }: Call,
): Promise<Judgement["verdict"]> {
    const role = `${roleName}-0a1b2c3`;
    const { verdict } = await judge({
        principal: `arn:${at.partition}:sts::${at.accountId}:assumed-role/${role}/session`,
        action,
        resource,
        accountId: at.accountId,
        identityPolicies: policiesOf(evaluation, role),
        context,
    });
    return verdict;
}

/** The documents that are attached to a role, by its physical name. */
function policiesOf(evaluation: Evaluation, role: string): PolicyDocument[] {
    const attached = evaluation
        .customResources()
        .filter(({ type, inputs }) => type.endsWith(":RolePolicyAttachment") && inputs["role"] === role)
        .map(({ inputs }) => inputs["policyArn"]);
    return evaluation
        .customResources()
        .filter(
            ({ type, name }) => type.endsWith(":Policy") && attached.includes(iam(`policy/${name}-0a1b2c3`)),
        )
        .map(({ inputs }) => JSON.parse(String(inputs["policy"])) as PolicyDocument);
}
