import { strict as assert } from "node:assert";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { evaluateVariant, type Policy, variants } from "../../proof/program";
import { policyOf, type Statements, statementsOf } from "../../policies/document";

const statement = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" } as const;
const table: Statements<{ readonly wanted: boolean }> = {
    First: { why: "always", page: "a.html", statement: () => statement },
    Second: { why: "sometimes", page: "b.html", statement: ({ wanted }) => wanted && statement },
};

describe("a table of statements", () => {
    it("names each statement by its key, in the order of the table", () => {
        assert.deepEqual(policyOf(table, { wanted: true }), {
            Version: "2012-10-17",
            Statement: [
                { Sid: "First", ...statement },
                { Sid: "Second", ...statement },
            ],
        });
    });

    it("leaves out what the arguments do not call for, and every reason", () => {
        assert.deepEqual(statementsOf(table, { wanted: false }), [{ Sid: "First", ...statement }]);
    });
});

describe("the statements of policies/", () => {
    const policies: Policy[] = [];
    before(async () => {
        for (const variant of variants) policies.push(...(await evaluateVariant(variant)).policies);
    });

    it("have a reason, and a page of AWS", () => {
        for (const { holder, document } of policies) {
            for (const { Sid } of document.Statement) {
                const reason = holder.reasons[Sid];
                assert.match(reason?.why ?? "", /^\S.{15}/, Sid);
                assert.match(reason?.page ?? "", /^[A-Za-z0-9-]+\/latest\/.+\.html(?:#.+)?$/, Sid);
            }
        }
    });

    it("list actions in alphabetical order, once each", () => {
        for (const { document } of policies) {
            for (const { Sid, Action } of document.Statement) {
                const actions = [Action].flat();
                assert.deepEqual(actions, [...new Set(actions)].sort(), Sid);
            }
        }
    });

    it("stand nowhere else in the program", () => {
        const files = globSync(["components/*.ts", "index.ts"], { cwd: root });
        assert(files.length > 5);
        for (const file of files) {
            assert.doesNotMatch(readFileSync(join(root, file), "utf8"), /\bEffect:|\bAction:|getPolicyDocument/, file);
        }
    });
});
