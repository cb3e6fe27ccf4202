/** What an export has come to: the output of the export state machine. */
import type { EngineName } from "./engine";

/** Output of a successful execution. */
export interface ExportResult {
    /** The image as it was requested. */
    readonly imageUri: string;
    /**
     * A digest by which the registry serves what was exported: pulling `REPOSITORY@imageDigest` for `platform` gives the same
     * image.
     */
    readonly imageDigest: string;
    /** The platform as it was requested. */
    readonly platform: string;
    readonly artifactBucket: string;
    readonly artifactKey: string;
    /** Version of the object, so that a later export to the same key cannot be taken for this one. */
    readonly artifactVersionId: string;
    /** Size of the archive in bytes. */
    readonly sizeBytes: number;
    /** SHA-256 of the archive, in hexadecimal. */
    readonly sha256: string;
    /** Whether the archive is another execution's: the same export was there already, or came at the same time. */
    readonly skipped: boolean;
    readonly engine: EngineName;
    /** Id of the CodeBuild build that was started; null where none was. */
    readonly buildId: string | null;
}
