/** What states do, and what definitions are refused: as Step Functions does it, by its documentation. */
import { strict as assert } from "node:assert";

import { type Outcome, storyLine } from "../../../lab/stateLanguage/host";
import { readMachine } from "../../../lab/stateLanguage/machine";
import type { StateMachineDefinition } from "../../../stateMachines/language";
import { awsError, type Ended, execute, fails, type Given, type Services } from "../../support/execution";

type States = Readonly<Record<string, object>>;

const call = { Type: "Task", Resource: "arn:aws:states:::test:call", Arguments: {} };
const done = { Type: "Succeed" };
const see = (...names: string[]): object => ({
    Type: "Succeed",
    Output: Object.fromEntries(names.map((name) => [name, `{% $${name} %}`])),
});

function machine(states: States): StateMachineDefinition {
    return {
        Comment: "",
        QueryLanguage: "JSONata",
        StartAt: Object.keys(states)[0] ?? "",
        States: states,
    } as StateMachineDefinition;
}

function run(states: States, input: unknown = {}, services: Services = {}, given: Given = {}): Promise<Ended> {
    return execute(machine(states), input, services, given);
}

function outputOf({ outcome }: { readonly outcome: Outcome }): unknown {
    assert(outcome.status === "SUCCEEDED", JSON.stringify(outcome));
    return outcome.output;
}

function errorOf({ outcome }: { readonly outcome: Outcome }): string {
    assert(outcome.status === "FAILED", JSON.stringify(outcome));
    return outcome.error;
}

/** A service that fails so many times, then gives its parameters. */
function failsFirst(times: number, error: string): Services {
    let calls = 0;
    return {
        "test:call": (parameters) => {
            if (++calls <= times) throw awsError(error, "why");
            return parameters;
        },
    };
}

describe("the interpreter of the states language", () => {
    it("hands on the input of a Pass, or its output", async () => {
        assert.deepEqual(outputOf(await run({ A: { Type: "Pass", End: true } }, [1])), [1]);
        assert.deepEqual(
            outputOf(await run({ A: { Type: "Pass", Output: { v: "{% $states.input[0] %}" }, End: true } }, [1])),
            { v: 1 },
        );
    });

    it("assigns with the values from before the state, which its output sees, too", async () => {
        const states = {
            A: { Type: "Pass", Assign: { x: 1, y: 1 }, Next: "B" },
            B: { Type: "Pass", Assign: { x: 2, y: "{% $x + 10 %}" }, Output: "{% $x %}", Next: "C" },
            C: { Type: "Succeed", Output: { before: "{% $states.input %}", x: "{% $x %}", y: "{% $y %}" } },
        };
        assert.deepEqual(outputOf(await run(states)), { before: 1, x: 2, y: 11 });
    });

    it("fails where a variable is read that no state has assigned yet", async () => {
        const states = {
            A: { Type: "Choice", Choices: [{ Condition: "{% $states.input.skip %}", Next: "C" }], Default: "B" },
            B: { Type: "Pass", Assign: { x: 1 }, Next: "C" },
            C: see("x"),
        };
        assert.deepEqual(outputOf(await run(states, { skip: false })), { x: 1 });
        assert.equal(errorOf(await run(states, { skip: true })), "States.QueryEvaluationError");
    });

    it("goes where the first condition leads, with what that rule assigns", async () => {
        const rule = (value: number) => ({
            Condition: `{% $states.input >= ${value} %}`,
            Assign: { x: value },
            Output: value,
            Next: "B",
        });
        const states = {
            A: { Type: "Choice", Choices: [rule(2), rule(1)], Assign: { x: 0 }, Output: 0, Default: "B" },
            B: { Type: "Succeed", Output: ["{% $x %}", "{% $states.input %}"] },
        };
        for (const value of [0, 1, 2]) assert.deepEqual(outputOf(await run(states, value)), [value, value]);
        assert.equal(
            errorOf(
                await run(
                    {
                        A: { Type: "Choice", Choices: [{ Condition: "{% $states.input %}", Next: "B" }], Default: "B" },
                        B: done,
                    },
                    1,
                ),
            ),
            "States.QueryEvaluationError",
        );
    });

    it("fails as a Fail state says", async () => {
        const states = { A: { Type: "Fail", Error: "{% $states.input.e %}", Cause: "no" } };
        assert.deepEqual((await run(states, { e: "E" })).outcome, { status: "FAILED", error: "E", cause: "no" });
        for (const e of [1, null]) assert.equal(errorOf(await run(states, { e })), "States.QueryEvaluationError");
    });

    it("gives the result of a task, which only its output and its variables see", async () => {
        const services = { "test:call": () => ({ r: 5 }) };
        assert.deepEqual(outputOf(await run({ A: { ...call, End: true } }, {}, services)), { r: 5 });
        const states = {
            A: { ...call, Assign: { x: "{% $states.result.r %}" }, Output: "{% $states.input %}", Next: "B" },
            B: { Type: "Succeed", Output: ["{% $x %}", "{% $states.input %}"] },
        };
        assert.deepEqual(outputOf(await run(states, "in", services)), [5, "in"]);
    });

    it("catches an error by its name, with what the Catch sees", async () => {
        const states = {
            A: {
                ...call,
                Catch: [
                    { ErrorEquals: ["Other"], Next: "C" },
                    {
                        ErrorEquals: ["States.ALL"],
                        Assign: { e: "{% $states.errorOutput %}" },
                        Output: "{% $states.input %}",
                        Next: "B",
                    },
                ],
                Next: "C",
            },
            B: { Type: "Succeed", Output: { e: "{% $e %}", input: "{% $states.input %}" } },
            C: done,
        };
        assert.deepEqual(outputOf(await run(states, 1, { "test:call": fails("E", "why") })), {
            e: { Error: "E", Cause: "why" },
            input: 1,
        });
        assert.deepEqual(outputOf(await run(states, 1, { "test:call": fails("E") })), { e: { Error: "E" }, input: 1 });
        assert.deepEqual(outputOf(await run(states, 1, { "test:call": fails("Other", "x") })), {
            Error: "Other",
            Cause: "x",
        });
    });

    const caught: readonly (readonly [error: string, names: string[], isCaught: boolean])[] = [
        ["X", ["States.ALL"], true],
        ["X", ["States.TaskFailed"], true],
        ["X", ["X"], true],
        ["X", ["Y"], false],
        ["States.Timeout", ["States.ALL"], true],
        ["States.Timeout", ["States.TaskFailed"], false],
        ["States.QueryEvaluationError", ["States.ALL"], true],
        ["States.DataLimitExceeded", ["States.ALL"], false],
        ["States.DataLimitExceeded", ["States.TaskFailed"], false],
        ["States.DataLimitExceeded", ["States.DataLimitExceeded"], true],
        ["States.Runtime", ["States.ALL"], false],
    ];
    for (const [error, names, isCaught] of caught) {
        it(`${isCaught ? "catches" : "does not catch"} ${error} by ${names.join()}`, async () => {
            const { outcome } = await run(
                { A: { ...call, Catch: [{ ErrorEquals: names, Next: "B" }], End: true }, B: done },
                {},
                { "test:call": fails(error, "x") },
            );
            assert.equal(outcome.status, isCaught ? "SUCCEEDED" : "FAILED");
        });
    }

    it("catches what a task's own expressions fail with, and nothing that a Catch fails with", async () => {
        const bad = "{% $states.input.nothing %}";
        const caughtBy = (Catch: object): States => ({
            A: {
                ...call,
                Arguments: { v: bad },
                Catch: [{ ErrorEquals: ["States.ALL"], Next: "B", ...Catch }],
                Next: "B",
            },
            B: done,
        });
        assert.match(JSON.stringify(outputOf(await run(caughtBy({})))), /Arguments\/v/);
        const ended = await run(caughtBy({ Assign: { x: bad } }));
        assert.match(JSON.stringify(ended.outcome), /Catch\[0\]\/Assign\/x/);
        assert.equal(errorOf(ended), "States.QueryEvaluationError");
        assert.equal(
            errorOf(await run({ A: { Type: "Pass", Output: bad, End: true } })),
            "States.QueryEvaluationError",
        );
    });

    it("tries again by the first Retry that names the error, each with its own count", async () => {
        const Retry = [
            { ErrorEquals: ["X"], IntervalSeconds: 3, BackoffRate: 2, MaxAttempts: 4, MaxDelaySeconds: 10 },
            { ErrorEquals: ["States.ALL"], MaxAttempts: 1 },
        ];
        const states = { A: { ...call, Arguments: { n: 4 }, Retry, End: true } };
        const ended = await run(states, {}, failsFirst(4, "X"));
        assert.deepEqual([outputOf(ended), ended.waits], [{ n: 4 }, [3, 6, 10, 10]]);
        assert.equal(errorOf(await run(states, {}, failsFirst(5, "X"))), "X");
        assert.deepEqual((await run(states, {}, failsFirst(2, "Y"))).waits, [1]);
        const never = {
            A: { ...call, Retry: [{ ErrorEquals: ["X"], MaxAttempts: 0 }, { ErrorEquals: ["States.ALL"] }], End: true },
        };
        assert.deepEqual((await run(never, {}, failsFirst(1, "X"))).waits, []);
        assert.deepEqual((await run(never, {}, failsFirst(3, "Y"))).waits, [1, 2, 4], "the defaults");
    });

    it("waits a random part of the time with jitter, without sleeping", async () => {
        const Retry = [{ ErrorEquals: ["States.ALL"], IntervalSeconds: 100, JitterStrategy: "FULL" }];
        const { waits } = await run({ A: { ...call, Retry, End: true } }, {}, failsFirst(2, "X"), {
            clock: { random: () => 0.25 },
        });
        assert.deepEqual(waits, [25, 50]);
    });

    it("times a task out", async () => {
        const states = {
            A: { ...call, TimeoutSeconds: 5, Catch: [{ ErrorEquals: ["States.Timeout"], Next: "B" }], End: true },
            B: done,
        };
        const never = { "test:call": () => new Promise(() => undefined) };
        assert.deepEqual(outputOf(await run(states, {}, never, { clock: { timeout: () => Promise.resolve() } })), {
            Error: "States.Timeout",
        });
    });

    const large = "x".repeat(200_000);
    const limits: readonly (readonly [what: string, states: States, input: unknown])[] = [
        ["an input", { A: done }, large + large],
        ["an output", { A: { Type: "Succeed", Output: "{% [$states.input, $states.input] %}" } }, large],
        [
            "all that a state assigns",
            { A: { Type: "Pass", Assign: { x: "{% $states.input %}", y: "{% $states.input %}" }, End: true } },
            large,
        ],
        [
            "the arguments of a task",
            { A: { ...call, Arguments: "{% {'a': $states.input, 'b': $states.input} %}", End: true } },
            large,
        ],
    ];
    for (const [what, states, input] of limits) {
        it(`ends where ${what} is larger than 256 KiB, counted in bytes`, async () => {
            const services = { "test:call": (parameters: unknown) => parameters };
            assert.equal(errorOf(await run(states, input, services)), "States.DataLimitExceeded");
            assert.equal((await run(states, "x", services)).outcome.status, "SUCCEEDED");
            assert.equal(
                errorOf(await run(states, "製".repeat(90_000) + (what === "an input" ? "" : ""), services)),
                "States.DataLimitExceeded",
            );
        });
    }

    it("ends where all variables are larger than 10 MiB", async () => {
        const names = Array.from({ length: 60 }, (_, index) => `v${index}`);
        const states = Object.fromEntries(
            names.map((name, index) => [
                name,
                { Type: "Pass", Assign: { [name]: "{% $states.input %}" }, Next: names[index + 1] ?? "end" },
            ]),
        );
        assert.equal(errorOf(await run({ ...states, end: done }, large)), "States.DataLimitExceeded");
    });

    it("is aborted, also while it waits", async () => {
        const stop = new AbortController();
        const wait = () => {
            stop.abort();
            return Promise.resolve();
        };
        const { outcome } = await run(
            { A: { ...call, Retry: [{ ErrorEquals: ["States.ALL"] }], Next: "B" }, B: { ...call, End: true } },
            {},
            failsFirst(1, "X"),
            { signal: stop.signal, clock: { wait } },
        );
        assert.deepEqual(outcome, { status: "ABORTED" });
    });

    it("tells its history, which reads as a story", async () => {
        const states = {
            A: {
                ...call,
                Retry: [{ ErrorEquals: ["X"], MaxAttempts: 1 }],
                Catch: [{ ErrorEquals: ["X"], Next: "B" }],
                End: true,
            },
            B: { Type: "Fail", Error: "E", Cause: "c" },
        };
        const { events } = await run(states, {}, failsFirst(2, "X"));
        assert.deepEqual(events.map(storyLine), [
            "state: A",
            "error: X, why",
            "retry: after 1.0 s",
            "error: X, why",
            'caught: the error leads to "B"',
            "state: B",
        ]);
    });

    describe("with a Distributed Map", () => {
        const map = (changes: object, child: States = { Child: { Type: "Pass", End: true } }): States => ({
            M: {
                Type: "Map",
                Label: "m",
                Items: "{% $states.input %}",
                ItemProcessor: {
                    ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
                    StartAt: Object.keys(child)[0],
                    States: child,
                },
                ToleratedFailurePercentage: 100,
                ResultWriter: {
                    Resource: "arn:aws:states:::s3:putObject",
                    Arguments: { Bucket: "b", Prefix: "p" },
                    WriterConfig: { Transformation: "COMPACT", OutputType: "JSONL" },
                },
                ...changes,
                End: true,
            },
        });
        const reader = (InputType: string, more: object = {}): object => ({
            Items: undefined,
            ItemReader: {
                Resource: "arn:aws:states:::s3:getObject",
                ReaderConfig: { InputType, ...more },
                Arguments: { Bucket: "b", Key: "k" },
            },
        });
        const rowsOf = ({ objects }: Ended, status: string): unknown[] => {
            const [, text = ""] = [...objects].find(([key]) => key.endsWith(`/${status}_0.jsonl`)) ?? [];
            return text
                .split("\n")
                .filter((line) => line !== "")
                .map((line) => JSON.parse(line) as unknown);
        };
        const without = (states: States): States => JSON.parse(JSON.stringify(states)) as States;

        it("runs an execution for each item and writes what became of it", async () => {
            const child = {
                C: { Type: "Choice", Choices: [{ Condition: "{% $states.input = 2 %}", Next: "F" }], Default: "S" },
                S: done,
                F: { Type: "Fail", Error: "E", Cause: "c" },
            };
            const ended = await run(map({}, child), [1, 2, 3]);
            assert.deepEqual(Object.keys(outputOf(ended) as object), ["MapRunArn", "ResultWriterDetails"]);
            assert.deepEqual(rowsOf(ended, "SUCCEEDED"), [1, 3]);
            assert.deepEqual(rowsOf(ended, "FAILED"), [{ Error: "E", Cause: "c", Input: "2", Status: "FAILED" }]);
            await assert.rejects(
                run(map({ ToleratedFailurePercentage: 33 }, child), []),
                /M\.ToleratedFailurePercentage/,
            );
        });

        it("selects the input with the variables outside, which the items' executions do not see", async () => {
            const states = {
                A: { Type: "Pass", Assign: { x: 7 }, Next: "M" },
                ...map({
                    ItemSelector: {
                        i: "{% $states.context.Map.Item.Index %}",
                        v: "{% $states.context.Map.Item.Value %}",
                        x: "{% $x %}",
                    },
                }),
            };
            assert.deepEqual(rowsOf(await run(states, ["a", "b"]), "SUCCEEDED"), [
                { i: 0, v: "a", x: 7 },
                { i: 1, v: "b", x: 7 },
            ]);
            const inner = { A: { Type: "Pass", Assign: { x: 7 }, Next: "M" }, ...map({}, { C: see("x") }) };
            await assert.rejects(run(inner, []), /no state assigns \$x/);
        });

        for (const [type, more, text, items] of [
            ["JSON", {}, '[1, {"a": 2}]', [1, { a: 2 }]],
            ["JSONL", {}, '1\n{"a":2}\r\n', [1, { a: 2 }]],
            [
                "CSV",
                { CSVHeaderLocation: "FIRST_ROW" },
                'a,b\r\n1,"x, ""y""\nz"\n\n2\n',
                [
                    { a: "1", b: 'x, "y"\nz' },
                    { a: "2", b: "" },
                ],
            ],
            ["CSV", { CSVHeaderLocation: "FIRST_ROW" }, "\uFEFFa, b\n1, 2\n", [{ "\uFEFFa": "1", " b": " 2" }]],
        ] as const) {
            it(`reads ${type}: ${JSON.stringify(text)}`, async () => {
                const ended = await run(without(map(reader(type, more))), {}, {}, { objects: { k: text } });
                assert.deepEqual(rowsOf(ended, "SUCCEEDED"), items);
            });
        }

        it("fails where there is no list to read", async () => {
            for (const objects of [{}, { k: "{" }, { k: "{}" }]) {
                assert.equal(
                    errorOf(await run(without(map(reader("JSON"))), {}, {}, { objects })),
                    "States.ItemReaderFailed",
                );
            }
            assert.equal(errorOf(await run(map({}), { no: "list" })), "States.QueryEvaluationError");
        });
    });

    const pass = { Type: "Pass", End: true };
    const refused: readonly (readonly [what: string, states: unknown, words: RegExp])[] = [
        ["JSONPath fields", { A: { ...pass, Parameters: {} } }, /States\.A: Unrecognized key: "Parameters"/],
        ["a field of another type", { A: { ...done, Next: "A" } }, /States\.A: Unrecognized key: "Next"/],
        ["an unknown type", { A: { Type: "Activity" } }, /States\.A\.Type: Invalid/],
        ["Parallel, which nobody here uses", { A: { Type: "Parallel" } }, /States\.A\.Type: Invalid/],
        [
            "an unknown resource",
            { A: { ...call, Resource: "arn:aws:states:::nobody:call", End: true } },
            /nobody serves the resource/,
        ],
        ["a dangling Next", { A: { Type: "Pass", Next: "B" } }, /Next names no state: B/],
        ["neither Next nor End", { A: { Type: "Pass" } }, /either Next or End/],
        [
            "a condition that is no expression",
            { A: { Type: "Choice", Choices: [{ Condition: true, Next: "A" }], Default: "A" } },
            /Choices\[0\]\.Condition: is no expression/,
        ],
        [
            "States.ALL that is not last",
            {
                A: {
                    ...call,
                    Catch: [
                        { ErrorEquals: ["States.ALL"], Next: "A" },
                        { ErrorEquals: ["X"], Next: "A" },
                    ],
                    End: true,
                },
            },
            /States\.ALL has to stand by itself, and last/,
        ],
        [
            "States.ALL with others",
            { A: { ...call, Retry: [{ ErrorEquals: ["States.ALL", "X"] }], End: true } },
            /States\.ALL has to stand by itself/,
        ],
        [
            "an unknown error of the language",
            { A: { ...call, Retry: [{ ErrorEquals: ["States.Nothing"] }], End: true } },
            /ErrorEquals\[0\]: no such error is known/,
        ],
        ["a reserved variable", { A: { ...pass, Assign: { states: 1 } } }, /cannot be the name of a variable/],
        [
            "$states.errorOutput outside of a Catch",
            { A: { ...call, Output: "{% $states.errorOutput %}", End: true } },
            /cannot be read here/,
        ],
        [
            "$states.result in arguments",
            { A: { ...call, Arguments: { v: "{% $states.result %}" }, End: true } },
            /cannot be read here/,
        ],
        [
            "a syntax error anywhere",
            { A: { ...pass, Output: { deep: ["{% ( %}"] } } },
            /State "A": Output\/deep\[0\]: .* cannot be parsed/,
        ],
        ["a name of 81 characters", { ["x".repeat(81)]: done }, /more than 80 characters/],
    ];
    for (const [what, states, words] of refused) {
        it(`refuses ${what}`, () => {
            const definition = machine(states as States);
            assert.throws(() => readMachine(definition, (resource) => resource.endsWith("test:call")), words);
        });
    }

    it("refuses a definition in JSONPath", () => {
        const { QueryLanguage, ...rest } = machine({ A: done });
        assert.equal(QueryLanguage, "JSONata");
        assert.throws(() => readMachine(rest, () => true), /QueryLanguage: .*"JSONata"/);
    });
});
