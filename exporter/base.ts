/** The base of a delta: the earlier archive that the other side has. Its record tells what is in it; the archive is not read. */
import { ExportError } from "../contract/errors";
import type { ImageReference } from "../contract/image";
import { type ExportRecord, exportsOf, type RecordedImage, type Since } from "../contract/record";

/** A base, and the images that it gives, with the layers that it leaves out itself. */
export interface Base extends Pick<Since, "key" | "versionId" | "sha256" | "chain"> {
    readonly images: readonly RecordedImage[];
}

/** The archives among which bases are. */
export interface Archives {
    /** The keys in the folder of the archive that is made, the newest first, without its own. */
    newest(): Promise<readonly string[]>;
    /** The record of the archive at a key; undefined where there is none, it describes another, or what is made replaces it. */
    recordAt(key: string): Promise<ExportRecord | undefined>;
}

/** Archives that are looked at for the newest one of an image. */
const candidateLimit = 200;

/**
 * The base at a key, with all that it needs itself.
 *
 * @throws ExportError `InvalidInput` where there is none, or where it cannot be one; the message says what to name instead
 */
export async function findBase(key: string, archives: Archives): Promise<Base> {
    const record = await archives.recordAt(key);
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
export async function isUsable(since: Since | null, archives: Archives): Promise<boolean> {
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
export async function findNewestBase(
    { registry, repository }: ImageReference,
    platform: string,
    archives: Archives,
): Promise<Base | undefined> {
    for (const key of (await archives.newest()).slice(0, candidateLimit)) {
        const record = await archives.recordAt(key);
        if (record === undefined || "set" in record || record.platform !== platform) continue;
        const isOfRepository = [":", "@"].some((end) => record.imageName.startsWith(`${registry}/${repository}${end}`));
        if (!isOfRepository) continue;
        const base = await findBase(key, archives).catch((error: unknown) => {
            if (error instanceof ExportError && error.name === "InvalidInput") return undefined;
            throw error;
        });
        if (base !== undefined) return base;
    }
    return undefined;
}
