import type { ResolvedImage } from "../registry/image";
import { type Descriptor, isContainerImage, isImageDescriptor } from "../registry/manifest";
import { ExportError } from "../../contract/errors";
import { paddingBytes, tarHeader, trailer } from "./tar";

/** A stretch of the archive: bytes that are known already, or a blob of the registry. */
export type Segment = { offset: number; length: number } & ({ bytes: Uint8Array } | { digest: string });

/** Where a blob's bytes lie in the archive. */
export interface BlobPlace {
    digest: string;
    mediaType: string;
    sizeBytes: number;
    /** Offset of the blob's first byte in the archive, in bytes. */
    offset: number;
}

/** The whole archive, byte for byte, before a blob has been read. */
export interface ArchivePlan {
    sizeBytes: number;
    /** Without gaps, in the order of their offsets. None is empty. */
    segments: readonly Segment[];
    /** Every blob once, in the order of the archive: documents, configurations, layers. */
    blobs: readonly BlobPlace[];
    /** The layers among them, the lowest of the first image first. */
    layers: readonly BlobPlace[];
}

interface Entry {
    name: string;
    sizeBytes: number;
    content: { bytes: Uint8Array } | { digest: string };
    descriptor?: Descriptor;
}

const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Plans the archive of an image: an OCI image layout and a docker archive in one tar. Its bytes depend on the
 * documents (their digest, that is) and on the image's name, which `index.json` and `manifest.json` carry, and on
 * nothing else. Small files that say what the archive is come first, layers last.
 *
 * @throws ExportError `InvalidInput` when two descriptors contradict each other
 */
export function planArchive(image: ResolvedImage): ArchivePlan {
    const segments: Segment[] = [];
    const blobs: BlobPlace[] = [];
    let offset = 0;

    function append(content: { bytes: Uint8Array } | { digest: string }, length: number): void {
        if (length > 0) {
            segments.push({ offset, length, ...content });
            offset += length;
        }
    }
    function appendBytes(bytes: Uint8Array): void {
        append({ bytes }, bytes.length);
    }

    for (const { name, sizeBytes, content, descriptor } of entriesOf(image)) {
        appendBytes(tarHeader(name, sizeBytes));
        if (descriptor) {
            blobs.push({ digest: descriptor.digest, mediaType: descriptor.mediaType, sizeBytes, offset });
        }
        append(content, sizeBytes);
        appendBytes(new Uint8Array(paddingBytes(sizeBytes)));
    }
    appendBytes(trailer);
    const layers = new Set(layersOf(image).map(({ digest }) => digest));
    return { sizeBytes: offset, segments, blobs, layers: blobs.filter(({ digest }) => layers.has(digest)) };
}

function entriesOf(image: ResolvedImage): Entry[] {
    return [
        jsonEntry("oci-layout", { imageLayoutVersion: "1.0.0" }),
        jsonEntry("index.json", indexJson(image)),
        jsonEntry("manifest.json", manifestJson(image)),
        ...blobEntries(image),
    ];
}

function jsonEntry(name: string, value: unknown): Entry {
    const bytes = Buffer.from(JSON.stringify(value));
    return { name, sizeBytes: bytes.length, content: { bytes } };
}

/** The layout's entry point. containerd takes the full name, OCI tools the tag. */
function indexJson({ name, tag, documents }: ResolvedImage): unknown {
    const { mediaType, digest, size } = documents[0].descriptor;
    const annotations = {
        "io.containerd.image.name": name,
        ...(tag !== undefined && { "org.opencontainers.image.ref.name": tag }),
    };
    return {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [{ mediaType, digest, size, annotations }],
    };
}

interface DockerImage {
    Config: string;
    RepoTags: string[] | null;
    Layers: string[];
}

/**
 * The docker archive's list of the images that `docker load` can take. Of several platforms, linux/amd64 (else the
 * first) has the name and the others have their platform added to the tag, because a name means one image. Docker
 * refuses the whole archive for one image of another operating system, so beside Linux images others are left out.
 */
function manifestJson(image: ResolvedImage): DockerImage[] {
    const images = dockerImages(image);
    const named = images.find(({ platform }) => platform === "linux/amd64") ?? images[0];
    return images.map((candidate) => ({
        Config: blobPath(candidate.config.digest),
        RepoTags: repoTags(image, candidate === named ? "" : candidate.platform),
        Layers: candidate.layers.map(({ digest }) => blobPath(digest)),
    }));
}

function repoTags({ name, tag }: ResolvedImage, platform: string): string[] | null {
    if (tag === undefined) {
        return null;
    }
    return [
        platform === ""
            ? name
            : `${name}-${platform.replaceAll("/", "-")}`.slice(0, name.length - tag.length + 128),
    ];
}

interface LoadableImage {
    config: Descriptor;
    layers: readonly Descriptor[];
    platform: string;
}

function dockerImages({ documents }: ResolvedImage): LoadableImage[] {
    const images = documents.flatMap(({ manifest, descriptor }): LoadableImage[] => {
        if (manifest.kind === "index" || !isContainerImage(manifest) || !isImageDescriptor(descriptor)) {
            return [];
        }
        const { os = "linux", architecture = "unknown", variant } = descriptor.platform ?? {};
        const platform = [os, architecture, ...(variant ? [variant] : [])].join("/");
        return [{ config: manifest.config, layers: manifest.layers, platform }];
    });
    const unique = images.filter(
        ({ config }, at) => images.findIndex((other) => other.config.digest === config.digest) === at,
    );
    const linux = unique.filter(({ platform }) => platform.startsWith("linux/"));
    return linux.length > 0 ? linux : unique;
}

function blobEntries(image: ResolvedImage): Entry[] {
    const documents = image.documents.map(({ descriptor, bytes }) => ({ descriptor, bytes }));
    const configs = image.documents.flatMap(({ manifest }) =>
        manifest.kind === "image" ? [manifest.config] : [],
    );
    const referenced: { descriptor: Descriptor; bytes?: Uint8Array | undefined }[] = [
        ...configs.map((descriptor) => ({ descriptor, bytes: image.configs.get(descriptor.digest) })),
        ...layersOf(image).map((descriptor) => ({ descriptor })),
    ];
    const entries = new Map<string, Entry>();
    for (const { descriptor, bytes } of [...documents, ...referenced]) {
        const known = entries.get(descriptor.digest);
        assertSameSize(descriptor, known);
        if (known === undefined) {
            entries.set(descriptor.digest, blobEntry(descriptor, bytes));
        }
    }
    return [...entries.values()];
}

function layersOf({ documents }: ResolvedImage): Descriptor[] {
    return documents.flatMap(({ manifest }) => (manifest.kind === "image" ? manifest.layers : []));
}

function blobEntry(descriptor: Descriptor, bytes?: Uint8Array): Entry {
    const { digest, size } = descriptor;
    return { name: blobPath(digest), sizeBytes: size, content: bytes ? { bytes } : { digest }, descriptor };
}

/** Where the layout keeps a blob. */
function blobPath(digest: string): string {
    return `blobs/${digest.replace(":", "/")}`;
}

function assertSameSize({ digest, size }: Descriptor, known: Entry | undefined): void {
    const expected = known?.sizeBytes ?? (digest === emptyDigest ? 0 : undefined);
    const isContradiction =
        (expected !== undefined && expected !== size) || (size === 0 && digest !== emptyDigest);
    if (isContradiction) {
        throw new ExportError(
            "InvalidInput",
            `The image gives ${digest} the size ${size}, which is not its size.`,
        );
    }
}
