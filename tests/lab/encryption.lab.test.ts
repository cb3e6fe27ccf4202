import * as assert from "node:assert/strict";

import {
    GetObjectCommand,
    HeadObjectCommand,
    PutObjectCommand,
    type PutObjectCommandInput,
    S3Client,
} from "@aws-sdk/client-s3";

import { type Credentials, permission, type PolicyDocument } from "../../lab/iam";
import type { Lab } from "../../lab/lab";
import { exportImage, failToExport, sharedLab } from "./support/sharedLab";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine} with a KMS key`, () => {
        let lab: Lab;
        let bucket: string;
        let keyArn: string;

        before(async () => {
            lab = await sharedLab(engine);
            bucket = String(lab.stack.outputs["artifactBucketName"]);
            keyArn = String(lab.stack.outputs["encryptionKeyArn"]);
        });

        /** How an object is encrypted. */
        async function encryptionOf(key: string): Promise<unknown[]> {
            const head = await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
            return [head.ServerSideEncryption, head.SSEKMSKeyId, head.BucketKeyEnabled];
        }

        function s3As(credentials: Credentials): S3Client {
            const { endpoint } = lab;
            return new S3Client({ region: "ap-northeast-1", endpoint, credentials, forcePathStyle: true });
        }

        it("encrypts archives with the key of the stack, and a reader decrypts them", async () => {
            const key = "images/encrypted.tar";
            const output = await exportImage(lab, { artifactKey: key });
            assert.deepEqual(await encryptionOf(key), ["aws:kms", keyArn, true]);
            assert.deepEqual(await encryptionOf(`${key}.json`), ["aws:kms", keyArn, true]);
            if (engine === "stream") {
                const { source } = [...lab.account.projects.values()][0] ?? {};
                const exporter = source?.location?.replace(`${bucket}/`, "") ?? "";
                assert.deepEqual(await encryptionOf(exporter), ["aws:kms", keyArn, true]);
            }

            const get = new GetObjectCommand({ Bucket: bucket, Key: key });
            const reader = s3As(lab.holderOf("readArtifactsPolicy"));
            assert.equal((await reader.send(get)).ContentLength, output["sizeBytes"]);
            lab.iam.removed.add(permission("ReadEncrypted", "kms:Decrypt"));
            await assert.rejects(reader.send(get), /AccessDenied.*kms:Decrypt on resource: arn:aws:kms:/);
        });

        for (const action of ["kms:Decrypt", "kms:GenerateDataKey"]) {
            it(`fails with AccessDenied where the role lacks ${action}, and leaves nothing behind`, async () => {
                const key = `images/without-${action.replace(":", "-")}.tar`;
                lab.iam.removed.add(permission("WriteEncrypted", action));
                const result = await failToExport(lab, { artifactKey: key });
                assert.match(result.cause, new RegExp(`not authorized to perform: ${action} on`));
                // A build whose source cannot be fetched has not begun: it names no error.
                const source = engine === "stream" && action === "kms:Decrypt";
                assert.equal(result.error, source ? "ExportFailed" : "AccessDenied");
                await assert.rejects(encryptionOf(key), { name: "NotFound" });
            });
        }

        it("fails where the key policy does not let S3 use the key for the bucket", async () => {
            const policy = lab.iam.resourcePolicies.get(keyArn);
            assert.ok(policy);
            const elsewhere = JSON.stringify(policy).replaceAll(bucket, "another-bucket");
            lab.iam.resourcePolicies.set(keyArn, JSON.parse(elsewhere) as PolicyDocument);
            const { cause } = await failToExport(lab, { artifactKey: "images/refused-by-the-key.tar" });
            lab.iam.resourcePolicies.set(keyArn, policy);
            assert.match(cause, /not authorized to perform: kms:/);
        });

        it("lets CloudWatch Logs use the key for the stack's log groups alone", async () => {
            const groups = Object.values(lab.stack.outputs["logGroupNames"] as Record<string, string>);
            const mayUse = async (service: string, group: string) => {
                const arn = `arn:aws:logs:ap-northeast-1:111122223333:log-group:${group}`;
                const context = { "kms:EncryptionContext:aws:logs:arn": arn };
                const uses = ["kms:GenerateDataKey", "kms:Decrypt"].map((action) =>
                    lab.iam.allowsService(service, { action, resource: keyArn, context }),
                );
                return (await Promise.all(uses)).every(Boolean);
            };
            for (const group of groups) assert.ok(await mayUse("logs.ap-northeast-1.amazonaws.com", group));
            assert.ok(!(await mayUse("logs.ap-northeast-1.amazonaws.com", "/aws/lambda/other")));
            assert.ok(!(await mayUse("logs.eu-west-1.amazonaws.com", groups[0] ?? "")));
        });

        describe("judges uploads by the encryption that they name", () => {
            const ownKey = Buffer.alloc(32, 1).toString("base64");
            const uploads: [string, boolean, (key: string) => Partial<PutObjectCommandInput>][] = [
                ["no encryption, which means the bucket's", true, () => ({})],
                ["SSE-KMS with the key", true, (key) => ({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: key })],
                ["SSE-S3", false, () => ({ ServerSideEncryption: "AES256" })],
                ["SSE-KMS, which means the account's aws/s3 key", false, () => ({ ServerSideEncryption: "aws:kms" })],
                [
                    "SSE-KMS with another key",
                    false,
                    (key) => ({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: key.replace(/.$/, "x") }),
                ],
                ["SSE-KMS in two layers", false, (key) => ({ ServerSideEncryption: "aws:kms:dsse", SSEKMSKeyId: key })],
                [
                    "a key of the uploader's own",
                    false,
                    () => ({ SSECustomerAlgorithm: "AES256", SSECustomerKey: ownKey }),
                ],
            ];
            for (const [what, allowed, headers] of uploads) {
                it(`${allowed ? "allows" : "refuses"} ${what}`, async () => {
                    const role = [...lab.iam.roles.values()].find(({ arn }) => arn.includes("build-role"));
                    const s3 = s3As(lab.iam.openSession(role ?? assert.fail()));
                    const upload = { Bucket: bucket, Key: "images/upload.tar", Body: "archive" };
                    const sent = s3.send(new PutObjectCommand({ ...upload, ...headers(keyArn) }));
                    const denied = /s3:PutObject .* explicit deny in a resource-based policy/;
                    await (allowed ? sent : assert.rejects(sent, denied));
                });
            }
        });
    });
}
