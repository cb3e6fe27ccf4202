/** Files of requests, and of the images of a set: read in any of their forms, checked, and turned into one. */
import { readFile } from "node:fs/promises";
import * as path from "node:path";
import { text as textOf } from "node:stream/consumers";

import { parse as parseCsv } from "csv-parse/sync";

import { messageOf } from "../contract/errors";
import { parseImageUri, parseReference } from "../contract/image";
import { isObject, type JsonObject } from "../contract/json";
import { parsePlatform } from "../contract/platform";
import {
    latest,
    receivers,
    requestDefaults,
    type RequestedImage,
    type RequestedSince,
    type RequestField,
    requestFlags,
} from "../contract/request";
import { readSet } from "../exporter/images";
import type { Values } from "./context";
import { usageFailure } from "./failure";

/** A row of a file, and its place there, for people. */
interface Row {
    readonly where: string;
    readonly value: unknown;
}

/** The fields that a row may have, and how each is checked. */
type Checks = Readonly<Partial<Record<RequestField, (given: unknown) => unknown>>>;

/** An image of a set, of Amazon ECR. */
export const ecrImage = {
    imageUri: (given) => parseImageUri(asString(given)),
    platform: (given) => parsePlatform(asString(given)),
} satisfies Checks;

/** An image of a set, of any registry. */
export const anyImage = { ...ecrImage, imageUri: (given) => parseReference(asString(given)) } satisfies Checks;

/** A request. The state machine checks the rest, as it knows the stack. */
const request: Required<Checks> = {
    imageUri: ecrImage.imageUri,
    images: (given) => Array.isArray(given) || refuse("expected an array of images"),
    artifactBucket: asString,
    artifactKey: asString,
    platform: ecrImage.platform,
    referrers: asFlag,
    since: asSince,
    force: asFlag,
};

/**
 * What a command is to export: one image, as it was given, or the images of a set; undefined where none was given.
 *
 * @param from File with images of a set, as {@link readManifest} reads it.
 * @param image What such an image may be.
 */
export async function readImages(given: readonly string[], from: string | undefined, image: Checks) {
    if (from === undefined && given.length < 2) return given[0];
    const listed = from === undefined ? [] : await readManifestFile(from, image);
    return [...given, ...(listed as unknown as readonly RequestedImage[])];
}

/** Reads a file, or stdin for `-`, as {@link readManifest} does. */
export async function readManifestFile(file: string, checks?: Checks): Promise<JsonObject[]> {
    return readManifest(file, await (file === "-" ? textOf(process.stdin) : readFile(file, "utf8")), checks);
}

/**
 * Reads a manifest: a JSON list, JSON Lines, CSV with a header, or one image URI a line, with a platform after it or without. Only
 * what has been checked is returned, so that nothing else can be uploaded.
 *
 * @param name Name of the file; its ending decides the form.
 * @param checks By default those of a request.
 * @throws Failure that names the row
 */
export function readManifest(name: string, text: string, checks: Checks = request): JsonObject[] {
    try {
        const read = forms[path.extname(name)] ?? readLines;
        // Excel marks UTF-8 with a byte order mark.
        const rows = read(text.replace(/^\uFEFF/, ""), Object.keys(checks));
        return rows.length === 0 ? refuse("names no image.") : rows.map((row) => readRow(row, checks));
    } catch (error) {
        throw usageFailure(`${name} ${messageOf(error)}`);
    }
}

const forms: Readonly<Record<string, (text: string, fields: readonly string[]) => readonly Row[]>> = {
    ".json": readJson,
    ".jsonl": (text) => linesOf(text).map(({ where, value }) => ({ where, value: parseJson(value, `${where} `) })),
    ".csv": readCsv,
};

function readLines(text: string): readonly Row[] {
    return linesOf(text).flatMap(({ where, value }) => {
        const [imageUri = "", platform, ...more] = value.replace(/(^|\s+)#.*/, "").split(/\s+/);
        if (more.length > 0) refuse(`${where} is "${value}": expected an image URI, and at most a platform after it.`);
        if (imageUri === "") return [];
        return { where, value: platform === undefined ? imageUri : { imageUri, platform } };
    });
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

function readCsv(text: string, fields: readonly string[]): readonly Row[] {
    try {
        const rows: unknown = parseCsv(text, {
            trim: true,
            skip_empty_lines: true,
            columns: (columns: string[]) => checkedColumns(columns, fields),
            cast: (cell, { column }) => (requestFlags.some((flag) => flag === column) ? flagOf(cell) : cell),
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

function checkedColumns(columns: string[], known: readonly string[]): string[] {
    if (columns.includes("images")) refuse("line 1 has the column images: write sets as JSON or JSON Lines");
    const fields = known.filter((field) => field !== "images");
    const isDouble = new Set(columns).size < columns.length;
    if (columns.includes("imageUri") && columns.every((column) => fields.includes(column)) && !isDouble) return columns;
    const expected = `expected imageUri, and any of ${fields.join(", ")}, each once`;
    return refuse(`line 1 has the columns ${columns.join(", ")}: ${expected}`);
}

/** CSV knows strings only; what is neither true nor false is left for {@link checks} to refuse. */
function flagOf(cell: string): boolean | string {
    return /^(true|false)$/i.test(cell) ? cell.toLowerCase() === "true" : cell;
}

/** What the other side has already, out of the options of a command. */
export function readSince({ since, sinceFor }: Values<"since" | "sinceFor">): RequestedSince | undefined {
    const receiver = receivers.find((each) => each === sinceFor);
    if (receiver === undefined && sinceFor === undefined) return since;
    if (receiver !== undefined && since !== undefined) return { key: since, for: receiver };
    throw usageFailure(`--since-for is "${sinceFor ?? ""}".`, `Give ${receivers.join(" or ")}, and --since.`);
}

function asSince(given: unknown): unknown {
    const { key, for: receiver = "docker", ...others } = isObject(given) ? given : { key: given };
    const isGood = typeof key === "string" && receivers.some((each) => each === receiver);
    if (isGood && Object.keys(others).length === 0) return given;
    return refuse(
        `expected the key of an archive, ${latest}, or an object with key and for (${receivers.join(" or ")})`,
    );
}

function asFlag(given: unknown): boolean {
    return typeof given === "boolean" ? given : refuse("expected true or false");
}

function asString(given: unknown): string {
    return typeof given === "string" ? given : refuse("expected a string");
}

function refuse(message: string): never {
    throw new Error(message);
}

/** A row is an image URI, or an object. */
function readRow({ where, value }: Row, checks: Checks): JsonObject {
    const row = typeof value === "string" ? { imageUri: value } : value;
    const fields = Object.keys(checks).join(", ");
    if (!isObject(row)) {
        return refuse(`${where} is ${JSON.stringify(value)}: expected an image URI, or an object with ${fields}.`);
    }
    for (const [field, given] of Object.entries(row)) {
        const [, check] = Object.entries(checks).find(([name]) => name === field) ?? [];
        if (check === undefined) return refuse(`${where} has the field ${field}: expected ${fields}.`);
        try {
            check(given);
        } catch (error) {
            refuse(`${where} has the ${field} ${JSON.stringify(given)}: ${messageOf(error)}`);
        }
    }
    if ("images" in row) checkSet(where, row);
    else if (!("imageUri" in row)) refuse(`${where} has no imageUri.`);
    return row;
}

function checkSet(where: string, { images, platform, ...others }: JsonObject): void {
    if ("imageUri" in others) refuse(`${where} has imageUri and images: expected one of them.`);
    if (!("artifactKey" in others)) refuse(`${where} has images and no artifactKey.`);
    const rows = (images as readonly unknown[]).map((value, at) =>
        readRow({ where: `${where}, image ${at + 1},`, value }, ecrImage),
    );
    try {
        readSet(rows as unknown as readonly RequestedImage[], (platform ?? requestDefaults.platform) as string);
    } catch (error) {
        refuse(`${where}: ${messageOf(error)}`);
    }
}
