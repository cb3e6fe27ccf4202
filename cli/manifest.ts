/** The file of a batch: which form it has, and whether its rows can be requests. Pure. */
import { UsageFailure } from "./failure";

/** A manifest as it is uploaded. */
export interface Manifest {
    readonly text: string;
    /** Ending of the key, which tells Step Functions the form. */
    readonly ending: ".csv" | ".json" | ".jsonl";
    /** Images that it names. */
    readonly count: number;
}

const fields = ["artifactBucket", "artifactKey", "force", "imageUri", "platform"];

/**
 * Reads a manifest: a JSON list, JSON Lines, CSV with a header, or one image URI a line. The last becomes JSON.
 *
 * @param name Name of the file; its ending tells the form.
 */
export function readManifest(name: string, text: string): Manifest {
    if (name.endsWith(".json")) return fromJson(name, text);
    if (name.endsWith(".jsonl")) return fromLines(name, text);
    if (name.endsWith(".csv")) return fromCsv(name, text);
    const uris = linesOf(text).filter((line) => !line.startsWith("#"));
    uris.forEach((uri, index) => {
        checkRow(name, index, uri);
    });
    return counted(name, { text: JSON.stringify(uris), ending: ".json", count: uris.length });
}

function fromJson(name: string, text: string): Manifest {
    const rows = parse(name, "", text);
    if (!Array.isArray(rows))
        throw new UsageFailure(`${name} holds no list: expected [request, …] or [URI, …].`);
    rows.forEach((row, index) => {
        checkRow(name, index, row);
    });
    return counted(name, { text, ending: ".json", count: rows.length });
}

function fromLines(name: string, text: string): Manifest {
    const lines = linesOf(text);
    lines.forEach((line, index) => {
        checkRow(name, index, parse(name, ` row ${index + 1}`, line));
    });
    return counted(name, { text: `${lines.join("\n")}\n`, ending: ".jsonl", count: lines.length });
}

function fromCsv(name: string, text: string): Manifest {
    const [header = "", ...rows] = linesOf(text);
    const columns = header.split(",").map((column) => column.trim().replace(/^"(.*)"$/, "$1"));
    const unknown = columns.filter((column) => !fields.includes(column));
    if (!columns.includes("imageUri") || unknown.length > 0) {
        throw new UsageFailure(
            `The first line of ${name} is "${header}": expected names of columns, imageUri among them, out of ${fields.join(", ")}.`,
        );
    }
    return counted(name, { text, ending: ".csv", count: rows.length });
}

function counted(name: string, manifest: Manifest): Manifest {
    if (manifest.count === 0) throw new UsageFailure(`${name} names no image.`);
    return manifest;
}

/** A request is an image URI, or an object with fields of a request: a misspelt one would be ignored silently. */
function checkRow(name: string, index: number, row: unknown): void {
    const where = `${name} row ${index + 1}`;
    if (typeof row === "string") {
        if (!/^\S+\/\S+$/.test(row)) throw new UsageFailure(`${where} is "${row}": expected an image URI.`);
        return;
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
        throw new UsageFailure(`${where} is ${JSON.stringify(row)}: expected a request or an image URI.`);
    }
    const unknown = Object.keys(row).filter((field) => !fields.includes(field));
    if (unknown.length > 0) {
        throw new UsageFailure(
            `${where} has the field ${unknown.join(", ")}: expected ${fields.join(", ")}.`,
        );
    }
}

function parse(name: string, where: string, text: string): unknown {
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new UsageFailure(`${name}${where} is no JSON: ${error instanceof Error ? error.message : ""}`);
    }
}

function linesOf(text: string): string[] {
    return text
        .replace(/^\uFEFF/, "")
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter((line) => line !== "");
}
