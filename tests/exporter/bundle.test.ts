import * as assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import { buildExporterBundle } from "../../exporter/bundle";
import { setRequestKey } from "../../contract/keys";
import { setDigest } from "../../contract/set";
import { parseProgress } from "../../contract/progress";
import { engineVersion } from "../../exporter/exportImage";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import type { FaultRule } from "./support/faults";
import { addImage, digestOf, emptyRepository, fileLayer, randomBytesOf } from "./support/images";

const mebibyte = 1024 ** 2;

interface Outcome {
    code: number;
    stdout: string;
    stderr: string;
}

const layer = fileLayer("a", randomBytesOf(12 * mebibyte, 1));

describe("the bundle", () => {
    let text: string;
    let directory: string;
    let program: string;
    let registry: FakeRegistry;
    let s3: FakeS3;

    before(async () => {
        text = await buildExporterBundle();
        directory = await mkdtemp(path.join(tmpdir(), "bundle-"));
        program = path.join(directory, "exporter.mjs");
        await writeFile(program, text);
        const repository = emptyRepository("app");
        addImage(repository, { layers: [layer], tag: "1" });
        registry = await startRegistry({ repository });
        s3 = await startS3();
    });
    after(async () => {
        await Promise.all([registry.close(), s3.close(), rm(directory, { recursive: true })]);
    });

    async function run(...args: string[]): Promise<Outcome> {
        const env = { ...process.env, ...s3.env };
        try {
            const output = await promisify(execFile)(process.execPath, [program, ...args], { env });
            return { code: 0, ...output };
        } catch (error) {
            return error as Outcome;
        }
    }

    const store = (requested: string, body: unknown) =>
        s3.objects.set(`bucket/${setRequestKey(requested)}`, { body: Buffer.from(JSON.stringify(body)), headers: {} });

    it("is the same every time it is built", async () => {
        const load = createRequire(__filename);
        Reflect.deleteProperty(load.cache, load.resolve("../../exporter/bundle")); // a process bundles once
        const again = load("../../exporter/bundle") as { buildExporterBundle: typeof buildExporterBundle };
        assert.equal(await again.buildExporterBundle(), text);
    });
    it("carries no path of the machine that built it", () => {
        assert.ok(!text.includes(path.resolve(__dirname, "../..")));
    });
    it("has the package's version", async () => {
        const json = await readFile(path.resolve(__dirname, "../../package.json"), "utf8");
        assert.equal((JSON.parse(json) as { version: string }).version, engineVersion);
    });

    it("exports, and prints the result", async () => {
        const { code, stdout, stderr } = await run(
            `--image=${registry.host}/app:1`,
            "s3://bucket/app.tar",
            "--progress",
        );
        assert.equal(code, 0);
        const { skipped, sha256 } = JSON.parse(stdout) as { skipped: boolean; sha256: string };
        assert.deepEqual([skipped, sha256.length], [false, 64]);
        const lines = stderr.trim().split("\n").map(parseProgress);
        const last = lines.at(-1) ?? assert.fail(stderr);
        assert.deepEqual([last.writtenBytes, lines.includes(undefined)], [last.totalBytes, false]);
        assert.ok(s3.objects.has("bucket/app.tar"));
    });

    it("exports a set whose images are in the bucket, if they are those of the digest", async () => {
        const imageName = `${registry.host}/app:1`;
        const digest = registry.options.repository.tags.get("1") ?? assert.fail();
        const requested = setDigest([{ imageName, platform: "linux/amd64", digest }]);
        const images = [{ imageUri: `${imageName}@${digest}`, platform: "linux/amd64" }];
        store(requested, { images });
        const { code, stdout } = await run(`--set=${requested}`, "s3://bucket/set.tar");
        assert.equal(code, 0, stdout);
        assert.deepEqual((JSON.parse(stdout) as { setDigest: string }).setDigest, requested);
        // What somebody else has put there.
        for (const body of [
            { images: [{ ...images[0], platform: "all" }] },
            { images: [{ imageUri: imageName, platform: "linux/amd64" }] },
            { images: [...images, ...images] },
            { images: [imageName] },
            { images: {} },
            [],
        ]) {
            store(requested, body);
            const refused = await run(`--set=${requested}`, "s3://bucket/set.tar", "--force");
            const { error, cause } = JSON.parse(refused.stdout) as { error: string; cause: string };
            assert.deepEqual([refused.code, error], [2, "InvalidInput"], cause);
            assert.match(cause, /^reading the images of the set, s3:\/\/bucket\/\.sets\/[0-9a-f]{64}\.json: it /);
        }
    });

    const otherSet = `sha256:${"1".repeat(64)}`;
    const failures: [number, string, string[]][] = [
        [2, "InvalidInput", []],
        [2, "InvalidInput", ["--image=one", "two", "three"]],
        [2, "InvalidInput", ["--image=app", "s3://bucket/x", "--unknown"]],
        [2, "InvalidInput", ["--image=app", `--set=${otherSet}`, "s3://bucket/x"]],
        [2, "InvalidInput", ["--image=HOST/app:2", "s3://nowhere"]],
        [2, "InvalidInput", [`--set=${otherSet}`, "/tmp/x.tar"]],
        [2, "InvalidInput", ["--set=../x", "s3://bucket/x"]],
        [2, "InvalidInput", [`--set=${otherSet}`, "s3://bucket/x"]],
        [3, "ImageNotFound", ["--image=HOST/app:2", "s3://bucket/x"]],
    ];
    for (const [expected, name, args] of failures) {
        it(`ends with ${expected} and ${name} for ${args.join(" ") || "nothing"}`, async () => {
            const { code, stdout, stderr } = await run(...args.map((arg) => arg.replace("HOST", registry.host)));
            assert.equal(code, expected);
            assert.equal((JSON.parse(stdout) as { error: string }).error, name);
            assert.match(stderr, new RegExp(`^${name}: `));
        });
    }

    /** Starts an export, and sends it a signal once a request that never gets an answer has come. */
    async function stopAtStall(signal: "SIGTERM" | "SIGINT", args: string[], on: (rule: FaultRule) => void) {
        const child = await new Promise<ChildProcess>((resolve) => {
            const env = { ...process.env, ...s3.env };
            const started = spawn(process.execPath, [program, ...args], { env, stdio: "ignore" });
            on(({ url }) => {
                if (!url.includes("partNumber=2") && !url.endsWith(digestOf(layer.bytes))) return undefined;
                resolve(started);
                return { kind: "stall", afterBytes: 0 };
            });
        });
        child.kill(signal);
        const code = await new Promise((resolve) => child.once("exit", resolve));
        on(() => undefined);
        return code;
    }

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
        it(`takes everything back on ${signal}`, async () => {
            s3.objects.clear();
            const args = [`--image=${registry.host}/app:1`, "s3://bucket/app.tar"];
            const code = await stopAtStall(signal, args, (rule) => (s3.fault = rule));
            assert.deepEqual([code, s3.uploads.size, s3.objects.size], [1, 0, 0]);
            assert.equal(s3.requests.at(-1)?.method, "DELETE");
        });
    }

    it("leaves no partial file behind when stopped", async () => {
        const args = [`--image=${registry.host}/app:1`, path.join(directory, "out.tar")];
        const code = await stopAtStall("SIGTERM", args, (rule) => (registry.options.fault = rule));
        assert.equal(code, 1);
        assert.deepEqual(await readdir(directory), ["exporter.mjs"]);
    });
});
