import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";

import { checkSize, expression, literal, matches, regex, sizeBytes } from "../../stateMachines/language";

const pass = { Type: "Pass", End: true } as const;

describe("the parts of a definition", () => {
    it("write expressions on one line", () => {
        assert.equal(expression("\n  (\n      $x;\n      'a  b'\n  )\n"), "{% ( $x; 'a  b' ) %}");
        assert.equal(literal('a "b"\\'), '"a \\"b\\"\\\\"');
    });

    it("escape slashes in regular expressions once", () => {
        assert.equal(regex("[^/]+/a\\/b"), "/[^\\/]+\\/a\\/b/");
        assert.equal(matches("$x", "a|b"), "$match($x, /^(?:a|b)$/)[0].match = $x");
    });

    it("measure what JSON has bytes of, and allow for what is not known yet", () => {
        for (const value of [null, 1, "é\n", [], ["a", { b: [1] }], { a: undefined }]) {
            const bytes = Buffer.byteLength(JSON.stringify(value));
            assert(
                sizeBytes(value) >= bytes && sizeBytes(value) <= bytes + 12,
                `${JSON.stringify(value)}: ${sizeBytes(value)}`,
            );
        }
        assert.equal(sizeBytes(pulumi.output("x")), 2048);
    });

    it("refuse a definition that Step Functions would refuse, with what to do", () => {
        const states = (count: number) =>
            Object.fromEntries(
                Array.from({ length: count }, (_, index) => [`s${index}`, { ...pass, Comment: "x".repeat(1000) }]),
            );
        const machine = (count: number) => ({ StartAt: "s0", States: states(count) });
        assert.equal(checkSize("test", machine(900), "x").StartAt, "s0");
        assert.throws(
            () => checkSize("test", machine(1100), "write less"),
            /^Error: The definition of the test state machine has \d+ bytes, and Step Functions takes 1048576: write less\.$/,
        );
    });

    it("refuse a state that assigns more than it may, with room for a request", () => {
        const machine = (bytes: number) => ({
            StartAt: "A",
            States: { A: { ...pass, Assign: { v: "x".repeat(bytes) } } },
        });
        checkSize("test", machine(220_000), "x");
        assert.throws(
            () => checkSize("test", machine(230_000), "x"),
            /What the state "A" assigns of the test state machine has 230\d+ bytes/,
        );
    });
});
