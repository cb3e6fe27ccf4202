import { strict as assert } from "node:assert";

import { SigningKey } from "../../components/signingKey";
import { at } from "../../lab/awsTypes";
import { customResourcesOf, evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { publicKeyPem } from "../../lab/signing";
import { itKeepsTheHouseRules } from "../support/houseRules";

const givenArn = "arn:aws:kms:ap-northeast-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab";

function evaluateKey(signing: string, protect = true): Promise<Evaluation> {
    return evaluate(() => {
        const { keyArn, publicKey } = new SigningKey("test", { at, signing, protect });
        return { keyArn, publicKey };
    });
}

describe("SigningKey", () => {
    let own: Evaluation;
    before(async () => {
        own = await evaluateKey("kms");
    });

    itKeepsTheHouseRules(() => own);

    it("is a key that signs with ECC_NIST_P256 and nothing else, and is protected as archives are", async () => {
        const { inputs, protect } = resourceOf(own, "test-key");
        assert.deepEqual(inputs, {
            description: "Signs the records of exported container images",
            customerMasterKeySpec: "ECC_NIST_P256",
            keyUsage: "SIGN_VERIFY",
            deletionWindowInDays: 30,
        });
        assert.equal(protect, true);
        assert.equal(resourceOf(await evaluateKey("kms", false), "test-key").protect, false);
    });

    it("gives the ARN once the key has its policy, and the public key as PEM", () => {
        assert.match(String(own.result["keyArn"]), /^arn:aws:kms:ap-northeast-1:111122223333:key\//);
        assert.equal(own.result["publicKey"], publicKeyPem);
    });

    it("lets the account sign as records are signed, and do nothing else with the private key", () => {
        const { Statement } = JSON.parse(String(resourceOf(own, "test-key-policy").inputs["policy"])) as {
            Statement: { Sid: string; Action: string | string[]; Condition?: unknown }[];
        };
        const uses = Statement.filter(({ Sid }) => Sid !== "AdministerSigningKey");
        assert.deepEqual(
            uses.map(({ Action, Condition }) => [Action, Condition]),
            [
                [
                    "kms:Sign",
                    { StringEquals: { "kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256" } },
                ],
                ["kms:GetPublicKey", undefined],
            ],
        );
    });

    it("uses a given key, and makes none", async () => {
        const given = await evaluateKey(givenArn);
        assert.deepEqual(customResourcesOf(given), []);
        assert.equal(given.result["keyArn"], givenArn);
    });
});
