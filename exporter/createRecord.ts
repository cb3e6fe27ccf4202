import { archiveLayout, type ExportRecord, schemaVersion } from "../contract/record";
import { type ArchivePlan, recordedImages } from "./archive/plan";
import type { ResolvedImage } from "./registry/image";

/** This engine's version; it changes when the archives or records that it writes do. */
export const engineVersion = "0.1.0";

/** What a record is made of. */
export interface RecordFacts {
    readonly imageUri: string;
    readonly platform: string;
    readonly image: ResolvedImage;
    readonly plan: ArchivePlan;
    readonly sha256: string;
    readonly versionId: string | null;
    readonly env: NodeJS.ProcessEnv;
    readonly time: Date;
}

/** Makes the record of an export. */
export function createRecord(facts: RecordFacts): ExportRecord {
    const { imageUri, platform, image, plan, sha256, versionId, env, time } = facts;
    return {
        schemaVersion,
        layout: archiveLayout,
        engine: { name: "stream", version: engineVersion },
        imageUri,
        imageName: image.name,
        platform,
        imageDigest: image.documents[0].descriptor.digest,
        indexDigest: image.indexDigest ?? null,
        images: recordedImages(image, plan),
        archive: { sha256, sizeBytes: plan.sizeBytes, versionId },
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
