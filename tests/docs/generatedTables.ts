/**
 * The tables of the pages that are made of the code: the keys of docs/configuration.md, of the schema in config.ts, the errors of
 * docs/requests.md, of contract/errors.ts, the reports of docs/results/reports.md, of what is tried, and the measurements of
 * docs/engines.md, of bench/results. `npm run docs` writes them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { z } from "zod";

import { configurationSchema } from "../../config";
import { exportErrors } from "../../contract/errors";
import { root } from "../../lab/stackFiles";
import { reportRows } from "../exporter/reports";
import { measurementRows } from "./measurements";

type Schema = z.core.JSONSchema.JSONSchema;

/** A table, and the comments of the page that it stands between. */
interface GeneratedTable {
    /** Path of the page. */
    readonly page: string;
    /** What the comments call it. */
    readonly name: string;
    readonly head: readonly string[];
    readonly rows: () => string[][];
}

/** Every generated table. */
export const generatedTables: readonly GeneratedTable[] = [
    {
        page: "docs/configuration.md",
        name: "keys",
        head: ["key", "type", "default", "meaning"],
        rows: () => fieldsOf("", configurationSchema),
    },
    {
        page: "docs/requests.md",
        name: "errors",
        head: ["error", "status", "means", "what to do"],
        rows: () =>
            Object.entries(exportErrors).map(([name, error]) => [
                `\`${name}\``,
                String(error.exitStatus),
                error.means,
                error.remedy,
            ]),
    },
    {
        page: "docs/results/reports.md",
        name: "reports",
        head: ["report", "what failed", "input here", "result"],
        rows: reportRows,
    },
    {
        page: "docs/engines.md",
        name: "measurements",
        head: ["way", "wall time", "times the limit", "peak memory", "disk"],
        rows: measurementRows,
    },
];

/** What the page of a table is, and what it has to be. */
export function pageWith({ page, name, head, rows }: GeneratedTable): {
    readonly is: string;
    readonly shouldBe: string;
} {
    const is = readFileSync(join(root, page), "utf8");
    const begin = `<!-- ${name}: made by npm run docs -->`;
    const end = `<!-- end of ${name} -->`;
    const [before, rest = ""] = is.split(begin);
    const after = rest.split(end)[1];
    if (before === undefined || after === undefined) throw new Error(`${page} has no place for ${name}`);
    const lines = [head, head.map(() => "---"), ...rows()].map((cells) => `| ${cells.join(" | ")} |`);
    const table = ["<!-- prettier-ignore -->", ...lines].join("\n");
    return { is, shouldBe: `${before}${begin}\n\n${table}\n\n${end}${after}` };
}

function fieldsOf(path: string, { properties = {}, required = [] }: Schema): string[][] {
    return Object.entries(properties).flatMap(([name, property]) =>
        rowsOf(`${path}${name}`, property as Schema, required.includes(name)),
    );
}

/** The row of a key, and below it those of its fields. */
function rowsOf(path: string, schema: Schema, required: boolean): string[][] {
    const { description = "", default: value } = schema;
    const inner = [schema, ...(schema.anyOf ?? [])].flatMap((each) => fieldsOf(`${path}.`, each));
    const items = schema.type === "array" ? fieldsOf(`${path}[].`, schema.items as Schema) : [];
    const isWhole = inner.length > 0 && schema.type === "object"; // the defaults are those of its fields
    const usual = required
        ? "required"
        : value === undefined || isWhole
          ? ""
          : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
    return [[`\`${path}\``, typeOf(schema), usual, description], ...inner, ...items];
}

function typeOf({ type, enum: names, anyOf, items, minimum, maximum }: Schema): string {
    if (anyOf) return anyOf.map(typeOf).join(" or ");
    if (names) return names.map((name) => `\`${String(name)}\``).join(", ");
    if (type === "integer") return `integer, ${minimum} to ${maximum}`;
    if (type !== "array") return String(type);
    const item = items as Schema;
    return `list of ${[item, ...(item.anyOf ?? [])]
        .flatMap((each) => each.type ?? [])
        .map((each) => `${each}s`)
        .join(" or ")}`;
}

if (require.main === module) {
    for (const table of generatedTables) writeFileSync(join(root, table.page), pageWith(table).shouldBe);
}
