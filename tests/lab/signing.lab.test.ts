import * as assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { GetObjectCommand } from "@aws-sdk/client-s3";

import { permission } from "../../lab/iam";
import type { Lab } from "../../lab/lab";
import { run } from "../../lab/processes";
import { recordOf } from "../support/readRecord";
import { exportImage, failToExport, sharedLab } from "./support/sharedLab";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine} with signed records`, () => {
        let lab: Lab;
        let bucket: string;
        let folder: string;

        before(async () => {
            lab = await sharedLab(engine);
            bucket = String(lab.stack.outputs["artifactBucketName"]);
            folder = mkdtempSync(join(tmpdir(), "signing-"));
        });
        after(() => {
            rmSync(folder, { recursive: true });
        });

        async function fetch(key: string): Promise<Uint8Array> {
            const { Body } = await lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
            return (await Body?.transformToByteArray()) ?? assert.fail(key);
        }

        it("signs the record, which verifies with OpenSSL", async () => {
            const key = "images/signed.tar";
            const { artifactVersionId } = await exportImage(lab, { artifactKey: key });
            const record = await fetch(`${key}.json`);
            const { archive, signingKeyArn } = recordOf(Buffer.from(record).toString());
            const place = { bucket, key, versionId: artifactVersionId };
            assert.deepEqual({ bucket: archive.bucket, key: archive.key, versionId: archive.versionId }, place);
            assert.equal(signingKeyArn, lab.stack.outputs["signingKeyArn"]);
            const files = {
                "public.pem": String(lab.stack.outputs["signingPublicKey"]),
                "signed.tar.json": record,
                "signed.tar.json.sig": await fetch(`${key}.json.sig`),
            };
            for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
            const [pem, json, sig] = Object.keys(files).map((name) => join(folder, name));
            const said = await run("openssl", [
                "dgst",
                "-sha256",
                "-verify",
                pem ?? "",
                "-signature",
                sig ?? "",
                json ?? "",
            ]);
            assert.equal(said.trim(), "Verified OK");
            assert.equal((await exportImage(lab, { artifactKey: key }))["skipped"], true);
        });

        it("leaves no record where it may not sign", async () => {
            const key = "images/unsigned.tar";
            lab.iam.removed.add(permission("SignRecords", "kms:Sign"));
            const { error, cause } = await failToExport(lab, { artifactKey: key });
            assert.equal(error, "AccessDenied");
            assert.match(
                cause,
                /is complete, but its record could not be written: .*not authorized to perform: kms:Sign on/,
            );
            await assert.rejects(fetch(`${key}.json`), { name: "NoSuchKey" });
        });
    });
}
