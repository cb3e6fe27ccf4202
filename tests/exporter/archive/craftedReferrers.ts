/** Archives whose layout of what belongs to the image leads its readers to another one. */
import type { ImageRecord, RecordedReferrer } from "../../../contract/record";
import { planArchive, recordedImages } from "../../../exporter/archive/plan";
import { tarHeader } from "../../../exporter/archive/tar";
import type { Referrer, ResolvedImage } from "../../../exporter/registry/image";
import { parseManifest, typeOf } from "../../../exporter/registry/manifest";
import { referrerKey, referrersTag } from "../../../exporter/registry/referrers";
import { digestOf, mediaTypes } from "../support/images";
import type { Crafted } from "./crafted";
import {
    blob,
    blobFile,
    descriptor,
    type Entry,
    entry,
    evil,
    good,
    image,
    json,
    name,
    recordOf,
    tarOf,
    withType,
} from "./craftedParts";

const { oci } = mediaTypes;
const lost = `sha256:${"0".repeat(64)}`;
const evilBlobs = [evil.manifest, evil.config, evil.layer].map(blob);

const { rootfs } = JSON.parse(good.config.toString()) as { rootfs: object };
const signatureConfig = json({ rootfs });

/** A manifest that belongs to another one, or a signature of cosign. */
function referrerOf(subject: Buffer | undefined, content: string): Buffer {
    return json({
        schemaVersion: 2,
        mediaType: oci.manifest,
        artifactType: subject && "application/spdx+json",
        config: descriptor(signatureConfig, subject ? "application/vnd.example.config.v1+json" : oci.config),
        layers: [descriptor(good.layer, oci.layer)],
        subject: subject && descriptor(subject),
        annotations: { content },
    });
}

const sbom = referrerOf(good.manifest, "SBOM");
const ofSbom = referrerOf(sbom, "signature of the SBOM");
const signature = referrerOf(undefined, "signature");
const tagOf = (manifest: Buffer, suffix = ".sig") => referrersTag(digestOf(manifest)) + suffix;

function documentOf(bytes: Buffer) {
    const manifest = parseManifest(bytes);
    return { descriptor: descriptor(bytes, manifest.mediaType), bytes, manifest };
}

function referrer(bytes: Buffer, subject: Buffer, tag: string | null = null): Referrer {
    const document = documentOf(bytes);
    const { digest } = document.descriptor;
    return { type: typeOf(document.manifest), digest, subject: digestOf(subject), tag, documents: [document] };
}

const resolved: ResolvedImage = {
    name,
    documents: [documentOf(good.manifest)],
    configs: new Map([[digestOf(good.config), good.config]]),
    referrers: [
        referrer(sbom, good.manifest),
        referrer(ofSbom, sbom),
        referrer(signature, good.manifest, tagOf(good.manifest)),
    ].sort((one, other) => (referrerKey(one) < referrerKey(other) ? -1 : 1)),
};
const plan = planArchive([resolved]);

/** The archive of the good image with an SBOM and two signatures, as engine `stream` writes it. */
function entries(): Entry[] {
    const blobs = new Map([good.layer, signatureConfig].map((bytes) => [digestOf(bytes), bytes]));
    return plan.files.map(({ name: each, content, target }) => {
        const bytes = "bytes" in content ? Buffer.from(content.bytes) : blobs.get(content.digest);
        return entry(each, bytes, target === undefined ? undefined : (block) => tarHeader(each, 0, target).copy(block));
    });
}

function recordFor(bytes: Buffer): ImageRecord {
    const referrers = resolved.referrers?.map(({ type, digest, subject, tag }) => ({ type, digest, subject, tag }));
    return { ...recordOf(bytes), referrers: referrers ?? [], images: recordedImages(resolved, plan) };
}

/** The archive with its record. */
export function signed(): { readonly bytes: Buffer; readonly record: ImageRecord } {
    const bytes = tarOf(entries());
    return { bytes, record: recordFor(bytes) };
}

type Kinds = Readonly<Record<string, () => Entry[]>>;

const file = "referrers/index.json";
const listed = () =>
    JSON.parse(
        entries()
            .find((each) => each.name === file)
            ?.body.toString() ?? "",
    ) as Index;
interface Index {
    readonly manifests: readonly object[];
}

const replaced = (which: string, ...by: readonly Entry[]): Entry[] =>
    entries().flatMap((each) => (each.name === which ? by : [each]));
const withIndex = (body: unknown, more: readonly Entry[] = evilBlobs): Entry[] => [
    ...replaced(file, entry(file, body)),
    ...more,
];
const withList = (change: (all: readonly object[]) => readonly object[], more?: readonly Entry[]): Entry[] =>
    withIndex({ ...listed(), manifests: change(listed().manifests) }, more);
/** What points to a manifest under a tag, and as what cosign takes it. */
function known(manifest: Buffer, tag?: string, kind?: string, more: object = {}): object {
    const { mediaType } = JSON.parse(manifest.toString()) as { mediaType: string };
    const annotations = { "org.opencontainers.image.ref.name": tag, kind: kind && `dev.cosignproject.cosign/${kind}` };
    return { ...descriptor(manifest, mediaType), annotations: { ...annotations, ...more } };
}
const first = (...added: readonly object[]) => withList((all) => [...added, ...all]);
const last = (...added: readonly object[]) => withList((all) => [...all, ...added]);

const both = json({
    schemaVersion: 2,
    mediaType: oci.index,
    manifests: [good.manifest, evil.manifest].map((each) => descriptor(each)),
});
/** Belongs to what belongs to it. */
const circularSignature = referrerOf(undefined, "circular");
const circular = image(evil.layer, evil.config);
const circularManifest = json({
    ...(JSON.parse(circular.manifest.toString()) as object),
    subject: descriptor(circularSignature),
});

const astray: Kinds = {
    "another image": () => withList(() => [known(evil.manifest, "1", "image")]),
    "another image without a name": () => withList(() => [known(evil.manifest)]),
    "another image of the same tag first": () => first(known(evil.manifest, "1")),
    "another image of the same tag last": () => last(known(evil.manifest, "1")),
    "another image of another tag": () => last(known(evil.manifest, "latest")),
    "another image beside the image": () => last(known(evil.manifest)),
    "another image for cosign": () => first(known(evil.manifest, undefined, "image")),
    "another image for cosign, as an SBOM": () => first(known(evil.manifest, tagOf(good.manifest, ".sbom"), "image")),
    "another image for cosign, as an index": () => first(known(evil.manifest, tagOf(good.manifest, ""), "imageIndex")),
    "another image for cosign, as an attestation": () =>
        first(known(evil.manifest, undefined, "image", { "vnd.docker.reference.digest": digestOf(good.manifest) })),
    "another image under a name of containerd": () =>
        last(known(evil.manifest, undefined, undefined, { "io.containerd.image.name": name })),
    "another image under a name of Apple": () =>
        last(known(evil.manifest, undefined, undefined, { "com.apple.containerization.image.name": "a:1" })),
    "an SBOM under the image's tag": () => first(known(sbom, "1")),
    "an SBOM as the image for cosign": () => first(known(sbom, undefined, "image")),
    "an index of both under the tag": () => [...first(known(both, "1", "imageIndex")), blob(both)],
    "an index of both, and the other one for cosign": () => [
        ...first(known(evil.manifest, undefined, "image"), known(both)),
        blob(both),
    ],
    "another image with its signature": () =>
        last(known(evil.manifest), known(signature, tagOf(evil.manifest), "sigs")),
    "what belongs to what belongs to it": () => [
        ...first(known(circularManifest), known(circularSignature, tagOf(circularManifest), "sigs")).filter(
            (each) => each.name !== blobFile(evil.manifest),
        ),
        blob(circularSignature),
        blob(circularManifest),
    ],
    "a signature of what is not there": () => last(known(signature, `sha256-${"0".repeat(64)}.sig`)),
    "a tag that only looks like one": () => last(known(evil.manifest, `${tagOf(good.manifest, "")}/evil`)),
    "an SBOM of what is not there": () => {
        const other = referrerOf(evil.manifest, "SBOM");
        return [...withList((all) => [...all, known(other)], []), blob(other)];
    },
    "an attestation of what is not there": () =>
        last(known(evil.manifest, undefined, undefined, { "vnd.docker.reference.digest": lost })),
    "a list that is twice there": () => [...entries(), ...evilBlobs, entry(file, json({ manifests: [] }))],
    "a list with manifests twice": () =>
        withIndex(
            Buffer.from(
                JSON.stringify(listed()).replace("{", `{"manifests":[${JSON.stringify(known(evil.manifest, "1"))}],`),
            ),
        ),
    "a list with manifests in another case": () => withIndex({ ...listed(), Manifests: [known(evil.manifest, "1")] }),
    "a list that is a manifest": () => withIndex(evil.manifest),
    "a list that is not JSON": () => withIndex(Buffer.from("[")),
    "a list that is a link": () => replaced(file, entry(file, undefined, withType("2", "../index.json"))),
    "no list": () => replaced(file),
    "an empty list": () => withList(() => [], []),
    "blobs that are no link": () => replaced("referrers/blobs", entry("referrers/blobs")),
    "blobs that are a folder": () => [
        ...replaced("referrers/blobs", entry("referrers/blobs/"), entry("referrers/blobs/sha256/")),
        entry(`referrers/${blobFile(good.manifest)}`, evil.manifest),
    ],
    "blobs in a folder besides": () => [...entries(), entry(`referrers/${blobFile(good.manifest)}`, evil.manifest)],
    ...Object.fromEntries(
        ["../other", "/blobs", "../blobs/", "./blobs", "../referrers/../blobs", "../../blobs", ""].map((target) => [
            `blobs that are a link to "${target}"`,
            () => replaced("referrers/blobs", entry("referrers/blobs", undefined, withType("2", target))),
        ]),
    ),
    "blobs that are a hard link": () =>
        replaced("referrers/blobs", entry("referrers/blobs", undefined, withType("1", "blobs"))),
    "no blobs": () => replaced("referrers/blobs"),
    "a folder that is a link": () => replaced("referrers/", entry("referrers", undefined, withType("2", "other"))),
    "a list of Docker in it": () => [...entries(), entry("referrers/manifest.json", [evil.listed]), ...evilBlobs],
    "a signature in the archive's own index": () => {
        const index =
            entries()
                .find((each) => each.name === "index.json")
                ?.body.toString() ?? "";
        const { manifests, ...rest } = JSON.parse(index) as Index;
        return replaced("index.json", entry("index.json", { ...rest, manifests: [...manifests, known(signature)] }));
    },
    "a manifest less": () => replaced(blobFile(sbom)),
    "a manifest of another content": () => replaced(blobFile(sbom), entry(blobFile(sbom), evil.manifest)),
};

/** What no reader takes for another image, though engine `stream` does not write it. */
const harmless: Kinds = {
    "a list in another order": () => withList((all) => [...all].reverse(), []),
    "a list without a signature": () =>
        withList((all) => all.filter((each) => !JSON.stringify(each).includes(digestOf(ofSbom))), []),
    "a list with an image twice": () => withList((all) => [...all, ...all.slice(0, 1)], []),
    "no oci-layout in it": () => replaced("referrers/oci-layout"),
};

const inOne =
    (change: Partial<RecordedReferrer>) =>
    ([one, ...rest]: readonly RecordedReferrer[]) =>
        [{ ...one, ...change }, ...rest] as readonly RecordedReferrer[];
/** What a record may say of them that is not so. */
const lies: Readonly<Record<string, (all: readonly RecordedReferrer[]) => readonly RecordedReferrer[] | null>> = {
    "another type": inOne({ type: "application/vnd.example" }),
    "another subject": inOne({ subject: digestOf(evil.manifest) }),
    "a subject that is there": inOne({ subject: digestOf(ofSbom) }),
    "a tag": inOne({ tag: tagOf(good.manifest, ".att") }),
    "another tag": (all) => all.map((each) => (each.tag === null ? each : { ...each, tag: `${each.tag}x` })),
    "no tag": (all) => all.map((each) => ({ ...each, tag: null })),
    "another manifest": inOne({ digest: digestOf(evil.manifest) }),
    "the image": inOne({ digest: digestOf(good.manifest) }),
    "a blob": inOne({ digest: digestOf(good.layer) }),
    "one less": (all) => all.slice(1),
    "one more": (all) => [...all, { type: "a", digest: digestOf(evil.manifest), subject: lost, tag: null }],
    "one twice": (all) => [...all.slice(0, 1), ...all],
    "another order": (all) => [...all].reverse(),
    none: () => [],
    nothing: () => null,
};

/** All kinds, made anew. */
export function craftedReferrers(): Crafted[] {
    const made = Object.entries({ astray, harmless }).flatMap(([sort, kinds]) =>
        Object.entries(kinds).map(([kind, make]): Crafted => {
            const bytes = tarOf(make());
            return { kind: `referrers: ${kind}`, sort: sort as Crafted["sort"], bytes, record: recordFor(bytes) };
        }),
    );
    const { bytes, record } = signed();
    const wrong = Object.entries(lies).map(([lie, change]): Crafted => {
        const referrers = change(record.referrers ?? []);
        return { kind: `a record of referrers: ${lie}`, sort: "lie", bytes, record: { ...record, referrers } };
    });
    return [...made, ...wrong];
}
