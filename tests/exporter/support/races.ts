import * as assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ExportError } from "../../../contract/errors";
import { exportImage, type ExportOutcome } from "../../../exporter/exportImage";
import { type FakeRegistry, startRegistry } from "./fakeRegistry";
import { type FakeS3, startS3 } from "./fakeS3";
import { addImage, emptyRepository, fileLayer, pseudoRandom, randomBytesOf, type Repository } from "./images";
import { quickRetries } from "./quick";
import { recordOf } from "../../support/readRecord";
import { verifyObject } from "./verifyExport";

type Outcome = ExportOutcome | ExportError;

/** Two images, by tag: the export of the first is overtaken by that of the second. */
type Pair = readonly [first: string, second: string];

/** Every pair that differs in what it takes: one part or several, the same archive or another. */
export const everyPair: readonly Pair[] = [
    ["small", "other"],
    ["large", "small"],
    ["small", "large"],
    ["small", "small"],
];

/** The export of one image races that of another, or of the same, for one key. */
export function testRaces(pairs: { versioned: readonly Pair[]; unversioned: readonly Pair[] }, seeds: number): void {
    let repository: Repository;
    let registry: FakeRegistry;
    let s3: FakeS3;

    before(() => {
        repository = emptyRepository("app");
        const small = fileLayer("small", Buffer.from("small"));
        const large = fileLayer("large", randomBytesOf(5.5 * 1024 ** 2, 1));
        addImage(repository, { layers: [small], tag: "small" });
        addImage(repository, { layers: [small, small], tag: "other" });
        addImage(repository, { layers: [large], tag: "large" });
    });
    beforeEach(async () => {
        [registry, s3] = await Promise.all([startRegistry({ repository }), startS3()]);
    });
    afterEach(async () => {
        await Promise.all([registry.close(), s3.close()]);
    });

    async function run(tag: string): Promise<Outcome> {
        try {
            return await exportImage({
                image: `${registry.host}/app:${tag}`,
                destination: "s3://bucket/app.tar",
                env: s3.env,
                retryPolicy: { ...quickRetries, attempts: 8, maxDelayMs: 40, baseDelayMs: 10 },
            });
        } catch (error) {
            assert.ok(error instanceof ExportError, String(error));
            return error;
        }
    }

    /** One archive with its own record; and every export either reports just these, or what it wrote itself, or fails. */
    async function assertSettled(outcomes: readonly Outcome[], what: string): Promise<void> {
        const { problems } = await verifyObject(s3, "app.tar");
        assert.deepEqual(problems, [], what);
        const record = recordOf(s3.objects.get("bucket/app.tar.json")?.body.toString());
        const results = outcomes.filter((outcome): outcome is ExportOutcome => !(outcome instanceof ExportError));
        assert.ok(
            results.some(({ skipped, sha256 }) => !skipped && sha256 === record.archive.sha256),
            `${what}: nobody reports the archive that is there`,
        );
        for (const outcome of outcomes) {
            if (outcome instanceof ExportError) {
                assert.equal(outcome.name, "ExportFailed", what);
                assert.match(outcome.message, /^Another export wrote s3:\/\/bucket\/app\.tar at the same time/);
            }
        }
        assert.equal(s3.uploads.size, 0, what);
    }

    for (const versioned of [true, false]) {
        for (const [first, second] of versioned ? pairs.versioned : pairs.unversioned) {
            it(`${first} overtaken by ${second} at each of its requests, ${versioned ? "with" : "without"} versions`, async () => {
                for (let at = 1; ; at++) {
                    s3.versioned = versioned;
                    s3.objects.clear();
                    const halt = haltAt(s3, at);
                    const slow = run(first);
                    const isOver = await Promise.race([slow.then(() => true), halt.reached.then(() => false)]);
                    if (isOver) {
                        assert.ok(at > 6, "an export takes more requests");
                        return;
                    }
                    const fast = await run(second);
                    halt.release();
                    await assertSettled([await slow, fast], `halted at request ${at}`);
                }
            });
        }

        it(`three at a time, in any order, ${versioned ? "with" : "without"} versions`, async () => {
            s3.versioned = versioned;
            for (let seed = 1; seed <= seeds; seed++) {
                const random = pseudoRandom(seed);
                s3.objects.clear();
                s3.gate = () => sleep(random() * 8);
                const tags = ["small", "other", random() < 0.5 ? "small" : "large"];
                await assertSettled(await Promise.all(tags.map(run)), `seed ${seed}`);
            }
        });
    }

    it("leaves two equal exports with one result", async () => {
        s3.versioned = true;
        const halt = haltAt(s3, 6); // its archive is written, its record is not
        const slow = run("small");
        await halt.reached;
        const fast = await run("small");
        halt.release();
        const [first, second] = [await slow, fast];
        assert.ok(!(first instanceof ExportError) && !(second instanceof ExportError));
        assert.deepEqual([first.skipped, second.skipped], [true, false]);
        assert.equal(first.artifactVersionId, second.artifactVersionId);
    });

    it("does not report the archive of an export that never wrote its record", async () => {
        s3.versioned = true;
        const halt = haltAt(s3, 6);
        const slow = run("small");
        await halt.reached;
        const archive = s3.objects.get("bucket/app.tar") ?? assert.fail("no archive");
        archive.headers["x-amz-version-id"] = "of-an-export-that-was-killed";
        halt.release();
        const outcome = await slow;
        assert.ok(outcome instanceof ExportError);
        assert.match(outcome.message, /at the same time, and finding its record failed/);
        assert.equal(s3.objects.has("bucket/app.tar.json"), false);
    });
}

/** Halts the n-th request from now on, and lets all others pass. */
function haltAt(s3: FakeS3, at: number): { reached: Promise<void>; release: () => void } {
    let count = 0;
    let reach = (): void => undefined;
    let release = (): void => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    s3.gate = async () => {
        count += 1;
        if (count === at) {
            reach();
            await released;
        }
    };
    return { reached, release };
}
