/** The configuration that Pulumi would hand to the program: defaults of Pulumi.yaml, then the stack's own file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

/** The root of the project. */
export const root = join(__dirname, "..");

/** Reads Pulumi.yaml. */
export function readProject() {
    return readYaml("Pulumi.yaml") as { name: string; config: Record<string, { default?: unknown }> };
}

/**
 * The configuration of a stack by full key, as `pulumi.runtime.setAllConfig` takes it.
 *
 * @param stack Name of the stack, for instance `dev`.
 * @param folder Folder of the stack's file below the root, for instance `examples/stacks`.
 */
export function stackConfiguration(stack: string, folder = "."): Record<string, string> {
    const defaults = Object.entries(readProject().config).flatMap(([key, declaration]) =>
        declaration.default === undefined ? [] : [[key, declaration.default] as const],
    );
    return configurationOf({ ...Object.fromEntries(defaults), ...stackFile(stack, folder) });
}

/** The keys of a stack's own file, as they are written there. */
export function stackFile(stack: string, folder = "."): Record<string, unknown> {
    const { config } = readYaml(join(folder, `Pulumi.${stack}.yaml`)) as { config: Record<string, unknown> };
    return config;
}

/** A configuration value as Pulumi hands it over: structured values are JSON texts. */
export function configurationText(value: unknown): string {
    return typeof value === "string" ? value : JSON.stringify(value);
}

/** Values by key, one of the program's own without its namespace, as a stack's configuration has them. */
export function configurationOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
    return Object.fromEntries(
        Object.entries(values).map(([key, value]) => [
            key.includes(":") ? key : `ecr-image-export:${key}`,
            configurationText(value),
        ]),
    );
}

function readYaml(file: string): unknown {
    return parse(readFileSync(join(root, file), "utf8"));
}
