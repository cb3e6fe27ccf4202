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

/**
 * Looks at brackets and strings only: whatever else is wrong, JSON.parse says afterwards. A string of more than three million escaped
 * characters takes more memory than a regular expression has, which ends as all does that is no JSON.
 */
function assertSingleNames(text: string): void {
    const open: (Set<string> | undefined)[] = [];
    let count = 0;
    // The closing quotation mark may be missing, so that no string is looked through twice.
    for (const [token, string, colon] of text.matchAll(/("[^"\\]*(?:\\[^][^"\\]*)*"?)(\s*:)?|[{}[\],]/g)) {
        if (++count > tokenLimit || open.length > depthLimit) {
            throw new JsonError(`has more than ${tokenLimit} values, or is nested deeper than ${depthLimit} levels`);
        }
        if (token === "{" || token === "[") open.push(undefined);
        if (token === "}" || token === "]") open.pop();
        if (string === undefined || colon === undefined) continue;
        const name = JSON.parse(string) as string;
        const names = open.pop() ?? new Set();
        if (names.has(name)) throw new JsonError(`has ${JSON.stringify(name)} twice in one object`);
        open.push(names.add(name));
    }
}
