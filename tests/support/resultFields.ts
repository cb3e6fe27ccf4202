import type { ArchiveResult, ImageResult } from "../../contract/request";

/** The names of a result's fields. */
export const resultFields = [
    "imageUri",
    "imageDigest",
    "platform",
    "artifactBucket",
    "artifactKey",
    "artifactVersionId",
    "sizeBytes",
    "sha256",
    "referrerCount",
    "baseSha256",
    "skipped",
    "engine",
    "buildId",
] as const satisfies readonly (keyof (ArchiveResult & ImageResult))[];
