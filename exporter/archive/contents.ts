import * as path from "node:path";
import { type Descriptor, isImageDescriptor, type Manifest, parseManifest, parseConfig } from "../registry/manifest";
import { platformText } from "../../contract/platform";
import { blobName } from "./plan";
import type { ArchiveFile, ReadArchive } from "./readArchive";

/** What an archive holds, as it says itself. */
export interface ArchiveContents {
    /** Names that `docker load` gives to the images. */
    readonly names: readonly string[];
    /** Digest of the document that `index.json` names; undefined where there is none. */
    readonly imageDigest: string | undefined;
    /** `os/arch[/variant]` of each image. */
    readonly platforms: readonly string[];
    /** Every layer once, in the form that the archive has it in. */
    readonly layers: readonly { digest: string; sizeBytes: number; offset: number }[];
}

/** An image of `manifest.json`, with the digests of its unpacked layers as its configuration has them. */
export interface LoadableImage {
    readonly config: string;
    readonly names: readonly string[];
    readonly layers: readonly { file: string; diffId: string | undefined }[];
}

/** The files of an archive by their names. */
export type Files = ReadArchive["files"];

/** Tells what an archive holds. */
export function contentsOf(files: Files): ArchiveContents {
    const images = imagesOf(files);
    const documents = documentsOf(files);
    const root = documents.find(({ name }) => name === "index.json")?.manifest;
    const manifests = documents.flatMap(({ manifest }) => (manifest.kind === "image" ? [manifest] : []));
    const layers = [
        ...images.flatMap((image) => image.layers.map(({ file }) => file)),
        ...manifests.flatMap((manifest) => manifest.layers.map(({ digest }) => blobName(digest))),
    ].flatMap((name) => {
        const file = fileOf(files, name);
        return file === undefined ? [] : [file];
    });
    return {
        names: unique(images.flatMap(({ names }) => names)),
        imageDigest: root?.kind === "index" ? root.manifests[0]?.digest : undefined,
        platforms: unique([...images.flatMap((image) => platformIn(files, image)), ...platformsIn(documents)]),
        layers: [...new Set(layers)].map(({ sha256, sizeBytes, offset }) => ({
            digest: `sha256:${sha256}`,
            sizeBytes,
            offset,
        })),
    };
}

/** The images of `manifest.json`; none where there is no such file, or it cannot be read. */
export function imagesOf(files: Files): LoadableImage[] {
    const list = parseJson(files.get("manifest.json"));
    return (Array.isArray(list) ? list : []).flatMap((each: unknown): LoadableImage[] => {
        const { Config, RepoTags, Layers } = (each ?? {}) as Record<string, unknown>;
        if (typeof Config !== "string" || !isTexts(Layers)) return [];
        const config = parseJson(fileOf(files, Config)) as { rootfs?: { diff_ids?: unknown } } | undefined;
        const diffIds = config?.rootfs?.diff_ids;
        return [
            {
                config: Config,
                names: isTexts(RepoTags) ? RepoTags : [],
                layers: Layers.map((file, at) => ({
                    file,
                    diffId: isTexts(diffIds) ? diffIds[at] : undefined,
                })),
            },
        ];
    });
}

/** The manifests and indexes of an archive, `index.json` among them. */
export function documentsOf(files: Files): { name: string; manifest: Manifest }[] {
    const mediaTypes = new Map<string, string>([["index.json", "application/vnd.oci.image.index.v1+json"]]);
    const documents: { name: string; manifest: Manifest }[] = [];
    for (const [name, mediaType] of mediaTypes) {
        // The loop goes on to what is added here.
        const manifest = parseDocument(files.get(name), mediaType);
        if (manifest !== undefined) {
            documents.push({ name, manifest });
        }
        for (const child of manifest?.kind === "index" ? manifest.manifests : []) {
            mediaTypes.set(blobName(child.digest), child.mediaType);
        }
    }
    return documents;
}

/** A manifest or an index; undefined for what is none. */
export function parseDocument(file: ArchiveFile | undefined, mediaType: string): Manifest | undefined {
    try {
        return file?.content === undefined ? undefined : parseManifest(file.content, mediaType);
    } catch {
        return undefined; // a document that its digest says is wrong, or of another kind
    }
}

/** The file of a name; a link leads to what it points to, as in archives of Docker before 25. */
export function fileOf(files: Files, name: string): ArchiveFile | undefined {
    const file = files.get(name);
    if (file?.linkName === undefined) return file;
    const target = path.posix.join(file.type === "2" ? path.posix.dirname(name) : "", file.linkName);
    return files.get(target);
}

function platformIn(files: Files, { config }: LoadableImage): string[] {
    try {
        const platform = parseConfig(fileOf(files, config)?.content ?? Buffer.alloc(0)).platform;
        return platform === undefined ? [] : [platformText(platform)];
    } catch {
        return []; // the configuration is damaged, which its digest says
    }
}

/** The platforms of an index; Docker loads Linux images alone, the layout may have more. */
function platformsIn(documents: readonly { manifest: Manifest }[]): string[] {
    const listed = documents.flatMap(({ manifest }): readonly Descriptor[] =>
        manifest.kind === "index" ? manifest.manifests.filter(isImageDescriptor) : [],
    );
    return listed.flatMap(({ platform }) => (platform === undefined ? [] : [platformText(platform)]));
}

function parseJson(file: ArchiveFile | undefined): unknown {
    try {
        return file?.content === undefined ? undefined : JSON.parse(file.content.toString());
    } catch {
        return undefined;
    }
}

function isTexts(value: unknown): value is string[] {
    return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function unique(texts: readonly string[]): string[] {
    return [...new Set(texts)];
}
