import * as assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { exportImage } from "../../../exporter/exportImage";
import { type FakeRegistry, startRegistry } from "../support/fakeRegistry";
import { addImage, addIndex, digestOf, emptyRepository, fileLayer, randomBytesOf } from "../support/images";
import { assertInstalled, run, type Service, startDocker, startDockerRegistry } from "../support/tools";
import { exportsOf } from "../../../contract/record";
import { anyRecordOf } from "../../support/readRecord";
import { verifyFile } from "../support/verifyExport";

const layers = ["one", "two"].map((name, at) => fileLayer(name, randomBytesOf(300_000, at)));
/** The images of a set, which share layers: two have one tag, one has two platforms, one Docker's media types. */
const setTags = ["app:docker", "app:oci", "app:all", "deep/er/api:oci"];
/** A layer that is in the image twice, and one without a file. */
const unusual = [...layers, layers[0] ?? assert.fail(), fileLayer("empty", Buffer.alloc(0))];

interface Exported {
    /** The archive's path. */
    archive: string;
    /** Digest in the registry that it came from. */
    digest: string;
    /** Name in the archive. */
    name: string;
    /** Digest of the configuration, which is the image's id in Docker. */
    imageId: string;
}

describe("archives are read by", () => {
    let directory: string;
    let source: FakeRegistry;
    const images: Record<"docker" | "oci" | "all", Exported> = Object.create(null) as never;

    let setArchive: string;
    let members: Omit<Exported, "archive">[];

    async function exportTag(tag: "docker" | "oci" | "all"): Promise<Exported> {
        const name = `${source.host}/team/app:${tag}`;
        const archive = path.join(directory, `${tag}.tar`);
        const platform = tag === "all" ? "all" : "linux/amd64";
        const { imageDigest } = await exportImage({ image: name, destination: archive, platform });
        const [image] = JSON.parse(await run("tar", "-xOf", archive, "manifest.json")) as { Config: string }[];
        return { archive, digest: imageDigest, name, imageId: `sha256:${path.basename(image?.Config ?? "")}` };
    }

    before(async () => {
        directory = await mkdtemp(path.join(tmpdir(), "readers-"));
        const repository = emptyRepository("team/app");
        addImage(repository, { layers, tag: "docker", family: "docker" });
        const amd = addImage(repository, { layers: unusual, tag: "oci" });
        const arm = addImage(repository, { layers, architecture: "arm64" });
        addIndex(repository, [amd, arm], { tag: "all", attestation: true });
        const other = emptyRepository("team/deep/er/api");
        addImage(other, { layers: unusual.slice(1), tag: "oci" });
        source = await startRegistry({ repository, others: [other] });
        for (const tag of ["docker", "oci", "all"] as const) {
            images[tag] = await exportTag(tag);
            assert.equal(images[tag].digest, repository.tags.get(tag));
        }
        setArchive = path.join(directory, "set.tar");
        const set = setTags.map((name) => ({
            imageUri: `${source.host}/team/${name}`,
            platform: name.endsWith("all") ? "all" : "linux/amd64",
        }));
        await exportImage({ image: set, destination: setArchive });
        members = exportsOf(anyRecordOf(await readFile(`${setArchive}.json`, "utf8"))).map(
            ({ imageName: name, imageDigest: digest, images: [image] }) => ({
                name,
                digest,
                imageId: image?.configDigest ?? "",
            }),
        );
        assert.equal(members.length, setTags.length);
    });
    after(async () => {
        await source.close();
        await rm(directory, { recursive: true, force: true });
    });

    async function scratch(name: string): Promise<string> {
        return mkdtemp(path.join(directory, `${name}-`));
    }

    describe("GNU tar", () => {
        before(() => assertInstalled("tar"));
        for (const tag of ["docker", "oci", "all"] as const) {
            it(`${tag}: every blob has its name's digest`, async () => {
                const into = await scratch("tar");
                await run("tar", "-xf", images[tag].archive, "-C", into);
                const files = (await run("tar", "-tf", images[tag].archive)).trim().split("\n");
                for (const file of files.filter((name) => /^blobs\/sha256\/./.test(name))) {
                    assert.equal(digestOf(await readFile(path.join(into, file))), `sha256:${path.basename(file)}`);
                }
                assert.deepEqual((await verifyFile(images[tag].archive)).problems, []);
            });
        }
    });

    describe("a reader that walks folders", () => {
        before(() => assertInstalled("python3"));
        for (const tag of ["docker", "oci", "all"] as const) {
            it(`${tag}: finds every blob from the top, as Apptainer and old Syft do`, async () => {
                // Knows of files only what the folders' own entries lead to, and these have to come first.
                const walk = `
import sys, tarfile
folders, blobs = {""}, []
for entry in tarfile.open(sys.argv[1]):
    parent = entry.name.rpartition("/")[0]
    if parent not in folders: sys.exit(entry.name + " is in no folder")
    if entry.isdir(): folders.add(entry.name)
    elif parent == "blobs/sha256": blobs.append(entry.name)
print("\\n".join(blobs))`;
                const found = (await run("python3", "-c", walk, images[tag].archive)).trim().split("\n");
                const listed = (await run("tar", "-tf", images[tag].archive)).trim().split("\n");
                assert.deepEqual(
                    found,
                    listed.filter((name) => /^blobs\/sha256\/./.test(name)),
                );
                assert.ok(found.length >= 4);
            });
        }
    });

    describe("skopeo", () => {
        let registry: Service & { host: string };
        before(async () => {
            await assertInstalled("skopeo", "docker-registry");
            registry = await startDockerRegistry(directory);
        });
        after(() => registry.stop());

        const bytesOf = async (...command: string[]) => Buffer.from(await run("skopeo", ...command));

        for (const tag of ["docker", "oci"] as const) {
            it(`${tag}: as oci-archive it has the registry's digest`, async () => {
                const { Digest } = JSON.parse(await run("skopeo", "inspect", `oci-archive:${images[tag].archive}`)) as {
                    Digest: string;
                };
                assert.equal(Digest, images[tag].digest);
            });
            it(`${tag}: as docker-archive it has the layers' content`, async () => {
                const text = await run("skopeo", "inspect", "--config", `docker-archive:${images[tag].archive}`);
                const { rootfs } = JSON.parse(text) as { rootfs: { diff_ids: string[] } };
                assert.deepEqual(
                    rootfs.diff_ids,
                    (tag === "oci" ? unusual : layers).map(({ diffId }) => diffId),
                );
            });
        }
        it("all: as docker-archive it has each platform under its own tag", async () => {
            const { archive, name } = images.all;
            for (const [suffix, expected] of [
                ["", "amd64"],
                ["-linux-arm64", "arm64"],
            ]) {
                const from = `docker-archive:${archive}:${name}${suffix ?? ""}`;
                const { architecture } = JSON.parse(await run("skopeo", "inspect", "--config", from)) as {
                    architecture: string;
                };
                assert.equal(architecture, expected);
            }
        });
        for (const tag of ["docker", "oci", "all"] as const) {
            it(`${tag}: back in a registry it has its digest`, async () => {
                const target = `${registry.host}/copy:${tag}`;
                const options = ["--preserve-digests", "--dest-tls-verify=false", ...(tag === "all" ? ["--all"] : [])];
                await run("skopeo", "copy", ...options, `oci-archive:${images[tag].archive}`, `docker://${target}`);
                const raw = await run("skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${target}`);
                assert.equal(digestOf(Buffer.from(raw)), images[tag].digest);
            });
        }
        it("a set: every image by its name, with its digest", async () => {
            for (const { name, digest, imageId } of members) {
                const config = await bytesOf("inspect", "--config", "--raw", `docker-archive:${setArchive}:${name}`);
                assert.equal(digestOf(config), imageId);
                // By a name it takes OCI's media types only.
                if (name.endsWith(":docker")) continue;
                assert.equal(digestOf(await bytesOf("inspect", "--raw", `oci-archive:${setArchive}:${name}`)), digest);
            }
        });
    });

    describe("docker and containerd", () => {
        let docker: Service & { host: string; containerd: string };
        before(async () => {
            await assertInstalled("docker", "dockerd", "ctr");
            docker = await startDocker(await scratch("docker"));
        });
        after(() => docker.stop());

        for (const tag of ["docker", "oci", "all"] as const) {
            it(`${tag}: docker load names the image and keeps its id`, async () => {
                const { archive, name, imageId } = images[tag];
                assert.match(await run("docker", "--host", docker.host, "load", "--input", archive), new RegExp(name));
                const id = await run("docker", "--host", docker.host, "image", "inspect", "--format", "{{.Id}}", name);
                assert.equal(id.trim(), images[tag === "all" ? "oci" : tag].imageId);
                assert.ok(tag === "all" || id.trim() === imageId);
            });
            it(`${tag}: ctr images import keeps name and digest`, async () => {
                const ctr = ["--address", docker.containerd, "--namespace", `test-${tag}`, "images"];
                await run("ctr", ...ctr, "import", ...(tag === "all" ? ["--all-platforms"] : []), images[tag].archive);
                const listed = await run("ctr", ...ctr, "list");
                const line = listed.split("\n").find((text) => text.startsWith(`${images[tag].name} `)) ?? listed;
                assert.ok(line.includes(images[tag].digest), line);
            });
        }
        it("a set: docker load names every image and keeps its id", async () => {
            await run("docker", "--host", docker.host, "load", "--input", setArchive);
            for (const { name, imageId } of members) {
                const id = await run("docker", "--host", docker.host, "image", "inspect", "--format", "{{.Id}}", name);
                assert.equal(id.trim(), imageId);
            }
        });
        it("a set: ctr images import keeps every name and digest", async () => {
            const ctr = ["--address", docker.containerd, "--namespace", "test-set", "images"];
            await run("ctr", ...ctr, "import", "--all-platforms", setArchive);
            const listed = (await run("ctr", ...ctr, "list")).split("\n").map((line) => line.split(/\s+/));
            const found = listed.flatMap(([name = "", , digest = ""]) => (name.includes("/") ? [[name, digest]] : []));
            assert.deepEqual(
                found.sort(),
                members.map(({ name, digest }) => [name, digest]),
            );
        });
    });

    describe("podman", () => {
        before(() => assertInstalled("podman"));
        /** The images of an archive, as `ID NAME`. */
        async function loaded(archive: string): Promise<string[]> {
            const storage = await scratch("podman");
            await mkdir(path.join(storage, "run"));
            const podman = ["--root", storage, "--runroot", path.join(storage, "run"), "--storage-driver", "vfs"];
            await run("podman", ...podman, "load", "--input", archive);
            const format = ["--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"];
            return (await run("podman", ...podman, "images", ...format)).trim().split("\n");
        }
        for (const tag of ["docker", "oci"] as const) {
            it(`${tag}: podman load names the image and keeps its id`, async () => {
                assert.deepEqual(await loaded(images[tag].archive), [`${images[tag].imageId} ${images[tag].name}`]);
            });
        }
        it("a set: podman load names every image and keeps its id", async () => {
            const found = await loaded(setArchive);
            for (const { name, imageId } of members) assert.ok(found.includes(`${imageId} ${name}`), found.join("; "));
        });
    });
});
