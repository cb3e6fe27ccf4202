import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { manifestPrefix, resultPrefix } from "./batchDefinition";
import { denyInsecureTransport, listArchives, policyDocument, readArchives } from "./iamStatements";

/** How long archives are kept, and how well they are guarded. */
export interface Retention {
    /** Days until an archive, and what belongs to a batch, expires; 0 keeps it for ever. */
    readonly archiveDays: number;
    /** Days until an old version of an archive (overwritten or deleted) expires; 0 keeps it for ever. */
    readonly oldVersionDays: number;
    /**
     * Whether the bucket is protected: `true` refuses to destroy it, `false` lets `pulumi destroy` delete it together
     * with its contents.
     */
    readonly protect: boolean;
}

/** Arguments of {@link ArtifactStorage}. */
export interface ArtifactStorageArgs {
    /** Key prefix of the archives, with its closing slash, for instance `images/`. */
    readonly artifactPrefix: string;
    /** How long archives are kept. */
    readonly retention: Retention;
    /** Tags of the bucket. */
    readonly tags: Record<string, string>;
}

/**
 * The bucket of the archives: private, encrypted (SSE-S3), versioned, reached by TLS only, and cleaned by lifecycle
 * rules.
 *
 * @example
 * const storage = new ArtifactStorage("artifacts", {
 *     artifactPrefix: "images/",
 *     retention: { archiveDays: 90, oldVersionDays: 30, protect: true },
 *     tags: { project: "ecr-image-export" },
 * });
 */
export class ArtifactStorage extends pulumi.ComponentResource {
    /** Name of the bucket. */
    public readonly bucketName: pulumi.Output<string>;
    /** ARN of the bucket. */
    public readonly bucketArn: pulumi.Output<string>;
    /** JSON policy that lets a principal list and read archives. */
    public readonly readArtifactsPolicy: pulumi.Output<string>;

    public constructor(name: string, args: ArtifactStorageArgs, opts?: pulumi.ComponentResourceOptions) {
        super("ecr-image-export:index:ArtifactStorage", name, args, opts);
        const child = { parent: this };

        const bucket = createBucket(name, args, child);
        keepPrivate(name, bucket, child);
        encrypt(name, bucket, child);
        const versioning = keepVersions(name, bucket, child);
        expire(name, bucket, args, { ...child, dependsOn: [versioning] });

        // By way of versioning: what is put in the bucket is put there once it keeps versions, since an object from
        // before has a version that `pulumi destroy` does not know of.
        this.bucketName = versioning.bucket;
        this.bucketArn = bucket.arn;
        this.readArtifactsPolicy = pulumi.jsonStringify(
            policyDocument(
                readArchives(bucket.arn, args.artifactPrefix),
                listArchives(bucket.arn, args.artifactPrefix),
            ),
        );
        this.registerOutputs({
            bucketName: this.bucketName,
            bucketArn: this.bucketArn,
            readArtifactsPolicy: this.readArtifactsPolicy,
        });
    }
}

function createBucket(
    name: string,
    args: ArtifactStorageArgs,
    opts: pulumi.CustomResourceOptions,
): aws.s3.Bucket {
    const { protect } = args.retention;
    return new aws.s3.Bucket(
        `${name}-bucket`,
        { forceDestroy: !protect, tags: args.tags },
        { ...opts, protect },
    );
}

/** Four ways in are closed: ACLs, public policies, plain HTTP, and objects that their uploader owns. */
function keepPrivate(name: string, bucket: aws.s3.Bucket, opts: pulumi.CustomResourceOptions): void {
    new aws.s3.BucketOwnershipControls(
        `${name}-ownership`,
        { bucket: bucket.bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
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
    new aws.s3.BucketPolicy(
        `${name}-policy`,
        { bucket: bucket.bucket, policy: policyDocument(denyInsecureTransport(bucket.arn)) },
        // S3 answers OperationAborted when both are changed at the same time.
        { ...opts, dependsOn: [accessBlock] },
    );
}

function encrypt(name: string, bucket: aws.s3.Bucket, opts: pulumi.CustomResourceOptions): void {
    new aws.s3.BucketServerSideEncryptionConfiguration(
        `${name}-encryption`,
        {
            bucket: bucket.bucket,
            rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }],
        },
        opts,
    );
}

function keepVersions(
    name: string,
    bucket: aws.s3.Bucket,
    opts: pulumi.CustomResourceOptions,
): aws.s3.BucketVersioning {
    return new aws.s3.BucketVersioning(
        `${name}-versioning`,
        { bucket: bucket.bucket, versioningConfiguration: { status: "Enabled" } },
        opts,
    );
}

function expire(
    name: string,
    bucket: aws.s3.Bucket,
    args: ArtifactStorageArgs,
    opts: pulumi.CustomResourceOptions,
): void {
    const { archiveDays, oldVersionDays } = args.retention;
    const archives = { filter: { prefix: args.artifactPrefix }, status: "Enabled" };
    const batches = [
        { id: "manifests", filter: { prefix: manifestPrefix }, status: "Enabled" },
        { id: "results", filter: { prefix: resultPrefix }, status: "Enabled" },
    ];
    new aws.s3.BucketLifecycleConfiguration(
        `${name}-lifecycle`,
        {
            bucket: bucket.bucket,
            rules: [
                // A build that was killed leaves its parts behind: invisible, and billed.
                {
                    ...archives,
                    id: "abort-incomplete-uploads",
                    abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
                },
                ...(archiveDays > 0
                    ? [
                          { ...archives, id: "expire-archives", expiration: { days: archiveDays } },
                          ...batches.map((batch) => ({
                              ...batch,
                              id: `expire-${batch.id}`,
                              expiration: { days: archiveDays },
                          })),
                      ]
                    : []),
                ...(oldVersionDays > 0
                    ? [
                          {
                              ...archives,
                              id: "expire-old-versions",
                              noncurrentVersionExpiration: { noncurrentDays: oldVersionDays },
                          },
                          ...batches.map((batch) => ({
                              ...batch,
                              id: `expire-old-${batch.id}`,
                              noncurrentVersionExpiration: { noncurrentDays: oldVersionDays },
                          })),
                          // What an expired archive leaves behind once its versions are gone.
                          {
                              ...archives,
                              id: "remove-delete-markers",
                              expiration: { expiredObjectDeleteMarker: true },
                          },
                      ]
                    : []),
            ],
        },
        opts,
    );
}
