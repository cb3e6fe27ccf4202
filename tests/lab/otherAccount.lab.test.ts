import * as assert from "node:assert/strict";

import { type Lab, startLab } from "../../lab/lab";
import { permission, type PolicyDocument } from "../../lab/iam";

const repositoryArn = "arn:aws:ecr:eu-west-1:444455556666:repository/platform/base";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: an image of another account and region, engine ${engine}`, () => {
        let lab: Lab;
        before(async () => {
            lab = await startLab({
                engine,
                accountId: "111122223333",
                configuration: {
                    "ecr-image-export:imageUri":
                        "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/base:1",
                },
                tell: () => undefined,
            });
        });

        after(async () => {
            await lab.stop();
        });

        it("is refused while its owner has not attached the policy", async () => {
            const result = await lab.execute({});
            assert.equal(result.status, "FAILED");
            assert.equal(result.error, "AccessDenied", JSON.stringify(result));
            assert.match(result.cause, /444455556666.*ecr:BatchGetImage/);
        });

        it("is exported once the owner has attached what the stack tells", async () => {
            const policies = lab.stack.outputs["repositoryPolicies"] as Record<string, string>;
            assert.deepEqual(Object.keys(policies), [repositoryArn]);
            const policy = JSON.parse(policies[repositoryArn] ?? "") as PolicyDocument;
            lab.iam.repositoryPolicies.set(repositoryArn, policy);

            const result = await lab.execute({});
            assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
            assert.equal(result.output["imageUri"], lab.image.uri);
            assert.equal(result.output["artifactKey"], "images/platform/base/1.tar");
        });

        it("needs both sides: the owner's consent is not enough", async () => {
            lab.iam.removed.add(permission("PullImages", "ecr:BatchGetImage"));
            const result = await lab.execute({});
            lab.iam.removed.clear();
            assert.equal(result.status === "FAILED" && result.error, "AccessDenied", JSON.stringify(result));
        });
    });
}
