import { S3Client } from "@aws-sdk/client-s3";
import { createAgents, type NetworkOptions } from "../network/connect";
import { ExportError, messageOf } from "../../contract/errors";
import { isTransientStatus, retryAfterMs, TransientError } from "../network/retry";
import { withPathStyle } from "./pathStyle";

/**
 * A client of S3, or of what `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile names. Region and credentials are the AWS SDK's usual ones.
 */
export function createS3Client(options: NetworkOptions): S3Client {
    const region = options.env["AWS_REGION"] ?? options.env["AWS_DEFAULT_REGION"];
    const client = withPathStyle(
        new S3Client({
            ...clientOptions("S3", options),
            ...(region && { region }),
            followRegionRedirects: true,
            requestChecksumCalculation: "WHEN_REQUIRED", // the transfer knows its checksums
            responseChecksumValidation: "WHEN_REQUIRED",
            expectContinueHeader: false, // a part is small: asking first would cost a round trip each
        }),
    );
    // Signing would hash every body once more. TLS and the CRC-32, whose header is signed, protect it already.
    client.middlewareStack.add(
        (next) => async (args) => {
            const { headers } = args.request as { headers: Record<string, string> };
            headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
            return next(args);
        },
        { step: "build", name: "unsignedPayload" },
    );
    return client;
}

/** What the clients of AWS's services have in common: their endpoint, and how they are spoken to. */
export function clientOptions(service: "KMS" | "S3", options: NetworkOptions) {
    const { env, idleTimeoutMs } = options;
    const endpoint = env[`AWS_ENDPOINT_URL_${service}`] ?? env["AWS_ENDPOINT_URL"];
    return {
        ...(endpoint && { endpoint }),
        maxAttempts: 1, // retries are retry.ts's, the same for the registry and for AWS
        requestHandler: { connectionTimeout: 10_000, socketTimeout: idleTimeoutMs, ...createAgents(options) },
    };
}

interface SdkError extends Error {
    $metadata?: { httpStatusCode?: number };
    $response?: { headers?: Record<string, string> };
}

// Failures with a 4xx status that pass all the same: the body was damaged or late, or the credentials are being renewed.
const transientNames = new Set([
    "RequestTimeout",
    "BadDigest",
    "IncompleteBody",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "KeyUnavailableException",
    "ExpiredToken",
]);
const deniedNames = new Set([
    "AccessDenied",
    "AccessDeniedException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "CredentialsProviderError",
]);

/** HTTP status of the answer that an error of the SDK is about; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
    return (error as SdkError).$metadata?.httpStatusCode;
}

/**
 * Judges an error of the SDK: transient, or the named error it means.
 *
 * @param needs what the caller may lack: "kms:Sign for it"
 */
export function sdkError(error: unknown, what: string, needs: string): TransientError | ExportError {
    if (error instanceof TransientError || error instanceof ExportError) return error;
    const { name, $response } = error as SdkError;
    const status = statusOf(error);
    const message = `${what}: ${messageOf(error)}${status === undefined ? "" : ` (${name}, ${status})`}`;
    if (name === "NoSuchBucket") {
        return new ExportError("InvalidInput", `${message}. Create the bucket, or name another.`, error);
    }
    if (/region is missing/i.test(message)) {
        return new ExportError("InvalidInput", "There is no AWS region: set AWS_REGION.", error);
    }
    if (deniedNames.has(name) || (status === 403 && !transientNames.has(name))) {
        return new ExportError("AccessDenied", `${message}. The caller needs ${needs}.`, error);
    }
    // Errors of connections have a code or are timeouts; errors of the configuration have neither.
    const isNetworkError = name === "TimeoutError" || (error instanceof Error && "code" in error);
    // What fails with a 2xx is an answer that could not be read: it was cut off, or damaged.
    const mayPass = status === undefined ? isNetworkError : status < 300 || isTransientStatus(status);
    if (mayPass || transientNames.has(name)) {
        return new TransientError(message, retryAfterMs($response?.headers?.["retry-after"]));
    }
    return new ExportError("ExportFailed", message, error);
}
