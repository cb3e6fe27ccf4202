import * as assert from "node:assert/strict";
import { checkSet } from "./support/checkedSets";

describe("sets of many images", () => {
    it("are the same in any order, good, and what the archives of their images are, 300 times", async function () {
        this.timeout(0); // how long that takes is the machine's affair
        const seeds = Array.from({ length: 300 }, (_, at) => at + 1);
        const sizes: number[] = [];
        const checkOneByOne = async (): Promise<void> => {
            for (let seed = seeds.pop(); seed !== undefined; seed = seeds.pop()) sizes.push(await checkSet(seed));
        };
        await Promise.all(Array.from({ length: 4 }, checkOneByOne));
        assert.ok(Math.min(...sizes) === 1 && Math.max(...sizes) >= 20, `of ${String(sizes)} images`);
    });
});
