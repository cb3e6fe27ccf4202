import { strict as assert } from "node:assert";

import { readStackOutputs, stackOutputNames, type StackOutputs } from "../../contract/outputs";

const maybeMissing: readonly (keyof StackOutputs)[] = [
    "encryptionKeyArn",
    "encryptionKeyPolicy",
    "notificationTopicArn",
];
const maps: readonly (keyof StackOutputs)[] = ["logGroupNames", "repositoryPolicies"];
const outputs: Readonly<Record<string, unknown>> = Object.fromEntries(
    stackOutputNames.map((name) => [name, maps.includes(name) ? { a: "b" } : name]),
);

describe("readStackOutputs", () => {
    it("gives the outputs as they are, with further ones of a later release", () => {
        assert.deepEqual(readStackOutputs(outputs), outputs);
        const later = { ...outputs, added: 1, repositoryPolicies: {} };
        assert.deepEqual(readStackOutputs(later), later);
    });

    for (const name of stackOutputNames) {
        it(`${maybeMissing.includes(name) ? "goes without" : "misses"} ${name}`, () => {
            const others = Object.fromEntries(Object.entries(outputs).filter(([each]) => each !== name));
            if (maybeMissing.includes(name)) assert.deepEqual(readStackOutputs(others), others);
            else assert.throws(() => readStackOutputs(others), new RegExp(`${name} \\(missing, expected`));
        });
        it(`refuses ${name} of another kind`, () => {
            for (const wrong of [1, ["a"], maps.includes(name) ? { a: 1 } : {}]) {
                assert.throws(
                    () => readStackOutputs({ ...outputs, [name]: wrong }),
                    new RegExp(`${name} \\(`),
                );
            }
        });
    }

    it("names all that is wrong with the outputs of another stack, or with none", () => {
        for (const wrong of [undefined, null, "text", { bucket: "b" }]) {
            assert.throws(
                () => readStackOutputs(wrong),
                (error: Error) => {
                    const named = stackOutputNames.filter((name) =>
                        error.message.includes(`${name} (missing`),
                    );
                    return named.length === stackOutputNames.length - maybeMissing.length;
                },
            );
        }
    });
});
