/** Releases one after the other, as random as sets: what each is asked for as, and what it left out of its archive should be. */
import * as assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { type ExportRecord, exportsOf, type RecordedImage } from "../../../contract/record";
import { type Receiver, receivers, type RequestedImage } from "../../../contract/request";
import { mergeArchives } from "../../../exporter/archive/merge";
import { readArchive } from "../../../exporter/archive/readArchive";
import { verifyArchive } from "../../../exporter/archive/verify";
import { exportImage } from "../../../exporter/exportImage";
import type { Descriptor } from "../../../exporter/registry/manifest";
import { anyRecordOf } from "../../support/readRecord";
import { flip } from "./damage";
import { startRegistry } from "./fakeRegistry";
import {
    addBlob,
    addImage,
    addIndex,
    addManifest,
    addReferrer,
    emptyRepository,
    type Family,
    mediaTypes,
    pseudoRandom,
    randomBytesOf,
    type Repository,
} from "./images";
import { quickRetries } from "./quick";
import { below, layerPair, pick } from "./randomSets";

type Random = () => number;

/** Layers that all releases choose from, each as two builders compress it. */
const layers = Array.from({ length: 16 }, (_, at) =>
    layerPair(`layer-${at}`, randomBytesOf([0, 1, 700, 9_000, 60_000][at % 5] ?? 0, at)),
);

/** Layers of an image, the lowest first: which of {@link layers}, and by which builder. */
type Stack = [layer: number, builder: number][];

function anyLayer(random: Random): Stack[number] {
    return [below(random, layers.length), below(random, 2)];
}

/** What happens to the layers of an image from one release to the next. */
const changes: readonly ((random: Random, stack: Stack, at: number) => void)[] = [
    (random, stack) => stack.push(anyLayer(random)),
    (random, stack) => stack.push(anyLayer(random)),
    (random, stack, at) => stack.splice(at, 0, anyLayer(random)),
    (_, stack, at) => stack.splice(at, 1),
    (_, stack, at) => stack.push(...stack.splice(at, 1)),
    (_, stack, at) => stack.push(...stack.slice(at, at + 1)),
    (_, stack, at) =>
        stack.splice(at, 1, ...stack.slice(at, at + 1).map(([layer, by]): Stack[number] => [layer, 1 - by])),
    () => undefined,
];

function changed(random: Random, stack: Stack): Stack {
    const copy = [...stack];
    for (let count = 1 + below(random, 2); count > 0; count--) {
        pick(random, changes)(random, copy, below(random, copy.length));
    }
    return copy.length === 0 ? [anyLayer(random)] : copy;
}

const kinds = ["image", "image", "image", "index", "index", "artifact"] as const;

/** One name of a release. */
interface Product {
    readonly kind: (typeof kinds)[number];
    readonly platform: string | undefined;
    readonly stacks: readonly Stack[];
}

function productOf(random: Random): Product {
    const kind = pick(random, kinds);
    const platforms = { image: [undefined, "all"], index: [undefined, "linux/arm64", "all", "all"], artifact: ["all"] };
    const stacks = Array.from({ length: 3 }, () =>
        Array.from({ length: 1 + below(random, 5) }, () => anyLayer(random)),
    );
    return { kind, platform: pick(random, platforms[kind]), stacks };
}

/** Puts a release of a product into a repository. */
function addProduct(random: Random, repository: Repository, { kind, platform, stacks }: Product): Descriptor {
    const family = pick<Family>(random, ["oci", "docker"]);
    const [one, arm, windows] = stacks.map((stack) => stack.map(([layer, by]) => layers[layer]?.[by] ?? assert.fail()));
    if (kind === "artifact") {
        return addArtifact(
            repository,
            (one ?? []).map(({ bytes }) => bytes),
        );
    }
    const isArm = platform === "all" && random() < 0.5;
    if (kind === "image") {
        return addImage(repository, { layers: one ?? [], family, ...(isArm && { architecture: "arm64" }) });
    }
    const images = [
        addImage(repository, { layers: one ?? [], family }),
        // The configuration says less than the index does.
        {
            ...addImage(repository, { layers: arm ?? [], family, architecture: "arm64" }),
            platform: { os: "linux", architecture: "arm64", variant: "v8" },
        },
        ...(random() < 0.3 ? [addImage(repository, { layers: windows ?? [], family, os: "windows" })] : []),
    ];
    return addIndex(repository, images, { family, attestation: random() < 0.5 });
}

/** What is no image and has blobs that may be layers of images. */
function addArtifact(repository: Repository, blobs: readonly Buffer[], subject?: Descriptor): Descriptor {
    const { manifest, config } = mediaTypes.oci;
    const document = {
        schemaVersion: 2,
        mediaType: manifest,
        artifactType: "application/x-any",
        config: addBlob(repository, Buffer.from("{}"), `${config}.no`),
        layers: blobs.map((bytes) => addBlob(repository, bytes, "application/octet-stream")),
        ...(subject && { subject }),
    };
    return addManifest(repository, document, manifest);
}

/** What was seen of releases. */
type Seen = Awaited<ReturnType<typeof checkReleases>>;

/** Checks releases of each seed, some of them at a time. */
export async function checkDeltas(seeds: number): Promise<Seen[]> {
    const left = Array.from({ length: seeds }, (_, at) => at + 1);
    const seen: Seen[] = [];
    const checkOneByOne = async (): Promise<void> => {
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) seen.push(await checkReleases(seed));
    };
    await Promise.all(Array.from({ length: 4 }, checkOneByOne));
    return seen;
}

/** Makes 2 to 6 releases, each exported since the one before it, and merges them one after the other. */
async function checkReleases(seed: number) {
    const random = pseudoRandom(seed);
    const repository = emptyRepository("team/app");
    const registry = await startRegistry({ repository });
    const folder = await mkdtemp(path.join(tmpdir(), "deltas-"));
    const at = (name: string): string => path.join(folder, `${name}.tar`);
    const recordAt = async (name: string) => anyRecordOf(await readFile(`${at(name)}.json`, "utf8"));
    const isSet = random() < 0.3;
    const receiver = pick(random, [...receivers, undefined]);
    const referrers = random() < 0.4;
    const isMovedTag = random() < 0.5;
    let products = Array.from({ length: isSet ? 1 + below(random, 4) : 1 }, () => productOf(random));
    const seen = { deltas: 0, whole: 0, longestChain: 0 };
    /** What the other side has: the last release as a whole. */
    let held = "";
    try {
        for (let release = 0; release < 2 + below(random, 5); release++) {
            const images = products.map((product, place): Exclude<RequestedImage, string> => {
                const root = addProduct(random, repository, product);
                const tag = `p${place}${isMovedTag ? "" : `-${release}`}`;
                repository.tags.set(tag, root.digest);
                if (random() < 0.5) addReferrer(repository, root, { content: pick(random, ["a", "b"]) });
                if (random() < 0.3) addArtifact(repository, [pick(random, pick(random, layers)).bytes], root);
                return { imageUri: `${registry.host}/team/app:${tag}`, platform: product.platform };
            });
            const [first = assert.fail()] = images;
            const run = (name: string, since?: string) =>
                exportImage({
                    image: isSet ? images : first.imageUri,
                    platform: isSet ? undefined : first.platform,
                    destination: at(name),
                    referrers,
                    retryPolicy: quickRetries,
                    ...(since !== undefined && { since: receiver ? { key: at(since), for: receiver } : at(since) }),
                });
            await run(`full-${release}`);
            const full = await readFile(at(`full-${release}`));
            if (release === 0) {
                held = "full-0";
            } else {
                const [base, delta] = [release === 1 ? "full-0" : `delta-${release - 1}`, `delta-${release}`];
                const { baseSha256 } = await run(delta, base);
                const [baseRecord, record] = [await recordAt(base), await recordAt(delta)];
                await assertLeftOut(record, baseRecord, at(`full-${release}`), receiver ?? "docker");
                assert.equal(baseSha256, record.since === null ? null : baseRecord.archive.sha256);
                await assertGood(at(delta), record);
                if (record.since === null) {
                    seen.whole += 1;
                    assert.ok((await readFile(at(delta))).equals(full), "a whole archive has other bytes");
                    held = delta;
                } else {
                    seen.deltas += 1;
                    const bytes = await readFile(at(held));
                    await writeFile(at("damaged"), flip(bytes, below(random, bytes.length), 1));
                    await writeFile(`${at("damaged")}.json`, await readFile(`${at(held)}.json`));
                    const wrong = pick(random, ["damaged", "damaged", "full-0", `full-${release}`, delta]);
                    const isRight =
                        wrong !== "damaged" && (await recordAt(wrong)).archive.sha256 === record.since.sha256;
                    if (!isRight) {
                        await assert.rejects(
                            mergeArchives(at(wrong), at(delta), at("wrong")),
                            /the delta needs/,
                            wrong,
                        );
                    }
                    seen.longestChain = Math.max(seen.longestChain, record.since.chain.length + 1);
                    const merged = await mergeArchives(at(held), at(delta), at(`merged-${release}`));
                    assert.ok((await readFile(at(`merged-${release}`))).equals(full), "merged to other bytes");
                    await assertGood(at(`merged-${release}`), merged);
                    assert.deepEqual(merged, await recordAt(`merged-${release}`));
                    const { mergedFrom, time, ...others } = merged;
                    const { mergedFrom: none, time: another, ...expected } = await recordAt(`full-${release}`);
                    assert.deepEqual([mergedFrom, none, time !== ""], [record.archive.sha256, null, another !== ""]);
                    assert.deepEqual(others, expected);
                    held = `merged-${release}`;
                }
            }
            products = products.map((product) => {
                return { ...product, stacks: product.stacks.map((stack) => changed(random, stack)) };
            });
            if (isSet && random() < 0.3) products.push(productOf(random));
        }
        assert.ok(
            (await readdir(folder)).every((name) => /\.tar(?:\.json)?$/.test(name)),
            "something was left",
        );
        return seen;
    } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    } finally {
        await Promise.all([registry.close(), rm(folder, { recursive: true })]);
    }
}

async function assertGood(file: string, record: ExportRecord): Promise<void> {
    const { problems } = await verifyArchive(createReadStream(file), record, { deep: true });
    assert.deepEqual(problems, [], path.basename(file));
}

/** Holds what a delta leaves out against the rule, read in the whole archive and in the records. */
async function assertLeftOut(
    { since, archive }: ExportRecord,
    base: ExportRecord,
    full: string,
    receiver: Receiver,
): Promise<void> {
    const { files, sizeBytes } = await readArchive(createReadStream(full));
    const whole = anyRecordOf(await readFile(`${full}.json`, "utf8"));
    const [images, based] = [whole, base].map((each) => exportsOf(each).flatMap((exported) => exported.images));
    const stackOf = ({ layers: listed, diffIds }: RecordedImage): string[] =>
        (listed ?? []).map(({ digest }, place) => `${digest} ${String(diffIds?.[place])}`);
    const bases = (based ?? []).map(stackOf);
    const has = (stack: readonly string[], place: number): boolean =>
        receiver === "docker"
            ? bases.some((other) => stack.slice(0, place + 1).every((layer, below) => layer === other[below]))
            : bases.some((other) => other.some((layer) => layer.slice(0, 71) === stack[place]?.slice(0, 71)));
    const stacks = (images ?? []).map(stackOf);
    const known = new Set((images ?? []).map(({ configDigest }) => configDigest));
    /** Blobs of what is no image. */
    const others = [...files.values()].flatMap(({ content }) => {
        const { config, layers: listed } = (content ? JSON.parse(content.toString()) : {}) as {
            config?: { digest?: string };
            layers?: readonly { digest: string }[];
        };
        return listed === undefined || known.has(config?.digest ?? "") ? [] : listed.map(({ digest }) => digest);
    });
    const expected = new Map(
        stacks.flat().flatMap((layer): [string, number][] => {
            const digest = layer.slice(0, 71);
            const isNeeded = stacks.some((stack) =>
                stack.some((each, place) => each.startsWith(digest) && !has(stack, place)),
            );
            const file = files.get(`blobs/${digest.replace(":", "/")}`);
            return isNeeded || others.includes(digest) ? [] : [[digest, file?.sizeBytes ?? 0]];
        }),
    );
    const saved = [...expected.values()].reduce((sum, size) => sum + 512 + Math.ceil(size / 512) * 512, 0);
    if (saved < sizeBytes / 10) {
        assert.equal(since, null);
        return;
    }
    const missing = since?.missing.map(({ digest, sizeBytes: size }): [string, number] => [digest, size]);
    assert.deepEqual(new Map(missing), expected);
    assert.deepEqual([missing?.length, since?.savedBytes, since?.for], [expected.size, saved, receiver]);
    assert.equal(archive.sizeBytes, sizeBytes - saved);
}
