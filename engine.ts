import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Engine } from "./components/buildRunner";
import type { StackConfig } from "./config";
import { buildExporterBundle } from "./exporter/bundle";

/**
 * The configured engine with what its builds run: the buildspec and, for engine `stream`, the exporter, which
 * `components/` take as arguments.
 */
export function loadEngine({ engine, cache }: Pick<StackConfig, "engine" | "cache">): Engine {
    const buildspec = readFileSync(join(__dirname, "buildspec", `${engine}.yml`), "utf8");
    return engine === "docker"
        ? { name: engine, buildspec, keepLayers: cache === "local" }
        : { name: engine, buildspec, bundle: buildExporterBundle() };
}
