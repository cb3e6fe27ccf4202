/** Reads the configuration that `pulumi up` would give the program, from Pulumi.yaml and the stack's own file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

const root = join(__dirname, "..");

/** Name of the project, from Pulumi.yaml. */
export function projectName(): string {
    return readProject().name;
}

/**
 * The configuration of a stack, as `pulumi.runtime.setAllConfig` takes it: full keys, structured values as JSON.
 *
 * @param stack Name of the stack, for instance `dev`.
 */
export function stackConfiguration(stack: string): Record<string, string> {
    const project = readProject();
    const defaults = Object.entries(project.config ?? {}).map(
        ([key, { default: value }]): [string, unknown] => [`${project.name}:${key}`, value],
    );
    const { config: values = {} } = readYaml(`Pulumi.${stack}.yaml`) as { config?: Record<string, unknown> };
    return Object.fromEntries(
        [...defaults, ...Object.entries(values)]
            .filter(([, value]) => value !== undefined)
            .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
    );
}

function readProject(): { name: string; config?: Record<string, { default?: unknown }> } {
    return readYaml("Pulumi.yaml") as ReturnType<typeof readProject>;
}

function readYaml(file: string): unknown {
    return parse(readFileSync(join(root, file), "utf8"));
}
