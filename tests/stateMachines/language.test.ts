import { strict as assert } from "node:assert";

import { expression, literal, matches, regex } from "../../stateMachines/language";

describe("the parts of a definition", () => {
    it("write expressions on one line", () => {
        assert.equal(expression("\n  (\n      $x;\n      'a  b'\n  )\n"), "{% ( $x; 'a  b' ) %}");
        assert.equal(literal('a "b"\\'), '"a \\"b\\"\\\\"');
    });

    it("escape slashes in regular expressions once", () => {
        assert.equal(regex("[^/]+/a\\/b"), "/[^\\/]+\\/a\\/b/");
        assert.equal(matches("$x", "a|b"), "$match($x, /^(?:a|b)$/)[0].match = $x");
    });
});
