/** The resource types that bootstrap/ uses besides those of lab/awsTypes.ts, which are the program's. */
import { arnIn, type AwsType } from "../../lab/awsTypes";

const nameOnly = { notInLab: "nothing in the lab is deployed by somebody" };

/** By token. */
export const bootstrapTypes: Readonly<Record<string, AwsType | undefined>> = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        answer: (_, { url }, where) => {
            const arn = arnIn(where, "iam", `oidc-provider/${String(url).replace("https://", "")}`);
            return { id: arn, arn };
        },
        ...nameOnly,
    },
    // github.com/pulumi/pulumi-pulumiservice, provider/pkg/resources/deployment_settings.go
    "pulumiservice:index:DeploymentSettings": {
        answer: (_, { organization, project, stack }) => ({ id: [organization, project, stack].join("/") }),
        ...nameOnly,
    },
};
