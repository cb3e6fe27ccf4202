import * as assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { readFile, truncate, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { Readable } from "node:stream";

import { HeadObjectCommand } from "@aws-sdk/client-s3";

import { verifyArchive } from "../../exporter/archive/verify";
import { type Credentials, permission } from "../../lab/iam";
import { digestOf, imageId } from "../../lab/image";
import type { Lab } from "../../lab/lab";
import { flip, isNamed } from "../exporter/support/damage";
import { pseudoRandom } from "../exporter/support/images";
import { recordOf } from "../support/readRecord";
import { exportImage, sharedLab } from "./support/sharedLab";

const launcher = path.resolve(__dirname, "../../cli/launch.js");
const key = "images/app.tar";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: the command line's archives, engine ${engine} with a KMS key`, () => {
        let lab: Lab;
        let uri: string;
        let folder: string;
        let file: string;
        let reader: Credentials;
        const nobody: Credentials = { accessKeyId: "nobody", secretAccessKey: "lab", sessionToken: "lab" };

        before(async () => {
            lab = await sharedLab(engine);
            uri = `s3://${String(lab.stack.outputs["artifactBucketName"])}/${key}`;
            folder = path.join(lab.folder, "cli");
            mkdirSync(folder);
            file = path.join(folder, "app.tar");
            await exportImage(lab, { artifactKey: key });
            reader = lab.holderOf("readArtifactsPolicy");
        });

        /** Runs the command line as a person would. */
        function cli({ accessKeyId, secretAccessKey, sessionToken }: Credentials, ...args: string[]) {
            const env = {
                ...lab.buildEnvironment,
                HOME: folder,
                AWS_REGION: "ap-northeast-1",
                AWS_ENDPOINT_URL: lab.endpoint,
                AWS_ACCESS_KEY_ID: accessKeyId,
                AWS_SECRET_ACCESS_KEY: secretAccessKey,
                AWS_SESSION_TOKEN: sessionToken,
                AWS_EC2_METADATA_DISABLED: "true",
            };
            return new Promise<{ exitCode: number; stdout: string; stderr: string }>((resolve) => {
                const options = { env, cwd: folder };
                execFile(process.execPath, [launcher, ...args], options, (error, stdout, stderr) => {
                    resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr });
                });
            });
        }

        it("gets an archive, goes on with a part of it, and loads it into Docker", async () => {
            const { exitCode, stdout, stderr } = await cli(reader, "get", uri);
            assert.equal(exitCode, 0, stderr);
            assert.match(stdout, /downloaded and verified/);
            const bytes = await readFile(file);

            // As a process that was killed leaves it: the beginning, and what it is bound to.
            const {
                bucket,
                key: from,
                versionId,
            } = JSON.parse((await cli(reader, "get", uri, "again.tar", "--json")).stdout) as {
                bucket: string;
                key: string;
                versionId: string;
            };
            const head = await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: from, VersionId: versionId }));
            const bound = { bucket, key: from, versionId, eTag: head.ETag, sizeBytes: bytes.length };
            const part = path.join(folder, "part.tar.part");
            await writeFile(part, bytes.subarray(0, 1_000_000));
            await writeFile(`${part}.json`, `${JSON.stringify(bound)}\n`);
            const resumed = await cli(reader, "get", uri, "part.tar");
            assert.match(resumed.stderr, /^Going on at 1\.00 MB of part\.tar\.part\.$/m);
            assert.deepEqual(await readFile(path.join(folder, "part.tar")), bytes);

            const loaded = await cli(reader, "get", uri, file, "--load");
            assert.equal(loaded.exitCode, 0, loaded.stderr);
            assert.match(loaded.stdout, /already there, and verified/);
            assert.match(loaded.stdout, /^docker +Loaded image: /m);
            assert.equal(await imageId(lab.docker, lab.image.uri), lab.imageId);
        });

        it("verifies an archive in S3 and as a file, and names what is damaged", async () => {
            const stored = await cli(reader, "verify", uri, "--json");
            assert.equal(stored.exitCode, 0, stored.stdout + stored.stderr);
            const found = JSON.parse(stored.stdout) as { layers: { offset: number }[]; platforms: string[] };
            assert.deepEqual([found.layers.length, found.platforms], [3, ["linux/amd64"]]);
            assert.equal((await cli(nobody, "verify", file)).exitCode, 0);

            const damaged = path.join(folder, "damaged.tar");
            const at = (found.layers[2]?.offset ?? 0) + 1000;
            await writeFile(damaged, flip(await readFile(file), at, 1));
            await writeFile(`${damaged}.json`, await readFile(`${file}.json`));
            const { exitCode, stdout } = await cli(nobody, "verify", damaged);
            assert.equal(exitCode, 1);
            assert.ok(isNamed(stdout.split("\n"), at), stdout);
            await truncate(damaged, at);
            assert.match((await cli(nobody, "verify", damaged)).stdout, /^wrong the archive ends early, at byte/m);
        });

        it("recognizes damage anywhere in what the engine really wrote", async () => {
            const bytes = await readFile(file);
            const record = recordOf(await readFile(`${file}.json`, "utf8"));
            const random = pseudoRandom(engine.length);
            // Half of them in the small files and headers, at the beginning or at the end.
            for (let run = 0; run < 12; run++) {
                const near = Math.floor(random() * 40_000);
                const anywhere = Math.floor(random() * bytes.length);
                const at = [anywhere, near, bytes.length - 1 - near, anywhere][run % 4] ?? 0;
                const damaged = flip(bytes, at, 1 + Math.floor(random() * 255));
                const { problems } = await verifyArchive(Readable.from([damaged]), record);
                assert.ok(isNamed(problems, at), `${at}: ${problems.join("; ")}`);
            }
        });

        it("tells a reader what is not there, and what may not be read", async () => {
            const none = await cli(reader, "get", uri.replace("app.tar", "none.tar"));
            assert.equal(none.exitCode, 1);
            assert.match(none.stderr, /^Error NoSuchKey: There is nothing at s3:/m);
            const outside = await cli(reader, "get", uri.replace("images/", "others/"));
            assert.match(outside.stderr, /^Error AccessDenied: /m);
            assert.match(outside.stderr, /readArtifactsPolicy/);
        });

        for (const [sid, action] of [
            ["ReadArchives", "s3:GetObject"],
            ["ReadArchives", "s3:GetObjectVersion"],
            ["ReadEncrypted", "kms:Decrypt"],
        ] as const) {
            it(`cannot do without ${action}`, async () => {
                lab.iam.removed.add(permission(sid, action));
                const { exitCode, stderr } = await cli(reader, "get", uri, "other.tar");
                assert.equal(exitCode, 1);
                assert.match(stderr, /^Error AccessDenied: /m);
            });
        }

        it("exports on this machine from the registry, to a file and to S3", async () => {
            const role =
                [...lab.iam.roles.values()].find(({ arn }) => arn.includes("build-role")) ??
                assert.fail("no role of builds");
            const builder = lab.iam.openSession(role);
            const own = path.join(folder, "own.tar");
            const { exitCode, stderr, stdout } = await cli(builder, "run", lab.image.uri, own, "--json");
            assert.equal(exitCode, 0, stderr);
            const { imageDigest } = JSON.parse(stdout) as { imageDigest: string };
            const { repository, tag = "" } = lab.image;
            assert.equal(imageDigest, await digestOf(lab.registryPort, repository.name, tag));
            assert.equal((await cli(nobody, "verify", own)).exitCode, 0);
            const toS3 = uri.replace("app.tar", "own.tar");
            const stored = await cli(builder, "run", lab.image.uri, toS3);
            assert.equal(stored.exitCode, 0, stored.stderr);
            assert.equal((await cli(reader, "verify", toS3)).exitCode, 0);
        });
    });
}
