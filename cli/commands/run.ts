import { ExportError } from "../../contract/errors";
import { exportImage, type ExportResult } from "../../exporter/exportImage";
import { type Context, defineCommand, exitCodes } from "../command";
import { Failure } from "../failure";
import { transferLine } from "../progress";
import { block, formatBytes, formatDuration, formatRate, styles } from "../terminal";
import { parseCount } from "../values";

/** `image-export run IMAGE DESTINATION` */
export const command = defineCommand({
    positionals: ["IMAGE", "DESTINATION"],
    options: {
        platform: {
            type: "string",
            value: "OS/ARCH",
            description: "platform, linux/amd64 by default; all for every one",
        },
        force: { type: "boolean", description: "export although the same export is there already" },
        concurrency: { type: "string", value: "N", description: "ranges and parts at a time, 8 by default" },
        "memory-mib": {
            type: "string",
            value: "N",
            description: "memory for parts under way, 80 by default",
        },
        insecure: { type: "boolean", description: "plain HTTP to registries that are not on this machine" },
        json: { type: "boolean", description: "print the outcome as JSON" },
    } as const,
    description:
        "Exports an image on this machine, as the builds of engine stream do, without a stack and without Docker. IMAGE is\n" +
        "HOST/REPOSITORY[:TAG][@sha256:DIGEST] of any registry. DESTINATION is a file or s3://BUCKET/KEY. The login is ECR's with the AWS\n" +
        "credentials at hand, else that of `docker login`. Nothing is at the destination before the archive is whole and verified.\n" +
        "Exit codes: 0 exported or there already, 1 failed, 2 wrong usage, 130 interrupted.",
    examples: [
        {
            command:
                "image-export run 111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.29 nginx.tar",
            does: "exports to a file",
        },
        {
            command:
                "image-export run registry.example.com/app:1 s3://my-bucket/images/app.tar --platform all",
            does: "exports every platform to S3",
        },
    ],
    async run({ values, positionals: [image = "", destination = ""] }, context) {
        const { platform, force, insecure, concurrency, "memory-mib": memoryMib } = values;
        const startedMs = context.now();
        const line = transferLine(context, "Exporting");
        const result = await exportImage({
            image,
            destination,
            platform,
            force,
            insecure,
            concurrency:
                concurrency === undefined ? undefined : parseCount("--concurrency", concurrency, 1000),
            memoryBytes:
                memoryMib === undefined
                    ? undefined
                    : parseCount("--memory-mib", memoryMib, 1_000_000) * 1024 * 1024,
            env: context.env,
            signal: context.signal,
            onProgress: ({ writtenBytes, totalBytes }) => {
                // Not known before the image is resolved.
                if (totalBytes > 0) line.show(writtenBytes, totalBytes);
            },
        })
            .finally(line.clear)
            .catch((error: unknown) => {
                if (context.signal.aborted) {
                    context.stderr.write(`Nothing was left at ${destination}.\n`);
                    throw context.signal.reason;
                }
                throw asFailure(error);
            });
        const tookMs = context.now() - startedMs;
        context.stdout.write(
            values.json === true
                ? `${JSON.stringify(result, undefined, 2)}\n`
                : asText(context, result, tookMs),
        );
        return exitCodes.success;
    },
});

const advice: Readonly<Partial<Record<ExportError["name"], string>>> = {
    AccessDenied:
        "Log in (docker login HOST, or AWS credentials that may pull from this repository), then repeat the command.",
    ImageNotFound: "Look whether host, repository, tag and platform are right.",
    DigestMismatch:
        "The registry sent other bytes than it promised: repeat the command, and look for a proxy in between.",
};

function asFailure(error: unknown): unknown {
    if (!(error instanceof ExportError)) return error;
    const next = advice[error.name];
    return new Failure(error.message, {
        code: error.name,
        exitCode: error.name === "InvalidInput" ? exitCodes.usage : exitCodes.failed,
        cause: error,
        ...(next !== undefined && { next }),
    });
}

function asText({ stdout, env }: Context, result: ExportResult, tookMs: number): string {
    const { bold, green } = styles(stdout, env);
    const { artifactBucket, artifactKey, artifactVersionId, sizeBytes } = result;
    const rate = result.skipped || tookMs === 0 ? "" : `, ${formatRate((1000 * sizeBytes) / tookMs)}`;
    const rows: (readonly [string, string | undefined])[] = [
        ["status", bold(green(result.skipped ? "already exported" : "exported"))],
        ["image", result.imageUri],
        ["digest", result.imageDigest],
        ["platform", result.platform],
        ["archive", artifactBucket === null ? artifactKey : `s3://${artifactBucket}/${artifactKey}`],
        ["version", artifactVersionId ?? undefined],
        ["size", `${formatBytes(sizeBytes)} (${sizeBytes} bytes)`],
        ["sha256", result.sha256],
        ["took", `${formatDuration(tookMs)}${rate}`],
    ];
    return block(rows.filter((row): row is [string, string] => row[1] !== undefined));
}
