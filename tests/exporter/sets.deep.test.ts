import * as assert from "node:assert/strict";
import { checkSet } from "./support/checkedSets";

describe("sets of many images", () => {
    it("are the same in any order, good, and what the archives of their images are, 300 times", async function () {
        this.timeout(0); // how long that takes is the machine's affair
        const sizes: number[] = [];
        for (let seed = 1; seed <= 300; seed++) sizes.push(await checkSet(seed));
        assert.ok(Math.min(...sizes) === 1 && Math.max(...sizes) >= 20, `of ${String(sizes)} images`);
    });
});
