import { strict as assert } from "node:assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { HeadObjectCommand } from "@aws-sdk/client-s3";

import { createS3Client } from "../../../exporter/destination/s3Client";
import { listen } from "../support/faults";

describe("createS3Client", () => {
    it("takes the endpoint of a profile, with path-style addresses", async () => {
        const asked: (string | undefined)[] = [];
        const server = await listen((request, response) => {
            asked.push(`${request.headers.host?.split(":")[0] ?? ""}${request.url ?? ""}`);
            response.end();
        });
        const directory = await mkdtemp(path.join(tmpdir(), "profile-"));
        const file = path.join(directory, "config");
        const endpoint = server.origin.replace("127.0.0.1", "localhost"); // an address has no bucket hosts anyhow
        const key = "aws_access_key_id = id\naws_secret_access_key = secret\n";
        await writeFile(file, `[profile store]\nregion = eu-west-1\nendpoint_url = ${endpoint}\n${key}`);
        const before = { ...process.env };
        // The SDK reads these of the process's own environment.
        Object.assign(process.env, { AWS_CONFIG_FILE: file, AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: "store" });
        const { signal } = new AbortController();
        const client = createS3Client({ env: {}, concurrency: 1, idleTimeoutMs: 5000, signal });
        try {
            await client.send(new HeadObjectCommand({ Bucket: "bucket", Key: "images/a.tar" }));
        } finally {
            client.destroy();
            for (const name of Object.keys(process.env)) Reflect.deleteProperty(process.env, name);
            Object.assign(process.env, before);
            await Promise.all([server.close(), rm(directory, { recursive: true })]);
        }
        assert.deepEqual(asked, ["localhost/bucket/images/a.tar"]);
    });
});
