/**
 * Reads a definition: every field, state, variable and expression is known before the first state runs. What is not known here is
 * refused, so that nothing seems to work that this interpreter only ignores.
 *
 * Source: docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
 */
import { z } from "zod";

import { checkExpression, isExpression } from "./expressions";
import { DefinitionError } from "./host";

const Comment = z.string().optional();
const payload = z.unknown().optional();
const effect = {
    Assign: z
        .record(z.string(), z.unknown())
        .refine(
            (all) => Object.keys(all).every((name) => /^(?!states$)[\p{L}_][\p{L}\p{N}_]{0,79}$/u.test(name)),
            "a key cannot be the name of a variable",
        )
        .optional(),
    Output: payload,
};
const transition = { Next: z.string().optional(), End: z.literal(true).optional() };

const knownErrors =
    /^States\.(ALL|DataLimitExceeded|ExceedToleratedFailureThreshold|ItemReaderFailed|Permissions|QueryEvaluationError|ResultWriterFailed|TaskFailed|Timeout)$|^(?!States\.)/;

const errors = { ErrorEquals: z.array(z.string().regex(knownErrors, "no such error is known")).min(1) };

/** A list of what applies to some errors. */
function byErrors<Item extends z.ZodType<{ readonly ErrorEquals: readonly string[] }>>(item: Item) {
    return z
        .array(item)
        .refine(
            (all) =>
                all.every(
                    ({ ErrorEquals: names }, at) =>
                        !names.includes("States.ALL") || (names.length === 1 && at === all.length - 1),
                ),
            "States.ALL has to stand by itself, and last",
        )
        .default([]);
}

const retrier = z.strictObject({
    ...errors,
    IntervalSeconds: z.number().default(1),
    BackoffRate: z.number().default(2),
    MaxAttempts: z.number().default(3),
    MaxDelaySeconds: z.number().default(Infinity),
    JitterStrategy: z.enum(["FULL", "NONE"]).default("NONE"),
});
const catcher = z.strictObject({ ...errors, ...effect, Next: z.string() });
const attempts = { ...transition, ...effect, Retry: byErrors(retrier), Catch: byErrors(catcher) };

const simpleStates = [
    z.strictObject({ Type: z.literal("Pass"), Comment, ...transition, ...effect }),
    z.strictObject({
        Type: z.literal("Choice"),
        Comment,
        ...effect,
        Choices: z.array(
            z.strictObject({
                ...effect,
                Condition: z.string("is no expression").refine(isExpression, "is no expression"),
                Next: z.string(),
            }),
        ),
        Default: z.string(),
    }),
    z.strictObject({ Type: z.literal("Wait"), Comment, ...effect, Seconds: z.number(), Next: z.string() }),
    z.strictObject({
        Type: z.literal("Task"),
        Comment,
        ...attempts,
        Resource: z.string(),
        Arguments: z.unknown().default({}),
        TimeoutSeconds: z.number().optional(),
    }),
    z.strictObject({ Type: z.literal("Succeed"), Comment, Output: payload }),
    z.strictObject({ Type: z.literal("Fail"), Comment, Error: z.string(), Cause: z.string() }),
] as const;

const resource = (call: string) => z.string().endsWith(`:states:::${call}`);

/** A Distributed Map with STANDARD executions and a ResultWriter, or an inline Map. */
const mapState = z
    .strictObject({
        Type: z.literal("Map"),
        Comment,
        ...attempts,
        Label: z.string().optional(),
        Items: payload,
        ItemReader: z
            .strictObject({
                Resource: resource("s3:getObject"),
                ReaderConfig: z.discriminatedUnion("InputType", [
                    z.strictObject({ InputType: z.literal("CSV"), CSVHeaderLocation: z.literal("FIRST_ROW") }),
                    z.strictObject({ InputType: z.enum(["JSON", "JSONL"]) }),
                ]),
                Arguments: payload,
            })
            .optional(),
        ItemSelector: payload,
        ItemProcessor: z.strictObject({
            ProcessorConfig: z.discriminatedUnion("Mode", [
                z.strictObject({ Mode: z.literal("DISTRIBUTED"), ExecutionType: z.literal("STANDARD") }),
                z.strictObject({ Mode: z.literal("INLINE") }),
            ]),
            StartAt: z.string(),
            States: z.record(z.string(), z.discriminatedUnion("Type", simpleStates)),
        }),
        MaxConcurrency: z.number().default(10_000),
        ToleratedFailurePercentage: z.literal(100).optional(),
        ResultWriter: z
            .strictObject({
                Resource: resource("s3:putObject"),
                Arguments: payload,
                WriterConfig: z.strictObject({ Transformation: z.literal("COMPACT"), OutputType: z.literal("JSONL") }),
            })
            .optional(),
    })
    .refine(({ ItemProcessor: { ProcessorConfig }, Label, ItemReader, ToleratedFailurePercentage, ResultWriter }) => {
        const distributed = [Label, ToleratedFailurePercentage, ResultWriter];
        return ProcessorConfig.Mode === "INLINE"
            ? [...distributed, ItemReader].every((field) => field === undefined)
            : !distributed.includes(undefined);
    }, "Label, ToleratedFailurePercentage and ResultWriter belong to a Distributed Map, which needs them here")
    .refine(
        ({ Items, ItemReader }) => (Items === undefined) !== (ItemReader === undefined),
        "expected either Items or an ItemReader",
    );

const stateSchema = z.discriminatedUnion("Type", [...simpleStates, mapState]);
const machineSchema = z.strictObject({
    Comment,
    QueryLanguage: z.literal("JSONata"),
    StartAt: z.string(),
    States: z.record(z.string(), stateSchema),
});

/** A state that can run. */
export type State = z.infer<typeof stateSchema>;

/** The Map among them. */
export type MapState = Extract<State, { readonly Type: "Map" }>;

/** States that can run. */
export interface Machine {
    readonly StartAt: string;
    readonly States: Readonly<Record<string, State>>;
}

/**
 * Reads a definition.
 *
 * @param isKnownResource Whether somebody serves a Task with this resource.
 * @throws DefinitionError that names the state and the field.
 */
export function readMachine(definition: unknown, isKnownResource: (resource: string) => boolean): Machine {
    const { data, error } = machineSchema.safeParse(definition);
    if (error) {
        const issues = error.issues.map(({ path, message }) => `${z.core.toDotPath(path)}: ${message}`);
        throw new DefinitionError(issues.join("; "));
    }
    checkStates(data, isKnownResource, new Set());
    return data;
}

/**
 * @param names Of all states so far, inner ones as well.
 * @param outer Variables of the machine around it.
 */
function checkStates(
    machine: Machine,
    isKnownResource: (resource: string) => boolean,
    names: Set<string>,
    outer: ReadonlySet<string> = new Set(),
): void {
    const { StartAt, States } = machine;
    if (!Object.hasOwn(States, StartAt)) throw new DefinitionError(`StartAt names no state: ${StartAt}.`);
    const paths = Object.values(States).flatMap((state) => nodesOf(state).map(([path]) => path));
    const variables = new Set([...outer, ...paths.flatMap((path) => variableAt.exec(path)?.[1] ?? [])]);
    for (const [name, state] of Object.entries(States)) {
        if (names.has(name)) throw new DefinitionError(`Two states of the machine are called "${name}".`);
        if (name.length > 80) throw new DefinitionError(`The name "${name}" has more than 80 characters.`);
        names.add(name);
        try {
            if (!["Choice", "Succeed", "Fail"].includes(state.Type) && "Next" in state === "End" in state) {
                throw new DefinitionError("expected either Next or End.");
            }
            if (state.Type === "Task" && !isKnownResource(state.Resource)) {
                throw new DefinitionError(`nobody serves the resource ${state.Resource}.`);
            }
            for (const [path, value] of nodesOf(state)) {
                if (nextAt.test(path) && !Object.hasOwn(States, String(value))) {
                    throw new DefinitionError(`${path} names no state: ${String(value)}.`);
                }
                const result = "Retry" in state && /^(Assign|Output)/.test(path) ? (["result"] as const) : [];
                const errorOutput = path.startsWith("Catch") ? (["errorOutput"] as const) : [];
                const parts = ["input", "context", ...result, ...errorOutput] as const;
                if (isExpression(value)) checkExpression(value, path, { parts, variables });
            }
        } catch (error) {
            if (!(error instanceof DefinitionError)) throw error;
            throw new DefinitionError(`State "${name}": ${error.message}`);
        }
        if (state.Type !== "Map") continue;
        // Children of a Distributed Map see no variables of their parent.
        const isInline = state.ItemProcessor.ProcessorConfig.Mode === "INLINE";
        checkStates(state.ItemProcessor, isKnownResource, names, isInline ? variables : new Set());
    }
}

const nextAt = /^(?:(?:Choices|Catch)\[\d+\]\/)?(?:Next|Default)$/;
const variableAt = /^(?:(?:Choices|Catch)\[\d+\]\/)?Assign\/([^/[]+)$/;

/** All that stands in a state, by where it stands, without the states in it. */
function nodesOf(value: unknown, path = ""): (readonly [path: string, value: unknown])[] {
    if (typeof value !== "object" || value === null) return [[path, value]];
    const isArray = Array.isArray(value);
    const inner = Object.entries(value).filter(([key]) => path !== "" || key !== "ItemProcessor");
    const pathOf = (key: string) => (isArray ? `${path}[${key}]` : path === "" ? key : `${path}/${key}`);
    return [[path, value], ...inner.flatMap(([key, each]) => nodesOf(each, pathOf(key)))];
}
