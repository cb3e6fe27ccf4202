/** bootstrap/ on Pulumi's own engine: both of its stacks, in one account. Pulumi Cloud, where it keeps settings, is a record in memory. */
import { strict as assert } from "node:assert";

import { stackFile } from "../../lab/stackFiles";
import { loadOtherProgram } from "../support/otherProgram";
import { type Changes, Engine, type EngineStack } from "./engineStack";
import { succeeded } from "./stackLife";

describe("bootstrap/", () => {
    let engine: Engine;
    let dev: EngineStack;
    before(async () => {
        engine = await Engine.start();
        dev = await createBootstrap("dev");
    });
    after(() => engine.stop());

    function createBootstrap(name: string, changes: Changes = {}): Promise<EngineStack> {
        const program = async () => await loadOtherProgram("bootstrap");
        return engine.createStack(name, "bootstrap", program, { ...stackFile(name, "bootstrap"), ...changes });
    }

    it("is deployed", async () => {
        const { steps } = succeeded(await dev.up(), "up bootstrap dev");
        assert.deepEqual([...new Set(steps.map(({ op }) => op))], ["create"]);
        const { permissionsBoundary } = await dev.outputs();
        assert.deepEqual(await engine.aws.idsOf("aws:iam/policy:Policy"), [permissionsBoundary]);
        assert.deepEqual(await engine.aws.idsOf("pulumiservice:index:DeploymentSettings"), [
            "organization/ecr-image-export/dev",
        ]);
        for (const [name, { policies }] of engine.aws.account.iam.roles) {
            assert.equal(policies.length, name.includes("preview") ? 1 : 2, name);
        }
    });

    it("stays as it is", async () => {
        assert.deepEqual(succeeded(await dev.up(), "up bootstrap dev again").steps, []);
        assert.deepEqual(succeeded(await dev.refresh(), "refresh bootstrap dev").steps, []);
    });

    it("is deployed beside another stack's, with the providers of that one, and destroyed without them", async () => {
        const before = await engine.aws.contents();
        const type = "aws:iam/openIdConnectProvider:OpenIdConnectProvider";
        const existingProviders = (await engine.aws.idsOf(type)).map((arn) => arn.split("oidc-provider/")[1]);
        assert.equal(existingProviders.length, 2);
        const prod = await createBootstrap("prod", {
            "ecr-image-export-bootstrap:existingProviders": existingProviders,
        });
        succeeded(await prod.up(), "up bootstrap prod");
        succeeded(await prod.destroy(), "destroy bootstrap prod");
        assert.deepEqual(await engine.aws.contents(), before);
    });

    it("is destroyed", async () => {
        succeeded(await dev.destroy(), "destroy bootstrap dev");
        assert.deepEqual(await engine.aws.contents(), []);
    });
});
