#!/usr/bin/env node
/**
 * Starts the command line. It is TypeScript, which takes a second to compile: on first use it is bundled to
 * dist/cli/HASH/, and again whenever its sources or its locked dependencies have changed. The hash is of all their
 * contents, which takes a few milliseconds; what has been bundled starts at once.
 */
"use strict";
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const { enableCompileCache } = require("node:module");
const path = require("node:path");

const root = path.resolve(__dirname, "..");
const dist = path.join(root, "dist", "cli");

async function main() {
    if (Number(process.versions.node.split(".")[0]) < 22) {
        throw new Error(`Node ${process.versions.node} is too old: image-export needs Node 22 or later.`);
    }
    const folder = path.join(dist, hashOfSources());
    if (!fs.existsSync(folder)) bundle(folder);
    // Keeps what V8 has compiled, beside the bundle (Node 22.1 and later).
    enableCompileCache?.(path.join(dist, "compileCache"));
    return require(path.join(folder, "imageExport.js")).main(process.argv.slice(2), root);
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
    return hash.digest("hex").slice(0, 16);
}

/** Writes the bundle beside its place and moves it there: whoever starts at the same time finds it whole or not at all. */
function bundle(folder) {
    const draft = `${folder}.${process.pid}`;
    try {
        require("esbuild").buildSync({
            absWorkingDir: root,
            entryPoints: { imageExport: "cli/main.ts" },
            outdir: draft,
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
        fs.renameSync(draft, folder);
    } catch (error) {
        fs.rmSync(draft, { recursive: true, force: true });
        if (fs.existsSync(folder)) return;
        const next = error.code === "MODULE_NOT_FOUND" ? "\nInstall what it needs: npm ci" : "";
        const message = `The command line could not be bundled to ${dist}: ${error.message}${next}`;
        throw new Error(message, { cause: error });
    }
    // Bundles of other sources go: who runs one of them has read it as a whole. Not drafts, and not what V8 has compiled.
    for (const name of fs.readdirSync(dist)) {
        if (!/^[0-9a-f]{16}$/.test(name) || name === path.basename(folder)) continue;
        fs.rmSync(path.join(dist, name), { recursive: true, force: true, maxRetries: 3 });
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
