/** The file of a batch: read in any of its forms, checked, and turned into the one form that is uploaded. Pure. */
import * as path from "node:path";

import { parse as parseCsv } from "csv-parse/sync";

import { messageOf } from "../contract/errors";
import { parseImageUri } from "../contract/image";
import { parsePlatform } from "../contract/platform";
import { type ExportRequest, requestFields } from "../contract/request";
import { usageFailure } from "./failure";

/** A request that names its image: a batch never exports the stack's own. */
export type BatchRequest = ExportRequest & Required<Pick<ExportRequest, "imageUri">>;

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
export function readManifest(name: string, text: string): BatchRequest[] {
    const read = forms[path.extname(name)] ?? readUris;
    // Excel marks UTF-8 with a byte order mark.
    const rows = read(name, text.replace(/^\uFEFF/, ""));
    if (rows.length === 0) throw usageFailure(`${name} names no image.`);
    return rows.map(readRow);
}

function readUris(name: string, text: string): readonly Row[] {
    return linesOf(name, text).filter(({ value }) => !value.startsWith("#"));
}

/** By the ending of the file's name. */
const forms: Readonly<Record<string, (name: string, text: string) => readonly Row[]>> = {
    ".json": readJson,
    ".jsonl": (name, text) => linesOf(name, text).map(parseLine),
    ".csv": readCsv,
};

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
    const rows = parseRows(name, text);
    const columns = rows[0]?.record ?? [];
    const isKnown = columns.every((column) => requestFields.some((field) => field === column));
    const isDouble = new Set(columns).size < columns.length;
    if (!columns.includes("imageUri") || !isKnown || isDouble) {
        throw usageFailure(
            `${name} line 1 has the columns ${columns.join(", ")}: expected imageUri, and any of ${requestFields.join(", ")}, each once.`,
        );
    }
    return rows.slice(1).map(({ record, info: { lines } }) => {
        const cells = record.map((cell, at) => [columns[at] ?? "", cell] as const);
        // An empty cell is a field that is left out.
        const given = cells.filter(([, cell]) => cell !== "");
        const value = given.map(([column, cell]) => [column, column === "force" ? flagOf(cell) : cell]);
        return { where: `${name} line ${lines}`, value: Object.fromEntries(value) as unknown };
    });
}

/** Rows of CSV, each with the last line of the file that belongs to it. */
function parseRows(name: string, text: string) {
    try {
        const rows: unknown = parseCsv(text, { trim: true, skip_empty_lines: true, info: true });
        // The types of csv-parse do not know what `info` changes.
        return rows as { readonly record: readonly string[]; readonly info: { readonly lines: number } }[];
    } catch (error) {
        throw usageFailure(`${name} is not CSV: ${messageOf(error)}`);
    }
}

/** CSV knows strings only; what is neither true nor false is left for {@link checks} to refuse. */
function flagOf(cell: string): boolean | string {
    return /^(true|false)$/i.test(cell) ? cell.toLowerCase() === "true" : cell;
}

/** What each field has to be. The state machine checks the rest, as it knows the stack. */
const checks: Readonly<Record<keyof ExportRequest, (given: unknown) => unknown>> = {
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
function readRow({ where, value }: Row): BatchRequest {
    const request = typeof value === "string" ? { imageUri: value } : value;
    if (typeof request !== "object" || request === null || Array.isArray(request)) {
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
    return request as BatchRequest;
}
