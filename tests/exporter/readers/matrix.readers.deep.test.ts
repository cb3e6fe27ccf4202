/** Images of every builder in the hands of every program that reads archives; what comes of it is docs/results/readers.md. */
import * as assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { recordKey } from "../../../contract/keys";
import { exportImage } from "../../../exporter/exportImage";
import { root } from "../../../lab/stackFiles";
import { recordOf } from "../../support/readRecord";
import { run } from "../support/tools";
import { hello, prepareBuilders } from "./builders";
import { type Docker, type ReadImage, type Reader, type Readers, startReaders } from "./readers";
import { reasons } from "./reasons";

/** An archive, with the image that readers should find in it. */
interface Archive {
    /** The image's builder. */
    readonly builder: string;
    /** What wrote it. */
    readonly writer: string;
    readonly file: string;
    readonly image: Omit<ReadImage, "folder">;
}

/** What has come of an archive with a reader: what is wrong, nothing where all is well. */
type Cell = Archive & { readonly reader: string; readonly problem: string | undefined };

/** Images that engine `stream` exports with all their platforms too, or can export in no other way. */
const ofSeveral = /index|two platforms|an artifact/;
/** Images that are saved by Docker as well. */
const saved = ["Docker's classic builder", "BuildKit, of two platforms, with attestations"];

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
            const configDigest = archives.at(-1)?.image.configDigest;
            for (const [key, docker] of Object.entries(dockers)) {
                const reader = { own: "Docker, the machine's own", graphDriver: "Docker, graph driver" }[key];
                const digest = key === "containerdStore" ? (await run("crane", "digest", name)).trim() : undefined;
                const image = { name, digest, configDigest };
                const writer = `\`docker save\`, ${reader ?? "Docker, containerd store"}`;
                archives.push({ builder, writer, file: await save(docker, name, fileOf(key)), image });
            }
        }
    });

    it("are read by every program, or there is a sentence why not", async () => {
        for (const archive of archives) {
            for (const [reader, read] of Object.entries(programs.readers)) {
                const scratch = await mkdtemp(path.join(directory, "scratch-"));
                cells.push({ ...archive, reader, problem: await problemOf(archive, read, scratch) });
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

async function stream(builder: string, name: string, platform: string, file: string): Promise<Archive> {
    const { imageDigest } = await exportImage({ image: name, destination: file, platform });
    const { images, imageName } = recordOf(await readFile(recordKey(file), "utf8"));
    const image = images.find((each) => each.platform === "linux/amd64") ?? images[0];
    const writer = `engine \`stream\`${platform === "all" ? ", `all`" : ""}`;
    return {
        builder,
        writer,
        file,
        image: { name: imageName, digest: imageDigest, configDigest: image?.configDigest },
    };
}

/** Pulls and saves, as engine `docker` does. */
async function save(docker: Docker, name: string, file: string): Promise<string> {
    await docker.run("pull", "--quiet", "--platform", "linux/amd64", name);
    await docker.run("save", "--output", file, name);
    await docker.run("system", "prune", "--all", "--force");
    return file;
}

async function problemOf({ file, image }: Archive, read: Reader, scratch: string): Promise<string | undefined> {
    try {
        const found = await read(file, [image.name], scratch);
        const same = found.find(({ name }) => name === image.name);
        if (same === undefined) return `finds ${JSON.stringify(found)}`;
        for (const what of ["digest", "configDigest"] as const) {
            if (same[what] === undefined || image[what] === undefined) continue;
            if (same[what] !== image[what]) return `has ${what} ${same[what]}, not ${image[what]}`;
        }
        if (same.folder === undefined) return undefined;
        const content = await readFile(path.join(same.folder, hello.name), "utf8");
        return content === hello.content ? undefined : `unpacks ${JSON.stringify(content)}`;
    } catch (error) {
        const { stderr, message } = error as { stderr?: string; message: string };
        return (stderr ?? message).trim().slice(0, 2000);
    }
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

Written by \`tests/exporter/readers/matrix.readers.deep.test.ts\` in \`.ci/deep\`: images of every builder, pushed to a registry, exported,
and read. **ok**: the program has the image under its name, with the digest of the registry and that of the configuration where it
keeps them, or unpacks the image's files. ${cells.length} cells, ${count(true)} ok; a number says why not.

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
