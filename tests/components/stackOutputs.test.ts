import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { readStackOutput, stackOutputNames, type StackOutputs } from "../../components/stackOutputs";
import type * as program from "../../index";
import { root, stackConfiguration } from "../../lab/stackFiles";
import { evaluate } from "../../lab/evaluation";
import { evaluateStack } from "../../lab/program";

type Program = typeof program;
/** The outputs of the program, as another stack finds them. */
type ProgramOutputs = { readonly [Name in keyof Program]: pulumi.Unwrap<Program[Name]> };

/** The compiler fails here where the program has outputs of other names or types than those that are read. */
const namesOf = (outputs: ProgramOutputs): keyof StackOutputs =>
    Object.keys(outputs)[0] as keyof ProgramOutputs;
const typesOf = (outputs: ProgramOutputs): Omit<StackOutputs, "logGroupNames"> => outputs;

const stackName = "acme/ecr-image-export/dev";

/** Reads all outputs of a stack that has these. */
async function readAll(outputs: Record<string, unknown>): Promise<Record<string, unknown>> {
    const { result } = await evaluate(
        () => {
            const stack = new pulumi.StackReference(stackName);
            return Object.fromEntries(stackOutputNames.map((name) => [name, readStackOutput(stack, name)]));
        },
        { project: "consumer", otherStacks: { [stackName]: outputs } },
    );
    return result;
}

/** Configurations that differ in what outputs they have. */
const variants: Record<string, Record<string, string>> = {
    "encryption: s3": { "ecr-image-export:encryption": "s3" },
    "encryption: kms": { "ecr-image-export:encryption": "kms" },
    "a given key": {
        "ecr-image-export:encryption":
            "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
    "network: isolated": stackConfiguration("isolated", "examples/stacks"),
    notifications: { "ecr-image-export:notifications": JSON.stringify({ emails: [] }) },
    triggers: {
        "ecr-image-export:triggers": JSON.stringify({ schedule: { expression: "rate(1 day)" } }),
    },
};

describe("readStackOutput", function () {
    this.timeout(30_000);
    const outputs: Record<string, Record<string, unknown>> = {};
    before(async () => {
        for (const [variant, changes] of Object.entries(variants)) {
            outputs[variant] = (await evaluateStack("dev", false, changes)).result;
        }
    });
    /** Every output that there is, from the variants that have it. */
    const all = (): Record<string, unknown> => ({
        ...outputs["notifications"],
        ...outputs["a given key"],
    });

    it("knows every output of the program by name and type, and no other", () => {
        assert.deepEqual([...stackOutputNames].sort(), Object.keys(all()).sort());
        assert.equal(typeof namesOf, typeof typesOf);
    });

    it("reads every output of the program as it is, whatever the configuration", async () => {
        for (const [variant, given] of Object.entries(outputs)) {
            assert.deepEqual(await readAll(given), given, variant);
        }
    });

    for (const name of stackOutputNames) {
        const canBeMissing = ["encryptionKeyArn", "encryptionKeyPolicy", "notificationTopicArn"].includes(
            name,
        );

        it(`refuses another type of ${name}`, async () => {
            for (const [other, words] of [
                [3, "of type number"],
                [["a"], "a list"],
                [{ a: 1 }, "of type object"],
            ] as const) {
                await assert.rejects(readAll({ ...all(), [name]: other }), (error: Error) => {
                    assert(
                        error.message.includes(
                            `The output ${name} of the stack ${stackName} is ${words}: expected`,
                        ),
                        error.message,
                    );
                    return true;
                });
            }
        });

        it(`${canBeMissing ? "takes" : "notices"} that ${name} is missing`, async () => {
            const { [name]: dropped, ...others } = all();
            assert.notEqual(dropped, undefined);
            const read = readAll({ ...others, [`${name}Renamed`]: dropped });
            if (canBeMissing) assert.deepEqual(await read, others);
            else
                await assert.rejects(read, {
                    message: new RegExp(`The output ${name} of the stack ${stackName} is missing: expected`),
                });
        });
    }

    it("leaves alone what is not read", async () => {
        const { result } = await evaluate(
            () => ({ arn: readStackOutput(new pulumi.StackReference(stackName), "stateMachineArn") }),
            { project: "consumer", otherStacks: { [stackName]: { stateMachineArn: "arn" } } },
        );
        assert.deepEqual(result, { arn: "arn" });
    });

    describe("the table of the outputs in the documentation", () => {
        const rows = outputTable();

        it("has a row for every output, and no other", () => {
            assert.deepEqual(Object.keys(rows).sort(), [...stackOutputNames].sort());
        });

        it("says when an output is missing, and is right", () => {
            /** What a row says after "missing": the variants in which the output is missing. */
            const conditions: Record<string, (variant: string) => boolean> = {
                "with `encryption: s3`": (variant) => !["encryption: kms", "a given key"].includes(variant),
                "without `notifications`": (variant) => variant !== "notifications",
                "without a given key": (variant) => variant !== "a given key",
            };
            for (const [name, meaning] of Object.entries(rows)) {
                const [, condition] = /missing (.*)$/.exec(meaning) ?? [];
                const isMissing = condition === undefined ? () => false : conditions[condition];
                assert(isMissing, `${name}: "missing ${condition}" is not known to this test`);
                for (const [variant, given] of Object.entries(outputs)) {
                    assert.equal(given[name] === undefined, isMissing(variant), `${name} with ${variant}`);
                }
            }
        });

        it("names the log groups", () => {
            const named = rows["logGroupNames"]?.match(/`\w+`/g)?.map((each) => each.slice(1, -1)) ?? [];
            const declared = Object.values(outputs).flatMap((each) =>
                Object.keys(each["logGroupNames"] as object),
            );
            assert.deepEqual(named.sort(), [...new Set(declared)].sort());
        });
    });
});

/** The rows of the table, wherever it is: meaning by name. */
function outputTable(): Record<string, string> {
    const docs = readdirSync(join(root, "docs")).map((file) => join("docs", file));
    const lines = ["README.md", ...docs.filter((file) => file.endsWith(".md"))].flatMap((file) => {
        const [, table] = readFileSync(join(root, file), "utf8").split(/^\| output +\| meaning +\|\n.*\n/m);
        return table?.split("\n\n")[0]?.split("\n") ?? [];
    });
    return Object.fromEntries(
        lines.map((line): [string, string] => {
            const [, name, meaning] = /^\| `(\w+)` +\| (.*?) *\|$/.exec(line) ?? assert.fail(line);
            return [String(name), String(meaning)];
        }),
    );
}
