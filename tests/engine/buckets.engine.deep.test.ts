/** No change of configuration deletes or replaces a bucket with archives: every way from one bucket to another, on Pulumi's own engine. */
import { strict as assert } from "node:assert";

import { stackFile } from "../../lab/stackFiles";
import { bucketType } from "./awsAccount";
import { withProject } from "./changes";
import { Engine, type EngineStack } from "./engineStack";
import { createStack, log, succeeded } from "./stackLife";

const own = "image-export-storage-bucket";
const existing = (name: string) => `image-export-storage-existing-${name}`;
const retention = (changes: object) =>
    withProject({ retention: { ...(stackFile("prod")["ecr-image-export:retention"] as object), ...changes } });
const adopts = (existingBucket: string) => withProject({ existingBucket });
const unprotected = retention({ protect: false });

describe("the bucket of archives", () => {
    let engine: Engine;
    let stack: EngineStack;
    let bucket: string;

    beforeEach(async () => {
        engine = await Engine.start();
        for (const name of ["first-archives", "second-archives"]) {
            await engine.aws.createBucket(name, { owner: "release-team" });
            await engine.aws.putObject(name, "images/nginx/1.29.tar");
        }
        stack = await createStack(engine, "prod");
    });
    afterEach(() => engine.stop());

    async function deployWithArchive(changes = {}): Promise<void> {
        succeeded(await stack.up(changes), "up prod");
        bucket = (await engine.aws.idsOf(bucketType)).find((id) => id.startsWith("image-export")) ?? "";
        if (bucket) await engine.aws.putObject(bucket, "images/nginx/1.29.tar");
    }

    /** Which settings a bucket has. */
    async function settingsOf(id: string): Promise<string[]> {
        const types = (await engine.aws.contents()).filter((line) => line.endsWith(` ${id}`));
        return types.flatMap((line) => /:(Bucket\w+) /.exec(line)?.[1] ?? []).sort();
    }
    const guards = [
        "BucketOwnershipControls",
        "BucketPolicy",
        "BucketPublicAccessBlock",
        "BucketServerSideEncryptionConfiguration",
        "BucketVersioning",
    ];

    function assertRefused(operation: { succeeded: boolean; errors: readonly string[] }, name: string): void {
        assert.equal(operation.succeeded, false);
        assert.match(operation.errors.join("\n"), new RegExp(`${name}" cannot be deleted\\nbecause it is protected`));
    }

    const deletedBuckets = () => engine.aws.deletions.filter((each) => each.startsWith(`${bucketType} `));

    it("is not let go for an existing one, and keeps its guards even where the preview is skipped", async () => {
        await deployWithArchive();
        assertRefused(await stack.up(adopts("first-archives")), own);
        assert.deepEqual(engine.aws.deletions, []);
        const operation = await stack.upWithoutPreview(adopts("first-archives"));
        log("up prod --skip-preview", operation);
        assertRefused(operation, own);
        assert.deepEqual(deletedBuckets(), []);
        const settings = await settingsOf(bucket);
        assert.deepEqual(
            guards.filter((guard) => !settings.includes(guard)),
            [],
        );
    });

    it("is not deleted by S3 where it is unprotected and has archives, keeps its guards, and can be gone back to", async () => {
        await deployWithArchive(unprotected);
        const operation = await stack.up(adopts("first-archives"));
        log("up prod, existingBucket", operation);
        assert.match(operation.errors.join("\n"), /BucketNotEmpty/);
        const settings = await settingsOf(bucket);
        assert.deepEqual(
            guards.filter((guard) => !settings.includes(guard)),
            [],
        );
        assertRefused(await stack.up(unprotected), existing("first-archives"));
        await stack.unprotect(existing("first-archives"));
        succeeded(await stack.up(unprotected), "up prod, back");
        assert.equal((await stack.outputs())["artifactBucketName"], bucket);
        assert.deepEqual(
            (await engine.aws.idsOf(bucketType)).sort(),
            ["first-archives", bucket, "second-archives"].sort(),
        );
    });

    it("is deleted where it is unprotected and empty", async () => {
        await deployWithArchive(unprotected);
        await engine.aws.empty(bucket);
        succeeded(await stack.up(adopts("first-archives")), "up prod, existingBucket");
        assert.deepEqual(deletedBuckets(), [`${bucketType} ${bucket}`]);
    });

    it("is left in AWS where it existed before, once somebody has let it go on purpose", async () => {
        await deployWithArchive(adopts("first-archives"));
        assert.deepEqual((await stack.preview(adopts("first-archives"))).steps, []);
        assertRefused(await stack.up(adopts("second-archives")), existing("first-archives"));
        assertRefused(await stack.up(), existing("first-archives"));
        assert.deepEqual(engine.aws.deletions, []);

        await stack.unprotect(existing("first-archives"));
        succeeded(await stack.up(adopts("second-archives")), "up prod, another existingBucket");
        await stack.unprotect(existing("second-archives"));
        succeeded(await stack.up(), "up prod, without existingBucket");
        assert.deepEqual(deletedBuckets(), []);
        for (const name of ["first-archives", "second-archives"]) assert.deepEqual(await settingsOf(name), guards);
    });

    it("keeps the key that its archives need, which no change deletes", async () => {
        await deployWithArchive();
        const [key] = await engine.aws.idsOf("aws:kms/key:Key");
        assertRefused(
            await stack.up({ ...unprotected, ...withProject({ encryption: "s3" }) }),
            "image-export-storage-key",
        );
        succeeded(await stack.up(unprotected), "up prod, unprotected");
        succeeded(await stack.up({ ...unprotected, ...withProject({ encryption: "s3" }) }), "up prod, encryption: s3");
        assert.deepEqual(await engine.aws.idsOf("aws:kms/key:Key"), [key]);
        assert((await engine.aws.idsOf("aws:kms/keyPolicy:KeyPolicy")).includes(key ?? ""));
    });

    it("ends a destroy with its name and the key's; unprotected, it is deleted where it is empty, and the key stays", async () => {
        await deployWithArchive();
        const refused = await stack.destroy();
        assertRefused(refused, own);
        assertRefused(refused, "image-export-storage-key");
        succeeded(await stack.up(unprotected), "up prod, unprotected");
        assert.match((await stack.destroy()).errors.join("\n"), /BucketNotEmpty/);
        await engine.aws.empty(bucket);
        succeeded(await stack.destroy(), "destroy prod");
        assert.deepEqual((await engine.aws.idsOf(bucketType)).sort(), ["first-archives", "second-archives"]);
        assert.equal((await engine.aws.idsOf("aws:kms/key:Key")).length, 1);
    });
});
