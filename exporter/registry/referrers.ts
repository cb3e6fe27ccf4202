/**
 * What belongs to an image: signatures, SBOMs, attestations, and whatever else points to it. A registry that knows of referrers is
 * asked for them; others have them under a tag that clients keep (github.com/opencontainers/distribution-spec, "Referrers Tag
 * Schema"). Besides, there are the tags of cosign (github.com/sigstore/cosign, specs/SIGNATURE_SPEC.md), and BuildKit's attestations,
 * which the index lists beside their image.
 */
import { asExportError, ExportError } from "../../contract/errors";
import { createLimit } from "../network/pool";
import { type ImageDocument, readDocument, readTree, type Referrer, type ResolvedImage } from "./image";
import { type Descriptor, isContainerImage, type Manifest, referenceDigest } from "./manifest";
import type { Registry } from "./registry";

/** How far from the image: a signature of an SBOM is at two, and nobody goes further than three. */
const depthLimit = 8;
/** Of one image; those that are known have some dozens. */
const referrerLimit = 1000;
/** Bytes of their manifests, which are kept in memory. */
const bytesLimit = 8 * 1024 * 1024;
/** Questions at a time. */
const limit = createLimit(8);

/** What cosign's tags end in: signatures, attestations, SBOMs. */
const cosignSuffixes = [".sig", ".att", ".sbom"];

/** The tag of the list of what points to a digest; the tags of cosign begin with it. */
export function referrersTag(digest: string): string {
    return digest.replace(":", "-");
}

/** What points to what: a referrer before its index, should it be one, has been followed. */
type Found = Pick<Referrer, "subject" | "tag"> & { readonly document: ImageDocument };

/** Whether a referrer is one of its subject: by the manifest's own word, by cosign's tag, or by that of an index, which tells of many. */
export function isReferrer({ document: { manifest }, subject, tag }: Found): boolean {
    if (tag !== null) return cosignSuffixes.some((suffix) => tag === referrersTag(subject) + suffix);
    return manifest.subject === undefined || manifest.subject.digest === subject;
}

/** BuildKit's attestations of an image, which an index lists. */
function attestationsIn(index: Manifest | undefined, subject: string): Descriptor[] {
    const listed = index?.kind === "index" ? index.manifests : [];
    return listed.filter(({ annotations }) => annotations?.[referenceDigest] === subject);
}

/** What kind of artifact it is. cosign and BuildKit give their manifests the configuration of an image. */
export function typeOf(manifest: Manifest): string {
    const { artifactType, mediaType } = manifest;
    if (manifest.kind === "index") return artifactType ?? mediaType;
    const [layer] = isContainerImage(manifest) ? manifest.layers : [];
    return artifactType ?? (layer ?? manifest.config).mediaType;
}

/**
 * Finds what belongs to an image, to the manifests under it and to the index that it was chosen from; then what belongs to that.
 *
 * @returns each once, in an order that depends on nothing else
 * @throws ExportError `InvalidInput` where there is too much of it, or where it cannot be exported; `ImageNotFound` for what is
 *     listed and missing; whatever the registry ends in
 */
export async function findReferrers(
    registry: Pick<Registry, "manifest" | "referrers">,
    { documents, index }: Pick<ResolvedImage, "documents" | "index">,
): Promise<Referrer[]> {
    const referrers = new Map<string, Referrer>();
    let bytes = 0;

    async function read(tagOrDigest: string, listed?: Descriptor): Promise<ImageDocument> {
        if (bytes > bytesLimit) throw tooMuch(`manifests of more than ${bytesLimit} bytes`);
        const document = await limit(() => readDocument(registry, tagOrDigest, listed));
        bytes += document.bytes.length;
        return document;
    }

    /** What a list has of a subject. */
    async function listed(subject: string, descriptors: readonly Descriptor[]): Promise<Found[]> {
        const documents = await Promise.all(descriptors.map((each) => read(each.digest, each)));
        return documents.map((document) => ({ document, subject, tag: null }));
    }

    async function tagged(tag: string): Promise<ImageDocument | undefined> {
        try {
            return await read(tag);
        } catch (error) {
            if (asExportError(error).name !== "ImageNotFound") throw error;
            return undefined;
        }
    }

    async function pointingTo(subject: string): Promise<Found[]> {
        const answer = await limit(() => registry.referrers(subject, referrerLimit));
        const list = answer === undefined ? (await tagged(referrersTag(subject)))?.manifest : undefined;
        if (list?.kind === "image") {
            throw new ExportError("InvalidInput", `the tag ${referrersTag(subject)} is a manifest, and no list.`);
        }
        const found = await listed(subject, answer ?? list?.manifests ?? []);
        for (const { descriptor, manifest } of found.map(({ document }) => document)) {
            const other = manifest.subject?.digest ?? "nothing";
            if (other === subject) continue;
            throw new ExportError(
                "InvalidInput",
                `${descriptor.digest} is listed, and says that it belongs to ${other}.`,
            );
        }
        return found;
    }

    async function belongingTo(subject: string): Promise<Found[]> {
        const byTag = async (suffix: string): Promise<Found[]> => {
            const tag = referrersTag(subject) + suffix;
            const document = await tagged(tag);
            return document ? [{ document, subject, tag }] : [];
        };
        try {
            return (await Promise.all([pointingTo(subject), ...cosignSuffixes.map(byTag)])).flat();
        } catch (error) {
            const { name, message } = asExportError(error);
            throw new ExportError(name, `Looking for what belongs to ${subject}: ${message}`, error);
        }
    }

    async function add({ document, subject, tag }: Found): Promise<void> {
        const { digest } = document.descriptor;
        const key = `${subject} ${digest} ${tag ?? ""}`;
        if (referrers.has(key)) return;
        if (referrers.size === referrerLimit) throw tooMuch(`more than ${referrerLimit} referrers`);
        const tree = await readTree(registry, document);
        referrers.set(key, { type: typeOf(document.manifest), digest, subject, tag, documents: tree });
    }

    const own = [...(index ? [index] : []), ...documents];
    const chosen = documents[0].descriptor.digest;
    const asked = new Set<string>();
    let found = await listed(chosen, attestationsIn(index?.manifest, chosen));
    for (let depth = 0; ; depth++) {
        for (const each of found) await add(each);
        const known = [...own, ...[...referrers.values()].flatMap((each) => each.documents)];
        const subjects = new Set(known.map(({ descriptor }) => descriptor.digest).filter((each) => !asked.has(each)));
        found = (await Promise.all([...subjects].map(belongingTo))).flat();
        if (found.length === 0) break;
        if (depth === depthLimit) throw tooMuch(`referrers of referrers, more than ${depthLimit} one after the other`);
        for (const each of subjects) asked.add(each);
    }
    return [...referrers].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);
}

function tooMuch(what: string): ExportError {
    return new ExportError("InvalidInput", `The image has ${what}. Export it without referrers.`);
}
