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
} from "../../components/definition";
import {
    defaultArtifactKey,
    parseImageUri,
    parseRepositoryArn,
    repositoryUris,
} from "../../components/imageReference";
import {
    awsError,
    type Build,
    execute,
    type Outcome,
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
    partition: "aws",
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

function fails(error: string, cause: string): Build {
    return () => {
        throw awsError(error, cause);
    };
}

/** A failed build, as Step Functions reports it: the Build as text in Cause. */
function failedBuild(exported: Record<string, string>, changes: object = {}): Build {
    return fails("States.TaskFailed", JSON.stringify(buildOf("FAILED", exported, changes)));
}

/** Runs a request; gives the variables of every build that was started, too. */
async function run(
    input: unknown,
    build: Build = succeeds,
    machine: StateMachineDefinition = definition,
): Promise<{ outcome: Outcome; builds: StartBuild[] }> {
    const builds: StartBuild[] = [];
    const outcome = await execute(machine, input, (request) => {
        builds.push(request);
        return build(request);
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

    it("calls one service, in the stack's partition", () => {
        const china = exportDefinition({ ...definitionArgs, partition: "aws-cn" });
        const resourcesOf = ({ States }: StateMachineDefinition) =>
            JSON.stringify(States).match(/"Resource":"[^"]*"/g);
        assert.deepEqual(resourcesOf(definition), [
            '"Resource":"arn:aws:states:::codebuild:startBuild.sync"',
        ]);
        assert.deepEqual(resourcesOf(china), ['"Resource":"arn:aws-cn:states:::codebuild:startBuild.sync"']);
    });

    it("waits longer than the build may queue and run", () => {
        assert.equal(definition.States[task]?.["TimeoutSeconds"], (60 + 30 + 10) * 60);
    });

    it("tries again what can pass and nothing else, with jitter and a cap", () => {
        assert.deepEqual(definition.States[task]?.["Retry"], [
            {
                ErrorEquals: [
                    "CodeBuild.AccountLimitExceededException",
                    "CodeBuild.CodeBuildException",
                    "CodeBuild.AWSCodeBuildException",
                    "CodeBuild.ThrottlingException",
                    "CodeBuild.SdkClientException",
                ],
                IntervalSeconds: 5,
                BackoffRate: 2,
                MaxAttempts: 6,
                MaxDelaySeconds: 60,
                JitterStrategy: "FULL",
            },
        ]);
    });

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
        assert.deepEqual([...new Set(names)].sort(), ["BuildTimedOut", "ExportFailed", "InvalidInput"]);
        assert.deepEqual(buildErrors, [
            "InvalidInput",
            "ImageNotFound",
            "AccessDenied",
            "DigestMismatch",
            "ExportFailed",
        ]);
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
                [request.imageUri, request.platform, bucket, request.artifactKey],
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

        it("gives up after six more attempts, with the words of AWS", async () => {
            const limit = "Cannot have more than 1 builds in queue for the account";
            const { outcome, builds } = await run(
                {},
                fails("CodeBuild.AccountLimitExceededException", limit),
            );
            assert.deepEqual(outcome, {
                error: "ExportFailed",
                cause: `CodeBuild.AccountLimitExceededException: ${limit}`,
            });
            assert.equal(builds.length, 7);
        });

        it("fails at once when it may not, with the words of AWS", async () => {
            const denied =
                "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: codebuild:StartBuild";
            const { outcome, builds } = await run({}, fails("CodeBuild.AccessDeniedException", denied));
            assert.deepEqual(outcome, {
                error: "ExportFailed",
                cause: `CodeBuild.AccessDeniedException: ${denied}`,
            });
            assert.equal(builds.length, 1);
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

        for (const error of buildErrors) {
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

        it("says that the build timed out, although it exported nothing that helps", async () => {
            const timedOut = failedBuild(
                { EXPORT_ERROR: "", EXPORT_CAUSE: "" },
                { BuildStatus: "TIMED_OUT" },
            );
            const failure = await failureOf({}, timedOut);
            assert.equal(failure.error, "BuildTimedOut");
            assert.match(
                failure.cause,
                /timeout of 30 minutes, or waited 60 minutes in the queue.*Log: https:/,
            );
        });

        it("says that no build came to its end in time", async () => {
            const failure = await failureOf({}, fails("States.Timeout", ""));
            assert.equal(failure.error, "BuildTimedOut");
            assert.match(failure.cause, /within 100 minutes.*project export-0a1b2c3/);
        });

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
        const execution = start(definition, {}, () => {
            started += 1;
            execution.abort();
            return new Promise((resolve) => setTimeout(resolve, 10, { Build: buildOf("STOPPED", {}) }));
        });
        await assert.rejects(execution.outcome, { name: "ExecutionAbortedError" });
        assert.equal(started, 1);
    });

    it("ends well or in a named error, whatever JSON it is given", async () => {
        const named = new Set([...buildErrors, "BuildTimedOut"]);
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
                .constantFrom(...buildErrors)
                .map((error) => failedBuild({ EXPORT_ERROR: error, EXPORT_CAUSE: "x" })),
            fc.jsonValue().map((cause) => fails("States.TaskFailed", JSON.stringify(cause))),
            fc
                .record(
                    { Logs: fc.jsonValue(), ExportedEnvironmentVariables: fc.jsonValue() },
                    { requiredKeys: [] },
                )
                .map((changes) => failedBuild({}, changes)),
            fc.tuple(fc.string(), fc.string()).map(([error, cause]) => fails(`CodeBuild.${error}`, cause)),
        );
        await fc.assert(
            fc.asyncProperty(fc.oneof(request, fc.jsonValue()), builds, async (input, build) => {
                const { outcome } = await run(input, build);
                if ("error" in outcome) {
                    assert(named.has(outcome.error), `${outcome.error}: ${outcome.cause}`);
                    assert.notEqual(outcome.cause, "");
                }
            }),
            { numRuns: 500 },
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
        const both = ["IMAGE_URI", "PLATFORM", "ARTIFACT_BUCKET", "ARTIFACT_KEY"];
        assert.deepEqual(Object.keys(requestVariables.docker), both);
        assert.deepEqual(Object.keys(requestVariables.stream), [...both, "FORCE", "EXECUTION_ID"]);
        assert.deepEqual(resultVariables, {
            IMAGE_DIGEST: "imageDigest",
            ARTIFACT_VERSION_ID: "artifactVersionId",
            ARCHIVE_SIZE_BYTES: "sizeBytes",
            ARCHIVE_SHA256: "sha256",
            SKIPPED: "skipped",
        });
    });
});
