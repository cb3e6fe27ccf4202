/** The file of a batch: read in any of its forms, checked, and turned into the one form that is uploaded. Pure. */
import * as path from "node:path";

import { parse as parseCsv } from "csv-parse/sync";

import { messageOf } from "../contract/errors";
import { parseImageUri } from "../contract/image";
import { isObject, type JsonObject } from "../contract/json";
import { parsePlatform } from "../contract/platform";
import { type RequestField, requestFields } from "../contract/request";
import { usageFailure } from "./failure";

/** A row of a file, and its place there, for people. */
interface Row {
    readonly where: string;
    readonly value: unknown;
}

/**
 * Reads a manifest: a JSON list, JSON Lines, CSV with a header, or one image URI a line. Only what has been checked is
 * returned, so that nothing else can be uploaded.
 *
 * @param name Name of the file; its ending decides the form.
 * @throws Failure that names the row
 */
export function readManifest(name: string, text: string): JsonObject[] {
    try {
        const read = forms[path.extname(name)] ?? readUris;
        // Excel marks UTF-8 with a byte order mark.
        const rows = read(text.replace(/^\uFEFF/, ""));
        return rows.length === 0 ? refuse("names no image.") : rows.map(readRow);
    } catch (error) {
        throw usageFailure(`${name} ${messageOf(error)}`);
    }
}

const forms: Readonly<Record<string, (text: string) => readonly Row[]>> = {
    ".json": readJson,
    ".jsonl": (text) => linesOf(text).map(({ where, value }) => ({ where, value: parseJson(value, `${where} `) })),
    ".csv": readCsv,
};

function readUris(text: string): readonly Row[] {
    return linesOf(text).filter(({ value }) => !value.startsWith("#"));
}

function readJson(text: string): readonly Row[] {
    const values = parseJson(text);
    if (!Array.isArray(values)) return refuse("holds no array: expected [request, …] or [URI, …].");
    return values.map((value: unknown, index) => ({ where: `element ${index + 1}`, value }));
}

function linesOf(text: string) {
    const lines = text.split("\n").map((line, index) => ({ where: `line ${index + 1}`, value: line.trim() }));
    return lines.filter(({ value }) => value !== "");
}

function parseJson(text: string, where = ""): unknown {
    try {
        return JSON.parse(text);
    } catch (error) {
        return refuse(`${where}is not JSON: ${messageOf(error)}`);
    }
}

function readCsv(text: string): readonly Row[] {
    try {
        const rows: unknown = parseCsv(text, {
            trim: true,
            skip_empty_lines: true,
            columns: checkedColumns,
            cast: (cell, { column }) => (column === "force" ? flagOf(cell) : cell),
            on_record: (record: JsonObject, { lines }) => {
                // An empty cell is a field that is left out.
                const given = Object.entries(record).filter(([, cell]) => cell !== "");
                return { where: `line ${lines}`, value: Object.fromEntries(given) };
            },
        });
        return rows as readonly Row[];
    } catch (error) {
        return refuse(`cannot be read as CSV: ${messageOf(error)}`);
    }
}

function checkedColumns(columns: string[]): string[] {
    const fields: readonly string[] = requestFields;
    const isDouble = new Set(columns).size < columns.length;
    if (columns.includes("imageUri") && columns.every((column) => fields.includes(column)) && !isDouble) return columns;
    const expected = `expected imageUri, and any of ${fields.join(", ")}, each once`;
    return refuse(`line 1 has the columns ${columns.join(", ")}: ${expected}`);
}

/** CSV knows strings only; what is neither true nor false is left for {@link checks} to refuse. */
function flagOf(cell: string): boolean | string {
    return /^(true|false)$/i.test(cell) ? cell.toLowerCase() === "true" : cell;
}

/** What each field has to be. The state machine checks the rest, as it knows the stack. */
const checks: Readonly<Record<RequestField, (given: unknown) => unknown>> = {
    imageUri: (given) => parseImageUri(asString(given)),
    platform: (given) => parsePlatform(asString(given)),
    artifactBucket: asString,
    artifactKey: asString,
    force: (given) => typeof given === "boolean" || refuse("expected true or false"),
};

function asString(given: unknown): string {
    return typeof given === "string" ? given : refuse("expected a string");
}

function refuse(message: string): never {
    throw new Error(message);
}

/** A request is an image URI, or an object with fields of a request. */
function readRow({ where, value }: Row): JsonObject {
    const request = typeof value === "string" ? { imageUri: value } : value;
    if (!isObject(request)) {
        return refuse(`${where} is ${JSON.stringify(value)}: expected a request or an image URI.`);
    }
    for (const [field, given] of Object.entries(request)) {
        const name = requestFields.find((each) => each === field);
        if (name === undefined) refuse(`${where} has the field ${field}: expected ${requestFields.join(", ")}.`);
        try {
            checks[name](given);
        } catch (error) {
            refuse(`${where} has the ${field} ${JSON.stringify(given)}: ${messageOf(error)}`);
        }
    }
    return "imageUri" in request ? request : refuse(`${where} has no imageUri.`);
}
