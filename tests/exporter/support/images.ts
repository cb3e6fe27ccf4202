import { createCipheriv, createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Descriptor } from "../../../exporter/registry/manifest";
import { tarHeader, trailer } from "../../../exporter/archive/tar";

/** A repository's content: its blobs and manifests by digest, its tags. */
export interface Repository {
    name: string;
    blobs: Map<string, Buffer>;
    manifests: Map<string, { bytes: Buffer; mediaType: string }>;
    tags: Map<string, string>;
}

/** The two families of media types. */
export const mediaTypes = {
    oci: {
        manifest: "application/vnd.oci.image.manifest.v1+json",
        index: "application/vnd.oci.image.index.v1+json",
        config: "application/vnd.oci.image.config.v1+json",
        layer: "application/vnd.oci.image.layer.v1.tar+gzip",
    },
    docker: {
        manifest: "application/vnd.docker.distribution.manifest.v2+json",
        index: "application/vnd.docker.distribution.manifest.list.v2+json",
        config: "application/vnd.docker.container.image.v1+json",
        layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
} as const;

export type Family = keyof typeof mediaTypes;

const digests = new WeakMap<Uint8Array, string>();

/** The digest of bytes that stay as they are: it is computed once. */
export function digestOf(bytes: Uint8Array): string {
    const digest = digests.get(bytes) ?? `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    digests.set(bytes, digest);
    return digest;
}

/** Numbers from 0 to 1 that look random and are the same in every run (mulberry32). */
export function pseudoRandom(seed: number): () => number {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

/** Bytes that look random and are the same in every run. */
export function randomBytesOf(length: number, seed: number): Buffer {
    const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
    return cipher.update(Buffer.alloc(length));
}

export function emptyRepository(name: string): Repository {
    return { name, blobs: new Map(), manifests: new Map(), tags: new Map() };
}

/** A layer that Docker can unpack: one file in a gzipped tar. */
export function fileLayer(name: string, content: Buffer): { diffId: string; bytes: Buffer } {
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    const tar = Buffer.concat([tarHeader(name, content.length), content, padding, trailer]);
    return { diffId: digestOf(tar), bytes: gzipSync(tar, { level: 0 }) };
}

export function addBlob(repository: Repository, bytes: Buffer, mediaType: string): Descriptor {
    const digest = digestOf(bytes);
    repository.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
}

export function addManifest(repository: Repository, document: object, mediaType: string, tag?: string): Descriptor {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    repository.manifests.set(digest, { bytes, mediaType });
    if (tag !== undefined) {
        repository.tags.set(tag, digest);
    }
    return { mediaType, digest, size: bytes.length };
}

export interface ImageParts {
    layers: readonly { diffId: string; bytes: Buffer }[];
    family?: Family;
    tag?: string;
    os?: string;
    architecture?: string;
    variant?: string;
    /** More for the configuration. */
    history?: string;
}

/** Puts an image into a repository. */
export function addImage(repository: Repository, parts: ImageParts): Descriptor {
    const { layers, family = "oci", tag, os = "linux", architecture = "amd64", variant, history } = parts;
    const types = mediaTypes[family];
    const platform = { os, architecture, ...(variant !== undefined && { variant }) };
    const rootfs = { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) };
    const configuration = { ...platform, config: {}, rootfs, ...(history && { history: [{ created_by: history }] }) };
    const config = addBlob(repository, Buffer.from(JSON.stringify(configuration)), types.config);
    const document = {
        schemaVersion: 2,
        mediaType: types.manifest,
        config,
        layers: layers.map(({ bytes }) => addBlob(repository, bytes, types.layer)),
    };
    return { ...addManifest(repository, document, types.manifest, tag), platform };
}

/** Puts an index over images, with an attestation if asked for, into a repository. */
export function addIndex(
    repository: Repository,
    images: readonly Descriptor[],
    options: { family?: Family; tag?: string; attestation?: boolean } = {},
): Descriptor {
    const types = mediaTypes[options.family ?? "oci"];
    const manifests = options.attestation ? [...images, addAttestation(repository, images[0])] : images;
    return addManifest(repository, { schemaVersion: 2, mediaType: types.index, manifests }, types.index, options.tag);
}

function addAttestation(repository: Repository, subject: Descriptor | undefined): Descriptor {
    const statement = addBlob(
        repository,
        Buffer.from('{"predicateType":"https://slsa.dev"}'),
        "application/vnd.in-toto+json",
    );
    const config = addBlob(repository, Buffer.from("{}"), mediaTypes.oci.config);
    const document = { schemaVersion: 2, mediaType: mediaTypes.oci.manifest, config, layers: [statement] };
    return {
        ...addManifest(repository, document, mediaTypes.oci.manifest),
        platform: { os: "unknown", architecture: "unknown" },
        annotations: {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject?.digest ?? "",
        },
    };
}

/** A manifest that belongs to another. */
export interface ReferrerParts {
    /** What it says that it is. */
    type?: string;
    content?: string;
    /** A tag of cosign, in the place of a subject. */
    tag?: string;
}

/** Puts a manifest that belongs to another into a repository, as ORAS does, or with a tag as cosign does. */
export function addReferrer(repository: Repository, subject: Descriptor, parts: ReferrerParts = {}): Descriptor {
    const { type = "application/spdx+json", content = type, tag } = parts;
    const { manifest: mediaType, config: configType } = mediaTypes.oci;
    const layer = addBlob(repository, Buffer.from(content), type);
    const ofImage = Buffer.from(JSON.stringify({ rootfs: { type: "layers", diff_ids: [layer.digest] } }));
    const config = tag
        ? addBlob(repository, ofImage, configType)
        : addBlob(repository, Buffer.from("{}"), "application/vnd.oci.empty.v1+json");
    const { mediaType: subjectType, digest, size } = subject;
    const pointing = tag ? {} : { artifactType: type, subject: { mediaType: subjectType, digest, size } };
    const document = { schemaVersion: 2, mediaType, config, layers: [layer], ...pointing };
    return addManifest(repository, document, mediaType, tag);
}

/** What points to a digest in a repository. */
export function referrersOf({ manifests }: Repository, digest: string): Descriptor[] {
    return [...manifests].flatMap(([referrer, { bytes, mediaType }]) => {
        if (!bytes.includes('"subject"')) return [];
        const { subject } = JSON.parse(bytes.toString()) as { subject?: { digest: string } };
        return subject?.digest === digest ? [{ mediaType, digest: referrer, size: bytes.length }] : [];
    });
}

/** The tag for what belongs to a digest. */
export function tagOf({ digest }: Descriptor, suffix = ""): string {
    return digest.replace(":", "-") + suffix;
}

/** Lists what belongs to a digest under its tag, as clients do where the registry does not. */
export function addReferrersTag(repository: Repository, subject: Descriptor): void {
    const manifests = referrersOf(repository, subject.digest);
    const mediaType = mediaTypes.oci.index;
    addManifest(repository, { schemaVersion: 2, mediaType, manifests }, mediaType, tagOf(subject));
}
