import * as assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import type { ExportRecord, Since } from "../../../contract/record";
import { mergeArchives } from "../../../exporter/archive/merge";
import { exportImage } from "../../../exporter/exportImage";
import { anyRecordOf } from "../../support/readRecord";
import { flip } from "../support/damage";
import { startRegistry } from "../support/fakeRegistry";
import { addImage, digestOf, emptyRepository, fileLayer, pseudoRandom, randomBytesOf } from "../support/images";

describe("a merge", () => {
    /** What was exported, by the names of the files. */
    const made = new Map<string, Buffer>();
    let folder: string;
    const at = (name: string): string => path.join(folder, name);
    const bytesOf = (name: string): Buffer => made.get(name) ?? assert.fail(`no ${name}`);
    const recordOf = (name: string): ExportRecord => anyRecordOf(bytesOf(`${name}.json`).toString());
    const put = (name: string, content: Buffer | object): Promise<void> =>
        writeFile(at(name), Buffer.isBuffer(content) ? content : JSON.stringify(content));

    before(async () => {
        const repository = emptyRepository("app");
        const [base, ...own] = [randomBytesOf(20_000, 1), ...["0", "1", "2", "3"].map((each) => Buffer.from(each))];
        const layers = [base, ...own].map((bytes, place) => fileLayer(`layer-${place}`, bytes));
        for (const tag of ["0", "1", "2", "3"]) addImage(repository, { layers: layers.slice(0, Number(tag) + 1), tag });
        addImage(repository, { layers: [fileLayer("other", randomBytesOf(20_000, 2))], tag: "foreign" });
        const registry = await startRegistry({ repository });
        folder = await mkdtemp(path.join(tmpdir(), "merged-"));
        const run = (tag: string, name: string, since?: string) =>
            exportImage({ image: `${registry.host}/app:${tag}`, destination: at(name), since: since && at(since) });
        for (const tag of ["0", "1", "2", "3", "foreign"]) await run(tag, `full-${tag}`);
        await run("2", "delta", "full-1");
        await run("3", "next", "delta");
        await registry.close();
        for (const name of await readdir(folder)) made.set(name, await readFile(at(name)));
        await rm(folder, { recursive: true });
    });
    beforeEach(async () => {
        folder = await mkdtemp(path.join(tmpdir(), "merged-"));
        for (const [name, bytes] of made) await put(name, bytes);
    });
    afterEach(() => rm(folder, { recursive: true }));

    /** Everything in the folder. */
    async function allFiles(): Promise<string[]> {
        const entries = await readdir(folder, { withFileTypes: true });
        const names = entries.flatMap((each) => (each.isFile() ? [each.name] : []));
        return Promise.all(names.sort().map(async (name) => `${name} ${digestOf(await readFile(at(name)))}`));
    }

    /** Expects a merge to be refused, and every file to be as it was. */
    async function refused(
        message: RegExp,
        { base = "full-1", delta = "delta", target = "merged", name = "InvalidInput" } = {},
        options?: Parameters<typeof mergeArchives>[3],
    ): Promise<void> {
        const before = await allFiles();
        await assert.rejects(mergeArchives(at(base), at(delta), at(target), options), { name, message });
        assert.deepEqual(await allFiles(), before);
    }
    const needed = /the delta needs \S+full-1 \(SHA-256 [0-9a-f]{64}\)/i;

    it("replaces an older target, and takes a base without a record", async () => {
        await rm(at("full-1.json"));
        await mergeArchives(at("full-1"), at("delta"), at("full-0"));
        assert.ok((await readFile(at("full-0"))).equals(bytesOf("full-2")));
        assert.equal(
            anyRecordOf(await readFile(at("full-0.json"), "utf8")).archive.sha256,
            recordOf("full-2").archive.sha256,
        );
    });

    it("refuses another base, and names the one that is needed", async () => {
        for (const base of ["full-0", "full-2", "full-3", "full-foreign", "delta", "none", ""]) {
            await refused(needed, { base });
        }
        await refused(/the delta needs \S+delta \(SHA-256 .*; a delta is first merged with its own base/, {
            base: "delta",
            delta: "next",
        });
        await refused(/full-1 is whole: it needs no base\./, { base: "delta", delta: "full-1" });
        await refused(/ENOENT.*no-delta/, { delta: "no-delta", name: "Error" });
    });

    it("refuses a base with any byte changed, cut off or added, and names the one that is needed", async () => {
        const good = bytesOf("full-1");
        const random = pseudoRandom(1);
        const place = (): number => Math.floor(random() * good.length);
        const damaged = [
            ...Array.from({ length: 30 }, () => flip(good, place(), 1 + Math.floor(random() * 255))),
            ...Array.from({ length: 10 }, () => good.subarray(0, place())),
            Buffer.concat([good, Buffer.from("x")]),
            Buffer.concat([good, Buffer.alloc(512)]),
            Buffer.alloc(0),
        ];
        for (const bytes of damaged) {
            await put("full-1", bytes);
            await refused(needed);
        }
    });

    it("refuses a delta with any byte changed or cut off", async () => {
        const good = bytesOf("delta");
        const random = pseudoRandom(2);
        for (let count = 0; count < 40; count++) {
            const place = Math.floor(random() * good.length);
            await put("delta", count % 4 === 0 ? good.subarray(0, place) : flip(good, place, 1 + (count % 255)));
            await refused(/\/delta: /);
        }
    });

    it("believes the record of no base further than what is in it", async () => {
        const mergedFrom = recordOf("delta").archive.sha256;
        for (const base of ["full-foreign", "full-0", "delta"]) {
            await put(`${base}.json`, { ...recordOf(base), mergedFrom });
            await refused(/the base has no blob sha256:.* the delta needs/, { base, delta: "next" });
        }
        const archive = { ...recordOf("full-1").archive, sha256: recordOf("full-2").archive.sha256 };
        await put("full-1.json", { ...recordOf("full-1"), mergedFrom, archive });
        await refused(/the base has the SHA-256/, { delta: "next" });
        await put("full-1.json", Buffer.from("{"));
        await refused(/cannot be read, and the delta needs .*full-1\.json is not JSON/);
        // What has every blob is good for it, whoever says so.
        await put("full-2.json", { ...recordOf("full-2"), mergedFrom });
        await mergeArchives(at("full-2"), at("next"), at("merged"));
        assert.ok((await readFile(at("merged"))).equals(bytesOf("full-3")));
    });

    it("refuses a delta whose record says something else", async () => {
        const record = recordOf("delta");
        const since = record.since ?? assert.fail();
        const [first = assert.fail(), ...others] = since.missing;
        const image = "set" in record ? assert.fail() : record;
        const own = image.images[0]?.layers?.at(-1) ?? assert.fail();
        const config = { digest: image.images[0]?.configDigest ?? "", sizeBytes: 1 };
        const forged: Partial<Since>[] = [
            { missing: [...since.missing, { digest: own.digest, sizeBytes: own.sizeBytes }] },
            { missing: [...since.missing, config] },
            { missing: [...since.missing, { digest: `sha256:${"0".repeat(64)}`, sizeBytes: 1 }] },
            { missing: [{ ...first, sizeBytes: first.sizeBytes + 1 }, ...others] },
            { missing: others },
            { savedBytes: since.savedBytes + 512 },
        ];
        for (const change of forged) {
            await put("delta.json", { ...record, since: { ...since, ...change } });
            await refused(/\/delta: /);
        }
        await put("delta.json", { ...record, since: { ...since, sha256: recordOf("full-foreign").archive.sha256 } });
        await refused(/the base has no blob/, { base: "full-foreign" });
        await refused(/the base has the SHA-256/);
        await put("delta.json", recordOf("next"));
        await refused(/\/delta: /);
        await put("delta.json", { ...record, since: null });
        await refused(/delta is whole/);
        await rm(at("delta.json"));
        await refused(/delta: there is no record beside it/);
    });

    it("never replaces what it reads, under whatever name", async () => {
        await mkdir(at("inner"));
        await symlink(at("full-1"), at("symbolic"));
        await link(at("delta"), at("hard"));
        await symlink(folder, at("inner/outer"));
        const names = [
            "full-1",
            "delta",
            "./full-1",
            "symbolic",
            "hard",
            "inner/outer/delta",
            "full-1.json",
            "delta.json",
        ];
        for (const target of names) await refused(/would replace .*: name another file\./, { target });
        for (const [name, bytes] of made) assert.ok((await readFile(at(name))).equals(bytes), name);
        // The record would replace the delta.
        await put("x.json", bytesOf("delta"));
        await put("x.json.json", bytesOf("delta.json"));
        await refused(/would replace .*x\.json/, { delta: "x.json", target: "x" });
    });

    it("leaves nothing where the target cannot be written", async () => {
        await mkdir(at("inner"));
        for (const target of ["inner", "none/merged"]) {
            await refused(/cannot be written: E(?:ISDIR|NOENT|XIST|NOTEMPTY)/, { target, name: "ExportFailed" });
        }
        assert.deepEqual(await readdir(at("inner")), []);
    });

    it("leaves nothing when it is stopped, at whatever byte", async () => {
        for (const limit of [-1, 0, 1_000, 20_000, Infinity]) {
            const controller = new AbortController();
            const stop = (): void => {
                controller.abort(Object.assign(new Error("stopped"), { name: "Stopped" }));
            };
            if (limit < 0) stop();
            const onProgress = (written: number, total: number): void => {
                if (written > limit || written === total - 1024) stop();
            };
            await refused(/stopped/, { name: "Stopped" }, { signal: controller.signal, onProgress });
        }
    });

    it("notices a base that changes after it was verified", async () => {
        const changes = [
            () => {
                writeFileSync(at("full-1"), flip(bytesOf("full-1"), bytesOf("full-1").length - 10_000, 1));
            },
            () => {
                truncateSync(at("full-1"), 8_000);
            },
        ];
        for (const change of changes) {
            let isChanged = false;
            const onProgress = (): void => {
                if (!isChanged) change();
                isChanged = true;
            };
            await assert.rejects(mergeArchives(at("full-1"), at("delta"), at("merged"), { onProgress }), {
                message: /has changed while it was read|has become shorter while it was read/,
            });
            assert.ok(!(await readdir(folder)).some((name) => name.startsWith("merged")));
            await put("full-1", bytesOf("full-1"));
        }
    });
});
