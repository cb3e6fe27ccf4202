import { ExportError } from "../../contract/errors";
import { choosePlatform, type Platform, platformText } from "../../contract/platform";
import { isDigest } from "../../contract/image";

/** What points to a blob: the descriptor of the OCI image specification. */
export interface Descriptor {
    readonly mediaType: string;
    readonly digest: string;
    /** Length of the blob in bytes. */
    readonly size: number;
    readonly platform?: Platform;
    readonly annotations?: Readonly<Record<string, string>>;
}

/** The manifest of one image: its configuration and its layers, the lowest first. */
export interface ImageManifest {
    readonly kind: "image";
    readonly mediaType: string;
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
}

/** An image index (OCI) or manifest list (Docker): one manifest per platform, and attestations. */
export interface ImageIndex {
    readonly kind: "index";
    readonly mediaType: string;
    readonly manifests: readonly Descriptor[];
}

export type Manifest = ImageManifest | ImageIndex;

const imageTypes = new Set([
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
]);
const indexTypes = new Set([
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
]);
const configTypes = new Set([
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
]);
// Layers that may be distributed by their own URLs only: base layers of Windows images.
const foreignTypePattern = /\.foreign\.diff\.|\.nondistributable\./;

/** The `Accept` header of a manifest request: everything that can be exported. */
export const acceptedManifestTypes = [...imageTypes, ...indexTypes].join(", ");

/**
 * Reads and checks a manifest or an index.
 *
 * @param bytes the document as the registry sent it
 * @param contentType its `Content-Type`, for documents that do not carry their own media type
 * @throws ExportError `InvalidInput` for schema 1, for other kinds of documents and for malformed ones
 */
export function parseManifest(bytes: Buffer, contentType: string | undefined): Manifest {
    const document = parseObject(bytes);
    const mediaType = mediaTypeOf(document, contentType);
    if (document["schemaVersion"] === 1 || mediaType.includes("manifest.v1+prettyjws")) {
        throw refused("it is a schema 1 manifest, which Docker gave up; push the image again with a current tool");
    }
    if (indexTypes.has(mediaType)) {
        return {
            kind: "index",
            mediaType,
            manifests: list(document["manifests"], "manifests").map(descriptor),
        };
    }
    if (imageTypes.has(mediaType)) {
        const layers = list(document["layers"], "layers").map(descriptor);
        return { kind: "image", mediaType, config: descriptor(document["config"]), layers };
    }
    throw refused(`its media type is "${mediaType}", which is no image manifest or index`);
}

/** Whether the configuration is that of a container image, and not of a chart, a signature or another artifact. */
export function isContainerImage(manifest: ImageManifest): boolean {
    return configTypes.has(manifest.config.mediaType);
}

/** Whether a layer is of the kind whose bytes a registry need not have. */
export function isForeignLayer(layer: Descriptor): boolean {
    return foreignTypePattern.test(layer.mediaType);
}

/** Whether a descriptor of an index is an image: attestations have the platform `unknown/unknown`. */
export function isImageDescriptor({ platform, annotations }: Descriptor): boolean {
    return platform?.os !== "unknown" && annotations?.["vnd.docker.reference.type"] === undefined;
}

/**
 * The manifest of one platform in an index: the best by contract/platform.ts.
 *
 * @throws ExportError `ImageNotFound` when the index has no such platform; the message lists those it has
 */
export function selectPlatform(index: ImageIndex, request: Platform): Descriptor {
    const images = index.manifests.filter(isImageDescriptor);
    const chosen = choosePlatform(images, ({ platform }) => platform, request);
    if (chosen !== undefined) return chosen;
    const available = images.map(({ platform }) => (platform ? platformText(platform) : "no platform"));
    throw new ExportError(
        "ImageNotFound",
        `The image has no platform ${platformText(request)}. It has: ${available.join(", ") || "none"}.`,
    );
}

/**
 * What an image's configuration says of its platform and of its unpacked layers, the lowest first; undefined for what it does
 * not say.
 *
 * @throws ExportError `InvalidInput` when the configuration is not JSON
 */
export function parseConfig(config: Buffer): {
    readonly platform: Platform | undefined;
    readonly diffIds: readonly string[] | undefined;
} {
    const document = parseObject(config);
    const diffIds = isObject(document["rootfs"]) ? document["rootfs"]["diff_ids"] : undefined;
    const isList = Array.isArray(diffIds) && diffIds.every((each) => typeof each === "string");
    return {
        platform: readPlatform(document),
        diffIds: isList ? diffIds : undefined,
    };
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseObject(bytes: Buffer): JsonObject {
    let value: unknown;
    try {
        value = JSON.parse(bytes.toString("utf8"));
    } catch (error) {
        throw refused("it is not JSON", error);
    }
    if (!isObject(value)) throw refused("it is not a JSON object");
    return value;
}

/** The document's own word goes first: it is part of what the digest covers. An OCI document may leave it out. */
function mediaTypeOf(document: JsonObject, contentType = ""): string {
    const own = document["mediaType"];
    return typeof own === "string" ? own : (contentType.split(";")[0] ?? "").trim();
}

/** Go writes null for an empty list, and some tools leave it out, as for an image without layers. */
function list(value: unknown, field: string): unknown[] {
    if (value === null || value === undefined) return [];
    if (!Array.isArray(value)) {
        throw refused(`its "${field}" is not a list`);
    }
    return value;
}

function descriptor(value: unknown): Descriptor {
    if (!isObject(value)) {
        throw refused("it has something that is not a descriptor where a descriptor is expected");
    }
    const { mediaType, digest, size } = value;
    if (typeof mediaType !== "string" || typeof digest !== "string" || !isDigest(digest)) {
        throw refused(`it has a descriptor with the digest ${JSON.stringify(digest)}; expected sha256:…`);
    }
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
        throw refused(`its descriptor ${digest} has the size ${JSON.stringify(size)}`);
    }
    const platform = isObject(value["platform"]) ? readPlatform(value["platform"]) : undefined;
    const annotations = readAnnotations(value["annotations"]);
    return { mediaType, digest, size, ...(platform && { platform }), ...(annotations && { annotations }) };
}

function readPlatform(value: JsonObject): Platform | undefined {
    const [os, architecture, variant, osVersion] = ["os", "architecture", "variant", "os.version"].map((name) =>
        typeof value[name] === "string" && value[name] !== "" ? value[name] : undefined,
    );
    if (os === undefined || architecture === undefined) return undefined;
    return { os, architecture, ...(variant && { variant }), ...(osVersion && { osVersion }) };
}

function readAnnotations(value: unknown): Record<string, string> | undefined {
    if (!isObject(value)) return undefined;
    const texts = Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string");
    return Object.fromEntries(texts);
}

function refused(why: string, cause?: unknown): ExportError {
    return new ExportError("InvalidInput", `The manifest cannot be exported: ${why}.`, cause);
}
