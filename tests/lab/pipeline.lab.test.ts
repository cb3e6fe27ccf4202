import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

import {
    GetObjectCommand,
    HeadObjectCommand,
    ListMultipartUploadsCommand,
    ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";

import type { EngineName } from "../../contract/engine";
import { verifyArchive } from "../../exporter/archive/verify";
import { permission } from "../../lab/iam";
import { type Lab, startLab } from "../../lab/lab";
import { run } from "../../lab/processes";
import type { ExecutionResult } from "../../lab/executions";
import { assertRecord } from "../support/recordSchema";
import { recordOf } from "../support/readRecord";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine}`, () => {
        testPipeline(engine);
    });
}

function testPipeline(engine: EngineName): void {
    let lab: Lab;
    let bucket: string;

    before(async () => {
        lab = await startLab({ engine, tell: () => undefined });
        bucket = String(lab.stack.outputs["artifactBucketName"]);
    });

    after(async () => {
        await lab.stop();
    });

    /** The versions of all objects whose key begins with a prefix: nothing may be left of a failed export. */
    async function versions(prefix: string): Promise<string[]> {
        const listed = await lab.s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
        return (listed.Versions ?? []).map(({ Key }) => Key ?? "");
    }

    async function openUploads(): Promise<number> {
        const listed = await lab.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        return listed.Uploads?.length ?? 0;
    }

    /** The digest that a tag has in the registry. */
    async function digestInRegistry(tag: string): Promise<string | undefined> {
        return (await lab.describeImage("nginx", tag))?.imageDigest;
    }

    /** What is at a key: the archive, its version, and its record, which is what its schema says. */
    async function exported(
        key: string,
    ): Promise<{ archive: Uint8Array; versionId: string | undefined; record: Record<string, unknown> }> {
        const [archive, record] = await Promise.all(
            [key, `${key}.json`].map((Key) => lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key }))),
        );
        return {
            archive: (await archive?.Body?.transformToByteArray()) ?? new Uint8Array(),
            versionId: archive?.VersionId,
            record: assertRecord(await record?.Body?.transformToString()),
        };
    }

    async function exportImage(input: object): Promise<Record<string, unknown>> {
        const result = await lab.execute(input);
        assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
        return result.output;
    }

    async function failToExport(input: object): Promise<Extract<ExecutionResult, { status: "FAILED" }>> {
        const result = await lab.execute(input);
        assert.equal(result.status, "FAILED", JSON.stringify(result));
        return result;
    }

    it("exports the image of the original request to the very key, and reports what is there", async () => {
        const key = "images/nginx-mainline-alpine3.22.tar";
        const output = await exportImage({ artifactBucket: bucket, artifactKey: key });
        const head = await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        assert.deepEqual(Object.keys(output).sort(), [
            "artifactBucket",
            "artifactKey",
            "artifactVersionId",
            "buildId",
            "engine",
            "imageDigest",
            "imageUri",
            "platform",
            "sha256",
            "sizeBytes",
            "skipped",
        ]);
        assert.equal(output["engine"], engine);
        assert.equal(output["skipped"], false);
        assert.notEqual(output["buildId"], null);
        assert.equal(output["imageUri"], lab.image.uri);
        assert.equal(output["artifactKey"], key);
        assert.equal(output["platform"], "linux/amd64");
        assert.equal(output["sizeBytes"], head.ContentLength);
        assert.equal(output["artifactVersionId"], head.VersionId);
        assert.deepEqual(head.Metadata, {
            "image-digest": output["imageDigest"],
            platform: "linux/amd64",
            "archive-sha256": output["sha256"],
        });
        assert.equal(head.ServerSideEncryption, "AES256");
    });

    it("exports the image of the stack at a key of its own when the request is empty", async () => {
        const output = await exportImage({});
        assert.equal(output["artifactKey"], "images/nginx/mainline-alpine3.22.tar");
    });

    it("exports by digest, at a key of the digest", async () => {
        const { imageDigest } = await exportImage({});
        const uri = `${lab.image.uri.replace(/:[^:]*$/, "")}@${String(imageDigest)}`;
        const output = await exportImage({ imageUri: uri });
        assert.equal(output["imageDigest"], imageDigest);
        assert.equal(output["artifactKey"], `images/nginx/${String(imageDigest).replace("sha256:", "")}.tar`);
    });

    it("exports the image that a moved tag means now", async () => {
        const before = await exportImage({});
        await lab.push("nginx", "mainline-alpine3.22");
        const now = await digestInRegistry("mainline-alpine3.22");
        const after = await exportImage({});
        assert.notEqual(now, before["imageDigest"]);
        assert.deepEqual([after["imageDigest"], after["skipped"]], [now, false]);
        assert.deepEqual(await exportImage({}), { ...after, skipped: true, buildId: null });
    });

    it("skips what is there already without a build, unless it is forced", async () => {
        const artifactKey = "images/twice.tar";
        const first = await exportImage({ artifactKey });
        const started = performance.now();
        const second = await exportImage({ artifactKey });
        assert(performance.now() - started < 5_000, "it takes a second or two");
        assert.deepEqual(second, { ...first, skipped: true, buildId: null });
        const third = await exportImage({ artifactKey, force: true });
        assert.equal(third["skipped"], false);
        assert.notEqual(third["artifactVersionId"], first["artifactVersionId"]);
        if (engine === "stream") assert.equal(third["sha256"], first["sha256"]);
    });

    it("skips by digest, without asking the registry", async () => {
        const { imageDigest } = await exportImage({});
        const imageUri = `${lab.image.uri}@${String(imageDigest)}`;
        const artifactKey = "images/nginx/mainline-alpine3.22.tar";
        lab.iam.removed.add(permission("ResolveTags", "ecr:DescribeImages"));
        const { skipped, buildId } = await exportImage({ imageUri, artifactKey });
        lab.iam.removed.clear();
        assert.deepEqual([skipped, buildId], [true, null]);
    });

    it("has the build find out what the state machine may not ask, and skip", async () => {
        const artifactKey = "images/asked-by-build.tar";
        const first = await exportImage({ artifactKey });
        lab.iam.removed.add(permission("ResolveTags", "ecr:DescribeImages"));
        const second = await exportImage({ artifactKey });
        lab.iam.removed.clear();
        const { buildId } = second;
        assert.notEqual(buildId, null);
        assert.deepEqual(second, { ...first, skipped: true, buildId });
    });

    it("needs to look at archives itself to skip without a build", async () => {
        const artifactKey = "images/looked-at.tar";
        await exportImage({ artifactKey });
        const machine = [...lab.iam.roles.values()].find(({ name }) => name.includes("machine-role"));
        const [policy] = machine?.policies ?? [];
        assert(machine && policy);
        const Statement = policy.Statement.filter(({ Sid }) => Sid !== "FindExports");
        machine.policies[0] = { ...policy, Statement };
        const { skipped, buildId } = await exportImage({ artifactKey });
        machine.policies[0] = policy;
        assert.equal(skipped, true);
        assert.notEqual(buildId, null);
    });

    it("writes a record that its schema describes and the output agrees with", async () => {
        const artifactKey = "images/recorded.tar";
        const output = await exportImage({ artifactKey });
        const { archive, record, versionId } = await exported(artifactKey);
        assert.equal(versionId, output["artifactVersionId"]);
        assert.deepEqual(record["archive"], {
            sha256: createHash("sha256").update(archive).digest("hex"),
            sizeBytes: archive.length,
            versionId,
        });
        assert.deepEqual(record["archive"], {
            sha256: output["sha256"],
            sizeBytes: output["sizeBytes"],
            versionId: output["artifactVersionId"],
        });
        for (const field of ["imageUri", "imageDigest", "platform", "buildId"]) {
            assert.deepEqual(record[field], output[field], field);
        }
        const { name } = record["engine"] as { name: string };
        assert.equal(name, output["engine"]);
        assert.match(String(record["executionId"]), /:execution:/);
        const layers = record["layers"] as { offset: number | null }[];
        assert.equal(layers.length, 3);
        assert(layers.every(({ offset }) => (offset === null) === (engine === "docker")));
    });

    it("leaves one archive with its own record, whichever of two exports to a key wins", async () => {
        const artifactKey = "images/raced.tar";
        const { imageDigest: first } = await exportImage({});
        await lab.push("nginx", "other");
        const second = await digestInRegistry("other");
        const uriOf = (digest: unknown) => `${lab.image.uri.replace(/:[^:]*$/, "")}@${String(digest)}`;
        for (let round = 0; round < 3; round++) {
            const results = await Promise.all(
                [first, second].map((digest) =>
                    lab.execute({ imageUri: uriOf(digest), artifactKey, force: true }),
                ),
            );
            const { archive, record, versionId } = await exported(artifactKey);
            assert.deepEqual(record["archive"], {
                sha256: createHash("sha256").update(archive).digest("hex"),
                sizeBytes: archive.length,
                versionId,
            });
            const winner = results.find(
                (result) => result.status === "SUCCEEDED" && result.output["artifactVersionId"] === versionId,
            );
            assert(winner?.status === "SUCCEEDED", JSON.stringify(results));
            assert.equal(record["imageDigest"], winner.output["imageDigest"]);
            for (const result of results) {
                if (result.status !== "FAILED") continue;
                assert.equal(result.error, "ExportFailed");
                assert.match(result.cause, /^Another export wrote s3:.*raced\.tar at the same time/);
            }
        }
    });

    it("gives two equal exports at the same time one result", async () => {
        const artifactKey = "images/raced-by-itself.tar";
        const results = await Promise.all([1, 2].map(() => exportImage({ artifactKey })));
        const { record, versionId } = await exported(artifactKey);
        assert.equal((record["archive"] as { versionId: string }).versionId, versionId);
        assert(results.some((output) => output["artifactVersionId"] === versionId));
    });

    it("takes keys as they are, whatever a shell would make of them", async () => {
        for (const name of [
            "$(touch x) `id` ${HOME}.tar",
            "a b;c&d|e'f\"g.tar",
            "製品/ü.tar",
            "--acl=public.tar",
            "%41.tar",
        ]) {
            const output = await exportImage({ artifactKey: `images/${name}` });
            assert.equal(output["artifactKey"], `images/${name}`);
            assert.ok((await versions(`images/${name}`)).includes(`images/${name}`));
        }
    });

    it("names the error of an image that does not exist, and leaves nothing at the key", async () => {
        const failure = await failToExport({ imageUri: lab.image.uri.replace(/:[^:]*$/, ":no-such-tag") });
        assert.equal(failure.error, "ImageNotFound");
        assert.match(
            failure.cause,
            /nginx:no-such-tag does not exist in the registry\. The image with imageId/,
        );
        assert.deepEqual(await versions("images/nginx/no-such-tag"), []);
    });

    it("names it as the build finds it, where ECR was not asked", async () => {
        const imageUri = lab.image.uri.replace(/:[^:]*$/, `@sha256:${"0".repeat(64)}`);
        const failure = await failToExport({ imageUri });
        assert.equal(failure.error, "ImageNotFound");
        assert.match(failure.cause, /sha256:0+.*in the registry.*Log: https:/);
        assert.deepEqual(await versions(`images/nginx/${"0".repeat(64)}`), []);
    });

    it("names an error by the exit status of the build, where its variables do not come along", async () => {
        const lost = lab.execute(
            { imageUri: lab.image.uri, platform: "linux/s390x", force: true },
            {
                build: (build) => ({ ...build, ExportedEnvironmentVariables: [] }),
            },
        );
        const result = await lost;
        assert.equal(result.status, "FAILED");
        assert.equal(result.error, "ImageNotFound", result.cause);
        assert.match(result.cause, /exit status 3.*Log: https:/);
    });

    it("names the platforms that exist when another one is asked for", async () => {
        const failure = await failToExport({ platform: "linux/s390x", artifactKey: "images/s390x.tar" });
        assert.equal(failure.error, "ImageNotFound");
        assert.match(failure.cause, /linux\/s390x/);
        assert.deepEqual(await versions("images/s390x.tar"), []);
    });

    const refused: [string, object][] = [
        ["another bucket", { artifactBucket: "somebody-elses-bucket" }],
        ["another prefix", { artifactKey: "other/x.tar" }],
        ["a key that leaves its folder", { artifactKey: "images/../x.tar" }],
        ["a key with a line break", { artifactKey: "images/a\nb.tar" }],
        ["the key of a record", { artifactKey: "images/x.tar.json" }],
        ["a key that is too long", { artifactKey: `images/${"x".repeat(1024)}.tar` }],
        [
            "a neighbour of the repository",
            { imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx2:x" },
        ],
        ["another registry", { imageUri: "docker.io/library/nginx:latest" }],
        [
            "a tag that goes on as a path",
            { imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:x/../y" },
        ],
        ["a platform that is none", { platform: "everything" }],
        ["a platform with options", { platform: "linux/amd64 --tls-verify=false" }],
    ];
    for (const [what, input] of refused) {
        it(`refuses ${what}`, async () => {
            const before = await versions("");
            const failure = await failToExport(input);
            assert.equal(failure.error, "InvalidInput", failure.cause);
            assert.deepEqual(await versions(""), before);
        });
    }

    it("stops the build of an aborted execution", async () => {
        const abort = new AbortController();
        const lines: string[] = [];
        const result = await lab.execute(
            { artifactKey: "images/aborted.tar" },
            {
                log: (line) => {
                    lines.push(line);
                    if (line.startsWith("=== Check")) abort.abort();
                },
            },
            abort.signal,
        );
        assert.equal(result.status, "ABORTED");
        // The state machine is left at once; the build is stopped behind it.
        while (!lab.iam.used.has(permission("RunBuilds", "codebuild:StopBuild"))) await sleep(20);
        assert.ok(!lines.some((line) => line.startsWith("=== Done")));
        assert.deepEqual(await versions("images/aborted.tar"), []);
    });

    it("says which permission is missing, and leaves nothing at the key", async () => {
        await lab.push("nginx", "mainline-alpine3.22");
        lab.iam.removed.add(permission("PullImages", "ecr:GetDownloadUrlForLayer"));
        const failure = await failToExport({ artifactKey: "images/no-layers.tar" });
        lab.iam.removed.clear();
        assert.equal(failure.error, "AccessDenied");
        assert.match(failure.cause, /ecr:GetDownloadUrlForLayer/);
        assert.deepEqual(await versions("images/no-layers.tar"), []);
    });

    it("leaves no open upload behind", async () => {
        assert.equal(await openUploads(), 0);
    });

    if (engine === "docker") {
        it("leaves nothing at the key when the disk is full while saving", async () => {
            const disk = join(lab.folder, "small-disk");
            mkdirSync(disk);
            await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
            lab.buildEnvironment["ARCHIVE_FILE"] = join(disk, "image.tar");
            try {
                const failure = await failToExport({ artifactKey: "images/disk-full.tar" });
                assert.equal(failure.error, "ExportFailed");
                assert.match(failure.cause, /no space left on device/i);
                assert.deepEqual(await versions("images/disk-full.tar"), []);
            } finally {
                delete lab.buildEnvironment["ARCHIVE_FILE"];
                await run("umount", [disk]);
            }
        });

        it("refuses all platforms at once", async () => {
            const failure = await failToExport({ platform: "all" });
            assert.equal(failure.error, "InvalidInput");
            assert.match(failure.cause, /engine docker exports one platform/);
        });
    }

    if (engine === "stream") {
        it("exports every platform of an image", async () => {
            const output = await exportImage({ platform: "all", artifactKey: "images/all.tar" });
            assert.equal(output["platform"], "all");
        });

        it("writes an archive and a record that agree with each other and with the registry", async () => {
            const output = await exportImage({ artifactKey: "images/verified.tar" });
            const object = await lab.s3.send(
                new GetObjectCommand({ Bucket: bucket, Key: "images/verified.tar" }),
            );
            const record = await lab.s3.send(
                new GetObjectCommand({ Bucket: bucket, Key: "images/verified.tar.json" }),
            );
            assert.ok(object.Body instanceof Readable);
            const verified = await verifyArchive(
                object.Body,
                recordOf(await record.Body?.transformToString()),
            );
            assert.deepEqual(verified.problems, []);
            assert.equal(verified.imageDigest, output["imageDigest"]);
            assert.equal(verified.sha256, output["sha256"]);
        });
    }
}
