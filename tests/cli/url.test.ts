import assert from "node:assert/strict";

import type { ImageRecord } from "../../contract/record";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { runWithS3, startTimeMs } from "./support/s3Context";
import { storeArchive } from "./support/storedArchive";

const uri = "s3://bucket/images/app.tar";
const hourMs = 3_600_000;

describe("url", () => {
    let s3: FakeS3;
    let bytes: Buffer;
    let record: ImageRecord;
    let sha256: string;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        ({ bytes, record } = await storeArchive(s3, "images/app.tar", 20_000));
        ({ sha256 } = record.archive);
    });
    afterEach(() => s3.close());

    it("prints a link to the recorded version that needs no credentials, and alone on stdout", async () => {
        const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "url", uri);
        assert.equal(exitCode, 0, stderr);
        const query = new URL(stdout.trim()).searchParams;
        assert.equal(query.get("X-Amz-Expires"), "3600");
        assert.match(query.get("versionId") ?? "", /^version-/);
        assert.equal(query.get("response-content-disposition"), 'attachment; filename="app.tar"');
        assert.deepEqual(Buffer.from(await (await fetch(stdout.trim())).arrayBuffer()), bytes);
        assert.match(stderr, new RegExp(`^expires 2026-11-25 .*\nsha256 {2}${sha256}\n$`));
    });

    it("prints JSON", async () => {
        const { stdout } = await runWithS3({ s3 }, "url", uri, "--json", "--expires", "2d");
        const printed = JSON.parse(stdout) as { url: string };
        const { imageUri, imageDigest, platform } = record;
        assert.deepEqual(printed, {
            url: printed.url,
            expiresAt: new Date(startTimeMs + 48 * hourMs).toISOString(),
            ...{ imageUri, imageDigest, platform, referrerCount: null },
            sha256,
            sizeBytes: bytes.length,
        });
        assert.match(printed.url, /X-Amz-Expires=172800&/);
    });

    it("tells that a link ends with the credentials that signed it", async () => {
        const credentials = { sessionToken: "token", expiration: new Date(startTimeMs + hourMs) };
        const early = await runWithS3({ s3, credentials }, "url", uri, "--expires", "2h", "--json");
        assert.match(early.stderr, /^Note The credentials that signed it end before .*, and the link with them\.$/m);
        assert.match(early.stdout, /"expiresAt": "2026-11-25T13:00:00\.000Z"/);
        const inTime = await runWithS3({ s3, credentials }, "url", uri, "--expires", "30m");
        assert.doesNotMatch(inTime.stderr, /Note/);
        const unknown = await runWithS3({ s3, credentials: { sessionToken: "token" } }, "url", uri);
        assert.match(unknown.stderr, /^Note Temporary credentials signed it, whose end is not known/m);
    });

    for (const [expires, message] of [
        ["8d", /'8d' is invalid\. .*at most 7d/],
        ["0h", /'0h' is invalid\. Expected a number/],
        ["soon", /'soon' is invalid\. Expected a number/],
    ] as const) {
        it(`refuses --expires ${expires}`, async () => {
            const { exitCode, stdout, stderr } = await runWithS3({ s3 }, "url", uri, "--expires", expires);
            assert.deepEqual([exitCode, stdout], [2, ""]);
            assert.match(stderr, message);
        });
    }
    it("takes 7 days", async () => {
        const { stdout } = await runWithS3({ s3 }, "url", uri, "--expires", "7d");
        assert.match(stdout, /X-Amz-Expires=604800&/);
    });

    it("hands out no link to what is not there", async () => {
        s3.objects.delete("bucket/images/app.tar");
        const { exitCode, stdout } = await runWithS3({ s3 }, "url", uri);
        assert.deepEqual([exitCode, stdout], [1, ""]);
    });
});
