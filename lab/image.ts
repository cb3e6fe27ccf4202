/** The image that the lab exports: made here, or the user's own. */
import { acceptedManifestTypes } from "../exporter/registry/manifest";
import { run } from "./processes";
import type { DockerDaemon } from "./servers";

/**
 * Puts an image in the lab's registry, and leaves the daemon without it, so that the export has everything to pull.
 *
 * @param name Repository and tag.
 * @param folder Folder for files on the way.
 * @param reference The user's image: copied from the machine's own daemon, or pulled by the lab's. @default one that is made here
 * @returns the id of the image, the digest of its configuration.
 * @throws Error when the user's image can be found nowhere.
 */
export async function pushImage(
    docker: DockerDaemon,
    registryPort: number,
    name: string,
    folder: string,
    reference?: string,
): Promise<string> {
    const pushed = `127.0.0.1:${registryPort}/${name}`;
    if (reference === undefined) {
        await run("bash", ["-c", building, docker.host, pushed, folder]);
    } else {
        await fetchImage(docker, reference);
        await docker.run("tag", reference, pushed);
    }
    return pushAndForget(docker, pushed);
}

/**
 * Puts a patch of an image beside it: the image with a small file on top, the layers below the very same.
 *
 * @param base Repository and tag of the image in the lab's registry.
 * @param name Repository and tag of the patch.
 * @returns the id of the patch
 */
export async function pushPatch(
    docker: DockerDaemon,
    registryPort: number,
    base: string,
    name: string,
    folder: string,
): Promise<string> {
    const [from, pushed] = [base, name].map((each) => `127.0.0.1:${registryPort}/${each}`);
    await run("bash", ["-c", patching, docker.host, String(pushed), folder, String(from)]);
    const id = await pushAndForget(docker, String(pushed));
    await docker.run("image", "prune", "--all", "--force");
    return id;
}

async function pushAndForget(docker: DockerDaemon, pushed: string): Promise<string> {
    await docker.run("push", pushed);
    const id = await imageId(docker, pushed);
    await docker.run("rmi", "--force", id);
    return id;
}

/** The digest of what a tag means in the lab's registry; undefined for nothing. */
export async function digestOf(registryPort: number, repository: string, tag: string): Promise<string | undefined> {
    const url = `http://127.0.0.1:${registryPort}/v2/${repository}/manifests/${encodeURIComponent(tag)}`;
    const asked = { method: "HEAD", headers: { accept: acceptedManifestTypes } };
    const { ok, status, headers } = await fetch(url, asked);
    if (status === 404) return undefined;
    if (!ok) throw new Error(`The registry answered ${status} for ${repository}:${tag}.`);
    return headers.get("docker-content-digest") ?? "";
}

/** The id of an image that a daemon has. */
export async function imageId(docker: DockerDaemon, name: string): Promise<string> {
    return (await docker.run("image", "inspect", "--format", "{{.Id}}", name)).trim();
}

// A small image of three layers: a shell with its libraries, this machine's release, and a program that is large enough for the
// archive to be uploaded in several parts.
const building = `
set -euo pipefail
cd "$(mktemp --directory --tmpdir="$2")"
mkdir shell program
cp --parents --dereference /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*' | sort -u) shell
cp --parents --dereference /etc/os-release .
cp --parents --dereference "$(command -v docker-registry)" program
cat >Dockerfile <<END
FROM scratch
COPY shell /
COPY etc /etc
COPY program /
CMD ["/bin/sh"]
END
docker --host "$0" build --quiet --tag "$1" .`;

const patching = `
set -euo pipefail
cd "$(mktemp --directory --tmpdir="$2")"
date >patched
printf 'FROM %s\\nCOPY patched /etc/\\n' "$3" >Dockerfile
docker --host "$0" build --quiet --pull --tag "$1" .`;

async function fetchImage(docker: DockerDaemon, reference: string): Promise<void> {
    const copying = 'set -o pipefail; docker save "$1" | docker --host "$0" load';
    try {
        await run("bash", ["-c", copying, docker.host, reference]);
    } catch (fromMachine) {
        await docker.run("pull", reference).catch((fromRegistry: unknown) => {
            throw new Error(
                `The image ${reference} is neither in this machine's Docker daemon (${String(fromMachine)}) ` +
                    `nor can it be pulled (${String(fromRegistry)}).`,
            );
        });
    }
}
