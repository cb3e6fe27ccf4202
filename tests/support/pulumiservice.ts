/** Stands for the package `@pulumi/pulumiservice`, which only bootstrap/ has; bootstrap/ compiles against the real one. */
import * as pulumi from "@pulumi/pulumi";

/** Deployment settings of a stack in Pulumi Cloud. */
export class DeploymentSettings extends pulumi.CustomResource {
    public constructor(name: string, args: pulumi.Inputs) {
        super("pulumiservice:index:DeploymentSettings", name, args);
    }
}
