import { asExportError, ExportError } from "../../contract/errors";
import {
    type Descriptor,
    digestOf,
    foreignTypePattern,
    type ImageManifest,
    isContainerImage,
    isImageDescriptor,
    type Manifest,
    parseManifest,
    parseConfig,
    typeOf,
} from "./manifest";
import {
    choosePlatform,
    type Platform,
    platformMatches,
    type PlatformRequest,
    platformText,
} from "../../contract/platform";
import type { ImageReference } from "../../contract/image";
import type { RecordedReferrer } from "../../contract/record";
import { createLimit } from "../network/pool";
import type { Registry } from "./registry";

/** A manifest or index that goes into the archive, with its bytes. */
export interface ImageDocument {
    readonly descriptor: Descriptor;
    readonly bytes: Buffer;
    readonly manifest: Manifest;
}

/** The document that was asked for first, then those it points to, in its order. */
export type ImageDocuments = readonly [ImageDocument, ...ImageDocument[]];

/** What belongs to an image: a signature, an SBOM, an attestation, or what else points to it, to a manifest of it, or to another one. */
export interface Referrer extends RecordedReferrer {
    /** The manifest or index of that digest, then what an index leads to. */
    readonly documents: ImageDocuments;
}

/** Everything that an archive is planned from. */
export interface ResolvedImage {
    /** The name the archive carries. */
    readonly name: string;
    readonly documents: ImageDocuments;
    /** The index that one platform was chosen from. It is not in the archive unless a referrer points to it. */
    readonly index?: ImageDocument;
    /** The configurations that have been read, by their digests. */
    readonly configs: ReadonlyMap<string, Buffer>;
    /** What belongs to it, where that was asked for. */
    readonly referrers?: readonly Referrer[];
}

/** All documents of an image: its own, those of its referrers, and the index that it was chosen from where that has some. */
export function documentsOf({ documents, index, referrers = [] }: ResolvedImage): ImageDocument[] {
    const isSubject = referrers.some(({ subject }) => subject === index?.descriptor.digest);
    return [...documents, ...(index && isSubject ? [index] : []), ...referrers.flatMap((each) => each.documents)];
}

/** A configuration above this is refused, and of many those beyond it are not read: they are kept in memory. Docker's are a few KiB. */
const configLimitBytes = 32 * 1024 * 1024;
/** An index may point to indexes; nobody nests them deeper than this. */
const depthLimit = 4;
/** Manifests of one image; those that are known have some dozens. */
const documentLimit = 4096;
/** Documents and configurations at a time. */
const limit = createLimit(8);

/** Where manifests come from: a registry, or an archive. */
export type ManifestSource = Pick<Registry, "manifest">;

/**
 * Finds what a request means: from tag or digest to the manifest of one platform, or with `all` to the index and
 * everything that it lists.
 *
 * @throws ExportError `ImageNotFound` when there is no such image or platform, `InvalidInput` for what cannot be
 *     exported, and whatever the registry ends in
 */
export async function resolveImage(
    registry: Registry,
    reference: ImageReference,
    request: PlatformRequest,
    onNote?: (note: string) => void,
): Promise<ResolvedImage> {
    const { name } = reference;
    const first = await readFirst(registry, reference);
    if (request === "all") {
        const documents = await readTree(registry, first);
        await Promise.all(documents.map(({ manifest }) => limit(() => assertHasForeignLayers(registry, manifest))));
        const read = async (config: Descriptor) => [config.digest, await readConfig(registry, config)] as const;
        const configs = configsToRead(documents).map((config) => limit(() => read(config)));
        return { name, documents, configs: new Map(await Promise.all(configs)) };
    }
    const chosen = await choose(registry, first, request, depthLimit);
    await assertHasForeignLayers(registry, chosen.manifest);
    const isListed = chosen.descriptor.digest !== first.descriptor.digest;
    const found = { name, documents: [chosen], ...(isListed && { index: first }) } as const;
    if (!isContainerImage(chosen.manifest)) {
        onNote?.(
            `${name} is no container image, but of the type "${typeOf(chosen.manifest)}": docker load does not load it.`,
        );
        return { ...found, configs: new Map() };
    }
    const config = await readConfig(registry, chosen.manifest.config);
    const stated = chosen.descriptor.platform;
    const { platform } = parseConfig(config);
    if (platform !== undefined && !platformMatches(platform, request)) {
        // What an index says decides, as for Docker; without an index there is the configuration only.
        if (!isListed || stated === undefined) throw missingPlatform(request, [{ platform }]);
        onNote?.(
            `The index names ${chosen.manifest.config.digest} as ${platformText(stated)}, its configuration says ${platformText(platform)}.`,
        );
    }
    return { ...found, configs: new Map([[chosen.manifest.config.digest, config]]) };
}

/**
 * Reads the document that was asked for. A pull-through cache of ECR imports what is asked for by tag; by digest it finds
 * only what it has imported (github.com/aws/containers-roadmap/issues/2837).
 */
async function readFirst(registry: Registry, { tag, digest }: ImageReference): Promise<ImageDocument> {
    if (tag !== undefined && digest !== undefined) {
        try {
            return await readDocument(registry, digest);
        } catch (error) {
            if (asExportError(error).name !== "ImageNotFound") throw error;
            await registry.manifest(tag);
        }
    }
    return readDocument(registry, digest ?? tag ?? "latest");
}

/**
 * Reads a document.
 *
 * @param listed what points to it: with another size than it has, it is refused with `InvalidInput`
 */
export async function readDocument(
    source: ManifestSource,
    tagOrDigest: string,
    listed?: Descriptor,
): Promise<ImageDocument> {
    const { bytes, digest, contentType } = await source.manifest(tagOrDigest);
    if (listed !== undefined && listed.size !== bytes.length) {
        throw new ExportError(
            "InvalidInput",
            `The index gives ${digest} the size ${listed.size}, and it has ${bytes.length} bytes.`,
        );
    }
    const manifest = parseManifest(bytes, listed?.mediaType, contentType);
    const descriptor = { ...listed, mediaType: manifest.mediaType, digest, size: bytes.length };
    return { descriptor, bytes, manifest };
}

/**
 * The image of one platform, the best by contract/platform.ts: as the index names them, and where it names none as the
 * configurations do; down through indexes, as containerd goes.
 *
 * @throws ExportError `ImageNotFound` when there is no such platform; the message lists those there are
 */
async function choose(
    registry: Registry,
    document: ImageDocument,
    request: Platform,
    depth: number,
): Promise<ImageDocument & { readonly manifest: ImageManifest }> {
    const { manifest } = document;
    if (manifest.kind === "image") return { ...document, manifest };
    const offers = await offersOf(registry, manifest.manifests, depth);
    const chosen = choosePlatform(offers, request);
    if (chosen === undefined) throw missingPlatform(request, offers);
    const { listed } = chosen;
    return choose(registry, await readDocument(registry, listed.digest, listed), request, depth - 1);
}

/** What an index offers: a descriptor with its platform, or with that of its image's configuration. */
interface Offer {
    readonly listed: Descriptor;
    readonly platform: Platform | undefined;
}

async function offersOf(registry: Registry, manifests: readonly Descriptor[], depth: number): Promise<Offer[]> {
    assertDepth(depth);
    const offers = manifests.filter(isImageDescriptor).map(async (listed): Promise<Offer[]> => {
        const { platform } = listed;
        if (platform !== undefined) return [{ listed, platform }];
        const { manifest } = await limit(() => readDocument(registry, listed.digest, listed));
        if (manifest.kind === "index") return offersOf(registry, manifest.manifests, depth - 1);
        if (!isContainerImage(manifest)) return [];
        const config = await limit(() => readConfig(registry, manifest.config));
        return [{ listed, platform: parseConfig(config).platform }];
    });
    return (await Promise.all(offers)).flat();
}

function missingPlatform(request: Platform, offers: readonly Pick<Offer, "platform">[]): ExportError {
    const names = offers.map(({ platform }) => (platform ? platformText(platform) : "no platform"));
    const shown = [...new Set(names)].slice(0, 50).join(", ") || "none";
    return new ExportError("ImageNotFound", `The image has no platform ${platformText(request)}. It has: ${shown}.`);
}

/**
 * A document and all that it leads to, in its order.
 *
 * @throws ExportError `InvalidInput` for indexes that are nested too deeply or list too much, and what `source` ends in
 */
export async function readTree(source: ManifestSource, root: ImageDocument): Promise<ImageDocuments> {
    let count = 0;
    // An archive has what the index says of a manifest, and no Content-Type.
    const archived: ManifestSource = {
        manifest: async (digest) => ({ ...(await source.manifest(digest)), contentType: undefined }),
    };
    async function below(document: ImageDocument, depth: number): Promise<ImageDocuments> {
        if (document.manifest.kind === "image") return [document];
        assertDepth(depth);
        const { manifests } = document.manifest;
        count += manifests.length;
        if (count > documentLimit) {
            throw new ExportError("InvalidInput", `The image has more than ${documentLimit} manifests.`);
        }
        const branches = manifests.map(async (listed) =>
            below(await limit(() => readDocument(archived, listed.digest, listed)), depth - 1),
        );
        return [document, ...(await Promise.all(branches)).flat()];
    }
    return below(root, depthLimit);
}

function assertDepth(depth: number): void {
    if (depth === 0) {
        throw new ExportError("InvalidInput", `The image's indexes are nested deeper than ${depthLimit} levels.`);
    }
}

async function assertHasForeignLayers(registry: Registry, manifest: Manifest): Promise<void> {
    for (const { digest, mediaType } of manifest.kind === "image" ? manifest.layers : []) {
        if (!foreignTypePattern.test(mediaType)) continue;
        await registry.readBlob(digest, 0, Buffer.alloc(1)).catch((error: unknown) => {
            if (asExportError(error).name !== "ImageNotFound") throw error;
            throw new ExportError(
                "InvalidInput",
                `The layer ${digest} is a foreign one that the registry does not have: push the image again with the ` +
                    "daemon's allow-nondistributable-artifacts.",
            );
        });
    }
}

/** Which configurations are read for the platform `all`. It depends on the documents only, as the archive's bytes do. */
export function configsToRead(documents: readonly ImageDocument[]): Descriptor[] {
    const configs = new Map(containerImages(documents).map(({ manifest: { config } }) => [config.digest, config]));
    let bytes = 0;
    return [...configs.values()].filter(({ size }) => (bytes += size) <= configLimitBytes);
}

async function readConfig(registry: Registry, { digest, size, data }: Descriptor): Promise<Buffer> {
    if (data !== undefined) return data;
    if (size > configLimitBytes) {
        throw new ExportError(
            "InvalidInput",
            `The image's configuration has ${size} bytes, expected at most ${configLimitBytes}.`,
        );
    }
    const bytes = Buffer.alloc(size);
    await registry.readBlob(digest, 0, bytes);
    const actual = digestOf(bytes);
    if (actual !== digest) {
        throw new ExportError("DigestMismatch", `The configuration ${digest} arrived as ${actual}.`);
    }
    return bytes;
}

/** A container image among the documents. */
export type ContainerImage = ReturnType<typeof imagesOf>[number];

/** The container images that were asked for, in the order of the documents; neither attestations nor other artifacts. */
export function imagesOf({ documents, configs }: Pick<ResolvedImage, "documents" | "configs">) {
    return containerImages(documents).map(({ manifest, platform }) => {
        const config = knownConfig(configs.get(manifest.config.digest));
        return {
            manifest,
            /** As the index names it, else its configuration. */
            platform: platform ?? config?.platform,
            /** Digests of the unpacked layers, the lowest first; undefined where the configuration was not read. */
            diffIds: config?.diffIds,
        };
    });
}

function containerImages(documents: readonly ImageDocument[]) {
    return documents.flatMap(({ manifest, descriptor }) => {
        const isImage = manifest.kind === "image" && isContainerImage(manifest) && isImageDescriptor(descriptor);
        return isImage ? [{ manifest, platform: descriptor.platform }] : [];
    });
}

function knownConfig(bytes: Buffer | undefined): ReturnType<typeof parseConfig> | undefined {
    try {
        return bytes && parseConfig(bytes);
    } catch {
        return undefined; // with the platform all, whatever the index lists is taken as it is
    }
}
