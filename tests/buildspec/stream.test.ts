import { strict as assert } from "node:assert";

import { exitStatusText, exportErrors } from "../../contract/errors";
import { parseStep } from "../../contract/progress";
import { type BuildResult, readBuildspec, runBuild, type World } from "../support/build";

const buildspec = readBuildspec("stream");
const variables = {
    EXIT_STATUSES: exitStatusText,
    IMAGE_URI: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29",
    SET_DIGEST: "",
    PLATFORM: "linux/amd64",
    REFERRERS: "false",
    SINCE_KEY: "",
    SINCE_FOR: "",
    FORCE: "false",
    EXECUTION_ID: "arn:aws:states:ap-northeast-1:111122223333:execution:export:1",
    ARTIFACT_BUCKET: "artifacts",
    ARTIFACT_PREFIX: "images/",
    ARTIFACT_KEY: "images/web/nginx/1.29.tar",
};
const result = {
    imageDigest: `sha256:${"0123456789abcdef".repeat(4)}`,
    artifactVersionId: "version-1",
    sizeBytes: 12345678901,
    sha256: "f".repeat(64),
    skipped: false,
};

/** An exporter that prints a line and ends with a status, as bash. */
function exporter(output: unknown, status = 0): World {
    const text = typeof output === "string" ? output : JSON.stringify(output);
    return { "node exporter.mjs": `printf '%s\\n' '${text.replaceAll("'", String.raw`'\''`)}'; exit ${status}` };
}

function run(changes: Partial<typeof variables> = {}, world: World = exporter(result)): BuildResult {
    return runBuild(buildspec, { ...variables, ...changes }, world);
}

/** The arguments of the exporter, if it was called. */
function exporterCall({ calls }: BuildResult): readonly string[] | undefined {
    return calls.find(([, first]) => first === "exporter.mjs")?.slice(2);
}

describe("a build of stream.yml", () => {
    it("hands the request to the exporter, whatever is in it", () => {
        const key = "images/$(id) `id` 'a' \"b\" --force ü.tar";
        const build = run({ ARTIFACT_KEY: key, IMAGE_URI: "--help", PLATFORM: "--force" });
        assert.equal(build.status, 0, build.output);
        assert.deepEqual(exporterCall(build), [
            "--progress",
            "--platform=--force",
            "--image=--help",
            "--",
            `s3://artifacts/${key}`,
        ]);
    });

    it("hands a set on by its digest", () => {
        const build = run({ IMAGE_URI: "", SET_DIGEST: result.imageDigest });
        assert.deepEqual(exporterCall(build)?.slice(2, 4), [`--set=${result.imageDigest}`, "--"]);
        assert.match(build.output, /Export a set of images to s3:/);
    });

    it("forces the export when the request does", () => {
        for (const [name, option] of Object.entries({ FORCE: "--force", REFERRERS: "--referrers" })) {
            assert(!exporterCall(run({ [name]: "false" }))?.includes(option));
            assert(exporterCall(run({ [name]: "true" }))?.includes(option));
        }
    });

    it("says its steps as the contract has them, and leaves what it did to the record", () => {
        const build = run();
        assert.equal(build.status, 0, build.output);
        assert.deepEqual(build.exported, {});
        const steps = build.output.split("\n").flatMap((line) => parseStep(line) ?? []);
        assert.deepEqual(steps, ["check", "export", "done"]);
    });

    it("ends as the exporter does, with its cause on one line and not too long", () => {
        const cause = `it's $(id) \`id\` "x"\nand ${"y".repeat(5000)}`;
        const build = run({}, exporter({ error: "ImageNotFound", cause }, 3));
        assert.equal(build.status, 3);
        assert.deepEqual(build.exported, { EXPORT_CAUSE: cause.replace("\n", " ").slice(0, 4000) });
    });

    for (const [how, output] of Object.entries({ "without a word": "", "in other words": "Segmentation fault" })) {
        it(`says so where the exporter dies ${how}`, () => {
            const build = run({}, exporter(output, 139));
            assert.equal(build.status, 139);
            assert.deepEqual(build.exported, { EXPORT_CAUSE: "The exporter ended with exit status 139." });
        });
    }

    for (const key of ["other/x.tar", "images/", "image", ""]) {
        it(`refuses the key "${key}" before it exports anything`, () => {
            const build = run({ ARTIFACT_KEY: key });
            assert.equal(build.status, exportErrors.InvalidInput.exitStatus);
            assert.match(build.exported["EXPORT_CAUSE"] ?? "", /begins with images\//);
            assert.equal(exporterCall(build), undefined);
        });
    }

    it("refuses what is neither true nor false", () => {
        const build = run({ FORCE: "$(id)" });
        assert.equal(build.status, exportErrors.InvalidInput.exitStatus);
        assert.equal(exporterCall(build), undefined);
    });

    for (const version of ["v18.20.8", "v20.20.2", "v21.7.3", "v9.0.0"]) {
        it(`says which build image to take where Node is ${version}`, () => {
            const build = run({}, { ...exporter(result), "node --version": `echo ${version}` });
            assert.equal(build.status, exportErrors.ExportFailed.exitStatus);
            assert.match(build.exported["EXPORT_CAUSE"] ?? "", /Node 22 or later.*compute\.image/);
        });
    }

    it("says so where there is no Node", () => {
        const build = run({}, { "node --version": "exit 127" });
        assert.match(build.exported["EXPORT_CAUSE"] ?? "", /the build image has none/);
    });
});
