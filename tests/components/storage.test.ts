import { strict as assert } from "node:assert";

import { ArtifactStorage, type Retention } from "../../components/storage";
import { itKeepsTheHouseRules } from "../support/houseRules";
import { evaluate, type Evaluation } from "../support/pulumiMocks";

const tags = { project: "ecr-image-export", team: "platform" };
const guarded: Retention = { archiveDays: 90, oldVersionDays: 30, protect: true };
const bucket = "test-bucket-0a1b2c3";

function evaluateStorage(retention: Partial<Retention> = {}): Promise<Evaluation> {
    return evaluate(() => ({
        storage: new ArtifactStorage("test", {
            artifactPrefix: "images/",
            retention: { ...guarded, ...retention },
            tags,
        }).urn,
    }));
}

function lifecycleRules(evaluation: Evaluation): unknown {
    return evaluation.resource("test-lifecycle").inputs["rules"];
}

describe("ArtifactStorage", () => {
    let storage: Evaluation;
    before(async () => {
        storage = await evaluateStorage();
    });

    itKeepsTheHouseRules(() => storage, tags);

    it("is a bucket and its side resources", () => {
        assert.deepEqual(storage.typesAndNames(), [
            "aws:s3/bucket:Bucket test-bucket",
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration test-lifecycle",
            "aws:s3/bucketOwnershipControls:BucketOwnershipControls test-ownership",
            "aws:s3/bucketPolicy:BucketPolicy test-policy",
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock test-access-block",
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration test-encryption",
            "aws:s3/bucketVersioning:BucketVersioning test-versioning",
            "ecr-image-export:index:ArtifactStorage test",
        ]);
    });

    it("applies every side resource to its own bucket", () => {
        for (const { name, inputs } of storage.customResources()) {
            if (name !== "test-bucket") assert.equal(inputs["bucket"], bucket, name);
        }
    });

    it("refuses to destroy a protected bucket", () => {
        const resource = storage.resource("test-bucket");
        assert.equal(resource.protect, true);
        assert.deepEqual(resource.inputs, { forceDestroy: false, tags });
    });

    it("lets an unprotected bucket be destroyed with its contents", async () => {
        const resource = (await evaluateStorage({ protect: false })).resource("test-bucket");
        assert.equal(resource.protect, false);
        assert.deepEqual(resource.inputs, { forceDestroy: true, tags });
    });

    it("protects nothing but the bucket", () => {
        const names = storage.resources.filter(({ protect }) => protect).map(({ name }) => name);
        assert.deepEqual(names, ["test-bucket"]);
    });

    it("encrypts with AES256", () => {
        assert.deepEqual(storage.resource("test-encryption").inputs["rules"], [
            { applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } },
        ]);
    });

    it("blocks public access on all four counts", () => {
        assert.deepEqual(storage.resource("test-access-block").inputs, {
            bucket,
            blockPublicAcls: true,
            blockPublicPolicy: true,
            ignorePublicAcls: true,
            restrictPublicBuckets: true,
        });
    });

    it("owns every object and knows no ACLs", () => {
        assert.deepEqual(storage.resource("test-ownership").inputs["rule"], {
            objectOwnership: "BucketOwnerEnforced",
        });
    });

    it("keeps versions", () => {
        assert.deepEqual(storage.resource("test-versioning").inputs["versioningConfiguration"], {
            status: "Enabled",
        });
    });

    it("denies everybody everything without TLS, and allows nobody anything", () => {
        assert.deepEqual(storage.resource("test-policy").inputs["policy"], {
            Version: "2012-10-17",
            Statement: [
                {
                    Sid: "DenyInsecureTransport",
                    Effect: "Deny",
                    Principal: "*",
                    Action: "s3:*",
                    Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
                    Condition: { Bool: { "aws:SecureTransport": "false" } },
                },
            ],
        });
    });

    it("changes the bucket policy after the access block, since S3 refuses both at once", () => {
        assert(storage.resource("test-policy").dependencies.includes("test-access-block"));
    });

    it("writes the lifecycle after versioning, which its rules are about", () => {
        assert(storage.resource("test-lifecycle").dependencies.includes("test-versioning"));
    });

    describe("the lifecycle", () => {
        const archives = { filter: { prefix: "images/" }, status: "Enabled" };
        const abort = {
            ...archives,
            id: "abort-incomplete-uploads",
            abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
        };
        const expire = { ...archives, id: "expire-archives", expiration: { days: 90 } };
        const expireOld = {
            ...archives,
            id: "expire-old-versions",
            noncurrentVersionExpiration: { noncurrentDays: 30 },
        };
        const batches = ["batches/", "batch-results/"].map((prefix, index) => ({
            filter: { prefix },
            status: "Enabled",
            id: ["manifests", "results"][index],
        }));
        const expireBatches = batches.map((each) => ({
            ...each,
            id: `expire-${each.id ?? ""}`,
            expiration: { days: 90 },
        }));
        const expireOldBatches = batches.map((each) => ({
            ...each,
            id: `expire-old-${each.id ?? ""}`,
            noncurrentVersionExpiration: { noncurrentDays: 30 },
        }));
        const removeMarkers = {
            ...archives,
            id: "remove-delete-markers",
            expiration: { expiredObjectDeleteMarker: true },
        };

        it("expires archives, batches and old versions, and aborts uploads that nobody ends", () => {
            assert.deepEqual(lifecycleRules(storage), [
                abort,
                expire,
                ...expireBatches,
                expireOld,
                ...expireOldBatches,
                removeMarkers,
            ]);
        });

        it("keeps archives for ever with 0 days", async () => {
            const rules = lifecycleRules(await evaluateStorage({ archiveDays: 0 }));
            assert.deepEqual(rules, [abort, expireOld, ...expireOldBatches, removeMarkers]);
        });

        it("keeps old versions for ever with 0 days", async () => {
            const rules = lifecycleRules(await evaluateStorage({ oldVersionDays: 0 }));
            assert.deepEqual(rules, [abort, expire, ...expireBatches]);
        });

        it("aborts uploads all the same where everything is kept", async () => {
            const rules = lifecycleRules(await evaluateStorage({ archiveDays: 0, oldVersionDays: 0 }));
            assert.deepEqual(rules, [abort]);
        });
    });

    it("registers bucket and reader's policy as its outputs", () => {
        const { readArtifactsPolicy, ...names } = storage.component("ArtifactStorage").outputs ?? {};
        assert.deepEqual(names, { bucketName: bucket, bucketArn: `arn:aws:s3:::${bucket}` });
        assert.deepEqual(JSON.parse(String(readArtifactsPolicy)), {
            Version: "2012-10-17",
            Statement: [
                {
                    Sid: "ReadArchives",
                    Effect: "Allow",
                    Action: ["s3:GetObject", "s3:GetObjectVersion"],
                    Resource: `arn:aws:s3:::${bucket}/images/*`,
                },
                {
                    Sid: "ListArchives",
                    Effect: "Allow",
                    Action: "s3:ListBucket",
                    Resource: `arn:aws:s3:::${bucket}`,
                    Condition: { StringLike: { "s3:prefix": "images/*" } },
                },
            ],
        });
    });
});
