import { strict as assert } from "node:assert";

import { reports } from "./reports";
import { type Bench, openBench } from "./support/bench";

describe("what people have reported elsewhere", () => {
    let bench: Bench;
    beforeEach(async () => {
        bench = await openBench();
    });
    afterEach(() => bench.close());

    for (const { report, input, result, attempt } of reports) {
        it(`${report}, ${input}, is ${typeof result === "string" ? result : result[0]}`, async () => {
            const tried = Promise.resolve().then(() => attempt(bench));
            if (typeof result === "string") {
                await tried;
                return;
            }
            const [name, says] = result;
            await assert.rejects(tried, (error: Error) => {
                assert.equal(error.name, name, error.message);
                assert.ok(error.message.includes(says), error.message);
                return true;
            });
        });
    }
});
