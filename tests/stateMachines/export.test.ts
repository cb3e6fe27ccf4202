import { strict as assert } from "node:assert";

import validate from "asl-validator";
import fc from "fast-check";

import { exportErrors } from "../../contract/errors";
import { defaultArtifactKey, isArtifactKey, recordKey } from "../../contract/keys";
import { parseImageUri } from "../../contract/image";
import { requestFlags, requestVariables, sinceVariables } from "../../contract/request";
import { resultFields } from "../support/resultFields";
import type { Outcome } from "../../lab/stateLanguage/host";
import { exportDefinition } from "../../stateMachines/export";
import { executionId, fails } from "../support/execution";
import {
    bucket,
    buildId,
    builtFrom,
    definitions,
    digest,
    exportArgs,
    exported,
    failedBuild,
    foreign,
    image,
    key,
    ownRepository,
    runExport,
    variablesOf,
    type World,
} from "../support/exportExecution";
import { repositoryUris } from "../support/repositoryUris";

const output = {
    imageUri: image.uri,
    imageDigest: digest,
    platform: "linux/amd64",
    artifactBucket: bucket,
    artifactKey: key,
    artifactVersionId: "version-1",
    sizeBytes: 12345678901,
    sha256: "f".repeat(64),
    referrerCount: null,
    baseSha256: null,
    skipped: false,
    engine: "docker",
    buildId,
};
/** SHA-256 of an earlier archive. */
const base = "b".repeat(64);
const foreignUri = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/base";

function outputOf(outcome: Outcome): Record<string, unknown> {
    assert(outcome.status === "SUCCEEDED", JSON.stringify(outcome));
    return outcome.output as Record<string, unknown>;
}

function failureOf(outcome: Outcome): { readonly error: string; readonly cause: string } {
    assert(outcome.status === "FAILED", JSON.stringify(outcome));
    return outcome;
}

/** Asserts that a request is refused as InvalidInput, with these words in the cause, before anything is asked or started. */
async function assertRefused(input: unknown, ...words: string[]): Promise<void> {
    const { outcome, builds, asked } = await runExport(input);
    const { error, cause } = failureOf(outcome);
    assert.equal(error, "InvalidInput", cause);
    for (const word of words) assert(cause.includes(word), `"${word}" is not in: ${cause}`);
    assert.deepEqual([builds, asked], [[], []]);
}

describe("exportDefinition", () => {
    for (const [engine, definition] of Object.entries(definitions)) {
        it(`is valid Amazon States Language, of at most 12 states, with engine ${engine}`, () => {
            const validation = validate(structuredClone(definition));
            assert(validation.isValid, validation.errorsText());
            // The Map is for sets.
            assert(Object.values(definition.States).filter(({ Type }) => Type !== "Map").length <= 12);
        });
    }

    it("has the states of one repository with 1,000, and fits", async () => {
        const names = Array.from({ length: 1000 }, (_, index) => `team-${index}/${"n".repeat(40)}`);
        const repositories = names.map(ownRepository);
        const large = exportDefinition({ ...exportArgs, repositories });
        assert.deepEqual(Object.keys(large.States), Object.keys(definitions.docker.States));
        const sizeBytes = Buffer.byteLength(JSON.stringify(large));
        assert(sizeBytes < 100_000, `${sizeBytes} bytes`);
        const imageUri = `${repositoryUris(ownRepository(names[999] ?? ""))[0] ?? ""}:1`;
        assert.equal(outputOf((await runExport({ imageUri }, { definition: large })).outcome)["imageUri"], imageUri);
    });

    it("is of the stack's partition", () => {
        const china = exportDefinition({ ...exportArgs, at: { ...exportArgs.at, partition: "aws-cn" } });
        assert.doesNotMatch(JSON.stringify(china), /arn:aws:/);
    });

    for (const queuedTimeoutMinutes of [5, 60, 480]) {
        it(`waits for capacity as long as a build may wait in the queue: ${queuedTimeoutMinutes} minutes`, async () => {
            const definition = exportDefinition({ ...exportArgs, queuedTimeoutMinutes });
            const build = failedBuild(
                "Cannot have more than 60 builds in queue",
                "CodeBuild.AccountLimitExceededException",
            );
            const { waits, outcome } = await runExport(
                { artifactKey: "images/x.tar" },
                { definition, build, heads: exported() },
            );
            assert.equal(failureOf(outcome).error, "BuildTimedOut");
            const seconds = waits.slice(2).reduce((sum, each) => sum + each);
            assert(seconds <= queuedTimeoutMinutes * 60, `${seconds} s`);
            assert(seconds > (queuedTimeoutMinutes - 1) * 60, `${seconds} s`);
        });
    }
});

describe("an export that succeeds", () => {
    it("serves the original contract: bucket and key", async () => {
        const artifactKey = "images/nginx-mainline-alpine3.22.tar";
        const { outcome, builds } = await runExport({ artifactBucket: bucket, artifactKey });
        assert.deepEqual(outcome, { status: "SUCCEEDED", output: { ...output, artifactKey } });
        const value = {
            IMAGE_URI: image.uri,
            IMAGE_DIGEST: digest,
            PLATFORM: "linux/amd64",
            FORCE: "false",
            ARTIFACT_BUCKET: bucket,
            ARTIFACT_KEY: artifactKey,
            EXECUTION_ID: executionId,
        };
        assert.deepEqual(builds, [
            {
                ProjectName: "export-0a1b2c3",
                EnvironmentVariablesOverride: requestVariables.map((Name) => ({
                    Name,
                    Type: "PLAINTEXT",
                    Value: value[Name],
                })),
            },
        ]);
    });

    it("has a default for every field, and every field of a result", async () => {
        const { outcome, states } = await runExport({});
        assert.deepEqual(outputOf(outcome), output);
        assert.deepEqual(Object.keys(outputOf(outcome)).sort(), [...resultFields].sort());
        assert.deepEqual(states, [
            "Read input",
            "Read request",
            "Check request",
            "Ask ECR",
            "Look at record",
            "Is it exported?",
            "Export image",
            "Look at record",
            "Look at archive",
            "Is it exported?",
            "Done",
        ]);
    });

    it("takes the fields of the request, and what AWS adds to it", async () => {
        const request = {
            imageUri: `${foreignUri}:2`,
            platform: "linux/arm64/v8",
            artifactBucket: bucket,
            artifactKey: "images/a b/ü/$(id)\"'.tar",
        };
        const added = { AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: executionId };
        const { outcome, builds, asked } = await runExport({ ...request, ...added });
        assert.deepEqual(outputOf(outcome), { ...output, ...request });
        assert.equal(builds.length, 1);
        assert.deepEqual(
            builds.map(variablesOf).map(({ IMAGE_DIGEST, ARTIFACT_KEY }) => [IMAGE_DIGEST, ARTIFACT_KEY]),
            [["", request.artifactKey]],
        );
        // Only the build can ask the registry of another account.
        assert.deepEqual(
            asked,
            [recordKey(request.artifactKey), request.artifactKey].map((Key) => ({ Bucket: bucket, Key })),
        );
    });

    it("makes the key that defaultArtifactKey makes, and hands on the URI as it is, for every host and reference", async () => {
        const uris = fc.constantFrom(...repositoryUris(foreign), ...repositoryUris(image.repository));
        const tags = fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/), { nil: undefined });
        const digests = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined });
        await fc.assert(
            fc.asyncProperty(uris, tags, digests, async (uri, tag, hex) => {
                const imageUri = `${uri}${tag ? `:${tag}` : ""}${hex ? `@sha256:${hex}` : ""}`;
                const { outcome, builds } = await runExport({ imageUri });
                const { artifactKey, imageUri: told } = outputOf(outcome);
                assert.equal(artifactKey, defaultArtifactKey("images/", parseImageUri(imageUri), image.repository));
                assert.equal(told, imageUri);
                assert.deepEqual(
                    builds.map((each) => variablesOf(each)["IMAGE_URI"]),
                    [imageUri],
                );
            }),
            { numRuns: 50 },
        );
    });

    it("exports every platform, and one of Windows by its version, with engine stream, and with no other", async () => {
        const build: World["build"] = (variables) => {
            const heads = builtFrom(variables);
            return exported(key, { ...heads[recordKey(key)]?.Metadata, engine: "stream" });
        };
        for (const platform of ["all", "windows(10.0.20348.2582)/amd64"]) {
            const { outcome } = await runExport({ platform }, { definition: definitions.stream, build });
            assert.deepEqual([outputOf(outcome)["platform"], outputOf(outcome)["engine"]], [platform, "stream"]);
            await assertRefused({ platform }, `platform is "${platform}"`, "engine docker exports one platform");
        }
    });

    it("hands the build what the other side has, and for whom, with engine stream", async () => {
        for (const [since, ...expected] of [
            [undefined, "", ""],
            ["images/base.tar", "images/base.tar", "docker"],
            ["latest", "latest", "docker"],
            [{ key: "latest" }, "latest", "docker"],
            [{ key: "images/base.tar", for: "docker" }, "images/base.tar", "docker"],
            [{ key: "images/a b/ü/$(id)\"'.tar", for: "containerd" }, "images/a b/ü/$(id)\"'.tar", "containerd"],
        ] as const) {
            const request = since === undefined ? {} : { since };
            const build = () => exported(key, { engine: "stream", "base-sha256": since && base, "build-id": buildId });
            const { outcome, builds } = await runExport(request, { definition: definitions.stream, build });
            assert.equal(outputOf(outcome)["baseSha256"], since === undefined ? null : base);
            const variables = variablesOf(builds[0] ?? assert.fail());
            assert.deepEqual([variables[sinceVariables.key], variables[sinceVariables.for]], expected);
        }
    });

    it("says that another build came first, which has exported the same", async () => {
        const { outcome } = await runExport({}, { build: (variables) => exported(variables["ARTIFACT_KEY"]) });
        assert.deepEqual(outputOf(outcome), { ...output, skipped: true });
    });

    it("lets the build decide where ECR does not say what the tag means", async () => {
        for (const describeImages of [
            fails("Ecr.EcrException", "Rate exceeded (Service: Ecr, Status Code: 400)"),
            () => ({ ImageDetails: [] }),
            () => ({}),
        ]) {
            const { outcome, builds } = await runExport({}, { describeImages });
            assert.deepEqual(
                [outputOf(outcome), builds.map((each) => variablesOf(each)["IMAGE_DIGEST"])],
                [output, [""]],
            );
        }
    });
});

describe("an export that is there already", () => {
    const skipped = { ...output, skipped: true, buildId: null };

    it("is reported without a build", async () => {
        const { outcome, builds, asked } = await runExport({}, { heads: exported() });
        assert.deepEqual([outputOf(outcome), builds], [skipped, []]);
        assert.deepEqual(asked, [
            { RepositoryName: "web/nginx", ImageIds: [{ ImageTag: "1.29" }] },
            { Bucket: bucket, Key: recordKey(key) },
            { Bucket: bucket, Key: key },
        ]);
    });

    it("is known by the digest of its index", async () => {
        const index = `sha256:${"1".repeat(64)}`;
        const describeImages = () => ({ ImageDetails: [{ ImageDigest: index }] });
        const { outcome, builds } = await runExport(
            {},
            { heads: exported(key, { "index-digest": index }), describeImages },
        );
        assert.deepEqual([outputOf(outcome), builds], [skipped, []]);
    });

    it("is found by the digest in the URI, whoever's the repository is", async () => {
        for (const [reference, name] of [
            [`@${digest}`, `${foreignUri}@${digest}`],
            [`:2@${digest}`, `${foreignUri}:2`],
        ] as const) {
            const request = { imageUri: `${foreignUri}${reference}`, artifactKey: key };
            const { builds, asked } = await runExport(request, { heads: exported(key, { "image-name": name }) });
            assert.deepEqual([builds, asked.length], [[], 2]);
        }
    });

    it("is exported again when that is forced", async () => {
        const { outcome, builds } = await runExport({ force: true }, { heads: exported() });
        assert.deepEqual([outputOf(outcome), builds.length], [output, 1]);
        assert.equal(variablesOf(builds[0] ?? assert.fail())["FORCE"], "true");
    });

    const others: Record<string, ReturnType<typeof exported>> = {
        "no record": { [key]: { VersionId: "version-1", ContentLength: 1 } },
        "no archive": { [recordKey(key)]: exported()[recordKey(key)] ?? {} },
        "a newer archive": exported(key, {}, { VersionId: "version-2", ContentLength: 1 }),
        "an archive without a version": exported(key, {}, { ContentLength: 1 }),
        "a record without metadata": { ...exported(), [recordKey(key)]: {} },
    };
    for (const [name, value] of [
        ["layout", "2"],
        ["engine", "stream"],
        ["image-name", `${image.uri}0`],
        ["image-digest", `sha256:${"2".repeat(64)}`],
        ["platform", "linux/arm64"],
        ["archive-version-id", "version-0"],
    ] as const) {
        others[`another ${name}`] = exported(key, { [name]: value });
        others[`no ${name}`] = exported(key, { [name]: undefined });
    }
    others["no archive-sha256"] = exported(key, { "archive-sha256": undefined });
    for (const [what, heads] of Object.entries(others)) {
        it(`is not taken for one with ${what}`, async () => {
            const { outcome, builds } = await runExport({}, { heads });
            assert.deepEqual([outputOf(outcome), builds.length], [output, 1]);
        });
    }

    it("is only taken without a build where nobody asks for referrers, which no look at S3 shows", async () => {
        const { stream: definition } = definitions;
        const withReferrers = exportDefinition({ ...exportArgs, engine: "stream", referrers: true });
        const of = (count: string | undefined) => exported(key, { engine: "stream", "referrer-count": count });
        for (const [request, there, given, isSkipped] of [
            [{}, undefined, definition, true],
            [{ referrers: false }, undefined, withReferrers, true],
            [{}, "0", definition, false],
            [{ referrers: true }, undefined, definition, false],
            [{ referrers: true }, "2", definition, false],
            [{}, "2", withReferrers, false],
        ] as const) {
            const build: World["build"] = ({ REFERRERS }) => {
                const record = of(REFERRERS === "true" ? "2" : undefined);
                record[recordKey(key)] = { Metadata: { ...record[recordKey(key)]?.Metadata, "build-id": buildId } };
                return record;
            };
            const { outcome, builds } = await runExport(request, { heads: of(there), definition: given, build });
            const asked = "referrers" in request ? request.referrers : given === withReferrers;
            const { referrerCount, skipped: isTaken } = outputOf(outcome);
            assert.deepEqual([referrerCount, isTaken, builds.length], [asked ? 2 : null, isSkipped, isSkipped ? 0 : 1]);
        }
    });

    it("is never taken without a build where a request has since, and no delta where it has none", async () => {
        const { stream: definition } = definitions;
        const of = (baseSha256: string | undefined, id = buildId) =>
            exported(key, { engine: "stream", "base-sha256": baseSha256, "build-id": id });
        const build: World["build"] = ({ SINCE_KEY }) => of(SINCE_KEY === "" ? undefined : base);
        for (const [since, there, isTaken] of [
            [undefined, undefined, true],
            [undefined, base, false],
            ["latest", undefined, false],
            ["images/base.tar", base, false],
        ] as const) {
            const world = { heads: of(there, "other:9"), definition, build };
            const { outcome, builds } = await runExport({ ...(since !== undefined && { since }) }, world);
            const { baseSha256, skipped: isSkipped } = outputOf(outcome);
            const expected = [since === undefined ? null : base, isTaken, isTaken ? 0 : 1];
            assert.deepEqual([baseSha256, isSkipped, builds.length], expected, `${since} ${there}`);
        }
        // A build has found the same export, and one that it has made whole.
        for (const there of [base, undefined]) {
            const world = { heads: of(there, "other:9"), definition, build: () => ({}) };
            const { baseSha256, skipped: isSkipped } = outputOf((await runExport({ since: "latest" }, world)).outcome);
            assert.deepEqual([baseSha256, isSkipped], [there ?? null, true]);
        }
        // And what has left out something without being asked to.
        const { outcome } = await runExport({}, { definition, build: () => of(base) });
        assert.match(failureOf(outcome).cause, /another export has written/);
    });

    it("has the referrers that a build has found to be the same", async () => {
        const heads = exported(key, { engine: "stream", "referrer-count": "2" });
        const world = { heads, definition: definitions.stream, build: () => ({}) };
        const { outcome, builds } = await runExport({ referrers: true }, world);
        const { referrerCount, skipped: isTaken, buildId: id } = outputOf(outcome);
        assert.deepEqual([referrerCount, isTaken, id, builds.length], [2, true, buildId, 1]);
    });

    it("is not looked for by what a pull-through cache has imported", async () => {
        const definition = exportDefinition({ ...exportArgs, cachedRepositories: [image.repository] });
        const { builds, asked } = await runExport({}, { definition, heads: exported() });
        assert.equal(builds.length, 1);
        assert.deepEqual(
            asked,
            [recordKey(key), key].map((Key) => ({ Bucket: bucket, Key })),
        );
    });
});

describe("an export whose archive another one has replaced", () => {
    /** The other one's archive is there after the build, and its record from the given look at the record on. */
    function replaced(record: Readonly<Record<string, string>>, fromLook: number): World {
        let looks = 0;
        let isBuilt = false;
        return {
            heads: exported(key, { platform: "linux/arm64" }),
            build: (variables) => {
                isBuilt = true;
                return builtFrom(variables);
            },
            headObject: ({ Key }) => {
                if (!isBuilt) return undefined;
                const archive = { VersionId: "version-2", ContentLength: 5 };
                const isDue = Key === recordKey(key) && ++looks >= fromLook;
                const other = exported(key, { "archive-version-id": "version-2", ...record }, archive);
                return Key === key || isDue ? other[Key] : undefined;
            },
        };
    }

    it("has the other's result, once its record is there, where that is of the same image", async () => {
        const { outcome, waits } = await runExport({}, replaced({}, 4));
        assert.deepEqual(outputOf(outcome), { ...output, artifactVersionId: "version-2", sizeBytes: 5, skipped: true });
        assert.deepEqual(waits, [2, 2, 2]);
    });

    it("fails once the other's record is of another image, and where no record comes within a minute", async () => {
        for (const [world, waited] of [
            [replaced({ "image-digest": `sha256:${"9".repeat(64)}` }, 3), 4],
            [replaced({}, Infinity), 60],
        ] as const) {
            const { outcome, waits } = await runExport({}, world);
            const { error, cause } = failureOf(outcome);
            assert.equal(error, "ExportFailed");
            assert.match(cause, /another export has written/);
            assert.equal(
                waits.reduce((sum, seconds) => sum + seconds, 0),
                waited,
            );
        }
    });
});

describe("an export that fails", () => {
    it("says that ECR has no such tag, or no such repository", async () => {
        for (const name of ["ImageNotFoundException", "RepositoryNotFoundException"]) {
            const { outcome, builds } = await runExport({}, { describeImages: fails(`Ecr.${name}`, "AWS's words") });
            const cause = `${image.uri} does not exist in the registry. AWS's words`;
            assert.deepEqual([outcome, builds], [{ status: "FAILED", error: "ImageNotFound", cause }, []]);
        }
    });

    it("is not believed to have succeeded where S3 does not show it", async () => {
        const cases: [World, RegExp][] = [
            [
                { build: () => ({}) },
                /^The build export-0a1b2c3:1 succeeded, but S3 does not show the record: S3\.S3Exception/,
            ],
            [{ build: () => exported(key, {}, {}) }, /another export has written images\/web\/nginx\/1\.29\.tar/],
            [{ build: () => exported(key, { platform: "linux/arm64" }) }, /another export has written/],
            [{ build: () => exported(key, { "referrer-count": "1" }) }, /another export has written/],
            [
                {
                    headObject: ({ Key }, heads) =>
                        Key in heads && Key === key ? fails("S3.S3Exception", "Slow Down")() : undefined,
                },
                /S3 does not show the archive: S3\.S3Exception: Slow Down\. The state machine needs s3:GetObject for it\. \(Builds and their logs: https:\/\/console\/builds\)$/,
            ],
        ];
        for (const [world, words] of cases) {
            const { error, cause } = failureOf((await runExport({}, world)).outcome);
            assert.equal(error, "ExportFailed");
            assert.match(cause, words);
        }
    });

    it("looks again where S3 does not answer at once", async () => {
        let calls = 0;
        const headObject: World["headObject"] = ({ Key }, heads) =>
            Key in heads && ++calls < 3 ? fails("S3.S3Exception", "Slow Down")() : undefined;
        assert.deepEqual(outputOf((await runExport({}, { headObject })).outcome), output);
    });

    it("tries again what passes: throttling, and a lost connection", async () => {
        for (const name of ["AWSCodeBuildException", "SdkClientException", "AccountLimitExceededException"]) {
            let calls = 0;
            const build: World["build"] = (variables) =>
                ++calls < 4 ? fails(`CodeBuild.${name}`, "Rate exceeded")() : builtFrom(variables);
            assert.deepEqual(outputOf((await runExport({}, { build })).outcome), output);
        }
    });

    it("does not try again what does not pass", async () => {
        for (const name of [
            "CodeBuild.InvalidInputException",
            "CodeBuild.ResourceNotFoundException",
            "States.TaskFailed",
        ]) {
            assert.equal((await runExport({}, { build: failedBuild("x", name) })).builds.length, 1, name);
        }
    });

    it("is aborted, and starts nothing after that", async () => {
        const stop = new AbortController();
        const describeImages = () => {
            stop.abort();
            return {};
        };
        const { outcome, builds } = await runExport({}, { describeImages, given: { signal: stop.signal } });
        assert.deepEqual([outcome, builds], [{ status: "ABORTED" }, []]);
    });

    it("is timed out where no build comes to its end, which takes longer than queue and build", async () => {
        const seconds: number[] = [];
        const timeout = (milliseconds: number): Promise<void> => {
            seconds.push(milliseconds / 1000);
            return milliseconds > 60_000 ? Promise.resolve() : new Promise(() => undefined);
        };
        const build: World["build"] = () => new Promise(() => undefined);
        const { outcome } = await runExport({}, { build, given: { clock: { timeout } } });
        const { error, cause } = failureOf(outcome);
        assert.equal(error, "BuildTimedOut");
        assert.match(
            cause,
            /^No build came to its end within 100 minutes.*\(Builds and their logs: https:\/\/console\/builds\)$/,
        );
        assert.equal(seconds.at(-1), (60 + 30 + 10) * 60);
    });
});

describe("a request that is refused before anything is started", () => {
    const field = ["imageUri", "platform", "referrers", "force", "artifactBucket", "artifactKey"];
    for (const name of field) {
        const isFlag = requestFlags.some((flag) => flag === name);
        const values = [null, 5, [], {}, ["x"], ...(isFlag ? ["true"] : [true, "", "\n"])];
        it(`${name} of another type, or empty`, async () => {
            for (const value of values) await assertRefused({ [name]: value }, `${name} is ${JSON.stringify(value)}: `);
        });
        it(`${name} with a closing line feed`, async () => {
            const good = {
                imageUri: image.uri,
                platform: "linux/amd64",
                referrers: "true",
                force: "true",
                artifactBucket: bucket,
                artifactKey: key,
            };
            await assertRefused({ [name]: `${good[name as keyof typeof good]}\n` }, `${name} is `);
        });
    }
    it("referrers that are no boolean, and with engine docker any but false", async () => {
        for (const referrers of [null, 1, "true", []]) {
            const { outcome } = await runExport({ referrers }, { definition: definitions.stream });
            const { error, cause } = failureOf(outcome);
            assert.equal(error, "InvalidInput");
            assert.equal(cause, `referrers is ${JSON.stringify(referrers)}: expected true or false.`);
        }
        await assertRefused({ referrers: true }, "referrers is true: expected false", "set engine: stream");
        assert.equal(outputOf((await runExport({ referrers: false })).outcome)["referrerCount"], null);
    });
    describe("since, which", () => {
        const rule = "expected the key of an archive below images/ other than artifactKey, latest for one image";
        const values: readonly (readonly [what: string, values: readonly unknown[], request?: object])[] = [
            ["is of another type", [null, 5, true, [], ["latest"], [{ key: "latest" }]]],
            [
                "has no key",
                ["", {}, { for: "docker" }, { key: "" }, { key: 5 }, { key: null }, { key: ["images/a.tar"] }],
            ],
            [
                "has unknown fields",
                [
                    { key: "images/a.tar", as: "x" },
                    { key: "latest", versionId: "1" },
                ],
            ],
            ["is for somebody unknown", ["podman", "", null, 5].map((each) => ({ key: "images/a.tar", for: each }))],
            [
                "is elsewhere",
                ["other/a.tar", "images/", "images/../a.tar", `images/${"x".repeat(1024)}`, "Latest", "latest\n"],
            ],
            ["is no archive", ["images/a.tar.json", "images/a.tar.json.sig", { key: "images/a.tar.json" }]],
            ["is the archive itself", [key, { key, for: "containerd" }]],
            ["is the archive itself, by its given key", ["images/a.tar"], { artifactKey: "images/a.tar" }],
            [
                "is latest, for a set",
                ["latest", { key: "latest" }],
                { images: [image.uri], artifactKey: "images/a.tar" },
            ],
        ];
        for (const [what, all, request] of values) {
            it(what, async () => {
                for (const since of all) {
                    const world = { definition: definitions.stream };
                    const { outcome, builds, asked } = await runExport({ ...request, since }, world);
                    const { error, cause } = failureOf(outcome);
                    assert.equal(error, "InvalidInput");
                    assert(cause.startsWith("since is ") && cause.includes(rule), cause);
                    assert.deepEqual([builds, asked], [[], []], JSON.stringify(since));
                }
            });
        }
        it("is asked of engine docker", async () => {
            for (const since of ["latest", "images/a.tar", { key: "images/a.tar" }, null]) {
                await assertRefused({ since }, `since is ${JSON.stringify(since)}: expected nothing`, "engine: stream");
            }
        });
    });
    it("what is no object", async () => {
        for (const input of [[], [{}], "x", 5, null, true]) await assertRefused(input, "is not a JSON object");
    });
    it("unknown fields, by name", async () => {
        await assertRefused(
            { imageURI: image.uri },
            'the unknown field "imageURI"',
            "imageUri, images, artifactBucket, artifactKey",
        );
        await assertRefused({ "": 1, AWS_X: 1 }, 'the unknown field ""');
        await assertRefused(JSON.parse('{"__proto__":{"force":true}}'), 'the unknown field "__proto__"');
    });
    it("too long a request, whatever it holds", async () => {
        await assertRefused({ AWS_X: "x".repeat(250 * 1024) }, "longer than 16384 characters");
        await assertRefused({ imageUri: "é".repeat(10_000) }, "imageUri is ", `${"é".repeat(299)}…: expected`);
    });
    it("images that are none, or elsewhere", async () => {
        const [host = ""] = image.uri.split("/");
        for (const uri of [
            "nginx",
            "nginx:1",
            `${host}/`,
            `${host}/web/nginx:`,
            `${host}/web/nginx@sha256:1`,
            `${host}/Web/nginx:1`,

            `${image.uri}@${digest}@${digest}`,
            `${host}/web/nginx:1:2`,
            `https://${image.uri}`,
        ]) {
            await assertRefused({ imageUri: uri }, "expected an image in Amazon ECR");
        }
        for (const uri of [
            `${host}/web/nginx2:1`,
            `${host}/web:1`,
            "docker.io/library/nginx:1",
            ` ${image.uri}`,
            image.uri.replace("111122223333", "444455556666"),
            image.uri.replace("ap-northeast-1", "eu-west-1"),
            `${host}.evil.com/web/nginx:1`,
            image.uri.replace(".com/", ".com:443/"),
        ]) {
            await assertRefused({ imageUri: uri }, "may not read that repository", "repositoryArns");
        }
    });
    it("platforms that are none", async () => {
        for (const platform of [
            "linux",
            "linux/",
            "/amd64",
            "Linux/amd64",
            "linux/amd64/",
            "linux/amd64/v8/x",
            "linux amd64",
        ]) {
            await assertRefused({ platform }, "expected os/architecture");
        }
    });

    it("takes the keys that isArtifactKey takes, and no other", async () => {
        const pieces = fc.constantFrom(
            "images/",
            "a",
            ".",
            "..",
            "/",
            ".json",
            "é",
            "製",
            "😀",
            "\ud800",
            "\udc00",
            "\n",
            "\u0000",
            "\u007f",
            " ",
            "x".repeat(340),
            "製".repeat(300),
            "😀".repeat(250),
            "ü".repeat(500),
        );
        const keys = fc.array(pieces, { maxLength: 5 }).map((each) => `images/${each.join("")}`);
        const limits = [
            "images/" + "x".repeat(1012),
            "images/" + "x".repeat(1013),
            "images/" + "製".repeat(337) + "x",
            "images/" + "製".repeat(337) + "xx",
            "images/" + "😀".repeat(253),
            "images/" + "😀".repeat(253) + "x",
        ];
        const check = async (artifactKey: string): Promise<void> => {
            const { outcome } = await runExport({ artifactKey });
            assert.equal(
                outcome.status === "SUCCEEDED",
                isArtifactKey(artifactKey, "images/"),
                JSON.stringify(outcome),
            );
        };
        for (const each of limits) await check(each);
        await fc.assert(fc.asyncProperty(keys, check), { numRuns: 150 });
    });
});

it("names no error but those of the contract", () => {
    const named = JSON.stringify(definitions).match(/\$result\('(\w+)'|"error":"(\w+)"/g) ?? [];
    const names = named.map((each) => /(\w+)\W*$/.exec(each)?.[1] ?? "");
    for (const name of names) assert(name in exportErrors, name);
});
