/** The asymmetric keys of the lab's KMS: one key pair for all of them, a new one in each process. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** The public key as PEM, as Pulumi's `aws.kms.getPublicKey` answers it. */
export const publicKeyPem = String(publicKey.export({ type: "spki", format: "pem" }));

/** ECDSA of a SHA-256, DER-encoded. By OpenSSL: Node signs only what it has hashed itself, as does moto. */
export function signDigest(digest: Uint8Array): Buffer {
    const KEY = String(privateKey.export({ type: "pkcs8", format: "pem" }));
    const command = `exec openssl pkeyutl -sign -inkey <(printf '%s' "$KEY")`;
    return execFileSync("bash", ["-c", command], { input: digest, env: { ...process.env, KEY } });
}
