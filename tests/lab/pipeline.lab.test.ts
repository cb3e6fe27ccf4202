import * as assert from "node:assert/strict";
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

import type { EngineName } from "../../components/definition";
import { parseRecord } from "../../exporter/record";
import { verifyArchive } from "../../exporter/verify";
import { permission } from "../../lab/iam";
import { type Lab, startLab } from "../../lab/lab";
import { run } from "../../lab/processes";
import type { ExecutionResult } from "../../lab/stepFunctions";

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
        const after = await exportImage({});
        assert.notEqual(after["imageDigest"], before["imageDigest"]);
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
        assert.match(failure.cause, /nginx.*no-such-tag.*in the registry.*Log: https:/);
        assert.deepEqual(await versions("images/nginx/no-such-tag"), []);
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
                assert.match(failure.cause, /no space left on device/);
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
        it("skips what is there already, unless it is forced", async () => {
            const artifactKey = "images/twice.tar";
            const first = await exportImage({ artifactKey });
            const second = await exportImage({ artifactKey });
            const third = await exportImage({ artifactKey, force: true });
            assert.deepEqual(
                [first, second, third].map(({ skipped }) => skipped),
                [false, true, false],
            );
            assert.equal(second["artifactVersionId"], first["artifactVersionId"]);
            assert.notEqual(third["artifactVersionId"], first["artifactVersionId"]);
            assert.deepEqual([second["sha256"], third["sha256"]], [first["sha256"], first["sha256"]]);
        });

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
                parseRecord((await record.Body?.transformToString()) ?? ""),
            );
            assert.deepEqual(verified.problems, []);
            assert.equal(verified.imageDigest, output["imageDigest"]);
            assert.equal(verified.sha256, output["sha256"]);
        });
    }
}
