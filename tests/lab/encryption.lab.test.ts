import * as assert from "node:assert/strict";

import {
    GetObjectCommand,
    HeadObjectCommand,
    PutObjectCommand,
    type PutObjectCommandInput,
    S3Client,
} from "@aws-sdk/client-s3";

import { permission, type PolicyDocument, type Role } from "../../lab/iam";
import { type Lab, startLab } from "../../lab/lab";

for (const engine of ["docker", "stream"] as const) {
    describe(`lab: engine ${engine} with a KMS key`, () => {
        let lab: Lab;
        let bucket: string;
        let keyArn: string;

        before(async () => {
            const configuration = { "ecr-image-export:encryption": "kms" };
            lab = await startLab({ engine, configuration, tell: () => undefined });
            bucket = String(lab.stack.outputs["artifactBucketName"]);
            keyArn = String(lab.stack.outputs["encryptionKeyArn"]);
        });

        after(async () => {
            await lab.stop();
        });

        afterEach(() => {
            lab.iam.removed.clear();
        });

        /** How an object is encrypted. */
        async function encryptionOf(key: string): Promise<unknown[]> {
            const head = await lab.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
            return [head.ServerSideEncryption, head.SSEKMSKeyId, head.BucketKeyEnabled];
        }

        /** S3 as a session of a role sees it. */
        function s3As(role: Role): S3Client {
            const accessKeyId = `test-${role.name}`;
            lab.iam.addSession(
                accessKeyId,
                role,
                role.arn.replace(/:iam:(.*):role\//, ":sts:$1:assumed-role/") + "/test",
            );
            return new S3Client({
                region: "ap-northeast-1",
                endpoint: lab.endpoint,
                credentials: { accessKeyId, secretAccessKey: "test" },
                forcePathStyle: true,
            });
        }

        /** A role of somebody to whom `readArtifactsPolicy` was given, or what is left of it. */
        function reader(name: string, keep: (sid: unknown) => boolean = () => true): Role {
            const policy = JSON.parse(String(lab.stack.outputs["readArtifactsPolicy"])) as PolicyDocument;
            const left = policy.Statement.filter(({ Sid }) => keep(Sid));
            return {
                name,
                arn: `arn:aws:iam::111122223333:role/${name}`,
                trustPolicy: policy,
                policies: [{ ...policy, Statement: left }],
            };
        }

        it("encrypts archives with the key of the stack, and a reader decrypts them", async () => {
            const key = "images/encrypted.tar";
            const result = await lab.execute({ artifactKey: key });
            assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
            assert.deepEqual(await encryptionOf(key), ["aws:kms", keyArn, true]);
            if (engine === "stream") {
                assert.deepEqual(await encryptionOf(`${key}.json`), ["aws:kms", keyArn, true]);
                const { source } = [...lab.projects.values()][0] ?? {};
                const exporter = source?.location?.replace(`${bucket}/`, "") ?? "";
                assert.deepEqual(await encryptionOf(exporter), ["aws:kms", keyArn, true]);
            }

            const get = new GetObjectCommand({ Bucket: bucket, Key: key });
            const { ContentLength } = await s3As(reader("reader")).send(get);
            assert.equal(ContentLength, result.output["sizeBytes"]);
            await assert.rejects(
                s3As(reader("reader-without-key", (sid) => sid !== "ReadEncrypted")).send(get),
                /AccessDenied.*kms:Decrypt on resource: arn:aws:kms:/,
            );
        });

        for (const action of ["kms:Decrypt", "kms:GenerateDataKey"]) {
            it(`fails with AccessDenied where the role lacks ${action}, and leaves nothing behind`, async () => {
                const key = `images/without-${action.replace(":", "-")}.tar`;
                lab.iam.removed.add(permission("WriteEncrypted", action));
                const result = await lab.execute({ artifactKey: key });
                assert.equal(result.status, "FAILED", JSON.stringify(result));
                assert.match(result.cause, new RegExp(`not authorized to perform: ${action} on`));
                // A build whose source cannot be fetched has not begun: it names no error.
                const source = engine === "stream" && action === "kms:Decrypt";
                assert.equal(result.error, source ? "ExportFailed" : "AccessDenied");
                await assert.rejects(encryptionOf(key), { name: "NotFound" });
            });
        }

        it("fails where the key policy does not let S3 use the key for the bucket", async () => {
            const policy = lab.iam.keyPolicies.get(keyArn);
            assert.ok(policy);
            const elsewhere = JSON.stringify(policy).replaceAll(bucket, "another-bucket");
            lab.iam.keyPolicies.set(keyArn, JSON.parse(elsewhere) as PolicyDocument);
            const result = await lab.execute({ artifactKey: "images/refused-by-the-key.tar" });
            lab.iam.keyPolicies.set(keyArn, policy);
            assert.equal(result.status, "FAILED", JSON.stringify(result));
            assert.match(result.cause, /not authorized to perform: kms:/);
        });

        it("lets CloudWatch Logs use the key for the stack's log groups alone", async () => {
            const groups = Object.values(lab.stack.outputs["logGroupNames"] as Record<string, string>);
            const requireKey = (service: string, group: string) =>
                lab.iam.requireKey(keyArn, service, {
                    "kms:EncryptionContext:aws:logs:arn": `arn:aws:logs:ap-northeast-1:111122223333:log-group:${group}`,
                });
            for (const group of groups) await requireKey("logs.ap-northeast-1.amazonaws.com", group);
            await assert.rejects(requireKey("logs.ap-northeast-1.amazonaws.com", "/aws/lambda/other"));
            await assert.rejects(requireKey("logs.eu-west-1.amazonaws.com", groups[0] ?? ""));
        });

        describe("judges uploads by the encryption that they name", () => {
            const ownKey = Buffer.alloc(32, 1).toString("base64");
            const uploads: [string, boolean, (key: string) => Partial<PutObjectCommandInput>][] = [
                ["no encryption, which means the bucket's", true, () => ({})],
                [
                    "SSE-KMS with the key",
                    true,
                    (key) => ({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: key }),
                ],
                ["SSE-S3", false, () => ({ ServerSideEncryption: "AES256" })],
                [
                    "SSE-KMS, which means the account's aws/s3 key",
                    false,
                    () => ({ ServerSideEncryption: "aws:kms" }),
                ],
                [
                    "SSE-KMS with another key",
                    false,
                    (key) => ({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: key.replace(/.$/, "x") }),
                ],
                [
                    "SSE-KMS in two layers",
                    false,
                    (key) => ({ ServerSideEncryption: "aws:kms:dsse", SSEKMSKeyId: key }),
                ],
                [
                    "a key of the uploader's own",
                    false,
                    () => ({ SSECustomerAlgorithm: "AES256", SSECustomerKey: ownKey }),
                ],
            ];
            for (const [what, allowed, headers] of uploads) {
                it(`${allowed ? "allows" : "refuses"} ${what}`, async () => {
                    const role = [...lab.iam.roles.values()].find(({ name }) => name.includes("build-role"));
                    assert.ok(role);
                    const upload = s3As(role).send(
                        new PutObjectCommand({
                            Bucket: bucket,
                            Key: "images/upload.tar",
                            Body: "archive",
                            ...headers(keyArn),
                        }),
                    );
                    if (allowed) await upload;
                    else
                        await assert.rejects(
                            upload,
                            /s3:PutObject .* explicit deny in a resource-based policy/,
                        );
                });
            }
        });
    });
}
