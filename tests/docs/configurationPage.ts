/** The table of docs/configuration.md, made of the schema in config.ts. `npm run docs:configuration` writes it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { z } from "zod";

import { configurationSchema } from "../../config";
import { root } from "../../lab/stackFiles";

type Schema = z.core.JSONSchema.JSONSchema;

const file = join(root, "docs", "configuration.md");
const [begin, end] = ["<!-- keys: made by npm run docs:configuration -->", "<!-- end of keys -->"];

/** What docs/configuration.md is, and what it has to be. */
export function configurationPage(): { readonly is: string; readonly shouldBe: string } {
    const is = readFileSync(file, "utf8");
    const [before, rest = ""] = is.split(begin);
    const after = rest.split(end)[1];
    if (before === undefined || after === undefined) throw new Error(`${file} has no place for the keys`);
    return { is, shouldBe: `${before}${begin}\n\n${keyTable()}\n\n${end}${after}` };
}

function keyTable(): string {
    const rows = fieldsOf("", configurationSchema).map((row) => `| ${row.join(" | ")} |`);
    return [
        "<!-- prettier-ignore -->",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
        ...rows,
    ].join("\n");
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
    return type === "array" ? `list of ${String((items as Schema).type)}s` : String(type);
}

if (require.main === module) writeFileSync(file, configurationPage().shouldBe);
