/** The service role of builds: pull from ECR, write archives, write a log, and in a VPC use its network. */
import type * as pulumi from "@pulumi/pulumi";

import type { EngineName } from "../contract/engine";
import { repositoryArn } from "../contract/image";
import { setRequestPrefix } from "../contract/keys";
import { allow, allowListing, arnIn, joined, type PolicyArgs, type PolicyTable, type StackLocation } from "./document";
import { signRecords, writeEncrypted } from "./key";

/** What the endpoint of S3 in a VPC of builds is about. */
export type S3EndpointArgs = "at" | "engine" | "artifactBucketArn" | "artifactPrefix";

/** What all endpoints are about. */
export type EndpointArgs = S3EndpointArgs | "repositories" | "signingKeyArn";

/** What each engine asks of a repository. */
export const pullActions: Readonly<Record<EngineName, string>> = {
    // The Docker daemon checks the layers between manifest and download.
    docker: "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
    stream: "ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
};

const vpcPage =
    "codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html#customer-managed-policies-example-create-vpc-network-interface";

/** What {@link buildRole} is about, and the component that has it. */
export type BuildRoleArgs = EndpointArgs | "cachedRepositories" | "encryptionKeyArn" | "network";

export const buildRole = {
    LogInToEcr: {
        why: "the build asks ECR for a password; the action has no resource type, and the password allows nothing by itself: each pull is authorized on its own",
        page: "AmazonECR/latest/APIReference/API_GetAuthorizationToken.html",
        statement: () => allow("ecr:GetAuthorizationToken", "*"),
    },
    PullImages: {
        why: "the build reads manifests and layers of the configured repositories; to ask what belongs to an image needs no more (ListImageReferrers)",
        page: "codebuild/latest/userguide/sample-ecr.html",
        statement: ({ engine, repositories }: Pick<PolicyArgs, "engine" | "repositories">) =>
            allow(pullActions[engine], repositories.map(repositoryArn)),
    },
    ImportImages: {
        why: "the first pull through a cache creates the repository, and each pull has ECR import what the tag means upstream; ECR reads credentials for the upstream with a role of its own",
        page: "AmazonECR/latest/userguide/pull-through-cache-iam.html",
        statement: ({ cachedRepositories }) =>
            cachedRepositories.length > 0 &&
            allow("ecr:BatchImportUpstreamImage ecr:CreateRepository", cachedRepositories.map(repositoryArn)),
    },
    ReadExporter: {
        why: "CodeBuild fetches the exporter, which is the source of the project, and by its version where it is given one",
        page: "codebuild/latest/userguide/setting-up-service-role.html",
        statement: ({ artifactBucketArn, exporterKey }) =>
            exporterKey !== undefined &&
            allow("s3:GetObject s3:GetObjectVersion", joined`${artifactBucketArn}/${exporterKey}`),
    },
    ReadSets: {
        why: "the build reads which images it is to export together: a list that the state machine has checked and written",
        page: "AmazonS3/latest/API/API_GetObject.html",
        statement: ({ engine, artifactBucketArn }: Pick<PolicyArgs, "engine" | "artifactBucketArn">) =>
            engine === "stream" && allow("s3:GetObject", joined`${artifactBucketArn}/${setRequestPrefix}*`),
    },
    WriteArchives: {
        why: "the build looks whether the archive exists (GetObject is what HEAD needs), uploads it (PutObject covers every call of a multipart upload), and aborts an upload that fails, whose parts would be invisible and billed",
        page: "AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions",
        statement: ({ artifactBucketArn, artifactPrefix }: Pick<PolicyArgs, "artifactBucketArn" | "artifactPrefix">) =>
            allow("s3:AbortMultipartUpload s3:GetObject s3:PutObject", joined`${artifactBucketArn}/${artifactPrefix}*`),
    },
    ListArchives: {
        why: "the build looks for the newest archive of an image, where a request asks for what is new since",
        page: "AmazonS3/latest/userguide/example-policies-s3.html#iam-policy-ex1",
        statement: (args: Pick<PolicyArgs, S3EndpointArgs>) => args.engine === "stream" && allowListing(args),
    },
    WriteEncrypted: writeEncrypted,
    SignRecords: signRecords,
    WriteLog: {
        why: "CodeBuild writes the log of the build; `:*` stands for the streams of the one group",
        page: "codebuild/latest/userguide/setting-up-service-role.html",
        statement: ({ logGroupArn }) => allow("logs:CreateLogStream logs:PutLogEvents", joined`${logGroupArn}:*`),
    },
    LookUpNetwork: {
        why: "in a VPC, CodeBuild looks up the network of the project before it places a build there; these actions have no resource type",
        page: vpcPage,
        statement: ({ network }) =>
            network !== undefined &&
            allow(
                `ec2:DescribeDhcpOptions ec2:DescribeNetworkInterfaces ec2:DescribeSecurityGroups
                ec2:DescribeSubnets ec2:DescribeVpcs`,
                "*",
            ),
    },
    CreateNetworkInterfaces: {
        why: "CodeBuild puts the build into these subnets with these security groups; AWS's example has `*`, but the action takes all three resource types, and each has to be allowed",
        page: "service-authorization/latest/reference/list_amazonec2.html",
        statement: ({ at, network }) =>
            network !== undefined &&
            allow("ec2:CreateNetworkInterface", [
                networkInterfaces(at),
                ...ec2Arns(at, "subnet", network.subnetIds),
                ...ec2Arns(at, "security-group", network.securityGroupIds),
            ]),
    },
    LendNetworkInterfaces: {
        why: "CodeBuild, and no other service, lets the machine of the build use the network interface: the machine is in an account of AWS",
        page: vpcPage,
        statement: ({ at, network }) =>
            network !== undefined &&
            allow("ec2:CreateNetworkInterfacePermission", networkInterfaces(at), {
                StringEquals: { "ec2:AuthorizedService": "codebuild.amazonaws.com" },
                ArnEquals: { "ec2:Subnet": ec2Arns(at, "subnet", network.subnetIds) },
            }),
    },
    DeleteNetworkInterfaces: {
        why: "CodeBuild deletes the network interface after the build; AWS's example has `*` without a condition",
        page: vpcPage,
        statement: ({ at, network }) =>
            network !== undefined &&
            allow("ec2:DeleteNetworkInterface", networkInterfaces(at), {
                ArnEquals: { "ec2:Subnet": ec2Arns(at, "subnet", network.subnetIds) },
            }),
    },
} satisfies PolicyTable<BuildRoleArgs | "exporterKey" | "logGroupArn">;

/** AWS names network interfaces when a build starts. */
function networkInterfaces(at: StackLocation): pulumi.Input<string> {
    return arnIn(at, "ec2", "network-interface/*");
}

function ec2Arns(at: StackLocation, type: string, ids: readonly pulumi.Input<string>[]): pulumi.Input<string>[] {
    return ids.map((id) => arnIn(at, "ec2", joined`${type}/${id}`));
}
