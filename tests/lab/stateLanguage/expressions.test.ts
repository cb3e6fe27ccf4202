/**
 * What expressions give, and how they fail. The right column is what Step Functions answers: as its documentation says, or as
 * was measured with TestState (floci-io/floci issues 2665, 2736, 2737, 2745).
 */
import { strict as assert } from "node:assert";

import { checkExpression, evaluate as evaluatePayload, type Scope } from "../../../lab/stateLanguage/expressions";
import { DefinitionError, StateError } from "../../../lab/stateLanguage/host";

const scope: Scope = { parts: ["input", "context"], variables: new Set(["x", "list"]) };
const input = {
    a: 1,
    text: "Ab",
    none: null,
    empty: [],
    one: ["x"],
    nested: { "b-c": [1, 2, 3] },
    many: [{ n: 1 }, { n: 2 }],
};
const values = { states: { input, context: { Execution: { Id: "arn" } } }, variables: { x: "value", list: [3, 1, 2] } };

function evaluate(source: string): Promise<unknown> {
    return evaluatePayload(`{% ${source} %}`, "Output/v", values);
}

const answers: readonly (readonly [source: string, value: unknown])[] = [
    ["1 + 1", 2],
    ["$states.input.a", 1],
    ["$x & '!'", "value!"],
    ["$states.input.none", null],
    ["$states.input.empty", []],
    ["$states.input.one", ["x"]],
    ["[$states.input.many.n]", [1, 2]],
    ["$states.input.many[n = 2].n", 2],
    ["[$states.input.many[n = 2].n]", [2]],
    ["$states.input.nested.`b-c`[-1]", 3],
    ["$states.context.Execution.Id", "arn"],
    ["$exists($states.input.nothing)", false],
    ["$states.input.nothing = 1", false],
    ["$type($states.input.empty)", "array"],
    ["$merge([{'a': 1}, {'b': 2}])", { a: 1, b: 2 }],
    ["$map($list, function($v) { $v * 2 })", [6, 2, 4]],
    ["$sort($list)", [1, 2, 3]],
    ["$list ~> $sum", 6],
    ["( $f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(5) )", 120],
    ["$match('ab', /a(b)((?:c)?)/)[0].groups", ["b", ""]],
    ["$replace('a/b', /\\//, '-')", "a-b"],
    ["$string({'a': [1, null]})", '{"a":[1,null]}'],
    ["$number('1e3')", 1000],
    ["$parse('{\"a\": [1]}')", { a: [1] }],
    ["$parse('\"x\"')", "x"],
    ["$hash('', 'SHA-256')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["$length('😀')", 1],
    ["$substring('😀x', 1)", "x"],
    ["$encodeUrlComponent('製')", "%E8%A3%BD"],
];

const failing: readonly (readonly [source: string, cause: RegExp])[] = [
    [
        "$states.input.nothing",
        /^The JSONata expression '\$states\.input\.nothing' specified for the field 'Output\/v' returned nothing \(undefined\)\.$/,
    ],
    ["$states.input.nothing.more", /returned nothing/],
    ["$states.input.nothing > 1", /returned nothing/],
    ["$states.input.many[n = 3]", /returned nothing/],
    ["$match('a', /b/)", /returned nothing/],
    ["$sift({'a': 1}, function($v) { $v > 1 })", /returned nothing/],
    ["$states.input.text > 1", /threw an error during evaluation\. T2009/],
    ["$states.input.text + 1", /T2001/],
    ["$number('x')", /D3030/],
    ["$error('no')", /D3137: no/],
    ["$parse('{')", /threw an error/],
    ["$hash('x', 'MD5')", /does not know MD5/],
    [`$hash($pad('', 10001, 'x'), 'SHA-256')`, /at most 10000 characters/],
    ["function($v) { $v }", /is not JSON/],
    ["$encodeUrlComponent('\\ud800')", /D3140/],
    [Array.from({ length: 200 }, () => "1").join(" + "), /D1011/],
    ["( $f := function($n) { 1 + $f($n) }; $f(1) )", /D1011/],
    ["( $s := $pad('', 1000000, 'x'); [$s, $s, $s, $s, $s, $s, $s, $s] )", /more than 7340032 bytes/],
];

const refused: readonly (readonly [source: string, words: RegExp])[] = [
    ["1 +", /cannot be parsed/],
    ["'open", /cannot be parsed/],
    ["$eval('1')", /has no \$eval/],
    ["$unknown", /no state assigns \$unknown/],
    ["$unknown(1)", /no function is called so/],
    ["$uuid()", /no function is called so/],
    ["a", /"a" has no context/],
    ["a.b", /has no context/],
    ["*", /has no context/],
    ["$", /"\$" is refused at the top level/],
    ["$$", /"\$\$" is refused at the top level/],
    ["$$.a", /is refused at the top level/],
    ["$states.input.many.($$)", /is refused/],
    ["$states", /has to be read by its parts/],
    ["$states.result", /\$states\.result cannot be read here; expected one of input, context/],
    ["$states.errorOutput.Error", /cannot be read here/],
    ["$states.inputs", /cannot be read here/],
    ["$states.*", /cannot be read here/],
    ["$match('a', /(?=a)/)", /looks around/],
    ["$match('a', /(?<!b)a/)", /looks around/],
    ["$match('a', /(?<n>a)/)", /names a group/],
    ["$match('aa', /(a)\\1/)", /refers back/],
    ["$match('a', /a/m)", /a flag other than i/],
];

describe("an expression of the states language", () => {
    for (const [source, value] of answers) {
        it(`${source} gives ${JSON.stringify(value)}`, async () => {
            assert.deepEqual(await evaluate(source), value);
        });
    }
    for (const [source, cause] of failing) {
        it(`${source.slice(0, 60)} fails as on AWS`, async () => {
            await assert.rejects(evaluate(source), (error) => {
                assert(error instanceof StateError);
                assert.equal(error.error, "States.QueryEvaluationError");
                assert.match(error.reason ?? "", cause);
                return true;
            });
        });
    }
    for (const [source, words] of refused) {
        it(`${source} is refused before anything runs`, () => {
            assert.throws(
                () => {
                    checkExpression(`{% ${source} %}`, "Output", scope);
                },
                (error) => {
                    assert(error instanceof DefinitionError);
                    assert.match(error.message, words);
                    return true;
                },
            );
        });
    }

    it("stands for a whole string; every other one is what it is", async () => {
        const payload = { a: ["{% $states.input.a %}", "{% not", "x {% 1 %}"], n: null, deep: { b: "{% $x %}" } };
        const expected = { a: [1, "{% not", "x {% 1 %}"], n: null, deep: { b: "value" } };
        assert.deepEqual(await evaluatePayload(payload, "Output", values), expected);
    });

    it("is named by its field where it fails", async () => {
        const payload = { list: [1, { v: "{% $states.input.nothing %}" }] };
        await assert.rejects(evaluatePayload(payload, "Assign", values), /'Assign\/list\[1\]\/v'/);
    });

    it("counts its depth by itself while others are evaluated", async () => {
        const chain = Array.from({ length: 60 }, () => "1").join(" + ");
        assert.deepEqual(await Promise.all([1, 2, 3].map(() => evaluate(chain))), [60, 60, 60]);
    });
});
