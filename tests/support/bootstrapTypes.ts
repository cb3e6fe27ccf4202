/** The resource types that bootstrap/ uses besides those of lab/awsTypes.ts, which are the program's; the lab deploys no bootstrap/. */
import { arnIn, type AwsType } from "../../lab/awsTypes";

/** By token. */
export const bootstrapTypes: Readonly<Record<string, AwsType | undefined>> = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        answer: (_, { url }, where) => {
            const arn = arnIn(where, "iam", `oidc-provider/${String(url).replace("https://", "")}`);
            return { id: arn, arn };
        },
    },
    // github.com/pulumi/pulumi-pulumiservice, provider/pkg/resources/deployment_settings.go
    "pulumiservice:index:DeploymentSettings": {
        answer: (_, { organization, project, stack }) => ({ id: [organization, project, stack].join("/") }),
    },
};
