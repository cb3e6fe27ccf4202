/**
 * `npm run schema`: writes component/schema.json, the schema of the package as Pulumi infers it from the sources. It is what
 * programs in other languages see of the component; a test holds it against what the plugin answers.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { ComponentProvider } from "@pulumi/pulumi/provider/experimental";
import * as prettier from "prettier";

import { ImageExport } from "../imageExport";

async function writeSchema(): Promise<void> {
    const provider = new ComponentProvider({
        name: "ecr-image-export",
        dirname: __dirname,
        components: [ImageExport],
    });
    writeFileSync(
        join(__dirname, "schema.json"),
        await prettier.format(await provider.getSchema(), { parser: "json", tabWidth: 2, printWidth: 110 }),
    );
}

void writeSchema();
