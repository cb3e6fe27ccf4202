/** `npm run bundle`: writes the exporter as one file, dist/exporter.mjs, which needs nothing but Node 22 or later. */
import { mkdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { buildExporterBundle, bundleFileName } from "./bundle";

async function writeBundle(): Promise<void> {
    const file = path.resolve(__dirname, "..", "dist", bundleFileName);
    const text = await buildExporterBundle();
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`${path.relative(process.cwd(), file)}: ${(text.length / 1024).toFixed(0)} KiB`);
}

void writeBundle();
