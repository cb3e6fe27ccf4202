import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import type { Context, Flags } from "../context";
import { archiveRows, exportedTitle } from "../result";
import { block, formatBytes, formatDuration, transferLine, writeJson } from "../terminal";

export async function run(
    image: ExportOptions["image"],
    destination: string,
    { json, ...options }: Flags<"json"> & Pick<ExportOptions, "platform" | "force" | "insecure">,
    context: Context,
): Promise<void> {
    const { stdout, stderr, env, signal } = context;
    const startedMs = context.now();
    const line = transferLine(context, "Exporting");
    const result = await exportImage({ ...options, image, destination, env, signal, onProgress: line.show })
        .finally(line.clear)
        .catch((error: unknown) => {
            if (signal.aborted) stderr.write(`Nothing was left at ${destination}.\n`);
            signal.throwIfAborted();
            throw error;
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
            ...archiveRows(result),
            ["archive", artifactBucket === null ? artifactKey : `s3://${artifactBucket}/${artifactKey}`],
            ["version", artifactVersionId],
            ["took", `${formatDuration(tookMs)}${rate}`],
        ]),
    );
}
