import * as path from "node:path";
import { ExportError, messageOf } from "../../contract/errors";
import { isDigest, parseReference } from "../../contract/image";
import { assertExactNames, isObject, isStrings, parseJson } from "../../contract/json";
import { type Platform, platformText } from "../../contract/platform";
import {
    type Descriptor,
    indexType,
    isContainerImage,
    isImageDescriptor,
    type Manifest,
    manifestsIn,
    parseConfig,
    parseManifest,
} from "../registry/manifest";
import { refNameAnnotation, referrersIndexFile } from "./layout";
import { blobName, isLinux } from "./plan";
import type { ArchiveFile, ReadArchive } from "./readArchive";

/** The files of an archive by their names. */
export type Files = ReadArchive["files"];

const listNames = ["Config", "RepoTags", "Layers", "Parent", "LayerSources"];
/** By these containerd and others name the images of a layout. */
export const nameAnnotations = ["io.containerd.image.name", "com.apple.containerization.image.name"];

/** What an archive holds, as it says itself. */
export type ArchiveContents = ReturnType<typeof contentsOf>;
/** An image of an archive, as one of its lists has it. */
export type ArchivedImage = NonNullable<ArchiveContents["listed"]>[number];

/** Reads what an archive holds. */
export function contentsOf(files: Files) {
    const problems: string[] = [];
    /** Reads one file; what it cannot be read for is a problem. */
    function attempt<T>(name: string, read: () => T): T | undefined {
        try {
            return read();
        } catch (error) {
            const why = error instanceof ExportError ? `cannot be read: ${messageOf(error)}` : messageOf(error);
            problems.push(`${name} ${why}`);
            return undefined;
        }
    }

    const configs = new Map<string, ReturnType<typeof parseConfig> | undefined>();
    /** `config` and `layers` are names of files; the rest is undefined where the configuration does not say, or cannot be read. */
    function imageOf(config: string, layers: readonly string[]) {
        const content = fileOf(files, config)?.content;
        if (content !== undefined && !configs.has(config)) {
            const parsed = attempt(config, () => parseConfig(content));
            configs.set(config, parsed);
        }
        const { diffIds, platform } = configs.get(config) ?? {};
        return { config, layers, diffIds, platform };
    }

    /** Follows an index to all that it leads to. */
    function follow(start: string) {
        const documents = new Map<string, Manifest>();
        const blobs: Descriptor[] = [];
        /** By the names of their files: the platforms by which loaders choose manifests, whatever else those are said to be. */
        const chosenAs = new Map<string, Platform>();
        const queue = new Map<string, string>(files.has(start) ? [[start, indexType]] : []);
        for (const [name, mediaType] of queue) {
            // The loop goes on to what is added here.
            const file = files.get(name);
            if (file === undefined) continue;
            const manifest = attempt(name, () => parseManifest(contentOf(file), mediaType));
            if (manifest === undefined) continue;
            documents.set(name, manifest);
            if (manifest.kind === "image") {
                blobs.push(manifest.config, ...manifest.layers);
                continue;
            }
            // Docker saves an index with the one image of it that it has.
            const there = manifest.manifests.filter(({ digest }) => files.has(blobName(digest)));
            blobs.push(...(there.length === 0 ? manifest.manifests : there));
            for (const { digest, mediaType: type, platform } of manifest.manifests) {
                const child = blobName(digest);
                queue.set(child, type);
                if (platform !== undefined && chosenAs.get(child)?.os !== "linux") chosenAs.set(child, platform);
            }
        }
        return { documents, blobs, chosenAs, entries: manifestsIn(documents.get(start)) };
    }

    const { documents, blobs, chosenAs, entries: roots } = follow("index.json");
    const referrers = follow(referrersIndexFile);
    const manifests = [...documents].flatMap(([name, each]) => (each.kind === "image" ? [{ ...each, name }] : []));
    const indexed = manifests
        .filter((each) => {
            // Attestations are of an unknown platform.
            const os = chosenAs.get(each.name)?.os;
            return os === undefined ? isContainerImage(each) : os !== "unknown";
        })
        .map(({ name, config, layers }) => {
            const image = imageOf(blobName(config.digest), blobNames(layers));
            return { ...image, platform: chosenAs.get(name) ?? image.platform, name };
        });
    const list = files.has("manifest.json") ? (attempt("manifest.json", () => readList(files)) ?? []) : undefined;
    const listed = list?.map(({ config, layers }) => imageOf(config, layers));

    const annotated = new Map<string, string>();
    for (const { digest, annotations = {} } of roots) {
        const file = blobName(digest);
        // Podman takes the last for a name where there is no other; it is the tag only, or the name too.
        const tag = [annotations[refNameAnnotation] ?? ""].filter((each) => /[/:@]/.test(each));
        for (const name of [...nameAnnotations.flatMap((each) => annotations[each] ?? []), ...tag]) {
            const known = annotated.get(name) ?? file;
            if (known !== file) problems.push(`index.json gives the name ${JSON.stringify(name)} to several images`);
            annotated.set(name, file);
        }
    }
    // What Docker does not load, artifacts and beside Linux images others, has its name in index.json only; so has a digest, which is
    // no name for Docker's list.
    const linux = indexed.filter(isLinux);
    const loadable = new Set((linux.length > 0 ? linux : indexed).map(({ name }) => name));
    const listedNames = new Set((list ?? []).flatMap(({ names }) => names.map(fullName)));
    for (const [name, file] of annotated) {
        const isLoadable = !name.includes("@") && (documents.get(file)?.kind !== "image" || loadable.has(file));
        if (isLoadable && listedNames.size > 0 && !listedNames.has(fullName(name))) {
            problems.push(`index.json names an image ${JSON.stringify(name)}, which manifest.json does not`);
        }
    }
    const layerNames = [...(listed ?? []), ...manifests.map(({ layers }) => ({ layers: blobNames(layers) }))];
    const layerFiles = layerNames.flatMap(({ layers }) => layers.flatMap((name) => fileOf(files, name) ?? []));
    const platforms = [...(listed ?? []), ...indexed].flatMap(({ platform }) => platform ?? []);
    const stated = [...documents.values()].flatMap((each) =>
        each.kind === "index" ? each.manifests.filter(isImageDescriptor).flatMap(({ platform }) => platform ?? []) : [],
    );
    return {
        /** Names that loaders give to the images, of `manifest.json` and `index.json`. */
        names: unique([
            ...(list ?? []).flatMap(({ names }) => names),
            ...[...annotated.keys()].map((name) => familiar(name, list)),
        ]),
        /** `os/arch[/variant]` of each image. */
        platforms: unique([...platforms, ...stated].map(platformText)),
        /** Every layer once, in the form that the archive has it in. */
        layers: [...new Set(layerFiles)].map(({ sha256, sizeBytes, offset }) => ({
            digest: `sha256:${sha256}`,
            sizeBytes,
            offset,
        })),
        /** The images that `manifest.json` lists; undefined where there is no such file. */
        listed,
        /** The container images that `index.json` leads to; undefined where there is no such file. */
        indexed: files.has("index.json") ? indexed : undefined,
        /** Everything that `index.json` leads to, with the name of the file that leads there. */
        blobs,
        /** What `index.json` lists itself. */
        roots,
        /** The same of the layout of what belongs to the images: nothing where there is none. */
        referrers,
        /** The manifests and indexes, by the names of their files; `index.json` among them. */
        documents,
        /** What cannot be read, or readers read differently; each with the name of the file. */
        problems,
    };
}

/** The images of `manifest.json` (github.com/moby/moby, image/tarexport). */
function readList(files: Files) {
    const list = parseJson(contentOf(files.get("manifest.json")).toString("utf8"));
    if (!Array.isArray(list)) throw new Error("is not a list of images");
    return list.map((each: unknown) => {
        if (!isObject(each)) throw new Error("lists something that is not an image");
        assertExactNames(each, listNames);
        const { Config: config, RepoTags, Layers } = each;
        const [names, layers] = [RepoTags ?? [], Layers ?? []];
        if (typeof config !== "string" || !isStrings(names) || !isStrings(layers)) {
            throw new Error("lists an image whose Config, RepoTags or Layers cannot be read");
        }
        return { config, names, layers };
    });
}

function contentOf(file: ArchiveFile | undefined): Buffer {
    if (file?.content === undefined) throw new Error("is no JSON document, or too large");
    return file.content;
}

/** The file of a name; a link leads to what it points to, as in archives of Docker before 25. */
export function fileOf(files: Files, name: string): ArchiveFile | undefined {
    const file = files.get(name);
    if (file === undefined || !["1", "2"].includes(file.type)) return file;
    const target = path.posix.join(file.type === "2" ? path.posix.dirname(name) : "", file.linkName);
    // From the root for some readers, for others from the folder that the link is in.
    if (file.linkName.startsWith("/")) return undefined;
    const found = files.get(target);
    return found?.type === "0" ? found : undefined;
}

/** A name in full, so that two forms of it are the same; undefined for what is none. */
export function fullName(name: string): string | undefined {
    try {
        const { registry, repository, tag, digest } = parseReference(name);
        const end = tag === undefined ? `@${digest ?? ""}` : `:${tag}`;
        return isDigest(name) ? undefined : `${registry}/${repository}${end}`;
    } catch {
        return undefined;
    }
}

/** A name of `index.json` in the form that `manifest.json` has it in, if it is there. */
function familiar(name: string, list: ReturnType<typeof readList> = []): string {
    const full = fullName(name);
    return list.flatMap(({ names }) => names).find((each) => fullName(each) === full) ?? name;
}

function blobNames(blobs: readonly Descriptor[]): string[] {
    return blobs.map(({ digest }) => blobName(digest));
}

function unique(texts: readonly string[]): string[] {
    return [...new Set(texts)];
}
