/** What belongs to an image through the whole pipeline: it comes along where a request, or else the stack, says so. */
import { strict as assert } from "node:assert";
import { Readable } from "node:stream";

import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";

import type { RecordedReferrer } from "../../contract/record";
import { verifyArchive } from "../../exporter/archive/verify";
import { acceptedManifestTypes, type Descriptor } from "../../exporter/registry/manifest";
import { permission } from "../../lab/iam";
import { type Lab, startLab, uriOf } from "../../lab/lab";
import { run } from "../../lab/processes";
import { configurationOf } from "../../lab/stackFiles";
import { eagerClock } from "../../lab/stateLanguage/interpreter";
import {
    addReferrer,
    addReferrersTag,
    emptyRepository,
    mediaTypes,
    type ReferrerParts,
    type Repository,
    tagOf,
} from "../exporter/support/images";
import { pushByHand } from "../exporter/support/pushByHand";
import { recordOf } from "../support/readRecord";
import { assertRecord } from "../support/recordSchema";
import { endOfAll, exportImage, sharedLab, succeeded } from "./support/sharedLab";

const sbom = "application/spdx+json";
const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json";

describe("lab: what belongs to an image", () => {
    let lab: Lab;
    let bucket: string;
    let image: Descriptor;
    let belonging: Repository;
    const artifactKey = "images/with-referrers.tar";

    before(async () => {
        lab = await sharedLab("stream");
        bucket = String(lab.stack.outputs["artifactBucketName"]);
        ({ image, belonging } = await pushSigned(lab, "signed"));
    });

    const request = (referrers: boolean) => ({ imageUri: uriOf(lab, "signed"), artifactKey, referrers });
    async function fetchObject(Key: string): Promise<Buffer> {
        const { Body } = await lab.s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        return Buffer.from((await Body?.transformToByteArray()) ?? assert.fail(Key));
    }
    async function exported(key = artifactKey) {
        const text = (await fetchObject(`${key}.json`)).toString();
        assertRecord(text);
        const record = recordOf(text);
        const { problems } = await verifyArchive(Readable.from([await fetchObject(key)]), record, { deep: true });
        assert.deepEqual(problems, []);
        return record;
    }
    const linkOf = ({ type, subject, tag }: RecordedReferrer) => [type, subject, tag];

    it("comes along, and is not exported again until a signature has come", async () => {
        const first = await exportImage(lab, request(true));
        assert.deepEqual([first["skipped"], first["referrerCount"]], [false, 2]);
        const { referrers, imageDigest } = await exported();
        assert.equal(imageDigest, image.digest);
        const links = [
            [sbom, image.digest, null],
            [simpleSigning, image.digest, tagOf(image, ".sig")],
        ];
        assert.deepEqual(new Set(referrers?.map(linkOf)), new Set(links));

        const second = await exportImage(lab, request(true));
        assert.notEqual(second["buildId"], null);
        assert.deepEqual({ ...second, buildId: first["buildId"] }, { ...first, skipped: true });

        const type = "application/vnd.dev.sigstore.bundle.v0.3+json";
        await pushReferrer(lab, image, belonging, { type });
        const third = await exportImage(lab, request(true));
        assert.deepEqual([third["skipped"], third["referrerCount"]], [false, 3]);
        const now = (await exported()).referrers?.map(linkOf);
        assert.deepEqual(new Set(now), new Set([...links, [type, image.digest, null]]));
    });

    it("is told by the registry to who may read manifests", async () => {
        await exportImage(lab, request(true));
        const password = [...lab.account.registryPasswords.keys()].at(-1) ?? "";
        const [host = "", name = ""] = lab.image.uri.split(/[/:]/);
        const ask = (digest: string) => {
            const url = `https://${host}/v2/${name}/referrers/${digest}?artifactType=${sbom}`;
            const as = ["--user", `AWS:${password}`, "--header", `accept: ${mediaTypes.oci.index}`];
            const answer = run("curl", ["--silent", ...as, url], { env: lab.buildEnvironment });
            return answer.then((text) => JSON.parse(text) as { manifests?: Descriptor[]; errors?: unknown });
        };
        assert.equal((await ask(image.digest)).manifests?.length, 2);
        assert.deepEqual((await ask(`sha256:${"0".repeat(64)}`)).manifests, []);
        lab.iam.removed.add(permission("PullImages", "ecr:BatchGetImage"));
        assert.match(JSON.stringify((await ask(image.digest)).errors), /DENIED.*ecr:BatchGetImage/);
    });

    it("is another export than the image by itself at the same key", async () => {
        await exportImage(lab, request(true));
        const without = await exportImage(lab, request(false));
        assert.deepEqual([without["skipped"], without["referrerCount"]], [false, null]);
        assert.equal((await exported()).referrers, null);
        assert.deepEqual(await exportImage(lab, request(false)), { ...without, skipped: true, buildId: null });
        assert.equal((await exportImage(lab, request(true)))["skipped"], false);
    });

    it("comes along in the rows of a batch, as JSON and as CSV", async () => {
        const imageUri = uriOf(lab, "signed");
        const keys = ["with", "without"].map((name) => `images/batch/${name}.tar`);
        const [withReferrers, without] = keys;
        const rows = {
            "batches/referrers.json": JSON.stringify([
                { imageUri, artifactKey: withReferrers, referrers: true },
                { imageUri, artifactKey: without },
            ]),
            "batches/referrers.csv":
                "imageUri,artifactKey,referrers,force\n" +
                `${imageUri},${withReferrers},true,true\n${imageUri},${without},,true\n`,
        };
        for (const [key, Body] of Object.entries(rows)) {
            await lab.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body }));
            succeeded(await lab.executeBatch({ manifest: { bucket, key } }));
            const counts = (await Promise.all(keys.map(exported))).map(({ referrers }) => referrers?.length);
            assert.deepEqual(counts, [3, undefined], key);
        }
    });

    it("is none where there is none, and the archive the same", async () => {
        await lab.push("nginx", "unsigned-yet");
        const asked = { imageUri: uriOf(lab, "unsigned-yet"), artifactKey: "images/unsigned-yet.tar" };
        const none = await exportImage(lab, { ...asked, referrers: true });
        const { sha256, referrerCount } = await exportImage(lab, asked);
        assert.deepEqual([none["referrerCount"], none["sha256"], referrerCount], [0, sha256, null]);
    });
});

describe("lab: a stack that exports with what belongs to an image", () => {
    let lab: Lab;

    before(async () => {
        const schedule = { expression: "rate(1 day)", request: { artifactKey: "images/daily.tar", referrers: false } };
        const configuration = configurationOf({ engine: "stream", referrers: true, triggers: { schedule } });
        lab = await startLab({ configuration, clock: eagerClock });
        await pushSigned(lab, "signed");
    });
    after(() => lab.stop());

    it("does so unless a request, or that of its schedule, says otherwise", async () => {
        const imageUri = uriOf(lab, "signed");
        assert.equal((await exportImage(lab, { imageUri }))["referrerCount"], 2);
        assert.equal((await exportImage(lab, { imageUri, referrers: false }))["referrerCount"], null);
        assert.equal((await exportImage(lab, {}))["referrerCount"], 0);
        await lab.services.deliverScheduled(new Date());
        await endOfAll(lab);
        const executions = [...lab.services.executions.byArn.values()];
        const machine = lab.stack.outputs["stateMachineArn"];
        const scheduled = executions.filter(({ machineArn }) => machineArn === machine)[3];
        const { artifactKey, referrerCount } = succeeded(await scheduled?.result);
        assert.deepEqual([artifactKey, referrerCount], ["images/daily.tar", null]);
    });
});

/** Pushes an image, with an SBOM as ORAS attaches it and a signature as cosign tags it. */
async function pushSigned(lab: Lab, tag: string): Promise<{ image: Descriptor; belonging: Repository }> {
    const { name } = lab.image.repository;
    await lab.push(name, tag);
    const url = `http://127.0.0.1:${lab.registryPort}/v2/${name}/manifests/${tag}`;
    const { headers } = await fetch(url, { method: "HEAD", headers: { accept: acceptedManifestTypes } });
    const [mediaType, digest] = ["content-type", "docker-content-digest"].map((each) => headers.get(each) ?? "");
    const image = { mediaType: mediaType ?? "", digest: digest ?? "", size: Number(headers.get("content-length")) };
    const belonging = emptyRepository(name);
    await pushReferrer(lab, image, belonging, { type: simpleSigning, tag: tagOf(image, ".sig") });
    await pushReferrer(lab, image, belonging, { type: sbom });
    return { image, belonging };
}

async function pushReferrer(lab: Lab, image: Descriptor, belonging: Repository, parts: ReferrerParts): Promise<void> {
    addReferrer(belonging, image, parts);
    addReferrersTag(belonging, image);
    await pushByHand(`127.0.0.1:${lab.registryPort}/${belonging.name}`, belonging);
}
