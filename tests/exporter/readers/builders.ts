/** Images as the programs make them that teams use, each pushed to a registry. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { gunzipSync, zstdCompressSync } from "node:zlib";

import { addBlob, addManifest, digestOf, emptyRepository, mediaTypes, type Repository } from "../support/images";
import { pushByHand } from "../support/pushByHand";
import { run } from "../support/tools";
import type { Docker, Dockers } from "./readers";

/** The file that every image has, with its content. */
export const hello = { name: "hello", content: "hello\n" };

/** Makes an image and pushes it under a name, `HOST/REPOSITORY:TAG`. */
type Builder = (to: string) => Promise<unknown>;

/**
 * The builders, by what they make. Those whose program cannot be had make by hand what it is known to make.
 *
 * @param directory an empty one
 * @param registry `HOST:PORT`, of which they take the repository `matrix/parts` for themselves
 */
export async function prepareBuilders(
    dockers: Dockers,
    directory: string,
    registry: string,
): Promise<Readonly<Record<string, Builder>>> {
    const context = path.join(directory, "context");
    await mkdir(path.join(context, "folder"), { recursive: true });
    await writeFile(path.join(context, hello.name), hello.content);
    await writeFile(path.join(context, "folder", "more"), "more\n".repeat(1000));
    const dockerfile = ["FROM scratch", "COPY hello /hello", "COPY folder /folder", 'CMD ["/hello"]', ""];
    await writeFile(path.join(context, "Dockerfile"), dockerfile.join("\n"));
    const layer = path.join(directory, "layer.tar.gz");
    await run("tar", "-C", context, "-czf", layer, hello.name);
    const layerBytes = await readFile(layer);

    const buildx = ({ program, host }: Docker, to: string, ...options: string[]) => {
        const command = ["docker-buildx", "build", "--tag", to, ...options, context];
        return program("env", `DOCKER_HOST=${host}`, ...command);
    };
    const storage = ["--root", path.join(directory, "root"), "--runroot", path.join(directory, "run")];
    const buildah = (...command: string[]) => run("buildah", ...storage, "--storage-driver", "vfs", ...command);
    const bud = async (to: string, format: string) => {
        await buildah("bud", "--isolation", "chroot", "--format", format, "--tag", to, context);
        await buildah("push", "--tls-verify=false", to);
    };
    const skopeo = (from: string, to: string, ...options: string[]) => {
        const plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        return run("skopeo", "copy", ...plain, ...options, `docker://${from}`, `docker://${to}`);
    };
    const plain = ["--host", `reg=${registry},tls=disabled`];
    await writeFile(path.join(directory, "config.json"), JSON.stringify(configOf(layerBytes)));
    const oras = (to: string, ...options: string[]) =>
        run("env", `--chdir=${directory}`, "oras", "push", "--plain-http", to, ...options);
    const part = (name: string): string => `${registry}/matrix/parts:${name}`;
    const append = async (to: string, platform: string, ...options: string[]): Promise<string> => {
        await run("crane", "append", "--new_layer", layer, "--new_tag", to, ...options);
        await run("crane", "mutate", "--set-platform", platform, "--tag", to, to);
        return to;
    };
    const index = async (to: string, ...options: string[]) => {
        const parts = [await append(part("amd64"), "linux/amd64"), await append(part("arm64"), "linux/arm64")];
        const manifests = parts.flatMap((each) => ["--manifest", each]);
        await run("crane", "index", "append", ...manifests, "--tag", to, ...options);
    };

    return {
        "Docker's classic builder": async (to) => {
            const classic = ["DOCKER_BUILDKIT=0", "docker", "--host", dockers.own.host, "build"];
            await run("env", ...classic, "--tag", to, context);
            await dockers.own.run("push", to);
        },
        "BuildKit in Docker, graph driver": async (to) => {
            await buildx(dockers.graphDriver, to, "--load");
            await dockers.graphDriver.run("push", to);
        },
        "BuildKit in Docker, containerd store, without attestations": (to) =>
            buildx(dockers.containerdStore, to, "--push", "--provenance=false"),
        "BuildKit in Docker, containerd store, with attestations": (to) =>
            buildx(dockers.containerdStore, to, "--push", "--provenance=mode=max"),
        "BuildKit, of two platforms, with attestations": (to) =>
            buildx(dockers.containerdStore, to, "--push", "--platform=linux/amd64,linux/arm64"),
        "BuildKit, zstd": (to) => {
            const output = "--output=type=image,compression=zstd,force-compression=true,oci-mediatypes=true,push=true";
            return buildx(dockers.containerdStore, to, output, "--provenance=false");
        },
        "buildah, OCI": (to) => bud(to, "oci"),
        "buildah, Docker's format": (to) => bud(to, "docker"),
        "kaniko (by hand)": (to) => pushByHand(to, kaniko(layerBytes, "docker")),
        "older kaniko, on an OCI image (by hand: media types of both kinds, an empty mediaType)": (to) =>
            pushByHand(to, kaniko(layerBytes, "mixed")),
        "kaniko, zstd in Docker's manifest (by hand)": (to) => pushByHand(to, kaniko(layerBytes, "zstd")),
        "crane append": (to) => append(to, "linux/amd64"),
        "crane append, OCI": (to) => append(to, "linux/amd64", "--oci-empty-base"),
        "crane mutate, with annotations": async (to) => {
            const from = await append(part("mutated"), "linux/amd64", "--oci-empty-base");
            await run("crane", "mutate", "--annotation", "a=b", "--label", "c=d", "--tag", to, from);
        },
        "crane index append": (to) => index(to),
        "crane index append, Docker's list": (to) => index(to, "--docker-empty-base"),
        "crane index append, an index in an index": async (to) => {
            await index(part("inner"));
            await run("crane", "index", "append", "--flatten=false", "--manifest", part("inner"), "--tag", to);
        },
        "an index without platforms (by hand)": (to) => {
            const repository = kaniko(layerBytes, "docker");
            const manifests = [...repository.manifests].map(([digest, { bytes, mediaType }]) => {
                return { mediaType, digest, size: bytes.length };
            });
            addManifest(repository, { schemaVersion: 2, manifests }, mediaTypes.oci.index);
            return pushByHand(to, repository);
        },
        "regctl image mod, layers not compressed": async (to) => {
            const from = await append(part("compressed"), "linux/amd64");
            await run("regctl", ...plain, "image", "mod", from, "--create", to, "--layer-compress", "none");
        },
        "skopeo copy --format v2s2": async (to) =>
            skopeo(await append(part("oci"), "linux/amd64", "--oci-empty-base"), to, "--format", "v2s2"),
        "skopeo copy --format oci": async (to) =>
            skopeo(await append(part("docker"), "linux/amd64"), to, "--format", "oci"),
        "skopeo copy, zstd:chunked beside gzip": async (to) => {
            // skopeo compresses only what the registry does not have: the layer that all images have stays as it is.
            // skopeo 1.9 loses what pads a tar to tar's blocks of 10 KiB, and its digest with it.
            const another = path.join(directory, "another.tar");
            await run("tar", "-C", context, "--blocking-factor=1", "-cf", another, ".");
            const from = await append(part("gzip"), "linux/amd64", "--new_layer", another);
            return skopeo(from, to, "--format", "oci", "--dest-compress-format", "zstd:chunked");
        },
        "oras push, an image": (to) => {
            const files = [
                `${path.basename(layer)}:${mediaTypes.oci.layer}`,
                "--config",
                `config.json:${mediaTypes.oci.config}`,
            ];
            return oras(to, ...files);
        },
        "oras push, an artifact": (to) => {
            return oras(to, `${path.basename(layer)}:text/plain`, "--artifact-type", "application/vnd.example.note");
        },
    };
}

function configOf(layer: Buffer) {
    const rootfs = { type: "layers", diff_ids: [digestOf(gunzipSync(layer))] };
    return { architecture: "amd64", os: "linux", config: {}, rootfs };
}

/**
 * Manifests as kaniko writes them: with Docker's media types; before pull request 2700, a layer of Docker's type on an OCI image, whose
 * `mediaType` is empty (github.com/GoogleContainerTools/kaniko/issues/1836); with `--compression=zstd`, an OCI layer in Docker's manifest.
 */
function kaniko(gzipped: Buffer, form: "docker" | "mixed" | "zstd"): Repository {
    const repository = emptyRepository("kaniko");
    const { oci, docker } = mediaTypes;
    const types = form === "mixed" ? oci : docker;
    const base = configOf(gzipped);
    const rootfs = { ...base.rootfs, diff_ids: [...base.rootfs.diff_ids, ...base.rootfs.diff_ids] };
    const config = Buffer.from(JSON.stringify({ ...base, ...(form === "mixed" && { rootfs }) }));
    const layers = {
        docker: () => [addBlob(repository, gzipped, docker.layer)],
        mixed: () => [addBlob(repository, gzipped, oci.layer), addBlob(repository, gzipped, docker.layer)],
        zstd: () => {
            const zstd = zstdCompressSync(gunzipSync(gzipped));
            return [addBlob(repository, zstd, "application/vnd.oci.image.layer.v1.tar+zstd")];
        },
    }[form]();
    const mediaType = form === "mixed" ? "" : types.manifest;
    const document = { schemaVersion: 2, mediaType, config: addBlob(repository, config, types.config), layers };
    addManifest(repository, document, types.manifest);
    return repository;
}
