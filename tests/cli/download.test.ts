import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout } from "node:timers/promises";

import { findArchive, rangesAtATime, readInOrder } from "../../cli/archiveObject";
import { Interruption } from "../../cli/context";
import { download } from "../../cli/download";
import { Failure } from "../../cli/failure";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import type { Fault } from "../exporter/support/faults";
import { s3Context } from "./support/s3Context";
import { storeArchive } from "./support/storedArchive";
import { recordOf } from "../support/readRecord";

const key = "images/app.tar";
const uri = `s3://bucket/${key}`;
const partBytes = 5_000;

const failure =
    (code: string, message = /./, next = /./) =>
    (error: unknown) => {
        assert.ok(error instanceof Failure);
        assert.equal(error.details.code, code);
        assert.match(error.message, message);
        assert.match(error.details.next ?? "", next);
        return true;
    };

describe("download", () => {
    let s3: FakeS3;
    let folder: string;
    let file: string;
    let bytes: Buffer;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        ({ bytes } = await storeArchive(s3, key, 100_000));
        folder = await mkdtemp(path.join(tmpdir(), "download-"));
        file = path.join(folder, "app.tar");
    });
    afterEach(async () => {
        await Promise.all([s3.close(), rm(folder, { recursive: true })]);
    });

    const partOf = (name: string) => `${name}.part`;

    /** Downloads. @returns what it said */
    async function run(given = s3Context({ s3 })) {
        const archive = await findArchive(uri, {}, given.context);
        s3.requests.length = 0;
        await download(given.context, archive, file, partBytes);
        return given.written.stderr;
    }
    /** Does something when some parts have been written, and others are still being read. */
    const whenLate = (action: () => void) => {
        s3.gate = ({ range = "" }) => {
            if (range.startsWith(`bytes=${(rangesAtATime + 2) * partBytes}-`)) action();
            return Promise.resolve();
        };
    };
    const isAnother = /^Note .*\.part is of something else: beginning again\.\nDownloading/;
    const leavesNothingElse = async () => {
        assert.deepEqual(await readFile(file), bytes);
        assert.ok(recordOf(await readFile(`${file}.json`, "utf8")));
        assert.ok(!existsSync(partOf(file)) && !existsSync(`${partOf(file)}.json`));
    };

    it("leaves archive and record, and tells that it is at it", async () => {
        assert.match(await run(), /^Downloading 1\d\d kB\n$/);
        await leavesNothingElse();
        assert.equal(s3.requests.length, Math.ceil(bytes.length / partBytes));
    });

    it("reads several ranges at a time, and no more than it may", async () => {
        let open = 0;
        let most = 0;
        let fill = (): void => undefined;
        const filled = new Promise<void>((resolve) => (fill = resolve));
        s3.gate = async () => {
            most = Math.max(most, ++open);
            if (open === rangesAtATime) fill();
            await filled; // the first wait until as many as may are there
            await setTimeout(5); // time for one more, which there must not be
            open--;
        };
        await run();
        assert.equal(most, rangesAtATime);
    });

    const faults: Record<string, Fault> = {
        "a connection that breaks": { kind: "reset", afterBytes: 7000 },
        "a connection that breaks before the first byte": { kind: "lostAnswer" },
        "a connection that stalls": { kind: "stall", afterBytes: 3000 },
        "an answer that is shorter than asked for": { kind: "short", bytes: 5000 },
        "a store that asks to slow down": { kind: "status", status: 503 },
    };
    for (const [what, fault] of Object.entries(faults)) {
        it(`goes on after ${what}, with backoff`, async () => {
            const given = s3Context({ s3 });
            // Every third request fails.
            s3.fault = ({ method, url, count }) =>
                method === "GET" && !url.includes(".json") && count % 3 === 0 ? fault : undefined;
            await run(given);
            await leavesNothingElse();
            assert.notEqual(given.sleepsMs.length, 0);
            assert.ok(given.sleepsMs.every((milliseconds) => milliseconds > 0));
        });
    }

    it("does not ask again for what has arrived of a range", async () => {
        const { context, sleepsMs } = s3Context({ s3 });
        const { object } = await findArchive(uri, {}, context);
        s3.requests.length = 0;
        s3.fault = () => (s3.requests.length === 0 ? { kind: "reset", afterBytes: 60_000 } : undefined);
        const ranges: (string | undefined)[] = [];
        s3.gate = ({ range }) => Promise.resolve(void ranges.push(range));
        const parts: Buffer[] = [];
        for await (const part of readInOrder(context, object, 0, bytes.length)) parts.push(part);
        assert.deepEqual(Buffer.concat(parts), bytes);
        const last = bytes.length - 1;
        assert.deepEqual(ranges, [`bytes=0-${last}`, `bytes=60000-${last}`]);
        assert.equal(sleepsMs.length, 1);
    });

    it("gives up on what does not pass, keeps what it has, and goes on from there", async () => {
        s3.fault = ({ method }) => (method === "GET" && isLate ? { kind: "status", status: 500 } : undefined);
        let isLate = false;
        whenLate(() => (isLate = true));
        await assert.rejects(run(), (error) => {
            assert.ok(error instanceof Failure);
            assert.match(error.details.next ?? "", /app\.tar\.part has .* the same command goes on from there\.$/);
            return true;
        });
        s3.gate = undefined;
        isLate = false;
        assert.ok(!existsSync(file));
        const { length } = await readFile(partOf(file));
        assert.ok(length >= partBytes);
        assert.match(await run(), /^Going on at \d\d\.\d kB of .*app\.tar\.part\.$/m);
        await leavesNothingElse();
        assert.ok(s3.requests.length <= Math.ceil((bytes.length - length) / partBytes));
    });

    it("keeps what it has when it is interrupted, at any length", async () => {
        const given = s3Context({ s3 });
        whenLate(given.interrupt);
        await assert.rejects(run(given), Interruption);
        const left = await readFile(partOf(file));
        assert.ok(left.length >= partBytes);
        assert.deepEqual(left, bytes.subarray(0, left.length));
        // A process that was killed may have written less.
        await truncate(partOf(file), 12_345);
        assert.match(await run(), /^Going on at 12\.3 kB of /);
        await leavesNothingElse();
    });

    it("begins anew when another object is at the key, and says so", async () => {
        const given = s3Context({ s3 });
        whenLate(given.interrupt);
        await assert.rejects(run(given), Interruption);
        ({ bytes } = await storeArchive(s3, key, 100_000, 2));
        assert.match(await run(), isAnother);
        await leavesNothingElse();
    });

    it("begins anew where the part file is nobody's", async () => {
        await writeFile(partOf(file), "something");
        assert.match(await run(), isAnother);
        await leavesNothingElse();
    });

    it("fails when the object is replaced meanwhile in a bucket without versions", async () => {
        s3.versioned = false;
        await storeArchive(s3, key, 100_000, 3);
        whenLate(() => {
            const object = s3.objects.get("bucket/images/app.tar");
            if (object) object.headers["etag"] = '"other"';
        });
        await assert.rejects(run(), failure("PreconditionFailed", /./, /was replaced while/));
        assert.ok(!existsSync(file));
    });

    it("removes what is not what the record describes", async () => {
        s3.fault = ({ method, url }) =>
            method === "GET" && !url.includes(".json") ? { kind: "corrupt", atByte: 77 } : undefined;
        await assert.rejects(run(), failure("DigestMismatch", /has the sha256 .* its record says/));
        assert.ok(!existsSync(file) && !existsSync(partOf(file)) && !existsSync(`${partOf(file)}.json`));
    });

    it("sees that what was there before is damaged", async () => {
        const given = s3Context({ s3 });
        whenLate(given.interrupt);
        await assert.rejects(run(given), Interruption);
        const left = await readFile(partOf(file));
        left[100] = (left[100] ?? 0) ^ 1;
        await writeFile(partOf(file), left);
        await assert.rejects(run(), failure("DigestMismatch"));
        await run();
        await leavesNothingElse();
    });

    it("says when the disk is full", async function () {
        if (process.platform !== "linux") this.skip();
        await symlink("/dev/full", partOf(file));
        await assert.rejects(run(), failure("ENOSPC", /no space left/, /^The disk is full: make room/));
        assert.ok(!existsSync(file));
    });

    it("says when there is no such folder, and when it is no folder", async () => {
        file = path.join(folder, "none", "app.tar");
        await assert.rejects(run(), failure("ENOENT", /none.app\.tar\.part/, /^There is no such file or folder/));
        await writeFile(path.join(folder, "plain"), "");
        file = path.join(folder, "plain", "app.tar");
        await assert.rejects(run(), failure("ENOTDIR", /plain.app\.tar\.part/, /^There is no such file or folder/));
    });
});
