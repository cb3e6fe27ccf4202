/** docs/adopt.md: the import file and the URNs are those of the program with an existing bucket. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { evaluateStack } from "../../lab/program";
import type { Evaluation, RecordedResource } from "../../lab/evaluation";

/** A resource of an import file: www.pulumi.com/docs/iac/guides/migration/import */
interface Imported {
    readonly type: string;
    readonly name: string;
    readonly logicalName?: string;
    readonly id?: string;
    readonly parent?: string;
    readonly component?: boolean;
}

describe("docs/adopt.md", () => {
    const text = readFileSync(join(root, "docs/adopt.md"), "utf8");
    const [, file = ""] = /<<'JSON'\n([\s\S]*?)\nJSON\n/.exec(text) ?? [];
    const { resources } = JSON.parse(file) as { resources: Imported[] };
    let program: Evaluation;

    before(async () => {
        program = await evaluateStack("prod", false, {
            "ecr-image-export:existingBucket": "my-image-archives",
        });
    });

    /** The URN that the engine makes of a resource: the types of its parents, its own, and its name. The mocks' is shorter. */
    function urnOf(types: readonly string[], name: string): string {
        return `urn:pulumi:prod::ecr-image-export::${types.join("$")}::${name}`;
    }

    function urnInFile({ type, name, logicalName, parent }: Imported): string {
        const types = [type];
        for (let above = parent; above !== undefined;) {
            const wanted: string = above;
            const found: Imported | undefined = resources.find((each) => each.name === wanted);
            assert(found, `${wanted} is not in the file`);
            types.unshift(found.type);
            above = found.parent;
        }
        return urnOf(types, logicalName ?? name);
    }

    /** A resource of the program and its parents, from the top. */
    function lineageOf(resource: RecordedResource): RecordedResource[] {
        const parent = program.resources.find(({ urn }) => urn === resource.parent);
        return [...(parent ? lineageOf(parent) : []), resource];
    }

    function urnInProgram(resource: RecordedResource): string {
        return urnOf(
            lineageOf(resource).map(({ type }) => type),
            resource.name,
        );
    }

    it("imports the bucket and the components that it is in, as the program declares them", () => {
        const bucket = program.resource("image-export-storage-bucket");
        assert.deepEqual(resources.map(urnInFile), lineageOf(bucket).map(urnInProgram));
        for (const { component, id } of resources.slice(0, -1)) {
            assert.deepEqual([component, id], [true, undefined]);
        }
        assert.equal(resources.at(-1)?.id, bucket.importId);
    });

    it("names URNs that the program has", () => {
        const urns = text.match(/urn:pulumi:[^\s']+/g) ?? [];
        assert.equal(urns.length, 2);
        const known = program.resources.map(urnInProgram);
        for (const urn of urns) assert(known.includes(urn), `${urn} is not in the program`);
    });

    it("configures what the program takes", () => {
        const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
        assert.match(yaml, /existingBucket: my-image-archives\n/);
        assert.match(yaml, /archiveDays: 0\n {2}oldVersionDays: 0\n/);
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
        const sides = program
            .customResources()
            .filter(
                ({ inputs, type }) =>
                    inputs["bucket"] === "my-image-archives" && !/:Bucket(?:Objectv2)?$/.test(type),
            )
            .map(({ type }) => type.split(":").at(-1) ?? "");
        assert.deepEqual(sides.sort(), Object.keys(settings));
        for (const setting of [...Object.values(settings), "tags"]) {
            assert.match(text, new RegExp(`^\\| ${setting} +\\|`, "m"));
        }
    });
});
