/** The clients of AWS that the command line uses. */
import type { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { CodeBuildClient } from "@aws-sdk/client-codebuild";
import type { S3Client } from "@aws-sdk/client-s3";
import type { SFNClient } from "@aws-sdk/client-sfn";
import type { STSClient } from "@aws-sdk/client-sts";

/** The client of each service that the command line uses. */
export interface ClientTypes {
    readonly sfn: SFNClient;
    readonly s3: S3Client;
    readonly logs: CloudWatchLogsClient;
    readonly codebuild: CodeBuildClient;
    readonly sts: STSClient;
}

/** A service that the command line uses. */
export type Service = keyof ClientTypes;

/** Gives clients. */
export interface AwsClients {
    /** @param region By default the environment's, as for every tool of AWS. */
    readonly client: <S extends Service>(service: S, region?: string) => Promise<ClientTypes[S]>;
    /** Forgets all clients and the credentials that they hold: the next ones read them again. */
    readonly renew: () => void;
}

// Each is loaded when it is first asked for: that takes longer than `--help` may.
const loaders: { [S in Service]: (region: string | undefined) => Promise<ClientTypes[S]> } = {
    sfn: async (region) => new (await import("@aws-sdk/client-sfn")).SFNClient(configuration(region)),
    s3: async (region) =>
        new (await import("@aws-sdk/client-s3")).S3Client({
            ...configuration(region),
            // A connection without a byte for so long is stalled.
            requestHandler: { socketTimeout: 30_000 },
            // An emulator or another store has no host name for each bucket.
            forcePathStyle: Boolean(process.env["AWS_ENDPOINT_URL_S3"] ?? process.env["AWS_ENDPOINT_URL"]),
        }),
    logs: async (region) =>
        new (await import("@aws-sdk/client-cloudwatch-logs")).CloudWatchLogsClient(configuration(region)),
    codebuild: async (region) => new (await import("@aws-sdk/client-codebuild")).CodeBuildClient(configuration(region)),
    sts: async (region) => new (await import("@aws-sdk/client-sts")).STSClient(configuration(region)),
};

function configuration(region: string | undefined) {
    return { ...(region !== undefined && { region }), maxAttempts: 4 };
}

/** Clients with the credentials of the environment: variables, profile, SSO, role of the machine. */
export function environmentClients(): AwsClients {
    const clients = new Map<string, Promise<ClientTypes[Service]>>();
    return {
        client: <S extends Service>(service: S, region?: string) => {
            const key = `${service} ${region ?? ""}`;
            const client = clients.get(key) ?? loaders[service](region);
            clients.set(key, client);
            return client as Promise<ClientTypes[S]>;
        },
        renew: () => {
            clients.clear();
        },
    };
}

/** The region of an ARN; undefined for what has none, as a bucket. */
export function regionOf(arn: string): string | undefined {
    const region = arn.split(":")[3];
    return region === "" ? undefined : region;
}
