import { ExportError } from "../../contract/errors";
import { defaultPlatform, normalText, plainText, type Platform, platformText } from "../../contract/platform";
import type { RecordedImage } from "../../contract/record";
import { type ContainerImage, documentsOf, imagesOf, type ResolvedImage } from "../registry/image";
import type { Descriptor } from "../registry/manifest";
import {
    indexJson,
    layoutVersion,
    referrerLists,
    referrersFolder,
    referrersIndex,
    referrersIndexFile,
    referrersLink,
    tagOf,
} from "./layout";
import { blockBytes, paddingBytes, tarHeader, trailer } from "./tar";

/** A stretch of the archive: bytes that are known already, or a blob of the registry. */
type Segment = { readonly offset: number; readonly length: number } & Content;

type Content = { readonly bytes: Uint8Array } | { readonly digest: string };

/** A file of the archive, or a folder, whose name ends in a slash. */
interface Entry {
    readonly name: string;
    readonly sizeBytes: number;
    readonly content: Content;
    /** What a symbolic link points to. */
    readonly target?: string;
}

/** The whole archive, byte for byte, before a layer has been read. */
export type ArchivePlan = ReturnType<typeof planArchive>;

/** A stretch of the archive that is moved, retried and uploaded as one; its number is from 1 on, as S3 has it. */
export type Part = ReturnType<typeof planParts>[number];

// S3's limits (Amazon S3 user guide, "Amazon S3 multipart upload limits"); the last part may be smaller.
const minPartBytes = 5 * 1024 ** 2;
const maxPartBytes = 5 * 1024 ** 3;
const maxParts = 10_000;

const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Plans the archive of an image, or of a set of them: an OCI image layout and a Docker archive in one tar, every blob once. Its bytes
 * depend on the documents (their digests, that is) and on the images' names, which `index.json` and `manifest.json` carry, and on
 * nothing else. Small files that say what the archive is come first, layers last. This arrangement is layout 1 of contract/record.ts.
 *
 * @param images in the order of their names
 * @param missing digests of layers that are left out
 * @throws ExportError `InvalidInput` when two descriptors contradict each other
 */
export function planArchive(images: readonly ResolvedImage[], missing: ReadonlySet<string> = new Set()) {
    /** Without gaps, in the order of their offsets. None is empty. */
    const segments: Segment[] = [];
    /** In the order of the archive, with the offset of the content: what says what the archive is, documents, configurations, layers. */
    const files: (Entry & { readonly offset: number })[] = [];
    let offset = 0;

    function append(content: Content, length: number): void {
        if (length > 0) segments.push({ offset, length, ...content });
        offset += length;
    }

    for (const entry of entriesOf(images, missing)) {
        const { name, sizeBytes, content, target } = entry;
        append({ bytes: tarHeader(name, sizeBytes, target) }, blockBytes);
        files.push({ ...entry, offset });
        append(content, sizeBytes);
        const padding = new Uint8Array(paddingBytes(sizeBytes));
        append({ bytes: padding }, padding.length);
    }
    append({ bytes: trailer }, trailer.length);
    /** Of the content of each file, by its name. */
    const offsets = new Map(files.map((file) => [file.name, file.offset]));
    return { sizeBytes: offset, segments, files, offsets };
}

/**
 * Cuts an archive into parts that S3 takes: the smallest, since parts under way fill the memory, and larger ones where 10,000 of
 * those are not enough.
 *
 * @throws ExportError `InvalidInput` when the archive is larger than an S3 object can be (48.8 TiB)
 */
export function planParts(sizeBytes: number) {
    const partBytes = Math.max(minPartBytes, Math.ceil(sizeBytes / maxParts));
    if (partBytes > maxPartBytes) {
        throw new ExportError("InvalidInput", `The archive has ${sizeBytes} bytes, more than an S3 object can have.`);
    }
    return Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, at) => {
        const offset = at * partBytes;
        return { number: at + 1, offset, length: Math.min(partBytes, sizeBytes - offset) };
    });
}

function entriesOf(images: readonly ResolvedImage[], missing: ReadonlySet<string>): Entry[] {
    const isAlone = images.every(({ referrers = [] }) => referrers.length === 0);
    const lists = referrerLists(images);
    const left = new Set([...missing].map(blobName));
    return [
        fileEntry("oci-layout", layoutVersion),
        fileEntry("index.json", indexJson(images)),
        fileEntry("manifest.json", manifestJson(images)),
        ...(isAlone ? [] : referrerEntries(images, lists)),
        // Apptainer, and Syft of old, walk a layout by its folders and find nothing without them.
        fileEntry("blobs/"),
        fileEntry("blobs/sha256/"),
        ...blobEntries(images, lists).filter(({ name }) => !left.has(name)),
    ];
}

/** The layout of what belongs to the images. */
function referrerEntries(images: readonly ResolvedImage[], lists: ReturnType<typeof referrerLists>): Entry[] {
    return [
        fileEntry(referrersFolder),
        fileEntry(`${referrersFolder}oci-layout`, layoutVersion),
        fileEntry(referrersIndexFile, referrersIndex(images, lists)),
        { ...fileEntry(referrersLink.name), ...referrersLink },
    ];
}

function fileEntry(name: string, value?: unknown): Entry {
    const bytes = Buffer.from(value === undefined ? "" : JSON.stringify(value));
    return { name, sizeBytes: bytes.length, content: { bytes } };
}

/**
 * The Docker archive's list of the images that `docker load` can take, every configuration once. Docker refuses the whole archive for
 * one image of another operating system, so beside Linux images others are left out.
 */
function manifestJson(images: readonly ResolvedImage[]): unknown {
    const all = images.map((image) => ({ ...image, loadable: loadableImages(image) }));
    const some = all.some(({ loadable }) => loadable.some(isLinux));
    const listed = new Map<string, { image: ContainerImage; names: string[] }>();
    const taken = new Set(images.map(({ name }) => name));
    for (const { name, loadable } of all) {
        for (const [image, given] of dockerNames(name, some ? loadable.filter(isLinux) : loadable, taken)) {
            const { digest } = image.manifest.config;
            const known = listed.get(digest) ?? { image, names: [] };
            listed.set(digest, known);
            if (given !== undefined) known.names.push(given);
        }
    }
    return [...listed.values()].map(({ image: { manifest }, names }) => ({
        Config: blobName(manifest.config.digest),
        RepoTags: names.length === 0 ? null : names,
        Layers: manifest.layers.map(({ digest }) => blobName(digest)),
    }));
}

/** Every image once. */
function loadableImages(image: ResolvedImage): ContainerImage[] {
    const byConfig = new Map<string, ContainerImage>();
    for (const each of imagesOf(image)) {
        const { digest } = each.manifest.config;
        if (!byConfig.has(digest)) byConfig.set(digest, each);
    }
    return [...byConfig.values()];
}

/** Whether Docker takes an image for one of Linux, as it does those that name no platform. */
export function isLinux({ platform }: { readonly platform: Platform | undefined }): boolean {
    return (platform?.os ?? "linux") === "linux";
}

/** Characters of the longest tag: github.com/opencontainers/distribution-spec, "Pulling manifests". */
const tagLimit = 128;

/**
 * Names for Docker, where a name means one image: linux/amd64, else the first, has the name that was asked for, the others one of
 * {@link tagsFor}.
 *
 * @param taken names that are given already; those of here are added
 * @returns each image with its name, undefined where none is free, or where no tag was asked for
 */
function dockerNames(name: string, images: readonly ContainerImage[], taken: Set<string>) {
    const tag = tagOf(name);
    const texts = images.map(({ platform }) => platform && normalText(platform));
    const plain = Math.max(texts.indexOf(defaultPlatform), 0);
    return images.map((image, at): [ContainerImage, string | undefined] => {
        if (tag === undefined || at === plain) return [image, tag && name];
        const names = tagsFor(tag, image).map((each) => name.slice(0, -tag.length) + each);
        const free = names.find((each) => !taken.has(each));
        if (free !== undefined) taken.add(free);
        return [image, free];
    });
}

/**
 * Tags for an image beside the one that has the plain name, the best first: `TAG-OS-ARCH[-VARIANT]` where it is not too long;
 * where it is, or another image has it (as Windows images of several `os.version`), the same with the start of the
 * configuration's digest; the whole digest. It is TAG that is cut.
 */
function tagsFor(tag: string, { platform, manifest }: ContainerImage): string[] {
    const suffix = platform ? platformSuffix(platform) : "";
    const whole = tag + suffix;
    const hex = manifest.config.digest.slice("sha256:".length);
    const cut = (end: string): string => tag.slice(0, tagLimit - end.length) + end;
    const first = suffix !== "" && whole.length <= tagLimit ? [whole] : [];
    return [...first, cut(`${suffix}-${hex.slice(0, 12)}`), cut(`-${hex}`)];
}

/** A platform as the end of a tag; empty where it is too long for that (those in use have 20), or has characters that no tag has. */
function platformSuffix(platform: Platform): string {
    const suffix = `-${plainText(platform).replaceAll("/", "-")}`;
    return /^[a-z0-9._-]{1,40}$/.test(suffix) ? suffix : "";
}

function blobEntries(images: readonly ResolvedImage[], lists: ReturnType<typeof referrerLists>): Entry[] {
    const entries = new Map<string, Entry>();
    for (const { descriptor, bytes } of [...lists, ...blobsOf(images)]) {
        const { digest, size } = descriptor;
        const entry = entries.get(digest);
        assertSameSize(descriptor, entry);
        if (entry !== undefined) continue;
        const known = bytes ?? descriptor.data;
        const content = known ? { bytes: known } : { digest };
        entries.set(digest, { name: blobName(digest), sizeBytes: size, content });
    }
    return [...entries.values()];
}

interface Blob {
    readonly descriptor: Descriptor;
    readonly bytes?: Uint8Array | undefined;
}

/** The blobs of images: the documents of all, their configurations, their layers; those of the images before those of referrers. */
function blobsOf(images: readonly ResolvedImage[]): Blob[] {
    const configs = new Map(images.flatMap((image) => [...image.configs]));
    const all = [...images.flatMap(({ documents }) => documents), ...images.flatMap(documentsOf)];
    const manifests = all.flatMap(({ manifest }) => (manifest.kind === "image" ? [manifest] : []));
    return [
        ...all,
        ...manifests.map(({ config }) => ({ descriptor: config, bytes: configs.get(config.digest) })),
        ...manifests.flatMap(({ layers }) => layers.map((descriptor) => ({ descriptor }))),
    ];
}

/** Bytes of the blobs of images, each once. */
function blobBytes(images: readonly ResolvedImage[]): number {
    const sizes = new Map(blobsOf(images).map(({ descriptor: { digest, size } }) => [digest, size]));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Bytes that are in the archive of a set once and would be in several of those of its images. */
export function savedBytes(images: readonly ResolvedImage[]): number {
    return images.reduce((sum, image) => sum + blobBytes([image]), 0) - blobBytes(images);
}

/** Where an image layout keeps a blob. */
export function blobName(digest: string): string {
    return `blobs/${digest.replace(":", "/")}`;
}

function assertSameSize({ digest, size }: Descriptor, known: Entry | undefined): void {
    const expected = known?.sizeBytes ?? (digest === emptyDigest ? 0 : undefined);
    const isContradiction = (expected !== undefined && expected !== size) || (size === 0 && digest !== emptyDigest);
    if (isContradiction) {
        throw new ExportError("InvalidInput", `The image gives ${digest} the size ${size}, which is not its size.`);
    }
}

/** The images of an archive, as its record has them. */
export function recordedImages(image: ResolvedImage, { offsets }: Pick<ArchivePlan, "offsets">): RecordedImage[] {
    return imagesOf(image).map(({ manifest, platform, diffIds }) => ({
        platform: platform ? platformText(platform) : null,
        configDigest: manifest.config.digest,
        diffIds: diffIds ?? null,
        layers: manifest.layers.map(({ digest, size }) => ({
            digest,
            sizeBytes: size,
            offset: offsets.get(blobName(digest)) ?? null,
        })),
    }));
}
