/** Sets as nobody would write them by hand: registries, what is in them, and what is asked of them. */
import * as assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { tarHeader, trailer } from "../../../exporter/archive/tar";
import type { RequestedImage } from "../../../contract/request";
import type { Descriptor } from "../../../exporter/registry/manifest";
import { type FakeRegistry, startRegistry } from "./fakeRegistry";
import {
    addBlob,
    addImage,
    addIndex,
    addManifest,
    digestOf,
    emptyRepository,
    type Family,
    mediaTypes,
    pseudoRandom,
    randomBytesOf,
    type Repository,
} from "./images";

type Random = () => number;
type Layer = Parameters<typeof addImage>[1]["layers"][number];

export const below = (random: Random, limit: number): number => Math.floor(random() * limit);
export function pick<T>(random: Random, items: readonly T[]): T {
    return items[below(random, items.length)] as T;
}

/** The same values in another order. */
function shuffled<T>(random: Random, values: readonly T[]): T[] {
    return values
        .map((value) => [random(), value] as const)
        .sort(([one], [other]) => one - other)
        .map(([, value]) => value);
}

/** A layer as two builders compress it: what is in it is the same, its digest is not. */
export function layerPair(name: string, content: Buffer): [Layer, Layer] {
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    const tar = Buffer.concat([tarHeader(name, content.length), content, padding, trailer]);
    const [diffId, levels] = [digestOf(tar), [0, 9] as const];
    const [one, other] = levels.map((level) => ({ diffId, bytes: gzipSync(tar, { level }) }));
    return [one ?? assert.fail(), other ?? assert.fail()];
}

/** Layers that the images of all sets choose from, so that they overlap within a set and across repositories. */
const layers = Array.from({ length: 14 }, (_, at) =>
    layerPair(`layer-${at}`, randomBytesOf([0, 1, 700, 9_000, 60_000][at % 5] ?? 0, at)),
);

const repositoryNames = ["app", "team/app", "team/deep/er/app", "a-b_c.d/app", "x/app"];
// Among them those that Docker's names of the platforms of an index would take.
const tags = ["1", "1.2", "latest", "1-linux-arm64", "1-linux-arm64-v8", "A_b.C", "t".repeat(128)];

/** What may be asked of one name: the platforms, and whether it has a digest. */
interface Offer {
    readonly name: string;
    readonly digest: string;
    readonly platforms: readonly (string | undefined)[];
}

function imageOf(random: Random, repository: Repository, platform = {}): Descriptor {
    const chosen = shuffled(random, layers).slice(0, 1 + below(random, 6));
    const family = pick<Family>(random, ["oci", "docker"]);
    return addImage(repository, { layers: chosen.map((pair) => pick(random, pair)), family, ...platform });
}

const arm = { architecture: "arm64", variant: "v8" };
const windows = { os: "windows" };

/** Makers of what a tag can mean, each with the platforms that it can be asked for; undefined is the default. */
const makers: readonly ((random: Random, repository: Repository) => [Descriptor, (string | undefined)[]])[] = [
    (random, repository) => [imageOf(random, repository), [undefined, "linux/amd64", "linux/x86_64", "all"]],
    (random, repository) => [imageOf(random, repository, arm), ["linux/arm64", "linux/arm64/v8", "all"]],
    (random, repository) => [imageOf(random, repository, windows), ["windows/amd64", "all"]],
    (random, repository) => {
        const images = [{}, arm, ...(random() < 0.3 ? [windows] : [])].map((each) => imageOf(random, repository, each));
        const options = { family: pick<Family>(random, ["oci", "docker"]), attestation: random() < 0.5 };
        return [addIndex(repository, images, options), [undefined, "linux/arm64", "all", "all"]];
    },
    (random, repository) => {
        const config = addBlob(repository, Buffer.from("{}"), "application/vnd.cncf.helm.config.v1+json");
        const chart = addBlob(repository, Buffer.from(`chart ${below(random, 3)}`), "application/gzip");
        const { manifest } = mediaTypes.oci;
        const document = { schemaVersion: 2, mediaType: manifest, config, layers: [chart] };
        return [addManifest(repository, document, manifest), ["all"]];
    },
];

/** Registries with repositories of random content. */
export async function startRegistries(random: Random) {
    const offers: Offer[] = [];
    const registries: FakeRegistry[] = [];
    for (let hosts = 1 + below(random, 3); hosts > 0; hosts--) {
        const names = shuffled(random, repositoryNames).slice(0, 1 + below(random, 3));
        const [repository = assert.fail(), ...others] = names.map(emptyRepository);
        const redirectUses = pick(random, [Infinity, undefined]);
        const login = pick(random, ["none", "basic", "bearer"] as const);
        const registry = await startRegistry({ repository, others, login, ...(redirectUses && { redirectUses }) });
        registries.push(registry);
        for (const each of [repository, ...others]) {
            const used = shuffled(random, tags).slice(0, 2 + below(random, 5));
            let made: ReturnType<(typeof makers)[number]> | undefined;
            for (const tag of used) {
                // The same image under several names, too.
                if (made === undefined || random() < 0.75) made = pick(random, makers)(random, each);
                const [{ digest }, platforms] = made;
                each.tags.set(tag, digest);
                offers.push({ name: `${registry.host}/${each.name}:${tag}`, digest, platforms });
                const byDigest = `${registry.host}/${each.name}@${digest}`;
                if (random() < 0.3) offers.push({ name: byDigest, digest, platforms });
            }
        }
    }
    return { registries, offers };
}

/** A set as it can be asked for in several ways: each of them means the same. */
export interface RandomSet {
    /** Each image once, with what it is known by. */
    readonly images: readonly { readonly imageUri: string; readonly platform: string | undefined; digest: string }[];
    /** Two requests for it: in another order, with doubles. */
    readonly requests: readonly [readonly RequestedImage[], readonly RequestedImage[]];
    readonly registries: readonly FakeRegistry[];
}

/** Starts the registries of a set of 1 to 30 images, and makes the set. */
export async function randomSet(seed: number): Promise<RandomSet> {
    const random = pseudoRandom(seed);
    const { registries, offers } = await startRegistries(random);
    const byName = new Map(shuffled(random, offers).map((offer) => [offer.name, offer]));
    const images = [...byName.values()].slice(0, 1 + below(random, 30)).map(({ name, digest, platforms }) => {
        const pinned = !name.includes("@") && random() < 0.15;
        return { imageUri: pinned ? `${name}@${digest}` : name, platform: pick(random, platforms), digest };
    });
    const asked = images.map(({ imageUri, platform }) => {
        return platform === undefined ? imageUri : { imageUri, platform };
    });
    const doubles = (): RequestedImage[] => shuffled(random, asked).slice(0, below(random, 4));
    const request = (): RequestedImage[] => shuffled(random, [...asked, ...doubles()]);
    return { images, requests: [request(), request()], registries };
}
