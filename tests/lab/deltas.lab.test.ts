/** Deltas through the whole pipeline: what is left out, what a second execution does, and what is refused. */
import { strict as assert } from "node:assert";
import * as path from "node:path";

import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";

import type { ExportRecord } from "../../contract/record";
import type { RequestedSince } from "../../contract/request";
import { pushEvent } from "../../lab/events";
import { permission } from "../../lab/iam";
import { digestOf } from "../../lab/image";
import { type Lab, startLab, uriOf } from "../../lab/lab";
import { run } from "../../lab/processes";
import { configurationOf } from "../../lab/stackFiles";
import { eagerClock } from "../../lab/stateLanguage/interpreter";
import { anyRecordOf } from "../support/readRecord";
import { assertRecord } from "../support/recordSchema";
import { endOfAll, exportImage, failToExport, succeeded } from "./support/sharedLab";

const launcher = path.resolve(__dirname, "../../cli/launch.js");

describe("lab: deltas", () => {
    let lab: Lab;
    let bucket: string;
    /** Bytes that a delta of a patch has at most, and no whole archive of it. */
    const most = 20_000;

    before(async () => {
        const triggers = { onPush: { repositories: ["nginx"], tags: ["v*"], since: "latest" } };
        const configuration = configurationOf({ engine: "stream", encryption: "kms", signing: "kms", triggers });
        lab = await startLab({ configuration, clock: eagerClock });
        bucket = String(lab.stack.outputs["artifactBucketName"]);
        await lab.push("nginx", "1");
        await lab.patch("nginx", "1", "2");
        await lab.patch("nginx", "2", "3");
    });
    afterEach(() => {
        lab.iam.removed.clear();
    });
    after(() => lab.stop());

    const keyOf = (folder: string, tag: string): string => `images/${folder}/${tag}.tar`;
    const request = (folder: string, tag: string, since?: RequestedSince) => ({
        imageUri: uriOf(lab, tag),
        artifactKey: keyOf(folder, tag),
        since,
    });
    async function recordAt(key: string): Promise<ExportRecord> {
        const { Body } = await lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key: `${key}.json` }));
        const text = await Body?.transformToString();
        assertRecord(text ?? "");
        return anyRecordOf(text);
    }
    const small = ({ sizeBytes }: Record<string, unknown>): boolean => Number(sizeBytes) < most;

    it("leave out what the archive at a key has, and are not made again", async () => {
        const base = await exportImage(lab, request("key", "1"));
        assert.deepEqual([base["baseSha256"], small(base)], [null, false]);
        const delta = await exportImage(lab, request("key", "2", keyOf("key", "1")));
        assert.deepEqual([delta["baseSha256"], delta["skipped"], small(delta)], [base["sha256"], false, true]);
        const { since } = await recordAt(keyOf("key", "2"));
        const { artifactVersionId: versionId, sha256 } = base;
        assert.deepEqual([since?.key, since?.versionId, since?.sha256], [keyOf("key", "1"), versionId, sha256]);

        const again = await exportImage(lab, request("key", "2", { key: keyOf("key", "1"), for: "docker" }));
        assert.deepEqual({ ...again, buildId: delta["buildId"] }, { ...delta, skipped: true });
        assert.notEqual(again["buildId"], null);
        const whole = await exportImage(lab, request("key", "2"));
        assert.deepEqual([whole["baseSha256"], whole["skipped"], small(whole)], [null, false, false]);
    });

    it("leave out what the newest archive has, which may be a delta, and are whole where there is none", async () => {
        const first = await exportImage(lab, request("latest", "1", "latest"));
        assert.deepEqual([first["baseSha256"], small(first)], [null, false]);
        const second = await exportImage(lab, request("latest", "2", "latest"));
        assert.deepEqual([second["baseSha256"], small(second)], [first["sha256"], true]);
        const third = await exportImage(lab, request("latest", "3", "latest"));
        assert.deepEqual([third["baseSha256"], small(third)], [second["sha256"], true]);
        const { since } = await recordAt(keyOf("latest", "3"));
        assert.deepEqual(
            since?.chain.map(({ key }) => key),
            [keyOf("latest", "1")],
        );
        // Its base stays, though another archive is the newest by now.
        const again = await exportImage(lab, request("latest", "2", "latest"));
        assert.deepEqual([again["baseSha256"], again["skipped"]], [first["sha256"], true]);
    });

    it("need the permission to list archives for the newest one, and say so", async () => {
        await exportImage(lab, request("denied", "1"));
        lab.iam.removed.add(permission("ListArchives", "s3:ListBucket"));
        const { error, cause } = await failToExport(lab, request("denied", "2", "latest"));
        assert.deepEqual([error, cause.includes("s3:ListBucket")], ["AccessDenied", true], cause);
        const delta = await exportImage(lab, request("denied", "2", keyOf("denied", "1")));
        assert.ok(small(delta));
    });

    it("are refused where nothing is at the key, or what the base needs was replaced, with the archive to name", async () => {
        const none = await failToExport(lab, request("replaced", "2", keyOf("replaced", "1")));
        assert.deepEqual([none.error, none.cause.includes("there is no archive")], ["InvalidInput", true], none.cause);
        const chain = ["1", "2", "3"];
        for (const [at, tag] of chain.entries()) {
            const before = chain[at - 1];
            await exportImage(lab, request("replaced", tag, before && keyOf("replaced", before)));
        }
        const last = { ...request("replaced", "3", keyOf("replaced", "3")), artifactKey: keyOf("replaced", "last") };
        for (const [tag, expected] of [
            ["2", /needs "images\/replaced\/2\.tar", .* Name "images\/replaced\/1\.tar" instead\./],
            ["1", /needs "images\/replaced\/1\.tar", .* Name one that is whole\./],
        ] as const) {
            await exportImage(lab, { ...request("replaced", tag), force: true });
            const { error, cause } = await failToExport(lab, last);
            assert.equal(error, "InvalidInput");
            assert.match(cause, expected);
        }
        // Both are whole, and bases again.
        assert.ok(small(await exportImage(lab, { ...last, since: keyOf("replaced", "1") })));
    });

    it("can be sets since a set, and rows of a batch", async () => {
        const setOf = (name: string, tags: readonly string[], since?: string) => ({
            images: tags.map((tag) => uriOf(lab, tag)),
            artifactKey: keyOf("sets", name),
            since,
        });
        const base = await exportImage(lab, setOf("release", ["1", "2"]));
        const delta = await exportImage(lab, setOf("patch", ["2", "3"], keyOf("sets", "release")));
        assert.deepEqual([delta["baseSha256"], delta["imageCount"], small(delta)], [base["sha256"], 2, true]);
        const again = await exportImage(lab, setOf("patch", ["3", "2"], keyOf("sets", "release")));
        assert.equal(again["skipped"], true);

        const since = keyOf("sets", "release");
        const rows = {
            "batches/deltas.json": JSON.stringify([request("json", "2", { key: since, for: "containerd" })]),
            "batches/deltas.csv": `imageUri,artifactKey,since\n${uriOf(lab, "3")},${keyOf("csv", "3")},${since}\n`,
        };
        for (const [key, Body] of Object.entries(rows)) {
            await lab.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body }));
            succeeded(await lab.executeBatch({ manifest: { bucket, key } }));
        }
        const found = await Promise.all([keyOf("json", "2"), keyOf("csv", "3")].map(recordAt));
        assert.deepEqual(
            found.map((record) => [record.since?.key, record.since?.for, record.archive.sizeBytes < most]),
            [
                [since, "containerd", true],
                [since, "docker", true],
            ],
        );
    });

    it("are listed with what they need, as far as the published policies let it be seen", async () => {
        const { artifactVersionId, sha256 } = await exportImage(lab, request("list", "1"));
        await exportImage(lab, request("list", "2", keyOf("list", "1")));
        const [Key, VersionId] = [keyOf("list", "1"), String(artifactVersionId)];
        const list = async (...policies: readonly string[]) => {
            const { accessKeyId, secretAccessKey, sessionToken } = lab.holderOf(...policies);
            const env = {
                ...lab.buildEnvironment,
                AWS_ENDPOINT_URL: lab.endpoint,
                AWS_ACCESS_KEY_ID: accessKeyId,
                AWS_SECRET_ACCESS_KEY: secretAccessKey,
                AWS_SESSION_TOKEN: sessionToken,
                IMAGE_EXPORT_STATE_MACHINE_ARN: String(lab.stack.outputs["stateMachineArn"]),
            };
            const [delta] = JSON.parse(
                await run(process.execPath, [launcher, "list", "--json", "--limit", "1"], { env }),
            ) as { needs: unknown }[];
            return delta?.needs;
        };
        const base = { sha256, key: Key, versionId: VersionId };
        assert.deepEqual(await list("startExportPolicy", "readArtifactsPolicy"), { ...base, expired: false });
        assert.deepEqual(await list("startExportPolicy"), { sha256 });
        await lab.s3.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId }));
        assert.deepEqual(await list("startExportPolicy", "readArtifactsPolicy"), { ...base, expired: true });
    });

    it("are what a push starts, where the stack says so: the first archive is whole", async () => {
        const push = async (tag: string) => {
            const event = pushEvent(lab.image.repository, tag, await digestOf(lab.registryPort, "nginx", tag));
            await lab.services.deliver(event);
            await endOfAll(lab);
            return recordAt(`images/nginx/${tag}.tar`);
        };
        await lab.push("nginx", "v1");
        await lab.patch("nginx", "v1", "v2");
        const [first, second] = [await push("v1"), await push("v2")];
        assert.deepEqual([first.since, second.since?.sha256], [null, first.archive.sha256]);
        assert.ok(second.archive.sizeBytes < most);
    });
});
