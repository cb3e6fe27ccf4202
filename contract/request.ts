/** A request to export one image: the input of the export state machine, its output, and what a build is told of it. */
import type { EngineName } from "./engine";
import { defaultPlatform } from "./platform";

/** The fields of a request; docs/requests.md says what each may be. What is left out is the stack's, or {@link requestDefaults}. */
export const requestFields = [
    "imageUri",
    "images",
    "artifactBucket",
    "artifactKey",
    "platform",
    "referrers",
    "since",
    "force",
] as const;

/** Name of a field of a request. */
export type RequestField = (typeof requestFields)[number];

/** What a field is where nothing else says so. */
export const requestDefaults = { platform: defaultPlatform, referrers: false, force: false } as const;

/** The fields that are true or false, which a table has as words. */
export const requestFlags = ["referrers", "force"] as const satisfies readonly RequestField[];

/** Fields that AWS adds to the input of an execution that another one starts begin so. */
export const foreignFieldPrefix = "AWS_";

/** How the names of a batch's exports begin: the batch reports them, so that no message of their own is sent. */
export const batchExecutionPrefix = "batch-";

/** The variables that tell a build its request: the project has a default for each, the state machine sets them. */
export const requestVariables = [
    "IMAGE_URI",
    /** The digest that ECR has told for the tag: exactly this is exported. Empty where the build asks the registry. */
    "IMAGE_DIGEST",
    "PLATFORM",
    "FORCE",
    "ARTIFACT_BUCKET",
    "ARTIFACT_KEY",
    "EXECUTION_ID",
] as const;

/** Name of a variable of {@link requestVariables}. */
export type RequestVariable = (typeof requestVariables)[number];

/**
 * The variable that tells a build of engine `stream` to export a set: the digest of its images as they are asked for
 * (contract/set.ts), which are in the object of that digest (contract/keys.ts). Empty for one image.
 */
export const setVariable = "SET_DIGEST";

/** The variable that tells a build of engine `stream` whether what belongs to the images comes along. */
export const referrersVariable = "REFERRERS";

/**
 * The variables that tell a build of engine `stream` what the other side has already: the key of an archive, or {@link latest}, empty
 * for nothing; and for which of {@link receivers}.
 */
export const sinceVariables = { key: "SINCE_KEY", for: "SINCE_FOR" } as const;

/** In the place of a key: the newest archive of the same repository and platform, in the folder of the archive. */
export const latest = "latest";

/**
 * What a delta is for: anybody, since Docker's graph driver needs the missing layers to be the first ones of an image of the base; or
 * containerd, Docker's containerd store and registries, which find any layer of the base by its digest.
 */
export const receivers = ["docker", "containerd"] as const;

/** Name of one of {@link receivers}. */
export type Receiver = (typeof receivers)[number];

/** What the other side has already, as a request says it. */
export type RequestedSince = string | { readonly key: string; readonly for?: Receiver | undefined };

/** The variable that a failed build tells its cause by; its error is told by its exit status (errors.ts). */
export const causeVariable = "EXPORT_CAUSE";

/** An image of a set, as a request names it: its URI, for the platform of the request, or with a platform of its own. */
export type RequestedImage = string | { readonly imageUri: string; readonly platform?: string | undefined };

/** What the result says of one image. */
export interface ImageResult {
    readonly imageUri: string;
    readonly imageDigest: string;
    readonly platform: string;
}

/** What it says of a set. */
export interface SetResult {
    readonly setDigest: string;
    readonly imageCount: number;
    /** Bytes that are in the archive once, and would be in several of those of its images. */
    readonly savedBytes: number;
}

/** What it says of the archive. */
export interface ArchiveResult {
    readonly artifactBucket: string;
    readonly artifactKey: string;
    readonly artifactVersionId: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    /** Signatures, SBOMs and attestations that came along; null where they were not asked for. */
    readonly referrerCount: number | null;
    /** SHA-256 of the archive whose layers this one leaves out; null where it is whole. The record names it. */
    readonly baseSha256: string | null;
    readonly skipped: boolean;
    readonly engine: EngineName;
    readonly buildId: string | null;
}

/** Output of a successful execution; docs/requests.md says what each field is. */
export type ExportResult = ArchiveResult & (ImageResult | SetResult);
