import * as assert from "node:assert/strict";
import { exportWithFaults } from "./support/faultyExports";

describe("faults in random places", () => {
    const outcomes = new Map<string, number>();
    for (let first = 1; first <= 24; first += 2) {
        it(`end in a good archive or in a named error with no record and no broken archive: seed ${first} and its next`, async () => {
            for (const [outcome, count] of await exportWithFaults([first, first + 1], 2)) {
                outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
            }
        });
    }

    it("end in either way, or the faults are not what they are meant to be", () => {
        const done = outcomes.get("done") ?? 0;
        assert.ok(done >= 10 && done <= 22 && outcomes.size >= 3, JSON.stringify([...outcomes]));
    });
});
