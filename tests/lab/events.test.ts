import { strict as assert } from "node:assert";

import { compilePattern, type Event, EventBridge, transform } from "../../lab/events";
import { at } from "../../lab/awsTypes";
import { Executions } from "../../lab/executions";
import type { ExecutionResult } from "../../lab/executions";

const event: Event = {
    id: "13cde686-328b-6117-af20-0e5566167482",
    source: "aws.ecr",
    "detail-type": "ECR Image Action",
    account: "111122223333",
    region: "ap-northeast-1",
    time: "2026-11-16T01:54:34Z",
    resources: ["one", "two"],
    detail: { result: "SUCCESS", "image-tag": "v1.2", size: 1, nested: { text: 'a "quote"' } },
};

describe("lab: event patterns", () => {
    const verdicts: [string, object, boolean][] = [
        ["an exact value", { source: ["aws.ecr"] }, true],
        ["another value", { source: ["aws.s3"] }, false],
        ["one of several values", { source: ["aws.s3", "aws.ecr"] }, true],
        ["no value at all", { source: [] }, false],
        ["a number, which is no text", { detail: { size: ["1"] } }, false],
        ["a number", { detail: { size: [1] } }, true],
        ["one element of an array", { resources: ["two"] }, true],
        ["all fields but one", { source: ["aws.ecr"], detail: { result: ["FAILURE"] } }, false],
        ["a field that is missing", { detail: { "action-type": ["PUSH"] } }, false],
        ["a missing field against any text", { detail: { "action-type": [{ wildcard: "*" }] } }, false],
        ["what is nested where nothing is", { detail: { result: { code: [0] } } }, false],
        ["a prefix", { detail: { "image-tag": [{ prefix: "v1" }] } }, true],
        ["another prefix", { detail: { "image-tag": [{ prefix: "v2" }] } }, false],
        ["a wildcard", { detail: { "image-tag": [{ wildcard: "v*" }] } }, true],
        ["a wildcard for nothing", { detail: { "image-tag": [{ wildcard: "v1.2*" }] } }, true],
        ["a wildcard with another beginning", { detail: { "image-tag": [{ wildcard: "*1" }] } }, false],
        ["a dot, which is a dot", { detail: { "image-tag": [{ wildcard: "v1?2*" }, "v1x2"] } }, false],
        ["a star that stands for itself", { detail: { "image-tag": [{ wildcard: "v\\*" }] } }, false],
        ["a text that begins otherwise", { detail: { result: [{ "anything-but": { prefix: "FAIL" } }] } }, true],
        ["a text that begins so", { detail: { result: [{ "anything-but": { prefix: "SUCC" } }] } }, false],
        ["a missing field that does not begin so", { detail: { x: [{ "anything-but": { prefix: "a" } }] } }, false],
    ];
    for (const [what, pattern, matches] of verdicts) {
        it(`${matches ? "match" : "do not match"}: ${what}`, () => {
            assert.equal(compilePattern(pattern as Record<string, unknown>)(event), matches);
        });
    }

    const refused: [object, RegExp][] = [
        [{ source: [{ suffix: "ecr" }] }, /source has \{"suffix":"ecr"\}: the lab knows/],
        [{ detail: { result: [{ "anything-but": "FAILURE" }] } }, /detail\.result has \{"anything-but":"FAILURE"\}/],
        [
            { detail: { result: [{ "anything-but": { suffix: "E" } }] } },
            /result has \{"anything-but":\{"suffix":"E"\}\}/,
        ],
        [{ $or: [{ source: ["aws.ecr"] }] }, /pattern's \$or has/],
        [{ source: [{ wildcard: "a*", exists: true }] }, /has \{"wildcard":"a\*","exists":true\}/],
        [{ source: [{}] }, /has \{\}/],
        [{ source: "aws.ecr" }, /source has "aws\.ecr": the lab knows arrays/],
        [{ source: [{ wildcard: "a**" }] }, /no two stars in a row/],
        [{ source: [{ wildcard: "a\\b" }] }, /a backslash only before/],
    ];
    for (const [pattern, message] of refused) {
        it(`are refused when the rule is made: ${JSON.stringify(pattern)}`, () => {
            const bridge = new EventBridge(at);
            assert.throws(() => {
                bridge.putRule("rule", JSON.stringify(pattern));
            }, message);
        });
    }
});

describe("lab: input transformers", () => {
    const inputPaths = {
        tag: "$.detail.image-tag",
        size: "$.detail.size",
        nested: "$.detail.nested",
        quote: "$.detail.nested.text",
        nothing: "$.detail.nested.nothing",
        list: "$.resources[0]",
    };
    const made: [string, unknown][] = [
        ['{"a":"<tag> of <size>"}', { a: "v1.2 of 1" }],
        ['{"a":<tag>,"b":<size>,"c":<nested>}', { a: "v1.2", b: 1, c: { text: 'a "quote"' } }],
        ['{"a":<quote>}', { a: 'a "quote"' }],
        ['{"a":"<nothing>"}', { a: "" }],
        ['{"a":"\\"<tag>\\""}', { a: '"v1.2"' }],
        ['{"a":<aws.events.event.json>}', { a: event }],
        ['"<tag> was pushed"', "v1.2 was pushed"],
    ];
    for (const [inputTemplate, input] of made) {
        it(`make an input of ${inputTemplate}`, () => {
            assert.deepEqual(transform({ inputPaths, inputTemplate }, event), input);
        });
    }

    const refused: [string, RegExp][] = [
        // EventBridge escapes nothing within quotes.
        ['{"a":"<quote>"}', /in JSON at position 9/],
        ['{"a":<nothing>}', /not valid JSON/],
        ['{"a":"<other>"}', /has <other>, whose path is undefined/],
        ['{"a":"<list>"}', /has <list>, whose path is \$\.resources\[0\]/],
    ];
    for (const [inputTemplate, message] of refused) {
        it(`fail with ${inputTemplate}`, () => {
            assert.throws(() => transform({ inputPaths, inputTemplate }, event), message);
        });
    }

    it("are the only way to make a target's input", () => {
        const bridge = new EventBridge(at);
        const target = { rule: "rule", arn: "arn", roleArn: "arn", inputPath: "$.detail" };
        assert.throws(() => {
            bridge.putTarget(target);
        }, /what inputPath of a rule's target does/);
    });
});

describe("lab: names of executions", () => {
    const machine = "arn:aws:states:ap-northeast-1:111122223333:stateMachine:m";
    const succeeded: ExecutionResult = { status: "SUCCEEDED", output: {} };

    it("let the same execution be started again while it runs, and no other", async () => {
        const executions = new Executions(async (execution) => {
            await Promise.resolve();
            execution.end(succeeded);
            return succeeded;
        });
        const start = (input: unknown) => executions.start(machine, input, "n");
        const first = start({ a: 1 });
        assert.equal(first.arn, "arn:aws:states:ap-northeast-1:111122223333:execution:m:n");
        assert.equal(start({ a: 1 }), first);
        assert.throws(() => start({ a: 2 }), /Execution Already Exists: 'n'/);
        await first.result;
        assert.throws(() => start({ a: 1 }), /Execution Already Exists: 'n'/);
        assert.equal(executions.byArn.size, 1);
    });
});
