/**
 * What belongs to an image: signatures, SBOMs, attestations, and whatever else points to it. A registry that knows of referrers is
 * asked for them; others have them under a tag that clients keep (github.com/opencontainers/distribution-spec, "Referrers Tag
 * Schema"). Besides, there are the tags of cosign (github.com/sigstore/cosign, specs/SIGNATURE_SPEC.md), and BuildKit's attestations,
 * which the index lists beside their image.
 */
import { asExportError, ExportError } from "../../contract/errors";
import { createLimit } from "../network/pool";
import {
    type ImageDocument,
    type ManifestSource,
    readDocument,
    readTree,
    type Referrer,
    type ResolvedImage,
} from "./image";
import { type Descriptor, type Manifest, manifestsIn, referenceDigest, typeOf } from "./manifest";
import type { Registry } from "./registry";

/** How far from the image: a signature of an SBOM is at two, and nobody goes further than three. */
const depthLimit = 8;
/** Of one image, with what indexes among them list; those that are known have some dozens. */
const referrerLimit = 1000;
/** Bytes of their manifests and of the lists of them, which are kept in memory. */
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
    return manifestsIn(index).filter(({ annotations }) => annotations?.[referenceDigest] === subject);
}

/** By which referrers are sorted; each is there once. */
export function referrerKey({ subject, digest, tag }: Pick<Referrer, "subject" | "digest" | "tag">): string {
    return `${subject} ${digest} ${tag ?? ""}`;
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
    let [count, bytes] = [0, 0];

    function countReferrers(more: number): void {
        count += more;
        if (count > referrerLimit) throw tooMuch(`more than ${referrerLimit} referrers`);
    }

    function countBytes(more: number): void {
        bytes += more;
        if (bytes > bytesLimit) throw tooMuch(`referrers with manifests and lists of more than ${bytesLimit} bytes`);
    }

    const source: ManifestSource = {
        manifest: async (tagOrDigest) => {
            countBytes(0); // else thousands more would be read for nothing
            const found = await registry.manifest(tagOrDigest);
            countBytes(found.bytes.length);
            return found;
        },
    };

    const own = [...(index ? [index] : []), ...documents];
    const known = new Map(own.map((document) => [document.descriptor.digest, document]));

    /** What is without its type is what it was at first, whatever the registry says of it under another tag. */
    async function read(tagOrDigest: string, listed?: Descriptor): Promise<ImageDocument> {
        const found = await limit(() => readDocument(source, tagOrDigest, listed));
        const document = known.get(found.descriptor.digest) ?? found;
        known.set(document.descriptor.digest, document);
        return document;
    }

    /** What a list has of a subject. */
    async function listed(subject: string, descriptors: readonly Descriptor[]): Promise<Found[]> {
        countReferrers(descriptors.length);
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

    async function listUnderTag(subject: string): Promise<readonly Descriptor[]> {
        const tag = referrersTag(subject);
        const list = await tagged(tag);
        // GitLab takes such a tag for the digest (github.com/oras-project/oras-go, issue 1396).
        if (list === undefined || list.descriptor.digest === subject) return [];
        if (list.manifest.kind === "index") return list.manifest.manifests;
        throw new ExportError("InvalidInput", `the tag ${tag} is a manifest, and no list.`);
    }

    async function pointingTo(subject: string): Promise<Found[]> {
        const answer = await limit(() => registry.referrers(subject, referrerLimit, countBytes));
        const found = await listed(subject, answer ?? (await listUnderTag(subject)));
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
            if (document === undefined) return [];
            countReferrers(1);
            return [{ document, subject, tag }];
        };
        return (await Promise.all([pointingTo(subject), ...cosignSuffixes.map(byTag)])).flat();
    }

    async function add({ document, subject, tag }: Found): Promise<void> {
        const { digest } = document.descriptor;
        const key = referrerKey({ subject, digest, tag });
        if (referrers.has(key)) return;
        const tree = await lookingFor(subject, () => readTree(source, document));
        countReferrers(tree.length - 1);
        referrers.set(key, { type: typeOf(document.manifest), digest, subject, tag, documents: tree });
    }

    const chosen = documents[0].descriptor.digest;
    const asked = new Set<string>();
    let found = await lookingFor(chosen, () => listed(chosen, attestationsIn(index?.manifest, chosen)));
    for (let depth = 0; ; depth++) {
        for (const each of found) await add(each);
        const all = [...own, ...[...referrers.values()].flatMap((each) => each.documents)];
        const subjects = new Set(all.map(({ descriptor }) => descriptor.digest).filter((each) => !asked.has(each)));
        found = (await Promise.all([...subjects].map((each) => lookingFor(each, () => belongingTo(each))))).flat();
        if (found.length === 0) break;
        if (depth === depthLimit) throw tooMuch(`referrers of referrers, more than ${depthLimit} one after the other`);
        for (const each of subjects) asked.add(each);
    }
    return [...referrers].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);
}

async function lookingFor<T>(subject: string, action: () => Promise<T>): Promise<T> {
    try {
        return await action();
    } catch (error) {
        const { name, message } = asExportError(error);
        throw new ExportError(name, `Looking for what belongs to ${subject}: ${message}`, error);
    }
}

function tooMuch(what: string): ExportError {
    return new ExportError("InvalidInput", `The image has ${what}. Export it without referrers.`);
}
