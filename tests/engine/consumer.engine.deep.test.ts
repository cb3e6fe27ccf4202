/** examples/consumer beside a deployed stack, by a real StackReference. */
import { strict as assert } from "node:assert";

import { loadOtherProgram } from "../support/otherProgram";
import { Engine } from "./engineStack";
import { createStack, succeeded } from "./stackLife";

describe("examples/consumer", () => {
    let engine: Engine;
    before(async () => {
        engine = await Engine.start();
        succeeded(await (await createStack(engine, "dev")).up(), "up dev");
    });
    after(() => engine.stop());

    /** Makes a stack of the consumer that reads another. */
    function consume(name: string, exportStack: string) {
        const program = async () => await loadOtherProgram("examples/consumer");
        const configuration = { "aws:region": "ap-northeast-1", "ecr-image-export-consumer:exportStack": exportStack };
        return engine.createStack(name, "examples/consumer", program, configuration);
    }

    it("is deployed, stays as it is, and is destroyed", async () => {
        const consumer = await consume("prod", "organization/ecr-image-export/dev");
        succeeded(await consumer.up(), "up consumer");
        assert.deepEqual(succeeded(await consumer.up(), "up consumer again").steps, []);
        const { archives } = (await consumer.outputs()) as { archives: { prefix: string } };
        assert.equal(archives.prefix, "images/");
        assert.match(JSON.stringify(await consumer.resources()), /states:StartExecution/);
        succeeded(await consumer.destroy(), "destroy consumer");
    });

    it("says in one message what is wrong with a stack that is another's", async () => {
        succeeded(await (await consume("other", "organization/ecr-image-export/dev")).up(), "up consumer");
        const wrong = await (await consume("wrong", "organization/ecr-image-export-consumer/other")).up();
        assert.equal(wrong.succeeded, false);
        const errors = wrong.errors.filter((message) => !/^preview failed$/i.test(message));
        assert.equal(errors.length, 1, errors.join("\n---\n"));
        assert.match(
            errors[0] ?? "",
            /^The configuration value exportStack is "organization\/ecr-image-export-consumer\/other"\. These are not the outputs/,
        );
        assert.doesNotMatch(errors[0] ?? "", /\n\s+at /);
    });
});
