/** The image that the lab exports: made here, or the user's own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { run } from "./processes";

/** Arguments of {@link pushImage}. */
export interface PushImageArgs {
    /** `DOCKER_HOST` of the lab's daemon. */
    readonly dockerHost: string;
    /** Port and credentials of the lab's registry. */
    readonly registry: { readonly port: number; readonly userAndPassword: string };
    /** Repository in the lab's registry. */
    readonly repository: string;
    /** Tag in the lab's registry. */
    readonly tag: string;
    /** Folder for files on the way. */
    readonly folder: string;
    /** The user's image: pulled by the lab's daemon, or copied from the machine's own. */
    readonly reference?: string;
}

/**
 * Puts an image in the lab's registry, and leaves the daemon without it, so that the export has everything to pull.
 *
 * @returns the id of the image, the digest of its configuration.
 * @throws Error when the user's image can be found nowhere.
 */
export async function pushImage(args: PushImageArgs): Promise<string> {
    const env = { DOCKER_CONFIG: join(args.folder, "docker-config") };
    const docker = (...command: string[]) => run("docker", ["--host", args.dockerHost, ...command], { env });
    const registry = `127.0.0.1:${args.registry.port}`;
    const name = `${registry}/${args.repository}:${args.tag}`;
    if (args.reference === undefined) {
        await buildImage(docker, name, args.folder);
    } else {
        await fetchImage(docker, args.reference, args.dockerHost);
        await docker("tag", args.reference, name);
    }
    const [user = "", password = ""] = args.registry.userAndPassword.split(":");
    await docker("login", "--username", user, "--password", password, registry);
    await docker("push", name);
    const id = await imageId(args.dockerHost, name);
    await docker("rmi", "--force", id);
    return id;
}

/** What a tag means in the lab's registry: the digest and the media type of its manifest; undefined for nothing. */
export async function describeImage(
    registry: PushImageArgs["registry"],
    repository: string,
    tag: string,
): Promise<{ imageDigest: string; imageManifestMediaType: string } | undefined> {
    const url = `http://127.0.0.1:${registry.port}/v2/${repository}/manifests/${encodeURIComponent(tag)}`;
    const oci = ["oci.image.index.v1", "oci.image.manifest.v1"];
    const types = [...oci, ...["list.v2", "v2"].map((type) => `docker.distribution.manifest.${type}`)];
    const accept = types.map((type) => `application/vnd.${type}+json`).join(", ");
    const authorization = `Basic ${Buffer.from(registry.userAndPassword).toString("base64")}`;
    const answer = await fetch(url, { method: "HEAD", headers: { accept, authorization } });
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`The registry answered ${answer.status} for ${repository}:${tag}.`);
    return {
        imageDigest: answer.headers.get("docker-content-digest") ?? "",
        imageManifestMediaType: answer.headers.get("content-type") ?? "",
    };
}

/** The id of an image that a daemon has. */
export async function imageId(dockerHost: string, name: string): Promise<string> {
    return (await run("docker", ["--host", dockerHost, "image", "inspect", "--format", "{{.Id}}", name])).trim();
}

type Docker = (...command: string[]) => Promise<string>;

/**
 * A small image of three layers: a shell with its libraries, this machine's release, and a program that is large
 * enough for the archive to be uploaded in several parts.
 */
async function buildImage(docker: Docker, name: string, folder: string): Promise<void> {
    const context = join(folder, "image");
    mkdirSync(join(context, "shell"), { recursive: true });
    mkdirSync(join(context, "program"));
    const libraries = (await run("ldd", ["/bin/sh"])).match(/\/\S+/g) ?? [];
    const program = (await run("sh", ["-c", "command -v docker-registry"])).trim();
    await run("cp", ["--parents", "--dereference", "/bin/sh", ...new Set(libraries), join(context, "shell")]);
    await run("cp", ["--parents", "--dereference", "/etc/os-release", context]);
    await run("cp", ["--parents", "--dereference", program, join(context, "program")]);
    const lines = ["FROM scratch", "COPY shell /", "COPY etc /etc", "COPY program /", 'CMD ["/bin/sh"]'];
    writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
    await docker("build", "--quiet", "--tag", name, context);
}

async function fetchImage(docker: Docker, reference: string, dockerHost: string): Promise<void> {
    const copy = 'set -o pipefail; docker save "$1" | docker --host "$2" load';
    try {
        await run("docker", ["image", "inspect", reference]);
        await run("bash", ["-c", copy, "copy", reference, dockerHost]);
    } catch (fromMachine) {
        await docker("pull", reference).catch((fromRegistry: unknown) => {
            throw new Error(
                `The image ${reference} is neither in this machine's Docker daemon (${String(fromMachine)}) ` +
                    `nor can it be pulled (${String(fromRegistry)}).`,
            );
        });
    }
}
