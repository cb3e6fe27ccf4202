/**
 * Expressions of the states language: JSONata 2.0.6 with Step Functions' functions and without `$eval`. Each is parsed, and
 * refused where it cannot work, before anything runs; at run time it fails as it does on AWS.
 *
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html; floci-io/floci issues 2665, 2736, 2737 and 2745,
 * which measured on AWS.
 */
import { createHash } from "node:crypto";

import jsonata from "jsonata";

import { DefinitionError, StateError } from "./stateError";

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
export function checkExpression(text: string, field: string, scope: Scope): void {
    const source = sourceOf(text);
    const ast = instanceOf(source, field).ast();
    checkNode(ast, { source, field, scope, bound: boundNames(ast) }, false);
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
    const own = instances.pop() ?? instanceOf(source, field);
    try {
        countDepth(own);
        return asJson(await own.evaluate(undefined, { ...variables, states }), source, field);
    } catch (error) {
        if (error instanceof StateError) throw error;
        const { code = "", message = String(error) } = error as { code?: string; message?: string };
        throw evaluationError(source, field, `threw an error during evaluation. ${code}: ${message}`);
    } finally {
        instances.push(own);
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

function instanceOf(source: string, field: string): jsonata.Expression {
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
            if (!["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"].includes(algorithm)) {
                throw new Error(`$hash: no algorithm ${algorithm}`);
            }
            return createHash(algorithm.replace("-", "").toLowerCase()).update(text).digest("hex");
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

interface Node {
    readonly type?: string;
    readonly value?: unknown;
    readonly steps?: readonly Node[];
    readonly lhs?: unknown;
    readonly arguments?: unknown;
}

interface Check {
    readonly source: string;
    readonly field: string;
    readonly scope: Scope;
    readonly bound: ReadonlySet<string>;
}

/** Names that the expression binds itself: by `:=`, as parameters of functions, by `@` and `#`. */
function boundNames(node: unknown, names = new Set<string>()): Set<string> {
    if (typeof node !== "object" || node === null || node instanceof RegExp) return names;
    const { type, lhs, arguments: parameters } = node as Node;
    if (type === "bind") names.add(String((lhs as Node).value));
    if (type === "lambda") for (const each of parameters as Node[]) names.add(String(each.value));
    for (const each of Object.values(node)) boundNames(each, names);
    return names;
}

/** Refuses what CreateStateMachine refuses, and what nobody has seen to work there. */
function checkNode(node: unknown, check: Check, hasContext: boolean): void {
    if (typeof node !== "object" || node === null) return;
    if (node instanceof RegExp) {
        checkRegex(node, check);
        return;
    }
    const { type, value, steps } = node as Node;
    if (type === "variable") checkVariable(String(value), check, hasContext);
    if (!hasContext && ["name", "wildcard", "descendant", "parent"].includes(type ?? "")) {
        refuse(check, `"${String(value)}" has no context; begin with $states or a variable`);
    }
    const isStates = steps?.[0]?.type === "variable" && steps[0].value === "states";
    if (isStates) checkStates(steps[1], check);
    const inner = ["predicate", "stages", "group", "terms"];
    for (const [key, each] of Object.entries(node)) {
        if (key === "steps") {
            steps?.forEach((step, index) => {
                if (index > 0 || !isStates) checkNode(step, check, hasContext || index > 0);
            });
        } else if (key === "expr" && type === "filter") checkNode(each, check, true);
        else checkNode(each, check, hasContext || inner.includes(key));
    }
}

function checkVariable(name: string, check: Check, hasContext: boolean): void {
    if (name === "" && hasContext) return;
    if (name === "" || name === "$") refuse(check, `"$${name}" is refused at the top level`);
    if (name === "states") {
        refuse(check, "$states has to be read by its parts: $states.input, .context, .result, .errorOutput");
    }
    if (name === "eval") refuse(check, "Step Functions has no $eval");
    const isKnown =
        check.bound.has(name) || check.scope.variables.has(name) || builtIn.has(name) || name in ownFunctions;
    if (!isKnown) refuse(check, `no state assigns $${name}, and no function is called so`);
}

function checkStates(part: Node | undefined, check: Check): void {
    const name = String(part?.value);
    if (part?.type === "name" && (check.scope.parts as readonly string[]).includes(name)) return;
    refuse(check, `$states.${name} cannot be read here; expected one of ${check.scope.parts.join(", ")}`);
}

/** AWS's engine of regular expressions is not known: only what all of them have. */
function checkRegex(pattern: RegExp, check: Check): void {
    if (/[^gi]/.test(pattern.flags)) refuse(check, `the regular expression ${String(pattern)} has a flag other than i`);
    if (/\(\?[^:]|\\[1-9kpP]/.test(pattern.source)) {
        refuse(check, `the regular expression ${String(pattern)} looks around, names a group or refers back`);
    }
}

function refuse({ field, source }: Check, why: string): never {
    throw new DefinitionError(`${field}: the expression '${source}' is refused: ${why}.`);
}
