/** Every role of the program has the boundary that is configured, whichever component makes it. */
import { strict as assert } from "node:assert";

import { variants } from "../proof/program";
import { evaluateStack } from "../lab/program";

const permissionsBoundary = "arn:aws:iam::111122223333:policy/deploy-image-export-boundary-dev";

describe("the permissions boundary of the roles", () => {
    for (const { name, stack, changes } of variants) {
        it(`is on all of them: ${name}`, async () => {
            const bounded = { ...changes, "ecr-image-export:permissionsBoundary": permissionsBoundary };
            const [program, without] = [
                await evaluateStack(stack, false, bounded),
                await evaluateStack(stack, false, changes),
            ];
            assert.deepEqual(program.typesAndNames(), without.typesAndNames());
            for (const { name: resource, type, inputs } of program.customResources()) {
                const expected = type === "aws:iam/role:Role" ? permissionsBoundary : undefined;
                assert.equal(inputs["permissionsBoundary"], expected, resource);
                const others = { ...inputs };
                delete others["permissionsBoundary"];
                assert.deepEqual(others, without.resource(resource).inputs, resource);
            }
        });
    }
});
