/** What Docker decides in a build of engine docker: with its graph drivers, and with the containerd image store. */
import * as assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";

import { exitStatusText } from "../../contract/errors";
import type { ImageRecord } from "../../contract/record";
import { recordOf } from "../support/readRecord";
import { prepareMachine } from "../../lab/prerequisites";
import { run, type Stoppable, watchOver } from "../../lab/processes";
import { startDockerDaemon, startEmulator, startRegistry } from "../../lab/servers";
import { readBuildspec, scriptOf } from "../support/build";
import { newDocker } from "../support/newDocker";

const oci = "application/vnd.oci.image";
const digestOf = (bytes: string | Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** The platform of an image, in the words of its configuration. */
interface Named {
    readonly os?: string;
    readonly architecture?: string;
    readonly variant?: string;
}

const stores: Record<string, [path: () => Promise<string>, options: string[]]> = {
    "the machine's own Docker": [() => Promise.resolve(process.env["PATH"] ?? ""), []],
    "a new Docker's graph driver": [newDocker, ["--feature=containerd-snapshotter=false"]],
    "a new Docker's containerd store": [newDocker, ["--feature=containerd-snapshotter=true"]],
};

for (const [store, [findPath, options]] of Object.entries(stores)) {
    describe(`engine docker with ${store}`, () => {
        const started: Stoppable[] = [];
        let folder: string;
        let registry: string;
        let environment: Record<string, string>;

        before(async () => {
            folder = mkdtempSync(join(tmpdir(), "lab-"));
            started.push(watchOver(folder));
            await prepareMachine(() => undefined);
            const PATH = await findPath();
            const emulator = await startEmulator("111122223333", folder);
            started.push(emulator);
            const server = await startRegistry(folder);
            started.push(server);
            registry = `127.0.0.1:${server.port}`;
            const daemon = await startDockerDaemon(folder, { PATH }, options);
            started.push(daemon);
            environment = {
                PATH,
                DOCKER_HOST: daemon.host,
                AWS_ENDPOINT_URL: `http://127.0.0.1:${emulator.port}`,
                AWS_ACCESS_KEY_ID: "x",
                AWS_SECRET_ACCESS_KEY: "x",
                AWS_REGION: "us-east-1",
                AWS_DEFAULT_REGION: "us-east-1",
            };
            await aws("s3api", "create-bucket", "--bucket", "artifacts");
            const versioning = ["--versioning-configuration", "Status=Enabled"];
            await aws("s3api", "put-bucket-versioning", "--bucket", "artifacts", ...versioning);
        });

        after(async () => {
            for (const each of started.reverse()) await each.stop();
        });

        const aws = (...args: string[]) => run("aws", args, { env: environment });
        const docker = (...args: string[]) => run("docker", args, { env: environment });

        async function put(path: string, body: string | Buffer, type: string): Promise<void> {
            const response = await fetch(new URL(path, `http://${registry}`), {
                method: "PUT",
                body: new Uint8Array(Buffer.from(body)),
                headers: { "content-type": type },
            });
            assert.ok(response.ok, `${path}: ${response.status} ${await response.text()}`);
        }

        async function putBlob(bytes: string | Buffer): Promise<object> {
            const begun = await fetch(`http://${registry}/v2/app/blobs/uploads/`, { method: "POST" });
            const location = begun.headers.get("location") ?? assert.fail("no upload");
            await put(`${location}&digest=${digestOf(bytes)}`, bytes, "application/octet-stream");
            return { digest: digestOf(bytes), size: bytes.length };
        }

        /** An image in the registry: digests of manifest and configuration, entry of an index. */
        interface Pushed {
            readonly digest: string;
            readonly config: string;
            readonly entry: object;
        }

        async function pushImage(tag: string, platform: Named): Promise<Pushed> {
            const source = join(folder, "layer");
            mkdirSync(source, { recursive: true });
            writeFileSync(join(source, "hello"), `${tag} ${JSON.stringify(platform)}`);
            await run("tar", ["--create", "--file", join(folder, "layer.tar"), "--directory", source, "hello"]);
            const layer = readFileSync(join(folder, "layer.tar"));
            const rootfs = { type: "layers", diff_ids: [digestOf(layer)] };
            const config = JSON.stringify({ ...platform, config: {}, rootfs });
            const manifest = JSON.stringify({
                schemaVersion: 2,
                mediaType: `${oci}.manifest.v1+json`,
                config: { mediaType: `${oci}.config.v1+json`, ...(await putBlob(config)) },
                layers: [{ mediaType: `${oci}.layer.v1.tar+gzip`, ...(await putBlob(gzipSync(layer))) }],
            });
            await put(`/v2/app/manifests/${tag}`, manifest, `${oci}.manifest.v1+json`);
            const digest = digestOf(manifest);
            const entry = { mediaType: `${oci}.manifest.v1+json`, digest, size: manifest.length, platform };
            return { digest, config: digestOf(config), entry };
        }

        async function pushIndex(tag: string, ...platforms: Named[]): Promise<{ digest: string; configs: string[] }> {
            const images: Pushed[] = [];
            for (const [number, each] of platforms.entries()) images.push(await pushImage(`${tag}-${number}`, each));
            const manifests = images.map(({ entry }) => entry);
            const index = JSON.stringify({ schemaVersion: 2, mediaType: `${oci}.index.v1+json`, manifests });
            await put(`/v2/app/manifests/${tag}`, index, `${oci}.index.v1+json`);
            return { digest: digestOf(index), configs: images.map(({ config }) => config) };
        }

        interface Built {
            readonly status: number | null;
            readonly output: string;
            readonly cause: string;
        }

        /** Runs the build's script, and ends it where that takes minutes. */
        async function build(tag: string, platform: string, changes: Record<string, string> = {}): Promise<Built> {
            const work = mkdtempSync(join(folder, "build-"));
            writeFileSync(join(work, "export.sh"), scriptOf(readBuildspec("docker")));
            const child = spawn("bash", ["-c", "exec 2>&1; bash export.sh"], {
                cwd: work,
                env: {
                    ...environment,
                    IMAGE_URI: `${registry}/app:${tag}`,
                    IMAGE_DIGEST: "",
                    PLATFORM: platform,
                    FORCE: "false",
                    ARTIFACT_BUCKET: "artifacts",
                    ARTIFACT_KEY: `images/${tag}.tar`,
                    ARTIFACT_PREFIX: "images/",
                    ARCHIVE_FILE: "image.tar",
                    EXECUTION_ID: "",
                    EXIT_STATUSES: exitStatusText,
                    SIGNING_KEY_ARN: "",
                    CODEBUILD_BUILD_ID: "export:1",
                    ...changes,
                },
            });
            const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
            const output = await text(child.stdout);
            const status = await ended;
            const cause = status === 0 ? "" : readFileSync(join(work, "cause.txt"), "utf8");
            return { status, output, cause };
        }

        /** Asserts that a build succeeded, and gives the record and the path of the archive that are in the bucket. */
        async function exported(tag: string, result: Built): Promise<{ record: ImageRecord; archive: string }> {
            assert.equal(result.status, 0, result.output);
            const archive = join(folder, `${tag}.tar`);
            await aws("s3", "cp", "--quiet", `s3://artifacts/images/${tag}.tar`, archive);
            const record = recordOf(await aws("s3", "cp", `s3://artifacts/images/${tag}.tar.json`, "-"));
            const { sha256, sizeBytes } = record.archive;
            assert.equal(digestOf(readFileSync(archive)), `sha256:${sha256}`);
            assert.equal(readFileSync(archive).length, sizeBytes);
            return { record, archive };
        }

        const inTar = (archive: string, name: string) => run("tar", ["xOf", archive, name]);

        it("says which version it is", async function () {
            const version = await docker("version", "--format", "{{.Server.Version}}, API {{.Server.APIVersion}}");
            assert.match(version, /^\d+\.\d+/);
            if (this.test) this.test.title += `: ${version.trim()}`;
        });

        it("exports one platform of an index, with nothing missing, and skips it then", async () => {
            const { digest, configs } = await pushIndex(
                "index",
                { os: "linux", architecture: "amd64" },
                { os: "linux", architecture: "arm64", variant: "v8" },
            );
            const { record, archive } = await exported("index", await build("index", "linux/arm64"));
            assert.equal(record.imageDigest, digest);
            assert.deepEqual(
                record.images.map(({ platform, configDigest }) => [platform, configDigest]),
                [["linux/arm64/v8", configs[1]]],
            );
            const names = (await run("tar", ["tf", archive])).split("\n");
            if (names.includes("index.json")) {
                const { manifests } = JSON.parse(await inTar(archive, "index.json")) as { manifests: Blob[] };
                for (const each of await blobsOf(archive, manifests)) {
                    assert.ok(names.includes(each), `${each} is missing`);
                }
            }
            await docker("image", "rm", "--force", `${registry}/app:index`);
            assert.match(await docker("load", "--input", archive), new RegExp(`Loaded image: ${registry}/app:index`));

            const again = await build("index", "linux/arm64", { IMAGE_DIGEST: digest });
            assert.equal(again.status, 0);
            assert.doesNotMatch(again.output, /=== pull/);
        });

        /** A descriptor in a layout. */
        interface Blob {
            readonly digest: string;
            readonly mediaType?: string;
        }

        /** Every blob that a layout's manifests name, as entries of the tar. */
        async function blobsOf(archive: string, blobs: readonly Blob[]): Promise<string[]> {
            const nested = blobs.map(async ({ digest, mediaType = "" }) => {
                const name = `blobs/${digest.replace(":", "/")}`;
                if (!/manifest|index/.test(mediaType)) return [name];
                const document = JSON.parse(await inTar(archive, name)) as Record<string, Blob | Blob[] | undefined>;
                const { manifests = [], config = [], layers = [] } = document;
                return [name, ...(await blobsOf(archive, [manifests, config, layers].flat()))];
            });
            return (await Promise.all(nested)).flat();
        }

        it("exports exactly the digest that ECR has told, although the tag has moved", async () => {
            const before = await pushImage("moved", { os: "linux", architecture: "amd64" });
            const { digest } = await pushIndex("moved", { os: "linux", architecture: "amd64" });
            assert.notEqual(digest, before.digest);
            const changes = { IMAGE_DIGEST: before.digest };
            const { record, archive } = await exported("moved", await build("moved", "linux/amd64", changes));
            assert.deepEqual([record.imageDigest, record.images[0]?.configDigest], [before.digest, before.config]);
            assert.match(await inTar(archive, "manifest.json"), new RegExp(`"${registry}/app:moved"`));
        });

        const taken: Record<string, [asked: string, Named, recorded: string | null]> = {
            "amd64-v1": ["linux/amd64", { os: "linux", architecture: "amd64", variant: "v1" }, "linux/amd64/v1"],
            "arm64-8": ["linux/arm64", { os: "linux", architecture: "arm64", variant: "8" }, "linux/arm64/8"],
            "arm-v6": ["linux/arm", { os: "linux", architecture: "arm", variant: "v6" }, "linux/arm/v6"],
            x86_64: ["linux/amd64", { os: "linux", architecture: "x86_64" }, "linux/x86_64"],
            aarch64: ["linux/aarch64", { os: "linux", architecture: "arm64" }, "linux/arm64"],
            none: ["linux/amd64", {}, null],
        };
        for (const [tag, [asked, platform, recorded]] of Object.entries(taken)) {
            it(`takes a single image that says ${JSON.stringify(platform)} for ${asked}`, async () => {
                const { config } = await pushImage(tag, platform);
                const { record } = await exported(tag, await build(tag, asked));
                assert.deepEqual(
                    record.images.map((image) => [image.platform, image.configDigest]),
                    [[recorded, config]],
                );
            });
        }

        it("refuses a single image of another platform, which Docker has let pass", async () => {
            await pushImage("other", { os: "linux", architecture: "amd64" });
            const { status, output, cause } = await build("other", "linux/arm64");
            assert.equal(status, 3, output);
            assert.match(cause, /has no image for linux\/arm64\. It has linux\/amd64\.$/m);
        });

        it("names what is absent in Docker's own words: a tag, a repository, a platform", async () => {
            await pushIndex("absent", { os: "linux", architecture: "amd64" });
            const builds = [
                await build("no-such-tag", "linux/amd64"),
                await build("absent", "linux/amd64", { IMAGE_URI: `${registry}/no-such/app:1` }),
                await build("absent", "linux/s390x"),
            ];
            for (const { status, output, cause } of builds) {
                assert.equal(status, 3, output);
                assert.match(cause, /^The pull of .* failed: .*(not found|no match)/);
            }
        });
    });
}
