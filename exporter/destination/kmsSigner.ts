import { createHash } from "node:crypto";
import { keyArnPattern } from "../../contract/aws";
import { ExportError } from "../../contract/errors";
import type { NetworkOptions } from "../network/connect";
import { retry, type RetryPolicy } from "../network/retry";
import { clientOptions, sdkError } from "./s3Client";

/** Signs a text: ECDSA on its SHA-256, DER-encoded, as OpenSSL and cosign take it. */
export type Signer = (text: string) => Promise<Uint8Array>;

/**
 * A signer with a KMS key of the type ECC_NIST_P256, in the region of its ARN. Only the hash is sent: KMS takes 4,096 bytes.
 * docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
 *
 * @throws ExportError `InvalidInput` for what is no ARN of a key
 */
export function kmsSigner(keyArn: string, options: NetworkOptions & { readonly retryPolicy: RetryPolicy }): Signer {
    const [, , region] = keyArnPattern.exec(keyArn) ?? [];
    if (region === undefined) {
        const given = `SIGNING_KEY_ARN is "${keyArn}"`;
        throw new ExportError("InvalidInput", `${given}: expected the ARN of a KMS key, or nothing.`);
    }
    return async (text) => {
        const { KMSClient, SignCommand } = await import("@aws-sdk/client-kms"); // when needed only, as ECR's client
        const client = new KMSClient({ ...clientOptions("KMS", options), region });
        const command = new SignCommand({
            KeyId: keyArn,
            Message: createHash("sha256").update(text).digest(),
            MessageType: "DIGEST",
            SigningAlgorithm: "ECDSA_SHA_256",
        });
        const what = `signing the record with ${keyArn}`;
        try {
            return await retry(what, options.retryPolicy, new AbortController().signal, async () => {
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
