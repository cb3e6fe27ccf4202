import { everyPair, testRaces } from "./support/races";

describe("exports that race for a key", () => {
    testRaces({ versioned: everyPair, unversioned: everyPair.slice(0, 1) }, 3);
});
