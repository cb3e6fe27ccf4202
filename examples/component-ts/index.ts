/**
 * The pipeline as a component of another program, in TypeScript: the program has a VPC and a key of its own, and its release role
 * may start exports. Outside of this repository, ImageExport comes from the npm package, `import … from "ecr-image-export"`.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { ImageExport } from "../../package/index";

const config = new pulumi.Config();

const images = new ImageExport("images", {
    region: aws.config.requireRegion(),
    accountId: aws.getCallerIdentityOutput().accountId,
    imageUri: config.require("imageUri"),
    engine: "stream",
    retention: { archiveDays: 30 },
    // Ids that a program makes are not known before it runs: they can be Outputs, as everything can that decides no resource.
    vpc: {
        vpcId: config.require("vpcId"),
        subnetIds: config.requireObject<string[]>("subnetIds"),
        securityGroupIds: [
            new aws.ec2.SecurityGroup("builds", {
                vpcId: config.require("vpcId"),
                description: "Builds that export container images",
                egress: [{ protocol: "tcp", fromPort: 443, toPort: 443, cidrBlocks: ["0.0.0.0/0"] }],
            }).id,
        ],
    },
    tags: { team: "platform" },
});

new aws.iam.RolePolicy("start-exports", {
    role: config.require("releaseRole"),
    policy: images.startExportPolicy,
});

export const stateMachineArn = images.stateMachineArn;
export const artifactBucketName = images.artifactBucketName;
