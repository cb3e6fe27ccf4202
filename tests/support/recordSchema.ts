/** Judges export records by their schema. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import Ajv from "ajv/dist/2020";

import { root } from "../../lab/stackFiles";

/** The schema of export records. */
const recordSchema: unknown = JSON.parse(readFileSync(join(root, "docs", "export-record.schema.json"), "utf8"));

/** Closed, where the schema is open for what a later release may add: what is written here and now is in the schema. */
// The two forms require what is defined above them.
const rules = { allErrors: true, strict: true, strictTypes: false, strictRequired: false };
const validate = new Ajv(rules).compile(closed(recordSchema) as object);

/** Asserts that a text is a record, and gives it. */
export function assertRecord(text: string | undefined): Record<string, unknown> {
    const record = JSON.parse(text ?? "") as Record<string, unknown>;
    assert(validate(record), `${JSON.stringify(validate.errors, null, 2)} in ${text}`);
    return record;
}

function closed(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map(closed);
    if (typeof schema !== "object" || schema === null) return schema;
    const entries = Object.entries(schema).map(([key, value]): [string, unknown] => [key, closed(value)]);
    return { ...Object.fromEntries(entries), ...("properties" in schema && { additionalProperties: false }) };
}
