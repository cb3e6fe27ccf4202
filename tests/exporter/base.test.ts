import * as assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import { anyRecordOf } from "../support/readRecord";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import { addImage, emptyRepository, fileLayer, randomBytesOf, type Repository } from "./support/images";
import { quickIdleTimeoutMs, quickRetries } from "./support/quick";

describe("the base of a delta", () => {
    let registry: FakeRegistry;
    let s3: FakeS3;
    let notes: string[];
    /** Seconds since the first export. */
    let clock: number;
    const shared = fileLayer("base", randomBytesOf(100_000, 1));
    const own = (name: string) => fileLayer(name, Buffer.from(name));

    beforeEach(async () => {
        const repositories: [Repository, Repository] = [emptyRepository("team/app"), emptyRepository("team/app2")];
        for (const repository of repositories) {
            for (const tag of ["1", "2", "3", "4"]) addImage(repository, { layers: [shared, own(tag)], tag });
            addImage(repository, { layers: [shared, own("arm")], tag: "arm", architecture: "arm64" });
            addImage(repository, { layers: [own("other")], tag: "other" });
        }
        const [repository, ...others] = repositories;
        registry = await startRegistry({ repository, others });
        s3 = await startS3();
        s3.versioned = true;
        notes = [];
        clock = 0;
    });
    afterEach(() => Promise.all([registry.close(), s3.close()]));

    const uri = (tag: string, name = "team/app") => `${registry.host}/${name}:${tag}`;
    async function run(tag: string, key: string, options: Partial<ExportOptions> = {}) {
        const result = await exportImage({
            image: uri(tag),
            destination: `s3://bucket/${key}`,
            env: s3.env,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            onNote: (note) => notes.push(note),
            ...options,
        });
        const object = s3.objects.get(`bucket/${key}`) ?? assert.fail(`no ${key}`);
        if (!result.skipped) object.headers["last-modified"] = new Date(1e12 + ++clock * 1000).toUTCString();
        return result;
    }
    const recordAt = (key: string) => anyRecordOf(s3.objects.get(`bucket/${key}.json`)?.body.toString());
    const baseOf = (key: string) => recordAt(key).since?.key;
    const remove = (key: string) => {
        [key, `${key}.json`].forEach((each) => s3.objects.delete(`bucket/${each}`));
    };
    const refused = (why: RegExp, ...asked: Parameters<typeof run>) =>
        assert.rejects(run(...asked), { name: "InvalidInput", message: why });

    it("is named with its version and SHA-256, and asked for its record only", async () => {
        const first = await run("1", "a/1.tar");
        s3.requests.length = 0;
        const { baseSha256 } = await run("2", "a/2.tar", { since: "a/1.tar" });
        assert.equal(baseSha256, first.sha256);
        const { since } = recordAt("a/2.tar");
        assert.deepEqual(
            [since?.key, since?.versionId, since?.sha256, since?.chain],
            ["a/1.tar", first.artifactVersionId, first.sha256, []],
        );
        assert.ok(!s3.requests.some(({ method, url }) => method === "GET" && /\/a\/1\.tar(\?|$)/.test(url)));
    });

    it("that is the latest is the newest of the repository and platform in the folder", async () => {
        await run("1", "a/1.tar");
        await run("2", "a/2.tar");
        await run("1", "a/1.2.tar");
        await run("3", "b/3.tar");
        await run("3", "a/b/3.tar");
        await run("3", "a/own.tar");
        await run("arm", "a/arm.tar", { platform: "linux/arm64" });
        await run("3", "a/all.tar", { platform: "all" });
        await run("3", "a/app2.tar", { image: uri("3", "team/app2") });
        await run("3", "a/set.tar", { image: [uri("3"), uri("2")] });
        await run("3", "a/docker.tar");
        await run("3", "a/strange.tar");
        const change = (key: string, from: string, to: string): void => {
            const object = s3.objects.get(`bucket/${key}.json`) ?? assert.fail();
            object.body = Buffer.from(object.body.toString().replace(from, to));
        };
        change("a/docker.tar", '"stream"', '"docker"');
        change("a/strange.tar", `"imageName": "${uri("3")}"`, '"imageName": "No name"');
        s3.pageKeys = 3;
        await run("4", "a/own.tar", { since: "latest" });
        assert.equal(baseOf("a/own.tar"), "a/1.2.tar");
    });

    it("that is the latest is found among hundreds, and a broken one is passed over", async () => {
        await run("1", "a/1.tar");
        for (let count = 0; count < 150; count++) {
            const headers = { "last-modified": new Date(2e12).toUTCString() };
            s3.objects.set(`bucket/a/x${count}.tar`, { body: Buffer.alloc(0), headers });
        }
        await run("2", "b/2.tar");
        await run("3", "a/3.tar", { since: "b/2.tar" });
        remove("b/2.tar");
        s3.pageKeys = 100;
        await run("4", "a/4.tar", { since: "latest" });
        assert.equal(baseOf("a/4.tar"), "a/1.tar");
    });

    it("that is the latest needs ten others at most", async () => {
        const chains: number[] = [];
        for (let at = 10; at < 24; at++) {
            await run(at % 2 === 0 ? "1" : "2", `a/${at}.tar`, { since: "latest" });
            const { since } = anyRecordOf(s3.objects.get(`bucket/a/${at}.tar.json`)?.body.toString());
            chains.push(since?.chain.length ?? 0);
        }
        assert.equal(1 + Math.max(...chains), 10);
    });

    it("that is the latest is none where there is none, and the archive is whole and stays", async () => {
        assert.equal((await run("1", "a/1.tar", { since: "latest" })).baseSha256, null);
        assert.match(notes.join(), /no earlier archive of the repository and platform: this one is whole/);
        await run("2", "a/2.tar");
        assert.equal((await run("1", "a/1.tar", { since: "latest" })).skipped, true);
    });

    it("would save too little, and the archive is whole", async () => {
        await run("other", "a/1.tar");
        assert.equal((await run("2", "a/2.tar", { since: "a/1.tar" })).baseSha256, null);
        assert.match(notes.join(), /0 of \d+ bytes would be saved, less than a tenth/);
        assert.equal((await run("2", "a/2.tar", { since: "a/1.tar" })).skipped, true);
    });

    it("is refused where there is no archive, no record, or another one's", async () => {
        await refused(/since is "a\/1\.tar": there is no archive with its record/, "2", "a/2.tar", {
            since: "a/1.tar",
        });
        await run("1", "a/1.tar");
        const record = s3.objects.get("bucket/a/1.tar.json") ?? assert.fail();
        await run("2", "a/1.tar");
        s3.objects.set("bucket/a/1.tar.json", record);
        await refused(/no archive with its record/, "2", "a/2.tar", { since: "a/1.tar" });
        s3.objects.delete("bucket/a/1.tar.json");
        await refused(/no archive with its record/, "2", "a/2.tar", { since: "a/1.tar" });
        assert.deepEqual([...s3.objects.keys()], ["bucket/a/1.tar"]);
        assert.equal(s3.uploads.size, 0);
    });

    it("is refused where it is replaced by what is made, itself or as what it needs", async () => {
        await run("1", "a/1.tar");
        await run("2", "a/2.tar", { since: "a/1.tar" });
        await refused(/an archive is no base of what replaces it/, "3", "a/1.tar", { since: "a/1.tar" });
        await refused(/it needs "a\/1\.tar", which .* this export replaces/, "3", "a/1.tar", { since: "a/2.tar" });
        // The newest one needs it, too.
        assert.equal((await run("3", "a/1.tar", { since: "latest" })).baseSha256, null);
        await refused(/a set has no newest archive/, "3", "a/s.tar", { image: [uri("1")], since: "latest" });
    });

    it("has to have all that it needs itself, and what to name instead is said", async () => {
        for (const at of [1, 2, 3]) {
            await run(String(at), `a/${at}.tar`, at > 1 ? { since: `a/${at - 1}.tar` } : {});
        }
        assert.deepEqual(
            recordAt("a/3.tar").since?.chain.map(({ key }) => key),
            ["a/1.tar"],
        );
        const again = () => run("4", "b/4.tar", { since: "a/3.tar", force: true });
        assert.equal((await again()).baseSha256, recordAt("a/3.tar").archive.sha256);
        // The same bytes at the same key are another version.
        await run("2", "a/2.tar", { since: "a/1.tar", force: true });
        await assert.rejects(again(), {
            name: "InvalidInput",
            message: /it needs "a\/2\.tar", which is no longer there .* Name "a\/1\.tar" instead\./,
        });
        remove("a/1.tar");
        await assert.rejects(again(), { message: /it needs "a\/1\.tar", .* Name one that is whole\./ });
    });

    it("and all that it needs may expire, which is said", async () => {
        await run("1", "a/1.tar");
        await run("2", "a/2.tar", { since: "a/1.tar" });
        for (const [key, date] of [
            ["1", "Fri, 01 Jan 2027 00:00:00 GMT"],
            ["2", "Sat, 02 Jan 2027 00:00:00 GMT"],
        ]) {
            const { headers } = s3.objects.get(`bucket/a/${key}.tar`) ?? assert.fail();
            headers["x-amz-expiration"] = `expiry-date="${date}", rule-id="archives"`;
        }
        await run("3", "a/3.tar", { since: "a/2.tar" });
        assert.deepEqual(notes, [
            "This archive needs a/2.tar, which expires on Sat, 02 Jan 2027 00:00:00 GMT.",
            "This archive needs a/1.tar, which expires on Fri, 01 Jan 2027 00:00:00 GMT.",
        ]);
    });

    it("that is the same makes the same export; another, none, or another receiver does not", async () => {
        await run("1", "a/1.tar");
        await run("2", "a/2.tar");
        const third = (since: ExportOptions["since"]) => run("3", "a/3.tar", { since });
        const skips = async (since: ExportOptions["since"]) => (await third(since)).skipped;
        assert.deepEqual([await skips("a/1.tar"), await skips("a/1.tar")], [false, true]);
        assert.deepEqual([await skips({ key: "a/1.tar", for: "docker" }), await skips("a/2.tar")], [true, false]);
        assert.deepEqual([await skips("latest"), baseOf("a/3.tar")], [true, "a/2.tar"]);
        await run("4", "a/4.tar");
        assert.deepEqual([await skips("latest"), baseOf("a/3.tar")], [true, "a/2.tar"]);
        assert.deepEqual([await skips({ key: "latest", for: "containerd" }), baseOf("a/3.tar")], [false, "a/4.tar"]);
        assert.deepEqual([await skips({ key: "latest", for: "containerd" }), await skips("latest")], [true, false]);
        assert.deepEqual([await skips(undefined), baseOf("a/3.tar"), await skips(undefined)], [false, undefined, true]);
        // What it needs is gone: it is made again.
        await third("a/1.tar");
        remove("a/1.tar");
        assert.deepEqual([await skips("latest"), baseOf("a/3.tar")], [false, "a/4.tar"]);
    });

    it("is one, whichever of two exports at the same time is first", async () => {
        await run("1", "a/1.tar");
        await run("2", "a/2.tar");
        const both = await Promise.all([1, 2].map(() => run("3", "a/3.tar", { since: "latest" })));
        assert.equal(new Set(both.map(({ sha256 }) => sha256)).size, 1);
        assert.equal(baseOf("a/3.tar"), "a/2.tar");
        const others = await Promise.allSettled(["a/1.tar", "a/2.tar"].map((since) => run("4", "a/4.tar", { since })));
        const lost = others.flatMap((each) => (each.status === "rejected" ? [(each.reason as Error).name] : []));
        assert.ok(lost.length < 2 && lost.every((name) => name === "ExportFailed"), lost.join());
        const { since, archive } = recordAt("a/4.tar");
        const { headers } = s3.objects.get("bucket/a/4.tar") ?? assert.fail();
        assert.deepEqual([archive.versionId, since !== null], [headers["x-amz-version-id"], true]);
    });

    it("that is the latest needs s3:ListBucket, and the refusal says so", async () => {
        s3.fault = ({ url }) => (url.includes("list-type") ? { kind: "status", status: 403 } : undefined);
        await assert.rejects(run("1", "a/1.tar", { since: "latest" }), {
            name: "AccessDenied",
            message: /listing what is beside s3:\/\/bucket\/a\/1\.tar.*s3:ListBucket/s,
        });
        assert.deepEqual([s3.objects.size, s3.uploads.size], [0, 0]);
    });

    it("may be a file, and the latest is found beside it", async () => {
        const folder = await mkdtemp(path.join(tmpdir(), "base-"));
        try {
            const at = (name: string) => path.join(folder, `${name}.tar`);
            const toFile = (tag: string, since?: string) =>
                exportImage({ image: uri(tag), destination: at(tag), retryPolicy: quickRetries, since });
            await writeFile(at("0"), "");
            await writeFile(`${at("0")}.json`, "no record");
            const first = await toFile("1");
            assert.equal((await toFile("2", "latest")).baseSha256, first.sha256);
            assert.equal((await toFile("2", "latest")).skipped, true);
            await assert.rejects(toFile("3", at("0")), { name: "InvalidInput", message: /no archive with its record/ });
            await assert.rejects(toFile("3", at("3")), {
                name: "InvalidInput",
                message: /no base of what replaces it/,
            });
        } finally {
            await rm(folder, { recursive: true });
        }
    });
});
