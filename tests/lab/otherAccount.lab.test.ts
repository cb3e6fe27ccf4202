import * as assert from "node:assert/strict";

import { permission, type PolicyDocument } from "../../lab/iam";
import type { Lab } from "../../lab/lab";
import { exportImage, failToExport, foreign, sharedLab } from "./support/sharedLab";

const imageUri = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/elsewhere:1";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: an image of another account and region, engine ${engine}`, () => {
        let lab: Lab;

        before(async () => {
            lab = await sharedLab(engine);
            await lab.push("platform/elsewhere", "1");
        });

        it("is exported once its owner has attached what the stack tells, and by both sides' consent only", async () => {
            const refused = await failToExport(lab, { imageUri });
            assert.equal(refused.error, "AccessDenied");
            assert.match(refused.cause, /444455556666.*ecr:BatchGetImage/);

            const policies = lab.stack.outputs["repositoryPolicies"] as Record<string, string>;
            assert.deepEqual(Object.keys(policies).sort(), Object.values(foreign).sort());
            const policy = JSON.parse(policies[foreign.elsewhere] ?? "") as PolicyDocument;
            lab.iam.resourcePolicies.set(foreign.elsewhere, policy);
            const output = await exportImage(lab, { imageUri });
            assert.equal(output["imageUri"], imageUri);
            assert.equal(output["artifactKey"], "images/@444455556666/eu-west-1/platform/elsewhere/1.tar");

            lab.iam.removed.add(permission("PullImages", "ecr:BatchGetImage"));
            assert.equal((await failToExport(lab, { imageUri, force: true })).error, "AccessDenied");
        });
    });
}
