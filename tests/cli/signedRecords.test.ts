import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { type ImageRecord, recordText } from "../../contract/record";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { runWithS3 } from "./support/s3Context";
import { storeArchive } from "./support/storedArchive";

const key = "images/app.tar";
const uri = `s3://bucket/${key}`;
const signingKeyArn = "arn:aws:kms:eu-central-1:111122223333:key/5678efab-12ab-34cd-56ef-1234567890ab";
const pair = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

describe("a signed record on the command line", () => {
    const { privateKey, publicKey } = pair();
    let s3: FakeS3;
    let folder: string;
    let file: string;
    let pem: string;
    let record: ImageRecord;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        ({ record } = await storeArchive(s3, key, 20_000));
        folder = await mkdtemp(path.join(tmpdir(), "signed-"));
        file = path.join(folder, "app.tar");
        pem = await writeKey("public.pem", publicKey);
        store(record, privateKey);
    });
    afterEach(async () => {
        await Promise.all([s3.close(), rm(folder, { recursive: true })]);
    });

    const writeKey = async (name: string, of: KeyObject) => {
        const to = path.join(folder, name);
        await writeFile(to, of.export({ type: "spki", format: "pem" }));
        return to;
    };
    /** Puts record and signature beside the archive. */
    const store = (changed: ImageRecord, by: KeyObject | undefined) => {
        const body = Buffer.from(recordText({ ...changed, signingKeyArn: by ? signingKeyArn : null }));
        s3.objects.set(`bucket/${key}.json`, { body, headers: { etag: '"record"' } });
        if (by) s3.objects.set(`bucket/${key}.json.sig`, { body: sign("sha256", body, by), headers: {} });
    };
    const get = async () => {
        const { exitCode, stderr } = await runWithS3({ s3 }, "get", uri, file);
        assert.equal(exitCode, 0, stderr);
    };
    const verify = (what: string, ...options: string[]) =>
        runWithS3({ s3 }, "verify", what, "--public-key", pem, ...options);
    const wrongIn = async (what: string) => {
        const { exitCode, stdout } = await verify(what, "--json");
        const { signed, problems } = JSON.parse(stdout) as { signed: boolean; problems: string[] };
        assert.deepEqual([exitCode, signed], [1, false]);
        return problems.join("\n");
    };

    it("comes with its archive, and is good for its key, without AWS and in S3", async () => {
        await get();
        s3.requests.length = 0;
        const { exitCode, stdout } = await verify(file);
        assert.equal(exitCode, 0, stdout);
        assert.match(stdout, /^to +s3:\/\/bucket\/images\/app\.tar$/m);
        assert.match(stdout, new RegExp(`^signed +by ${signingKeyArn}$`, "m"));
        assert.doesNotMatch(stdout, /the signature/);
        assert.equal(s3.requests.length, 0);
        assert.equal((await verify(uri)).exitCode, 0);
    });

    it("is not called signed where nobody gave a key", async () => {
        await get();
        const { exitCode, stdout } = await runWithS3({ s3 }, "verify", file);
        assert.equal(exitCode, 0, stdout);
        assert.doesNotMatch(stdout, /^signed/m);
        assert.match(stdout, /^not checked the signature \(--public-key\)$/m);
    });

    it("is wrong once a byte of it has changed, or when another key has signed it", async () => {
        await get();
        const text = await readFile(`${file}.json`, "utf8");
        for (const other of [
            text.replace('"imageUri"', '"imageUri" '),
            `${text}\n`,
            text.replace(/:\d\d\.\d{3}Z/, ":00.000Z"),
        ]) {
            await writeFile(`${file}.json`, other);
            assert.match(await wrongIn(file), /^the record is not as the holder of this key has signed it$/);
        }
        await writeFile(`${file}.json`, text);
        pem = await writeKey("other.pem", pair().publicKey);
        assert.match(await wrongIn(file), /^the record is not as the holder of this key has signed it$/);
    });

    it("is wrong without its signature, with one that is none, without a signature at all, and without a record", async () => {
        await get();
        await writeFile(`${file}.json.sig`, "no signature");
        assert.match(await wrongIn(file), /^the record is not as the holder of this key has signed it$/);
        await rm(`${file}.json.sig`);
        assert.match(await wrongIn(file), /^the record's signature is missing beside it$/);
        store(record, undefined);
        assert.match(await wrongIn(uri), /^the record says that it is not signed$/);
        await rm(`${file}.json`);
        assert.match(await wrongIn(file), /^there is no record, and so nothing that could be signed$/);
    });

    it("is of no use at another key, nor for another version", async () => {
        for (const suffix of ["", ".json", ".json.sig"]) {
            const object = s3.objects.get(`bucket/${key}${suffix}`);
            if (object) s3.objects.set(`bucket/images/other.tar${suffix}`, object);
        }
        assert.equal(
            await wrongIn("s3://bucket/images/other.tar"),
            "the archive is s3://bucket/images/other.tar, the record describes s3://bucket/images/app.tar",
        );
        const archive = s3.objects.get(`bucket/${key}`);
        if (archive) archive.headers["x-amz-version-id"] = "later";
        assert.match(await wrongIn(uri), /^the archive is version later, the record describes version version-\d+$/);
    });

    it("leaves no signature of an older record beside a file", async () => {
        await get();
        store(record, undefined);
        await rm(file);
        await get();
        assert.ok(!existsSync(`${file}.json.sig`));
    });

    it("needs a public key", async () => {
        await get();
        for (const [name, text, message] of [
            ["missing.pem", undefined, /--public-key is ".*missing\.pem": ENOENT/],
            ["text.pem", "no key", /--public-key is ".*text\.pem", which is not a public key as PEM/],
        ] as const) {
            pem = path.join(folder, name);
            if (text !== undefined) await writeFile(pem, text);
            const { exitCode, stderr } = await verify(file);
            assert.equal(exitCode, 2);
            assert.match(stderr, message);
            assert.match(stderr, /pulumi stack output signingPublicKey/);
        }
    });
});
