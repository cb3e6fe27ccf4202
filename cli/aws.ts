/** Calls of AWS that survive what passes: throttling, a broken connection, credentials that have been renewed. */
import type { ClientClass, Context } from "./context";
import { asFailure, isExpired, isPassing } from "./failure";

// The SDK has tried four times within a second or two by itself. Together about a minute and a half.
const attempts = 8;
const baseDelayMs = 1000;
const maxDelayMs = 30_000;

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
    let renewing: number | undefined; // the attempt for which they are
    for (let attempt = 1; ; attempt++) {
        context.signal.throwIfAborted();
        try {
            return await action(context.client(type, region, attempt === renewing));
        } catch (error) {
            context.signal.throwIfAborted();
            if (isExpired(error) && renewing === undefined) {
                renewing = attempt + 1;
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
