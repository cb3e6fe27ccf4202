/** The whole pipeline with each engine: what is exported, skipped, refused and left behind. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";

import {
    GetObjectCommand,
    HeadObjectCommand,
    ListMultipartUploadsCommand,
    ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";

import type { EngineName } from "../../contract/engine";
import type { ImageRecord } from "../../contract/record";
import { verifyArchive } from "../../exporter/archive/verify";
import type { ExecutionResult } from "../../lab/executions";
import { permission } from "../../lab/iam";
import { digestOf } from "../../lab/image";
import { type Lab, uriOf } from "../../lab/lab";
import { run } from "../../lab/processes";
import { recordOf } from "../support/readRecord";
import { assertRecord } from "../support/recordSchema";
import { build, exportImage, failed, failToExport, sharedLab } from "./support/sharedLab";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine}`, () => {
        testPipeline(engine);
    });
}

function testPipeline(engine: EngineName): void {
    let lab: Lab;
    let bucket: string;

    before(async () => {
        lab = await sharedLab(engine);
        bucket = String(lab.stack.outputs["artifactBucketName"]);
    });

    /** The versions of all objects whose key begins with a prefix: nothing may be left of a failed export. */
    async function versions(prefix: string): Promise<string[]> {
        const listed = await lab.s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
        return (listed.Versions ?? []).map(({ Key }) => Key ?? "");
    }

    /** The digest that a tag has in the registry. */
    async function digestInRegistry(tag: string): Promise<string> {
        return (await digestOf(lab.registryPort, "nginx", tag)) ?? "";
    }

    /** What is at a key: the archive, and its record, which is what its schema says and of this very archive. */
    async function exported(key: string): Promise<{ archive: Uint8Array; record: ImageRecord }> {
        const [archive, record] = await Promise.all(
            [key, `${key}.json`].map((Key) => lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key }))),
        );
        const bytes = (await archive?.Body?.transformToByteArray()) ?? new Uint8Array();
        const text = await record?.Body?.transformToString();
        assert.deepEqual(assertRecord(text)["archive"], {
            sha256: createHash("sha256").update(bytes).digest("hex"),
            sizeBytes: bytes.length,
            bucket,
            key,
            versionId: archive?.VersionId,
        });
        return { archive: bytes, record: recordOf(text) };
    }

    it("exports the image of the original request to the very key, with a record, and reports what is there", async () => {
        const key = "images/nginx-mainline-alpine3.22.tar";
        const output = await exportImage(lab, { artifactBucket: bucket, artifactKey: key });
        const head = await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        const { archive, record } = await exported(key);
        const { executionId, buildId, imageDigest } = record;
        assert.deepEqual(output, {
            imageUri: lab.image.uri,
            imageDigest,
            platform: "linux/amd64",
            artifactBucket: bucket,
            artifactKey: key,
            artifactVersionId: head.VersionId,
            sizeBytes: head.ContentLength,
            sha256: record.archive.sha256,
            referrerCount: null,
            baseSha256: null,
            skipped: false,
            engine,
            buildId,
        });
        assert.equal(imageDigest, await digestInRegistry("mainline-alpine3.22"));
        assert.deepEqual(head.Metadata, {
            "image-digest": imageDigest,
            platform: "linux/amd64",
            // Of an archive in several parts it is not known when the upload begins.
            ...(engine === "docker" && { "archive-sha256": record.archive.sha256 }),
        });
        assert.equal(record.engine.name, engine);
        assert.match(String(executionId), /:execution:/);
        const [image] = record.images;
        assert.equal(image?.layers?.length, engine === "docker" ? undefined : 3);
        assert.equal(image?.diffIds?.length, 3);
        const verified = await verifyArchive(Readable.from([archive]), record);
        // `docker save` writes a manifest of its own: the registry's digest is the word of the record only.
        assert.deepEqual(
            [verified.problems, verified.contents.roots[0]?.digest],
            [[], engine === "docker" ? undefined : imageDigest],
        );
    });

    it("exports the image of the stack at a key of its own when the request is empty, and by digest at one of the digest", async () => {
        const output = await exportImage(lab, {});
        assert.equal(output["artifactKey"], "images/nginx/mainline-alpine3.22.tar");
        const digest = String(output["imageDigest"]);
        const byDigest = await exportImage(lab, { imageUri: uriOf(lab, "").replace(/:$/, `@${digest}`) });
        assert.equal(byDigest["imageDigest"], digest);
        assert.equal(byDigest["artifactKey"], `images/nginx/@${digest.replace("sha256:", "")}.tar`);
    });

    it("exports the image that a moved tag means now, and then skips it without a build, unless it is forced", async () => {
        const artifactKey = "images/moved.tar";
        const before = await exportImage(lab, { artifactKey });
        await lab.push("nginx", "mainline-alpine3.22");
        const after = await exportImage(lab, { artifactKey });
        assert.notEqual(after["imageDigest"], before["imageDigest"]);
        assert.equal(after["imageDigest"], await digestInRegistry("mainline-alpine3.22"));
        assert.equal(after["skipped"], false);
        assert.deepEqual(await exportImage(lab, { artifactKey }), { ...after, skipped: true, buildId: null });
        const forced = await exportImage(lab, { artifactKey, force: true });
        assert.equal(forced["skipped"], false);
        assert.notEqual(forced["artifactVersionId"], after["artifactVersionId"]);
        if (engine === "stream") assert.equal(forced["sha256"], after["sha256"]);
    });

    it("skips by digest without asking the registry, and has the build find out a tag that it may not ask for", async () => {
        const artifactKey = "images/nginx/unasked.tar";
        const first = await exportImage(lab, { artifactKey });
        lab.iam.removed.add(permission("ResolveTags", "ecr:DescribeImages"));
        const imageUri = `${lab.image.uri}@${String(first["imageDigest"])}`;
        const skipped = { ...first, skipped: true };
        assert.deepEqual(await exportImage(lab, { imageUri, artifactKey }), { ...skipped, imageUri, buildId: null });
        const byTag = await exportImage(lab, { artifactKey });
        assert.notEqual(byTag["buildId"], null);
        assert.deepEqual(byTag, { ...skipped, buildId: byTag["buildId"] });
    });

    it("leaves one archive with its own record, whichever of two exports to a key wins", async () => {
        await race(1);
    });

    it("gives two equal exports at the same time one result", async () => {
        const artifactKey = "images/raced-by-itself.tar";
        const results = await Promise.all([1, 2].map(() => exportImage(lab, { artifactKey })));
        const { record } = await exported(artifactKey);
        assert(results.some((output) => output["artifactVersionId"] === record.archive.versionId));
    });

    it("takes keys as they are, whatever a shell would make of them", async () => {
        for (const name of ["$(touch x) `id` ${HOME}; a&b|c'd\"e.tar", "製品/--acl=public %41.tar"]) {
            const output = await exportImage(lab, { artifactKey: `images/${name}` });
            assert.equal(output["artifactKey"], `images/${name}`);
            assert.ok((await versions(`images/${name}`)).includes(`images/${name}`));
        }
    });

    const wrong: [string, object, string, RegExp][] = [
        ["a field that breaks its rule", { artifactKey: "images/../x.tar" }, "InvalidInput", /^artifactKey is "images/],
        [
            "a tag that does not exist",
            { imageUri: "TAG:no-such-tag" },
            "ImageNotFound",
            /nginx:no-such-tag does not exist/,
        ],
        [
            "a digest that does not exist",
            { imageUri: `TAG@sha256:${"0".repeat(64)}` },
            "ImageNotFound",
            /sha256:0+.*Log: https:/,
        ],
        [
            "a platform that does not exist",
            { platform: "linux/s390x" },
            "ImageNotFound",
            /linux\/s390x.*linux\/amd64.*Log: https:/,
        ],
    ];
    for (const [what, input, error, cause] of wrong) {
        it(`names ${what}, and leaves nothing`, async () => {
            const before = await versions("");
            const request = JSON.stringify(input).replace("TAG", uriOf(lab, "").replace(/:$/, ""));
            const failure = await failToExport(lab, JSON.parse(request) as object);
            assert.equal(failure.error, error, failure.cause);
            assert.match(failure.cause, cause);
            assert.deepEqual(await versions(""), before);
        });
    }

    it("names an error by the exit status of the build, where its variables do not come along", async () => {
        const { projects } = lab.account;
        const [[name, project] = assert.fail()] = projects;
        const buildspec = project.source.buildspec.replace("[EXPORT_CAUSE]", "[]");
        assert.notEqual(buildspec, project.source.buildspec);
        projects.set(name, { ...project, source: { ...project.source, buildspec } });
        const failure = await failToExport(lab, { platform: "linux/s390x" });
        projects.set(name, project);
        assert.equal(failure.error, "ImageNotFound", failure.cause);
        assert.match(failure.cause, /exit status 3.*Log: https:/);
    });

    it("stops the build of an aborted execution", async () => {
        const abort = new AbortController();
        const lines: string[] = [];
        lab.watcher.log = (line) => {
            lines.push(line);
            if (line.startsWith("=== check")) abort.abort();
        };
        const result = await lab.execute({ artifactKey: "images/aborted.tar" }, abort.signal);
        delete lab.watcher.log;
        assert.equal(result.status, "ABORTED");
        assert.ok(lab.iam.used.has(permission("RunBuilds", "codebuild:StopBuild")));
        assert.ok(!lines.some((line) => line.startsWith("=== done")));
        assert.deepEqual(await versions("images/aborted.tar"), []);
    });

    it("says which permission is missing, and leaves nothing at the key", async () => {
        await lab.push("nginx", "mainline-alpine3.22");
        lab.iam.removed.add(permission("PullImages", "ecr:GetDownloadUrlForLayer"));
        const failure = await failToExport(lab, { artifactKey: "images/no-layers.tar" });
        assert.equal(failure.error, "AccessDenied");
        assert.match(failure.cause, /ecr:GetDownloadUrlForLayer/);
        assert.deepEqual(await versions("images/no-layers.tar"), []);
    });

    it("refuses by the policy of the role who gets past the state machine: another repository, prefix or bucket", async () => {
        await lab.push("secret", "latest"); // beside the repositories that the stack may read
        const before = await versions("");
        const forbidden: [string, Record<string, string>][] = [
            ["ecr:BatchGetImage", { IMAGE_URI: lab.image.uri.replace(/\/.*/s, "/secret:latest") }],
            ["s3:(Put|Get)Object", { ARTIFACT_PREFIX: "", ARTIFACT_KEY: "other/x.tar" }],
            ["s3:(Put|Get)Object", { ARTIFACT_BUCKET: "somebody-elses-bucket" }],
        ];
        for (const [action, variables] of forbidden) {
            const { phases, exportedEnvironmentVariables = [] } = await build(lab, {
                IMAGE_URI: lab.image.uri,
                IMAGE_DIGEST: "",
                PLATFORM: "linux/amd64",
                FORCE: "true",
                ARTIFACT_BUCKET: bucket,
                ARTIFACT_KEY: "images/past.tar",
                ...variables,
            });
            const cause = exportedEnvironmentVariables[0]?.value ?? "";
            assert.match(cause, new RegExp(action), JSON.stringify(phases));
            assert.match(JSON.stringify(phases), /exit status 4/, cause);
        }
        assert.deepEqual(await versions(""), before);
    });

    if (engine === "docker") {
        it("leaves nothing at the key when the disk is full while saving", async () => {
            const disk = join(lab.folder, "small-disk");
            mkdirSync(disk);
            await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
            lab.buildEnvironment["ARCHIVE_FILE"] = join(disk, "image.tar");
            try {
                const failure = await failToExport(lab, { artifactKey: "images/disk-full.tar" });
                assert.equal(failure.error, "ExportFailed");
                assert.match(failure.cause, /no space left on device/i);
                assert.deepEqual(await versions("images/disk-full.tar"), []);
            } finally {
                delete lab.buildEnvironment["ARCHIVE_FILE"];
                await run("umount", [disk]);
            }
        });
    } else {
        it("exports every platform of an image", async () => {
            const output = await exportImage(lab, { platform: "all", artifactKey: "images/all.tar" });
            assert.equal(output["platform"], "all");
        });
    }

    it("leaves no open upload behind", async () => {
        const listed = await lab.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        assert.deepEqual(listed.Uploads ?? [], []);
    });

    /** Two exports of different images to one key, at the same time. */
    async function race(round: number): Promise<void> {
        const artifactKey = `images/raced-${round}.tar`;
        const tags = ["one", "other"].map((tag) => `${tag}-${round}`);
        for (const tag of tags) await lab.push("nginx", tag);
        const results = await Promise.all(
            tags.map((tag) => lab.execute({ imageUri: uriOf(lab, tag), artifactKey, force: true })),
        );
        const { record } = await exported(artifactKey);
        const isWinner = (result: ExecutionResult) =>
            result.status === "SUCCEEDED" && result.output["artifactVersionId"] === record.archive.versionId;
        const [winner] = results.filter(isWinner);
        assert(winner?.status === "SUCCEEDED", JSON.stringify(results));
        assert.equal(record.imageDigest, winner.output["imageDigest"]);
        for (const result of results.filter((each) => each !== winner)) {
            const { error, cause } = failed(result);
            assert.equal(error, "ExportFailed");
            assert.match(cause, /another export/i);
        }
    }
}
