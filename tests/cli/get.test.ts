import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { runCommandLine } from "../../cli/main";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { runWithS3, s3Context } from "./support/s3Context";
import { outputs } from "./support/outputs";
import { storeArchive } from "./support/storedArchive";

const key = "images/app.tar";
const uri = `s3://bucket/${key}`;

describe("get", () => {
    let s3: FakeS3;
    let folder: string;
    let file: string;
    let bytes: Buffer;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        ({ bytes } = await storeArchive(s3, key, 20_000));
        folder = await mkdtemp(path.join(tmpdir(), "get-"));
        file = path.join(folder, "app.tar");
    });
    afterEach(async () => {
        await Promise.all([s3.close(), rm(folder, { recursive: true })]);
    });

    it("downloads, verifies, and tells what it has downloaded", async () => {
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "get", uri, file);
        assert.equal(exitCode, 0, stderr);
        assert.deepEqual(await readFile(file), bytes);
        assert.match(stdout, /^status {4}downloaded and verified$/m);
        assert.match(stdout, /^sha256 {4}[0-9a-f]{64}$/m);
        assert.equal(stderr, "Downloading 30.2 kB\n");
    });

    it("shows amount, rate and time left on a terminal, in one line that goes away", async () => {
        const { stdout, stderr } = await runWithS3({ s3, isTty: true, tickMs: 1100 }, "get", uri, file);
        assert.match(stderr, /Downloading 30\.2 kB of 30\.2 kB \(100 %\), [\d.]+ kB\/s, 0\.0 s left/);
        assert.ok(stderr.endsWith("\r\u001b[K\u001b[?7l\u001b[?7h") && !stderr.includes("\n"));
        assert.ok(stdout.includes("\u001b[32m"));
        const plain = await runWithS3({ s3, isTty: true, env: { NO_COLOR: "1" } }, "get", uri, file);
        assert.ok(!plain.stdout.includes("\u001b["));
    });

    it("takes a key of the stack's bucket, and a folder", async () => {
        const runProcess = () => ({ exitCode: 0, stdout: JSON.stringify(outputs), stderr: "" });
        const { exitCode, stdout } = await runWithS3({ s3, runProcess }, "get", key, folder, "--json");
        assert.equal(exitCode, 0);
        const { file: name, bucket, sizeBytes } = JSON.parse(stdout) as Record<string, unknown>;
        assert.deepEqual([name, bucket, sizeBytes], [file, "bucket", bytes.length]);
    });

    it("says that a state machine alone tells no bucket", async () => {
        const machine = "arn:aws:states:us-east-1:111122223333:stateMachine:m";
        const { exitCode, stderr } = await runWithS3({ s3 }, "get", key, "--state-machine", machine);
        assert.equal(exitCode, 2);
        assert.match(stderr, /next Give the stack with --stack NAME; or, for an archive, s3:\/\/BUCKET\/KEY/);
    });

    it("says which archive a delta needs, and how both become the whole one", async () => {
        const delta = await storeArchive(s3, "images/delta.tar", 20_000, 1, key);
        const target = path.join(folder, "delta.tar");
        const { sha256, key: base, versionId } = delta.record.since ?? assert.fail("it is whole");
        const { stdout } = await runWithS3({ s3 }, "get", "s3://bucket/images/delta.tar", target);
        const merge = `image-export merge BASE.tar ${target} -o FULL.tar`;
        assert.ok(stdout.includes(`\nneeds     ${key} (SHA-256 ${sha256}); whole: ${merge}\n`), stdout);
        const asJson = await runWithS3({ s3 }, "get", "s3://bucket/images/delta.tar", target, "--json");
        const { needs } = JSON.parse(asJson.stdout) as { needs: unknown };
        assert.deepEqual(needs, { sha256, key: base, versionId });
        assert.ok(!("needs" in (JSON.parse((await runWithS3({ s3 }, "get", uri, file, "--json")).stdout) as object)));
    });

    it("does nothing where the archive is there already, and replaces something else only when told", async () => {
        await runWithS3({ s3 }, "get", uri, file);
        s3.requests.length = 0;
        const again = await runWithS3({ s3 }, "get", uri, file);
        assert.match(again.stdout, /already there, and verified/);
        assert.equal(s3.requests.length, 2); // the record, and the archive's head
        await writeFile(file, "mine");
        const other = await runWithS3({ s3 }, "get", uri, file);
        assert.equal(other.exitCode, 1);
        assert.match(other.stderr, /exists, and is not this archive\.\n +next .*--force/);
        assert.equal(await readFile(file, "utf8"), "mine");
        const forced = await runWithS3({ s3 }, "get", uri, file, "--force");
        assert.equal(forced.exitCode, 0);
        assert.deepEqual(await readFile(file), bytes);
    });

    it("tells after Ctrl-C how to go on, and goes on", async () => {
        const { context, written, interrupt } = s3Context({ s3 });
        s3.gate = ({ range }) => {
            if (range !== undefined) interrupt();
            return Promise.resolve();
        };
        assert.equal(await runCommandLine(["get", uri, file], context), 130);
        assert.ok(written.stderr.endsWith(`To go on from there:\n  image-export get ${uri} ${file}\n`));
        s3.gate = undefined;
        assert.equal((await runWithS3({ s3 }, "get", uri, file)).exitCode, 0);
    });

    it("tells what there is to go on with", async () => {
        await runWithS3({ s3 }, "get", uri, file);
        await writeFile(`${file}.part`, "something else");
        await rm(file);
        const { exitCode, stderr } = await runWithS3({ s3 }, "get", uri, file);
        assert.equal(exitCode, 0);
        assert.match(stderr, /^Note .*app\.tar\.part is of something else: beginning again\.$/m);
    });

    it("tells what is missing to whoever may list the prefix only, whom S3 refuses to read it", async () => {
        s3.objects.delete(`bucket/${key}`);
        s3.objects.delete(`bucket/${key}.json`);
        s3.fault = ({ url }) => (url.includes("list-type") ? undefined : { kind: "status", status: 403 });
        const { exitCode, stderr } = await runWithS3({ s3 }, "get", uri, file);
        assert.equal(exitCode, 1);
        assert.match(stderr, /^Error NoSuchKey: There is nothing at/);
    });

    describe("--load", () => {
        it("hands the verified file to docker", async () => {
            const calls: string[][] = [];
            const runProcess = (command: string, args: readonly string[]) => {
                assert.deepEqual(existsSync(file), true);
                calls.push([command, ...args]);
                return { exitCode: 0, stdout: "Loaded image: app:1\n", stderr: "" };
            };
            const { exitCode, stdout } = await runWithS3({ s3, runProcess }, "get", uri, file, "--load");
            assert.equal(exitCode, 0);
            assert.deepEqual(calls, [["docker", "load", "--input", file]]);
            assert.match(stdout, /^docker {4}Loaded image: app:1$/m);
        });

        it("says what to do where there is no Docker, or no daemon", async () => {
            const none = await runWithS3({ s3 }, "get", uri, file, "--load");
            assert.equal(none.exitCode, 1);
            assert.match(none.stderr, /^Error There is no program docker\.\n +next The archive is good/m);
            const runProcess = () => ({ exitCode: 1, stdout: "", stderr: "Cannot connect to the daemon\n" });
            const refused = await runWithS3({ s3, runProcess }, "get", uri, file, "--load");
            assert.equal(refused.exitCode, 1);
            assert.match(refused.stderr, /Cannot connect to the daemon\n +next .*docker info/);
        });
    });

    describe("refuses", () => {
        const failures: [string, () => void, RegExp][] = [
            [
                "a key where nothing is",
                () => {
                    s3.objects.clear();
                },
                /^Error NoSuchKey: There is nothing at s3:\/\/bucket\/images\/app\.tar\.\n +next `image-export list`/m,
            ],
            [
                "an archive without a record",
                () => void s3.objects.delete(`bucket/${key}.json`),
                /has no record, so it cannot be verified\.\n +next If its export is still running/,
            ],
            [
                "a record that is none",
                () => {
                    const { headers } = s3.objects.get(`bucket/${key}.json`) ?? assert.fail();
                    s3.objects.set(`bucket/${key}.json`, {
                        body: Buffer.from("{}"),
                        headers: { etag: headers["etag"] ?? "" },
                    });
                },
                /export record .*app\.tar\.json has the schemaVersion undefined/,
            ],
            [
                "an archive that is not its record's, which is gone",
                () => {
                    const { headers } = s3.objects.get(`bucket/${key}`) ?? assert.fail();
                    headers["x-amz-version-id"] = "another";
                },
                /is not what its record describes: version version-\d+ of \d+ bytes\.\n +next If an export/,
            ],
            [
                "what S3 does not let it read",
                () => void (s3.fault = () => ({ kind: "status", status: 403 })),
                /^ +of arn:aws:s3:::bucket\/images\/app\.tar/m,
            ],
        ];
        for (const [what, prepare, message] of failures) {
            it(what, async () => {
                prepare();
                const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "get", uri, file);
                assert.deepEqual([exitCode, stdout], [1, ""]);
                assert.match(stderr, message);
                assert.ok(!existsSync(file));
            });
        }

        for (const given of ["s3://bucket", "s3://bucket/", "s3://bucket/a.tar.json", "s3:bucket/a", "s3://b/a//b"]) {
            it(given, async () => {
                const { exitCode, stderr } = await runWithS3({ s3 }, "get", given);
                assert.equal(exitCode, 2);
                assert.match(stderr, /expected s3:\/\/BUCKET\/KEY/);
            });
        }
    });
});
