/** The whole program: index.ts, loaded as a stack. */
import { createRequire } from "node:module";

import * as pulumi from "@pulumi/pulumi";

import { stackConfiguration } from "./stackFiles";
import { evaluate, type Evaluation } from "./evaluation";

const load = createRequire(__filename);

/**
 * Runs index.ts with the configuration that is set.
 *
 * @returns the stack's outputs.
 */
export function runIndex(): Record<string, unknown> {
    const program = load.resolve("../index");
    Reflect.deleteProperty(load.cache, program); // a program runs when it is loaded, and is loaded once
    return { ...(load(program) as Record<string, unknown>) };
}

/**
 * Runs index.ts with a configuration by full key. To be called under {@link evaluate}.
 *
 * @returns the stack's outputs.
 */
export function runProgram(configuration: Record<string, string>): Record<string, unknown> {
    pulumi.runtime.setAllConfig(configuration);
    return runIndex();
}

const evaluations = new Map<string, Promise<Evaluation>>();

/**
 * Evaluates index.ts as a stack, once in a process for each configuration; its result are the stack's outputs.
 *
 * @param stack Name of the stack, whose file is read.
 * @param changes Configuration in the place of the file's, by full key.
 * @param folder Folder of the stack's file below the root.
 */
export function evaluateStack(
    stack: string,
    preview: boolean,
    changes: Record<string, string> = {},
    folder = ".",
): Promise<Evaluation> {
    const configuration = { ...stackConfiguration(stack, folder), ...changes };
    const key = JSON.stringify([stack, preview, Object.entries(configuration).sort()]);
    const evaluation = evaluations.get(key) ?? evaluate(() => runProgram(configuration), { stack, preview });
    evaluations.set(key, evaluation);
    return evaluation;
}
