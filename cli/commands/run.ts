import { ExportError } from "../../contract/errors";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import { type Context, exitCodes } from "../context";
import { Failure } from "../failure";
import { archiveRows, exportedTitle } from "../result";
import { block, formatBytes, formatDuration, transferLine, writeJson } from "../terminal";

interface RunOptions extends Pick<ExportOptions, "platform" | "force" | "concurrency" | "insecure"> {
    readonly memoryMib?: number | undefined;
    readonly json?: boolean | undefined;
}

/** `image-export run IMAGE DESTINATION` */
export async function run(
    image: string,
    destination: string,
    { json, memoryMib, ...options }: RunOptions,
    context: Context,
): Promise<void> {
    const { stdout, stderr, env, signal } = context;
    const startedMs = context.now();
    const line = transferLine(context, "Exporting");
    const exporting = async () =>
        exportImage({
            ...options,
            image,
            destination,
            memoryBytes: memoryMib === undefined ? undefined : memoryMib * 1024 * 1024,
            env,
            signal,
            onProgress: ({ writtenBytes, totalBytes }) => {
                // Not known before the image is resolved.
                if (totalBytes > 0) line.show(writtenBytes, totalBytes);
            },
        });
    const result = await exporting()
        .finally(line.clear)
        .catch((error: unknown) => {
            if (signal.aborted) stderr.write(`Nothing was left at ${destination}.\n`);
            signal.throwIfAborted();
            throw error instanceof ExportError ? explained(error) : error;
        });
    if (json === true) {
        writeJson(stdout, result);
        return;
    }
    const { artifactBucket, artifactKey, artifactVersionId, sizeBytes } = result;
    const tookMs = context.now() - startedMs;
    const rate = result.skipped || tookMs === 0 ? "" : `, ${formatBytes((1000 * sizeBytes) / tookMs)}/s`;
    stdout.write(
        ...block([
            ["status", exportedTitle(result.skipped)],
            ["image", result.imageUri],
            ...archiveRows(result),
            ["archive", artifactBucket === null ? artifactKey : `s3://${artifactBucket}/${artifactKey}`],
            ["version", artifactVersionId],
            ["took", `${formatDuration(tookMs)}${rate}`],
        ]),
    );
}

/** The remedies of contract/errors.ts are for the pipeline; here there is none but the login. */
function explained(error: ExportError): Failure {
    return new Failure(error.message, {
        code: error.name,
        exitCode: error.name === "InvalidInput" ? exitCodes.usage : exitCodes.failed,
        next:
            error.name === "AccessDenied"
                ? "Log in (docker login HOST, or AWS credentials that may pull from this repository), then repeat the command."
                : undefined,
        cause: error,
    });
}
