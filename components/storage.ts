import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { StackConfig } from "../config";
import { manifestPrefix, resultPrefix, setRequestPrefix } from "../contract/keys";
import { bucketPolicy } from "../policies/bucket";
import { readArtifacts } from "../policies/callers";
import { type PolicyArgs, policyOf } from "../policies/document";
import { keyPolicy, keyUsers } from "../policies/key";
import { createKey, type Scope } from "./stackDefaults";

/** Arguments of {@link ArtifactStorage}: keys of the configuration, and what is known of the stack. */
export interface ArtifactStorageArgs
    extends
        Pick<StackConfig, "artifactPrefix" | "encryption" | "retention" | "existingBucket" | "accessLogs">,
        Pick<PolicyArgs, "at" | "namePrefix"> {}

/**
 * The bucket of the archives: private, encrypted, versioned, reached by TLS only, and cleaned by lifecycle rules. With
 * it, where it is asked for, a KMS key, which also serves the log groups and topics of the stack.
 *
 * @example new ArtifactStorage("artifacts", { at, artifactPrefix: "images/", encryption: "kms", retention, namePrefix });
 */
export class ArtifactStorage extends pulumi.ComponentResource {
    public readonly bucketName: pulumi.Output<string>;
    public readonly bucketArn: pulumi.Output<string>;
    /** ARN of the KMS key, the component's own or the given one; undefined with SSE-S3. */
    public readonly encryptionKeyArn: pulumi.Output<string> | undefined;
    /** JSON policy of what the owner of a given key has to let its policy allow; undefined without a given key. */
    public readonly encryptionKeyPolicy: pulumi.Output<string> | undefined;
    /** JSON policy that lets a principal list and read archives. */
    public readonly readArtifactsPolicy: pulumi.Output<string>;

    public constructor(name: string, args: ArtifactStorageArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:ArtifactStorage", name, args, opts);
        const child = { parent: this };
        const scope = { name, args, opts: child };

        const bucket = createBucket(scope);
        const keyArn = encryptionKey(scope, bucket);
        // A bucket takes its settings with it. To delete them first would leave it open where S3 then refuses to delete it.
        const setting = { ...child, deletedWith: bucket };
        const policy = keepPrivate(name, bucket, keyArn, setting);
        if (args.accessLogs) {
            new aws.s3.BucketLogging(
                `${name}-access-logs`,
                { bucket: bucket.bucket, targetBucket: args.accessLogs.bucket, targetPrefix: args.accessLogs.prefix },
                setting,
            );
        }
        const versioning = new aws.s3.BucketVersioning(
            `${name}-versioning`,
            { bucket: bucket.bucket, versioningConfiguration: { status: "Enabled" } },
            setting,
        );
        // These are deleted, on the other hand: a bucket that the stack has let go must not expire any archives.
        expire(scope, bucket, versioning);

        // By way of versioning and policy. What is put in the bucket is put there once it keeps versions, since an object
        // from before has a version that `pulumi destroy` does not know of; and once the policy is that of the key, since
        // the one before may refuse it.
        this.bucketName = pulumi.all([versioning.bucket, policy.bucket]).apply(([bucketName]) => bucketName);
        this.bucketArn = bucket.arn;
        this.encryptionKeyArn = keyArn;
        // The bucket by its pattern, for a key's owner, who admits it before it exists: Pulumi adds random digits to its name.
        const artifactBucketArn = `arn:${args.at.partition}:s3:::${args.existingBucket ?? `${name}-bucket-*`}`;
        this.encryptionKeyPolicy =
            args.encryption !== "s3" && args.encryption !== "kms"
                ? pulumi.jsonStringify(policyOf(keyUsers, { ...args, artifactBucketArn }))
                : undefined;
        this.readArtifactsPolicy = pulumi.jsonStringify(
            policyOf(readArtifacts, { ...args, artifactBucketArn: bucket.arn, encryptionKeyArn: keyArn }),
        );
        this.registerOutputs({
            bucketName: this.bucketName,
            bucketArn: this.bucketArn,
            encryptionKeyArn: this.encryptionKeyArn,
            encryptionKeyPolicy: this.encryptionKeyPolicy,
            readArtifactsPolicy: this.readArtifactsPolicy,
        });
    }
}

/**
 * The stack's own bucket, or an existing one. The two are different resources, and so are two existing ones: an import in the
 * place of another bucket would delete that one, whether it is protected or not, whereas a resource that is no longer declared
 * is held by its protection, and, without that, by S3, which deletes empty buckets only.
 */
function createBucket({ name, args, opts }: Scope<ArtifactStorageArgs>): aws.s3.Bucket {
    const { existingBucket, retention } = args;
    if (existingBucket === undefined) {
        return new aws.s3.Bucket(
            `${name}-bucket`,
            { forceDestroy: retention.emptyOnDestroy },
            { ...opts, protect: retention.protect },
        );
    }
    return new aws.s3.Bucket(
        `${name}-existing-${existingBucket}`,
        // Without its name it would be replaced by one that Pulumi names: github.com/pulumi/pulumi/issues/9210
        { bucket: existingBucket, forceDestroy: false },
        { ...opts, import: existingBucket, protect: true, retainOnDelete: true },
    );
}

/** The key that encrypts: made, given, or none. */
function encryptionKey(
    { name, args, opts }: Scope<ArtifactStorageArgs>,
    bucket: aws.s3.Bucket,
): pulumi.Output<string> | undefined {
    if (args.encryption === "s3") return undefined;
    if (args.encryption !== "kms") return pulumi.output(args.encryption);
    return createKey(
        name,
        {
            description: "Encrypts exported container images, and the logs and notifications of their export",
            enableKeyRotation: true,
        },
        policyOf(keyPolicy, { ...args, artifactBucketArn: bucket.arn }),
        // Archives that it has encrypted may outlive it in the stack, and cannot be read without it.
        { ...opts, protect: args.retention.protect, retainOnDelete: !args.retention.emptyOnDestroy },
    );
}

/**
 * Ways in and out are closed: ACLs, public policies, plain HTTP, objects that their uploader owns, and, with a KMS key,
 * objects that another key encrypts. What is put in is encrypted.
 */
function keepPrivate(
    name: string,
    bucket: aws.s3.Bucket,
    keyArn: pulumi.Output<string> | undefined,
    opts: pulumi.CustomResourceOptions,
): aws.s3.BucketPolicy {
    new aws.s3.BucketOwnershipControls(
        `${name}-ownership`,
        { bucket: bucket.bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
        opts,
    );
    const rule =
        keyArn === undefined
            ? { applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }
            : {
                  applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: keyArn },
                  // One request to KMS serves many objects and parts.
                  bucketKeyEnabled: true,
              };
    new aws.s3.BucketServerSideEncryptionConfiguration(
        `${name}-encryption`,
        { bucket: bucket.bucket, rules: [rule] },
        opts,
    );
    const accessBlock = new aws.s3.BucketPublicAccessBlock(
        `${name}-access-block`,
        {
            bucket: bucket.bucket,
            blockPublicAcls: true,
            blockPublicPolicy: true,
            ignorePublicAcls: true,
            restrictPublicBuckets: true,
        },
        opts,
    );
    return new aws.s3.BucketPolicy(
        `${name}-policy`,
        {
            bucket: bucket.bucket,
            policy: policyOf(bucketPolicy, { artifactBucketArn: bucket.arn, encryptionKeyArn: keyArn }),
        },
        // S3 answers OperationAborted when both are changed at the same time.
        { ...opts, dependsOn: [accessBlock] },
    );
}

function expire(
    { name, args, opts }: Scope<ArtifactStorageArgs>,
    bucket: aws.s3.Bucket,
    versioning: aws.s3.BucketVersioning,
): void {
    const { archiveDays, oldVersionDays } = args.retention;
    const rule = (id: string, prefix: string, action: object) => ({
        id,
        filter: { prefix },
        status: "Enabled",
        ...action,
    });
    const ofArchives = (id: string, action: object) => rule(id, args.artifactPrefix, action);
    const ofAll = (kind: string, archives: string, action: object) => [
        ofArchives(`${kind}-${archives}`, action),
        rule(`${kind}-manifests`, manifestPrefix, action),
        rule(`${kind}-results`, resultPrefix, action),
    ];
    const old = { noncurrentVersionExpiration: { noncurrentDays: oldVersionDays } };
    new aws.s3.BucketLifecycleConfiguration(
        `${name}-lifecycle`,
        {
            bucket: bucket.bucket,
            rules: [
                // A build that was killed leaves its parts behind: invisible, and billed.
                ofArchives("abort-incomplete-uploads", { abortIncompleteMultipartUpload: { daysAfterInitiation: 1 } }),
                // A build reads its own within hours. The same set is written to the same key.
                rule("expire-sets", setRequestPrefix, {
                    expiration: { days: 7 },
                    noncurrentVersionExpiration: { noncurrentDays: 1 },
                }),
                ...(archiveDays > 0 ? ofAll("expire", "archives", { expiration: { days: archiveDays } }) : []),
                ...(oldVersionDays > 0
                    ? [
                          ...ofAll("expire-old", "versions", old),
                          // What an expired archive leaves behind once its versions are gone.
                          ofArchives("remove-delete-markers", { expiration: { expiredObjectDeleteMarker: true } }),
                      ]
                    : []),
            ],
        },
        { ...opts, dependsOn: [versioning] },
    );
}
