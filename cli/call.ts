/** Calls of AWS that survive what passes: throttling, a broken connection, credentials that have been renewed. */
import { type ClientTypes, regionOf, type Service } from "./aws";
import type { Context } from "./context";
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
export async function call<S extends Service, T>(
    context: Context,
    service: S,
    arn: string,
    action: (client: ClientTypes[S]) => Promise<T>,
    region = regionOf(arn),
): Promise<T> {
    let hasRenewed = false;
    for (let attempt = 1; ; attempt++) {
        context.signal.throwIfAborted();
        try {
            return await action(await context.aws.client(service, region));
        } catch (error) {
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
