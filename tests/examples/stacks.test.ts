import { strict as assert } from "node:assert";
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { itKeepsTheHouseRules, statementsOf } from "../support/houseRules";
import { waysOut } from "../support/networkGraph";
import { evaluateStack } from "../../lab/program";
import { type Evaluation, resourceOf } from "../../lab/evaluation";
import { tagsOfStack } from "../support/stackTags";
import { typesAndNamesOf } from "../support/evaluated";

const folder = "examples/stacks";
const repository = (region: string, account: string, name: string) =>
    `arn:aws:ecr:${region}:${account}:repository/${name}`;
const own = repository("ap-northeast-1", "111122223333", "backend/api");
const foreign = [
    repository("ap-northeast-1", "444455556666", "platform/base"),
    repository("eu-west-1", "777788889999", "web/shop"),
];

/** What each file is there to show. */
const shows: Record<string, (program: Evaluation) => void> = {
    "cross-account": (program) => {
        const pull = statementsOf(resourceOf(program, "image-export-build-policy")).find(
            ({ Sid }) => Sid === "PullImages",
        );
        assert.deepEqual(pull?.Resource, [foreign[0], own, foreign[1]]);
        const policies = program.result["repositoryPolicies"] as Record<string, string>;
        assert.deepEqual(Object.keys(policies), foreign);
        for (const policy of Object.values(policies)) {
            assert(policy.includes(String(program.result["buildRoleArn"])));
        }
    },
    isolated: (program) => {
        assert("vpcConfig" in resourceOf(program, "image-export-build-project").inputs);
        assert.deepEqual(waysOut(program), []);
    },
    lambda: (program) => {
        const project = resourceOf(program, "image-export-build-project").inputs;
        const { type, privilegedMode } = project["environment"] as Record<string, unknown>;
        assert.deepEqual([type, privilegedMode], ["LINUX_LAMBDA_CONTAINER", false]);
        assert(!("buildTimeout" in project) && !("vpcConfig" in project));
        const batch = String(resourceOf(program, "image-export-batch-machine").inputs["definition"]);
        assert.match(batch, /"MaxConcurrency":50\b/);
    },
};

describe("the example stacks", () => {
    it("are all tried", () => {
        const files = Object.keys(shows).map((stack) => `Pulumi.${stack}.yaml`);
        assert.deepEqual(readdirSync(join(root, folder)).sort(), files);
    });

    for (const [stack, show] of Object.entries(shows)) {
        describe(stack, () => {
            let program: Evaluation;
            before(async () => {
                program = await evaluateStack(stack, false, {}, folder);
            });

            itKeepsTheHouseRules(() => program, tagsOfStack(stack));

            it("shows what it is there for", () => {
                show(program);
            });

            it("can be previewed", async () => {
                const preview = await evaluateStack(stack, true, {}, folder);
                assert.deepEqual(typesAndNamesOf(preview), typesAndNamesOf(program));
            });
        });
    }
});
