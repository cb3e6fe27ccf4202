import { createHash } from "node:crypto";
import { ExportError } from "../../contract/errors";
import { isDigest } from "../../contract/image";
import {
    assertExactNames,
    isObject,
    isStrings,
    JsonError,
    type JsonObject,
    parseJsonObject,
} from "../../contract/json";
import type { Platform } from "../../contract/platform";

/** What points to a blob: the descriptor of the OCI image specification. */
export interface Descriptor {
    readonly mediaType: string;
    readonly digest: string;
    /** Length of the blob in bytes. */
    readonly size: number;
    readonly platform?: Platform | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
    /** The blob itself, where the descriptor has it. */
    readonly data?: Buffer | undefined;
}

/** The digest of bytes, as registries write it. */
export function digestOf(bytes: Uint8Array): string {
    return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The manifest of one image, or an image index (OCI), manifest list (Docker): one manifest per platform, and attestations. */
export type Manifest = ReturnType<typeof parseManifest>;
/** What a document says of itself as an artifact that belongs to an image. */
interface Pointing {
    /** What it points to, as signatures and SBOMs do. */
    readonly subject?: Descriptor | undefined;
    readonly artifactType?: string | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The manifest of one image: its configuration and its layers, the lowest first. */
export type ImageManifest = Extract<Manifest, { kind: "image" }>;

/** The media type of an image index. */
export const indexType = "application/vnd.oci.image.index.v1+json";

const manifestKinds: ReadonlyMap<string, "image" | "index"> = new Map([
    ["application/vnd.docker.distribution.manifest.v2+json", "image"],
    ["application/vnd.oci.image.manifest.v1+json", "image"],
    ["application/vnd.docker.distribution.manifest.list.v2+json", "index"],
    [indexType, "index"],
]);
// The last four as registries and tools of old have written them; Docker takes them too (github.com/moby/moby, distribution/registry.go).
const configTypes = new Set([
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/octet-stream",
    "application/json",
    "text/html",
    "",
]);
/** A build cache that `docker buildx build --cache-to` has pushed: its index lists the layers themselves. */
const cacheType = "application/vnd.buildkit.cacheconfig.v0";
/** Layers that may be distributed by their own URLs only, a registry need not have them: base layers of Windows images. */
export const foreignTypePattern = /\.foreign\.diff\.|\.nondistributable\./;

/** The `Accept` header of a manifest request: everything that can be exported. */
export const acceptedManifestTypes = [...manifestKinds.keys()].join(", ");

const documentNames = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
];
const descriptorNames = ["mediaType", "digest", "size", "platform", "annotations", "data"];
const platformNames = ["os", "architecture", "variant", "os.version"];
const configNames = [...platformNames, "rootfs", "config", "history"];

/**
 * Reads and checks a manifest or an index.
 *
 * @param bytes the document as the registry sent it
 * @param types what others call it, for a document that does not carry its media type: the index that lists it, then the
 *     `Content-Type`
 * @throws ExportError `InvalidInput` for schema 1, for other kinds of documents, for malformed ones, and for those that readers
 *     read differently
 */
export function parseManifest(bytes: Buffer, ...types: readonly (string | undefined)[]) {
    return exportable(`manifest ${digestOf(bytes)}`, () => {
        const document = parseJsonObject(bytes.toString("utf8"), documentNames);
        const mediaType = mediaTypeOf(document, types);
        const isOld = document["schemaVersion"] === 1 || given(document["fsLayers"]) || isSchema1(mediaType);
        if (isOld) throw new JsonError(schema1Problem);
        const kind = manifestKinds.get(mediaType);
        const { subject, annotations } = document;
        const pointing: Pointing = {
            subject: given(subject) ? descriptor(subject) : undefined,
            artifactType: artifactTypeOf(document),
            annotations: readAnnotations(annotations),
        };
        if (kind === "index") {
            assertWithout(document, "index", ["config", "layers"]);
            const manifests = list(document["manifests"], "manifests").map(descriptor);
            if (manifests.some(({ mediaType: type }) => type === cacheType)) {
                throw new JsonError("is a build cache of BuildKit, not an image");
            }
            return { kind, mediaType, manifests, ...pointing };
        }
        if (kind === "image") {
            assertWithout(document, "image manifest", ["manifests"]);
            const layers = list(document["layers"], "layers").map(descriptor);
            return { kind, mediaType, config: descriptor(document["config"]), layers, ...pointing };
        }
        throw new JsonError(`has the media type "${mediaType.slice(0, 100)}", which is no image manifest or index`);
    });
}

const schema1Problem =
    "is a Docker schema 1 manifest, which current tools no longer read; push the image anew, for instance with " +
    "skopeo copy --format v2s2, or build it again";

/**
 * Says of a document with another digest than it should have that it is schema 1, where it is: that digest does not cover its signatures.
 *
 * @throws ExportError `InvalidInput`
 */
export function assertNotSchema1(bytes: Buffer, mediaType = ""): void {
    exportable("manifest", () => {
        const isOld = isSchema1(mediaType) || /"schemaVersion"\s*:\s*1\s*[,}]/.test(bytes.toString("latin1"));
        if (isOld) throw new JsonError(schema1Problem);
    });
}

function isSchema1(mediaType: string): boolean {
    return mediaType.includes("distribution.manifest.v1+");
}

function given(value: unknown): boolean {
    return value !== undefined && value !== null;
}

/** A document that is both gives one image to some readers and another to others. */
function assertWithout(document: JsonObject, kind: string, fields: readonly string[]): void {
    const wrong = fields.find((field) => given(document[field]));
    if (wrong !== undefined) throw new JsonError(`is an ${kind} and has "${wrong}" too`);
}

/** What kind of artifact it is, in words fit for a record. cosign and BuildKit give their manifests the configuration of an image. */
export function typeOf(manifest: Manifest): string {
    const layers = manifest.kind === "image" && isContainerImage(manifest) ? manifest.layers.slice(0, 1) : [];
    const blobs = manifest.kind === "image" ? [...layers, manifest.config] : [];
    const words = [manifest.artifactType ?? "", ...blobs.map(({ mediaType }) => mediaType)];
    return words.find((word) => typePattern.test(word)) ?? manifest.mediaType;
}

/** Whether a media type is that of a manifest or an index that can be exported. */
export function isManifestType(mediaType: string): boolean {
    return manifestKinds.has(mediaType);
}

/** Whether the configuration is that of a container image, and not of a chart, a signature or another artifact. */
export function isContainerImage(manifest: ImageManifest): boolean {
    return configTypes.has(manifest.config.mediaType);
}

/**
 * How BuildKit marks its attestations in an index, and the images that they are about:
 * github.com/moby/buildkit, docs/attestations/attestation-storage.md
 */
export const referenceDigest = "vnd.docker.reference.digest";
export const referenceType = "vnd.docker.reference.type";
export const attestationType = "attestation-manifest";

/** What an index lists; nothing for a manifest, or for a document that is not there. */
export function manifestsIn(document: Manifest | undefined): readonly Descriptor[] {
    return document?.kind === "index" ? document.manifests : [];
}

/** Whether a descriptor of an index is an image: attestations have the platform `unknown/unknown`. */
export function isImageDescriptor({ platform, annotations }: Descriptor): boolean {
    return platform?.os !== "unknown" && annotations?.[referenceType] === undefined;
}

/**
 * What an image's configuration says of its platform and of its unpacked layers, the lowest first; undefined for what it does
 * not say.
 *
 * @throws ExportError `InvalidInput` when the configuration is not JSON, or readers read it differently
 */
export function parseConfig(config: Buffer) {
    return exportable("configuration", () => {
        const document = parseJsonObject(config.toString("utf8"), configNames);
        const { rootfs } = document;
        if (isObject(rootfs)) assertExactNames(rootfs, ["type", "diff_ids"]);
        const diffIds = isObject(rootfs) ? rootfs["diff_ids"] : undefined;
        return { platform: readPlatform(document), diffIds: isStrings(diffIds) ? diffIds : undefined };
    });
}

/** Reads a document; what is wrong with it is thrown as the second half of a sentence. */
function exportable<T>(what: string, read: () => T): T {
    try {
        return read();
    } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        throw new ExportError("InvalidInput", `The ${what} cannot be exported: it ${error.message}.`);
    }
}

/** The document's own word goes first: it is part of what the digest covers. An OCI document may leave it out. */
function mediaTypeOf(document: JsonObject, types: readonly (string | undefined)[]): string {
    const own = document["mediaType"];
    if (typeof own === "string" && own !== "") return own;
    const others = types.flatMap((type) => (type === undefined ? [] : [(type.split(";")[0] ?? "").trim()]));
    const known = others.find((type) => isManifestType(type) || isSchema1(type));
    return known ?? others.find((type) => type !== "") ?? "";
}

/** What goes into records as a type. */
const typePattern = /^[!-~]{1,255}$/;

/** What kind of artifact a document is, where it says so. */
function artifactTypeOf({ artifactType }: JsonObject): string | undefined {
    if (!given(artifactType) || artifactType === "") return undefined;
    if (typeof artifactType === "string" && typePattern.test(artifactType)) return artifactType;
    throw new JsonError(`has the artifactType ${shown(artifactType)}`);
}

/** Go writes null for an empty list, and some tools leave it out, as for an image without layers. */
function list(value: unknown, field: string): unknown[] {
    if (!given(value)) return [];
    if (!Array.isArray(value)) throw new JsonError(`has "${field}" that are no list`);
    return value;
}

function descriptor(value: unknown): Descriptor {
    if (!isObject(value)) {
        throw new JsonError("has something that is not a descriptor where a descriptor is expected");
    }
    assertExactNames(value, descriptorNames);
    const { mediaType = "", digest, size } = value;
    if (typeof mediaType !== "string" || !isDigest(digest)) {
        throw new JsonError(
            `has a descriptor with the digest ${shown(digest)} and the type ${shown(mediaType)}; expected sha256:… and a string`,
        );
    }
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
        throw new JsonError(`has the descriptor ${digest} with the size ${shown(size)}`);
    }
    const platform = isObject(value["platform"]) ? readPlatform(value["platform"]) : undefined;
    const annotations = readAnnotations(value["annotations"]);
    return { mediaType, digest, size, platform, annotations, data: readData(value["data"], digest, size) };
}

function shown(value: unknown): string {
    return value === undefined ? "nothing" : JSON.stringify(value).slice(0, 100);
}

/** A blob that the descriptor carries itself; a registry need not have it (the empty configuration of an artifact, for instance). */
function readData(value: unknown, digest: string, size: number): Buffer | undefined {
    if (!given(value)) return undefined;
    const data = typeof value === "string" ? Buffer.from(value, "base64") : Buffer.alloc(0);
    if (digest !== digestOf(data) || data.length !== size) {
        throw new JsonError(`has the descriptor ${digest} with "data" of another content`);
    }
    return data;
}

/** What platforms are made of; they go into names, records and messages. */
const platformWord = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Reads the platform of an index or of a configuration. */
function readPlatform(value: JsonObject): Platform | undefined {
    assertExactNames(value, platformNames);
    const [os, architecture, variant, osVersion] = platformNames.map((name) => {
        const word = value[name];
        if (typeof word !== "string" || word === "") return undefined;
        if (platformWord.test(word)) return word;
        throw new JsonError(`has a platform with the "${name}" ${shown(word)}`);
    });
    if (os === undefined || architecture === undefined) return undefined;
    return { os, architecture, ...(variant && { variant }), ...(osVersion && { osVersion }) };
}

function readAnnotations(value: unknown): Record<string, string> | undefined {
    if (!isObject(value)) return undefined;
    const texts = Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string");
    return Object.fromEntries(texts);
}
