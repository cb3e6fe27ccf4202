/**
 * The policies of the VPC endpoints of an isolated network: what may pass, and nothing else does. Such a policy grants
 * nothing, it takes away: whoever asks still needs permissions of their own. So it names everybody, as it has to at a
 * gateway endpoint, and for layers, which ECR lets the build fetch with a signature of its own.
 *
 * @see {@link https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html}
 */

import { exporterPrefix } from "../contract/keys";
import { type ArchiveArgs, buildRole, type PullArgs } from "./buildRole";
import { allow, arnIn, joined, type PolicyTable, type Reasoned, type StackLocation } from "./document";

/** What {@link s3Endpoint} depends on. */
export interface S3EndpointArgs extends Pick<PullArgs, "engine">, ArchiveArgs {
    readonly at: StackLocation;
}

/** What the policies depend on. */
export type EndpointArgs = PullArgs & S3EndpointArgs;

/** ECR's endpoints, API and registry: they share the work of a pull, and AWS recommends one policy for both. */
export const ecrEndpoint = {
    LogInToEcr: passing(buildRole.LogInToEcr),
    PullImages: passing(buildRole.PullImages),
} satisfies PolicyTable<EndpointArgs>;

/** The endpoint of S3: layers, exporters, archives. */
export const s3Endpoint = {
    DownloadLayers: passing({
        why: "ECR sends whoever pulls a layer to the bucket where it keeps all layers of a region",
        page: "AmazonECR/latest/userguide/vpc-endpoints.html",
        statement: ({ at }: S3EndpointArgs) =>
            allow("s3:GetObject", `arn:${at.partition}:s3:::prod-${at.region}-starport-layer-bucket/*`),
    }),
    PassExporters: passing({
        why: "CodeBuild fetches an exporter of the stack, whichever it is: the endpoint exists before the exporter has a name",
        page: "codebuild/latest/userguide/use-vpc-endpoints-with-codebuild.html",
        statement: ({ engine, artifactBucketArn }: S3EndpointArgs) =>
            engine === "stream" &&
            allow("s3:GetObject s3:GetObjectVersion", joined`${artifactBucketArn}/${exporterPrefix}*`),
    }),
    WriteArchives: passing(buildRole.WriteArchives),
} satisfies PolicyTable<S3EndpointArgs>;

/** The endpoint of CloudWatch Logs. */
export const logsEndpoint = {
    PassBuildLogs: passing({
        why: "the log of a build is written from within the VPC, to a group of the account's builds: the stack's own is created later",
        page: "AmazonCloudWatch/latest/logs/cloudwatch-logs-and-interface-VPC.html",
        statement: ({ at }: EndpointArgs) =>
            allow("logs:CreateLogStream logs:PutLogEvents", arnIn(at, "logs", "log-group:/aws/codebuild/*")),
    }),
} satisfies PolicyTable<EndpointArgs>;

/** The endpoint of STS. */
export const stsEndpoint = {
    IdentifyCaller: passing({
        why: "who looks into a build asks which role it has; no other role can be assumed, and the action has no resource type",
        page: "STS/latest/APIReference/API_GetCallerIdentity.html",
        statement: () => allow("sts:GetCallerIdentity", "*"),
    }),
} satisfies PolicyTable<EndpointArgs>;

function passing<Args>({ statement, ...reason }: Reasoned<Args>): Reasoned<Args> {
    return {
        ...reason,
        statement(args) {
            const allowed = statement(args);
            return allowed && { ...allowed, Principal: "*" };
        },
    };
}
