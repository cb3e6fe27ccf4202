import { strict as assert } from "node:assert";

import validate from "asl-validator";
import fc from "fast-check";

import {
    buildErrors,
    exportDefinition,
    type ExportDefinitionArgs,
    requestVariables,
    resultVariables,
    type StateMachineDefinition,
} from "../../stateMachines/export";
import { parseImageUri, parseRepositoryArn, repositoryUris } from "../../contract/image";
import { defaultArtifactKey } from "../../contract/keys";
import { exitStatuses } from "../../contract/errors";
import { at } from "../../lab/awsTypes";
import {
    awsError,
    executionId,
    type Build,
    execute,
    type Outcome,
    type Services,
    start,
    type StartBuild,
    task,
} from "../support/execution";

const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const image = parseImageUri(`${registry}/web/nginx:1.29`);
const foreign = parseRepositoryArn("arn:aws:ecr:eu-west-1:444455556666:repository/platform/base");
const bucket = "artifacts-0a1b2c3";
const key = "images/web/nginx/1.29.tar";

const definitionArgs: ExportDefinitionArgs = {
    at,
    projectName: "export-0a1b2c3",
    engine: "docker",
    imageUri: image.uri,
    repositories: [image.repository, foreign],
    artifactBucket: bucket,
    artifactPrefix: "images/",
    timeoutMinutes: 30,
    queuedTimeoutMinutes: 60,
};
const definition = exportDefinition(definitionArgs);

const results = {
    IMAGE_DIGEST: digest,
    ARTIFACT_VERSION_ID: "version-1",
    ARCHIVE_SIZE_BYTES: "12345678901",
    ARCHIVE_SHA256: "f".repeat(64),
    SKIPPED: "false",
};
const log = "https://console.aws.amazon.com/cloudwatch/log";

/** A call that fails as AWS reports it. */
function fails(error: string, cause: string): () => never {
    return () => {
        throw awsError(error, cause);
    };
}

/** The Build of CodeBuild, in the PascalCase of Step Functions. */
function buildOf(status: string, exported: Record<string, string>, changes: object = {}): object {
    return {
        Id: "export-0a1b2c3:1",
        BuildStatus: status,
        ExportedEnvironmentVariables: Object.entries(exported).map(([Name, Value]) => ({ Name, Value })),
        Logs: { DeepLink: log },
        ...changes,
    };
}

const succeeds: Build = () => ({ Build: buildOf("SUCCEEDED", results) });

/** A failed build, as Step Functions reports it: the Build as text in Cause. */
function failedBuild(exported: Record<string, string>, changes: object = {}): Build {
    return fails("States.TaskFailed", JSON.stringify(buildOf("FAILED", exported, changes)));
}

const archiveHead = { VersionId: "version-1", ContentLength: 4096 };

/** The head of a record's object, as both engines write it. */
function recordHead(changes: Record<string, string | undefined> = {}) {
    const Metadata: Record<string, string | undefined> = {
        engine: "docker",
        "image-name": image.uri,
        "image-digest": digest,
        "index-digest": undefined,
        platform: "linux/amd64",
        "archive-sha256": "a".repeat(64),
        "archive-version-id": "version-1",
        ...changes,
    };
    return { VersionId: "version-of-record", ContentLength: 512, Metadata };
}

/** A bucket that holds one archive and its record. */
function holds(archive: object, record: object): (request: { Key: string }) => unknown {
    return ({ Key }) => structuredClone(Key.endsWith(".json") ? record : archive);
}

function tagMeans(ImageDigest: string): () => unknown {
    return () => ({ ImageDetails: [{ ImageDigest, RepositoryName: "web/nginx" }] });
}

/** Runs a request; gives the variables of every build that was started, too. */
async function run(
    input: unknown,
    build: Build = succeeds,
    machine: StateMachineDefinition = definition,
    services: Partial<Services> = {},
): Promise<{ outcome: Outcome; builds: StartBuild[] }> {
    const builds: StartBuild[] = [];
    const outcome = await execute(machine, input, {
        ...services,
        build: (request) => {
            builds.push(request);
            return build(request);
        },
    });
    return { outcome, builds };
}

async function outputOf(input: unknown): Promise<Record<string, unknown>> {
    const { outcome } = await run(input);
    assert("output" in outcome, JSON.stringify(outcome));
    return outcome.output;
}

async function failureOf(input: unknown, build?: Build): Promise<{ error: string; cause: string }> {
    const { outcome } = await run(input, build);
    assert("error" in outcome, `no failure: ${JSON.stringify(outcome)}`);
    return outcome;
}

/** Asserts that a request is refused as InvalidInput, with these words in the cause, and before any build starts. */
async function assertRefused(input: unknown, ...words: string[]): Promise<void> {
    const { outcome, builds } = await run(input);
    assert("error" in outcome, `accepted: ${JSON.stringify(outcome)}`);
    assert.equal(outcome.error, "InvalidInput", outcome.cause);
    for (const word of words) assert(outcome.cause.includes(word), `"${word}" is not in: ${outcome.cause}`);
    assert.deepEqual(builds, [], "no build is started");
}

describe("exportDefinition", () => {
    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(definition));
        assert(validation.isValid, validation.errorsText());
    });

    it("is recognized as wrong when it is", () => {
        const broken = structuredClone(definition) as StateMachineDefinition & { StartAt: string };
        broken.StartAt = "Nowhere";
        assert.equal(validate(broken).isValid, false);
    });

    it("is small enough for Step Functions, with a hundred repositories", () => {
        const repositories = Array.from({ length: 100 }, (_, index) => ({
            ...image.repository,
            name: `team-${index}/${"n".repeat(200)}`,
        }));
        const large = exportDefinition({ ...definitionArgs, repositories });
        assert(JSON.stringify(large).length < 1024 * 1024);
        assert(validate(large).isValid);
    });

    it("calls three operations, in the stack's partition", () => {
        const china = exportDefinition({ ...definitionArgs, at: { ...at, partition: "aws-cn" } });
        const resourcesOf = ({ States }: StateMachineDefinition) =>
            Object.values(States).flatMap(({ Resource }) => (Resource === undefined ? [] : [Resource]));
        const operations = [
            "aws-sdk:ecr:describeImages",
            "aws-sdk:s3:headObject",
            "aws-sdk:s3:headObject",
            "codebuild:startBuild.sync",
        ];
        assert.deepEqual(
            resourcesOf(definition),
            operations.map((operation) => `arn:aws:states:::${operation}`),
        );
        assert.deepEqual(
            resourcesOf(china),
            operations.map((operation) => `arn:aws-cn:states:::${operation}`),
        );
    });

    it("waits longer than the build may queue and run", () => {
        assert.equal(definition.States[task]?.["TimeoutSeconds"], (60 + 30 + 10) * 60);
    });

    it("tries again what can pass and nothing else, with jitter and a cap", () => {
        const patience = { IntervalSeconds: 5, BackoffRate: 2, MaxDelaySeconds: 60, JitterStrategy: "FULL" };
        assert.deepEqual(definition.States[task]?.["Retry"], [
            {
                ErrorEquals: ["CodeBuild.AccountLimitExceededException", "CodeBuild.ThrottlingException"],
                MaxAttempts: 62,
                ...patience,
            },
            {
                ErrorEquals: [
                    "CodeBuild.AWSCodeBuildException",
                    "CodeBuild.CodeBuildException",
                    "CodeBuild.SdkClientException",
                ],
                MaxAttempts: 3,
                ...patience,
            },
        ]);
        assert.deepEqual(definition.States["Ask ECR"]?.["Retry"], [
            { ErrorEquals: ["Ecr.ThrottlingException"], MaxAttempts: 3, ...patience },
        ]);
    });

    for (const queuedTimeoutMinutes of [5, 60, 480]) {
        it(`waits for capacity as long as a build may wait in the queue: ${queuedTimeoutMinutes} minutes`, () => {
            const { States } = exportDefinition({ ...definitionArgs, queuedTimeoutMinutes });
            const [{ MaxAttempts, IntervalSeconds, MaxDelaySeconds }] = States[task]?.["Retry"] as [
                Record<"MaxAttempts" | "IntervalSeconds" | "MaxDelaySeconds", number>,
            ];
            const delays = Array.from({ length: MaxAttempts }, (_, attempt) =>
                Math.min(IntervalSeconds * 2 ** attempt, MaxDelaySeconds),
            );
            const longestSeconds = delays.reduce((sum, delay) => sum + delay);
            assert(longestSeconds <= queuedTimeoutMinutes * 60, `${longestSeconds} s`);
            assert(longestSeconds > (queuedTimeoutMinutes - 1) * 60, `${longestSeconds} s`);
        });
    }

    it("has States.ALL last wherever it is caught, as Step Functions wants it", () => {
        for (const [name, { Catch: catchers = [] }] of Object.entries(definition.States)) {
            const all = (catchers as { ErrorEquals: string[] }[]).map(({ ErrorEquals }) =>
                ErrorEquals.includes("States.ALL"),
            );
            assert.deepEqual(all.slice(0, -1).includes(true), false, name);
        }
    });

    it("ends in one Fail state, so that every failure has a name and a cause", () => {
        const ends = Object.entries(definition.States).filter(([, { Type }]) => Type === "Fail");
        assert.deepEqual(ends, [["Failed", { Type: "Fail", ErrorPath: "$.error", CausePath: "$.cause" }]]);
    });

    it("names the errors of the design and no other", () => {
        const named = JSON.stringify(definition).match(/"error":"([A-Za-z]+)"/g) ?? [];
        const names = named.map((each) => each.slice('"error":"'.length, -1));
        assert.deepEqual([...new Set(names)].sort(), [
            "AccessDenied",
            "BuildTimedOut",
            "DigestMismatch",
            "ExportFailed",
            "ImageNotFound",
            "InvalidInput",
        ]);
    });

    it("knows a build's errors by the exit statuses of the exporter", () => {
        assert.deepEqual(buildErrors, exitStatuses);
    });
});

describe("an execution", function () {
    this.timeout(10_000); // the properties run it some hundred times

    const output = {
        imageUri: image.uri,
        imageDigest: digest,
        platform: "linux/amd64",
        artifactBucket: bucket,
        artifactKey: key,
        artifactVersionId: "version-1",
        sizeBytes: 12345678901,
        sha256: "f".repeat(64),
        skipped: false,
        engine: "docker",
        buildId: "export-0a1b2c3:1",
    };

    describe("that succeeds", () => {
        it("serves the original contract: bucket and key", async () => {
            const artifactKey = "images/nginx-mainline-alpine3.22.tar";
            const { outcome, builds } = await run({ artifactBucket: bucket, artifactKey });
            assert.deepEqual(outcome, { output: { ...output, artifactKey } });
            assert.deepEqual(builds, [
                {
                    ProjectName: "export-0a1b2c3",
                    EnvironmentVariablesOverride: [
                        { Name: "IMAGE_URI", Type: "PLAINTEXT", Value: image.uri },
                        { Name: "PLATFORM", Type: "PLAINTEXT", Value: "linux/amd64" },
                        { Name: "FORCE", Type: "PLAINTEXT", Value: "false" },
                        { Name: "EXECUTION_ID", Type: "PLAINTEXT", Value: executionId },
                        { Name: "ARTIFACT_BUCKET", Type: "PLAINTEXT", Value: bucket },
                        { Name: "ARTIFACT_KEY", Type: "PLAINTEXT", Value: artifactKey },
                    ],
                },
            ]);
        });

        it("has a default for every field", async () => {
            assert.deepEqual(await outputOf({}), output);
        });

        it("ignores fields that it does not know", async () => {
            assert.deepEqual(
                await outputOf({ force: true, request: {}, stack: { artifactBucket: "x" } }),
                output,
            );
        });

        it("takes the fields of the request", async () => {
            const request = {
                imageUri: "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/base:2",
                platform: "linux/arm64/v8",
                artifactBucket: bucket,
                artifactKey: "images/a b/ü/$(id).tar",
            };
            const { outcome, builds } = await run(request);
            assert.deepEqual(outcome, { output: { ...output, ...request } });
            assert.deepEqual(
                builds[0]?.EnvironmentVariablesOverride.map(({ Value }) => Value),
                [request.imageUri, request.platform, "false", executionId, bucket, request.artifactKey],
            );
        });

        const references = ["", ":1.29", ":latest", ":_A.b-c", `@${digest}`, `:1.29@${digest}`];
        for (const uri of repositoryUris(image.repository)) {
            for (const reference of references) {
                it(`stores ${uri.split("/")[0] ?? ""}/…${reference.slice(0, 24)} at the default key`, async () => {
                    const requested = parseImageUri(`${uri}${reference}`);
                    const { artifactKey, imageUri } = await outputOf({ imageUri: requested.uri });
                    assert.equal(artifactKey, defaultArtifactKey("images/", requested));
                    assert.equal(imageUri, requested.uri);
                });
            }
        }

        it("makes the key that defaultArtifactKey makes, of any reference", async () => {
            const uris = fc.constantFrom(...repositoryUris(foreign), ...repositoryUris(image.repository));
            const tags = fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/), {
                nil: undefined,
            });
            const digests = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined });
            await fc.assert(
                fc.asyncProperty(uris, tags, digests, async (uri, tag, hex) => {
                    const imageUri = `${uri}${tag ? `:${tag}` : ""}${hex ? `@sha256:${hex}` : ""}`;
                    const { artifactKey } = await outputOf({ imageUri });
                    assert.equal(artifactKey, defaultArtifactKey("images/", parseImageUri(imageUri)));
                }),
            );
        });
    });

    describe("that finds the export there", () => {
        const skipped = { ...output, skipped: true, sizeBytes: 4096, sha256: "a".repeat(64), buildId: null };
        const there = { describeImages: tagMeans(digest), headObject: holds(archiveHead, recordHead()) };

        /** Asserts that no build is started, and gives the output. */
        async function skip(request: object, services: Partial<Services>): Promise<unknown> {
            const { outcome, builds } = await run(request, succeeds, definition, services);
            assert("output" in outcome, JSON.stringify(outcome));
            assert.deepEqual(builds, [], "no build is started");
            return outcome.output;
        }
        async function assertBuilt(request: object, services: Partial<Services>): Promise<void> {
            const { outcome, builds } = await run(request, succeeds, definition, services);
            assert.equal(builds.length, 1, JSON.stringify(outcome));
        }

        it("reports it without a build, with every field of a result", async () => {
            assert.deepEqual(await skip({}, there), skipped);
            assert.deepEqual(Object.keys(skipped).sort(), Object.keys(output).sort());
        });

        it("asks ECR for the tag, then S3 for record and archive", async () => {
            const asked: unknown[] = [];
            const describeImages: Services["describeImages"] = (request) => {
                asked.push(request);
                return there.describeImages();
            };
            const headObject: Services["headObject"] = (request) => {
                asked.push(request);
                return there.headObject(request);
            };
            await skip({}, { describeImages, headObject });
            assert.deepEqual(asked, [
                { RepositoryName: "web/nginx", ImageIds: [{ ImageTag: "1.29" }] },
                { Bucket: bucket, Key: `${key}.json` },
                { Bucket: bucket, Key: key },
            ]);
        });

        it("asks ECR for latest where the image has no tag", async () => {
            const describeImages: Services["describeImages"] = (request) => {
                assert.deepEqual(request, {
                    RepositoryName: "web/nginx",
                    ImageIds: [{ ImageTag: "latest" }],
                });
                return there.describeImages();
            };
            const imageUri = `${registry}/web/nginx`;
            const headObject = holds(archiveHead, recordHead({ "image-name": `${imageUri}:latest` }));
            await skip({ imageUri }, { describeImages, headObject });
        });

        it("knows an image of several platforms by the digest of its index", async () => {
            const index = `sha256:${"1".repeat(64)}`;
            const headObject = holds(archiveHead, recordHead({ "index-digest": index }));
            assert.deepEqual(await skip({}, { describeImages: tagMeans(index), headObject }), skipped);
        });

        it("asks no registry where the digest is in the URI, whoever's the repository is", async () => {
            const describeImages = fails("Ecr.AccessDeniedException", "not asked");
            const repository = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/base";
            for (const reference of [`@${digest}`, `:2@${digest}`]) {
                const name = `${repository}${reference.startsWith(":") ? ":2" : reference}`;
                const headObject = holds(archiveHead, recordHead({ "image-name": name }));
                const request = { imageUri: `${repository}${reference}`, artifactKey: key };
                assert.deepEqual(await skip(request, { describeImages, headObject }), {
                    ...skipped,
                    ...request,
                });
            }
        });

        it("fails at once where ECR has no such tag, with the words of AWS", async () => {
            const cause = "The image with imageId {imageTag:'1.29'} does not exist";
            const { outcome, builds } = await run({}, succeeds, definition, {
                describeImages: fails("Ecr.ImageNotFoundException", cause),
            });
            assert.deepEqual(outcome, {
                error: "ImageNotFound",
                cause: `${image.uri} does not exist in the registry. ${cause}`,
            });
            assert.deepEqual(builds, []);
        });

        it("tries again where ECR has too many requests", async () => {
            let attempts = 0;
            const describeImages = () => {
                attempts += 1;
                if (attempts < 4) throw awsError("Ecr.ThrottlingException", "Rate exceeded");
                return there.describeImages();
            };
            assert.deepEqual(await skip({}, { ...there, describeImages }), skipped);
        });

        it("builds when it is forced to", () => assertBuilt({ force: true }, there));

        const refuses = (error: string) => fails(error, "no");
        const unclear: Record<string, Partial<Services>> = {
            "ECR may not be asked": { describeImages: refuses("Ecr.AccessDeniedException") },
            "ECR knows no such repository": { describeImages: refuses("Ecr.RepositoryNotFoundException") },
            "ECR does not take the tag": { describeImages: refuses("Ecr.InvalidParameterException") },
            "ECR has too many requests without end": { describeImages: refuses("Ecr.ThrottlingException") },
            "ECR does not answer": { describeImages: refuses("States.Timeout") },
            "ECR answers with nothing": { describeImages: () => ({ ImageDetails: [] }) },
            "ECR answers without a digest": { describeImages: () => ({ ImageDetails: [{}] }) },
            "S3 may not be asked": { headObject: refuses("S3.S3Exception") },
            "S3 does not answer": { headObject: refuses("States.Timeout") },
            "there is a record alone": {
                headObject: ({ Key }) =>
                    Key.endsWith(".json") ? recordHead() : refuses("S3.NoSuchKeyException")(),
            },
            "there is an archive alone": {
                headObject: ({ Key }) =>
                    Key.endsWith(".json") ? refuses("S3.NoSuchKeyException")() : archiveHead,
            },
            "the archive has no version": {
                headObject: holds({ ...archiveHead, VersionId: null }, recordHead()),
            },
            "the record is that of another version": {
                headObject: holds({ ...archiveHead, VersionId: "version-2" }, recordHead()),
            },
            "the tag means another image now": { describeImages: tagMeans(`sha256:${"2".repeat(64)}`) },
        };
        for (const [what, services] of Object.entries(unclear)) {
            it(`builds where ${what}`, () => assertBuilt({}, { ...there, ...services }));
        }
        const others = {
            engine: "stream",
            "image-name": `${registry}/web/nginx:latest`,
            platform: "linux/arm64",
            "image-digest": `sha256:${"3".repeat(64)}`,
        };
        for (const [name, value] of Object.entries(others)) {
            it(`builds where the record says another ${name}`, () =>
                assertBuilt({}, { ...there, headObject: holds(archiveHead, recordHead({ [name]: value })) }));
        }
        for (const name of Object.keys(recordHead().Metadata).filter((name) => name !== "index-digest")) {
            it(`builds where the record says no ${name}`, () =>
                assertBuilt(
                    {},
                    { ...there, headObject: holds(archiveHead, recordHead({ [name]: undefined })) },
                ));
        }

        it("builds where a pull-through cache may have to look for a newer image", async () => {
            const cached = exportDefinition({ ...definitionArgs, cachedRepositories: [image.repository] });
            const { builds } = await run({}, succeeds, cached, there);
            assert.equal(builds.length, 1);
        });

        it("builds where the tag is of a repository that ECR cannot be asked about from here", async () => {
            for (const uri of repositoryUris(foreign)) {
                const headObject = holds(archiveHead, recordHead({ "image-name": `${uri}:2` }));
                await assertBuilt({ imageUri: `${uri}:2`, artifactKey: key }, { ...there, headObject });
            }
        });
    });

    describe("is refused before a build starts, for", () => {
        const notStrings = [null, true, 7, [], ["x"], {}, { a: "x" }];
        for (const field of ["imageUri", "platform", "artifactBucket", "artifactKey"]) {
            for (const value of notStrings) {
                const shown = JSON.stringify(value);
                it(`${field} ${shown}`, () => assertRefused({ [field]: value }, `${field} is ${shown}: `));
            }
            it(`an empty ${field}`, () => assertRefused({ [field]: "" }, `${field} is "": `));
        }

        for (const input of [null, true, 7, "x", "{}", [], [{ imageUri: image.uri }]]) {
            it(`the input ${JSON.stringify(input)}`, () => assertRefused(input, "is not a JSON object"));
        }

        const readable = "this stack may not read that repository";
        const refused: Record<string, [request: object, ...words: string[]]> = {
            "another bucket": [
                { artifactBucket: "other-bucket" },
                'artifactBucket is "other-bucket": this stack exports to artifacts-0a1b2c3 alone',
            ],
            "the bucket in capitals": [
                { artifactBucket: bucket.toUpperCase() },
                "exports to artifacts-0a1b2c3",
            ],
            "a bucket whose name begins like it": [{ artifactBucket: `${bucket}x` }, "exports to"],
            "another prefix": [
                { artifactKey: "other/a.tar" },
                'artifactKey is "other/a.tar": expected a key that begins with images/',
            ],
            "the prefix without its slash": [{ artifactKey: "images" }, "begins with images/"],
            "a prefix that begins like it": [{ artifactKey: "images-2/a.tar" }, "begins with images/"],
            "a slash before the prefix": [{ artifactKey: "/images/a.tar" }, "begins with images/"],
            "the prefix in capitals": [{ artifactKey: "IMAGES/a.tar" }, "begins with images/"],
            "a platform without architecture": [
                { platform: "linux" },
                'platform is "linux": expected os/arch',
            ],
            "all platforms, which engine docker cannot": [{ platform: "all" }, 'platform is "all"'],
            "an image without a registry": [{ imageUri: "nginx:1.29" }, 'imageUri is "nginx:1.29": expected'],
            "another repository": [
                { imageUri: `${registry}/web/apache:1` },
                readable,
                `${registry}/web/apache:1`,
            ],
            "a repository whose name begins like it": [{ imageUri: `${registry}/web/nginx-2:1` }, readable],
            "a repository whose name ends like it": [{ imageUri: `${registry}/nginx:1` }, readable],
            "a repository inside it": [{ imageUri: `${registry}/web/nginx/sub:1` }, readable],
            "a repository around it": [{ imageUri: `${registry}/web` }, readable],
            "a path that leads back to it": [{ imageUri: `${registry}/web/x/../nginx:1` }, readable],
            "another account": [{ imageUri: image.uri.replace("1111", "9999") }, readable],
            "another region": [{ imageUri: image.uri.replace("ap-northeast-1", "ap-northeast-2") }, readable],
            "another domain": [{ imageUri: image.uri.replace("amazonaws.com", "amazonaws.org") }, readable],
            "another host before it": [{ imageUri: `example.org/${image.uri}` }, readable],
            "another port": [{ imageUri: image.uri.replace("/", ":443/") }, readable],
            "a URL": [{ imageUri: `https://${image.uri}` }, readable],
            "a space before it": [{ imageUri: ` ${image.uri}` }, readable],
            "a tag of two parts": [{ imageUri: `${registry}/web/nginx:1.29:x` }, "imageUri is "],
            "an empty tag": [{ imageUri: `${registry}/web/nginx:` }, "imageUri is "],
            "a tag that is an option": [{ imageUri: `${registry}/web/nginx:--help` }, "imageUri is "],
            "a tag that is a folder": [{ imageUri: `${registry}/web/nginx:..` }, "imageUri is "],
            "two digests": [{ imageUri: `${image.uri}@${digest}@${digest}` }, "imageUri is "],
            "a digest of two parts": [{ imageUri: `${registry}/web/nginx@${digest}:x` }, "imageUri is "],
            "a tag with a digest of another algorithm": [
                { imageUri: `${image.uri}@md5:abc` },
                "imageUri is ",
            ],
            "the key of a record": [{ artifactKey: "images/a.tar.json" }, "does not end in .json"],
            "nothing but separators": [{ imageUri: "/@:@:" }, "imageUri is "],
            "a digest of another algorithm": [{ imageUri: `${registry}/web/nginx@md5:abc` }, "imageUri is "],
            "an empty digest": [{ imageUri: `${registry}/web/nginx@sha256:` }, "imageUri is "],
            "a digest that is a colon": [{ imageUri: `${registry}/web/nginx@sha256::x` }, "imageUri is "],
        };
        for (const [what, [request, ...words]] of Object.entries(refused)) {
            it(what, () => assertRefused(request, ...words));
        }
    });

    describe("whose build cannot be started", () => {
        it("tries again when throttled, and succeeds", async () => {
            let attempts = 0;
            const { outcome, builds } = await run({}, (request) => {
                attempts += 1;
                if (attempts < 4) throw awsError("CodeBuild.ThrottlingException", "Rate exceeded");
                return succeeds(request);
            });
            assert.deepEqual(outcome, { output });
            assert.equal(builds.length, 4);
        });

        it("gives up when CodeBuild has had no room for it all the time", async () => {
            const limit = "Cannot have more than 1 builds in queue for the account";
            const { outcome, builds } = await run(
                {},
                fails("CodeBuild.AccountLimitExceededException", limit),
            );
            assert("error" in outcome, JSON.stringify(outcome));
            assert.equal(outcome.error, "BuildTimedOut");
            assert.match(
                outcome.cause,
                /^CodeBuild accepted no build within 60 minutes\. CodeBuild\.Account/,
            );
            assert(outcome.cause.includes(limit));
            assert.match(outcome.cause, /Service Quotas.*compute\.queuedTimeoutMinutes/);
            assert.equal(builds.length, 63);
        });

        it("gives up sooner when it is not said what is wrong", async () => {
            const { outcome, builds } = await run({}, fails("CodeBuild.SdkClientException", "Timeout"));
            assert.deepEqual(outcome, {
                error: "ExportFailed",
                cause: "CodeBuild.SdkClientException: Timeout",
            });
            assert.equal(builds.length, 4);
        });

        for (const error of ["CodeBuild.AccessDeniedException", "States.Permissions"]) {
            it(`fails at once when it may not: ${error}, with the words of AWS`, async () => {
                const denied =
                    "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: codebuild:StartBuild";
                const { outcome, builds } = await run({}, fails(error, denied));
                assert.deepEqual(outcome, { error: "AccessDenied", cause: `${error}: ${denied}` });
                assert.equal(builds.length, 1);
            });
        }

        it("knows a denial by its cause", async () => {
            const denied = "no (Service: AWSCodeBuild; Status Code: 400; Error Code: AccessDeniedException)";
            const failure = await failureOf({}, fails("CodeBuild.AWSCodeBuildException", denied));
            assert.equal(failure.error, "AccessDenied");
        });

        it("says so when CodeBuild refuses the values of the request", async () => {
            const refusal = "Invalid environment variable value";
            const { outcome, builds } = await run({}, fails("CodeBuild.InvalidInputException", refusal));
            assert.deepEqual(outcome, {
                error: "InvalidInput",
                cause: `CodeBuild refused the values of the request: ${refusal}`,
            });
            assert.equal(builds.length, 1);
        });
    });

    describe("whose build failed", () => {
        const cause = 'line with "quotes", {braces} and $(substitution)';

        for (const error of Object.keys(buildErrors)) {
            it(`names ${error} as the build does, with its cause and the link to the log`, async () => {
                const { outcome, builds } = await run(
                    {},
                    failedBuild({ EXPORT_ERROR: error, EXPORT_CAUSE: cause }),
                );
                assert.deepEqual(outcome, { error, cause: `${cause} (Log: ${log})` });
                assert.equal(builds.length, 1, "a failed build is never run again");
            });
        }

        it("takes no other name for an error", async () => {
            const exported = { EXPORT_ERROR: "States.Runtime", EXPORT_CAUSE: cause };
            assert.deepEqual(await failureOf({}, failedBuild(exported)), {
                error: "ExportFailed",
                cause: `The build ended as FAILED without naming an error. Log: ${log}`,
            });
        });

        const silent: Record<string, object> = {
            "exported nothing": { ExportedEnvironmentVariables: [] },
            "has no exported variables": { ExportedEnvironmentVariables: undefined },
            "has no list of exported variables": { ExportedEnvironmentVariables: null },
            "exported an error without a cause": {
                ExportedEnvironmentVariables: [{ Name: "EXPORT_ERROR", Value: "Unknown" }],
            },
            "has a log without a link": { Logs: {} },
            "has no log": { Logs: null },
        };
        for (const [what, changes] of Object.entries(silent)) {
            it(`ends as ExportFailed where the build ${what}`, async () => {
                const failure = await failureOf({}, failedBuild({}, changes));
                const link = "Logs" in changes ? "none was written." : log;
                assert.deepEqual(failure, {
                    error: "ExportFailed",
                    cause: `The build ended as FAILED without naming an error. Log: ${link}`,
                });
            });
        }

        it("says that a build timed out that exported nothing", async () => {
            const failure = await failureOf({}, failedBuild({}, { BuildStatus: "TIMED_OUT" }));
            assert.equal(failure.error, "BuildTimedOut");
        });

        it("takes an error that was exported empty for none", async () => {
            const { error } = await failureOf({}, failedBuild({ EXPORT_ERROR: "", EXPORT_CAUSE: "" }));
            assert.equal(error, "ExportFailed");
        });

        it("finds the error of a build that is wrapped as a result is", async () => {
            const build = buildOf("FAILED", { EXPORT_ERROR: "AccessDenied", EXPORT_CAUSE: "denied" });
            const wrapped = fails("States.TaskFailed", JSON.stringify({ Build: build }));
            assert.deepEqual(await failureOf({}, wrapped), {
                error: "AccessDenied",
                cause: `denied (Log: ${log})`,
            });
        });

        it("does without a log", async () => {
            const exported = { EXPORT_ERROR: "AccessDenied", EXPORT_CAUSE: cause };
            assert.deepEqual(await failureOf({}, failedBuild(exported, { Logs: undefined })), {
                error: "AccessDenied",
                cause: `${cause} (Log: none was written.)`,
            });
        });

        for (const [error, status] of Object.entries(buildErrors)) {
            it(`names ${error} by the exit status ${status} where the variables do not come along`, async () => {
                const Message = `Error while executing command: bash export.sh. Reason: exit status ${status}`;
                const Phases = [
                    { PhaseType: "PROVISIONING", PhaseStatus: "SUCCEEDED", Contexts: [{ Message: "" }] },
                    {
                        PhaseType: "BUILD",
                        PhaseStatus: "FAILED",
                        Contexts: [{ StatusCode: "COMMAND_EXECUTION_ERROR", Message }],
                    },
                    { PhaseType: "COMPLETED" },
                ];
                const failure = await failureOf({}, failedBuild({}, { Phases }));
                assert.equal(failure.error, error);
                assert(failure.cause.includes(log));
            });
        }

        it("believes the variables more than the exit status", async () => {
            const Phases = [{ PhaseStatus: "FAILED", Contexts: [{ Message: "Reason: exit status 3" }] }];
            const exported = { EXPORT_ERROR: "AccessDenied", EXPORT_CAUSE: "denied" };
            assert.equal((await failureOf({}, failedBuild(exported, { Phases }))).error, "AccessDenied");
        });

        it("says that the build timed out, although it exported nothing that helps", async () => {
            const timedOut = failedBuild(
                { EXPORT_ERROR: "", EXPORT_CAUSE: "" },
                {
                    BuildStatus: "TIMED_OUT",
                    Phases: [
                        { PhaseType: "QUEUED", PhaseStatus: "SUCCEEDED" },
                        { PhaseType: "BUILD", PhaseStatus: "TIMED_OUT" },
                    ],
                },
            );
            const failure = await failureOf({}, timedOut);
            assert.equal(failure.error, "BuildTimedOut");
            assert.match(
                failure.cause,
                /at its timeout of 30 minutes\..*compute\.timeoutMinutes.*Log: https:/,
            );
        });

        it("says that the build waited in the queue too long", async () => {
            const Phases = [{ PhaseType: "QUEUED", PhaseStatus: "TIMED_OUT" }];
            const failure = await failureOf({}, failedBuild({}, { BuildStatus: "TIMED_OUT", Phases }));
            assert.equal(failure.error, "BuildTimedOut");
            assert.match(
                failure.cause,
                /^The build export-0a1b2c3:1 waited 60 minutes in the queue.*Service Quotas.*compute\.queuedTimeoutMinutes/,
            );
        });

        it("says that no build came to its end in time", async () => {
            const failure = await failureOf({}, fails("States.Timeout", ""));
            assert.equal(failure.error, "BuildTimedOut");
            assert.match(failure.cause, /within 100 minutes.*project export-0a1b2c3/);
        });

        for (const [error, status] of Object.entries(buildErrors)) {
            const build = JSON.stringify(buildOf("FAILED", { EXPORT_ERROR: error, EXPORT_CAUSE: "x" }));
            const silent = `{"Phases":[{"Contexts":[{"Message":"Reason: exit status ${status}"}]}],"Source":{"Buil`;
            for (const text of [build.slice(0, -20), silent]) {
                it(`names ${error} where the cause was cut off: ${text.slice(0, 20)}…`, async () => {
                    const failure = await failureOf({}, fails("States.TaskFailed", text));
                    const named = text === silent && error === "ExportFailed" ? "ExportFailed" : error;
                    assert.equal(failure.error, named);
                    assert.match(failure.cause, /builds of the project export-0a1b2c3|States\.TaskFailed/);
                });
            }
        }

        const unreadable = {
            "no JSON": "The build failed",
            "JSON that was cut off": '{"BuildStatus":"FAILED","Logs":{"DeepLink":"htt',
            "JSON that was cut off at a brace": '{"Logs":{"DeepLink":"x"}',
            "a JSON list": "[]",
            nothing: "",
        };
        for (const [what, text] of Object.entries(unreadable)) {
            it(`passes on the words of AWS where the cause is ${what}`, async () => {
                assert.deepEqual(await failureOf({}, fails("States.TaskFailed", text)), {
                    error: "ExportFailed",
                    cause: `States.TaskFailed: ${text}`,
                });
            });
        }
    });

    describe("whose build succeeded without a result", () => {
        const cause = "The build export-0a1b2c3:1 succeeded without reporting its results.";
        const incomplete: Record<string, object> = {
            "none at all": buildOf("SUCCEEDED", {}),
            "no list": buildOf("SUCCEEDED", {}, { ExportedEnvironmentVariables: undefined }),
        };
        for (const variable of Object.keys(results)) {
            const rest = Object.entries(results).filter(([name]) => name !== variable);
            incomplete[`no ${variable}`] = buildOf("SUCCEEDED", Object.fromEntries(rest));
            incomplete[`an empty ${variable}`] = buildOf("SUCCEEDED", { ...results, [variable]: "" });
        }
        for (const [what, Build] of Object.entries(incomplete)) {
            it(`ends as ExportFailed: ${what}`, async () => {
                assert.deepEqual(await failureOf({}, () => ({ Build })), { error: "ExportFailed", cause });
            });
        }
    });

    it("ends as aborted when it is aborted, and starts nothing after that", async () => {
        let started = 0;
        const build = () => {
            started += 1;
            execution.abort();
            return new Promise((resolve) => setTimeout(resolve, 10, { Build: buildOf("STOPPED", {}) }));
        };
        const execution = start(definition, {}, { build });
        await assert.rejects(execution.outcome, { name: "ExecutionAbortedError" });
        assert.equal(started, 1);
    });

    it("ends well or in a named error, whatever JSON it is given", async () => {
        const named = new Set([...Object.keys(buildErrors), "BuildTimedOut"]);
        const text = fc.oneof(
            fc.string({ unit: "grapheme" }),
            fc.constantFrom(
                "",
                "@",
                ":",
                "/",
                "{}",
                "'",
                "\\",
                "*/*",
                image.uri,
                bucket,
                "images/",
                "linux/amd64",
            ),
            fc.string({
                unit: fc.constantFrom("/", ":", "@", "*", "{", "}", "\\", "'", "sha256", registry, "a"),
            }),
            fc.string().map((rest) => `${registry}/web/nginx${rest}`),
            fc.string().map((rest) => `${registry}/web/nginx@sha256:${rest}`),
            fc.string().map((rest) => `images/${rest}`),
        );
        const value = fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: fc.jsonValue() });
        const object = fc.record(
            {
                imageUri: value,
                platform: value,
                artifactBucket: value,
                artifactKey: value,
                force: fc.oneof(fc.boolean(), value),
                other: fc.jsonValue(),
            },
            { requiredKeys: [] },
        );
        const request = fc.oneof({ weight: 9, arbitrary: object }, { weight: 1, arbitrary: fc.jsonValue() });
        const builds = fc.oneof(
            fc.constant(succeeds),
            fc
                .constantFrom(...Object.keys(buildErrors))
                .map((error) => failedBuild({ EXPORT_ERROR: error, EXPORT_CAUSE: "x" })),
            fc.jsonValue().map((cause) => fails("States.TaskFailed", JSON.stringify(cause))),
            fc
                .record(
                    {
                        BuildStatus: fc.oneof(
                            fc.constantFrom("FAILED", "TIMED_OUT", "FAULT"),
                            fc.jsonValue(),
                        ),
                        Logs: fc.jsonValue(),
                        Phases: fc.oneof(
                            fc.jsonValue(),
                            fc.array(
                                fc.record(
                                    {
                                        PhaseType: fc.oneof(fc.constant("QUEUED"), fc.jsonValue()),
                                        PhaseStatus: fc.constantFrom("FAILED", "TIMED_OUT"),
                                        Contexts: fc.oneof(
                                            fc.jsonValue(),
                                            fc.jsonValue().map((Message) => [{ Message }]),
                                        ),
                                    },
                                    { requiredKeys: [] },
                                ),
                            ),
                        ),
                        ExportedEnvironmentVariables: fc.jsonValue(),
                    },
                    { requiredKeys: [] },
                )
                .map((changes) => failedBuild({}, changes)),
            fc.tuple(fc.string(), fc.string()).map(([error, cause]) => fails(`CodeBuild.${error}`, cause)),
        );
        const failing = (prefix: string) =>
            fc.tuple(fc.string(), fc.string()).map(([error, cause]) => fails(`${prefix}.${error}`, cause));
        const answering = (value: fc.Arbitrary<unknown>) => value.map((answer) => () => answer);
        const metadata = fc.oneof(
            fc.jsonValue(),
            fc.record(
                Object.fromEntries(
                    Object.keys(recordHead().Metadata).map((name) => [
                        name,
                        fc.oneof(text, fc.constantFrom(digest, "docker", "version-1"), fc.jsonValue()),
                    ]),
                ),
                { requiredKeys: [] },
            ),
        );
        const services = fc.record({
            describeImages: fc.oneof(
                failing("Ecr"),
                answering(fc.jsonValue()),
                answering(fc.jsonValue().map((ImageDigest) => ({ ImageDetails: [{ ImageDigest }] }))),
                fc.constant(tagMeans(digest)),
            ),
            headObject: fc.oneof(
                failing("S3"),
                answering(fc.jsonValue()),
                answering(
                    fc.record(
                        { Metadata: metadata, VersionId: fc.jsonValue(), ContentLength: fc.jsonValue() },
                        { requiredKeys: [] },
                    ),
                ),
                fc.constant(holds(archiveHead, recordHead())),
            ),
        });
        await fc.assert(
            fc.asyncProperty(
                fc.oneof(request, fc.jsonValue()),
                builds,
                services,
                async (input, build, found) => {
                    const { outcome } = await run(input, build, definition, found);
                    if ("error" in outcome) {
                        assert(named.has(outcome.error), `${outcome.error}: ${outcome.cause}`);
                        assert.notEqual(outcome.cause, "");
                    }
                },
            ),
            { numRuns: 1000 },
        );
    });
});

describe("an execution with engine stream", () => {
    const machine = exportDefinition({ ...definitionArgs, engine: "stream" });

    it("is valid Amazon States Language", () => {
        const validation = validate(structuredClone(machine));
        assert(validation.isValid, validation.errorsText());
    });

    it("exports every platform when asked to, and hands on whether it is forced", async () => {
        for (const force of [true, false]) {
            const { outcome, builds } = await run({ platform: "all", force }, succeeds, machine);
            assert("output" in outcome, JSON.stringify(outcome));
            assert.equal(outcome.output["platform"], "all");
            assert.equal(outcome.output["engine"], "stream");
            const variables = builds[0]?.EnvironmentVariablesOverride ?? [];
            assert.equal(variables.find(({ Name }) => Name === "FORCE")?.Value, String(force));
            assert.deepEqual([...new Set(variables.map(({ Type }) => Type))], ["PLAINTEXT"]);
        }
    });

    it("reports that nothing had to be done", async () => {
        const skips: Build = () => ({ Build: buildOf("SUCCEEDED", { ...results, SKIPPED: "true" }) });
        const { outcome } = await run({}, skips, machine);
        assert("output" in outcome, JSON.stringify(outcome));
        assert.equal(outcome.output["skipped"], true);
    });

    it("still refuses what is no platform", async () => {
        const { outcome, builds } = await run({ platform: "everything" }, succeeds, machine);
        assert("error" in outcome, JSON.stringify(outcome));
        assert.equal(outcome.error, "InvalidInput");
        assert.match(outcome.cause, /linux\/arm64, or all/);
        assert.deepEqual(builds, []);
    });
});

describe("the variables of the contract", () => {
    it("are those of the design", () => {
        assert.deepEqual(Object.keys(requestVariables), [
            "IMAGE_URI",
            "PLATFORM",
            "FORCE",
            "EXECUTION_ID",
            "ARTIFACT_BUCKET",
            "ARTIFACT_KEY",
        ]);
        assert.deepEqual(resultVariables, {
            IMAGE_DIGEST: "imageDigest",
            ARTIFACT_VERSION_ID: "artifactVersionId",
            ARCHIVE_SIZE_BYTES: "sizeBytes",
            ARCHIVE_SHA256: "sha256",
            SKIPPED: "skipped",
        });
    });
});
