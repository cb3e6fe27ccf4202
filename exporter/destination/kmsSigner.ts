import { createHash } from "node:crypto";
import { KMSClient, SignCommand } from "@aws-sdk/client-kms";
import { ExportError } from "../../contract/errors";
import { createAgents, type NetworkOptions } from "../network/connect";
import { retry, type RetryPolicy } from "../network/retry";
import { sdkError } from "./s3Client";

/** Signs a text: ECDSA on its SHA-256, DER-encoded, as OpenSSL and cosign take it. */
export type Signer = (text: string) => Promise<Uint8Array>;

/**
 * A signer with a KMS key of the type ECC_NIST_P256, in the region of its ARN. Only the hash is sent: KMS takes 4,096 bytes.
 * docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
 *
 * @throws ExportError `InvalidInput` for what is no ARN of a key
 */
export function kmsSigner(keyArn: string, options: NetworkOptions & { readonly retryPolicy: RetryPolicy }): Signer {
    const { env, retryPolicy, idleTimeoutMs } = options;
    const [, region] = /^arn:[a-z-]+:kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/.exec(keyArn) ?? [];
    if (region === undefined) {
        const expected = "expected the ARN of a KMS key, or nothing";
        throw new ExportError("InvalidInput", `SIGNING_KEY_ARN is "${keyArn}": ${expected}.`);
    }
    const endpoint = env["AWS_ENDPOINT_URL_KMS"] ?? env["AWS_ENDPOINT_URL"];
    return async (text) => {
        const client = new KMSClient({
            ...(endpoint && { endpoint }),
            region,
            maxAttempts: 1, // retries are retry.ts's
            requestHandler: { connectionTimeout: 10_000, socketTimeout: idleTimeoutMs, ...createAgents(options) },
        });
        const command = new SignCommand({
            KeyId: keyArn,
            Message: createHash("sha256").update(text).digest(),
            MessageType: "DIGEST",
            SigningAlgorithm: "ECDSA_SHA_256",
        });
        const what = `signing the record with ${keyArn}`;
        try {
            return await retry(what, retryPolicy, new AbortController().signal, async () => {
                const { Signature } = await client.send(command).catch((error: unknown) => {
                    throw sdkError(error, what, "kms:Sign for it");
                });
                return Signature ?? new Uint8Array();
            });
        } finally {
            client.destroy();
        }
    };
}
