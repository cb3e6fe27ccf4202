/**
 * What an archive leaves out: the layers of its base, an earlier archive that the other side has. The base's record tells what is in
 * it; the base is not read.
 */
import { ExportError } from "../contract/errors";
import { platformText } from "../contract/platform";
import { type ExportRecord, exportsOf, missingIn, type RecordedImage, type Since } from "../contract/record";
import { latest, type RequestedSince } from "../contract/request";
import { missingLayers } from "./archive/delta";
import { planArchive } from "./archive/plan";
import type { FoundImage } from "./images";
import type { RegistryOptions } from "./registry/registry";

/** A base, and the images that it gives, with the layers that it leaves out itself. */
interface Base extends Pick<Since, "key" | "versionId" | "sha256" | "chain"> {
    readonly images: readonly RecordedImage[];
}

/** The archives among which bases are. */
export interface Archives {
    /** The keys in the folder of the archive that is made, the newest first, without its own. */
    newest(): Promise<readonly string[]>;
    /** The record of the archive at a key; undefined where there is none, it describes another, or what is made replaces it. */
    recordAt(key: string): Promise<ExportRecord | undefined>;
    /** When the archive at a key will be deleted, in the words of the store; undefined where it stays. */
    expiryOf(key: string): Promise<string | undefined>;
}

/** Archives that are looked at for the newest one of an image. */
const candidateLimit = 200;
/** Archives that the newest base may need itself: whoever is at the other side has to have all of them. */
const chainLimit = 10;

/**
 * The base at a key, with all that it needs itself.
 *
 * @throws ExportError `InvalidInput` where there is none, or where it cannot be one; the message says what to name instead
 */
async function findBase(key: string, record: ExportRecord | undefined, archives: Archives): Promise<Base> {
    const refused = (why: string): ExportError =>
        new ExportError("InvalidInput", `since is ${JSON.stringify(key)}: ${why}`);
    if (record === undefined) throw refused("there is no archive with its record. Name one that is there.");
    if (record.engine.name !== "stream") throw refused("it is of engine docker, which unpacks layers. Name another.");
    const { archive, since } = record;
    const chain = linksOf(since);
    const { gone, whole } = await lookAt(chain, archives);
    if (gone !== undefined) {
        const advice = whole === undefined ? "one that is whole" : `${JSON.stringify(whole)} instead`;
        throw refused(
            `it needs ${JSON.stringify(gone)}, which is no longer there as it was, or which this export replaces. Name ${advice}.`,
        );
    }
    const images = exportsOf(record).flatMap((each) => each.images);
    return { key, versionId: archive.versionId, sha256: archive.sha256, chain, images };
}

/** Whether all that a delta needs is there. */
async function isUsable(since: Since | null, archives: Archives): Promise<boolean> {
    return (await lookAt(linksOf(since), archives)).gone === undefined;
}

/** What a delta needs, the nearest first. */
function linksOf(since: Since | null): Since["chain"] {
    const links = since === null ? [] : [since, ...since.chain];
    return links.map(({ key, versionId, sha256 }) => ({ key, versionId, sha256 }));
}

/** @returns the farthest link that is gone, and the archive before it, which needs nothing that is */
async function lookAt(
    chain: Since["chain"],
    archives: Archives,
): Promise<{ gone?: string; whole?: string | undefined }> {
    let whole: string | undefined;
    for (const { key, versionId, sha256 } of [...chain].reverse()) {
        const there = (await archives.recordAt(key))?.archive;
        if (there?.sha256 !== sha256 || there.versionId !== versionId) return { gone: key, whole };
        whole = key;
    }
    return {};
}

/** The newest base that is an archive of the same repository and platform; undefined where there is none. */
async function findNewestBase({ reference, platform }: FoundImage, archives: Archives): Promise<Base | undefined> {
    const { registry, repository } = reference;
    for (const key of (await archives.newest()).slice(0, candidateLimit)) {
        const record = await archives.recordAt(key);
        if (record === undefined || "set" in record || record.platform !== platformText(platform)) continue;
        const isOfRepository = [":", "@"].some((end) => record.imageName.startsWith(`${registry}/${repository}${end}`));
        if (!isOfRepository) continue;
        const base = await findBase(key, record, archives).catch((error: unknown) => {
            if (error instanceof ExportError && error.name === "InvalidInput") return undefined;
            throw error;
        });
        if (base !== undefined && base.chain.length < chainLimit) return base;
    }
    return undefined;
}

/**
 * What an archive leaves out.
 *
 * @param options its own key, whether it is that of a set, and who is told
 * @param found what it is made of
 * @param known that of the archive that is there, should it be of the same images: with `latest` it stays
 * @returns null where the archive is to be whole, which `onNote` is told with the reason
 * @throws ExportError `InvalidInput` as {@link findBase} does, and for a base that cannot be meant
 */
export async function findSince(
    { key: own, isSet, onNote }: { readonly key: string; readonly isSet: boolean } & Pick<RegistryOptions, "onNote">,
    since: RequestedSince,
    found: readonly FoundImage[],
    archives: Archives,
    known: Since | null | undefined,
): Promise<Since | null> {
    const { key, for: receiver = "docker" } = typeof since === "string" ? { key: since } : since;
    const isLatest = key === latest;
    if (key === own || (isSet && isLatest)) {
        const why = isLatest ? "a set has no newest archive of its own" : "an archive is no base of what replaces it";
        throw new ExportError("InvalidInput", `since is ${JSON.stringify(key)}: ${why}. Name another archive.`);
    }
    const isKnown = known !== undefined && (known?.for ?? receiver) === receiver;
    if (isLatest && isKnown && (await isUsable(known, archives))) return known;
    const [first] = found;
    const base =
        isLatest && first
            ? await findNewestBase(first, archives)
            : await findBase(key, await archives.recordAt(key), archives);
    if (base === undefined) {
        onNote?.("There is no earlier archive of the repository and platform: this one is whole.");
        return null;
    }
    const images = found.map(({ image }) => image);
    const { images: based, ...link } = base;
    const missing = missingLayers(images, based, receiver);
    const whole = planArchive(images).sizeBytes;
    const savedBytes = whole - planArchive(images, missingIn({ since: { missing } })).sizeBytes;
    if (savedBytes < whole / 10) {
        const saved = `${savedBytes} of ${whole} bytes would be saved, less than a tenth`;
        onNote?.(`Without the layers of ${base.key} ${saved}: this archive is whole.`);
        return null;
    }
    for (const { key: needed } of [base, ...base.chain]) {
        const expires = await archives.expiryOf(needed);
        if (expires !== undefined) onNote?.(`This archive needs ${needed}, which expires on ${expires}.`);
    }
    return { ...link, for: receiver, savedBytes, missing };
}
