import { strict as assert } from "node:assert";

import { ArtifactStorage, type ArtifactStorageArgs } from "../../components/storage";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf } from "../support/houseRules";
import { customResourcesOf, evaluate, type Evaluation, resourceOf, unknown } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

type Retention = ArtifactStorageArgs["retention"];

const guarded: Retention = { archiveDays: 90, oldVersionDays: 30, protect: true, emptyOnDestroy: false };
const bucket = "test-bucket-0a1b2c3";
const ownKey = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const keyUsers = ["EncryptObjects", "EncryptLogs", "EncryptNotifications", "EncryptAlarms"];
const otherKey = "arn:aws:kms:ap-northeast-1:444455556666:key/mrk-1234abcd12ab34cd56ef1234567890ab";

function evaluateStorage(
    retention: Partial<Retention> = {},
    changes: Partial<ArtifactStorageArgs> = {},
    preview = false,
): Promise<Evaluation> {
    return evaluate(
        () => ({
            storage: new ArtifactStorage("test", {
                at,
                artifactPrefix: "images/",
                encryption: "s3",
                retention: { ...guarded, ...retention },
                namePrefix: "test-",
                ...changes,
            }).urn,
        }),
        { preview },
    );
}

interface LifecycleRule {
    readonly id: string;
    readonly filter: { readonly prefix: string };
    readonly status: string;
}

function lifecycleRules(evaluation: Evaluation): LifecycleRule[] {
    return resourceOf(evaluation, "test-lifecycle").inputs["rules"] as LifecycleRule[];
}

describe("ArtifactStorage", () => {
    let storage: Evaluation;
    before(async () => {
        storage = await evaluateStorage();
    });

    itKeepsTheHouseRules(() => storage);

    it("is a bucket and its side resources", () => {
        assert.deepEqual(typesAndNamesOf(storage), [
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
        for (const { name, inputs } of customResourcesOf(storage)) {
            if (name !== "test-bucket") assert.equal(inputs["bucket"], bucket, name);
        }
    });

    it("deletes an unprotected bucket where it is empty, and archives only where it is told to", async () => {
        const fateOf = async (retention: Partial<Retention>) => {
            const { protect, inputs } = resourceOf(await evaluateStorage(retention), "test-bucket");
            return [protect, inputs];
        };
        assert.deepEqual(await fateOf({}), [true, { forceDestroy: false }]);
        assert.deepEqual(await fateOf({ protect: false }), [false, { forceDestroy: false }]);
        assert.deepEqual(await fateOf({ protect: false, emptyOnDestroy: true }), [false, { forceDestroy: true }]);
    });

    it("leaves its settings to the bucket that is deleted, but for the rules by which archives expire", () => {
        const settings = customResourcesOf(storage).filter(({ name }) => name !== "test-bucket");
        const kept = settings.filter(({ deletedWith }) => deletedWith !== resourceOf(storage, "test-bucket").urn);
        assert.deepEqual(
            kept.map(({ name }) => name),
            ["test-lifecycle"],
        );
    });

    it("has S3 log requests to another bucket where one is given", async () => {
        const accessLogs = { bucket: "logs-of-buckets", prefix: "image-export/" };
        assert.deepEqual(resourceOf(await evaluateStorage({}, { accessLogs }), "test-access-logs").inputs, {
            bucket,
            targetBucket: "logs-of-buckets",
            targetPrefix: "image-export/",
        });
    });

    it("encrypts, keeps versions, owns every object, and blocks public access on all four counts", () => {
        const settings = ["encryption", "versioning", "ownership", "access-block"].map(
            (name) => resourceOf(storage, `test-${name}`).inputs,
        );
        assert.deepEqual(settings, [
            { bucket, rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }] },
            { bucket, versioningConfiguration: { status: "Enabled" } },
            { bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
            {
                bucket,
                ...{ blockPublicAcls: true, blockPublicPolicy: true },
                ...{ ignorePublicAcls: true, restrictPublicBuckets: true },
            },
        ]);
    });

    it("changes what S3 refuses to change at once one after the other", () => {
        assert(resourceOf(storage, "test-policy").dependencies.includes("test-access-block"));
        assert(resourceOf(storage, "test-lifecycle").dependencies.includes("test-versioning"));
    });

    it("expires archives, batches and old versions, and aborts uploads that nobody ends", async () => {
        const idsOf = async (retention: Partial<Retention>) =>
            lifecycleRules(await evaluateStorage(retention)).map(({ id }) => id);
        const always = ["abort-incomplete-uploads", "expire-sets"];
        const expire = ["expire-archives", "expire-manifests", "expire-results"];
        const expireOld = ["expire-old-versions", "expire-old-manifests", "expire-old-results"];
        const markers = "remove-delete-markers";
        assert.deepEqual(await idsOf({}), [...always, ...expire, ...expireOld, markers]);
        assert.deepEqual(await idsOf({ archiveDays: 0 }), [...always, ...expireOld, markers], "archives are kept");
        assert.deepEqual(await idsOf({ oldVersionDays: 0 }), [...always, ...expire], "old versions are kept");
        assert.deepEqual(await idsOf({ archiveDays: 0, oldVersionDays: 0 }), always);
    });

    it("expires each in its time and place", () => {
        const rules = lifecycleRules(storage).map(({ id, filter, status, ...rest }) => {
            assert.equal(status, "Enabled", id);
            return [id, filter.prefix, rest];
        });
        assert.deepEqual(rules.slice(0, 3), [
            ["abort-incomplete-uploads", "images/", { abortIncompleteMultipartUpload: { daysAfterInitiation: 1 } }],
            ["expire-sets", ".sets/", { expiration: { days: 7 }, noncurrentVersionExpiration: { noncurrentDays: 1 } }],
            ["expire-archives", "images/", { expiration: { days: 90 } }],
        ]);
        assert.deepEqual(rules.slice(6), [
            ["expire-old-manifests", "batches/", { noncurrentVersionExpiration: { noncurrentDays: 30 } }],
            ["expire-old-results", "batch-results/", { noncurrentVersionExpiration: { noncurrentDays: 30 } }],
            ["remove-delete-markers", "images/", { expiration: { expiredObjectDeleteMarker: true } }],
        ]);
    });

    it("registers bucket and reader's policy as its outputs", () => {
        const { readArtifactsPolicy, ...names } = componentOf(storage, "ArtifactStorage").outputs ?? {};
        assert.deepEqual(names, { bucketName: bucket, bucketArn: `arn:aws:s3:::${bucket}` });
        assert.deepEqual(sidsOf(String(readArtifactsPolicy)), ["ReadArchives", "ListArchives"]);
        assert.deepEqual(sidsOf(resourceOf(storage, "test-policy")), ["DenyInsecureTransport"]);
    });
});

for (const [what, encryption, keyArn] of [
    ["a key of its own", "kms", ownKey],
    ["a given key", otherKey, otherKey],
] as const) {
    describe(`ArtifactStorage with ${what}`, () => {
        let storage: Evaluation;
        before(async () => {
            storage = await evaluateStorage({}, { encryption });
        });

        itKeepsTheHouseRules(() => storage);

        it("encrypts with the key, and asks KMS once for many objects", () => {
            assert.deepEqual(resourceOf(storage, "test-encryption").inputs["rules"], [
                {
                    applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: keyArn },
                    bucketKeyEnabled: true,
                },
            ]);
        });

        it("refuses uploads with another encryption, another key, or a key of the uploader's own", () => {
            const refusals = ["DenyOtherEncryption", "DenyOtherKeys", "DenyCustomerKeys"];
            assert.deepEqual(sidsOf(resourceOf(storage, "test-policy")), ["DenyInsecureTransport", ...refusals]);
        });

        it("lets readers decrypt", () => {
            const { encryptionKeyArn, readArtifactsPolicy } = componentOf(storage, "ArtifactStorage").outputs ?? {};
            assert.equal(encryptionKeyArn, keyArn);
            assert.equal(sidsOf(String(readArtifactsPolicy)).at(-1), "ReadEncrypted");
        });
    });
}

describe("ArtifactStorage with a bucket that is there", () => {
    it("imports it by its name, and keeps the name", async () => {
        const adopted = await evaluateStorage({}, { existingBucket: "hand-made-archives" });
        const own = await evaluateStorage();
        const { inputs, importId, protect, retainOnDelete } = resourceOf(adopted, "test-existing-hand-made-archives");
        assert.deepEqual(inputs, { ...resourceOf(own, "test-bucket").inputs, bucket: "hand-made-archives" });
        assert.deepEqual([importId, protect, retainOnDelete], ["hand-made-archives", true, true]);
        assert.equal(resourceOf(own, "test-bucket").importId, "");
        assert.equal(resourceOf(own, "test-bucket").retainOnDelete, false);
    });

    it("is another resource than a bucket of its own, and than another existing one: none replaces another", async () => {
        const buckets = async (existingBucket?: string) =>
            customResourcesOf(await evaluateStorage({}, { existingBucket }))
                .filter(({ type }) => type === "aws:s3/bucket:Bucket")
                .map(({ urn }) => urn);
        const all = [await buckets(), await buckets("archives-a"), await buckets("archives-b")].flat();
        assert.equal(new Set(all).size, 3, all.join());
    });

    it("imports nothing else, and puts its settings on it", async () => {
        const adopted = await evaluateStorage({}, { existingBucket: "hand-made-archives" });
        for (const { name, inputs, importId } of customResourcesOf(adopted)) {
            if (name.startsWith("test-existing-")) continue;
            assert.equal(importId, "", name);
            assert.equal(inputs["bucket"], "hand-made-archives", name);
        }
    });

    it("tells the owner of a given key of this bucket, and of no other", async () => {
        const { outputs } = componentOf(
            await evaluateStorage({}, { existingBucket: "hand-made-archives", encryption: otherKey }),
            "ArtifactStorage",
        );
        const policy = String(outputs?.["encryptionKeyPolicy"]);
        assert.match(policy, /"arn:aws:s3:::hand-made-archives"/);
        assert.doesNotMatch(policy, /test-bucket/);
    });
});

describe("ArtifactStorage with a key of its own", () => {
    let storage: Evaluation;
    before(async () => {
        storage = await evaluateStorage({}, { encryption: "kms" });
    });

    it("makes a key, an alias and a policy, and nothing else besides", async () => {
        const without = typesAndNamesOf(await evaluateStorage());
        assert.deepEqual(
            typesAndNamesOf(storage).filter((each) => !without.includes(each)),
            [
                "aws:kms/alias:Alias test-key-alias",
                "aws:kms/key:Key test-key",
                "aws:kms/keyPolicy:KeyPolicy test-key-policy",
            ],
        );
    });

    it("rotates the key, and keeps it for 30 days after it was deleted", () => {
        assert.deepEqual(resourceOf(storage, "test-key").inputs, {
            description: "Encrypts exported container images, and the logs and notifications of their export",
            enableKeyRotation: true,
            deletionWindowInDays: 30,
        });
        assert.deepEqual(resourceOf(storage, "test-key-alias").inputs, {
            namePrefix: "alias/test-",
            targetKeyId: "1234abcd-12ab-34cd-56ef-1234567890ab",
        });
    });

    it("protects the key as it protects the bucket", async () => {
        const guardedBy = ({ resources }: Evaluation) =>
            resources
                .filter(({ protect }) => protect)
                .map(({ name }) => name)
                .sort();
        assert.deepEqual(guardedBy(storage), ["test-bucket", "test-key"]);
        const unprotected = await evaluateStorage({ protect: false }, { encryption: "kms" });
        assert.deepEqual(guardedBy(unprotected), []);
    });

    it("leaves the key in AWS, which archives need, but where these are deleted as well", async () => {
        const isLeft = async (retention: Partial<Retention>) => {
            const resources = await evaluateStorage({ protect: false, ...retention }, { encryption: "kms" });
            return resourceOf(resources, "test-key").retainOnDelete;
        };
        assert.equal(await isLeft({}), true);
        assert.equal(await isLeft({ emptyOnDestroy: true }), false);
    });

    it("has a key that does not depend on the bucket, so that a refused destroy names both", () => {
        assert.deepEqual(resourceOf(storage, "test-key").dependencies, []);
    });

    it("lets the account administer the key, and names who uses it", () => {
        assert.deepEqual(sidsOf(resourceOf(storage, "test-key-policy")), ["AdministerKey", ...keyUsers]);
    });

    it("has no policy for an owner to add", () => {
        assert(!("encryptionKeyPolicy" in (componentOf(storage, "ArtifactStorage").outputs ?? {})));
    });
});

describe("ArtifactStorage with a given key", () => {
    it("makes neither key nor alias", async () => {
        const storage = await evaluateStorage({}, { encryption: otherKey });
        assert.deepEqual(typesAndNamesOf(storage), typesAndNamesOf(await evaluateStorage()));
    });

    it("tells, before there is a bucket, what the key's policy has to allow", async () => {
        const preview = await evaluateStorage({}, { encryption: otherKey }, true);
        const { bucketArn, encryptionKeyPolicy } = componentOf(preview, "ArtifactStorage").outputs ?? {};
        assert.equal(bucketArn, unknown);
        assert.deepEqual(sidsOf(String(encryptionKeyPolicy)), keyUsers);
        assert.match(String(encryptionKeyPolicy), /"arn:aws:s3:::test-bucket-\*"/);
    });
});
