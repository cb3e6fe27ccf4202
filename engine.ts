import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import type { Engine } from "./components/buildRunner";
import { buildExporterBundle, bundleFileName } from "./exporter/bundle";
import type { CacheName, EngineName } from "./settings";

/**
 * An engine with what its builds run: the buildspec and, for engine `stream`, the exporter. `components/` take both as
 * arguments.
 *
 * @param name The engine.
 * @param cache What builds of engine `docker` keep for the next one.
 */
export function loadEngine(name: EngineName, cache: CacheName): Engine {
    const buildspec = readFileSync(join(__dirname, "buildspec", `${name}.yml`), "utf8");
    return name === "docker"
        ? { name, buildspec, keepLayers: cache === "local" }
        : { name, buildspec, bundle: loadExporter() };
}

/** The published package has the exporter ready, beside this file; in the project it is made of the sources as they are. */
function loadExporter(): Promise<string> {
    const file = join(__dirname, bundleFileName);
    return existsSync(file) ? readFile(file, "utf8") : buildExporterBundle();
}
