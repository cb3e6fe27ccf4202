/** The clients of AWS that the command line uses. */
import type { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { CodeBuildClient } from "@aws-sdk/client-codebuild";
import type { S3Client } from "@aws-sdk/client-s3";
import type { SFNClient } from "@aws-sdk/client-sfn";
import type { STSClient } from "@aws-sdk/client-sts";

/** The clients that the command line uses, by service. */
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
const loaders: {
    [S in Service]: (configuration: { region?: string; maxAttempts: number }) => Promise<ClientTypes[S]>;
} = {
    sfn: async (configuration) => new (await import("@aws-sdk/client-sfn")).SFNClient(configuration),
    s3: async (configuration) =>
        new (await import("@aws-sdk/client-s3")).S3Client({
            ...configuration,
            // A connection without a byte for so long is stalled.
            requestHandler: { socketTimeout: 30_000 },
            // An emulator or another store has no host name for each bucket.
            forcePathStyle: Boolean(process.env["AWS_ENDPOINT_URL_S3"] ?? process.env["AWS_ENDPOINT_URL"]),
        }),
    logs: async (configuration) =>
        new (await import("@aws-sdk/client-cloudwatch-logs")).CloudWatchLogsClient(configuration),
    codebuild: async (configuration) => new (await import("@aws-sdk/client-codebuild")).CodeBuildClient(configuration),
    sts: async (configuration) => new (await import("@aws-sdk/client-sts")).STSClient(configuration),
};

/** Clients with the credentials of the environment: variables, profile, SSO, role of the machine. */
export function environmentClients(): AwsClients {
    const clients = new Map<string, Promise<ClientTypes[Service]>>();
    return {
        client: <S extends Service>(service: S, region?: string) => {
            const key = `${service} ${region ?? ""}`;
            const client =
                clients.get(key) ?? loaders[service]({ ...(region !== undefined && { region }), maxAttempts: 4 });
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
