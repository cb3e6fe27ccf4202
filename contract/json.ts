/**
 * JSON that every reader reads alike. Of a name that an object has twice readers take the first or the last, and Go's decoder
 * takes a name in any case for the field that it looks for (pkg.go.dev/encoding/json, "Unmarshal"): what is read so differently
 * would be one thing for this program and another for a registry or a loader.
 */

/** Values and names in one document; above it parsing would need memory out of proportion. */
const tokenLimit = 1_000_000;
const depthLimit = 1000;

/** What is wrong with a text, as the second half of a sentence: "is not JSON". */
export class JsonError extends Error {}

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is an array of strings. */
export function isStrings(value: unknown): value is readonly string[] {
    return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/**
 * Parses JSON whose objects have each name once.
 *
 * @throws JsonError for anything else, and for a text that would need too much memory
 */
export function parseJson(text: string): unknown {
    try {
        assertSingleNames(text);
        return JSON.parse(text) as unknown;
    } catch (error) {
        if (error instanceof JsonError) throw error;
        throw new JsonError("is not JSON", { cause: error });
    }
}

/**
 * Parses an object as {@link parseJson} does.
 *
 * @param names the fields that are read; no other name may differ from one of them in case only
 * @throws JsonError for anything else
 */
export function parseJsonObject(text: string, names: readonly string[]): JsonObject {
    const value = parseJson(text);
    if (!isObject(value)) throw new JsonError("is not a JSON object");
    assertExactNames(value, names);
    return value;
}

/** @throws JsonError when an object has a name that differs from one that is read in case only */
export function assertExactNames(object: JsonObject, names: readonly string[]): void {
    const read = new Map(names.map((name) => [folded(name), name]));
    for (const name of Object.keys(object)) {
        const meant = read.get(folded(name));
        if (meant !== undefined && meant !== name) {
            throw new JsonError(`has ${JSON.stringify(name)}, which some readers take for "${meant}"`);
        }
    }
}

/** Both ways, since Go takes the Kelvin sign for a k and the long s for an s. */
function folded(name: string): string {
    return name.toUpperCase().toLowerCase();
}

/** Looks at brackets and strings only: whatever else is wrong, JSON.parse says afterwards. */
function assertSingleNames(text: string): void {
    const open: (Set<string> | undefined)[] = [];
    const token = /["{}[\],]/g;
    let count = 0;
    for (let found = token.exec(text); found !== null; found = token.exec(text)) {
        if (++count > tokenLimit || open.length > depthLimit) {
            throw new JsonError(`has more than ${tokenLimit} values, or is nested deeper than ${depthLimit} levels`);
        }
        const [mark] = found;
        if (mark === "{" || mark === "[") open.push(undefined);
        if (mark === "}" || mark === "]") open.pop();
        if (mark !== '"') continue;
        const end = endOfString(text, found.index);
        token.lastIndex = end;
        if (!isBeforeColon(text, end)) continue;
        const name = JSON.parse(text.slice(found.index, end)) as string;
        const names = open.pop() ?? new Set();
        if (names.has(name)) throw new JsonError(`has ${JSON.stringify(name)} twice in one object`);
        open.push(names.add(name));
    }
}

function endOfString(text: string, start: number): number {
    let at = start + 1;
    while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
    return at + 1;
}

function isBeforeColon(text: string, from: number): boolean {
    let at = from;
    while (/\s/.test(text[at] ?? "")) at++;
    return text[at] === ":";
}
