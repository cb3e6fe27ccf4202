/** Clients of AWS, and calls that survive what passes: throttling, a broken connection, credentials that have been renewed. */
import type { Context } from "./context";
import { asFailure, isExpired, isPassing } from "./failure";

// The SDK has tried four times within a second or two by itself. Together about a minute and a half.
const attempts = 8;
const baseDelayMs = 1000;
const maxDelayMs = 30_000;

/** The class of a client of the AWS SDK. */
export type ClientClass<Client> = new (configuration: {
    readonly region?: string;
    readonly maxAttempts: number;
    readonly requestHandler: { readonly socketTimeout: number };
    readonly forcePathStyle: boolean;
}) => Client;

/** Gives clients. */
export interface AwsClients {
    /** @param region By default the environment's, as for every tool of AWS. */
    readonly client: <Client>(type: ClientClass<Client>, region?: string) => Client;
    /** Forgets all clients and the credentials that they hold: the next ones read them again. */
    readonly renew: () => void;
}

/** Clients with the credentials of the environment: variables, profile, SSO, role of the machine. */
export function environmentClients(): AwsClients {
    const regions = new Map<string | undefined, Map<unknown, unknown>>();
    return {
        client: <Client>(type: ClientClass<Client>, region?: string) => {
            const clients = regions.get(region) ?? new Map<unknown, unknown>();
            const client = (clients.get(type) as Client | undefined) ?? createClient(type, region);
            regions.set(region, clients.set(type, client));
            return client;
        },
        renew: () => {
            regions.clear();
        },
    };
}

function createClient<Client>(type: ClientClass<Client>, region: string | undefined): Client {
    return new type({
        ...(region !== undefined && { region }),
        maxAttempts: 4,
        // A connection without a byte for so long is stalled.
        requestHandler: { socketTimeout: 30_000 },
        // An emulator or another store has no host name for each bucket.
        forcePathStyle: Boolean(process.env["AWS_ENDPOINT_URL_S3"] ?? process.env["AWS_ENDPOINT_URL"]),
    });
}

/**
 * Calls AWS. What passes is tried again, with backoff and full jitter; after expired credentials once, with credentials
 * that are read again.
 *
 * @param arn What the call is about.
 * @param region Of the client. @default that of the ARN
 * @throws Failure that names the ARN
 */
export async function call<Client, T>(
    context: Context,
    type: ClientClass<Client>,
    arn: string,
    action: (client: Client) => Promise<T>,
    region = regionOf(arn),
): Promise<T> {
    let hasRenewed = false;
    for (let attempt = 1; ; attempt++) {
        context.signal.throwIfAborted();
        try {
            return await action(context.aws.client(type, region));
        } catch (error) {
            context.signal.throwIfAborted();
            if (isExpired(error) && !hasRenewed) {
                hasRenewed = true;
                context.aws.renew();
            } else if (isPassing(error) && attempt < attempts) {
                const ceiling = Math.min(maxDelayMs, baseDelayMs * 2 ** (attempt - 1));
                await context.sleep(context.random() * ceiling, context.signal);
            } else {
                throw asFailure(error, arn);
            }
        }
    }
}

/** The region of an ARN; undefined for what has none, as a bucket. */
export function regionOf(arn: string): string | undefined {
    const region = arn.split(":")[3];
    return region === "" ? undefined : region;
}
