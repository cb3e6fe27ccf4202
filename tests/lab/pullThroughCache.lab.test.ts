import * as assert from "node:assert/strict";

import { permission } from "../../lab/iam";
import type { Lab } from "../../lab/lab";
import { exportImage, failToExport, sharedLab } from "./support/sharedLab";

const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const importing = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"];

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine} through a pull-through cache`, () => {
        let lab: Lab;

        before(async () => {
            lab = await sharedLab(engine);
            await lab.push("public.ecr.aws/library/nginx", "1.29");
        });

        async function digestOf(imageUri: string): Promise<string> {
            return String((await exportImage(lab, { imageUri, force: true }))["imageDigest"]);
        }

        it("needs both permissions to import an image, and says which one is missing", async () => {
            const imageUri = `${registry}/mirror/library/nginx:1.29`;
            for (const action of importing) {
                lab.iam.removed.add(permission("ImportImages", action));
                const { error, cause } = await failToExport(lab, { imageUri });
                assert.equal(error, "AccessDenied");
                assert.match(cause, new RegExp(action));
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
        });

        it("imports a digest by way of its tag, and not without", async () => {
            const digest = await digestOf(`${registry}/mirror/library/nginx:1.29`);
            const imageUri = `${registry}/docker-hub/library/nginx`;
            const { error } = await failToExport(lab, { imageUri: `${imageUri}@${digest}` });
            assert.equal(error, "ImageNotFound");
            assert.equal(await digestOf(`${imageUri}:1.29@${digest}`), digest);
        });
    });
}
