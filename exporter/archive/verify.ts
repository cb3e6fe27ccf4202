import * as path from "node:path";
import { ExportError } from "../../contract/errors";
import { isObject, parseJson } from "../../contract/json";
import {
    type ExportRecord,
    exportsOf,
    type ImageExport,
    missingIn,
    setDigestOf,
    type SetExport,
    type Since,
} from "../../contract/record";
import {
    configsToRead,
    documentsOf,
    imagesOf as containerImagesOf,
    type ImageDocument,
    readTree,
    type Referrer,
    type ResolvedImage,
} from "../registry/image";
import { type Descriptor, digestOf, manifestsIn, parseManifest, referenceDigest, typeOf } from "../registry/manifest";
import { isReferrer, referrerKey } from "../registry/referrers";
import {
    type ArchiveContents,
    type ArchivedImage,
    contentsOf,
    type Files,
    fileOf,
    fullName,
    nameAnnotations,
} from "./contents";
import { refNameAnnotation, referrersFolder, referrersIndexFile, referrersLink } from "./layout";
import { type ArchivePlan, blobName, isLinux, planArchive, recordedImages, savedBytes } from "./plan";
import { type ArchiveFile, readArchive, type ReadArchive } from "./readArchive";
import { tarHeader } from "./tar";

/** What the caller asks for beside the record. */
export interface VerifyOptions {
    /** The digest of the image that the caller trusts. */
    readonly digest?: string | undefined;
    /** The name of the image that the caller expects. */
    readonly image?: string | undefined;
    /**
     * Whether layers are unpacked, and what is in them is compared with their images' configurations. Without it a layer of another
     * content ends a load; it cannot load another image.
     * @default false
     */
    readonly deep?: boolean | undefined;
}

/** What reading an archive has shown. */
export type Verification = Awaited<ReturnType<typeof verifyArchive>>;

/** Of what is wrong, as much as anybody reads. */
const problemLimit = 1000;

/**
 * Reads an archive of either engine to its end and says what is wrong with it. Good is only what every loader reads alike: of
 * engine `stream` each byte has to be the one that the engine writes for the record; otherwise each file has to have one name, to be
 * of one of the images, and each list has to name the same images. Needs memory for its JSON documents only.
 *
 * @param source the archive's bytes
 * @param record what the archive has to be, if that is known
 */
export async function verifyArchive(
    source: AsyncIterable<Uint8Array>,
    record?: ExportRecord,
    options: VerifyOptions = {},
) {
    const { deep = false } = options;
    const archive = await readArchive(source, deep);
    const { files, sha256, sizeBytes, isComplete } = archive;
    const contents = contentsOf(files);
    const expected = expectedDigests(files, contents);
    const uncovered = [...files.values()].filter((file) => file.sizeBytes > 0 && !expected.has(file));
    const wrong = [...archive.damages, ...wrongFiles(expected)];
    const damages = record && wrong.length === 0 ? [...wrong, ...(await unplanned(archive, contents, record))] : wrong;
    const problems = [
        ...damages,
        ...(isComplete ? [...missingFiles(files, contents, record), ...ambiguities(files, contents, record)] : []),
        ...(deep && isComplete ? unlikeLayers(files, contents) : []),
        ...(record ? differences(record, archive, contents) : []),
        ...(isComplete ? unexpected(contents, record, options) : []),
    ];
    const isOther = record !== undefined && record.archive.sha256 !== sha256;
    if (damages.length === 0 && isOther && record.archive.sizeBytes === sizeBytes) {
        const places = uncovered.map((file) => `${file.name} (${placeOf(file)})`).join(" or ");
        problems.push(`all that has a digest is as it was, so the damage is in ${places || "the headers"}`);
    }
    return {
        sha256,
        sizeBytes,
        files,
        /** What is wrong, each naming the blob, the place or the field; empty for a good archive. */
        problems: [...new Set(problems)].slice(0, problemLimit),
        contents,
        /** Files that no digest within the archive covers: only its record tells whether they are damaged. */
        uncovered: uncovered.map(({ name }) => name),
    };
}

/** The images of both lists. */
function imagesOf({ listed = [], indexed = [] }: ArchiveContents): readonly ArchivedImage[] {
    return [...listed, ...indexed];
}

/** The digest that a file must have: of its name, or as the configuration of its image says. */
function expectedDigests(files: Files, contents: ArchiveContents): Map<ArchiveFile, string> {
    const expected = new Map<ArchiveFile, string>();
    for (const file of files.values()) {
        // Docker before 25 names configurations `DIGEST.json`.
        const [, digest] = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(file.name) ?? [];
        if (digest !== undefined && file.type === "0") expected.set(file, digest);
    }
    for (const { layers, diffIds } of imagesOf(contents)) {
        layers.forEach((name, at) => {
            const [file, diffId] = [fileOf(files, name), diffIds?.[at]];
            // A blob's own digest is that of the layer as it is in the archive, which may be compressed.
            if (file !== undefined && diffId !== undefined && !expected.has(file)) {
                expected.set(file, diffId.replace(/^sha256:/, ""));
            }
        });
    }
    return expected;
}

function wrongFiles(expectedDigests: ReadonlyMap<ArchiveFile, string>): string[] {
    return [...expectedDigests].flatMap(([file, expected]) => {
        if (file.sha256 === expected) return [];
        const isNamed = file.name.includes(expected);
        return [
            `${isNamed ? `blob sha256:${expected}` : file.name} has the content of sha256:${file.sha256}` +
                `${isNamed ? "" : `, its image's configuration says sha256:${expected}`} (${placeOf(file)})`,
        ];
    });
}

/**
 * Where an archive of engine `stream` is not what the engine writes: its bytes follow from the record and the documents, so the
 * plan is made again. So every loader finds just the image that the record names, whichever of the files it reads.
 */
async function unplanned(
    { files, isComplete, sizeBytes }: ReadArchive,
    contents: ArchiveContents,
    record: ExportRecord,
): Promise<string[]> {
    if (record.engine.name !== "stream" || !isComplete) return [];
    try {
        const images = await imagesIn(files, contents, record);
        const plan = planArchive(images, missingIn(record));
        const planned = new Map(plan.files.map((file) => [file.name, file]));
        const wrong = [...files.values()].flatMap((file): string[] => {
            const { name, offset, content, header } = file;
            const expected = planned.get(name);
            const same =
                expected?.offset === offset &&
                expected.sizeBytes === file.sizeBytes &&
                header.equals(tarHeader(name, file.sizeBytes, expected.target));
            if (!same) return [`${name} (${placeOf(file)}) is not what the engine writes there`];
            const bytes = "bytes" in expected.content ? expected.content.bytes : undefined;
            if (bytes === undefined || digestOf(bytes) === `sha256:${file.sha256}`) return [];
            const at = bytes.findIndex((byte, index) => byte !== content?.[index]);
            return [`${name} is damaged: byte ${offset + at} is not what the engine writes`];
        });
        const missing = plan.files.flatMap(({ name }) => (files.has(name) ? [] : [`${nameOf(name)} is missing`]));
        const isLong = wrong.length + missing.length === 0 && plan.sizeBytes !== sizeBytes;
        // The platform of an image that was chosen from an index may be known from there only.
        const isListed = ({ indexDigest, images: recorded }: ImageExport, at: number): boolean => {
            const image = images[at];
            const [is, expected] = [image && recordedImages(image, plan), recorded].map((listed = []) =>
                JSON.stringify(listed.map((each) => (indexDigest === null ? each : { ...each, platform: null }))),
            );
            return is === expected;
        };
        return [
            ...wrong,
            ...missing,
            ...(isLong ? [`the archive has ${sizeBytes} bytes, the engine writes ${plan.sizeBytes}`] : []),
            ...(exportsOf(record).every(isListed) ? [] : ["the record's images are not those of the archive"]),
            ...wrongSince(record.since, images, plan),
            ...("set" in record ? wrongSet(record.set, record, savedBytes(images)) : []),
        ];
    } catch (error) {
        if (error instanceof ExportError) return [error.message];
        throw error;
    }
}

/** Where the record of a delta leaves out what is no layer of its images, or what would not be saved. */
function wrongSince(since: Since | null, images: readonly ResolvedImage[], { sizeBytes }: ArchivePlan): string[] {
    if (since === null) return [];
    const layers = new Map(
        images
            .flatMap(containerImagesOf)
            .flatMap(({ manifest }) => manifest.layers.map(({ digest, size }) => [digest, size])),
    );
    const saved = planArchive(images).sizeBytes - sizeBytes;
    return [
        ...since.missing.flatMap(({ digest, sizeBytes: size }) =>
            layers.get(digest) === size
                ? []
                : [`${digest}, which the record says is missing, is no layer of ${size} bytes`],
        ),
        ...(saved === since.savedBytes
            ? []
            : [`what is missing saves ${saved} bytes, the record says ${since.savedBytes}`]),
    ];
}

/** Where the record of a set says something else of it than of its images. */
function wrongSet(
    set: readonly ImageExport[],
    record: Pick<SetExport, "setDigest" | "savedBytes">,
    saved: number,
): string[] {
    const names = set.map(({ imageName }) => imageName);
    const isSorted = names.every((name, at) => at === 0 || (names[at - 1] ?? "") < name);
    return [
        ...(isSorted ? [] : ["the record does not list the images of its set in the order of their names, each once"]),
        ...(setDigestOf(set) === record.setDigest ? [] : ["the record's digest of the set is not that of its images"]),
        ...(saved === record.savedBytes ? [] : [`sharing saves ${saved} bytes, the record says ${record.savedBytes}`]),
    ];
}

/**
 * What an archive of engine `stream` was planned from.
 *
 * @throws ExportError `InvalidInput` where that is not in it
 */
export function imagesIn(files: Files, contents: ArchiveContents, record: ExportRecord): Promise<ResolvedImage[]> {
    return Promise.all(exportsOf(record).map((exported) => imageOf(files, contents, exported)));
}

/**
 * What was planned for one image.
 *
 * @throws ExportError where a document is missing, or is none that the engine takes; where the record says what belongs together, and
 *     they do not
 */
async function imageOf(files: Files, contents: ArchiveContents, exported: ImageExport): Promise<ResolvedImage> {
    const { imageDigest, imageName: name, indexDigest } = exported;
    const manifest = (digest: string) => {
        const bytes = files.get(blobName(digest))?.content;
        if (bytes === undefined) throw new ExportError("InvalidInput", `${digest} is not in the archive as a whole`);
        return Promise.resolve({ bytes, digest, contentType: undefined });
    };
    const document = async (digest: string): Promise<ImageDocument> => {
        const { bytes } = await manifest(digest);
        // An OCI document may leave its type out; where index.json is damaged, its fields say what it is.
        const kind = bytes.toString("latin1").includes('"manifests"') ? "index" : "manifest";
        const listed = [...contents.roots, ...contents.referrers.entries].find((each) => each.digest === digest);
        const root = parseManifest(bytes, listed?.mediaType ?? `application/vnd.oci.image.${kind}.v1+json`);
        return { descriptor: { mediaType: root.mediaType, digest, size: bytes.length }, bytes, manifest: root };
    };
    const first = await document(imageDigest);
    const isTree = exported.platform === "all" || first.manifest.kind === "image";
    const documents = isTree ? await readTree({ manifest }, first) : ([first] as const);
    const configs = configsToRead(documents).flatMap(({ digest, data }): [string, Buffer][] => {
        const content = data ?? files.get(blobName(digest))?.content;
        return content ? [[digest, content]] : [];
    });
    const image = { name, documents, configs: new Map(configs) };
    if (exported.referrers === null) return image;
    const keys = exported.referrers.map(referrerKey);
    if (keys.some((key, at) => at > 0 && (keys[at - 1] ?? "") >= key)) {
        throw new ExportError(
            "InvalidInput",
            `the record does not list what belongs to ${name} in its order, each once`,
        );
    }
    const isSubject = exported.referrers.some(({ subject }) => subject === indexDigest);
    const index = indexDigest !== null && isSubject ? await document(indexDigest) : undefined;
    const referrers = exported.referrers.map(async (recorded): Promise<Referrer> => {
        const root = await document(recorded.digest);
        return { ...recorded, documents: await readTree({ manifest }, root) };
    });
    const whole = { ...image, ...(index && { index }), referrers: await Promise.all(referrers) };
    const there = new Set(documentsOf(whole).map(({ descriptor }) => descriptor.digest));
    for (const {
        digest,
        subject,
        tag,
        type,
        documents: [root],
    } of whole.referrers) {
        const isOf = there.has(subject) && isReferrer({ document: root, subject, tag });
        if (!isOf || type !== typeOf(root.manifest)) {
            throw new ExportError("InvalidInput", `${digest} is no ${type} of ${subject}, as the record says`);
        }
    }
    return whole;
}

function placeOf({ offset, sizeBytes }: ArchiveFile): string {
    return `bytes ${offset} to ${offset + sizeBytes - 1}`;
}

/** Files that a document names and the archive has not, or not in that size. */
function missingFiles(files: Files, contents: ArchiveContents, record: ExportRecord | undefined): string[] {
    if (!files.has("index.json") && (!files.has("manifest.json") || record?.engine.name === "stream")) {
        return ["index.json is missing"];
    }
    // What a delta leaves out its record has been compared with, and whoever has the base has it.
    const left = new Set([...(record ? missingIn(record) : [])].map(blobName));
    const fromList = (contents.listed ?? []).flatMap(({ config, layers }) =>
        [config, ...layers].flatMap((name) =>
            fileOf(files, name) === undefined && !left.has(name) ? [`${nameOf(name)} is missing`] : [],
        ),
    );
    const wrong = [...contents.blobs, ...contents.referrers.blobs].flatMap(({ digest, size }) => {
        const found = files.get(blobName(digest));
        if (found === undefined) return left.has(blobName(digest)) ? [] : [`blob ${digest} is missing`];
        return found.sizeBytes === size ? [] : [`blob ${digest} has ${found.sizeBytes} bytes, expected ${size}`];
    });
    return [...fromList, ...wrong];
}

/**
 * What one loader may read otherwise than another. An archive of engine `stream` with its record needs none of this: it has been
 * compared with its plan.
 */
function ambiguities(files: Files, contents: ArchiveContents, record: ExportRecord | undefined): string[] {
    const { listed, indexed, problems } = contents;
    if (record?.engine.name === "stream") return [...problems];
    const keyOf = ({ config, layers }: ArchivedImage): string =>
        [config, ...layers].map((name) => fileOf(files, name)?.sha256).join(" ");
    const known = new Set((indexed ?? []).map(keyOf));
    const configs = new Set((listed ?? []).map(({ config }) => fileOf(files, config)?.sha256));
    const some = indexed?.some(isLinux) === true;
    const onlyListed = indexed === undefined ? [] : (listed ?? []).filter((image) => !known.has(keyOf(image)));
    // Docker refuses an archive for an image of another operating system, so beside Linux images others are in index.json only.
    const onlyIndexed =
        listed === undefined
            ? []
            : (indexed ?? []).filter(
                  (each) => !configs.has(fileOf(files, each.config)?.sha256) && (isLinux(each) || !some),
              );
    return [
        ...problems,
        ...onlyListed.map(({ config }) => `manifest.json lists an image that index.json does not lead to: ${config}`),
        ...onlyIndexed.map(({ config }) => `index.json leads to an image that manifest.json does not list: ${config}`),
        ...imagesOf(contents).flatMap(({ config, layers, diffIds = [] }) =>
            layers.length === diffIds.length
                ? []
                : [`${config} says of ${diffIds.length} layers what is in them, its image has ${layers.length}`],
        ),
        ...unreached(files, contents),
        ...strangeReferrers(files, contents),
        // Every reader gives images the names of one of the two lists.
        ...contents.names.flatMap((name) =>
            fullName(name) === undefined ? [`${JSON.stringify(name.slice(0, 300))} is no name`] : [],
        ),
    ];
}

/** Files that belong to none of the images. */
function unreached(files: Files, contents: ArchiveContents): string[] {
    const reached = new Set([
        "oci-layout",
        "index.json",
        "manifest.json",
        "repositories",
        ...contents.documents.keys(),
        ...contents.referrers.documents.keys(),
    ]);
    if (contents.referrers.documents.size > 0) reached.add(`${referrersFolder}oci-layout`).add(referrersLink.name);
    for (const { digest } of [...contents.blobs, ...contents.referrers.blobs]) reached.add(blobName(digest));
    for (const { config, layers } of contents.listed ?? []) {
        for (const name of [config, ...layers]) {
            reached.add(name).add(fileOf(files, name)?.name ?? name);
            // Docker before 25 has a folder for each layer, with what it said of it in its first years.
            const folder = path.posix.dirname(name);
            if (name.endsWith("/layer.tar")) reached.add(`${folder}/VERSION`).add(`${folder}/json`);
        }
    }
    const folders = new Set([...reached].map((name) => `${path.posix.dirname(name)}/`).concat("blobs/"));
    return [...files.values()].flatMap((file) =>
        reached.has(file.name) || folders.has(file.name) || isFirstFormat(file)
            ? []
            : [`${file.name} (${placeOf(file)}) is of none of the images`],
    );
}

/** Where tools that read the layout of what belongs to the images would take another image for one of them. */
function strangeReferrers(files: Files, contents: ArchiveContents): string[] {
    if (!files.has(referrersIndexFile)) return [];
    const { type, linkName } = files.get(referrersLink.name) ?? {};
    const isLink = type === "2" && linkName === referrersLink.target;
    const names = new Map(contents.roots.flatMap((root) => namesOf(root).map((name) => [name, root.digest])));
    const { images, belonging } = familyOf(contents);
    const strange = contents.referrers.entries.flatMap((entry) => {
        const { digest, annotations } = entry;
        const others = namesOf(entry).filter((name) => !subjectTag.test(name) && names.get(name) !== digest);
        const isCalledImage = /\/image(?:Index)?$/.test(annotations?.["kind"] ?? "");
        return [
            ...others.map((name) => `names ${JSON.stringify(name)} what index.json does not`),
            ...(belonging.has(blobName(digest)) ? [] : [`has ${digest}, which belongs to none of the images`]),
            ...(isCalledImage && !images.has(blobName(digest)) ? [`calls ${digest} one of the images`] : []),
        ];
    });
    return [
        ...(isLink ? [] : [`${referrersLink.name} is no link to ${referrersLink.target}`]),
        ...strange.map((problem) => `${referrersIndexFile} ${problem}`),
    ];
}

/** What is known by the tag of its subject. */
const subjectTag = /^sha256-([0-9a-f]{64})(?:\.[a-z]+)?$/;

function namesOf({ annotations = {} }: Descriptor): string[] {
    return [refNameAnnotation, ...nameAnnotations].flatMap((each) => annotations[each] ?? []);
}

/** By the names of their files: the images, with the indexes that they were chosen from, and all that belongs to them. */
function familyOf({ documents, referrers }: ArchiveContents) {
    const images = new Set(documents.keys());
    const below = (name: string): string[] => {
        const listed = manifestsIn(referrers.documents.get(name));
        return listed.map(({ digest }) => blobName(digest)).filter((each) => referrers.documents.has(each));
    };
    const bySubject = new Map<string, string[]>();
    for (const { digest, annotations = {} } of referrers.entries) {
        const name = blobName(digest);
        if (below(name).some((each) => documents.has(each))) images.add(name);
        const [, hex] = subjectTag.exec(annotations[refNameAnnotation] ?? "") ?? [];
        const own = annotations[referenceDigest] ?? referrers.documents.get(name)?.subject?.digest;
        const subject = hex ? `sha256:${hex}` : own;
        if (subject === undefined) continue;
        const others = bySubject.get(blobName(subject)) ?? [];
        bySubject.set(blobName(subject), others);
        others.push(name);
    }
    const belonging = new Set(images);
    for (const name of belonging) {
        // The loop goes on to what is added here.
        for (const each of [...below(name), ...(bySubject.get(name) ?? [])]) belonging.add(each);
    }
    return { images, belonging };
}

/** Docker since 25 keeps what its first years said of a layer as blobs that nothing points to, and nothing reads. */
function isFirstFormat({ name, content }: ArchiveFile): boolean {
    if (!name.startsWith("blobs/sha256/") || content === undefined) return false;
    try {
        const value = parseJson(content.toString("utf8"));
        return (
            isObject(value) &&
            /^[0-9a-f]{64}$/.test(String(value["id"])) &&
            !("layers" in value || "manifests" in value)
        );
    } catch {
        return false;
    }
}

/** Layers that hold something else than the configurations of their images say. */
function unlikeLayers(files: Files, contents: ArchiveContents): string[] {
    return imagesOf(contents).flatMap(({ layers, diffIds }) =>
        layers.flatMap((name, at) => {
            const unpacked = fileOf(files, name)?.unpacked;
            if (unpacked === undefined) return [];
            if ("problem" in unpacked) return [`${nameOf(name)} cannot be unpacked: ${unpacked.problem}`];
            const diffId = `sha256:${unpacked.sha256}`;
            return diffId === diffIds?.[at]
                ? []
                : [`${nameOf(name)} unpacks to ${diffId}, its image's configuration says ${String(diffIds?.[at])}`];
        }),
    );
}

function nameOf(file: string): string {
    return file.replace(/^blobs\/(sha256)\//, "blob $1:");
}

/** Where the archive is not what the caller expects. */
function unexpected(
    { names, roots }: ArchiveContents,
    record: ExportRecord | undefined,
    { digest, image }: VerifyOptions,
): string[] {
    const problems: string[] = [];
    const exports = record === undefined ? [] : exportsOf(record);
    const isWanted = (name: string): boolean => image === undefined || fullName(name) === fullName(image);
    const wanted = exports.filter(({ imageName }) => isWanted(imageName));
    // The manifest of the registry is not in an archive of engine docker: its digest is the record's word.
    const recorded = (wanted.length > 0 ? wanted : exports).map(({ imageDigest }) => imageDigest);
    const known = record === undefined ? roots.map((root) => root.digest) : recorded;
    if (digest !== undefined && !known.includes(digest)) {
        problems.push(`the image's digest is ${known.join(", ") || "not known"}, expected ${digest}`);
    }
    const found = names.length > 0 ? names : exports.map(({ imageName }) => imageName);
    if (image !== undefined && !found.some(isWanted)) {
        problems.push(`the image's name is ${found.join(", ") || "not known"}, expected ${image}`);
    }
    return problems;
}

function differences(
    record: ExportRecord,
    { files, sha256, sizeBytes, isComplete }: ReadArchive,
    contents: ArchiveContents,
): string[] {
    const { roots, names } = contents;
    const problems: string[] = [];
    const compare = (what: string, actual: unknown, expected: unknown): void => {
        if (actual !== expected) problems.push(`${what} is ${String(actual)}, the record says ${String(expected)}`);
    };
    compare("the archive's size", sizeBytes, record.archive.sizeBytes);
    compare("the archive's sha256", sha256, record.archive.sha256);
    if (!isComplete) return problems;
    const exports = exportsOf(record);
    const images = exports.flatMap((each) => each.images);
    if (record.engine.name === "docker") {
        // Docker makes manifests anew and unpacks layers: it keeps the configurations.
        const configs = imagesOf(contents).map(({ config }) => `sha256:${fileOf(files, config)?.sha256 ?? "missing"}`);
        const recordedConfigs = images.map(({ configDigest }) => configDigest);
        compare("the image's configuration", String([...new Set(configs)]), String(recordedConfigs));
        const recorded = exports.map(({ imageName }) => imageName);
        const full = recorded.map(fullName);
        const others = names.filter((name) => !full.includes(fullName(name)));
        if (others.length > 0) compare("the image's name", others.join(", "), recorded.join(", "));
        return problems;
    }
    const [is, expected] = [roots, exports].map((all) => all.length);
    if (is !== expected) compare("the number of images", is, expected);
    exports.forEach(({ imageDigest }, at) => {
        compare("the image's digest", roots[at]?.digest, imageDigest);
    });
    for (const layer of images.flatMap(({ layers }) => layers ?? [])) {
        const file = files.get(blobName(layer.digest));
        compare(`the offset of blob ${layer.digest}`, file?.offset ?? null, layer.offset);
        if (file) compare(`the size of blob ${layer.digest}`, file.sizeBytes, layer.sizeBytes);
    }
    return problems;
}
