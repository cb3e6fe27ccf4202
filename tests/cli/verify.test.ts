import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { runCommandLine } from "../../cli/main";
import type { ImageRecord } from "../../contract/record";
import { dockerSave } from "../exporter/support/dockerSave";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { runWithS3, s3Context } from "./support/s3Context";
import { storeArchive } from "./support/storedArchive";
import { layersOf } from "../support/readRecord";

const uri = "s3://bucket/images/app.tar";

describe("verify", () => {
    let s3: FakeS3;
    let folder: string;
    let file: string;
    let bytes: Buffer;
    let record: ImageRecord;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        ({ bytes, record } = await storeArchive(s3, "images/app.tar", 20_000));
        folder = await mkdtemp(path.join(tmpdir(), "verify-"));
        file = path.join(folder, "app.tar");
        await writeFile(file, bytes);
        await writeFile(`${file}.json`, JSON.stringify(record));
    });
    afterEach(async () => {
        await Promise.all([s3.close(), rm(folder, { recursive: true })]);
    });

    const damage = async (at: number) => {
        bytes[at] = (bytes[at] ?? 0) ^ 4;
        await writeFile(file, bytes);
    };

    it("tells what a good file holds, and asks nobody", async () => {
        s3.requests.length = 0;
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "verify", file);
        assert.equal(exitCode, 0, stderr);
        const [layer] = layersOf(record);
        assert.match(stdout, /^status {5}good$/m);
        assert.match(stdout, new RegExp(`^digest {5}${record.imageDigest}$`, "m"));
        assert.match(stdout, new RegExp(`^names {6}${record.imageName}$`, "m"));
        assert.match(stdout, /^platforms {2}linux\/amd64$/m);
        assert.match(stdout, new RegExp(`^${layer?.digest} +22\\.0 kB +${layer?.offset}$`, "m"));
        assert.doesNotMatch(stdout, /wrong/);
        assert.match(stdout, /^only the record says imageUri, time, executionId, buildId$/m);
        assert.match(stdout, /^not checked what is in the layers/m);
        assert.equal(s3.requests.length, 0);
    });

    it("compares with what the caller trusts, and unpacks layers", async () => {
        const trusted = ["--digest", record.imageDigest, "--image", record.imageName, "--deep"];
        const good = await runWithS3({ s3 }, "verify", file, ...trusted);
        assert.equal(good.exitCode, 0, good.stdout);
        assert.doesNotMatch(good.stdout, /not checked/);
        const other = ["--digest", `sha256:${"1".repeat(64)}`, "--image", "app:2"];
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file, ...other);
        assert.equal(exitCode, 1);
        assert.match(stdout, /^wrong the image's digest is sha256:.*, expected sha256:1+$/m);
        assert.match(stdout, /^wrong the image's name is .*app:1, expected app:2$/m);
        assert.match((await runWithS3({ s3 }, "verify", file, "--digest", "md5:1")).stderr, /--digest is "md5:1"/);
    });

    it("names the damaged blob and its place, and fails", async () => {
        const [layer = assert.fail()] = layersOf(record);
        await damage(layer.offset + 100);
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file);
        assert.equal(exitCode, 1);
        assert.match(stdout, /^status {5}damaged, or not what was exported$/m);
        const place = `bytes ${layer.offset} to ${layer.offset + layer.sizeBytes - 1}`;
        assert.match(
            stdout,
            new RegExp(`^wrong blob ${layer.digest} has the content of sha256:.* \\(${place}\\)$`, "m"),
        );
    });

    it("names a damaged byte of padding", async () => {
        const at = bytes.length - 1030;
        assert.equal(bytes[at], 0);
        await damage(at);
        const { stdout } = await runWithS3({ s3 }, "verify", file);
        assert.match(stdout, new RegExp(`^wrong the padding after .* is damaged: byte ${at} is not zero$`, "m"));
    });

    it("says without a record what could not be checked", async () => {
        await rm(`${file}.json`);
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file);
        assert.equal(exitCode, 0);
        assert.match(stdout, /^status {5}good as far as it could be checked: there is no record$/m);
        assert.match(
            stdout,
            /^not checked whether it is what was exported\n\nnot checked whether these are as they were: oci-layout, index\.json, manifest\.json$/m,
        );
    });

    for (const layout of ["folders", "blobs"] as const) {
        it(`verifies what docker save wrote, with ${layout}, and names a damaged layer`, async () => {
            await rm(`${file}.json`);
            bytes = await dockerSave(layout);
            await writeFile(file, bytes);
            const good = await runWithS3({ s3 }, "verify", file, "--json");
            assert.equal(good.exitCode, 0, good.stdout);
            const { names, platforms, layers, unchecked } = JSON.parse(good.stdout) as {
                names: string[];
                platforms: string[];
                layers: { sizeBytes: number; offset: number }[];
                unchecked: string[];
            };
            assert.deepEqual([names, platforms, unchecked.length], [["app:1"], ["linux/arm64/v8"], 3]);
            const [layer = assert.fail()] = layers;
            await damage(layer.offset + layer.sizeBytes - 1);
            const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file);
            assert.equal(exitCode, 1);
            assert.match(
                stdout,
                new RegExp(`\\(bytes ${layer.offset} to ${layer.offset + layer.sizeBytes - 1}\\)$`, "m"),
            );
        });
    }

    it("prints JSON for scripts", async () => {
        await damage(bytes.length - 1);
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "verify", file, "--json");
        const found = JSON.parse(stdout) as { good: boolean; problems: string[]; record: unknown };
        assert.deepEqual([exitCode, found.good], [1, false]);
        assert.deepEqual(found.record, record);
        assert.equal(found.problems[0], `the end of the archive is damaged: byte ${bytes.length - 1} is not zero`);
        assert.equal(stderr, "Verifying 30.2 kB\n");
    });

    it("reads an archive in S3 and its record, over connections that break", async () => {
        s3.fault = ({ count }) => (count % 2 === 0 ? { kind: "reset", afterBytes: 5000 } : undefined);
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "verify", uri);
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, /^status {5}good$/m);
    });

    it("sees that archive and record in S3 do not belong together", async () => {
        const { headers } = s3.objects.get("bucket/images/app.tar") ?? assert.fail();
        headers["x-amz-version-id"] = "newer";
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", uri);
        assert.equal(exitCode, 1);
        assert.match(stdout, /^wrong the archive is version newer, the record describes version version-\d+$/m);
    });

    it("verifies an object without a record", async () => {
        s3.objects.delete("bucket/images/app.tar.json");
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", uri);
        assert.equal(exitCode, 0);
        assert.match(stdout, /there is no record/);
    });

    it("refuses what cannot be read", async () => {
        const none = await runWithS3({ s3 }, "verify", path.join(folder, "none.tar"));
        assert.equal(none.exitCode, 1);
        assert.match(none.stderr, /^Error ENOENT: no such .*none\.tar'\n +next There is no such file/);
        assert.match(
            (await runWithS3({ s3 }, "verify", folder)).stderr,
            /EISDIR.*\n +next There is a folder of this name/,
        );
        assert.match((await runWithS3({ s3 }, "verify", "s3://bucket/none.tar")).stderr, /NoSuchKey: There is nothing/);
        await writeFile(`${file}.json`, "{}");
        assert.match(
            (await runWithS3({ s3 }, "verify", file)).stderr,
            /export record .* has the schemaVersion undefined/,
        );
    });

    it("finds that something else than an archive is none", async () => {
        await rm(`${file}.json`);
        await writeFile(file, await readFile(__filename));
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file);
        assert.equal(exitCode, 1);
        assert.match(stdout, /^wrong the header at byte 0 \(0 to 511\) is damaged: not a tar header/m);
    });

    it("stops at Ctrl-C", async () => {
        const { context, interrupt, written } = s3Context({ s3 });
        s3.gate = ({ range }) => {
            if (range !== undefined) interrupt();
            return Promise.resolve();
        };
        assert.equal(await runCommandLine(["verify", uri], context), 130);
        assert.equal(written.stdout, "");
    });
});
