import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";

import { anyImage, readManifest } from "../../cli/manifest";
import { setRecordOf } from "../support/readRecord";
import { type FakeRegistry, startRegistry } from "../exporter/support/fakeRegistry";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "../exporter/support/images";
import { readPage } from "../support/markdown";
import { runWithS3, type S3ContextOptions } from "./support/s3Context";

const uri = "s3://bucket/images/set.tar";

describe("a set, on the command line", () => {
    let s3: FakeS3;
    let registry: FakeRegistry;
    let folder: string;
    let names: string[];

    beforeEach(async () => {
        const repository = emptyRepository("app");
        const base = fileLayer("base", randomBytesOf(20_000, 1));
        for (const tag of ["1", "2"]) addImage(repository, { layers: [base, fileLayer(tag, Buffer.from(tag))], tag });
        [s3, registry] = await Promise.all([startS3(), startRegistry({ repository })]);
        names = ["1", "2"].map((tag) => `${registry.host}/app:${tag}`);
        folder = await mkdtemp(path.join(tmpdir(), "set-"));
    });
    afterEach(async () => {
        await Promise.all([s3.close(), registry.close(), rm(folder, { recursive: true })]);
    });

    async function cli(args: readonly string[], options: Partial<S3ContextOptions> = {}) {
        const result = await runWithS3({ s3, env: s3.env as Record<string, string>, ...options }, ...args);
        assert.equal(result.exitCode, 0, result.stderr + result.stdout);
        return result.stdout;
    }
    const json = async (...args: string[]) => JSON.parse(await cli([...args, "--json"])) as Record<string, unknown>;
    const recordOf = async (file: string) => setRecordOf(await readFile(`${file}.json`, "utf8"));

    it("is exported by run from arguments and from a file alike, and shown by verify", async () => {
        const file = path.join(folder, "set.tar");
        const stdout = await cli(["run", ...names, file]);
        assert.match(stdout, /^images +2, 22\.\d kB saved by what they share$/m);
        const { setDigest, savedBytes, set } = await recordOf(file);
        const images = path.join(folder, "images.txt");
        await writeFile(images, `${names[1]}\n${names[0]} linux/amd64\n${names[1]}\n`);
        const again = await json("run", "--from", images, file);
        assert.deepEqual([again["skipped"], again["setDigest"], again["imageCount"]], [true, setDigest, 2]);

        const shown = await cli(["verify", file]);
        const rows = set.map(({ imageName, imageDigest }) => `${imageName} +linux/amd64 +${imageDigest}\n`);
        assert.match(shown, new RegExp(`\nIMAGE +PLATFORM +DIGEST\n${rows.join("")}\nLAYER`));
        assert.match(shown, /^images +2, 22\.\d kB saved by what they share$/m);
        assert.doesNotMatch(shown, /^names/m);
        const verified = await json("verify", file);
        assert.deepEqual([verified["setDigest"], verified["savedBytes"]], [setDigest, savedBytes]);
        await rm(`${file}.json`);
        const unknown = await json("verify", file);
        assert.deepEqual([unknown["imageDigest"], unknown["names"]], [undefined, names]);
    });

    it("is fetched with get, loaded, and linked to", async () => {
        await cli(["run", ...names, uri]);
        const file = path.join(folder, "set.tar");
        const said = names.map((name) => `Loaded image: ${name}`);
        const stdout = await cli(["get", uri, file, "--load"], {
            runProcess: () => ({ exitCode: 0, stdout: `${said.join("\n")}\n`, stderr: "" }),
        });
        assert.match(stdout, new RegExp(`^images {2}2, .*^docker {2}${said.join("\n {8}")}\n`, "ms"));
        const { setDigest, savedBytes } = await recordOf(file);
        for (const command of ["get", "url"]) {
            const { imageCount, ...printed } = await json(command, uri, ...(command === "get" ? [file] : []));
            assert.deepEqual([imageCount, printed["setDigest"], printed["savedBytes"]], [2, setDigest, savedBytes]);
        }
    });

    it("takes what Docker Compose and manifests name", async () => {
        const page = await readPage("docs/requests.md");
        const { code } = page.blocks.find((block) => block.code.startsWith("docker compose")) ?? assert.fail();
        const manifests = path.join(folder, "manifests", "app");
        await mkdir(manifests, { recursive: true });
        const lines = [
            `- image: "${names[0]}" # the first`,
            `  image:   '${names[1]}'`,
            "# image: old",
            "imagePullPolicy: Always",
        ];
        await writeFile(path.join(manifests, "app.yaml"), lines.join("\n"));
        const script = `docker() { echo ${names[0]}; }\nnpx() { echo "$*"; cat; }\n${code}`;
        const { stdout } = await promisify(execFile)("bash", ["-euc", script], { cwd: folder });
        const [, compose = "", kubernetes = ""] = stdout.split(/^image-export start --from - .*\n/m);
        for (const [text, expected] of [
            [compose, names.slice(0, 1)],
            [kubernetes, names],
        ] as const) {
            const images = expected.map((imageUri) => ({ imageUri }));
            assert.deepEqual(readManifest("-", text, anyImage), images);
        }
    });

    it("is refused by run where nothing is named, or an image is none", async () => {
        const images = path.join(folder, "images.txt");
        await writeFile(images, `${names[0]}\nApp:1\n`);
        for (const [args, message] of [
            [["run", names[0] ?? ""], /Missing IMAGE: expected one or more/],
            [["run", "--from", images, uri], /images\.txt line 2 has the imageUri "App:1"/],
            [["run", names[0] ?? "", "App:1", uri], /InvalidInput: "App:1" is not an image reference/],
        ] as const) {
            const { exitCode, stderr } = await runWithS3({ s3 }, ...args);
            assert.equal(exitCode, 2);
            assert.match(stderr, message);
        }
        assert.equal(registry.requests.length, 0);
    });
});
