/**
 * Reads a definition: every field, state, variable and expression is known before the first state runs. What is not known here is
 * refused, so that nothing seems to work that this interpreter only ignores.
 *
 * Source: docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
 */
import { isExpression, parsePayload, type Scope, type StatesPart, type Template } from "./expressions";
import { DefinitionError } from "./stateError";

/** States that can run. */
export interface Machine {
    readonly startAt: string;
    readonly states: ReadonlyMap<string, State>;
}

/** A state that can run. */
export type State =
    | (Common & { readonly type: "Pass"; readonly effect: Effect; readonly next: string | undefined })
    | (Common & {
          readonly type: "Choice";
          readonly rules: readonly Rule[];
          readonly otherwise: Effect & { readonly next: string };
      })
    | (Attempted & {
          readonly type: "Task";
          readonly resource: string;
          readonly arguments: Template;
          readonly timeoutSeconds: number | undefined;
      })
    | (Attempted & { readonly type: "Map"; readonly map: DistributedMap })
    | (Common & { readonly type: "Succeed"; readonly effect: Effect })
    | (Common & { readonly type: "Fail"; readonly error: Template; readonly cause: Template });

interface Common {
    readonly name: string;
}

/** What a state that can fail and be tried again has. */
interface Attempted extends Common {
    readonly effect: Effect;
    readonly next: string | undefined;
    readonly retriers: readonly Retrier[];
    readonly catchers: readonly (Effect & { readonly errors: readonly string[]; readonly next: string })[];
}

/** What a state leaves: variables, and an output where it does not hand on what it has. */
export interface Effect {
    readonly assign: Template | undefined;
    readonly output: Template | undefined;
}

/** A rule of a Choice. */
type Rule = Effect & { readonly condition: Template; readonly field: string; readonly next: string };

/** When to try again. */
export interface Retrier {
    readonly errors: readonly string[];
    readonly intervalSeconds: number;
    readonly backoffRate: number;
    readonly maxAttempts: number;
    readonly maxDelaySeconds: number;
    readonly hasJitter: boolean;
}

/** A Distributed Map. */
export interface DistributedMap {
    readonly label: string;
    readonly items: Template | undefined;
    readonly reader: { readonly type: "CSV" | "JSON" | "JSONL"; readonly arguments: Template } | undefined;
    readonly selector: Template | undefined;
    readonly processor: Machine;
    readonly maxConcurrency: number;
    readonly toleratedPercentage: number;
    readonly writer: Template;
}

type Fields = Readonly<Record<string, unknown>>;

const effects = "Assign Output";
const transitions = "Next End";
const attempts = `${effects} ${transitions} Retry Catch`;

/** Which fields a state may have. `Type` and `Comment` are every state's. */
const stateFields: Readonly<Record<State["type"], string>> = {
    Pass: `${effects} ${transitions}`,
    Choice: `${effects} Choices Default`,
    Task: `${attempts} Resource Arguments TimeoutSeconds`,
    Map: `${attempts} Label Items ItemReader ItemSelector ItemProcessor MaxConcurrency ToleratedFailurePercentage ResultWriter`,
    Succeed: "Output",
    Fail: "Error Cause",
};

/**
 * Reads a definition.
 *
 * @param isKnownResource Whether somebody serves a Task with this resource.
 * @throws DefinitionError that names the state and the field.
 */
export function readMachine(definition: unknown, isKnownResource: (resource: string) => boolean): Machine {
    const known = "Comment QueryLanguage StartAt States";
    const { QueryLanguage, ...states } = fieldsOf(definition, "The definition", known);
    if (QueryLanguage !== "JSONata") throw new DefinitionError('QueryLanguage has to be "JSONata".');
    return readStates(states, isKnownResource, new Set());
}

function readStates(given: Fields, isKnownResource: (resource: string) => boolean, names: Set<string>): Machine {
    const states = fieldsOf(given["States"], "States");
    const variables = new Set(Object.values(states).flatMap(assignedNames));
    const context: Context = { names, isKnownResource, has: (name) => name in states, variables };
    const startAt = nextOf(given["StartAt"], "StartAt", context);
    for (const name of Object.keys(states)) {
        if (names.has(name)) throw new DefinitionError(`Two states of the machine are called "${name}".`);
        if (name.length > 80) throw new DefinitionError(`The name "${name}" has more than 80 characters.`);
        names.add(name);
    }
    return {
        startAt,
        states: new Map(
            Object.entries(states).map(([name, state]) => {
                try {
                    return [name, readState(name, state, context)];
                } catch (error) {
                    if (!(error instanceof DefinitionError)) throw error;
                    throw new DefinitionError(`State "${name}": ${error.message}`);
                }
            }),
        ),
    };
}

interface Context {
    /** Names of all states so far, inner ones as well. */
    readonly names: Set<string>;
    readonly isKnownResource: (resource: string) => boolean;
    readonly has: (name: string) => boolean;
    readonly variables: ReadonlySet<string>;
}

function assignedNames(state: unknown): string[] {
    interface Assigning {
        readonly Assign?: object;
    }
    const given = state as Assigning & { Choices?: Assigning[]; Catch?: Assigning[] };
    const all = [given, ...(given.Choices ?? []), ...(given.Catch ?? [])];
    return all.flatMap(({ Assign = {} }) => Object.keys(Assign));
}

function readState(name: string, given: unknown, context: Context): State {
    const type = (given as Fields)["Type"] as State["type"];
    const known = stateFields[type] as string | undefined;
    if (known === undefined) throw new DefinitionError(`no state of the type ${type} is known.`);
    const state = fieldsOf(given, type, `Type Comment ${known}`);
    const scope = (...parts: StatesPart[]): Scope => ({
        parts: ["input", "context", ...parts],
        variables: context.variables,
    });
    const attempted = () => ({
        name,
        effect: readEffect(state, "", scope("result")),
        next: transitionOf(state, context),
        retriers: listOf(state["Retry"] ?? [], "Retry").map(readRetrier),
        catchers: listOf(state["Catch"] ?? [], "Catch").map((each, index, all) => {
            const catcher = fieldsOf(each, `Catch[${index}]`, `${effects} ErrorEquals Next`);
            return {
                ...readEffect(catcher, `Catch[${index}]/`, scope("errorOutput")),
                errors: errorsOf(catcher, index === all.length - 1),
                next: nextOf(catcher["Next"], `Catch[${index}]/Next`, context),
            };
        }),
    });
    switch (type) {
        case "Pass":
            return { name, type, effect: readEffect(state, "", scope()), next: transitionOf(state, context) };
        case "Choice":
            return {
                name,
                type,
                rules: listOf(state["Choices"], "Choices").map((each, index) => {
                    const field = `Choices[${index}]`;
                    const rule = fieldsOf(each, field, `${effects} Condition Next`);
                    if (!isExpression(rule["Condition"])) {
                        throw new DefinitionError(`${field}/Condition is no expression.`);
                    }
                    return {
                        ...readEffect(rule, `${field}/`, scope()),
                        condition: parsePayload(rule["Condition"], `${field}/Condition`, scope()),
                        field: `${field}/Condition`,
                        next: nextOf(rule["Next"], `${field}/Next`, context),
                    };
                }),
                otherwise: {
                    ...readEffect(state, "", scope()),
                    next: nextOf(state["Default"], "Default", context),
                },
            };
        case "Task": {
            const resource = String(state["Resource"]);
            if (!context.isKnownResource(resource)) {
                throw new DefinitionError(`nobody serves the resource ${resource}.`);
            }
            return {
                ...attempted(),
                type,
                resource,
                arguments: parsePayload(state["Arguments"] ?? {}, "Arguments", scope()),
                timeoutSeconds: optionalNumber(state, "TimeoutSeconds"),
            };
        }
        case "Map":
            return { ...attempted(), type, map: readMap(state, scope(), context) };
        case "Succeed":
            return { name, type, effect: readEffect(state, "", scope()) };
        case "Fail":
            return {
                name,
                type,
                error: parsePayload(state["Error"], "Error", scope()),
                cause: parsePayload(state["Cause"], "Cause", scope()),
            };
    }
}

function readMap(state: Fields, scope: Scope, context: Context): DistributedMap {
    const reader = optionalFields(state, "ItemReader", "Resource ReaderConfig Arguments");
    const { InputType: type, CSVHeaderLocation } = fieldsOf(
        reader?.["ReaderConfig"] ?? {},
        "ReaderConfig",
        "InputType CSVHeaderLocation",
    );
    if (reader !== undefined && type !== "CSV" && type !== "JSON" && type !== "JSONL") {
        throw new DefinitionError(`no InputType ${String(type)} is known.`);
    }
    if ((type === "CSV") !== (CSVHeaderLocation === "FIRST_ROW")) {
        throw new DefinitionError("CSV, and nothing else, needs CSVHeaderLocation FIRST_ROW.");
    }
    const writer = fieldsOf(state["ResultWriter"], "ResultWriter", "Resource Arguments WriterConfig");
    const format = fieldsOf(writer["WriterConfig"], "WriterConfig", "Transformation OutputType");
    if (format["Transformation"] !== "COMPACT" || format["OutputType"] !== "JSONL") {
        throw new DefinitionError("results are only written as COMPACT JSONL.");
    }
    if (reader !== undefined) requireResource(reader, "s3:getObject");
    requireResource(writer, "s3:putObject");
    const processor = fieldsOf(state["ItemProcessor"], "ItemProcessor", "ProcessorConfig Comment StartAt States");
    const mode = fieldsOf(processor["ProcessorConfig"], "ProcessorConfig", "Mode ExecutionType");
    if (mode["Mode"] !== "DISTRIBUTED" || mode["ExecutionType"] !== "STANDARD") {
        throw new DefinitionError("only Distributed Maps with STANDARD executions are known.");
    }
    if ((reader === undefined) === (state["Items"] === undefined)) {
        throw new DefinitionError("expected either Items or an ItemReader.");
    }
    return {
        label: String(state["Label"]),
        items: optionalPayload(state, "Items", "", scope),
        reader: reader && {
            type: type as "CSV" | "JSON" | "JSONL",
            arguments: parsePayload(reader["Arguments"], "ItemReader/Arguments", scope),
        },
        selector: optionalPayload(state, "ItemSelector", "", scope),
        // Children of a Distributed Map see no variables of their parent.
        processor: readStates(processor, context.isKnownResource, context.names),
        maxConcurrency: optionalNumber(state, "MaxConcurrency") ?? 10_000,
        toleratedPercentage: optionalNumber(state, "ToleratedFailurePercentage") ?? 0,
        writer: parsePayload(writer["Arguments"], "ResultWriter/Arguments", scope),
    };
}

function requireResource({ Resource }: Fields, call: string): void {
    if (typeof Resource === "string" && Resource.endsWith(`:states:::${call}`)) return;
    throw new DefinitionError(`expected the resource ${call}, not ${JSON.stringify(Resource)}.`);
}

function readEffect(state: Fields, prefix: string, scope: Scope): Effect {
    const names = Object.keys(optionalFields(state, "Assign", undefined, prefix) ?? {});
    const wrong = names.find((name) => !/^[\p{L}_][\p{L}\p{N}_]{0,79}$/u.test(name) || name === "states");
    if (wrong !== undefined) {
        throw new DefinitionError(`${prefix}Assign: "${wrong}" cannot be the name of a variable.`);
    }
    return {
        assign: optionalPayload(state, "Assign", prefix, scope),
        output: optionalPayload(state, "Output", prefix, scope),
    };
}

function optionalPayload(state: Fields, name: string, prefix: string, scope: Scope): Template | undefined {
    return state[name] === undefined ? undefined : parsePayload(state[name], prefix + name, scope);
}

function readRetrier(given: unknown, index: number, all: readonly unknown[]): Retrier {
    const known = "Comment ErrorEquals IntervalSeconds BackoffRate MaxAttempts MaxDelaySeconds JitterStrategy";
    const retrier = fieldsOf(given, `Retry[${index}]`, known);
    return {
        errors: errorsOf(retrier, index === all.length - 1),
        intervalSeconds: optionalNumber(retrier, "IntervalSeconds") ?? 1,
        backoffRate: optionalNumber(retrier, "BackoffRate") ?? 2,
        maxAttempts: optionalNumber(retrier, "MaxAttempts") ?? 3,
        maxDelaySeconds: optionalNumber(retrier, "MaxDelaySeconds") ?? Infinity,
        hasJitter: retrier["JitterStrategy"] === "FULL",
    };
}

const knownErrors =
    "ALL DataLimitExceeded ExceedToleratedFailureThreshold ItemReaderFailed Permissions QueryEvaluationError ResultWriterFailed TaskFailed Timeout"
        .split(" ")
        .map((name) => `States.${name}`);

function errorsOf(fields: Fields, isLast: boolean): string[] {
    const errors = listOf(fields["ErrorEquals"], "ErrorEquals").map(String);
    if (errors.length === 0) throw new DefinitionError("ErrorEquals is empty.");
    const unknown = errors.find((each) => each.startsWith("States.") && !knownErrors.includes(each));
    if (unknown !== undefined) throw new DefinitionError(`no error ${unknown} is known.`);
    if (errors.includes("States.ALL") && (errors.length > 1 || !isLast)) {
        throw new DefinitionError("States.ALL has to stand by itself, and last.");
    }
    return errors;
}

function transitionOf(state: Fields, context: Context): string | undefined {
    if ("Next" in state === "End" in state) throw new DefinitionError("expected either Next or End.");
    if (!("End" in state)) return nextOf(state["Next"], "Next", context);
    if (state["End"] !== true) throw new DefinitionError("End has to be true.");
    return undefined;
}

function nextOf(name: unknown, field: string, { has }: Context): string {
    if (typeof name === "string" && has(name)) return name;
    throw new DefinitionError(`${field} names no state: ${String(name)}.`);
}

/** An object's fields; all that it may have are named, where `known` is given. */
function fieldsOf(value: unknown, what: string, known?: string): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new DefinitionError(`${what} is no object.`);
    }
    const unknown = known && Object.keys(value).find((name) => !known.split(" ").includes(name));
    if (unknown) throw new DefinitionError(`${what} has no field ${unknown}.`);
    return value as Fields;
}

function optionalFields(of: Fields, name: string, known?: string, prefix = ""): Fields | undefined {
    return of[name] === undefined ? undefined : fieldsOf(of[name], prefix + name, known);
}

function listOf(value: unknown, what: string): readonly unknown[] {
    if (Array.isArray(value)) return value;
    throw new DefinitionError(`${what} is no array.`);
}

function optionalNumber(fields: Fields, name: string): number | undefined {
    const value = fields[name];
    if (value === undefined || typeof value === "number") return value;
    throw new DefinitionError(`${name} is no number.`);
}
