import * as assert from "node:assert/strict";
import { checkDeltas } from "./support/randomDeltas";

describe("deltas of many products", () => {
    it("leave out what the rule lets them, and are merged to what is exported whole, of 200 products", async function () {
        this.timeout(0); // how long that takes is the machine's affair
        const seen = await checkDeltas(200);
        const deltas = seen.reduce((sum, each) => sum + each.deltas, 0);
        assert.ok(deltas >= 200 && seen.some(({ longestChain }) => longestChain === 5), `${deltas} deltas`);
    });
});
