import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";

import { runCommandLine } from "../../cli/main";
import { type FakeRegistry, startRegistry } from "../exporter/support/fakeRegistry";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "../exporter/support/images";
import { runWithS3, s3Context } from "./support/s3Context";

describe("run", () => {
    let s3: FakeS3;
    let registry: FakeRegistry;
    let folder: string;
    let file: string;
    let image: string;

    beforeEach(async () => {
        s3 = await startS3();
        const repository = emptyRepository("app");
        addImage(repository, { layers: [fileLayer("f", randomBytesOf(20_000, 1))], tag: "1" });
        registry = await startRegistry({ repository });
        image = `${registry.host}/app:1`;
        folder = await mkdtemp(path.join(tmpdir(), "run-"));
        file = path.join(folder, "app.tar");
    });
    afterEach(async () => {
        await Promise.all([s3.close(), registry.close(), rm(folder, { recursive: true })]);
    });

    it("exports to a file, tells how far it is, and skips what is there", async () => {
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "run", image, file);
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, /^status {4}exported$/m);
        assert.match(stdout, new RegExp(`^archive {3}${file}$`, "m"));
        assert.equal(stderr, "Exporting 30.2 kB\n");
        assert.equal((await runWithS3({ s3 }, "verify", file)).exitCode, 0);
        const again = await runWithS3({ s3 }, "run", image, file);
        assert.match(again.stdout, /^status {4}already exported$/m);
        assert.match((await runWithS3({ s3 }, "run", image, file, "--force")).stdout, /^status {4}exported$/m);
    });

    it("exports to S3, with the settings of its environment, and prints JSON", async () => {
        const env = s3.env as Record<string, string>;
        const options = ["--platform", "linux/amd64", "--json"];
        const { exitCode, stdout } = await runWithS3({ s3, env }, "run", image, "s3://bucket/a.tar", ...options);
        assert.equal(exitCode, 0);
        const result = JSON.parse(stdout) as Record<string, unknown>;
        assert.deepEqual([result["artifactKey"], result["engine"], result["skipped"]], ["a.tar", "stream", false]);
        assert.ok(s3.objects.has("bucket/a.tar") && s3.objects.has("bucket/a.tar.json"));
    });

    it("works from the bundle that people start, with its hashing thread", async () => {
        const launcher = path.resolve(__dirname, "../../cli/launch.js");
        const { stdout } = await promisify(execFile)(process.execPath, [launcher, "run", image, file, "--json"]);
        assert.equal((JSON.parse(stdout) as { artifactKey: string }).artifactKey, file);
        assert.ok((await readFile(file)).length > 20_000);
    });

    it("leaves nothing after Ctrl-C, and says so", async () => {
        const { context, written, interrupt } = s3Context({ s3 });
        registry.options.fault = ({ url }) => {
            if (url.includes("/blobs/")) interrupt();
            return undefined;
        };
        assert.equal(await runCommandLine(["run", image, file], context), 130);
        assert.ok(written.stderr.endsWith(`Nothing was left at ${file}.\n`));
        assert.deepEqual(await readdir(folder), []);
    });

    const failures: [string, () => string[], number, RegExp][] = [
        [
            "an image that is not there",
            () => [`${registry.host}/app:2`, file],
            1,
            /^Error ImageNotFound: .*Check the name/m,
        ],
        ["a reference that is none", () => ["App:1", file], 2, /^Error InvalidInput: /m],
        [
            "a platform that is none",
            () => [image, file, "--platform", "amd64"],
            2,
            /InvalidInput: "amd64" is not a platform/,
        ],
        ["one argument", () => [image], 2, /Missing IMAGE: expected/],
    ];
    for (const [what, args, code, message] of failures) {
        it(`refuses ${what}`, async () => {
            const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "run", ...args());
            assert.deepEqual([exitCode, stdout], [code, ""]);
            assert.match(stderr, message);
        });
    }

    it("says how to log in where the registry wants a login", async () => {
        registry.options.login = "basic";
        const env = { DOCKER_CONFIG: folder };
        const { exitCode, stderr } = await runWithS3({ s3, env }, "run", image, file);
        assert.equal(exitCode, 1);
        assert.match(stderr, /^Error AccessDenied: .*\n +next Log in/m);
    });
});
