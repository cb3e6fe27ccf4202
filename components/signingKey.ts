import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { type PolicyArgs, policyOf } from "../policies/document";
import { signingKeyPolicy } from "../policies/key";
import { createKey } from "./stackDefaults";

/** Arguments of {@link SigningKey}. */
export interface SigningKeyArgs extends Pick<PolicyArgs, "at"> {
    /** `kms` for a key of the component's own, or the ARN of a key of the type ECC_NIST_P256. */
    readonly signing: string;
    /** Whether a destroy or a change of `signing` is refused that would delete the component's own key. */
    readonly protect: boolean;
}

/**
 * The KMS key that signs export records, and its public half, with which they are verified anywhere.
 *
 * @example new SigningKey("signing", { at, signing: "kms", protect: true });
 */
export class SigningKey extends pulumi.ComponentResource {
    public readonly keyArn: pulumi.Output<string>;
    /** The public key as PEM. */
    public readonly publicKey: pulumi.Output<string>;

    public constructor(name: string, args: SigningKeyArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:SigningKey", name, args, opts);
        this.keyArn =
            args.signing === "kms"
                ? createKey(
                      name,
                      {
                          description: "Signs the records of exported container images",
                          customerMasterKeySpec: "ECC_NIST_P256",
                          keyUsage: "SIGN_VERIFY",
                      },
                      policyOf(signingKeyPolicy, args),
                      { parent: this, protect: args.protect },
                  )
                : pulumi.output(args.signing);
        this.publicKey = aws.kms.getPublicKeyOutput({ keyId: this.keyArn }, { parent: this }).publicKeyPem;
        this.registerOutputs({ keyArn: this.keyArn, publicKey: this.publicKey });
    }
}
