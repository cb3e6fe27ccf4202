import type { ResolvedImage } from "./image";
import { platformsOf } from "./image";
import type { ArchivePlan } from "./plan";

/** This engine's version; it changes when the archives or records that it writes do. */
export const engineVersion = "0.1.0";

/** The export record, kept as JSON beside the archive: what was exported, and what the archive has to be. */
export interface ExportRecord {
    schemaVersion: 1;
    /** The image as it was asked for. */
    imageUri: string;
    /** Digest of the manifest (of the index for `all`) that the archive holds. */
    imageDigest: string;
    /** Media type of that document. */
    mediaType: string;
    /** The platform asked for: `os/arch[/variant]`, or `all`. */
    platform: string;
    /** The platforms of the images in the archive. */
    platforms: readonly string[];
    /** Every layer once. */
    layers: readonly {
        digest: string;
        sizeBytes: number;
        /** Offset of the layer's first byte in the archive, in bytes. */
        offset: number;
    }[];
    archive: {
        /** Of the whole archive, in hexadecimal. */
        sha256: string;
        sizeBytes: number;
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
    env,
    time,
}: RecordFacts): ExportRecord {
    const { digest, mediaType } = image.documents[0].descriptor;
    return {
        schemaVersion: 1,
        imageUri,
        imageDigest: digest,
        mediaType,
        platform,
        platforms: platformsOf(image),
        layers: plan.layers.map(({ digest, sizeBytes, offset }) => ({ digest, sizeBytes, offset })),
        archive: { sha256, sizeBytes: plan.sizeBytes },
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

/** Reads a stored record; undefined when the text is not a record of this schema. */
export function parseRecord(text: string): ExportRecord | undefined {
    try {
        const value = JSON.parse(text) as Partial<ExportRecord> | null;
        const isRecord =
            value?.schemaVersion === 1 &&
            [
                value.imageUri,
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
