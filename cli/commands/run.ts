import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import type { Context, Flags, Values } from "../context";
import { usageFailure } from "../failure";
import { anyImage, readImages, readSince } from "../manifest";
import { archiveRows, exportedTitle } from "../result";
import { block, formatBytes, formatDuration, transferLine, writeJson } from "../terminal";

export async function run(
    given: readonly string[],
    {
        json,
        from,
        since,
        sinceFor,
        ...options
    }: Flags<"json"> &
        Values<"from" | "since" | "sinceFor"> &
        Pick<ExportOptions, "platform" | "referrers" | "force" | "insecure">,
    context: Context,
): Promise<void> {
    const destination = given.at(-1) ?? "";
    const image = await readImages(given.slice(0, -1), from, anyImage);
    if (image === undefined) throw usageFailure("Missing IMAGE: expected one or more, or --from, and DESTINATION.");
    const { stdout, stderr, env, signal } = context;
    const startedMs = context.now();
    const line = transferLine(context, "Exporting");
    const asked = { ...options, since: readSince({ since, sinceFor }) };
    const result = await exportImage({ ...asked, image, destination, env, signal, onProgress: line.show })
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
