/**
 * Sets of values (ARNs, principals, values of condition keys), told without the language of policies. The proof says
 * with them a second time what a statement is for; the requests that the policies are judged by are made of what lies
 * inside, and of what lies just outside.
 */

/** A set of values. */
export interface Scope {
    /** Values that belong to it. */
    readonly inside: readonly string[];
    /** Near misses: values that do not. */
    readonly outside: readonly string[];
    /** Whether a value belongs to it. */
    readonly contains: (value: string) => boolean;
}

/** One value. */
export function exactly(value: string): Scope {
    const outside = [...nearMisses(value), value.slice(0, -1), ...(isArn(value) ? [`${value}/other`] : [])];
    return scope([value], outside, (other) => other === value);
}

/** One of some values. */
export function oneOf(...values: string[]): Scope {
    const scopes = values.map(exactly);
    return scope(
        values,
        scopes.flatMap(({ outside }) => outside),
        (other) => values.includes(other),
    );
}

/**
 * Every value that begins with a text.
 *
 * @param rests How examples go on.
 */
export function beginningWith(prefix: string, ...rests: [string, ...string[]]): Scope {
    const shorter = prefix.slice(0, -1);
    const outside = rests.flatMap((rest) => [
        ...nearMisses(prefix).map((miss) => `${miss}${rest}`),
        `${shorter}~${rest}`,
    ]);
    return scope(
        rests.map((rest) => `${prefix}${rest}`),
        [...outside, shorter],
        (other) => other.startsWith(prefix),
    );
}

/** A service of AWS, as a principal. */
export function service(name: string): Scope {
    const others = ["codebuild", "states", "lambda", "ec2", "events", "cloudformation"];
    return scope(
        [name],
        others.map((other) => `${other}.amazonaws.com`),
        (other) => other === name,
    );
}

/** What has no resource type: the request's resource is `*`. */
export const noResource: Scope = { inside: ["*"], outside: [], contains: (value) => value === "*" };

function scope(
    inside: readonly string[],
    candidates: readonly string[],
    contains: (value: string) => boolean,
): Scope {
    const outside = [...new Set(candidates)].filter((value) => value !== "" && !contains(value));
    return { inside, outside, contains };
}

/** The same text with one part replaced, lengthened at either end, or reached by a detour. */
function nearMisses(text: string): string[] {
    const parts = text.split(/([:/])/);
    return parts.flatMap((part, index) => {
        const written = (other: string) => parts.with(index, other).join("");
        if (part === "" || /^[:/]$/.test(part) || (index === 0 && part === "arn")) return [];
        const others = ["other", `${part}x`, `x${part}`];
        if (/^\d{12}$/.test(part)) others.push("999988887777");
        if (parts.slice(0, index).includes("/")) others.push(`other/../${part}`);
        return others.map(written);
    });
}

function isArn(text: string): boolean {
    return text.startsWith("arn:");
}
