import { createHash } from "node:crypto";
import { asExportError, ExportError } from "../../contract/errors";
import {
    type Descriptor,
    type ImageManifest,
    isContainerImage,
    isForeignLayer,
    isImageDescriptor,
    type Manifest,
    parseManifest,
    parseConfig,
    selectPlatform,
} from "./manifest";
import { type Platform, platformMatches, type PlatformRequest, platformText } from "../../contract/platform";
import type { ImageReference } from "../../contract/image";
import { createLimit } from "../network/pool";
import type { Registry } from "./registry";

/** A manifest or index that goes into the archive, with its bytes. */
export interface ImageDocument {
    readonly descriptor: Descriptor;
    readonly bytes: Buffer;
    readonly manifest: Manifest;
}

/** Everything that an archive is planned from. */
export interface ResolvedImage {
    /** The name the archive carries. */
    readonly name: string;
    /** Tag of that name, if it has one. */
    readonly tag?: string;
    /** The document that was asked for first, then those it points to, in its order. */
    readonly documents: readonly [ImageDocument, ...ImageDocument[]];
    /** Digest of the index that one platform was chosen from. */
    readonly indexDigest?: string;
    /** The configurations that have been read, by their digests. */
    readonly configs: ReadonlyMap<string, Buffer>;
}

/** A configuration above this is refused, and of many those beyond it are not read: they are kept in memory. Docker's are a few KiB. */
const configLimitBytes = 8 * 1024 * 1024;
const configsAtATime = 8;
/** An index may point to indexes; nobody nests them deeper than this. */
const depthLimit = 4;

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
): Promise<ResolvedImage> {
    const named = { name: reference.name, ...(reference.tag !== undefined && { tag: reference.tag }) };
    const first = await readFirst(registry, reference);
    if (request === "all") {
        const documents = await readTree(registry, first, depthLimit);
        await Promise.all(documents.map(({ manifest }) => assertHasForeignLayers(registry, manifest)));
        const configs = await readConfigs(registry, documents);
        return { ...named, documents: [first, ...documents.slice(1)], configs };
    }
    const index = first.manifest.kind === "index" ? first.manifest : undefined;
    const document = index ? await readPlatform(registry, index, request) : first;
    const image = assertImage(document.manifest);
    await assertHasForeignLayers(registry, image);
    const config = await readConfig(registry, image.config);
    assertPlatform(parseConfig(config).platform ?? document.descriptor.platform, request);
    return {
        ...named,
        documents: [document],
        configs: new Map([[image.config.digest, config]]),
        ...(index && { indexDigest: first.descriptor.digest }),
    };
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

async function readDocument(registry: Registry, tagOrDigest: string, listed?: Descriptor): Promise<ImageDocument> {
    const { bytes, digest, contentType } = await registry.manifest(tagOrDigest);
    const manifest = parseManifest(bytes, contentType ?? listed?.mediaType);
    const platform = listed?.platform;
    const descriptor = {
        mediaType: manifest.mediaType,
        digest,
        size: bytes.length,
        ...(platform && { platform }),
    };
    return {
        descriptor: listed?.annotations ? { ...descriptor, annotations: listed.annotations } : descriptor,
        bytes,
        manifest,
    };
}

async function readPlatform(
    registry: Registry,
    index: Extract<Manifest, { kind: "index" }>,
    request: Platform,
): Promise<ImageDocument> {
    const chosen = selectPlatform(index, request);
    return readDocument(registry, chosen.digest, chosen);
}

async function readTree(registry: Registry, root: ImageDocument, depth: number): Promise<ImageDocument[]> {
    if (root.manifest.kind === "image") return [root];
    if (depth === 0) {
        throw new ExportError("InvalidInput", `The image's indexes are nested deeper than ${depthLimit} levels.`);
    }
    const branches = await Promise.all(
        root.manifest.manifests.map(async (listed) =>
            readTree(registry, await readDocument(registry, listed.digest, listed), depth - 1),
        ),
    );
    return [root, ...branches.flat()];
}

function assertImage(manifest: Manifest): ImageManifest {
    if (manifest.kind === "index") {
        throw new ExportError("InvalidInput", "The index names another index for this platform: export it with all.");
    }
    if (!isContainerImage(manifest)) {
        throw new ExportError(
            "InvalidInput",
            `This is no container image: its configuration is of the type "${manifest.config.mediaType}". ` +
                "Other artifacts can be exported with the platform all.",
        );
    }
    return manifest;
}

async function assertHasForeignLayers(registry: Registry, manifest: Manifest): Promise<void> {
    const foreign = manifest.kind === "image" ? manifest.layers.filter(isForeignLayer) : [];
    for (const { digest } of foreign) {
        if (!(await registry.hasBlob(digest))) {
            throw new ExportError(
                "InvalidInput",
                `The layer ${digest} is a foreign one that the registry does not have: push the image again with the ` +
                    "daemon's allow-nondistributable-artifacts.",
            );
        }
    }
}

/** The configurations of the images among the documents, in their order, as far as the memory for them goes. */
async function readConfigs(
    registry: Registry,
    documents: readonly ImageDocument[],
): Promise<ReadonlyMap<string, Buffer>> {
    const limit = createLimit(configsAtATime);
    const read = configsToRead(documents).map(async (config): Promise<[string, Buffer]> => [
        config.digest,
        await limit.use(() => readConfig(registry, config)),
    ]);
    return new Map(await Promise.all(read));
}

/** Which configurations are read for the platform `all`. It depends on the documents only, as the archive's bytes do. */
export function configsToRead(documents: readonly ImageDocument[]): Descriptor[] {
    const configs = new Map(containerImages(documents).map(({ manifest: { config } }) => [config.digest, config]));
    let bytes = 0;
    return [...configs.values()].filter(({ size }) => (bytes += size) <= configLimitBytes);
}

async function readConfig(registry: Registry, { digest, size }: Descriptor): Promise<Buffer> {
    if (size > configLimitBytes) {
        throw new ExportError(
            "InvalidInput",
            `The image's configuration has ${size} bytes, expected at most ${configLimitBytes}.`,
        );
    }
    const bytes = Buffer.alloc(size);
    await registry.readBlob(digest, 0, bytes);
    const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (actual !== digest) {
        throw new ExportError("DigestMismatch", `The configuration ${digest} arrived as ${actual}.`);
    }
    return bytes;
}

function assertPlatform(platform: Platform | undefined, request: Platform): void {
    if (platform !== undefined && !platformMatches(platform, request)) {
        throw new ExportError(
            "ImageNotFound",
            `The image has no platform ${platformText(request)}. It has: ${platformText(platform)}.`,
        );
    }
}

/** A container image among the documents. */
export interface ContainerImage {
    readonly document: ImageDocument;
    readonly manifest: ImageManifest;
    /** As the index names it, else its configuration. */
    readonly platform: Platform | undefined;
    /** Digests of the unpacked layers, the lowest first; undefined where the configuration was not read. */
    readonly diffIds: readonly string[] | undefined;
}

/** The container images that were asked for, in the order of the documents; neither attestations nor other artifacts. */
export function imagesOf({ documents, configs }: Pick<ResolvedImage, "documents" | "configs">): ContainerImage[] {
    return containerImages(documents).map(({ document, manifest }) => {
        const config = knownConfig(configs.get(manifest.config.digest));
        return {
            document,
            manifest,
            platform: document.descriptor.platform ?? config?.platform,
            diffIds: config?.diffIds,
        };
    });
}

function containerImages(documents: readonly ImageDocument[]) {
    return documents.flatMap((document) => {
        const { manifest, descriptor } = document;
        const isImage = manifest.kind === "image" && isContainerImage(manifest) && isImageDescriptor(descriptor);
        return isImage ? [{ document, manifest }] : [];
    });
}

function knownConfig(bytes: Buffer | undefined): ReturnType<typeof parseConfig> | undefined {
    try {
        return bytes && parseConfig(bytes);
    } catch {
        return undefined; // with the platform all, whatever the index lists is taken as it is
    }
}
