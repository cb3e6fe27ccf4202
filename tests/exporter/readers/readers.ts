/** The programs that read archives, each as a function: what it makes of an archive. */
import { mkdir, readFile } from "node:fs/promises";
import * as path from "node:path";

import { type DockerDaemon, startDockerDaemon } from "../../../lab/servers";
import { newDocker } from "../../support/newDocker";
import { digestOf, mediaTypes } from "../support/images";
import { assertInstalled, run, type Service, startDockerRegistry, useGoTools } from "../support/tools";

/** An image as a program has it that has read an archive. What a program does not keep is undefined. */
export interface ReadImage {
    readonly name: string;
    /** Of its manifest, or of its index. */
    readonly digest?: string | undefined;
    readonly configDigest?: string | undefined;
    /** Where its files are. */
    readonly folder?: string;
}

/**
 * Has a program read an archive.
 *
 * @param names whole names (`HOST/REPOSITORY:TAG`) of the images in it: programs that take one image at a time are asked for each,
 *     in the way of theirs for archives of one image where there is one only; others list what they find
 * @param scratch an empty folder, the program's own
 * @throws Error with what the program says when it refuses the archive
 */
export type Reader = (archive: string, names: readonly string[], scratch: string) => Promise<ReadImage[]>;

type ArchiveKind = "docker-archive" | "oci-archive";

/** A Docker daemon with its programs and the containerd that it runs on. */
export interface Docker extends DockerDaemon {
    /** Runs a program of its installation. */
    readonly program: typeof run;
    readonly containerd: string;
}

/** Whose Docker it is and where it keeps images: the machine's own, and one that has both stores. */
export type Dockers = Readonly<Record<"own" | "graphDriver" | "containerdStore", Docker>>;

/** What is there to read archives. */
export interface Readers extends Service {
    readonly readers: Readonly<Record<string, Reader>>;
    /** What each program says of its version, by the readers' names. */
    readonly versions: Readonly<Record<string, string>>;
    readonly dockers: Dockers;
    /** A registry, `HOST:PORT`. */
    readonly registry: string;
}

/**
 * Starts what the programs need: Docker daemons, a registry, a Debian with Apptainer.
 *
 * @param directory an empty one, for everything that they keep
 */
export async function startReaders(directory: string): Promise<Readers> {
    await assertInstalled("docker", "dockerd", "ctr", "podman", "skopeo", "docker-registry", "debootstrap", "tar");
    await useGoTools();
    const started: Service[] = [];
    const stop = async (): Promise<void> => {
        for (const service of started.reverse()) await service.stop();
    };
    try {
        const sid = (await run(path.join(__dirname, "debian-sid"))).trim();
        const registry = await startDockerRegistry(directory);
        started.push(registry);
        const startDockerIn = async (name: string, PATH: string, ...options: string[]): Promise<Docker> => {
            const docker = await startDocker(path.join(directory, name), PATH, ...options);
            started.push(docker);
            return docker;
        };
        const [own, latest] = [process.env["PATH"] ?? "", await newDocker()];
        const feature = "--feature=containerd-snapshotter";
        const dockers = {
            own: await startDockerIn("own", own),
            graphDriver: await startDockerIn("graph-driver", latest, `${feature}=false`),
            containerdStore: await startDockerIn("containerd-store", latest, `${feature}=true`),
        };
        const table = readersOf(dockers, registry.host, sid);
        const [readers, versions]: [Record<string, Reader>, Record<string, string>] = [{}, {}];
        for (const [name, [read, askVersion]] of Object.entries(table)) {
            readers[name] = read;
            versions[name] = /\d+\.\d+\.\d+/.exec(await askVersion())?.[0] ?? "";
        }
        return { readers, versions, dockers, registry: registry.host, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

/**
 * Starts a Docker daemon with a containerd of its own.
 *
 * @param folder does not exist yet
 * @param PATH leads to its programs
 */
export async function startDocker(folder: string, PATH: string, ...options: string[]): Promise<Docker> {
    await mkdir(folder);
    const daemon = await startDockerDaemon(folder, { PATH }, options);
    const containerd = path.join(folder, "docker", "containerd.sock");
    return { ...daemon, containerd, program: (...command) => run("env", `PATH=${PATH}`, ...command) };
}

/** The readers, each with what tells its version. */
function readersOf(
    { own, graphDriver, containerdStore }: Dockers,
    registry: string,
    sid: string,
): Record<string, readonly [Reader, () => Promise<string>]> {
    const version = (docker: Docker) => () => docker.program("dockerd", "--version");
    const ctrVersion = (docker: Docker) => () => docker.program("ctr", "--version");
    const said = (program: string, option = "--version") => {
        return () => run(program, option);
    };
    const skopeo = said("skopeo");
    const crane = said("crane", "version");
    const apptainer = () => inSid(sid, "/mnt", "apptainer", "--version");
    const push = pushingTo(registry);
    return {
        "Docker, the machine's own": [dockerLoad(own, "configDigest"), version(own)],
        "Docker, graph driver": [dockerLoad(graphDriver, "configDigest"), version(graphDriver)],
        "Docker, containerd store": [dockerLoad(containerdStore, "digest"), version(containerdStore)],
        podman: [podmanLoad, said("podman")],
        "skopeo docker-archive": [skopeoCopy("docker-archive"), skopeo],
        "skopeo oci-archive": [skopeoCopy("oci-archive"), skopeo],
        "ctr, the machine's own": [ctrImport(own), ctrVersion(own)],
        ctr: [ctrImport(containerdStore), ctrVersion(containerdStore)],
        "ctr as K3s": [ctrImport(containerdStore, "--all-platforms", "--no-unpack"), ctrVersion(containerdStore)],
        "ctr as kind": [ctrImport(containerdStore, "--all-platforms", "--digests"), ctrVersion(containerdStore)],
        "crane push": [
            async (...asked) => {
                const found = await push((archive, to) => run("crane", "push", archive, to))(...asked);
                // It makes a manifest of its own, as it knows nothing but manifest.json.
                return found.map(({ name, configDigest }) => ({ name, configDigest }));
            },
            crane,
        ],
        "crane push, of the folder": [
            push(async (archive, to, { only, scratch }) => {
                await run("tar", "-xf", archive, "-C", scratch);
                await run("crane", "push", ...(only ? ["--index"] : []), scratch, to);
                if (only) await run("crane", "copy", `${to}@${await digestIn(archive, only)}`, to);
            }),
            crane,
        ],
        regctl: [
            push((archive, to, { only }) => {
                const host = ["--host", `reg=${registry},tls=disabled`];
                return run("regctl", ...host, "image", "import", ...(only ? ["--name", only] : []), to, archive);
            }),
            said("regctl", "version"),
        ],
        oras: [
            push(async (archive, to, { name, only }) => {
                const source = only ? `${archive}@${await digestIn(archive, only)}` : `${archive}:${tagOf(name)}`;
                return run("oras", "copy", "--from-oci-layout", "--to-plain-http", source, to);
            }),
            said("oras", "version"),
        ],
        umoci: [umociUnpack, said("umoci")],
        "Apptainer docker-archive": [apptainerBuild(sid, "docker-archive"), apptainer],
        "Apptainer oci-archive": [apptainerBuild(sid, "oci-archive"), apptainer],
    };
}

/** Loads, and removes what was loaded. */
function dockerLoad(docker: Docker, id: "digest" | "configDigest"): Reader {
    return async (archive) => {
        try {
            await docker.run("load", "--input", archive);
            const listed = await docker.run("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}");
            return wordsOf(listed).map(([name = "", digest]) => ({ name, [id]: digest }));
        } finally {
            await docker.run("system", "prune", "--all", "--force");
        }
    };
}

const podmanLoad: Reader = async (archive, _names, scratch) => {
    const storage = ["--root", path.join(scratch, "root"), "--runroot", path.join(scratch, "run")];
    const podman = (...command: string[]) => run("podman", ...storage, "--storage-driver", "vfs", ...command);
    await podman("load", "--input", archive);
    const listed = await podman("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}");
    return wordsOf(listed).map(([name = "", configDigest]) => ({ name, configDigest }));
};

function skopeoCopy(kind: ArchiveKind): Reader {
    return (archive, names, scratch) =>
        forEachOf(names, async (name, at) => {
            const folder = path.join(scratch, at.toString());
            const isDocker = kind === "docker-archive";
            const source = `${kind}:${archive}${isDocker || names.length > 1 ? `:${name}` : ""}`;
            await run("skopeo", "copy", ...(isDocker ? [] : ["--all", "--preserve-digests"]), source, `dir:${folder}`);
            const { digest, configDigest } = described(await readFile(path.join(folder, "manifest.json")));
            return isDocker ? { name, configDigest } : { name, digest, configDigest };
        });
}

/** The digest by which `index.json` lists an image: how programs name one of several that take no name with a `/`. */
export async function digestIn(archive: string, name: string): Promise<string> {
    const { manifests } = JSON.parse(await run("tar", "-xOf", archive, "index.json")) as {
        manifests: { digest: string; annotations: Record<string, string> }[];
    };
    return manifests.find(({ annotations }) => annotations["io.containerd.image.name"] === name)?.digest ?? "";
}

/** Imports into a namespace of its own, which the next one does not see. */
function ctrImport(docker: Docker, ...options: string[]): Reader {
    return async (archive, _names, scratch) => {
        const containerd = ["--address", docker.containerd, "--namespace", path.basename(scratch)];
        const ctr = (...command: string[]) => docker.program("ctr", ...containerd, ...command);
        await ctr("images", "import", ...options, archive);
        const listed = wordsOf(await ctr("images", "list")).slice(1);
        return forEachOf(listed, async ([name = "", , digest = ""]) => {
            return { name, ...described(Buffer.from(await ctr("content", "get", digest))) };
        });
    };
}

/** A name to copy, the same where the archive has several, and a folder. */
interface Asked {
    readonly name: string;
    readonly only: string | undefined;
    readonly scratch: string;
}

/** What copies from an archive into a registry, which then tells what has come. */
export function pushingTo(registry: string) {
    return (copy: (archive: string, target: string, asked: Asked) => Promise<unknown>): Reader =>
        (archive, names, scratch) =>
            forEachOf(names, async (name, at) => {
                const [repository, tag] = [path.basename(scratch).toLowerCase(), `image-${at}`];
                const folder = path.join(scratch, tag);
                await mkdir(folder);
                const only = names.length > 1 ? name : undefined;
                await copy(archive, `${registry}/${repository}:${tag}`, { name, only, scratch: folder });
                const accept = Object.values(mediaTypes).flatMap(({ manifest, index }) => [manifest, index]);
                const url = `http://${registry}/v2/${repository}/manifests/${tag}`;
                const answer = await fetch(url, { headers: { accept: accept.join(", ") } });
                return { name, ...described(Buffer.from(await answer.arrayBuffer())) };
            });
}

const umociUnpack: Reader = async (archive, names, scratch) => {
    const layout = path.join(scratch, "layout");
    await mkdir(layout);
    await run("tar", "-xf", archive, "-C", layout);
    return forEachOf(names, async (name, at) => {
        const bundle = path.join(scratch, at.toString());
        await run("umoci", "unpack", "--image", `${layout}:${names.length > 1 ? name : tagOf(name)}`, bundle);
        return { name, folder: path.join(bundle, "rootfs") };
    });
};

/** Of several images in a file it takes none; of the file unpacked, one by its digest. */
function apptainerBuild(sid: string, kind: ArchiveKind): Reader {
    return async (archive, names, scratch) => {
        const isUnpacked = kind === "oci-archive" && names.length > 1;
        const [file, layout] = [path.join(scratch, "image.tar"), path.join(scratch, "layout")];
        await run("ln", archive, file);
        await mkdir(layout);
        if (isUnpacked) await run("tar", "-xf", archive, "-C", layout);
        return forEachOf(names, async (name, at) => {
            const source = isUnpacked ? `oci:/mnt/layout@${await digestIn(archive, name)}` : `${kind}:/mnt/image.tar`;
            await inSid(sid, scratch, "apptainer", "build", "--sandbox", `/mnt/${at}`, source);
            return { name, folder: path.join(scratch, at.toString()) };
        });
    };
}

/** Runs a program of Debian's development branch, which sees a folder as `/mnt`. */
export function inSid(sid: string, folder: string, ...command: string[]): Promise<string> {
    const script = `
mount --rbind /proc "$0/proc"
mount --bind "$1" "$0/mnt"
shift
exec env APPTAINER_TMPDIR=/mnt APPTAINER_CACHEDIR=/mnt/cache chroot "$0" "$@"`;
    return run("unshare", "--mount", "sh", "-euc", script, sid, folder, ...command);
}

/** The digest of a manifest or an index, and that of a manifest's configuration. */
function described(document: Buffer) {
    const { config } = JSON.parse(document.toString()) as { config?: { digest: string } };
    return { digest: digestOf(document), configDigest: config?.digest };
}

/** One after the other: programs that share a store do not expect company. */
export async function forEachOf<T, R>(values: readonly T[], use: (value: T, at: number) => Promise<R>): Promise<R[]> {
    const results: R[] = [];
    for (const [at, value] of values.entries()) results.push(await use(value, at));
    return results;
}

export function tagOf(name: string): string {
    return name.slice(name.lastIndexOf(":") + 1);
}

export function wordsOf(table: string): string[][] {
    const lines = table.split("\n").filter((line) => line.trim() !== "");
    return lines.map((line) => line.trim().split(/\s+/));
}
