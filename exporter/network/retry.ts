import { setTimeout as sleep } from "node:timers/promises";
import { ExportError, type ExportErrorName, messageOf } from "../../contract/errors";

/** How often and how fast an operation is tried again. */
export interface RetryPolicy {
    /** Attempts in all, the first included. */
    readonly attempts: number;
    /** Longest wait after the first failure, in milliseconds; it doubles with every further one. */
    readonly baseDelayMs: number;
    /** Ceiling of the doubling, in milliseconds. */
    readonly maxDelayMs: number;
    /** Most that a server's `Retry-After` may ask for, in milliseconds: beyond it nothing is tried again. */
    readonly maxRetryAfterMs: number;
    /** When everything has to be done, in milliseconds since 1970: nothing waits beyond it. */
    readonly deadline?: number | undefined;
    /** Called before every wait with a line that says why, and how long. */
    readonly onWait?: ((line: string) => void) | undefined;
}

/** About 45 s of patience: long enough for a throttled registry, short against a build's timeout. */
export const defaultRetryPolicy: RetryPolicy = {
    attempts: 8,
    baseDelayMs: 200,
    maxDelayMs: 20_000,
    maxRetryAfterMs: 120_000,
};

/** A failure that may pass when the operation is tried again. */
export class TransientError extends Error {
    /**
     * @param message what happened
     * @param retryAfterMs what the server asked for, in milliseconds
     * @param lastingName the named error this is, should it not pass
     */
    public constructor(
        message: string,
        public readonly retryAfterMs?: number,
        public readonly lastingName: ExportErrorName = "ExportFailed",
    ) {
        super(message);
    }
}

// What no second attempt mends: names that do not exist, certificates that are not trusted, TLS spoken to plain HTTP.
const lastingCodes = /^(ENOTFOUND|EPROTO|CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
const untrustedCodes = /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/**
 * Judges an error of a connection: transient (resets, refusals, stalls, passing DNS trouble), or lasting.
 *
 * @param url what was being spoken to; only its origin is put into the message, because a redirected blob URL carries
 *     a signature
 */
export function networkError(error: unknown, url: URL): TransientError | ExportError {
    if (error instanceof TransientError || error instanceof ExportError) return error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const message = `${url.origin}: ${messageOf(error)}`;
    if (!lastingCodes.test(code)) return new TransientError(message);
    return new ExportError("ExportFailed", message + adviceOn(code, message), error);
}

function adviceOn(code: string, message: string): string {
    if (untrustedCodes.test(code)) {
        return ". For a certificate authority of your own, name the file with its certificate in NODE_EXTRA_CA_CERTS.";
    }
    const isPlain = /wrong version number|packet length too long/.test(message);
    return isPlain ? ". No TLS is spoken there; a registry that has none is read with --insecure." : "";
}

/**
 * Runs `action` until it succeeds, fails with anything but a {@link TransientError}, or has used up its attempts.
 * Waits with exponential backoff and full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"),
 * but never less than what the server asked for; where that is more than there is time for, it gives up at once.
 *
 * @param what names the operation in the final error
 * @throws ExportError when the attempts are used up; the signal's reason when it is aborted
 */
export async function retry<T>(
    what: string,
    policy: RetryPolicy,
    signal: AbortSignal | undefined,
    action: () => Promise<T>,
): Promise<T> {
    const { attempts, baseDelayMs, maxDelayMs, maxRetryAfterMs, deadline = Infinity, onWait } = policy;
    for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted();
        try {
            return await action();
        } catch (error) {
            signal?.throwIfAborted();
            if (!(error instanceof TransientError)) throw error;
            const asked = error.retryAfterMs ?? 0;
            const isTooLong = asked > Math.min(maxRetryAfterMs, deadline - Date.now());
            if (attempt >= attempts || isTooLong) {
                const failed = attempt === 1 ? "failed" : `failed ${attempt} times, at last`;
                const why = isTooLong ? ` It asks to be left alone for ${seconds(asked)}: try again then.` : "";
                throw new ExportError(error.lastingName, `${what} ${failed}: ${messageOf(error)}${why}`, error);
            }
            const backoff = Math.random() * Math.min(maxDelayMs, baseDelayMs * 2 ** (attempt - 1));
            const wait = Math.max(backoff, asked);
            onWait?.(`${what}: ${messageOf(error)}; attempt ${attempt + 1} of ${attempts} in ${seconds(wait)}`);
            await sleep(wait, undefined, signal && { signal }).catch(() => undefined); // an abort is seen above
        }
    }
}

function seconds(milliseconds: number): string {
    return `${(milliseconds / 1000).toFixed(1)} s`;
}

/**
 * Reads a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3).
 *
 * @returns milliseconds from now, or undefined when there is none that can be read
 */
export function retryAfterMs(header: string | undefined, nowMs = Date.now()): number | undefined {
    if (header === undefined || header.trim() === "") return undefined;
    const delay = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
    return Number.isNaN(delay) ? undefined : Math.max(0, delay);
}

/** Whether an HTTP status says that the same request may succeed later. A server that does not know how (501, 505) will not learn it. */
export function isTransientStatus(status: number): boolean {
    return [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505);
}
