/** Loads a program that is none of the root's: bootstrap/, or one of examples/. */
import { createRequire, registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { root } from "../../lab/stackFiles";

type Outputs = Record<string, unknown>;

const load = createRequire(__filename);

/** Packages that only the program has, and what stands for them here. */
const standIns: Readonly<Record<string, string>> = { "@pulumi/pulumiservice": "./pulumiservice" };

/**
 * Loads the `index.ts` of a folder, which declares its resources. Its packages are the root's, whether or not the folder has its
 * own: Pulumi's runtime is one for a process.
 *
 * @returns the outputs of the program's stack.
 */
export function loadOtherProgram(folder: string): Outputs | Promise<Outputs> {
    const own = pathToFileURL(join(root, folder)).href;
    const hooks = registerHooks({
        resolve: (specifier, context, next) =>
            specifier.startsWith("@pulumi/") && context.parentURL?.startsWith(own)
                ? next(load.resolve(standIns[specifier] ?? specifier), context)
                : next(specifier, context),
    });
    try {
        for (const path of Object.keys(load.cache).filter((each) => each.startsWith(join(root, folder)))) {
            Reflect.deleteProperty(load.cache, path); // a program runs when it is loaded, and is loaded once
        }
        const program = load(join(root, folder, "index.ts")) as Outputs | (() => Promise<Outputs>);
        return typeof program === "function" ? program() : { ...program };
    } finally {
        hooks.deregister();
    }
}
