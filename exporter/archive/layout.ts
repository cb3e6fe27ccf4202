/**
 * The image layouts of an archive (github.com/opencontainers/image-spec, image-layout.md): its own, and in it a second one with what
 * belongs to the images, whose blobs are those of the first. In the first it would disturb: containerd takes whatever is listed there
 * for an image, and others ask which of them is meant (decision 17).
 */
import { documentsOf, type ImageDocument, type Referrer, type ResolvedImage } from "../registry/image";
import {
    attestationType,
    digestOf,
    indexType,
    parseManifest,
    referenceDigest,
    referenceType,
} from "../registry/manifest";
import { referrersTag } from "../registry/referrers";

/** What `oci-layout` says. */
export const layoutVersion = { imageLayoutVersion: "1.0.0" };

/** The folder of the second layout, and its entry point. */
export const referrersFolder = "referrers/";
export const referrersIndexFile = `${referrersFolder}index.json`;
export const referrersLink = { name: `${referrersFolder}blobs`, target: "../blobs" };

/** By the tag in this annotation tools find what is in a layout: image-spec, annotations.md */
export const refNameAnnotation = "org.opencontainers.image.ref.name";

/** The tag of an image's full name; undefined where that has a digest instead. */
export function tagOf(name: string): string | undefined {
    return name.includes("@") ? undefined : name.slice(name.lastIndexOf(":") + 1);
}

/** In a set the name, since two may have the same tag. */
function refNameOf(name: string, { length }: readonly ResolvedImage[]): string | undefined {
    return length > 1 ? name : tagOf(name);
}

function indexOf(manifests: readonly object[]): object {
    return { schemaVersion: 2, mediaType: indexType, manifests };
}

function descriptorOf({ descriptor: { mediaType, digest, size } }: ImageDocument) {
    return { mediaType, digest, size };
}

/** The archive's entry point. containerd takes the full name, OCI tools the tag. */
export function indexJson(images: readonly ResolvedImage[]): object {
    const manifests = images.map(({ name, documents: [root] }) => ({
        ...descriptorOf(root),
        annotations: { "io.containerd.image.name": name, [refNameAnnotation]: refNameOf(name, images) },
    }));
    return indexOf(manifests);
}

/**
 * For each subject the list of what says that it belongs to it, as it stands in a registry without referrers under the subject's tag:
 * regctl finds them by it.
 */
export function referrerLists(images: readonly ResolvedImage[]): (ImageDocument & { readonly tag: string })[] {
    const bySubject = new Map<string, Map<string, Referrer>>();
    for (const referrer of images.flatMap(({ referrers = [] }) => referrers)) {
        const { digest, subject, documents } = referrer;
        if (documents[0].manifest.subject?.digest !== subject) continue;
        bySubject.set(subject, (bySubject.get(subject) ?? new Map<string, Referrer>()).set(digest, referrer));
    }
    return [...bySubject].map(([subject, referrers]) => {
        const manifests = [...referrers.values()].map(({ documents: [document] }) => {
            const { manifest } = document;
            const artifactType =
                manifest.artifactType ?? (manifest.kind === "image" ? manifest.config.mediaType : undefined);
            return { ...descriptorOf(document), artifactType, annotations: manifest.annotations };
        });
        const bytes = Buffer.from(JSON.stringify(indexOf(manifests)));
        const descriptor = { mediaType: indexType, digest: digestOf(bytes), size: bytes.length };
        return { descriptor, bytes, manifest: parseManifest(bytes), tag: referrersTag(subject) };
    });
}

/** The second layout's entry point: the images, the indexes that something belongs to, all that belongs to them, and the lists of it. */
export function referrersIndex(images: readonly ResolvedImage[], lists: ReturnType<typeof referrerLists>): object {
    const entries = images.flatMap((image) => {
        const { name, documents, index, referrers = [] } = image;
        const kind = images.length > 1 ? () => undefined : cosignKind(image);
        const entryOf = (document: ImageDocument, refName?: string) => ({
            ...descriptorOf(document),
            artifactType: document.manifest.artifactType,
            annotations: { [refNameAnnotation]: refName, kind: kind(document, refName) },
        });
        return [
            entryOf(documents[0], refNameOf(name, images)),
            ...(index && documentsOf(image).includes(index) ? [entryOf(index)] : []),
            ...referrers.map(({ subject, tag, documents: [document] }) =>
                tag === null && document.manifest.subject === undefined
                    ? attestationOf(document, subject)
                    : entryOf(document, tag ?? undefined),
            ),
        ];
    });
    const tagged = lists.map(({ tag, ...list }) => ({
        ...descriptorOf(list),
        annotations: { [refNameAnnotation]: tag },
    }));
    const distinct = new Map([...entries, ...tagged].map((entry) => [JSON.stringify(entry), entry]));
    return indexOf([...distinct.values()]);
}

/** As BuildKit's indexes list it. */
function attestationOf(document: ImageDocument, subject: string): object {
    const annotations = { [referenceDigest]: subject, [referenceType]: attestationType };
    return { ...descriptorOf(document), platform: { architecture: "unknown", os: "unknown" }, annotations };
}

/**
 * What marks the image and its signatures for `cosign verify --local-image`, which takes the first of each kind: what has the
 * tags of signatures, else what has their bundles, else what is exported. To find an index's bundles cosign 3 has to take it for an
 * image (github.com/sigstore/cosign, pkg/oci/layout).
 */
function cosignKind({ documents: [root], index, referrers = [] }: ResolvedImage) {
    const firstWith = (isOfCosign: (referrer: Referrer) => boolean) =>
        [root, ...(index ? [index] : [])].find(({ descriptor: { digest } }) =>
            referrers.some((each) => each.subject === digest && isOfCosign(each)),
        );
    const tagged = firstWith(({ tag }) => tag !== null && !tag.endsWith(".sbom"));
    const bundled = firstWith(({ type }) => type.startsWith("application/vnd.dev.sigstore.bundle"));
    const { digest } = (tagged ?? bundled ?? root).descriptor;
    const kinds = new Map([
        [digest, tagged?.manifest.kind === "index" ? "imageIndex" : "image"],
        [`${referrersTag(digest)}.sig`, "sigs"],
        [`${referrersTag(digest)}.att`, "atts"],
    ]);
    return ({ descriptor }: ImageDocument, refName = "") => {
        const kind = kinds.get(refName) ?? kinds.get(descriptor.digest);
        return kind && `dev.cosignproject.cosign/${kind}`;
    };
}
