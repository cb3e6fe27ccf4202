import type { RetryPolicy } from "../../../exporter/network/retry";

/** Retries as the exporter does them, in milliseconds instead of seconds. */
export const quickRetries: RetryPolicy = { attempts: 5, baseDelayMs: 1, maxDelayMs: 4, maxRetryAfterMs: 20 };

/** How long a test's server may say nothing. */
export const quickIdleTimeoutMs = 600;
