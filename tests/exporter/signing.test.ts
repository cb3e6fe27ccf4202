import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { asExportError } from "../../contract/errors";
import { exportImage } from "../../exporter/exportImage";
import { publicKeyPem, signDigest } from "../../lab/signing";
import { recordOf } from "../support/readRecord";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import { listen, readBody, send, type TestServer } from "./support/faults";
import { addImage, emptyRepository, fileLayer } from "./support/images";

const keyArn = "arn:aws:kms:eu-central-1:111122223333:key/5678efab-12ab-34cd-56ef-1234567890ab";
const retryPolicy = { baseDelayMs: 1, maxDelayMs: 1, maxRetryAfterMs: 1 };

describe("a signed record", () => {
    let s3: FakeS3;
    let registry: FakeRegistry;
    let kms: TestServer;
    let folder: string;
    /** What KMS was asked, and what it answers instead of a signature, one after the other. */
    let asked: Record<string, string>[];
    let refusals: { status: number; code: string }[];

    before(async () => {
        const repository = emptyRepository("app");
        addImage(repository, { layers: [fileLayer("f", Buffer.from("f"))], tag: "1" });
        registry = await startRegistry({ repository });
        kms = await listen((request, response) => {
            void readBody(request).then((body) => {
                const call = JSON.parse(body.toString()) as Record<string, string>;
                asked.push({
                    ...call,
                    region: /\/(\w+-\w+-\d)\/kms\//.exec(request.headers.authorization ?? "")?.[1] ?? "",
                });
                const refusal = refusals.shift();
                const answer = refusal
                    ? { __type: refusal.code, message: refusal.code }
                    : { Signature: signDigest(Buffer.from(call["Message"] ?? "", "base64")).toString("base64") };
                send(response, refusal?.status ?? 200, {}, Buffer.from(JSON.stringify(answer)));
            });
        });
    });
    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        folder = mkdtempSync(path.join(tmpdir(), "signing-"));
        asked = [];
        refusals = [];
    });
    afterEach(async () => {
        await s3.close();
        rmSync(folder, { recursive: true });
    });
    after(() => Promise.all([registry.close(), kms.close()]));

    const run = (key = "images/app.tar", signingKeyArn = keyArn, attempts = 3) =>
        exportImage({
            image: `${registry.host}/app:1`,
            destination: `s3://bucket/${key}`,
            env: { ...s3.env, AWS_ENDPOINT_URL_KMS: kms.origin, SIGNING_KEY_ARN: signingKeyArn },
            retryPolicy: { ...retryPolicy, attempts },
        });
    const bodyOf = (key: string) => s3.objects.get(`bucket/${key}`)?.body ?? assert.fail(`no ${key}`);
    const openssl = (record: Buffer, signature: Buffer): string => {
        const [key, data, sig] = ["key.pem", "record", "record.sig"].map((name) => path.join(folder, name)) as [
            string,
            string,
            string,
        ];
        writeFileSync(key, publicKeyPem);
        writeFileSync(data, record);
        writeFileSync(sig, signature);
        return execFileSync("openssl", ["dgst", "-sha256", "-verify", key, "-signature", sig, data]).toString();
    };

    it("signs the record for its bucket, key and version, and verifies with OpenSSL alone", async () => {
        const { artifactVersionId } = await run();
        const record = bodyOf("images/app.tar.json");
        const { archive, signingKeyArn } = recordOf(record.toString());
        const { bucket, key, versionId } = archive;
        assert.deepEqual(
            { bucket, key, versionId, signingKeyArn },
            { bucket: "bucket", key: "images/app.tar", versionId: artifactVersionId, signingKeyArn: keyArn },
        );
        assert.equal(openssl(record, bodyOf("images/app.tar.json.sig")), "Verified OK\n");
        const [call, ...more] = asked;
        assert.deepEqual(more, []);
        const { KeyId, MessageType, SigningAlgorithm, region } = call ?? {};
        assert.deepEqual(
            { KeyId, MessageType, SigningAlgorithm, region },
            { KeyId: keyArn, MessageType: "DIGEST", SigningAlgorithm: "ECDSA_SHA_256", region: "eu-central-1" },
        );
        await run("images/other.tar");
        assert.throws(() => openssl(bodyOf("images/other.tar.json"), bodyOf("images/app.tar.json.sig")));
    });

    it("is written after its signature", async () => {
        await run();
        const puts = s3.requests.filter(({ method, url }) => method === "PUT" && url.includes(".json"));
        assert.deepEqual(
            puts.map(({ url }) => /\.json(\.sig)?/.exec(url)?.[0]),
            [".json.sig", ".json"],
        );
    });

    it("counts as the same export only where the same key has signed", async () => {
        await run("images/app.tar", "");
        assert.equal((await run()).skipped, false);
        assert.equal((await run()).skipped, true);
        assert.equal((await run("images/app.tar", keyArn.replace("5678", "1234"))).skipped, false);
        assert.equal((await run("images/app.tar", "")).skipped, false);
    });

    it("belongs to its signature after a race", async () => {
        await Promise.all(Array.from({ length: 6 }, () => run("images/app.tar", keyArn, 1000)));
        assert.equal(openssl(bodyOf("images/app.tar.json"), bodyOf("images/app.tar.json.sig")), "Verified OK\n");
        const { versionId } = recordOf(bodyOf("images/app.tar.json").toString()).archive;
        assert.equal(versionId, s3.objects.get("bucket/images/app.tar")?.headers["x-amz-version-id"]);
    });

    it("is tried again where KMS asks for it, and else is not written", async () => {
        refusals = [
            { status: 400, code: "ThrottlingException" },
            { status: 500, code: "KMSInternalException" },
        ];
        await run();
        assert.equal(asked.length, 3);
        for (const [code, name, message] of [
            [
                "AccessDeniedException",
                "AccessDenied",
                /the archive .* is complete, but .*\. The caller needs kms:Sign for it\./i,
            ],
            ["DisabledException", "ExportFailed", /signing the record with arn:aws:kms:.*DisabledException/],
        ] as const) {
            refusals = [{ status: 400, code }];
            await assert.rejects(run(`images/${code}.tar`), (error) => {
                assert.equal(asExportError(error).name, name);
                assert.match(asExportError(error).message, message);
                return true;
            });
            assert.deepEqual(
                [...s3.objects.keys()].filter((each) => each.includes(code)),
                [`bucket/images/${code}.tar`],
            );
        }
    });

    it("needs the ARN of a key, and a place in S3", async () => {
        await assert.rejects(
            run("images/app.tar", "alias/mine"),
            /SIGNING_KEY_ARN is "alias\/mine": expected the ARN of a KMS key/,
        );
        const file = path.join(folder, "app.tar");
        const env = { SIGNING_KEY_ARN: keyArn };
        await assert.rejects(
            exportImage({ image: `${registry.host}/app:1`, destination: file, env }),
            /only exports to S3 are signed: unset it/,
        );
    });
});
