import type { ExportRecord } from "../../contract/record";
import { configsToRead, type ImageDocument, type ResolvedImage } from "../registry/image";
import type { Descriptor } from "../registry/manifest";
import { type ArchiveContents, contentsOf, documentsOf, type Files, fileOf, imagesOf, parseDocument } from "./contents";
import { blobName, planArchive, recordedImages } from "./plan";
import { type ArchiveFile, readArchive, type ReadArchive } from "./readArchive";

/** What reading an archive has shown. */
export interface Verification {
    /** Of the whole archive, in hexadecimal. */
    readonly sha256: string;
    readonly sizeBytes: number;
    /** Digest of the document that the archive's `index.json` names. */
    readonly imageDigest: string | undefined;
    /** What is wrong, each naming the blob, the place or the field; empty for a good archive. */
    readonly problems: readonly string[];
    readonly contents: ArchiveContents;
    /** Files that no digest within the archive covers: only its record tells whether they are damaged. */
    readonly uncovered: readonly string[];
}

/**
 * Reads an archive of either engine to its end and says what is wrong with it: every byte belongs to a header, to
 * padding, to a file that a digest covers, or to one that the record covers. Needs memory for its JSON documents only.
 *
 * @param source the archive's bytes
 * @param record what the archive has to be, if that is known
 */
export async function verifyArchive(source: AsyncIterable<Uint8Array>, record?: ExportRecord): Promise<Verification> {
    const archive = await readArchive(source);
    const contents = contentsOf(archive.files);
    const { sha256, sizeBytes } = archive;
    const uncovered = uncoveredFiles(archive.files);
    const isOther = record !== undefined && record.archive.sha256 !== sha256;
    const wrong = [...archive.damages, ...wrongFiles(archive.files)];
    const damages = record && wrong.length === 0 ? unplanned(archive, record) : wrong;
    const problems = [
        ...damages,
        ...(archive.isComplete ? missingFiles(archive.files, record) : []),
        ...(record ? differences(record, archive, contents) : []),
    ];
    if (damages.length === 0 && isOther && record.archive.sizeBytes === sizeBytes) {
        const places = uncovered.map((file) => `${file.name} (${placeOf(file)})`).join(" or ");
        problems.push(`all that has a digest is as it was, so the damage is in ${places || "the headers"}`);
    }
    return {
        sha256,
        sizeBytes,
        imageDigest: contents.imageDigest,
        problems: [...new Set(problems)],
        contents,
        uncovered: uncovered.map(({ name }) => name),
    };
}

/** The digest that a file must have: of its name, or as the configuration of its image says. */
function expectedDigests(files: Files): Map<ArchiveFile, string> {
    const expected = new Map<ArchiveFile, string>();
    for (const file of files.values()) {
        // Docker before 25 names configurations `DIGEST.json`.
        const [, digest] = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(file.name) ?? [];
        if (digest !== undefined && file.type === "0") expected.set(file, digest);
    }
    for (const { layers } of imagesOf(files)) {
        for (const { file: name, diffId } of layers) {
            const file = fileOf(files, name);
            // A blob's own digest is that of the layer as it is in the archive, which may be compressed.
            if (file !== undefined && diffId !== undefined && !expected.has(file)) {
                expected.set(file, diffId.replace(/^sha256:/, ""));
            }
        }
    }
    return expected;
}

function wrongFiles(files: Files): string[] {
    return [...expectedDigests(files)].flatMap(([file, expected]) => {
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
function unplanned({ files, isComplete }: ReadArchive, record: ExportRecord): string[] {
    if (record.engine.name !== "stream" || !isComplete) return [];
    const image = imageOf(files, record);
    if (image === undefined) return [`${record.imageDigest} is not in the archive as a whole`];
    const plan = planArchive(image);
    const planned = new Map(plan.files.map((file) => [file.name, file]));
    const wrong = [...files.values()].flatMap((file): string[] => {
        const { name, offset, content, sizeBytes } = file;
        const expected = planned.get(name);
        const type = name.endsWith("/") ? "5" : "0";
        if (expected?.offset !== offset || expected.sizeBytes !== sizeBytes || file.type !== type) {
            return [`${name} (${placeOf(file)}) is not what the engine writes there`];
        }
        const bytes = "bytes" in expected.content ? expected.content.bytes : [];
        const at = bytes.findIndex((byte, index) => byte !== content?.[index]);
        return at < 0 ? [] : [`${name} is damaged: byte ${offset + at} is not what the engine writes`];
    });
    // The platform of an image that was chosen from an index may be known from there only.
    const [found, recorded] = [recordedImages(image, plan), record.images].map((images) =>
        JSON.stringify(images.map((each) => ({ ...each, platform: null }))),
    );
    return [...wrong, ...(found === recorded ? [] : ["the record's images are not those of the archive"])];
}

/** What an archive was planned from; undefined where a document is missing or damaged. */
function imageOf(files: Files, { imageDigest, imageName: name }: ExportRecord): ResolvedImage | undefined {
    const listed = documentsOf(files)
        .flatMap(({ manifest }) => (manifest.kind === "index" ? manifest.manifests : []))
        .find(({ digest }) => digest === imageDigest);
    // An OCI document may leave its type out; where index.json is damaged, its fields say what it is.
    const types = listed
        ? [listed.mediaType]
        : ["manifest", "index"].map((each) => `application/vnd.oci.image.${each}.v1+json`);
    const trees = types.map((mediaType) => documentTree(files, { digest: imageDigest, mediaType }));
    const [root, ...others] = trees.find(([first]) => first !== undefined) ?? [];
    if (root === undefined || others.includes(undefined)) return undefined;
    const documents = [root, ...others.filter((document) => document !== undefined)] as const;
    const configs = configsToRead(documents).flatMap(({ digest }): [string, Buffer][] => {
        const content = files.get(blobName(digest))?.content;
        return content ? [[digest, content]] : [];
    });
    const tag = name.includes("@") ? undefined : name.slice(name.lastIndexOf(":") + 1);
    return { name, ...(tag !== undefined && { tag }), documents, configs: new Map(configs) };
}

/** A document and those below it, in the order of the archive; undefined in the place of one that is missing. */
function documentTree(files: Files, listed: Pick<Descriptor, "digest" | "mediaType">): (ImageDocument | undefined)[] {
    const file = files.get(blobName(listed.digest));
    const manifest = parseDocument(file, listed.mediaType);
    if (file?.content === undefined || manifest === undefined) return [undefined];
    const descriptor = { ...listed, mediaType: manifest.mediaType, size: file.sizeBytes };
    const children = manifest.kind === "index" ? manifest.manifests : [];
    return [{ descriptor, bytes: file.content, manifest }, ...children.flatMap((child) => documentTree(files, child))];
}

function uncoveredFiles(files: Files): ArchiveFile[] {
    const covered = expectedDigests(files);
    return [...files.values()].filter((file) => file.sizeBytes > 0 && !covered.has(file));
}

function placeOf({ offset, sizeBytes }: ArchiveFile): string {
    return `bytes ${offset} to ${offset + sizeBytes - 1}`;
}

/** Files that a document names and the archive has not, or not in that size. */
function missingFiles(files: Files, record: ExportRecord | undefined): string[] {
    if (!files.has("index.json") && (!files.has("manifest.json") || record?.engine.name === "stream")) {
        return ["index.json is missing"];
    }
    const unreadable = ["index.json", "manifest.json"].filter((name) => files.has(name) && !isReadable(files, name));
    const fromDocker = imagesOf(files).flatMap(({ config, layers }) =>
        [config, ...layers.map(({ file }) => file)].flatMap((name) =>
            fileOf(files, name) === undefined ? [`${nameOf(name)} is missing`] : [],
        ),
    );
    const fromLayout = documentsOf(files).flatMap(({ manifest }) => {
        if (manifest.kind === "image") return [manifest.config, ...manifest.layers];
        // Docker saves an index with the one image of it that it has.
        const there = manifest.manifests.filter(({ digest }) => files.has(blobName(digest)));
        return record?.engine.name === "stream" || there.length === 0 ? manifest.manifests : there;
    });
    const wrong = fromLayout.flatMap(({ digest, size }) => {
        const found = files.get(blobName(digest));
        if (found === undefined) {
            return [`blob ${digest} is missing`];
        }
        return found.sizeBytes === size ? [] : [`blob ${digest} has ${found.sizeBytes} bytes, expected ${size}`];
    });
    return [...unreadable.map((name) => `${name} cannot be read`), ...fromDocker, ...wrong];
}

function isReadable(files: Files, name: string): boolean {
    return name === "index.json"
        ? documentsOf(files).some((document) => document.name === name)
        : imagesOf(files).length > 0 || files.get(name)?.content?.toString() === "[]";
}

function nameOf(file: string): string {
    return file.replace(/^blobs\/(sha256)\//, "blob $1:");
}

function differences(
    record: ExportRecord,
    { files, sha256, sizeBytes, isComplete }: ReadArchive,
    { imageDigest }: ArchiveContents,
): string[] {
    const problems: string[] = [];
    const compare = (what: string, actual: unknown, expected: unknown): void => {
        if (actual !== expected) {
            problems.push(`${what} is ${String(actual)}, the record says ${String(expected)}`);
        }
    };
    compare("the archive's size", sizeBytes, record.archive.sizeBytes);
    compare("the archive's sha256", sha256, record.archive.sha256);
    if (!isComplete) return problems;
    if (record.engine.name === "docker") {
        // Docker makes manifests anew and unpacks layers: it keeps the configurations.
        const configs = imagesOf(files).map(({ config }) => `sha256:${fileOf(files, config)?.sha256 ?? "missing"}`);
        compare(
            "the image's configuration",
            String(configs),
            String(record.images.map(({ configDigest }) => configDigest)),
        );
        return problems;
    }
    compare("the image's digest", imageDigest, record.imageDigest);
    for (const layer of record.images.flatMap(({ layers }) => layers ?? [])) {
        const file = files.get(blobName(layer.digest));
        compare(`the offset of blob ${layer.digest}`, file?.offset, layer.offset);
        compare(`the size of blob ${layer.digest}`, file?.sizeBytes, layer.sizeBytes);
    }
    return problems;
}
