#!/usr/bin/env node
/**
 * Starts the command line. It is TypeScript, which takes a second to compile: on first use it is bundled to dist/cli/, and again
 * whenever its sources or its locked dependencies have changed. The first line of the bundle is a hash of all their contents,
 * which takes a few milliseconds; what has been bundled starts at once.
 */
"use strict";
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const { enableCompileCache } = require("node:module");
const path = require("node:path");

const root = path.resolve(__dirname, "..");
const dist = path.join(root, "dist", "cli");
const bundle = path.join(dist, "imageExport.js");

async function main() {
    if (Number(process.versions.node.split(".")[0]) < 22) {
        throw new Error(`Node ${process.versions.node} is too old: image-export needs Node 22 or later.`);
    }
    const firstLine = `// ${hashOfSources()}\n`;
    if (!fs.existsSync(bundle) || !fs.readFileSync(bundle, "utf8").startsWith(firstLine)) makeBundle(firstLine);
    // Keeps what V8 has compiled, beside the bundle (Node 22.1 and later).
    enableCompileCache?.(path.join(dist, "compileCache"));
    return require(bundle).main(process.argv.slice(2), root);
}

/** Of the rooms that the bundle is made of, and of the lock file, which stands for node_modules. */
function hashOfSources() {
    const hash = createHash("sha256");
    const files = ["cli", "contract", "exporter"].flatMap((room) => {
        const names = fs.readdirSync(path.join(root, room), { recursive: true }).sort();
        return names.filter((name) => /\.[jt]s$/.test(name)).map((name) => path.join(room, name));
    });
    for (const file of [...files, "package-lock.json"]) {
        hash.update(`${file}\0`).update(fs.readFileSync(path.join(root, file)));
    }
    return hash.digest("hex");
}

/** Writes the bundle beside its place and moves it there: whoever starts at the same time finds it whole or not at all. */
function makeBundle(firstLine) {
    const draft = `${bundle}.${process.pid}`;
    try {
        require("esbuild").buildSync({
            absWorkingDir: root,
            entryPoints: ["cli/main.ts"],
            outfile: draft,
            banner: { js: firstLine.trim() },
            bundle: true,
            platform: "node",
            target: "node22",
            format: "cjs",
            // The ES modules of the AWS SDK: what is not used of them is left out.
            mainFields: ["module", "main"],
            // Without keepNames: the exporter's hashing thread is carried as the text of a function, which the helper that
            // keeps names is no part of.
            minify: true,
            legalComments: "none",
            logLevel: "silent",
        });
        fs.renameSync(draft, bundle);
    } catch (error) {
        fs.rmSync(draft, { force: true });
        const next = error.code === "MODULE_NOT_FOUND" ? "\nInstall what it needs: npm ci" : "";
        const message = `The command line could not be bundled to ${dist}: ${error.message}${next}`;
        throw new Error(message, { cause: error });
    }
}

// Not process.exit: what was written to a pipe would be lost.
main().then(
    (code) => {
        process.exitCode = code;
    },
    (error) => {
        process.stderr.write(`Error ${error.message}\n`);
        process.exitCode = 1;
    },
);
