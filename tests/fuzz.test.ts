import { describeBorders } from "./fuzz";

describe("what comes from outside", () => {
    describeBorders(200);
});
