/** Deltas in the hands of other programs, with their bases and without; what comes of it is docs/results/deltas.md. */
import * as assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

import { recordKey } from "../../../contract/keys";
import { exportsOf, type ImageExport } from "../../../contract/record";
import type { Receiver, RequestedImage } from "../../../contract/request";
import { exportImage } from "../../../exporter/exportImage";
import { root } from "../../../lab/stackFiles";
import { anyRecordOf } from "../../support/readRecord";
import {
    addImage,
    addIndex,
    addReferrer,
    addReferrersTag,
    digestOf,
    emptyRepository,
    type Family,
    fileLayer,
    mediaTypes,
    randomBytesOf,
} from "../support/images";
import { pushByHand } from "../support/pushByHand";
import { run } from "../support/tools";
import { prepareBuilders } from "./builders";
import {
    digestIn,
    type Docker,
    forEachOf,
    inSid,
    pushingTo,
    type Reader,
    type Readers,
    startReaders,
    tagOf,
    wordsOf,
} from "./readers";
import { deltasReasons } from "./reasons";

/** A delta, and all that it needs. */
interface Delta {
    readonly what: string;
    /** The farthest first. */
    readonly bases: readonly Archive[];
    readonly archive: Archive;
    /** The content of the file that each release has another of. */
    readonly release: string | undefined;
}
interface Archive {
    readonly file: string;
    readonly images: readonly ImageExport[];
}

/** An image as it comes out of a program again; what the program does not keep is undefined. */
interface Found {
    /** The layers of each platform, each read to its end and unpacked. */
    readonly diffIds?: readonly (readonly string[])[];
    readonly digest?: string | undefined;
    readonly configDigest?: string | undefined;
    /** The content of the file, from a container. */
    readonly release?: string | undefined;
}

/** Where a program keeps images: at first it has none. What the program refuses is thrown. */
interface Store {
    readonly load: (archive: string, names: readonly string[]) => Promise<unknown>;
    readonly list: () => Promise<readonly string[]>;
    readonly look: (name: string, at: number) => Promise<Found>;
    readonly remove?: (name: string) => Promise<unknown>;
    /** Leaves nothing for the next one. */
    readonly empty?: () => Promise<unknown>;
}
type Open = (scratch: string) => Store;

/** What has come of a delta with a program. */
interface Cell {
    readonly what: string;
    readonly program: string;
    readonly hasBase: boolean;
    /** The exit status of the program that loads. */
    readonly status: number;
    readonly says: string;
    /** Whether an image of the delta is listed then. */
    readonly isListed: boolean;
    /** What is wrong with it, nothing where all is well. */
    readonly problem: string | undefined;
}

const release = "release";
const host = "linux/amd64";
const plain = "the next release, OCI's media types";
const forContainerd = 'layers in another order, `"for": "containerd"`';
/** Builders whose images have a next release. */
const built = [
    "Docker's classic builder",
    "BuildKit in Docker, containerd store, without attestations",
    "BuildKit, zstd",
    "buildah, OCI",
    "regctl image mod, layers not compressed",
] as const;

describe("deltas of images", function () {
    this.timeout(0);
    let directory: string;
    let programs: Readers;
    const deltas: Delta[] = [];
    const cells: Cell[] = [];

    before(async () => {
        directory = await mkdtemp(path.join(tmpdir(), "deltas-"));
        programs = await startReaders(directory);
    });
    after(async () => {
        await programs.stop();
        await rm(directory, { recursive: true, force: true });
    });

    /** Exports releases, each since the one before. */
    const add = async (
        what: string,
        releases: readonly (string | readonly RequestedImage[])[],
        options: { platform?: string; referrers?: boolean; for?: Receiver; release?: string } = {},
    ): Promise<void> => {
        const archives: Archive[] = [];
        for (const image of releases) {
            const file = path.join(await mkdtemp(path.join(directory, "archive-")), "image.tar");
            const key = archives.at(-1)?.file;
            const since = key && { key, for: options.for ?? "docker" };
            await exportImage({ ...options, image, destination: file, ...(since && { since }) });
            const record = anyRecordOf(await readFile(recordKey(file), "utf8"));
            assert.equal(record.since?.key, key, what);
            archives.push({ file, images: exportsOf(record) });
        }
        const archive = archives.pop() ?? assert.fail();
        deltas.push({ what, bases: archives, archive, release: options.release ?? releases.length.toString() });
    };

    it("are exported", async () => {
        const { dockers, registry } = programs;
        const place = path.join(directory, "built");
        await mkdir(place);
        const builders = await prepareBuilders(dockers, place, registry);
        const layer = async (name: string, content: string | Buffer) => {
            await writeFile(path.join(place, name), content);
            await run("tar", "-C", place, "-cf", path.join(place, `${name}.tar`), name);
            return path.join(place, `${name}.tar`);
        };
        for (const [at, builder] of built.entries()) {
            const app = `${registry}/built-${at}/app`;
            const append = (from: string, file: string, to: string) =>
                run("crane", "append", "--base", `${app}:${from}`, "--new_layer", file, "--new_tag", `${app}:${to}`);
            await builders[builder]?.(`${app}:small`);
            await append("small", await layer("large", randomBytesOf(100_000, at)), "large");
            for (const version of ["1", "2"]) await append("large", await layer(release, version), version);
            await add(`the next release, ${builder}`, [`${app}:1`, `${app}:2`]);
        }

        let seed = 100;
        const large = (seed: number) => fileLayer(`large-${seed}`, randomBytesOf(100_000, seed));
        const small = (version: number) => fileLayer(release, Buffer.from(version.toString()));
        const push = async (
            name: string,
            releases: readonly (readonly ReturnType<typeof fileLayer>[])[],
            more: { family?: Family; isIndex?: boolean; referrers?: boolean } = {},
        ) => {
            const repository = emptyRepository(name);
            const { family = "oci", isIndex, referrers } = more;
            for (const [at, layers] of releases.entries()) {
                const tag = (at + 1).toString();
                const image = addImage(repository, { layers, family, tag, history: `${name} ${tag}` });
                if (isIndex) {
                    const arm = { layers: [large(1), small(at + 1)], family, architecture: "arm64" };
                    addIndex(repository, [image, addImage(repository, arm)], { family, tag });
                }
                if (referrers) {
                    const sbom = addReferrer(repository, image);
                    addReferrer(repository, sbom, { type: "application/vnd.example.signature" });
                    for (const subject of [image, sbom]) addReferrersTag(repository, subject);
                }
            }
            await pushByHand(`${registry}/${name}`, repository);
            return releases.map((_, at) => `${registry}/${name}:${at + 1}`);
        };
        // Layers that no other repository has, from which a registry could take them.
        const largeLayers = (count: number) => Array.from({ length: count }, () => large(++seed));
        const releasesOf = (count: number, first = largeLayers(2)) =>
            Array.from({ length: count }, (_, at) => [...first, small(at + 1)]);
        await add(plain, await push("oci/app", releasesOf(2)));
        await add(
            "the next release, Docker's media types",
            await push("docker/app", releasesOf(2), { family: "docker" }),
        );
        await add("a delta of a delta", await push("chain/app", releasesOf(3)));
        const same = [...largeLayers(1), small(1)];
        await add("only the configuration is new", await push("config/app", [same, same]), { release: "1" });
        await add("two platforms, `all`", await push("index/app", releasesOf(2), { isIndex: true }), {
            platform: "all",
        });
        await add("with referrers", await push("signed/app", releasesOf(2), { referrers: true }), { referrers: true });
        const first = largeLayers(2);
        const web = await push("release/web", releasesOf(2, first));
        const api = await push("release/api", releasesOf(2, [...first, ...largeLayers(1)]));
        const sets = [0, 1].map((at) => [web, api].map((each) => ({ imageUri: each[at] ?? "" })));
        await add("a release, as a set", sets);
        const [one, two] = largeLayers(2) as [ReturnType<typeof large>, ReturnType<typeof large>];
        const reordered = [
            [one, two, small(1)],
            [two, small(2), one],
        ];
        await add(forContainerd, await push("order/app", reordered), { for: "containerd" });
    });

    it("are loaded by every program, and refused or incomplete without the base, or there is a sentence why not", async () => {
        const sid = (await run(path.join(__dirname, "debian-sid"))).trim();
        for (const [program, open] of Object.entries(storesOf(programs, sid))) {
            for (const delta of deltas) {
                // Without the base first: skopeo remembers what it has pushed to where.
                for (const hasBase of [false, true]) {
                    const scratch = await mkdtemp(path.join(directory, "scratch-"));
                    cells.push(await cellOf(delta, program, hasBase, open(scratch)));
                    await rm(scratch, { recursive: true, force: true });
                }
            }
        }
        assert.deepEqual(
            cells.filter((cell) => outcomeOf(cell) === undefined),
            [],
        );
    });

    it("have bases that are looked for as the page of the receiver says", async () => {
        const { dockers, registry } = programs;
        const text = await readFile(path.join(root, "docs/receiver.md"), "utf8");
        const blocks = [...text.matchAll(/```sh\n(jq [^`]*)```/g)].map(([, block = ""]) => block);
        const { bases, archive } = deltas.find(({ what }) => what === plain) ?? assert.fail();
        const [base = assert.fail()] = bases;
        const name = base.images[0]?.imageName ?? "";
        const folder = await mkdtemp(path.join(directory, "page-"));
        const { graphDriver, containerdStore } = dockers;
        const look = (docker: Docker, block: string | undefined) => {
            const command = (block ?? "")
                .replaceAll("DELTA.tar", archive.file)
                .replaceAll("BASE-IMAGE", name)
                .replaceAll("HOST/REPO", name.replace(/:\d+$/, ""));
            const env = [`DOCKER_HOST=${docker.host}`, `CONTAINERD_ADDRESS=${docker.containerd}`, `HOME=${folder}`];
            return docker.program("env", `--chdir=${folder}`, ...env, "bash", "-euo", "pipefail", "-c", command);
        };
        const [compare, find] = blocks;
        for (const docker of [graphDriver, containerdStore]) {
            await assert.rejects(look(docker, compare), /No such image/);
            await docker.run("load", "--input", base.file);
            const [needed = "", has = ""] = (await look(docker, compare)).trim().split("\n");
            assert.ok(needed.length > 2 && has.startsWith(needed.slice(0, -1)), `${needed} ${has}`);
            await docker.run("system", "prune", "--all", "--force");
        }
        await run("env", `HOME=${folder}`, "regctl", "registry", "set", "--tls", "disabled", registry);
        await assert.rejects(look(containerdStore, find));
        const ctr = ["ctr", "--address", containerdStore.containerd, "--namespace", "k8s.io"] as const;
        await containerdStore.program(...ctr, "images", "import", base.file);
        assert.match(await look(containerdStore, find), /^(sha256:\w{64}\n){2}/);
        const elsewhere = find?.replace("HOST/REPO", `${registry}/elsewhere`);
        await assert.rejects(look(containerdStore, elsewhere), /not found/);
    });

    after(async () => {
        if (cells.length > 0) {
            await writeFile(path.join(root, "docs/results/deltas.md"), page(cells, programs.versions));
        }
    });
});

async function cellOf(delta: Delta, program: string, hasBase: boolean, store: Store): Promise<Cell> {
    const namesOf = ({ images }: Archive) => images.map(({ imageName }) => imageName);
    const names = namesOf(delta.archive);
    const loaded = { status: 0, says: "" };
    let [isListed, problem]: [boolean, string | undefined] = [false, undefined];
    try {
        for (const base of hasBase ? delta.bases : []) await store.load(base.file, namesOf(base));
        try {
            loaded.says = textOf(await store.load(delta.archive.file, names));
        } catch (error) {
            loaded.status = (error as { code?: number }).code ?? 1;
            loaded.says = saidBy(error);
        }
        const listed = await store.list();
        isListed = names.some((name) => listed.includes(name));
        if (hasBase && loaded.status !== 0) problem = loaded.says;
        // What a delta has brought together stays without its base.
        if (hasBase) for (const base of delta.bases) for (const name of namesOf(base)) await store.remove?.(name);
        for (const [at, image] of delta.archive.images.entries()) {
            problem ??= differenceOf(image, delta.release, await store.look(image.imageName, at));
        }
    } catch (error) {
        problem = saidBy(error);
    } finally {
        await store.empty?.();
    }
    return { what: delta.what, program, hasBase, ...loaded, isListed, problem };
}

/** What is wrong with an image as a program has it. */
function differenceOf({ images, imageDigest }: ImageExport, content: string | undefined, found: Found) {
    const own = images.find(({ platform }) => platform === host);
    const all = images.map(({ diffIds }) => JSON.stringify(diffIds));
    const { digest = imageDigest, configDigest = own?.configDigest, diffIds = [own?.diffIds ?? []] } = found;
    if (digest !== imageDigest) return `has digest ${digest}, not ${imageDigest}`;
    if (configDigest !== own?.configDigest) return `has configDigest ${configDigest}, not ${own?.configDigest}`;
    const texts = diffIds.map((each) => JSON.stringify(each));
    if (!texts.includes(JSON.stringify(own?.diffIds))) return `has layers ${texts.join()}`;
    const other = texts.find((each) => !all.includes(each));
    if (other !== undefined) return `has layers ${other}`;
    const { release: itsContent = content } = found;
    return itsContent === content ? undefined : `has ${release} ${itsContent}`;
}

function textOf(value: unknown): string {
    return typeof value === "string" ? value.trim().slice(-2000) : "";
}

function saidBy(error: unknown): string {
    const { stderr = "", stdout = "", message } = error as { stderr?: string; stdout?: string; message: string };
    return textOf(stderr) || textOf(stdout) || textOf(message);
}

/** Lets a program say all on one stream. */
const saying: [string, ...string[]] = ["sh", "-c", '"$@" 2>&1', "sh"];
/** Lets a program write into a file. */
const writing: [string, ...string[]] = ["sh", "-c", 'file=$1; shift; "$@" >"$file"', "sh"];

/** The stores, by the program that loads. */
function storesOf({ dockers, readers, registry }: Readers, sid: string): Readonly<Record<string, Open>> {
    const { own, graphDriver, containerdStore } = dockers;
    const push = pushingTo(registry);
    const skopeo = (kind: "docker-archive" | "oci-archive") =>
        push((archive, to, { name, only }) => {
            const isDocker = kind === "docker-archive";
            const source = `${kind}:${archive}${isDocker || only ? `:${name}` : ""}`;
            const options = ["--dest-tls-verify=false", ...(isDocker ? [] : ["--all", "--preserve-digests"])];
            return run("skopeo", "copy", ...options, source, `docker://${to}`);
        });
    const pushed = (reader: string, keepsDigest = true) => registryStore(registry, readers[reader], keepsDigest);
    return {
        "Docker, the machine's own": dockerStore(own, "configDigest"),
        "Docker, graph driver": dockerStore(graphDriver, "configDigest"),
        "Docker, containerd store": dockerStore(containerdStore, "digest"),
        podman: podmanStore((podman, archive) => podman("load", "--input", archive)),
        "podman pull": podmanStore((podman, archive, names) =>
            forEachOf(names, (name) => podman("pull", `oci-archive:${archive}${names.length > 1 ? `:${name}` : ""}`)),
        ),
        "ctr, the machine's own": ctrStore(own),
        ctr: ctrStore(containerdStore),
        "ctr as K3s": ctrStore(containerdStore, "--all-platforms", "--no-unpack"),
        "ctr as kind": ctrStore(containerdStore, "--all-platforms", "--digests"),
        "skopeo docker-archive": registryStore(registry, skopeo("docker-archive"), false),
        "skopeo oci-archive": registryStore(registry, skopeo("oci-archive")),
        "crane push": pushed("crane push", false),
        "crane push, of the folder": pushed("crane push, of the folder"),
        regctl: pushed("regctl"),
        "regctl, of the folder": registryStore(
            registry,
            push(async (archive, to, { name, only, scratch }) => {
                await run("tar", "-xf", archive, "-C", scratch);
                const image = only ? `@${await digestIn(archive, only)}` : `:${tagOf(name)}`;
                const plainHttp = ["--host", `reg=${registry},tls=disabled`];
                return run("regctl", ...plainHttp, "image", "copy", `ocidir://${scratch}${image}`, to);
            }),
        ),
        oras: pushed("oras"),
        umoci: folderStore("rootfs", (layout, to, { name, only }) =>
            run("umoci", "unpack", "--image", `${layout}:${only ? name : tagOf(name)}`, to),
        ),
        "Apptainer, of the folder": folderStore("", (layout, to, { digest, only }) => {
            const image = `oci:/mnt/${path.basename(layout)}${only ? `@${digest}` : ""}`;
            const target = `/mnt/${path.basename(to)}`;
            return inSid(sid, path.dirname(to), "apptainer", "build", "--sandbox", target, image);
        }),
        "Apptainer docker-archive": fileStore(readers["Apptainer docker-archive"]),
        "Apptainer oci-archive": fileStore(readers["Apptainer oci-archive"]),
    };
}

type Run = (...command: string[]) => Promise<string>;

function dockerStore({ host: address, program }: Docker, id: "digest" | "configDigest"): Open {
    const docker: Run = (...command) => program(...saying, "docker", "--host", address, ...command);
    return (scratch) => ({
        ...savingStore(docker, scratch),
        look: async (name, at) => {
            const [digest] = (await docker("image", "inspect", "--format", "{{.ID}}", name)).trim().split("\n");
            return { [id]: digest, ...(await savingStore(docker, scratch).look(name, at)) };
        },
        empty: async () => {
            await docker("system", "prune", "--all", "--force");
        },
    });
}

function podmanStore(load: (podman: Run, archive: string, names: readonly string[]) => Promise<unknown>): Open {
    return (scratch) => {
        const storage = ["--root", path.join(scratch, "root"), "--runroot", path.join(scratch, "run")];
        const podman: Run = (...command) => run(...saying, "podman", ...storage, "--storage-driver", "vfs", ...command);
        return {
            ...savingStore(podman, scratch, ["--format", "oci-archive"]),
            load: (archive, names) => load(podman, archive, names),
        };
    };
}

/** Of what has Docker's commands. */
function savingStore(docker: Run, scratch: string, options: readonly string[] = []): Store {
    return {
        load: (archive) => docker("load", "--input", archive),
        list: async () => wordsOf(await docker("images", "--format", "{{.Repository}}:{{.Tag}}")).flat(),
        look: async (name, at) => {
            const file = (end: string) => path.join(scratch, `${at}-${end}`);
            const said = await docker("create", name, "/any");
            const container = said.trim().split("\n").at(-1) ?? "";
            await docker("export", "--output", file("files.tar"), container);
            await docker("rm", container);
            await docker("save", ...options, "--output", file("saved.tar"), name);
            await mkdir(file("saved"));
            await run("tar", "-xf", file("saved.tar"), "-C", file("saved"));
            const read = (each: string) => readFile(path.join(file("saved"), each));
            const manifest = await read("manifest.json").catch(() => undefined);
            const files = { release: await run("tar", "-xOf", file("files.tar"), release) };
            if (manifest === undefined) {
                const { manifests } = JSON.parse((await read("index.json")).toString()) as Document;
                const get = (digest: string) => read(path.join("blobs", digest.replace(":", "/")));
                return { ...files, diffIds: await layersOf(manifests?.[0]?.digest ?? "", get) };
            }
            const [saved] = JSON.parse(manifest.toString()) as [{ Layers: string[] }];
            return { ...files, diffIds: [(await forEachOf(saved.Layers, read)).map(diffIdOf)] };
        },
        remove: (name) => docker("rmi", name),
    };
}

function ctrStore({ containerd, program }: Docker, ...options: string[]): Open {
    return (scratch) => {
        const address = ["--address", containerd, "--namespace", path.basename(scratch)];
        const ctr: Run = (...command) => program("ctr", ...address, ...command);
        const get = async (digest: string): Promise<Buffer> => {
            await program(...writing, path.join(scratch, "blob"), "ctr", ...address, "content", "get", digest);
            return readFile(path.join(scratch, "blob"));
        };
        const list = async () => wordsOf(await ctr("images", "list")).slice(1);
        return {
            load: (archive) => program(...saying, "ctr", ...address, "images", "import", ...options, archive),
            list: async () => (await list()).flatMap(([name = ""]) => name),
            look: async (name) => {
                const [, , digest = ""] = (await list()).find(([each]) => each === name) ?? [];
                const all = options.includes("--all-platforms");
                const diffIds = await layersOf(digest, get, all ? undefined : "amd64");
                const files = await mkdtemp(path.join(scratch, "files-"));
                await ctr("images", "mount", name, files);
                try {
                    return { digest, diffIds, release: await readFile(path.join(files, release), "utf8") };
                } finally {
                    await ctr("images", "unmount", files);
                }
            },
            remove: (name) => ctr("images", "rm", "--sync", name),
        };
    };
}

/** A repository of its own, which a reader pushes to. */
function registryStore(registry: string, read: Reader | undefined, keepsDigest = true): Open {
    return (scratch) => {
        const repository = path.basename(scratch);
        const api = `http://${registry}/v2/${repository.toLowerCase()}`;
        const fetched = async (kind: string, reference: string): Promise<Buffer | undefined> => {
            const accept = Object.values(mediaTypes).flatMap(({ manifest, index }) => [manifest, index]);
            const answer = await fetch(`${api}/${kind}/${reference}`, { headers: { accept: accept.join(", ") } });
            return answer.ok ? Buffer.from(await answer.arrayBuffer()) : undefined;
        };
        const get = async (digest: string): Promise<Buffer> =>
            (await fetched("blobs", digest)) ??
            (await fetched("manifests", digest)) ??
            assert.fail(`${digest} is not in the repository`);
        let loaded: readonly string[] = [];
        return {
            load: async (archive, names) => {
                const own = path.join(await mkdtemp(path.join(scratch, "load-")), repository);
                await mkdir(own);
                loaded = names;
                await read?.(archive, names, own);
            },
            list: async () => {
                const found = await forEachOf(loaded, (_, at) => fetched("manifests", `image-${at}`));
                return loaded.filter((_, at) => found[at] !== undefined);
            },
            look: async (_name, at) => {
                const manifest = (await fetched("manifests", `image-${at}`)) ?? assert.fail("there is no image");
                const digest = digestOf(manifest);
                return { diffIds: await layersOf(digest, get), ...(keepsDigest && { digest }) };
            },
        };
    };
}

/** An image of an archive; only where it has others too. */
interface Member {
    readonly name: string;
    readonly digest: string;
    readonly only: boolean;
}

/** A folder that all archives are unpacked in. */
function folderStore(inside: string, unpack: (layout: string, to: string, member: Member) => Promise<unknown>): Open {
    return (scratch) => {
        const layout = path.join(scratch, "image");
        const folders = new Map<string, string>();
        return {
            load: async (archive, names) => {
                await mkdir(layout, { recursive: true });
                await run("tar", "-xf", archive, "-C", layout);
                for (const name of names) {
                    const to = path.join(scratch, `files-${folders.size}`);
                    await unpack(layout, to, { name, digest: await digestIn(archive, name), only: names.length > 1 });
                    folders.set(name, path.join(to, inside));
                }
            },
            list: () => Promise.resolve([...folders.keys()]),
            look: async (name) => ({ release: await readFile(path.join(folders.get(name) ?? "", release), "utf8") }),
        };
    };
}

/** Nothing is kept. */
function fileStore(read: Reader | undefined): Open {
    return (scratch) => {
        const folders = new Map<string, string>();
        return {
            load: async (archive, names) => {
                const found = await read?.(archive, names, await mkdtemp(path.join(scratch, "load-")));
                for (const { name, folder } of found ?? []) folders.set(name, folder ?? "");
            },
            list: () => Promise.resolve([...folders.keys()]),
            look: async (name) => ({ release: await readFile(path.join(folders.get(name) ?? "", release), "utf8") }),
        };
    };
}

/** A manifest or an index. */
interface Document {
    readonly manifests?: readonly (Listed & { readonly platform?: { readonly architecture: string } })[];
    readonly config?: Listed;
    readonly layers?: readonly Listed[];
}
interface Listed {
    readonly digest: string;
}

/**
 * The diff ids of a manifest's layers, or of those of an index: all that they name is read to its end.
 *
 * @param only an architecture
 */
async function layersOf(digest: string, get: (digest: string) => Promise<Buffer>, only?: string): Promise<string[][]> {
    const read = async (each: string): Promise<Buffer> => {
        const bytes = await get(each);
        assert.equal(digestOf(bytes), each);
        return bytes;
    };
    const { manifests, config, layers = [] } = JSON.parse((await read(digest)).toString()) as Document;
    if (manifests) {
        const asked = manifests.filter(({ platform }) => only === undefined || platform?.architecture === only);
        return (await forEachOf(asked, (each) => layersOf(each.digest, get))).flat();
    }
    await read(config?.digest ?? "");
    return [await forEachOf(layers, async (each) => diffIdOf(await read(each.digest)))];
}

function diffIdOf(layer: Buffer): string {
    const magic = layer.toString("hex", 0, 4);
    if (magic.startsWith("1f8b")) return digestOf(gunzipSync(layer));
    return digestOf(magic === "28b52ffd" ? zstdDecompressSync(layer) : layer);
}

function reasonOf({ what, program, problem }: Cell) {
    return deltasReasons.find(
        ({ archives, readers, says }) =>
            problem !== undefined && archives.test(what) && readers.test(program) && says.test(problem),
    );
}

/** With the base: ok, or a reason; without it: refused, or incomplete. Undefined is what has no sentence. */
function outcomeOf(cell: Cell): "ok" | "refused" | "incomplete" | (typeof deltasReasons)[number] | undefined {
    const { hasBase, status, isListed, problem } = cell;
    if (hasBase) return problem === undefined ? "ok" : reasonOf(cell);
    if (problem === undefined) return undefined;
    return isListed ? "incomplete" : status !== 0 ? "refused" : undefined;
}

/** What matters of what a program has said, without what is another in each run. */
function lineOf(text: string): string {
    const lines = text.split("\n").map((line) => line.trim());
    const telling = /not found|no such (file|image)|missing|unpacking|not known/i;
    const line = lines.findLast((each) => telling.test(each)) ?? "";
    return line
        .replace(/^time=\S+ |level=\w+ /g, "")
        .replace(/127\.0\.0\.1:\d+/g, "HOST")
        .replace(/(sha256:[0-9a-f]{6})[0-9a-f]{58}/g, "$1…")
        .replace(/(?:\/[\w.-]+){3,}\/([\w.-]+)/g, (_, name: string) => `…/${name.slice(0, 12)}`)
        .replace(/"?extract-\S+/g, "…")
        .replaceAll("|", "\\|");
}

function page(cells: readonly Cell[], versions: Readers["versions"]): string {
    const list = <T>(values: readonly T[]): T[] => [...new Set(values)];
    const all = list(cells.map(({ program }) => program));
    const used = deltasReasons.filter((reason) => cells.some((cell) => outcomeOf(cell) === reason));
    const rowOf = (row: readonly unknown[]): string => `| ${row.join(" | ")} |`;
    const tableOf = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
        [head, head.map(() => "---"), ...rows].map(rowOf).join("\n");
    const textIn = (cell: Cell): string => {
        const outcome = outcomeOf(cell);
        if (outcome === undefined) return "**fails**";
        return typeof outcome === "string" ? outcome : `(${used.indexOf(outcome) + 1})`;
    };
    const withBase = cells.filter(({ hasBase }) => hasBase);
    const rows = list(withBase.map(({ what }) => what)).map((what) => [
        what,
        ...withBase.filter((cell) => cell.what === what).map(textIn),
    ]);
    const seen = all.map((program) => {
        const own = cells.filter((cell) => cell.program === program && !cell.hasBase);
        const example = own.find(({ what }) => what === plain) ?? assert.fail();
        const container = example.isListed ? lineOf(example.problem ?? "") : "";
        const statuses = list(own.map(({ status }) => status.toString())).join(", ");
        return [program, list(own.map(textIn)).join(", "), statuses, lineOf(example.says), container];
    });
    const isOk = (cell: Cell): boolean => outcomeOf(cell) === "ok";
    return `# Who takes deltas

Written by \`tests/exporter/readers/deltas.readers.deep.test.ts\` in \`.ci/deep\`: images, exported since an earlier release of theirs, in the hands of
other programs.

## With the base

The base is loaded first, then the delta, then the base's images are removed where the program can do that. **ok**: the image is there,
with its digest where the program keeps it, and every layer comes out of it again as in the registry: saved or read from the store, the
registry, and a container's files. ${withBase.length} cells, ${withBase.filter(isOk).length} ok; a number says why not.

${tableOf(["delta", ...all], rows)}

${used.map(({ why }, at) => `${at + 1}. ${why}`).join("\n")}

## Without the base

The delta is loaded where nothing is. **refused**: an error, and no image is listed. **incomplete**: an image is listed, and layers are missing. What is
said, of the next release, OCI's media types.

${tableOf(["program", "the image", "exit status", "the program says", "of a container, or a read, it says"], seen)}

## The programs

${Object.entries(versions)
    .map(([name, version]) => `- ${name}: ${version}`)
    .join("\n")}

- **of the folder**: of the delta unpacked by GNU tar. umoci and Apptainer keep nothing, so base and delta are unpacked into one folder, one
  after the other.
- **K3s** and **kind** are ctr with their options, as for [whole archives](readers.md).
- The repository is empty, or has the base. skopeo also takes layers from another repository of the registry that it has pushed them to.
`;
}
