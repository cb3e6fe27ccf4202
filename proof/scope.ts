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
    /** Whether a condition key without a value belongs to it. */
    readonly orMissing?: true;
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

/** Everything but one value. */
export function otherThan(value: string, ...examples: [string, ...string[]]): Scope {
    return scope(examples, [value], (other) => other !== value);
}

/**
 * Every value that begins with a text and has a second one somewhere after it.
 *
 * @param middles What examples have between the two.
 */
export function beginningWithAndHolding(
    prefix: string,
    text: string,
    ...middles: [string, ...string[]]
): Scope {
    const [first, ...others] = middles.map((middle) => `${middle}${text}0a1b2c3`) as [string, ...string[]];
    const { inside, outside } = beginningWith(prefix, first, ...others);
    const elsewhere = [text.slice(1), `${text.slice(0, -1)}~`, `${text.slice(0, 1)}other-`, ""];
    return scope(
        inside,
        [...outside, ...elsewhere.flatMap((other) => inside.map((value) => value.replace(text, other)))],
        (other) => other.startsWith(prefix) && other.slice(prefix.length).includes(text),
    );
}

/** Every principal of an account, as the key policy means it that names the account's root. */
export function ofAccount(accountId: string): Scope {
    const role = (account: string) => `arn:aws:iam::${account}:role/somebody`;
    return scope([role(accountId)], [role("999988887777")], (other) =>
        other.startsWith(`arn:aws:iam::${accountId}:role/`),
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
