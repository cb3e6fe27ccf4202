import { strict as assert } from "node:assert";

import type { Evaluation } from "../lab/evaluation";
import { evaluateStack } from "../lab/program";
import { assertTied, houseRules } from "./support/houseRules";
import { tagsOfStack } from "./support/stackTags";

describe("the house rules", () => {
    /** What a program does wrong, by the rule that has to notice it. */
    const offences: Record<keyof typeof houseRules, Partial<Evaluation["resources"][number]>> = {
        "gives every resource to its component": { parent: "" },
        "begins every child's name with that of its component": { name: "bucket" },
        "gives no resource a fixed physical name": { inputs: { bucket: "my-bucket" } },
        "tags everything that can be tagged": { inputs: {} },
        "writes policies in a resource of their own, not into the role": { inputs: { inlinePolicies: [] } },
        "allows no action by a wildcard, and every resource only where AWS knows none": {
            inputs: { policy: { Statement: [{ Effect: "Allow", Action: "s3:*", Resource: "a" }] } },
        },
        "holds nothing that would have to be kept secret": { inputs: { bucket: "AKIAIOSFODNN7EXAMPLE" } },
        "writes no error text of an Output into an input": {
            inputs: { bucket: "Calling [toString] on an [Output<T>] is not supported." },
        },
    };

    it("are all tried", () => {
        assert.deepEqual(Object.keys(offences), Object.keys(houseRules));
    });

    let dev: Evaluation;
    before(async () => {
        dev = await evaluateStack("dev", false);
    });

    for (const [sentence, offence] of Object.entries(offences)) {
        it(`notice an offence against: ${sentence}`, () => {
            const changed = dev.resources.map((resource) =>
                resource.name === "image-export-storage-bucket" ? { ...resource, ...offence } : resource,
            );
            assert.throws(() => houseRules[sentence]?.({ resources: changed, result: {} }, tagsOfStack("dev")));
        });
    }

    it("notice a key policy that lets somebody use the key for anything, or anybody for something", () => {
        const root = { AWS: "arn:aws:iam::111122223333:root" };
        const tied = { StringEquals: { "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::bucket" } };
        const allow = { Effect: "Allow", Resource: "*" };
        assertTied([{ ...allow, Principal: root, Action: "kms:Decrypt", Condition: tied }], "a key");
        for (const statement of [
            { ...allow, Principal: root, Action: "kms:Decrypt" },
            { ...allow, Principal: root, Action: ["kms:CreateGrant"] },
            { ...allow, Principal: root, Action: "kms:Describe*" },
            { ...allow, Principal: "*", Action: "kms:Decrypt", Condition: tied },
            { ...allow, Principal: { AWS: "*" }, Action: "kms:DescribeKey" },
        ]) {
            assert.throws(() => {
                assertTied([statement], "a key");
            });
        }
    });
});
