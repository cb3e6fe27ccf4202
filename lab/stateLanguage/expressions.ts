/**
 * Expressions of the states language: JSONata 2.0.6 with Step Functions' functions and without `$eval`. Each is parsed, and
 * refused where it cannot work, before anything runs; at run time it fails as it does on AWS.
 *
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html; floci-io/floci issues 2665, 2736, 2737 and 2745,
 * which measured on AWS.
 */
import { createHash } from "node:crypto";

import jsonata from "jsonata";

import { DefinitionError, StateError } from "./host";

/** Bytes of the largest value that an expression may give. */
const valueLimitBytes = 7 * 1024 * 1024;

/** How deep the evaluation of an expression may nest. */
const depthLimit = 100;

/** Characters that `$hash` takes. */
const hashLimit = 10_000;

/** A part of `$states`. */
export type StatesPart = "input" | "context" | "result" | "errorOutput";

/** What expressions of a field may read. */
export interface Scope {
    readonly parts: readonly StatesPart[];
    /** Names of the variables that some state assigns. */
    readonly variables: ReadonlySet<string>;
}

/** What expressions read when they are evaluated. */
export interface Values {
    readonly states: Readonly<Partial<Record<StatesPart, unknown>>>;
    readonly variables: Readonly<Record<string, unknown>>;
}

/** Whether a string is an expression. */
export function isExpression(value: unknown): value is string {
    return typeof value === "string" && value.startsWith("{%") && value.endsWith("%}");
}

/**
 * Refuses an expression that cannot work.
 *
 * @param field Where it stands in its state, as causes name it.
 * @throws DefinitionError
 */
export function checkExpression(text: string, field: string, { parts, variables }: Scope): void {
    const source = sourceOf(text);
    const ast = parse(source, field).ast();
    const names = new Set([...variables, ...boundNames(ast), ...builtIn, ...Object.keys(ownFunctions)]);
    const [why] = faultsOf(ast, { parts, variables: names }, false);
    if (why !== undefined) throw new DefinitionError(`${field}: the expression '${source}' is refused: ${why}.`);
}

/**
 * Evaluates the expressions of a payload, one after the other.
 *
 * @throws StateError
 */
export async function evaluate(payload: unknown, field: string, values: Values): Promise<unknown> {
    if (isExpression(payload)) return evaluateExpression(sourceOf(payload), field, values);
    if (typeof payload !== "object" || payload === null) return payload;
    const isArray = Array.isArray(payload);
    const result: [string, unknown][] = [];
    for (const [key, each] of Object.entries(payload)) {
        result.push([key, await evaluate(each, isArray ? `${field}[${key}]` : `${field}/${key}`, values)]);
    }
    return isArray ? result.map(([, each]) => each) : Object.fromEntries(result);
}

/** Parsed expressions that nobody evaluates now, by source: one evaluation counts the depth of one instance. */
const idle = new Map<string, jsonata.Expression[]>();

async function evaluateExpression(source: string, field: string, { states, variables }: Values): Promise<unknown> {
    const instances = idle.get(source) ?? [];
    idle.set(source, instances);
    const parsed = instances.pop() ?? parse(source, field);
    countDepth(parsed);
    try {
        return asJson(await parsed.evaluate(undefined, { ...variables, states }), source, field);
    } catch (error) {
        if (error instanceof StateError) throw error;
        const { code = "", message = String(error) } = error as { code?: string; message?: string };
        throw evaluationError(source, field, `threw an error during evaluation. ${code}: ${message}`);
    } finally {
        instances.push(parsed);
    }
}

function sourceOf(expression: string): string {
    return expression.slice(2, -2).trim();
}

function evaluationError(source: string, field: string, what: string): StateError {
    return new StateError(
        "States.QueryEvaluationError",
        `The JSONata expression '${source}' specified for the field '${field}' ${what}`,
    );
}

/** The error of a value of another type than a field takes. */
export function typeError(field: string, expected: string, value: unknown): StateError {
    return new StateError(
        "States.QueryEvaluationError",
        `The JSONata expression specified for the field '${field}' returned an unexpected result type. Expected '${expected}', but was '${Array.isArray(value) ? "array" : typeof value}'`,
    );
}

function parse(source: string, field: string): jsonata.Expression {
    try {
        const parsed = jsonata(source);
        for (const [name, [signature, implementation]] of Object.entries(ownFunctions)) {
            parsed.registerFunction(name, implementation, signature);
        }
        return parsed;
    } catch (error) {
        throw new DefinitionError(`${field}: the expression '${source}' cannot be parsed: ${(error as Error).message}`);
    }
}

function countDepth(parsed: jsonata.Expression): void {
    let depth = 0;
    const hooks = {
        entry: () => {
            depth += 1;
            if (depth > depthLimit) throw Object.assign(new Error("Stack overflow"), { code: "D1011" });
        },
        exit: () => (depth -= 1),
    };
    // JSONata looks for these under symbols, which its types do not know.
    for (const [name, hook] of Object.entries(hooks)) {
        parsed.assign(Symbol.for(`jsonata.__evaluate_${name}`) as unknown as string, hook);
    }
}

/** The value as JSON has it: without what JSONata attaches to its arrays. */
function asJson(value: unknown, source: string, field: string): unknown {
    if (value === undefined) throw evaluationError(source, field, "returned nothing (undefined).");
    const text = JSON.stringify(value, (_, each: unknown) => {
        const isFunction =
            typeof each === "function" ||
            each instanceof RegExp ||
            (typeof each === "object" && each !== null && ("_jsonata_lambda" in each || "_jsonata_function" in each));
        const isNumber = typeof each !== "number" || Number.isFinite(each);
        if (isFunction || !isNumber) throw evaluationError(source, field, "returned what is not JSON.");
        return each;
    });
    if (Buffer.byteLength(text) > valueLimitBytes) {
        throw evaluationError(source, field, `returned more than ${valueLimitBytes} bytes.`);
    }
    return JSON.parse(text) as unknown;
}

/** Of Step Functions' own functions those that a definition here uses: transforming-data.html, "JSONata functions provided by Step Functions". */
const ownFunctions: Readonly<Record<string, [signature: string, implementation: (...args: string[]) => unknown]>> = {
    parse: ["<s:x>", (text = ""): unknown => JSON.parse(text)],
    hash: [
        "<ss:s>",
        (text = "", algorithm = "") => {
            if (text.length > hashLimit) throw new Error(`$hash: at most ${hashLimit} characters`);
            if (algorithm !== "SHA-256") throw new Error(`$hash: the lab does not know ${algorithm}`);
            return createHash("sha256").update(text).digest("hex");
        },
    ],
};

/** JSONata's own functions that Step Functions has. */
const builtIn = new Set(
    (
        "sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match " +
        "contains replace split join formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt power " +
        "boolean not map zip filter single reduce sift keys lookup append exists spread merge reverse each error assert type sort " +
        "shuffle distinct base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl toMillis fromMillis now millis"
    ).split(" "),
);

/** A node of JSONata's syntax tree, whose own type lacks some. */
interface Node {
    readonly type?: string;
    readonly value?: unknown;
    readonly steps?: readonly Node[];
    readonly lhs?: Node;
    readonly arguments?: readonly Node[];
}

/** Names that the expression binds itself: by `:=`, as parameters of functions, by `@` and `#`. */
function boundNames(node: unknown): string[] {
    if (typeof node !== "object" || node === null) return [];
    const { type, lhs, arguments: parameters } = node as Node;
    const own = type === "bind" ? [lhs] : type === "lambda" ? (parameters ?? []) : [];
    return [...own.map((each) => String(each?.value)), ...Object.values(node).flatMap(boundNames)];
}

/** What CreateStateMachine refuses, and what nobody has seen to work there; `variables` of the scope are all known names. */
function* faultsOf(node: unknown, scope: Scope, hasContext: boolean): Generator<string> {
    if (typeof node !== "object" || node === null) return;
    if (node instanceof RegExp) yield* faultsOfRegex(node);
    const { type = "", value, steps } = node as Node;
    if (type === "variable") yield* faultsOfVariable(String(value), scope, hasContext);
    if (!hasContext && ["name", "wildcard", "descendant", "parent"].includes(type)) {
        yield `"${String(value)}" has no context; begin with $states or a variable`;
    }
    const isStates = steps?.[0]?.type === "variable" && steps[0].value === "states";
    const part = String(steps?.[1]?.value);
    if (isStates && (steps[1]?.type !== "name" || !(scope.parts as readonly string[]).includes(part))) {
        yield `$states.${part} cannot be read here; expected one of ${scope.parts.join(", ")}`;
    }
    const inner = ["predicate", "stages", "group", "terms", ...(type === "filter" ? ["expr"] : [])];
    for (const [key, each] of Object.entries(node) as [string, unknown][]) {
        if (key !== "steps") yield* faultsOf(each, scope, hasContext || inner.includes(key));
    }
    for (const [index, step] of (steps ?? []).entries()) {
        if (index > 0 || !isStates) yield* faultsOf(step, scope, hasContext || index > 0);
    }
}

function* faultsOfVariable(name: string, { variables }: Scope, hasContext: boolean): Generator<string> {
    if (name === "" && hasContext) return;
    if (name === "" || name === "$") yield `"$${name}" is refused at the top level`;
    if (name === "states") yield "$states has to be read by its parts: $states.input, .context, .result, .errorOutput";
    if (name === "eval") yield "Step Functions has no $eval";
    if (!variables.has(name)) yield `no state assigns $${name}, and no function is called so`;
}

/** AWS's engine of regular expressions is not known: only what all of them have. */
function* faultsOfRegex(pattern: RegExp): Generator<string> {
    if (/[^gi]/.test(pattern.flags)) yield `the regular expression ${String(pattern)} has a flag other than i`;
    if (/\(\?[^:]|\\[1-9kpP]/.test(pattern.source)) {
        yield `the regular expression ${String(pattern)} looks around, names a group or refers back`;
    }
}
