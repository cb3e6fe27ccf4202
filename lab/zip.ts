/** ZIP archives, the form in which CodeBuild takes its source from S3: made and read with Python, which moto needs too. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type * as pulumi from "@pulumi/pulumi";

import { run } from "./processes";

/** Makes the ZIP archive that Pulumi would make of an archive of text assets. */
export async function zip(archive: pulumi.asset.AssetArchive): Promise<Buffer> {
    const folder = mkdtempSync(join(tmpdir(), "image-export-lab-zip-"));
    try {
        const assets = Object.entries(await archive.assets);
        const files = assets.map(([name]) => join(folder, name));
        for (const [name, asset] of assets) {
            writeFileSync(join(folder, name), await (asset as pulumi.asset.StringAsset).text);
        }
        await run("python3", ["-m", "zipfile", "-c", join(folder, "archive.zip"), ...files]);
        return readFileSync(join(folder, "archive.zip"));
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** Unpacks a ZIP archive into a folder. */
export async function unzip(archive: Uint8Array, folder: string): Promise<void> {
    const file = `${folder}.zip`;
    writeFileSync(file, archive);
    await run("python3", ["-m", "zipfile", "-e", file, folder]);
}
