/** docs/adopt.md: the names and settings are those of the program with an existing bucket. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import { customResourcesOf, type Evaluation, resourceOf } from "../../lab/evaluation";
import { evaluateStack } from "../../lab/program";
import { configurationOf, root } from "../../lab/stackFiles";

describe("docs/adopt.md", () => {
    const text = readFileSync(join(root, "docs/adopt.md"), "utf8");
    let program: Evaluation;

    before(async () => {
        const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
        program = await evaluateStack("prod", false, configurationOf(parse(yaml) as Record<string, unknown>));
    });

    const bucket = () => resourceOf(program, "image-export-storage-existing-my-image-archives");

    it("names the bucket as the program imports and protects it", () => {
        assert.equal(bucket().importId, "my-image-archives");
        assert(text.includes(`\`import\` for \`${bucket().name}\``));
    });

    it("names the stack's own bucket", async () => {
        const own = await evaluateStack("prod", false);
        const [name = ""] = /image-export-[a-z-]+(?=\$'\))/.exec(text) ?? [];
        assert.equal(resourceOf(own, name).type, "aws:s3/bucket:Bucket");
    });

    it("names every setting of the bucket that the stack replaces", () => {
        const settings: Record<string, string> = {
            BucketLifecycleConfiguration: "lifecycle",
            BucketOwnershipControls: "object ownership",
            BucketPolicy: "bucket policy",
            BucketPublicAccessBlock: "public access",
            BucketServerSideEncryptionConfiguration: "default encryption",
            BucketVersioning: "versioning",
        };
        const sides = customResourcesOf(program)
            .filter(
                ({ inputs, type }) => inputs["bucket"] === "my-image-archives" && !/:Bucket(?:Objectv2)?$/.test(type),
            )
            .map(({ type }) => type.split(":").at(-1) ?? "");
        assert.deepEqual(sides.sort(), Object.keys(settings));
        for (const setting of [...Object.values(settings), "tags"]) {
            assert.match(text, new RegExp(`^\\| ${setting} +\\|`, "m"));
        }
    });
});
