import * as assert from "node:assert/strict";

import { permission } from "../../lab/iam";
import { type Lab, startLab } from "../../lab/lab";

const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const importing = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"];

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine} through a pull-through cache`, () => {
        let lab: Lab;

        before(async () => {
            const named = ["docker-hub/library/nginx", "mirror/library/nginx"];
            lab = await startLab({
                engine,
                // Two rules for one registry: what is imported by one of them has yet to be imported by the other.
                configuration: {
                    "ecr-image-export:repositoryArns": JSON.stringify(
                        named.map((name) => `arn:aws:ecr:ap-northeast-1:111122223333:repository/${name}`),
                    ),
                    "ecr-image-export:pullThroughCache": JSON.stringify([
                        { prefix: "docker-hub", upstreamRegistryUrl: "public.ecr.aws" },
                        { prefix: "mirror", upstreamRegistryUrl: "public.ecr.aws" },
                    ]),
                },
                tell: () => undefined,
            });
            await lab.push("public.ecr.aws/library/nginx", "1.29");
            await lab.push("public.ecr.aws/library/redis", "8");
        });

        after(async () => {
            await lab.stop();
        });

        async function digestOf(imageUri: string): Promise<string> {
            const result = await lab.execute({ imageUri });
            assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
            return String(result.output["imageDigest"]);
        }

        async function assertFails(imageUri: string, error: string, cause: RegExp): Promise<void> {
            const result = await lab.execute({ imageUri });
            assert.equal(result.status, "FAILED", JSON.stringify(result));
            assert.equal(result.error, error);
            assert.match(result.cause, cause);
        }

        it("needs both permissions to import an image, and says which one is missing", async () => {
            for (const action of importing) {
                lab.iam.removed.add(permission("ImportImages", action));
                await assertFails(
                    `${registry}/mirror/library/nginx:1.29`,
                    "AccessDenied",
                    new RegExp(action),
                );
                lab.iam.removed.clear();
            }
        });

        it("exports an image that nobody has pulled before, and the second time without importing it", async () => {
            const imageUri = `${registry}/mirror/library/nginx:1.29`;
            lab.iam.used.clear();
            const digest = await digestOf(imageUri);
            assert.deepEqual(
                importing.filter((action) => !lab.iam.used.has(permission("ImportImages", action))),
                [],
            );
            for (const action of importing) lab.iam.removed.add(permission("ImportImages", action));
            assert.equal(await digestOf(imageUri), digest);
            lab.iam.removed.clear();
        });

        it("imports a digest by way of its tag, and not without", async () => {
            const digest = await digestOf(`${registry}/mirror/library/nginx:1.29`);
            const imageUri = `${registry}/docker-hub/library/nginx`;
            await assertFails(`${imageUri}@${digest}`, "ImageNotFound", /nginx/);
            assert.equal(await digestOf(`${imageUri}:1.29@${digest}`), digest);
        });

        it("exports nothing below a prefix that is not named", async () => {
            await assertFails(
                `${registry}/docker-hub/library/redis:8`,
                "InvalidInput",
                /this stack may not read that repository/,
            );
        });
    });
}
