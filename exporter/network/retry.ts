import { setTimeout as sleep } from "node:timers/promises";
import { ExportError, type BuildErrorName, messageOf } from "../../contract/errors";

/** How often and how fast an operation is tried again. */
export interface RetryPolicy {
    /** Attempts in all, the first included. */
    readonly attempts: number;
    /** Longest wait after the first failure, in milliseconds; it doubles with every further one. */
    readonly baseDelayMs: number;
    /** Ceiling of the doubling, in milliseconds. */
    readonly maxDelayMs: number;
    /** Ceiling of what a server's `Retry-After` may ask for, in milliseconds. */
    readonly maxRetryAfterMs: number;
}

/** About 45 s of patience: long enough for a throttled registry, short against a build's timeout. */
export const defaultRetryPolicy: RetryPolicy = {
    attempts: 8,
    baseDelayMs: 200,
    maxDelayMs: 20_000,
    maxRetryAfterMs: 60_000,
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
        public readonly lastingName: BuildErrorName = "ExportFailed",
    ) {
        super(message);
    }
}

/**
 * Runs `action` until it succeeds, fails with anything but a {@link TransientError}, or has used up its attempts.
 * Waits with exponential backoff and full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"),
 * but never less than what the server asked for.
 *
 * @param what names the operation in the final error
 * @throws ExportError when the attempts are used up; the signal's reason when it is aborted
 */
export async function retry<T>(
    what: string,
    policy: RetryPolicy,
    signal: AbortSignal | undefined,
    action: (attempt: number) => Promise<T>,
): Promise<T> {
    for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted();
        try {
            return await action(attempt);
        } catch (error) {
            signal?.throwIfAborted();
            if (!(error instanceof TransientError)) throw error;
            if (attempt >= policy.attempts) {
                const message = `${what} failed ${attempt} times, at last: ${messageOf(error)}`;
                throw new ExportError(error.lastingName, message, error);
            }
            await pause(delayMs(policy, attempt, error.retryAfterMs), signal);
        }
    }
}

/** Sleeps; an abort ends the sleep with the signal's reason, not with an error of the timer's own. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    await sleep(milliseconds, undefined, signal && { signal }).catch(() => undefined);
    signal?.throwIfAborted();
}

function delayMs(policy: RetryPolicy, attempt: number, retryAfterMs = 0): number {
    const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1));
    const backoff = Math.random() * ceiling;
    return Math.max(backoff, Math.min(retryAfterMs, policy.maxRetryAfterMs));
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

/** Whether an HTTP status says that the same request may succeed later. */
export function isTransientStatus(status: number): boolean {
    return status === 408 || status === 425 || status === 429 || status >= 500;
}
