/**
 * Whoever may only start executions cannot make a build read another repository, write outside of the prefix or run a
 * command. Shown here for the state machine and for the buildspecs each by itself, with texts that were thought of and
 * with texts that are generated. The lab does it with the whole pipeline.
 */
import { strict as assert } from "node:assert";

import fc from "fast-check";

import type { EngineName } from "../../contract/engine";
import { ExportError, exportErrors, exitStatusText } from "../../contract/errors";
import { parseReference } from "../../contract/image";
import { parsePlatform } from "../../contract/platform";
import { causeVariable } from "../../contract/request";
import { parseLocation } from "../../exporter/destination/destination";
import { at } from "../../lab/awsTypes";
import type { Outcome } from "../../lab/stateLanguage/host";
import { batchDefinition } from "../../stateMachines/batch";
import { type BuildResult, readBuildspec, runBuild } from "../support/build";
import { execute, fails, FakeExecutions } from "../support/execution";
import { assertHarmless, bucket, definitions, image, runExport } from "../support/exportExecution";
import {
    anyRequest,
    hostileRequests,
    hostileSets,
    hostileText,
    hostileTexts,
    misplacedRequests,
    program,
} from "../support/hostileRequests";

const target = { imageUri: image.uri, artifactBucket: bucket, artifactPrefix: "images/" };
const generated = { seed: 20_260_101 };

function assertNamed(outcome: Outcome): void {
    if (outcome.status === "SUCCEEDED") return;
    assert(outcome.status === "FAILED" && outcome.error in exportErrors, JSON.stringify(outcome));
    assert.notEqual(outcome.cause, "");
}

for (const engine of ["docker", "stream"] as const) {
    const definition = definitions[engine];

    describe(`a hostile request to the state machine, with engine ${engine}`, () => {
        for (const [what, text] of Object.entries(hostileTexts)) {
            it(`starts no build but of the stack's own: ${what} in every field`, async () => {
                const requests = [hostileRequests(target, text), hostileSets(target, text), misplacedRequests(text)];
                for (const request of requests.flat()) {
                    const { outcome, builds, stored } = await runExport(request, { definition });
                    assertNamed(outcome);
                    for (const build of builds) assertHarmless(build, stored);
                }
            });
        }

        it("starts no build but of the stack's own, whatever is generated", async () => {
            await fc.assert(
                fc.asyncProperty(anyRequest(target), fc.boolean(), async (request, refuses) => {
                    const build = refuses ? fails("States.TaskFailed", "x") : undefined;
                    const { outcome, builds, stored } = await runExport(request, {
                        definition,
                        ...(build && { build }),
                    });
                    assertNamed(outcome);
                    for (const build of builds) assertHarmless(build, stored);
                }),
                { ...generated, numRuns: 100, endOnFailure: true },
            );
        });
    });
}

describe("a hostile request in a batch", () => {
    const batch = batchDefinition({
        at,
        exportMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:export-0a1b2c3",
        artifactBucket: bucket,
        maxConcurrency: 10,
    });

    it("reaches the export state machine as it is, and has others exported", async () => {
        for (const text of Object.values(hostileTexts)) {
            const all: unknown[] = [...hostileRequests(target, text), ...misplacedRequests(text)];
            // An input has at most 256 KiB.
            const requests = text.length > 1000 ? all.slice(0, 10) : all;
            const executions = new FakeExecutions(() => ({ sizeBytes: 1 }));
            const input = { images: [...requests, text, image.uri], allowFailures: true };
            const { outcome } = await execute(batch, input, executions.services);
            assert.equal(outcome.status, "SUCCEEDED", JSON.stringify(outcome));
            const expected = [...requests, { imageUri: text }, { imageUri: image.uri }].map(asSent);
            for (const request of executions.started) assert(expected.includes(asSent(request)), asSent(request));
            assert(executions.started.map(asSent).includes(asSent({ imageUri: image.uri })));
        }
    });

    it("is refused where it takes the place of a list, a manifest or a flag", async () => {
        for (const text of Object.values(hostileTexts)) {
            const manifest = { bucket, key: `batches/../${text}` };
            const inputs: object[] = [
                { images: text },
                { manifest: text },
                { manifest },
                { manifest: { ...manifest, bucket: bucket + (text || "x") } },
                { images: [image.uri], allowFailures: text },
            ];
            for (const input of inputs) {
                const executions = new FakeExecutions(() => ({ sizeBytes: 1 }));
                const { outcome } = await execute(batch, input, executions.services);
                assert(outcome.status === "FAILED" && outcome.error === "InvalidInput", JSON.stringify(outcome));
                assert.deepEqual(executions.started, []);
            }
        }
    });
});

function asSent(request: unknown): string {
    return JSON.stringify(request);
}

/** Runs a build as somebody who gets past the state machine would, or a state machine with a mistake. */
function build(engine: EngineName, changes: Record<string, string>): BuildResult {
    const variables = {
        IMAGE_URI: image.uri,
        PLATFORM: "linux/amd64",
        ARTIFACT_BUCKET: target.artifactBucket,
        ARTIFACT_PREFIX: target.artifactPrefix,
        ARTIFACT_KEY: "images/a.tar",
        FORCE: "false",
        EXECUTION_ID: "",
        IMAGE_DIGEST: "",
        EXIT_STATUSES: exitStatusText,
        CODEBUILD_BUILD_ID: "export:1",
        ...(engine === "docker" && { ARCHIVE_FILE: "image.tar" }),
        ...changes,
    };
    const exported = { imageDigest: "x", artifactVersionId: "x", sizeBytes: 1, sha256: "x", skipped: false };
    return runBuild(readBuildspec(engine), variables, {
        "node exporter.mjs": `printf '%s\\n' '${JSON.stringify(exported)}'`,
    });
}

/** Every text that a variable can have; and without those that separate the calls that the stubs write down. */
const variable = hostileText(target).filter((text) => !["\0", "\x1e", "\x1f"].some((each) => text.includes(each)));

const reference = /^[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?\/[a-z0-9][a-z0-9._/-]*(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]{64})?$/;

/** What the commands of a build of engine docker were told: references, platforms and the object as they should be. */
function assertPlainArguments({ calls }: BuildResult, key: string): void {
    for (const [command, ...args] of calls) {
        const [what, ...rest] = args;
        if (command === "curl") {
            assert.match(args.at(-1) ?? "", /^https:\/\/[\w.:-]+\/v2\/[\w./-]+\/manifests\/[\w.:-]+$/);
        }
        if (command === "docker" && what === "pull") {
            assert.match(rest[1] ?? "", /^[a-z0-9]+\/[a-z0-9_-]+(?:\/[a-z0-9._-]+)?$/);
            assert.match(rest[2] ?? "", reference);
            assert.equal(rest.length, 3);
        }
        if (command === "docker" && (what === "tag" || what === "save")) assert.match(rest.at(-1) ?? "", reference);
        if (command === "aws" && what === "s3") assert.equal(rest[2], `s3://${target.artifactBucket}/${key}`);
        if (command === "aws" && what === "s3api") {
            assert([key, `${key}.json`].includes(rest[rest.indexOf("--key") + 1] ?? ""));
        }
    }
}

function assertNothingRan({ calls, files, output }: BuildResult, engine: EngineName): void {
    assert(!calls.some(([command]) => command === program), output);
    const known =
        /^(?:docker-config|export\.sh|cause\.txt|image\.(?:json|tar)|(?:record|result)\.json|(?:archive|record)\.head|(?:error|pull)\.log)$/;
    assert.deepEqual(
        files.filter((file) => !known.test(file)),
        [],
        engine,
    );
}

describe("a hostile value in a build that was started past the state machine", () => {
    it("is refused by docker.yml, or is an argument like any other", () => {
        const field = fc.constantFrom("IMAGE_URI", "PLATFORM", "ARTIFACT_KEY", "FORCE");
        const prefixes: Record<string, string[]> = {
            IMAGE_URI: ["", image.uri, "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:"],
            PLATFORM: ["", "linux/", "linux/amd64"],
            ARTIFACT_KEY: ["", "images/", "images/a/"],
            FORCE: ["", "true", "false"],
        };
        fc.assert(
            fc.property(field, fc.nat(2), variable, (name, prefix, text) => {
                const value = `${prefixes[name]?.[prefix] ?? ""}${text}`;
                const result = build("docker", { [name]: value });
                assertNothingRan(result, "docker");
                if (result.status === exportErrors.InvalidInput.exitStatus) assert.deepEqual(result.calls, []);
                assertPlainArguments(result, name === "ARTIFACT_KEY" ? value : "images/a.tar");
                assert(result.status === 0 || result.exported[causeVariable] !== undefined, result.output);
            }),
            { ...generated, numRuns: 40 },
        );
    });

    it("is refused by stream.yml, or is an argument like any other of the exporter", () => {
        const field = fc.constantFrom("IMAGE_URI", "PLATFORM", "ARTIFACT_KEY", "FORCE");
        fc.assert(
            fc.property(field, variable, (name, text) => {
                const value = name === "ARTIFACT_KEY" ? `images/${text}` : text;
                const changed: Record<string, string> = { [name]: value };
                const result = build("stream", changed);
                assertNothingRan(result, "stream");
                const call = result.calls.find(([, first]) => first === "exporter.mjs");
                if (name === "FORCE") assert.equal(call === undefined, !/^(?:true|false)$/.test(value));
                if (call === undefined) return;
                assert.deepEqual(
                    call.slice(2).filter((argument) => argument !== "--force"),
                    [
                        "--progress",
                        `--platform=${changed["PLATFORM"] ?? "linux/amd64"}`,
                        "--",
                        changed["IMAGE_URI"] ?? image.uri,
                        `s3://${target.artifactBucket}/${changed["ARTIFACT_KEY"] ?? "images/a.tar"}`,
                    ],
                );
            }),
            { ...generated, numRuns: 20 },
        );
    });

    it("is refused by the exporter, or is a reference, a platform and a key", () => {
        const readers: ((text: string) => void)[] = [
            (text) => {
                const { registry, repository, tag = "" } = parseReference(text);
                assert.match(`${registry}/${repository}:${tag}`, /^[\w.:[\]/-]+$/);
            },
            (text) => {
                const platform = parsePlatform(text);
                assert(platform === "all" || /^[\w.-]+\/[\w.-]+$/.test(`${platform.os}/${platform.architecture}`));
            },
            (text) => {
                const location = parseLocation(`s3://artifacts/images/${text}`);
                assert(location.bucket === "artifacts");
                assert.equal(location.key, `images/${text}`);
                assert(location.key.split("/").every((folder) => !["", ".", ".."].includes(folder)) || text === "");
            },
        ];
        for (const read of readers) {
            const refuses = (text: string) => {
                try {
                    read(text);
                } catch (error) {
                    assert(error instanceof ExportError, String(error));
                    assert.equal(error.name, "InvalidInput");
                }
            };
            for (const text of Object.values(hostileTexts)) refuses(text);
            fc.assert(fc.property(hostileText(target), refuses), { ...generated, numRuns: 1000 });
        }
    });
});
