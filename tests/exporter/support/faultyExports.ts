import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import { exportImage } from "../../../exporter/exportImage";
import { ExportError, exportErrors } from "../../../contract/errors";
import { verifyArchive } from "../../../exporter/archive/verify";
import { type FakeRegistry, startRegistry } from "./fakeRegistry";
import { type FakeS3, startS3 } from "./fakeS3";
import type { Fault, FaultRule } from "./faults";
import { addImage, emptyRepository, fileLayer, pseudoRandom, randomBytesOf, type Repository } from "./images";
import { quickIdleTimeoutMs, quickRetries } from "./quick";
import { verifyObject } from "./verifyExport";

const mebibyte = 1024 ** 2;

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
function somewhere(random: Random, requests: number, fault: Fault): FaultRule {
    const first = 1 + below(random, requests);
    const length = 1 + below(random, 6);
    return ({ count }) => (count >= first && count < first + length ? fault : undefined);
}

/** Of an archive of three parts. */
const layers = [5.3, 5.3, 0.1].map((size, at) => fileLayer(`f${at}`, randomBytesOf(size * mebibyte, at)));
/** Images that share layers, of two repositories. */
const setOf = (host: string): string[] => ["app:1", "app:2", "team/app:1"].map((name) => `${host}/${name}`);

type Repositories = readonly [Repository, ...Repository[]];

async function runWithFaults(seed: number, registry: FakeRegistry, s3: FakeS3): Promise<"done" | ExportError> {
    const random = pseudoRandom(seed);
    registry.options.redirectUses = pick(random, [Infinity, 1, 2, 50]);
    registry.options.login = pick(random, ["none", "basic", "bearer"]);
    registry.options.tokenUses = pick(random, [1, 3, 50]);
    const isOfRegistry = random() < 0.5;
    const fault = isOfRegistry ? registryFault(random) : storeFault(random);
    // Every third export is a set.
    const isSet = seed % 3 === 0;
    const rule = somewhere(random, isSet ? 24 : 12, fault);
    if (isOfRegistry) registry.options.fault = rule;
    else s3.fault = rule;
    try {
        await exportImage({
            image: isSet ? setOf(registry.host) : `${registry.host}/app:1`,
            destination: "s3://bucket/app.tar",
            env: s3.env,
            concurrency: pick(random, [1, 3, 8]),
            retryPolicy: quickRetries,
            // Where nothing stalls, no answer is given up on a busy machine.
            idleTimeoutMs: fault.kind === "stall" ? quickIdleTimeoutMs : 30_000,
            credentials: () => Promise.resolve({ username: "user", password: "secret" }),
        });
        return "done";
    } catch (error) {
        assert.ok(error instanceof ExportError, `seed ${seed} ended in ${String(error)}`);
        return error;
    }
}

async function outcomeOf(seed: number, [repository, ...others]: Repositories): Promise<string> {
    const [registry, s3] = await Promise.all([startRegistry({ repository, others }), startS3()]);
    try {
        const outcome = await runWithFaults(seed, registry, s3);
        s3.fault = undefined;
        // Nor can one be taken back where the last that S3 says to that is a fault.
        const isRefused = s3.requests.findLast(({ method }) => method === "DELETE")?.fault !== undefined;
        // An upload whose creation was not answered is found in a list, unless the faults outlast that as well.
        const lists = s3.requests.filter(({ method, url }) => method === "GET" && url.includes("uploads"));
        const isListed = lists.length < quickRetries.attempts;
        assert.ok(
            s3.uploads.size === 0 || !isListed || isRefused,
            `seed ${seed} leaves ${[...s3.uploads.keys()].join()}`,
        );
        if (outcome === "done") {
            const { problems } = await verifyObject(s3, "app.tar");
            assert.deepEqual(problems, [], `seed ${seed} made a wrong archive`);
            return "done";
        }
        assert.ok(outcome.name in exportErrors, `seed ${seed} ended in ${outcome.name}`);
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

/**
 * Exports with faults in random places, a few at a time: each ends in a good archive, or in a named error with no record and no
 * broken archive.
 *
 * @returns how often each outcome was seen: `done`, `unrecorded`, or the name of an error.
 */
export async function exportWithFaults(seeds: readonly number[], atATime: number): Promise<Map<string, number>> {
    const repositories: Repositories = [emptyRepository("app"), emptyRepository("team/app")];
    for (const each of repositories) addImage(each, { layers, tag: "1" });
    addImage(repositories[0], { layers: layers.slice(1), tag: "2" });
    const left = [...seeds];
    const outcomes = new Map<string, number>();
    const exportOneByOne = async (): Promise<void> => {
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
            const outcome = await outcomeOf(seed, repositories);
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
    };
    await Promise.all(Array.from({ length: atATime }, exportOneByOne));
    return outcomes;
}
