import * as path from "node:path";

let built: Promise<string> | undefined;

/**
 * Bundles the exporter with all that it uses into one ES module for Node 22 and later, and gives its text. It has no native modules and
 * reads no other file. The same sources and the same locked dependencies give the same bytes: no time, no absolute
 * path and no random name enters it. A process bundles once.
 */
export function buildExporterBundle(): Promise<string> {
    return (built ??= buildBundle("exporter/main.ts"));
}

/**
 * Bundles a program with all that it uses, in the same way.
 *
 * @param entryPoint its path in the project
 */
export async function buildBundle(entryPoint: string): Promise<string> {
    // Loaded here, since programs that bundle nothing import this file too.
    const { build } = await import("esbuild");
    const root = path.resolve(__dirname, "..");
    const result = await build({
        absWorkingDir: root,
        entryPoints: [entryPoint],
        bundle: true,
        write: false,
        platform: "node",
        target: "node22",
        // A function, not a module's body: it takes node:http by require. An import of it would load all that node:http
        // offers by getters as well (fetch's client, WebSocket), 20 ms of every start.
        format: "iife",
        minify: true,
        legalComments: "none",
        sourcemap: false,
        // An ES module has no require of its own.
        banner: {
            js: 'import{createRequire as createRequireForBundle}from"node:module";const require=createRequireForBundle(import.meta.url);',
        },
        logLevel: "silent",
    });
    const [output] = result.outputFiles;
    if (output === undefined) throw new Error("esbuild wrote no bundle");
    return output.text;
}
