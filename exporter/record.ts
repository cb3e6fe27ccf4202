import type { ResolvedImage } from "./registry/image";
import { platformsOf } from "./registry/image";
import type { ArchivePlan } from "./archive/plan";

/** This engine's version; it changes when the archives or records that it writes do. */
export const engineVersion = "0.1.0";

/**
 * The export record, kept as JSON beside the archive: what was exported, and what the archive has to be. Both engines
 * write it; docs/export-record.schema.json is its contract.
 */
export interface ExportRecord {
    schemaVersion: 1;
    /** The image as it was asked for. */
    imageUri: string;
    /** The name that the archive carries: `REPOSITORY:TAG`, or `REPOSITORY@DIGEST` where no tag was asked for. */
    imageName: string;
    /** Digest of the manifest (of the index for `all`) that the archive holds. */
    imageDigest: string;
    /** Digest of the index that the image was asked for by, and its platform chosen from; null where there was none. */
    indexDigest: string | null;
    /** Media type of the document that `imageDigest` names. */
    mediaType: string;
    /** The platform asked for: `os/arch[/variant]`, or `all`. */
    platform: string;
    /** The platforms of the images in the archive. */
    platforms: readonly string[];
    /** Every layer once. */
    layers: readonly {
        digest: string;
        sizeBytes: number;
        /** Offset of the layer's first byte in the archive, in bytes; null where the archive has it in another form. */
        offset: number | null;
    }[];
    archive: {
        /** Of the whole archive, in hexadecimal. */
        sha256: string;
        sizeBytes: number;
        /** Version of the object that this record describes; null for a file, and in a bucket without versions. */
        versionId: string | null;
    };
    engine: { name: string; version: string };
    /** Step Functions execution (`EXECUTION_ID`) that asked for the export, if one did. */
    executionId: string | null;
    /** CodeBuild build (`CODEBUILD_BUILD_ID`) that made it, if one did. */
    buildId: string | null;
    /** When the archive was complete: ISO 8601, UTC. */
    time: string;
}

/** What a record is made of. */
export interface RecordFacts {
    imageUri: string;
    platform: string;
    image: ResolvedImage;
    plan: ArchivePlan;
    sha256: string;
    versionId: string | null;
    env: NodeJS.ProcessEnv;
    time: Date;
}

/** Writes the record of an export. */
export function createRecord({
    imageUri,
    platform,
    image,
    plan,
    sha256,
    versionId,
    env,
    time,
}: RecordFacts): ExportRecord {
    const { digest, mediaType } = image.documents[0].descriptor;
    return {
        schemaVersion: 1,
        imageUri,
        imageName: image.name,
        imageDigest: digest,
        indexDigest: image.indexDigest ?? null,
        mediaType,
        platform,
        platforms: platformsOf(image),
        layers: plan.layers.map(({ digest, sizeBytes, offset }) => ({ digest, sizeBytes, offset })),
        archive: { sha256, sizeBytes: plan.sizeBytes, versionId },
        engine: { name: "stream", version: engineVersion },
        executionId: idFrom(env, "EXECUTION_ID"),
        buildId: idFrom(env, "CODEBUILD_BUILD_ID"),
        time: time.toISOString(),
    };
}

/** An id that the build passes on in the environment; null where it is missing or empty. */
export function idFrom(env: NodeJS.ProcessEnv, name: string): string | null {
    const value = env[name] ?? "";
    return value === "" ? null : value;
}

/** The record as the text that is stored. */
export function recordText(record: ExportRecord): string {
    return `${JSON.stringify(record, null, 2)}\n`;
}

/**
 * What the metadata of the record's object says of the export: enough to report it again without reading a body, as the
 * state machine does, which asks for the heads of both objects.
 */
export function recordMetadata(record: ExportRecord): Record<string, string> {
    const { engine, imageName, imageDigest, indexDigest, platform, archive } = record;
    return {
        engine: engine.name,
        "image-name": imageName,
        "image-digest": imageDigest,
        ...(indexDigest !== null && { "index-digest": indexDigest }),
        platform,
        "archive-sha256": archive.sha256,
        ...(archive.versionId !== null && { "archive-version-id": archive.versionId }),
    };
}

/** Reads a stored record; undefined when the text is not a record of this schema. */
export function parseRecord(text: string): ExportRecord | undefined {
    try {
        const value = JSON.parse(text) as Partial<ExportRecord> | null;
        const isRecord =
            value?.schemaVersion === 1 &&
            [
                value.imageUri,
                value.imageName,
                value.imageDigest,
                value.platform,
                value.archive?.sha256,
                value.engine?.name,
            ].every(isText) &&
            typeof value.archive?.sizeBytes === "number" &&
            Array.isArray(value.layers);
        return isRecord ? (value as ExportRecord) : undefined;
    } catch {
        return undefined;
    }
}

function isText(value: unknown): boolean {
    return typeof value === "string";
}
