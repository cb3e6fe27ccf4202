/**
 * `npm run build:package`: makes `package/` ready for `npm pack`. Beside the compiled components it has what they read, so that
 * the package needs no compiler and no bundler: the buildspecs and the exporter.
 */
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { buildExporterBundle, bundleFileName } from "../exporter/bundle";

const root = join(__dirname, "..");

/** Builds the package in `package/dist`, in place of what is there. */
export async function buildPackage(): Promise<void> {
    const dist = join(__dirname, "dist");
    rmSync(dist, { recursive: true, force: true });
    const compiler = require.resolve("typescript/bin/tsc");
    execFileSync(process.execPath, [compiler, "--project", __dirname], { stdio: "inherit" });
    cpSync(join(root, "buildspec"), join(dist, "buildspec"), { recursive: true });
    cpSync(join(root, "LICENSE"), join(__dirname, "LICENSE"));
    writeFileSync(join(dist, bundleFileName), await buildExporterBundle());
}

if (require.main === module) void buildPackage();
