import { strict as assert } from "node:assert";

import { creators } from "../../lab/creators";
import { holders } from "./awsAccount";

describe("the account of the engine's tests", () => {
    it("finds, changes and deletes whatever the lab creates", () => {
        assert.deepEqual(Object.keys(holders).sort(), Object.keys(creators).sort());
    });
});
