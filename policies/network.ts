/**
 * The role of flow logs, and the policies of the VPC endpoints of an isolated network: what may pass, and nothing else does. Such a
 * policy grants nothing, it takes away: whoever asks still needs permissions of their own. So it names everybody, as it has to at a
 * gateway endpoint, and for layers, which ECR lets the build fetch with a signature of its own.
 *
 * @see {@link https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html}
 */
import type * as aws from "@pulumi/aws";

import { exporterPrefix } from "../contract/keys";
import { buildRole, type EndpointArgs, type S3EndpointArgs } from "./buildRole";
import { allow, arnIn, joined, policyDocument, type PolicyTable, type Statements, statementsOf } from "./document";

/** The endpoint of S3: layers, exporters, archives. */
export const s3Endpoint: PolicyTable<S3EndpointArgs> = {
    DownloadLayers: {
        why: "ECR sends whoever pulls a layer to the bucket where it keeps all layers of a region",
        page: "AmazonECR/latest/userguide/vpc-endpoints.html",
        statement: ({ at }) =>
            allow("s3:GetObject", `arn:${at.partition}:s3:::prod-${at.region}-starport-layer-bucket/*`),
    },
    PassExporters: {
        why: "CodeBuild fetches an exporter of the stack, whichever it is: the endpoint exists before the exporter has a name",
        page: "codebuild/latest/userguide/use-vpc-endpoints-with-codebuild.html",
        statement: ({ engine, artifactBucketArn }) =>
            engine === "stream" &&
            allow("s3:GetObject s3:GetObjectVersion", joined`${artifactBucketArn}/${exporterPrefix}*`),
    },
    ReadSets: buildRole.ReadSets,
    WriteArchives: buildRole.WriteArchives,
    ListArchives: buildRole.ListArchives,
};

const ecrEndpoint = { LogInToEcr: buildRole.LogInToEcr, PullImages: buildRole.PullImages };

/**
 * The other endpoints by service; that of KMS only where records are signed. ECR's two share the work of a pull, and AWS recommends
 * one policy for both.
 */
export const interfaceEndpoints = {
    "ecr.api": ecrEndpoint,
    "ecr.dkr": ecrEndpoint,
    logs: {
        PassBuildLogs: {
            why: "the log of a build is written from within the VPC, to a group of the account's builds: the stack's own is created later",
            page: "AmazonCloudWatch/latest/logs/cloudwatch-logs-and-interface-VPC.html",
            statement: ({ at }) =>
                allow("logs:CreateLogStream logs:PutLogEvents", arnIn(at, "logs", "log-group:/aws/codebuild/*")),
        },
    },
    kms: { SignRecords: buildRole.SignRecords },
} satisfies Record<string, PolicyTable<EndpointArgs>>;

/** The policy of an endpoint. */
export function endpointPolicy<Args>(table: Statements<Args>, args: Args): aws.iam.PolicyDocument {
    return policyDocument(statementsOf(table, args).map((statement) => ({ ...statement, Principal: "*" })));
}

/** The role that writes the flow logs of a VPC. */
export const flowLogRole = {
    WriteFlowLogs: {
        why: "the flow logs are written to the one log group, which exists already",
        page: "vpc/latest/userguide/flow-logs-iam-role.html",
        statement: ({ logGroupArn }) =>
            allow("logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents", joined`${logGroupArn}:*`),
    },
} satisfies PolicyTable<"logGroupArn">;
