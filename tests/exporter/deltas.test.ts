import * as assert from "node:assert/strict";
import { checkDeltas } from "./support/randomDeltas";

describe("deltas", () => {
    it("leave out what the rule lets them, and are merged to what is exported whole, of 14 products", async () => {
        const seen = await checkDeltas(14);
        assert.ok(seen.some(({ whole }) => whole > 0) && seen.some(({ longestChain }) => longestChain > 2));
    });
});
