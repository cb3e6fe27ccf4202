/** The configuration that Pulumi would hand to the program: defaults of Pulumi.yaml, then the stack's own file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

/** The root of the project. */
export const root = join(__dirname, "../..");

/** One key of `config:` in Pulumi.yaml. */
export interface Declaration {
    readonly type: string;
    readonly items?: { readonly type: string };
    readonly default?: unknown;
    readonly description?: string;
}

interface Project {
    readonly name: string;
    readonly config: Record<string, Declaration>;
}

/** Pulumi.yaml. */
export function project(): Project {
    return yaml("Pulumi.yaml") as Project;
}

/** The configuration of a stack, by full key; structured values are JSON texts, as Pulumi hands them over. */
export function stackConfig(stack: string): Record<string, string> {
    const { name, config: declarations } = project();
    const defaults = Object.entries(declarations)
        .filter(([, declaration]) => declaration.default !== undefined)
        .map(([key, declaration]): [string, unknown] => [`${name}:${key}`, declaration.default]);
    const { config } = yaml(`Pulumi.${stack}.yaml`) as { config: Record<string, unknown> };
    return Object.fromEntries(
        Object.entries({ ...Object.fromEntries(defaults), ...config }).map(([key, value]) => [
            key,
            asText(value),
        ]),
    );
}

/** A configuration value as Pulumi hands it over. */
export function asText(value: unknown): string {
    return typeof value === "string" ? value : JSON.stringify(value);
}

function yaml(file: string): unknown {
    return parse(readFileSync(join(root, file), "utf8"));
}
