import { everyPair, testRaces } from "./support/races";

describe("every export that races for a key", () => {
    testRaces({ versioned: everyPair, unversioned: everyPair }, 100);
});
