/**
 * Amazon States Language with JSONata, as far as this program writes it.
 *
 * The rules that every definition here follows, so that no input can end an execution in `States.QueryEvaluationError` or
 * `States.Runtime`, which a Pass, Choice or Fail state cannot catch:
 * every expression gives a value, whatever it is given; the size and the type of a value are tested before it is used;
 * a test that another one depends on stands in a conditional (`a ? b : false`), since nobody promises that `and` stops at the
 * first no; a regular expression matches the whole (`$match(x, …)[0].match = x`), since `$` may match before a closing line
 * feed, has no optional groups and no alternatives that repeat over long strings; what was given is quoted in short.
 *
 * Source: docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
 */
import { foreignFieldPrefix } from "../contract/request";

/** A state machine's definition; values may still be Outputs. Serialize it with `pulumi.jsonStringify`. */
export interface StateMachineDefinition {
    readonly Comment: string;
    readonly QueryLanguage: "JSONata";
    readonly StartAt: string;
    readonly States: Readonly<Record<string, State>>;
}

/** Variables that a state sets, by name: JSON in which strings may be expressions or Outputs, evaluated with the values from before. */
export type Assign = Readonly<Record<string, unknown>>;

/** One state. Which type has which fields, lab/stateLanguage holds: it refuses all others. */
export interface State {
    readonly Type: "Pass" | "Choice" | "Wait" | "Task" | "Map" | "Succeed" | "Fail";
    readonly Assign?: Assign;
    readonly [field: string]: unknown;
}

/** Characters of the longest request that is handed on to the export state machine, which says what is wrong with it. */
export const requestLimit = 150_000;

/** Characters of a string that are hashed at a time: `$hash` takes 10,000, and counts those beyond U+FFFF as two. */
const hashedAtATime = 4000;

/** Characters of what was given that an error quotes. */
export const quoteLimit = 300;

/** Characters of a cause that an error hands on. */
const causeLimit = 4000;

/** An expression; line breaks and indentation of the source go. */
export function expression(jsonata: string): string {
    return `{% ${jsonata.trim().replace(/\s*\n\s*/g, " ")} %}`;
}

/** A regular expression as a literal of JSONata, out of its source. */
export function regex(source: string): string {
    return `/${source.replace(/\\?\//g, "\\/")}/`;
}

/** Whether a value, which has to be a string, is matched as a whole. */
export function matches(value: string, source: string): string {
    return `$match(${value}, ${regex(`^(?:${source})$`)})[0].match = ${value}`;
}

/** A string as a literal of JSONata. */
export function literal(text: string): string {
    return JSON.stringify(text);
}

/** Any value as JSON, cut. A value that is missing gives an empty string. */
export function quoted(value: string): string {
    // In an object, since $string refuses some numbers that stand by themselves.
    return `($s := $string({'v': ${value}}); $length($s) > ${quoteLimit + 6} ? $substring($s, 5, ${quoteLimit}) & '…' : $substring($s, 5, $length($s) - 6))`;
}

/** The SHA-256 of a string of any length: each piece of it is hashed together with the hash of those before it. */
export function hash(text: string): string {
    return `(
        $text := ${text};
        $reduce([0..$floor($length($text) / ${hashedAtATime})], function($before, $at) {
            $hash($before & $substring($text, $at * ${hashedAtATime}, ${hashedAtATime}), 'SHA-256')
        }, '')
    )`;
}

/** What a caught error says: its cause, cut; an error without one gives an empty string. */
export const caughtCause = `($exists($states.errorOutput.Cause) ? $substring($string($states.errorOutput.Cause), 0, ${causeLimit}) : '')`;

/** What AWS says of a caught error: `NAME: cause`. */
export const caughtError = `(($exists($states.errorOutput.Error) ? $string($states.errorOutput.Error) : 'An error without a name') & ': ' & ${caughtCause})`;

/**
 * Reads the cause of a caught error that should be JSON, and may be cut, or anything: escaped characters are replaced, after which a
 * string is what stands between two quotation marks. Binds `$find`, the first group of a regular expression in it or an empty
 * string, and `$words`, what was found as a person reads it, cut; `$cause` and `$plain` besides.
 */
export const readCause = `
    $cause := $exists($states.errorOutput.Cause) ? $string($states.errorOutput.Cause) : '';
    $plain := $replace($replace($replace($replace($replace($cause, '\\\\\\\\', '\\uE000'), '\\\\"', '\\uE001'), '\\\\n', ' '), '\\\\r', ''), '\\\\t', ' ');
    $find := function($pattern) { ( $found := $match($plain, $pattern, 1)[0].groups[0]; $exists($found) ? $found : '' ) };
    $words := function($text) { $trim($substring($replace($replace($text, '\\uE001', '"'), '\\uE000', '\\\\'), 0, ${causeLimit})) };`;

/** Source of a regular expression for a member of a JSON object whose value is a string, as {@link readCause} sees it. */
export function jsonString(name: string, value: string): string {
    return `"${name}"${jsonSpace}:${jsonSpace}"${value}`;
}

/** Source of a regular expression for what may stand between two tokens of JSON. */
export const jsonSpace = "[ \\n\\r\\t]*";

/** A variable that names an error and its cause for a Fail state; the cause is an expression's source. */
export function failure(error: string, cause: string): Assign {
    return { failure: { error, cause: expression(cause) } };
}

/** Ends an execution as the variable `failure` says. */
export const failed: State = { Type: "Fail", Error: expression("$failure.error"), Cause: expression("$failure.cause") };

/** Where a Choice goes if the source of an expression gives true. */
export function rule(condition: string, next: string, assign?: Assign): object {
    return { Condition: expression(condition), ...(assign && { Assign: assign }), Next: next };
}

/** A call of a service. */
export function task(partition: string, integration: string, args: object): State {
    return { Type: "Task", Resource: `arn:${partition}:states:::${integration}`, Arguments: args };
}

/** Tries again after errors: after twice as long each time, up to a minute, and each time a random part of that. */
export function retry(errors: readonly string[], attempts: number, intervalSeconds = 5): object {
    return {
        ErrorEquals: errors,
        IntervalSeconds: intervalSeconds,
        BackoffRate: 2,
        MaxAttempts: attempts,
        MaxDelaySeconds: 60,
        JitterStrategy: "FULL",
    };
}

/** Goes on after errors; only here expressions may read `$states.errorOutput`. */
export function caught(errors: readonly string[], next: string, assign?: Assign): object {
    return { ErrorEquals: errors, ...(assign && { Assign: assign }), Output: {}, Next: next };
}

/** Goes on after every error, the one that `States.ALL` does not stand for, too. */
export function caughtAll(next: string, assign?: Assign): object[] {
    return ["States.DataLimitExceeded", "States.ALL"].map((error) => caught([error], next, assign));
}

/**
 * Starts the state machine whose ARN is the variable `machine`, by `request` and under the `name` of the variable `export`.
 *
 * @param integration `states:startExecution`, or the form that waits for the end.
 */
export function startExport(partition: string, integration: string): State {
    return {
        ...task(partition, integration, {
            StateMachineArn: expression("$machine"),
            Name: expression("$export.name"),
            Input: expression("$export.request"),
        }),
        // What passes if one waits. Throttling has no name of its own.
        Retry: [
            retry(
                [
                    "StepFunctions.ExecutionLimitExceededException",
                    "StepFunctions.AWSStepFunctionsException",
                    "StepFunctions.SdkClientException",
                ],
                8,
            ),
        ],
    };
}

/** Looks at what {@link startExport} has found under its name. */
export function lookAtExport(partition: string): State {
    return {
        ...task(partition, "aws-sdk:sfn:describeExecution", {
            ExecutionArn: expression("$replace($machine, ':stateMachine:', ':execution:') & ':' & $export.name"),
        }),
        Output: {},
        Retry: [retry(["States.ALL"], 3, 2)],
    };
}

/** What {@link startExport} starts, under another name, which only this execution knows: for a name that is taken. */
export const renamed: Assign = {
    export: expression(`$merge([$export, {
        'name': $substringBefore($export.name, '-') & '-' & $hash($export.name & $states.context.Execution.Id, 'SHA-256')
    }])`),
};

/** What is wrong with the first field of an object that is neither known nor AWS's own; an empty string where there is none. */
export function unknownField(object: string, known: readonly string[]): string {
    return `(
        $others := $filter($keys(${object}), function($name) {
            $name in ['${known.join("','")}'] ? false : $substring($name, 0, ${foreignFieldPrefix.length}) != '${foreignFieldPrefix}'
        });
        $exists($others) ? 'has the unknown field ' & ${quoted("[$others][0]")} & ': expected ${known.join(", ")}.' : ''
    )`;
}
