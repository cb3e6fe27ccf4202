import { strict as assert } from "node:assert";
import { join } from "node:path";

import type * as pulumi from "@pulumi/pulumi";
import ts from "typescript";

import { readStackOutputs, stackOutputNames, type StackOutputs } from "../../contract/outputs";
// eslint-disable-next-line @typescript-eslint/no-require-imports -- what index.ts exports is an object.
import type program = require("../../index");
import { evaluateStack } from "../../lab/program";
import { root } from "../../lab/stackFiles";

const maybeMissing: readonly (keyof StackOutputs)[] = [
    "encryptionKeyArn",
    "encryptionKeyPolicy",
    "signingKeyArn",
    "signingPublicKey",
    "notificationTopicArn",
    "egressAddress",
];
const maps: readonly (keyof StackOutputs)[] = ["logGroupNames", "repositoryPolicies"];
const outputs: Readonly<Record<string, unknown>> = Object.fromEntries(
    stackOutputNames.map((name) => [name, maps.includes(name) ? { a: "b" } : name]),
);

/** The compiler fails here where an output of the program is of another type than the reader's. */
export const asRead = (exported: pulumi.Unwrap<typeof program>): Partial<StackOutputs> => exported;

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
                assert.throws(() => readStackOutputs({ ...outputs, [name]: wrong }), new RegExp(`${name} \\(`));
            }
        });
    }

    it("names all that is wrong with the outputs of another stack, or with none", () => {
        for (const wrong of [undefined, null, "text", { bucket: "b" }]) {
            assert.throws(
                () => readStackOutputs(wrong),
                (error: Error) => {
                    const named = stackOutputNames.filter((name) => error.message.includes(`${name} (missing`));
                    return named.length === stackOutputNames.length - maybeMissing.length;
                },
            );
        }
    });

    const givenKey = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const variants: readonly [changes: Record<string, string>, own: readonly string[]][] = [
        [{ "ecr-image-export:encryption": "s3" }, []],
        [{ "ecr-image-export:encryption": "kms" }, ["encryptionKeyArn"]],
        [{ "ecr-image-export:encryption": givenKey }, ["encryptionKeyArn", "encryptionKeyPolicy"]],
        [{ "ecr-image-export:signing": "kms" }, ["signingKeyArn", "signingPublicKey"]],
        [{ "ecr-image-export:network": "private" }, ["egressAddress"]],
        [{ "ecr-image-export:notifications": '{"emails":[]}' }, ["notificationTopicArn"]],
    ];
    for (const [changes, own] of variants) {
        it(`reads what a stack with ${JSON.stringify(changes)} exports`, async () => {
            const { result } = await evaluateStack("dev", false, changes);
            assert.deepEqual(readStackOutputs(result), result);
            const expected = stackOutputNames.filter((name) => !maybeMissing.includes(name) || own.includes(name));
            assert.deepEqual(Object.keys(result).sort(), [...expected].sort());
        });
    }

    it("compiles in programs whose compiler knows no more than ES2015", () => {
        const options = { lib: ["lib.es2015.d.ts"], target: ts.ScriptTarget.ES2015, noEmit: true, types: [] };
        const compiled = ts.createProgram([join(root, "contract/outputs.ts")], options);
        const problems = ts.getPreEmitDiagnostics(compiled).map(({ messageText }) => messageText);
        assert.deepEqual(problems, []);
    });
});
