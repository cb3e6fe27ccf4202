/** Images of every builder in the hands of every program that reads archives; what comes of it is docs/results/readers.md. */
import * as assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { isDeepStrictEqual } from "node:util";

import { recordKey } from "../../../contract/keys";
import { exportImage, type ExportOptions } from "../../../exporter/exportImage";
import { root } from "../../../lab/stackFiles";
import { exportsOf, type ImageExport } from "../../../contract/record";
import type { RequestedImage } from "../../../contract/request";
import { anyRecordOf } from "../../support/readRecord";
import { run } from "../support/tools";
import { hello, prepareBuilders } from "./builders";
import { type Docker, type ReadImage, type Reader, type Readers, startReaders } from "./readers";
import { reasons } from "./reasons";

/** An archive, with the images that readers should find in it. */
interface Archive {
    /** The image's builder, or what the images of a set are. */
    readonly builder: string;
    /** What wrote it. */
    readonly writer: string;
    readonly file: string;
    readonly images: readonly Omit<ReadImage, "folder">[];
    /** Of engine `stream`. */
    readonly request?: Pick<ExportOptions, "image" | "platform">;
    /** The file with the same images and nothing that belongs to them. */
    readonly without?: string;
}

/** What has come of an archive with a reader: what it finds, and what is wrong, nothing where all is well. */
type Cell = Archive & {
    readonly reader: string;
    readonly found?: readonly ReadImage[];
    readonly problem: string | undefined;
};

/** Images that engine `stream` exports with all their platforms too, or can export in no other way. */
const ofSeveral = /index|two platforms|an artifact/;
/** Images that are saved by Docker as well. */
const saved = ["Docker's classic builder", "BuildKit, of two platforms, with attestations"];

/** Images that are exported with what belongs to them too. */
const referred = [
    "crane append, OCI",
    "BuildKit, of two platforms, with attestations",
    "a set with an image of two platforms",
];

/** Images of sets, each with its builder and the platform that it is exported for. */
const members = {
    "release/web:1": ["buildah, OCI", "linux/amd64"],
    "release/web:2": ["crane append, OCI", "linux/amd64"],
    "release/api:1": ["crane mutate, with annotations", "linux/amd64"],
    "release/docker:1": ["buildah, Docker's format", "linux/amd64"],
    "release/back/end:3": ["BuildKit, of two platforms, with attestations", "all"],
} as const;
/** Sets, by what their images are. */
const sets: Readonly<Record<string, readonly (keyof typeof members)[]>> = {
    "a set of two tags of a repository": ["release/web:1", "release/web:2"],
    "a set of one tag of two repositories": ["release/web:1", "release/api:1"],
    "a set with an image of Docker's format": ["release/web:1", "release/docker:1"],
    "a set with an image of two platforms": ["release/web:2", "release/api:1", "release/back/end:3"],
};

describe("images of every builder, in archives", function () {
    this.timeout(0);
    let directory: string;
    let programs: Readers;
    const archives: Archive[] = [];
    const cells: Cell[] = [];

    before(async () => {
        directory = await mkdtemp(path.join(tmpdir(), "matrix-"));
        programs = await startReaders(directory);
    });
    after(async () => {
        await programs.stop();
        await rm(directory, { recursive: true, force: true });
    });

    it("are exported", async () => {
        const { dockers, registry } = programs;
        const place = path.join(directory, "built");
        await mkdir(place);
        const builders = Object.entries(await prepareBuilders(dockers, place, registry));
        for (const [at, [builder, build]] of builders.entries()) {
            const name = `${registry}/matrix/app:image-${at}`;
            await build(name);
            const fileOf = (end: string): string => path.join(directory, `${at}-${end}.tar`);
            if (!builder.endsWith("an artifact")) {
                archives.push(await stream(builder, name, "linux/amd64", fileOf("one")));
            }
            if (ofSeveral.test(builder)) archives.push(await stream(builder, name, "all", fileOf("all")));
            if (!saved.includes(builder)) continue;
            const configDigest = archives.at(-1)?.images[0]?.configDigest;
            for (const [key, docker] of Object.entries(dockers)) {
                const reader = { own: "Docker, the machine's own", graphDriver: "Docker, graph driver" }[key];
                const digest = key === "containerdStore" ? (await run("crane", "digest", name)).trim() : undefined;
                const image = { name, digest, configDigest };
                const writer = `\`docker save\`, ${reader ?? "Docker, containerd store"}`;
                archives.push({ builder, writer, file: await save(docker, name, fileOf(key)), images: [image] });
            }
        }
        for (const docker of Object.values(dockers)) await docker.run("system", "prune", "--all", "--force");
        for (const [at, [what, tags]] of Object.entries(sets).entries()) {
            const images = tags.map((tag) => ({ imageUri: `${registry}/${tag}`, platform: members[tag][1] }));
            for (const [index, { imageUri }] of images.entries()) {
                const from = builders.findIndex(([builder]) => builder === members[tags[index] ?? "release/web:1"][0]);
                await run("crane", "copy", `${registry}/matrix/app:image-${from}`, imageUri);
            }
            archives.push(await stream(what, images, undefined, path.join(directory, `set-${at}.tar`)));
        }
        const streamed = archives.filter(({ builder, request }) => request && referred.includes(builder));
        const names = new Set(streamed.flatMap(({ images }) => images.map(({ name }) => name)));
        for (const name of names) await attach(name, place);
        for (const [at, { builder, request, file }] of streamed.entries()) {
            const { image = "", platform } = request ?? {};
            const same = path.join(directory, `referrers-${at}.tar`);
            const archive = await stream(`${builder}, with referrers`, image, platform, same, true);
            archives.push({ ...archive, without: file });
        }
    });

    it("are read by every program, or there is a sentence why not", async () => {
        for (const archive of archives) {
            for (const [reader, read] of Object.entries(programs.readers)) {
                const scratch = await mkdtemp(path.join(directory, "scratch-"));
                const outcome = await outcomeOf(archive, read, scratch);
                const same = cells.find((cell) => cell.file === archive.without && cell.reader === reader);
                const [found, expected] = [outcome, same ?? outcome].map((each) => withoutPlaces(each.found));
                const isOther = !isDeepStrictEqual(found, expected);
                const problem =
                    outcome.problem ?? (isOther ? `finds ${String(found)}, not ${String(expected)}` : undefined);
                cells.push({ ...archive, ...outcome, reader, problem });
                await rm(scratch, { recursive: true, force: true });
            }
        }
        const open = cells.filter((cell) => cell.problem !== undefined && reasonOf(cell) === undefined);
        assert.deepEqual(
            open.map(({ builder, writer, reader, problem }) => `${builder}; ${writer}; ${reader}: ${problem ?? ""}`),
            [],
        );
    });

    after(async () => {
        if (cells.length > 0) {
            await writeFile(path.join(root, "docs/results/readers.md"), page(cells, programs.versions));
        }
    });
});

async function stream(
    builder: string,
    image: string | readonly RequestedImage[],
    platform: string | undefined,
    file: string,
    referrers = false,
): Promise<Archive> {
    const { referrerCount } = await exportImage({ image, destination: file, platform, referrers });
    assert.equal(Number(referrerCount) > 0, referrers);
    const exported = exportsOf(anyRecordOf(await readFile(recordKey(file), "utf8")));
    const writer = `engine \`stream\`${platform === "all" ? ", `all`" : ""}`;
    return { builder, writer, file, images: exported.map(imageIn), request: { image, platform } };
}

/** Lets something belong to an image: what has it for its subject, and under cosign's tag what looks like an image, as cosign's do. */
async function attach(name: string, directory: string): Promise<void> {
    const digest = (await run("crane", "digest", name)).trim();
    const repository = name.slice(0, name.lastIndexOf(":"));
    const attached = ["--artifact-type", "application/spdx+json", `${repository}@${digest}`, "layer.tar.gz"];
    await run("env", `--chdir=${directory}`, "oras", "attach", "--plain-http", ...attached);
    const signature = `${repository}:${digest.replace(":", "-")}.sig`;
    const parts = ["--oci-empty-base", "--new_layer", path.join(directory, "layer.tar.gz")];
    await run("crane", "append", ...parts, "--new_tag", signature);
}

function imageIn({ images, imageName: name, imageDigest: digest }: ImageExport): Archive["images"][number] {
    const image = images.find((each) => each.platform === "linux/amd64") ?? images[0];
    return { name, digest, configDigest: image?.configDigest };
}

/** Pulls and saves, as engine `docker` does. */
async function save(docker: Docker, name: string, file: string): Promise<string> {
    await docker.run("pull", "--quiet", "--platform", "linux/amd64", name);
    await docker.run("save", "--output", file, name);
    await docker.run("system", "prune", "--all", "--force");
    return file;
}

async function outcomeOf(
    { file, images }: Archive,
    read: Reader,
    scratch: string,
): Promise<Pick<Cell, "found" | "problem">> {
    try {
        const names = images.map(({ name }) => name);
        const found = await read(file, names, scratch);
        for (const image of images) {
            const problem = await differenceOf(image, found);
            if (problem !== undefined) return { found, problem };
        }
        return { found, problem: undefined };
    } catch (error) {
        const { stderr, message } = error as { stderr?: string; message: string };
        return { problem: (stderr ?? message).trim().slice(0, 2000) };
    }
}

/** What a program finds, be it in what order and be the files where they may. */
function withoutPlaces(found: Cell["found"]): string[] | undefined {
    return found?.map(({ name, digest, configDigest }) => [name, digest, configDigest].join(" ")).sort();
}

/** What is wrong with an image as a program has it. */
async function differenceOf(image: Archive["images"][number], found: readonly ReadImage[]) {
    const same = found.find(({ name }) => name === image.name);
    if (same === undefined) return `finds ${JSON.stringify(found)}`;
    for (const what of ["digest", "configDigest"] as const) {
        if (same[what] === undefined || image[what] === undefined) continue;
        if (same[what] !== image[what]) return `has ${what} ${same[what]}, not ${image[what]}`;
    }
    if (same.folder === undefined) return undefined;
    const content = await readFile(path.join(same.folder, hello.name), "utf8");
    return content === hello.content ? undefined : `unpacks ${JSON.stringify(content)}`;
}

function reasonOf({ builder, writer, reader, problem }: Cell) {
    return reasons.find(
        (reason) =>
            problem !== undefined &&
            reason.archives.test(`${builder}; ${writer}`) &&
            reason.readers.test(reader) &&
            reason.says.test(problem),
    );
}

function page(cells: readonly Cell[], versions: Readers["versions"]): string {
    const readers = Object.keys(versions);
    const used = reasons.filter((reason) => cells.some((cell) => reasonOf(cell) === reason));
    const textOf = (cell: Cell): string => {
        const at = used.findIndex((reason) => reason === reasonOf(cell));
        return cell.problem === undefined ? "ok" : at < 0 ? "**fails**" : `(${at + 1})`;
    };
    const rows = cells
        .filter(({ reader }) => reader === readers[0])
        .map(({ builder, writer, file }) => {
            const row = cells.filter((cell) => cell.file === file);
            return [builder, writer, ...row.map(textOf)];
        });
    const head = ["image", "archive", ...readers];
    const table = [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
    const count = (isOk: boolean): number => cells.filter(({ problem }) => (problem === undefined) === isOk).length;
    return `# Who reads the archives

Written by \`tests/exporter/readers/matrix.readers.deep.test.ts\` in \`.ci/deep\`: images of every builder, pushed to a registry, exported alone and in sets,
and read. **ok**: the program has the image under its name, with the digest of the registry and that of the configuration where it
keeps them, or unpacks the image's files; of an archive with referrers it has just what it has of the same without. ${cells.length} cells, ${count(true)} ok; a number says why not.

${table.join("\n")}

## Why not

${used.map(({ why }, at) => `${at + 1}. ${why}`).join("\n")}

## The programs

${readers.map((reader) => `- ${reader}: ${versions[reader] ?? ""}`).join("\n")}

- **crane push** takes the file, **crane push, of the folder** what GNU tar has unpacked of it; umoci likewise.
- **K3s** is a download of GitHub's and **kind** needs an image of Docker Hub's, so neither was run. K3s imports with containerd's client, for
  all platforms (k3s-io/k3s, pkg/agent/containerd); kind runs \`ctr images import --all-platforms --digests\` in its node
  (kubernetes-sigs/kind, pkg/cluster/nodeutils). The two columns are ctr with these options.
- **kaniko** cannot be built from the Go module proxy: its manifests are written by hand.
`;
}
