/** The images that are exported: as they were asked for, and as the registries have them. */
import { asExportError, ExportError } from "../contract/errors";
import { type ImageReference, isDigest, parseReference } from "../contract/image";
import { parsePlatform, type PlatformRequest, platformText } from "../contract/platform";
import type { RequestedImage, RequestVariable } from "../contract/request";
import { setLimit } from "../contract/set";
import { createLimit } from "./network/pool";
import { documentsOf, type ResolvedImage, resolveImage } from "./registry/image";
import { findReferrers } from "./registry/referrers";
import type { openRegistries, Registry, RegistryOptions } from "./registry/registry";

/** One image as it was asked for, read and checked. */
export interface ImageRequest {
    /** As it was given. */
    readonly imageUri: string;
    readonly reference: ImageReference;
    readonly platform: PlatformRequest;
}

const digestVariable: RequestVariable = "IMAGE_DIGEST";

/**
 * Reads one request. Where ECR has told the state machine the digest of a tag, exactly that is exported, whatever the tag means by
 * now.
 *
 * @throws ExportError `InvalidInput`
 */
export function readRequest(imageUri: string, platform: string, env: NodeJS.ProcessEnv = {}): ImageRequest {
    const reference = parseReference(imageUri);
    const request = { imageUri, reference, platform: parsePlatform(platform) };
    const digest = env[digestVariable] ?? "";
    if (digest === "" || reference.digest !== undefined) return request;
    if (isDigest(digest)) return { ...request, reference: { ...reference, digest } };
    throw new ExportError(
        "InvalidInput",
        `${digestVariable} is "${String(digest)}": expected sha256: and 64 hexadecimal digits, or nothing.`,
    );
}

/**
 * Reads the images of a set.
 *
 * @param platform of those that name none
 * @returns each name once, in the order of the names
 * @throws ExportError `InvalidInput`, also where two images have one name and are not the same
 */
export function readSet(images: readonly RequestedImage[], platform: string): ImageRequest[] {
    if (images.length < 1 || images.length > setLimit) {
        throw new ExportError("InvalidInput", `A set has 1 to ${setLimit} images, and this one has ${images.length}.`);
    }
    const byName = new Map<string, ImageRequest>();
    for (const image of images) {
        const { imageUri, platform: own = platform } = typeof image === "string" ? { imageUri: image } : image;
        const request = readRequest(imageUri, own);
        const { name, digest } = request.reference;
        const known = byName.get(name) ?? request;
        byName.set(name, known);
        const isSame =
            known.reference.digest === digest && platformText(known.platform) === platformText(request.platform);
        if (isSame) continue;
        const [one, other] = [known, request].map((each) => `${each.imageUri} for ${platformText(each.platform)}`);
        throw new ExportError(
            "InvalidInput",
            `An archive has one image of a name, and the set has ${one} and ${other}.`,
        );
    }
    return [...byName.values()].sort((one, other) => (one.reference.name < other.reference.name ? -1 : 1));
}

/** Bytes of the manifests and configurations of a set, which are kept in memory: an export takes 250 MB. 500 usual images have 4 MB. */
const documentsLimitBytes = 24 * 1024 * 1024;
/** Images that are looked up at a time. */
const lookUps = 8;

/** What was asked for, and what it is. */
export interface FoundImage extends ImageRequest {
    readonly image: ResolvedImage;
    /** Where it is. */
    readonly registry: Registry;
}

/**
 * Finds what the requests mean, and what belongs to it, if `referrers` says so. Of a set everything is looked up before it fails, so that all images that are missing are named.
 *
 * @throws ExportError as `resolveImage` does
 */
export async function resolveImages(
    requests: readonly ImageRequest[],
    registries: ReturnType<typeof openRegistries>,
    { referrers, onNote }: { readonly referrers: boolean } & Pick<RegistryOptions, "onNote">,
): Promise<FoundImage[]> {
    const limit = createLimit(lookUps);
    let bytes = 0;
    const assertFits = (): void => {
        if (requests.length === 1 || bytes <= documentsLimitBytes) return;
        const message = `The manifests and configurations of the set have more than ${documentsLimitBytes} bytes. Make two sets of it.`;
        throw new ExportError("InvalidInput", message);
    };
    const resolve = async (request: ImageRequest): Promise<FoundImage> => {
        assertFits(); // else hundreds more would be read for nothing
        const registry = registries.open(request.reference);
        const found = await resolveImage(registry, request.reference, request.platform, onNote);
        const image = referrers ? { ...found, referrers: await findReferrers(registry, found) } : found;
        for (const document of documentsOf(image)) bytes += document.bytes.length;
        for (const config of image.configs.values()) bytes += config.length;
        assertFits();
        return { ...request, image, registry };
    };
    const found = await Promise.allSettled(requests.map((each) => limit(() => resolve(each))));
    const failed = found.flatMap((each, at) => {
        const imageUri = requests[at]?.imageUri ?? "";
        return each.status === "rejected" ? [{ imageUri, error: asExportError(each.reason) }] : [];
    });
    const [first] = failed;
    if (first === undefined) return found.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    if (requests.length === 1) throw first.error;
    const worse = failed.find(({ error }) => error.name !== "ImageNotFound");
    if (worse !== undefined) {
        throw new ExportError(worse.error.name, `${worse.imageUri}: ${worse.error.message}`, worse.error);
    }
    const names = failed.map(({ imageUri }) => imageUri).join(", ");
    const message = `${failed.length} of the ${requests.length} images are missing: ${names}. ${first.error.message}`;
    throw new ExportError("ImageNotFound", message, first.error);
}

/** Reads blobs of several images, each from the repository of an image that has it. */
export function blobSource(found: readonly FoundImage[]): Pick<Registry, "readBlob"> {
    const sources = new Map<string, Registry>();
    for (const { image, registry } of found) {
        for (const { manifest } of documentsOf(image)) {
            if (manifest.kind !== "image") continue;
            for (const { digest } of [manifest.config, ...manifest.layers]) {
                if (!sources.has(digest)) sources.set(digest, registry);
            }
        }
    }
    return {
        readBlob: (digest, ...stretch) => {
            const registry = sources.get(digest);
            if (registry === undefined) throw new Error(`no image has the blob ${digest}`);
            return registry.readBlob(digest, ...stretch);
        },
    };
}
