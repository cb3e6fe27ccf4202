/** The file of a batch: read in any of its forms, checked, and turned into the one form that is uploaded. Pure. */
import * as path from "node:path";

import { parse as parseCsv } from "csv-parse/sync";

import { messageOf } from "../contract/errors";
import { parseImageUri } from "../contract/image";
import { isObject, type JsonObject } from "../contract/json";
import { parsePlatform } from "../contract/platform";
import { type RequestField, requestFields } from "../contract/request";
import { usageFailure } from "./failure";

/** A row of a file, and where it is, for people. */
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
    const read = forms[path.extname(name)] ?? readUris;
    // Excel marks UTF-8 with a byte order mark.
    const rows = read(name, text.replace(/^\uFEFF/, ""));
    if (rows.length === 0) throw usageFailure(`${name} names no image.`);
    return rows.map(readRow);
}

/** By the ending of the file's name. */
const forms: Readonly<Record<string, (name: string, text: string) => readonly Row[]>> = {
    ".json": readJson,
    ".jsonl": (name, text) => linesOf(name, text).map(parseLine),
    ".csv": readCsv,
};

function readUris(name: string, text: string): readonly Row[] {
    return linesOf(name, text).filter(({ value }) => !value.startsWith("#"));
}

function readJson(name: string, text: string): readonly Row[] {
    const { value: values } = parseLine({ where: name, value: text });
    if (!Array.isArray(values)) {
        throw usageFailure(`${name} holds no array: expected [request, …] or [URI, …].`);
    }
    return values.map((value: unknown, index) => ({ where: `${name} element ${index + 1}`, value }));
}

function linesOf(name: string, text: string) {
    const lines = text.split("\n").map((line, index) => ({ where: `${name} line ${index + 1}`, value: line.trim() }));
    return lines.filter(({ value }) => value !== "");
}

function parseLine({ where, value }: { readonly where: string; readonly value: string }): Row {
    try {
        return { where, value: JSON.parse(value) };
    } catch (error) {
        throw usageFailure(`${where} is not JSON: ${messageOf(error)}`);
    }
}

function readCsv(name: string, text: string): readonly Row[] {
    try {
        const rows: unknown = parseCsv(text, {
            trim: true,
            skip_empty_lines: true,
            columns: checkedColumns,
            on_record: (record: Readonly<Record<string, string>>, { lines }) => {
                // An empty cell is a field that is left out.
                const given = Object.entries(record).filter(([, cell]) => cell !== "");
                const values = given.map(([column, cell]) => [column, column === "force" ? flagOf(cell) : cell]);
                return { where: `${name} line ${lines}`, value: Object.fromEntries(values) as unknown };
            },
        });
        return rows as readonly Row[];
    } catch (error) {
        throw usageFailure(`${name} cannot be read as CSV: ${messageOf(error)}`);
    }
}

function checkedColumns(columns: readonly string[]): string[] {
    const fields: readonly string[] = requestFields;
    const isDouble = new Set(columns).size < columns.length;
    if (!columns.includes("imageUri") || !columns.every((column) => fields.includes(column)) || isDouble) {
        refuse(
            `line 1 has the columns ${columns.join(", ")}: expected imageUri, and any of ${fields.join(", ")}, each once`,
        );
    }
    return [...columns];
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
        throw usageFailure(`${where} is ${JSON.stringify(value)}: expected a request or an image URI.`);
    }
    for (const [field, given] of Object.entries(request)) {
        const name = requestFields.find((each) => each === field);
        if (name === undefined) {
            throw usageFailure(`${where} has the field ${field}: expected ${requestFields.join(", ")}.`);
        }
        try {
            checks[name](given);
        } catch (error) {
            throw usageFailure(`${where} has the ${field} ${JSON.stringify(given)}: ${messageOf(error)}`);
        }
    }
    if (!("imageUri" in request)) throw usageFailure(`${where} has no imageUri.`);
    return request;
}
