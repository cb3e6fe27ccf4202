/** What an export has come to: the output of the export state machine. */
import type { EngineName } from "./engine";

/** Output of a successful execution; docs/requests.md says what each field is. */
export interface ExportResult {
    readonly imageUri: string;
    readonly imageDigest: string;
    readonly platform: string;
    readonly artifactBucket: string;
    readonly artifactKey: string;
    readonly artifactVersionId: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly skipped: boolean;
    readonly engine: EngineName;
    readonly buildId: string | null;
}
