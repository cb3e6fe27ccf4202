import * as assert from "node:assert/strict";
import { exportWithFaults } from "./support/faultyExports";

describe("faults in random places, by the thousand", () => {
    it("end in a good archive or in a named error with no record and no broken archive, 2,000 times", async function () {
        this.timeout(0); // how long that takes is the machine's affair
        const seeds = Array.from({ length: 2000 }, (_, at) => at + 17);
        const outcomes = await exportWithFaults(seeds, 8);
        // Both ends have to be seen, or the faults are not what they are meant to be.
        const done = outcomes.get("done") ?? 0;
        const what = JSON.stringify([...outcomes]);
        assert.ok(done >= 0.4 * seeds.length && done <= 0.95 * seeds.length, what);
        assert.ok(outcomes.size >= 4, what);
    });
});
