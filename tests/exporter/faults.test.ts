import * as assert from "node:assert/strict";
import { exportWithFaults } from "./support/faultyExports";

describe("faults in random places", () => {
    it("end in a good archive or in a named error with no record and no broken archive", async () => {
        const seeds = Array.from({ length: 16 }, (_, at) => at + 1);
        const outcomes = await exportWithFaults(seeds, 4);
        // Both ends have to be seen, or the faults are not what they are meant to be.
        const done = outcomes.get("done") ?? 0;
        assert.ok(done >= 6 && done <= 15 && outcomes.size >= 2, JSON.stringify([...outcomes]));
    });
});
