/**
 * Whoever may only start executions cannot make the build read another repository, write outside of the prefix or run a
 * command. tests/hostileRequests.test.ts tries many more texts on the parts; here some of each kind go through the whole
 * pipeline.
 */
import * as assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { ListObjectVersionsCommand } from "@aws-sdk/client-s3";

import { exportErrors } from "../../contract/errors";
import { repositoryArn } from "../../contract/image";
import { defaultArtifactKey } from "../../contract/keys";
import { type Lab, startLab } from "../../lab/lab";
import { configurationOf } from "../../lab/stackFiles";
import { eagerClock } from "../../lab/stateLanguage/interpreter";
import {
    hostileRequests,
    hostileTexts,
    misplacedRequests,
    program,
    type HostileRequest,
    type Target,
} from "../support/hostileRequests";
import { build } from "./support/sharedLab";

/** What a shell, a path or a document might take for something else, in one text that is a good name of an object. */
const everything = [
    "commands in substitutions",
    "commands behind separators",
    "commands behind quotes",
    "variables",
    "wildcards",
    "redirections",
    "options",
    "templates",
    "the end of a document",
]
    .map((kind) => hostileTexts[kind] ?? assert.fail(kind))
    .join("")
    .replaceAll("/", "_");

/** Texts of every kind. Alone they can be what they want to be; together no shell would get past their quotes. */
const texts: Record<string, string> = { everything };
for (const kind of [
    "commands in substitutions",
    "commands on lines of their own",
    "options",
    "a way upward",
    "letters of the world",
    "NUL",
    "10 KB",
]) {
    texts[kind] = hostileTexts[kind] ?? assert.fail(kind);
}

/** Named errors that fit better than InvalidInput. */
const fitting: Record<string, string> = {
    // No process can be started with it in a variable, so that the build fails before its first command.
    NUL: "ExportFailed",
    // Architectures have no greatest length.
    "10 KB": "ImageNotFound",
};

interface Call {
    readonly action: string;
    readonly resource: string;
    readonly refusal: string | undefined;
}

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: a hostile requester, with engine ${engine}`, () => {
        const calls: Call[] = [];
        const exports = new Set<string>();
        let lab: Lab;
        let target: Target;
        let trace: string;

        before(async () => {
            lab = await startLab({ configuration: configurationOf({ engine }), clock: eagerClock });
            target = {
                imageUri: lab.image.uri,
                artifactBucket: String(lab.stack.outputs["artifactBucketName"]),
                artifactPrefix: "images/",
            };
            await lab.push("secret", "latest"); // beside the repository that the stack may read
            trace = installProgram();
            recordCalls();
        });

        after(() => lab.stop());

        /** Puts the program of the hostile texts into every build; it leaves a trace when it is run. */
        function installProgram(): string {
            const bin = join(lab.folder, "hostile");
            const file = join(lab.folder, "trace");
            mkdirSync(bin);
            writeFileSync(join(bin, program), `#!/bin/sh\necho "$*" >>${file}\n`, { mode: 0o755 });
            lab.buildEnvironment["PATH"] = `${bin}:${lab.buildEnvironment["PATH"] ?? ""}`;
            return file;
        }

        function recordCalls(): void {
            const judge = lab.iam.refusal.bind(lab.iam);
            lab.iam.refusal = async (accessKeyId, ...asked) => {
                const refusal = await judge(accessKeyId, ...asked);
                for (const { action, resource } of asked) calls.push({ action, resource, refusal });
                return refusal;
            };
        }

        /** Every key of the bucket that has or had an object. */
        async function keys(): Promise<Set<string>> {
            const listed = await lab.s3.send(new ListObjectVersionsCommand({ Bucket: target.artifactBucket }));
            return new Set(listed.Versions?.map(({ Key = "" }) => Key));
        }

        /** Name of the error, or undefined for an export that is at the very key that was asked for. */
        async function errorOf(request: HostileRequest): Promise<string | undefined> {
            const result = await lab.execute(request);
            if (result.status === "FAILED") return result.error;
            assert.equal(result.status, "SUCCEEDED");
            const asked = request["artifactKey"];
            const key =
                typeof asked === "string"
                    ? asked
                    : defaultArtifactKey(target.artifactPrefix, lab.image, lab.image.repository);
            assert.equal(result.output["artifactKey"], key);
            assert.ok((await keys()).has(key));
            exports.add(key);
            return undefined;
        }

        for (const [what, text] of Object.entries(texts)) {
            it(`gets InvalidInput, the error that fits, or what was asked for: ${what} in every field`, async () => {
                for (const request of hostileRequests(target, text)) {
                    const error = await errorOf(request);
                    const expected = [undefined, "InvalidInput", fitting[what]];
                    assert.ok(expected.includes(error), `${String(error)} for ${JSON.stringify(request)}`);
                }
            });
        }

        it("is refused what is no field of a request", async () => {
            for (const request of misplacedRequests(everything)) {
                assert.equal(await errorOf(request), "InvalidInput", JSON.stringify(request));
            }
        });

        it("has exported something, so that the texts were put to use", () => {
            assert.ok(exports.has(`images/${everything}`));
            assert.ok(exports.has(`images/$(${program})\`${program}\`<(${program})`));
            assert.ok(exports.has(`images/${texts["letters of the world"] ?? ""}/x.tar`));
        });

        it("has run no command", () => {
            assert.ok(!existsSync(trace));
        });

        it("has had nothing asked of AWS that an export does not ask, and nothing refused", () => {
            const bucket = `arn:aws:s3:::${target.artifactBucket}`;
            const exporter = "s3:GetObject of .exporter/";
            const harmless: Record<string, (call: Call) => boolean> = {
                codebuild: ({ resource }) =>
                    resource.endsWith(`:project/${String(lab.stack.outputs["buildProjectName"])}`),
                ecr: ({ action, resource }) =>
                    resource === (action === "ecr:GetAuthorizationToken" ? "*" : repositoryArn(lab.image.repository)),
                events: ({ resource }) => resource.endsWith(":rule/StepFunctionsGetEventForCodeBuildStartBuildRule"),
                logs: ({ resource }) => resource.includes(":log-group:/aws/codebuild/image-export-"),
                s3: ({ action, resource }) =>
                    resource.startsWith(`${bucket}/images/`) ||
                    `${action} of ${resource.slice(bucket.length + 1)}`.startsWith(exporter),
            };
            assert.ok(calls.length > 100, String(calls.length));
            for (const call of calls) {
                const isHarmless = harmless[call.action.split(":")[0] ?? ""]?.(call) ?? false;
                assert.ok(isHarmless && call.refusal === undefined, JSON.stringify(call));
            }
        });

        it("has left nothing in the bucket but what was asked for", async () => {
            const expected = [...exports].flatMap((key) => [key, `${key}.json`]);
            const found = [...(await keys())].filter((key) => !key.startsWith(".exporter/"));
            assert.deepEqual(found.sort(), expected.sort());
        });

        describe("who gets past the state machine", () => {
            /** What the state machine would set. */
            const good = {
                IMAGE_URI: "",
                IMAGE_DIGEST: "",
                PLATFORM: "linux/amd64",
                FORCE: "true",
                ARTIFACT_BUCKET: "",
                ARTIFACT_KEY: "images/x.tar",
            };

            before(() => {
                good.IMAGE_URI = lab.image.uri;
                good.ARTIFACT_BUCKET = target.artifactBucket;
            });

            const errorOfBuild = async (variables: Record<string, string>): Promise<[string, string]> => {
                const { exportedEnvironmentVariables = [], phases } = await build(lab, { ...good, ...variables });
                const [, status] = /exit status (\d+)/.exec(JSON.stringify(phases)) ?? [];
                const errors = Object.entries(exportErrors);
                const [error = ""] = errors.find(([, { exitStatus }]) => String(exitStatus) === status) ?? [];
                return [error, exportedEnvironmentVariables[0]?.value ?? ""];
            };

            it("is refused by the build itself", async () => {
                const before = await keys();
                for (const [what, text] of Object.entries(texts)) {
                    if (what === "NUL") continue;
                    const uri = lab.image.uri.replace(/:[^:]*$/, "");
                    const builds: Record<string, string>[] = [
                        { IMAGE_URI: `${uri}:${text}` },
                        { PLATFORM: `linux/amd64 ${text}` },
                        { ARTIFACT_KEY: `../${text}` },
                        { ARTIFACT_KEY: `images/../${text}` },
                        { ARTIFACT_KEY: `images/\n${text}` },
                        { FORCE: text },
                    ];
                    for (const variables of builds) {
                        const [error, cause] = await errorOfBuild(variables);
                        assert.equal(error, "InvalidInput", `${cause} for ${JSON.stringify(variables)}`);
                    }
                }
                assert.deepEqual(await keys(), before);
                assert.ok(!existsSync(trace));
            });
        });
    });
}
