import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { untaggableTypes } from "../support/untaggableTypes";
import { awsTypes } from "../../lab/awsTypes";
import { creators } from "../../lab/creators";

const sdk = dirname(require.resolve("@pulumi/aws/package.json"));

/** The arguments of a resource type, as the SDK declares them: `aws:s3/bucket:Bucket` is in s3/bucket.d.ts. */
function declaredArguments(token: string): string {
    const [, file, className] = token.split(":");
    const declaration = readFileSync(join(sdk, `${file ?? ""}.d.ts`), "utf8");
    return declaration.split(`export interface ${className ?? ""}Args {`)[1] ?? "";
}

describe("the table of AWS resource types", () => {
    for (const [token, type] of Object.entries(awsTypes)) {
        it(`says of ${token} what the SDK says`, () => {
            const declared = declaredArguments(token);
            assert.equal(/^ {4}tags\?:/m.test(declared), !untaggableTypes.includes(token), "taggable");
            if (type?.nameArgument !== undefined) {
                assert.match(declared, new RegExp(`^ {4}${type.nameArgument}\\?:`, "m"), "name argument");
            }
        });
    }

    it("knows each type that takes no tags", () => {
        assert.deepEqual(
            untaggableTypes.filter((token) => awsTypes[token] === undefined),
            [],
        );
    });

    it("says of each type why the lab does not create it, or the lab creates it", () => {
        const created = Object.keys(creators);
        const notCreated = Object.keys(awsTypes).filter((token) => awsTypes[token]?.notInLab !== undefined);
        assert.deepEqual([...created, ...notCreated].sort(), Object.keys(awsTypes).sort());
    });
});
