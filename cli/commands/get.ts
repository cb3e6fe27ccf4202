import { stat } from "node:fs/promises";
import * as path from "node:path";

import { findArchive, findPlace, type RecordedArchive, uriOf } from "../archiveObject";
import { type Context, defineCommand, exitCodes, Interruption } from "../command";
import { download, partOf, sha256Of } from "../download";
import { Failure } from "../failure";
import { transferLine } from "../progress";
import { stackOptions } from "../stack";
import { block, formatBytes, formatDuration, styles } from "../terminal";

/** `image-export get KEY [FILE]` */
export const command = defineCommand({
    positionals: ["KEY", "[FILE]"],
    options: {
        load: { type: "boolean", description: "hand the archive to `docker load` once it is verified" },
        force: { type: "boolean", description: "replace FILE if it is there and is something else" },
        json: { type: "boolean", description: "print the outcome as JSON" },
        ...stackOptions,
    } as const,
    description:
        "Downloads an archive and its record, and verifies the archive's sha256 against the record. KEY is a key in the stack's\n" +
        "bucket, or s3://BUCKET/KEY, for which no stack is needed. FILE is the key's last part by default; a folder is possible, too.\n" +
        "What has been downloaded is FILE.part until it is verified. The same command goes on with it after a break.\n" +
        "Needs the stack's output readArtifactsPolicy.",
    examples: [
        { command: "image-export get images/nginx/1.29.tar", does: "downloads to 1.29.tar" },
        {
            command: "image-export get s3://my-bucket/images/nginx/1.29.tar /srv/ --load",
            does: "downloads to /srv/1.29.tar and loads it into Docker",
        },
    ],
    async run({ values, positionals: [given = "", wanted] }, context) {
        const place = await findPlace(given, values, context);
        const archive = await findArchive(context, place);
        const file = await fileFor(place.key, wanted);
        if (archive.isReplaced) {
            context.stderr.write(
                `${warning(context)} Something newer without a record is at the key. ` +
                    `Taking version ${String(archive.object.versionId)}, which the record describes.\n`,
            );
        }
        const startedMs = context.now();
        const isThere = await isAlreadyThere(context, archive, file, values.force === true);
        if (!isThere) await downloadWithProgress(context, archive, file);
        const loaded = values.load === true ? await load(context, file) : undefined;
        const tookMs = context.now() - startedMs;
        context.stdout.write(
            values.json === true
                ? asJson(archive, file, loaded)
                : asText(context, archive, file, { isThere, loaded, tookMs }),
        );
        return exitCodes.success;
    },
});

function warning({ stderr, env }: Context): string {
    return styles(stderr, env).yellow("Note");
}

async function fileFor(key: string, wanted: string | undefined): Promise<string> {
    const name = path.posix.basename(key);
    if (wanted === undefined) return name;
    const isFolder =
        wanted.endsWith("/") || (await stat(wanted).catch(() => undefined))?.isDirectory() === true;
    return isFolder ? path.join(wanted, name) : wanted;
}

/** Whether the file is the archive already. */
async function isAlreadyThere(
    context: Context,
    { record }: RecordedArchive,
    file: string,
    mayReplace: boolean,
): Promise<boolean> {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return false;
    const { sha256, sizeBytes } = record.archive;
    if (found.size === sizeBytes && (await sha256Of(file, context.signal)) === sha256) return true;
    if (mayReplace) return false;
    throw new Failure(`${file} is there already, and is not this archive.`, {
        next: "Name another file, or add --force to replace it.",
    });
}

async function downloadWithProgress(context: Context, archive: RecordedArchive, file: string): Promise<void> {
    const { object } = archive;
    const { stderr } = context;
    let line = transferLine(context, "Downloading");
    try {
        await download(context, archive, file, {
            begin: ({ bytes, isOther }) => {
                if (isOther) {
                    stderr.write(
                        `${warning(context)} ${partOf(file)} is of something else: beginning anew.\n`,
                    );
                } else if (bytes > 0) {
                    stderr.write(`Going on at ${formatBytes(bytes)} of ${partOf(file)}.\n`);
                }
                line = transferLine(context, "Downloading", bytes);
                line.show(bytes, object.sizeBytes);
            },
            progress: (bytes) => {
                line.show(bytes, object.sizeBytes);
            },
        });
    } catch (error) {
        line.clear();
        if (error instanceof Interruption) {
            const { size = 0 } = (await stat(partOf(file)).catch(() => undefined)) ?? {};
            stderr.write(
                `${partOf(file)} has ${formatBytes(size)} of ${formatBytes(object.sizeBytes)}. To go on from there:\n` +
                    `  image-export get ${uriOf(object)} ${file}\n`,
            );
        }
        throw error;
    }
    line.clear();
}

/** @returns what Docker says that it has loaded */
async function load(context: Context, file: string): Promise<string> {
    const { signal, stderr } = context;
    stderr.write(`Loading ${file} into Docker\n`);
    const kept = `The archive is good, and is ${file}.`;
    const result = await context
        .runProcess("docker", ["load", "--input", file], { signal })
        .catch((error: unknown) => {
            signal.throwIfAborted();
            if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
            throw new Failure("Docker is not installed.", {
                next: `${kept} Podman reads it, too: podman load --input ${file}`,
                cause: error,
            });
        });
    if (result.exitCode !== 0) {
        throw new Failure(`\`docker load\` failed: ${result.stderr.trim()}`, {
            next: `${kept} Look whether the Docker daemon runs and this user may use it: docker info`,
        });
    }
    return result.stdout.trim();
}

function asJson({ object, record }: RecordedArchive, file: string, loaded: string | undefined): string {
    const { bucket, key, versionId } = object;
    const { imageUri, imageDigest, platform, archive } = record;
    const { sizeBytes, sha256 } = archive;
    const shown = {
        file,
        bucket,
        key,
        versionId,
        imageUri,
        imageDigest,
        platform,
        sizeBytes,
        sha256,
        loaded,
    };
    return `${JSON.stringify(shown, undefined, 2)}\n`;
}

function asText(
    { stdout, env }: Context,
    { record, object }: RecordedArchive,
    file: string,
    outcome: { readonly isThere: boolean; readonly loaded: string | undefined; readonly tookMs: number },
): string {
    const { bold, green } = styles(stdout, env);
    const { sizeBytes, sha256 } = record.archive;
    const { isThere, loaded, tookMs } = outcome;
    return block([
        ["status", bold(green(isThere ? "already there, and verified" : "downloaded and verified"))],
        ["file", file],
        ["record", `${file}.json`],
        ["from", uriOf(object)],
        ["image", record.imageUri],
        ["digest", record.imageDigest],
        ["platform", record.platform],
        ["size", `${formatBytes(sizeBytes)} (${sizeBytes} bytes)`],
        ["sha256", sha256],
        ["took", formatDuration(tookMs)],
        ...(loaded === undefined ? [] : [["docker", loaded] as const]),
    ]);
}
