import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { BuildRunner } from "../../components/buildRunner";
import { parseImageUri } from "../../contract/image";
import { causeVariable, requestVariables } from "../../contract/request";
import { at } from "../../lab/awsTypes";
import { isInstalled, readBuildspec, scriptOf } from "../support/build";
import { root } from "../../lab/stackFiles";
import { evaluate, resourceOf } from "../../lab/evaluation";

for (const engine of ["docker", "stream"] as const) {
    describe(`buildspec/${engine}.yml`, () => {
        const buildspec = readBuildspec(engine);
        const script = scriptOf(buildspec);

        it("is of version 0.2, for bash", () => {
            assert.deepEqual([buildspec.version, buildspec.env.shell], [0.2, "bash"]);
        });

        it("has one phase, which ends the build when it fails", () => {
            assert.deepEqual(Object.keys(buildspec.phases), ["build"]);
            assert.equal(buildspec.phases["build"]?.["on-failure"], "ABORT");
        });

        it("fails in a short command, since CodeBuild repeats it in what Step Functions hands on", () => {
            assert.deepEqual(buildspec.phases["build"]?.commands.slice(1), ["bash export.sh"]);
        });

        it("leaves room in what Step Functions tells of a failed build, which the buildspec is a part of", () => {
            // 32,768 characters: docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html. What is not
            // the buildspec takes some 8,000: variables, a cause of 1,000 bytes, a key of 1,019, eleven phases.
            const text = JSON.stringify(readFileSync(join(root, "buildspec", `${engine}.yml`), "utf8"));
            assert(text.length < 24_000, `${text.length} characters`);
        });

        it("exports its cause, and nothing else: what was exported is what S3 shows", () => {
            assert.deepEqual(buildspec.env["exported-variables"], [causeVariable]);
        });

        it("reads the variables that project and state machine provide, and no other", async () => {
            const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29");
            const program = await evaluate(() => ({
                runner: new BuildRunner("test", {
                    at,
                    engine,
                    referrers: false,
                    buildspec: "x",
                    exporter: engine === "stream" ? "// exporter" : undefined,
                    cache: "none",
                    imageUri: image,
                    repositories: [image.repository],
                    cachedRepositories: [],
                    artifactBucket: "artifacts",
                    artifactBucketArn: "arn:aws:s3:::artifacts",
                    artifactPrefix: "images/",
                    compute: { type: "x", image: "x", timeoutMinutes: 5, queuedTimeoutMinutes: 5 },
                }).urn,
            }));
            const { environmentVariables } = resourceOf(program, "test-project").inputs["environment"] as {
                environmentVariables: { name: string }[];
            };
            const provided = environmentVariables.map(({ name }) => name);

            const code = script.replaceAll(/^\s*#.*$/gm, "");
            const read = [...code.matchAll(/\$(?:\{?[#!]?|is\.)([A-Z][A-Z0-9_]*)/g)].map(([, name]) => name ?? "");
            const own = [...code.matchAll(/(?:^|\s)([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name ?? "");
            const given = ["BASH_REMATCH", "PWD", "SECONDS", "ENV", "ARGS", "CODEBUILD_BUILD_ID"]; // by bash, jq and CodeBuild
            const fromOutside = [...new Set(read)].filter((name) => ![...own, ...given].includes(name));
            // The exporter reads these from its environment.
            if (engine === "stream") {
                fromOutside.push("EXECUTION_ID", "IMAGE_DIGEST", "SIGNING_KEY_ARN", "TIMEOUT_MINUTES");
            }
            assert.deepEqual(fromOutside.sort(), provided.sort());
            assert.deepEqual(
                requestVariables.filter((name) => !provided.includes(name)),
                [],
                "the state machine overrides what the project declares",
            );
        });

        it("never traces its commands, which would show the password", () => {
            assert.doesNotMatch(script, /set -[a-z]*x|set -o xtrace|bash -x/);
        });

        it("is bash", () => {
            for (const commands of [script, buildspec.phases["build"]?.finally?.join("\n") ?? ""]) {
                const { status, stderr } = spawnSync("bash", ["-n"], { input: commands, encoding: "utf8" });
                assert.equal(status, 0, stderr);
            }
        });

        it("is clean to shellcheck (skipped where that is not installed)", function () {
            if (!isInstalled("shellcheck")) this.skip();
            for (const commands of [script, buildspec.phases["build"]?.finally?.join("\n") ?? ""]) {
                const { status, stdout } = spawnSync("shellcheck", ["--shell=bash", "-"], {
                    input: commands,
                    encoding: "utf8",
                });
                assert.equal(status, 0, stdout);
            }
        });
    });
}
