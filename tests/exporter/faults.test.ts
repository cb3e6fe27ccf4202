import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import { exportImage } from "../../exporter/exportImage";
import { exitStatuses, ExportError } from "../../contract/errors";
import { verifyArchive } from "../../exporter/archive/verify";
import { type FakeRegistry, startRegistry } from "./support/fakeRegistry";
import { type FakeS3, startS3 } from "./support/fakeS3";
import type { Fault, FaultRule } from "./support/faults";
import { addImage, emptyRepository, fileLayer, pseudoRandom, randomBytesOf, type Repository } from "./support/images";
import { quickRetries } from "./support/quick";
import { verifyObject } from "./support/verifyExport";

const mebibyte = 1024 ** 2;
const seeds = Array.from({ length: 100 }, (_, at) => at + 1);

type Random = () => number;
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
function pick<T>(random: Random, items: readonly T[]): T {
    return items[below(random, items.length)] as T;
}

function registryFault(random: Random): Fault {
    const afterBytes = below(random, 3 * mebibyte);
    return pick<Fault>(random, [
        { kind: "status", status: pick(random, [429, 500, 502, 503, 404, 403]), retryAfter: "0" },
        { kind: "reset", afterBytes },
        { kind: "stall", afterBytes },
        { kind: "corrupt", atByte: afterBytes },
        { kind: "short", bytes: afterBytes },
        { kind: "lostAnswer" },
    ]);
}

function storeFault(random: Random): Fault {
    return pick<Fault>(random, [
        { kind: "status", status: pick(random, [429, 500, 503, 403]), retryAfter: "0" },
        { kind: "reset", afterBytes: 0 },
        { kind: "stall", afterBytes: 0 },
        { kind: "corrupt", atByte: 0 },
        { kind: "lostAnswer" },
    ]);
}

/** One to six faults in a row, somewhere in an export: sometimes more than the retries get over. */
function somewhere(random: Random, fault: Fault): FaultRule {
    const first = 1 + below(random, 12);
    const length = 1 + below(random, 6);
    return ({ count }) => (count >= first && count < first + length ? fault : undefined);
}

describe("faults in random places", () => {
    let repository: Repository;
    before(() => {
        repository = emptyRepository("app");
        const layers = [5.3, 5.3, 0.1].map((size, at) => fileLayer(`f${at}`, randomBytesOf(size * mebibyte, at)));
        addImage(repository, { layers, tag: "1" });
    });

    async function runWithFaults(seed: number, registry: FakeRegistry, s3: FakeS3): Promise<"done" | ExportError> {
        const random = pseudoRandom(seed);
        registry.options.redirectUses = pick(random, [Infinity, 1, 2, 50]);
        registry.options.login = pick(random, ["none", "basic", "bearer"]);
        registry.options.tokenUses = pick(random, [1, 3, 50]);
        if (random() < 0.5) {
            registry.options.fault = somewhere(random, registryFault(random));
        } else {
            s3.fault = somewhere(random, storeFault(random));
        }
        try {
            await exportImage({
                image: `${registry.host}/app:1`,
                destination: "s3://bucket/app.tar",
                env: s3.env,
                concurrency: pick(random, [1, 3, 8]),
                retryPolicy: quickRetries,
                idleTimeoutMs: 600,
                credentials: () => Promise.resolve({ username: "user", password: "secret" }),
            });
            return "done";
        } catch (error) {
            assert.ok(error instanceof ExportError, `seed ${seed} ended in ${String(error)}`);
            return error;
        }
    }

    async function assertOutcome(seed: number): Promise<string> {
        const [registry, s3] = await Promise.all([startRegistry({ repository }), startS3()]);
        try {
            const outcome = await runWithFaults(seed, registry, s3);
            s3.fault = undefined;
            assert.deepEqual([...s3.uploads.keys()], [], `seed ${seed} leaves an upload`);
            if (outcome === "done") {
                const { problems } = await verifyObject(s3, "app.tar");
                assert.deepEqual(problems, [], `seed ${seed} made a wrong archive`);
                return "done";
            }
            assert.ok(outcome.name in exitStatuses, `seed ${seed} ended in ${outcome.name}`);
            const left = s3.objects.get("bucket/app.tar");
            const isWhole = outcome.message.includes("is complete, but its record could not be written");
            assert.equal(left !== undefined, isWhole, `seed ${seed} failed with ${outcome.message}`);
            assert.equal(s3.objects.get("bucket/app.tar.json"), undefined, `seed ${seed} left a record`);
            if (left) {
                const { problems } = await verifyArchive(Readable.from([left.body]));
                assert.deepEqual(problems, [], `seed ${seed} left a wrong archive`);
            }
            return isWhole ? "unrecorded" : outcome.name;
        } finally {
            await Promise.all([registry.close(), s3.close()]);
        }
    }

    it("end in a good archive or in a named error with no record and no broken archive, 100 times", async function () {
        this.timeout(60_000);
        const outcomes = new Map<string, number>();
        for (let at = 0; at < seeds.length; at += 25) {
            for (const outcome of await Promise.all(seeds.slice(at, at + 25).map(assertOutcome))) {
                outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
            }
        }
        // Both ends have to be seen, or the faults are not what they are meant to be.
        const done = outcomes.get("done") ?? 0;
        assert.ok(done >= 40 && done <= 95, `${done} exports succeeded: ${JSON.stringify([...outcomes])}`);
        assert.ok(outcomes.size >= 4, JSON.stringify([...outcomes]));
    });
});
