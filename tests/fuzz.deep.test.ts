import { describeBorders } from "./fuzz";

describe("what comes from outside, at length", () => {
    describeBorders(10_000);
});
