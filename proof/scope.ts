/** Sets of values (ARNs, principals, values of condition keys): what lies inside of one, and what lies just outside. */

/** A set of values. */
export interface Scope {
    /** Values that belong to it. */
    readonly inside: readonly string[];
    /** Near misses: values that do not. */
    readonly outside: readonly string[];
    /** Whether a value belongs to it. */
    readonly contains: (value: string) => boolean;
    /** Whether a condition key without a value belongs to it. */
    readonly orMissing?: true;
}

/** An account that no configuration names. */
export const otherAccountId = "999988887777";

/**
 * The values of some patterns. What stands in angle brackets may be anything; examples of it are divided by bars:
 * `arn:aws:s3:::bucket/images/<a.tar|b/c.tar>`.
 */
export function like(...patterns: string[]): Scope {
    const parsed = patterns.map((pattern) => pattern.split(/<([^>]*)>/));
    const expressions = patterns.map((pattern) => patternOf(pattern.replaceAll(/<[^>]*>/g, "*")));
    const contains = (value: string) => expressions.some((expression) => expression.test(value));
    const outside = parsed.flatMap(missesOf).filter((value) => value !== "" && !contains(value));
    return { inside: parsed.flatMap(filledIn), outside: [...new Set(outside)], contains };
}

/** Everything but one value. */
export function otherThan(value: string, ...examples: string[]): Scope {
    return { inside: examples, outside: [value], contains: (other) => other !== value };
}

/** What has no resource type: the request's resource is `*`. */
export const noResource: Scope = { inside: ["*"], outside: [], contains: (value) => value === "*" };

/** A pattern with its examples in the place of what may be anything: the first ones, then the second ones… */
function filledIn(parts: readonly string[]): string[] {
    const examples = parts.map((part, index) => (index % 2 ? part.split("|") : [part]));
    const count = Math.max(...examples.map(({ length }) => length));
    return Array.from({ length: count }, (_, at) => examples.map((each) => each[at] ?? each[0]).join(""));
}

/** A pattern with one of its fixed parts changed, shortened, lengthened or reached by a detour. */
function missesOf(parts: readonly string[]): string[] {
    const [first = ""] = parts;
    const changed = parts.flatMap((part, index) =>
        index % 2 || part === ""
            ? []
            : [...changesOf(part), `${part.slice(0, -1)}~`].flatMap((other) => filledIn(parts.with(index, other))),
    );
    const longer = parts.length === 1 && first.startsWith("arn:") ? [`${first}/other`] : [];
    const otherServices = ["codebuild", "states", "lambda", "ec2", "events", "cloudformation"];
    return [
        ...changed,
        first.slice(0, -1),
        ...longer,
        ...(/^[a-z.0-9-]+\.amazonaws\.com$/.test(first)
            ? otherServices.map((service) => `${service}.amazonaws.com`)
            : []),
    ];
}

function changesOf(text: string): string[] {
    const parts = text.split(/([:/])/);
    return parts.flatMap((part, index) => {
        if (part === "" || /^[:/]$/.test(part) || (index === 0 && part === "arn")) return [];
        const others = ["other", `${part}x`, `x${part}`];
        if (/^\d{12}$/.test(part)) others.push(otherAccountId);
        if (parts.slice(0, index).includes("/")) others.push(`other/../${part}`);
        return others.map((other) => parts.with(index, other).join(""));
    });
}

/** A pattern of IAM as a regular expression. */
export function patternOf(pattern: string): RegExp {
    const literal = pattern.replace(/[\\^$.+()[\]{}|]/g, "\\$&");
    return new RegExp(`^${literal.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
