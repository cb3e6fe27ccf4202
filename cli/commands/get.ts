import { stat } from "node:fs/promises";
import * as path from "node:path";

import { recordKey } from "../../contract/keys";
import { findArchive, findPlace, type RecordedArchive, uriOf } from "../archiveObject";
import { type Context, exitCodes, type Flags, Interruption } from "../context";
import { download, partOf, sha256Of } from "../download";
import { explainMissing, Failure, printNote } from "../failure";
import { archiveRows } from "../result";
import type { StackOptions } from "../stack";
import { block, formatBytes, formatDuration, styled, transferLine, writeJson } from "../terminal";

/** `image-export get KEY [FILE]` */
export async function get(
    given: string,
    wanted: string | undefined,
    options: StackOptions & Flags<"force" | "json" | "load">,
    context: Context,
): Promise<number> {
    const place = await findPlace(given, options, context);
    const archive = await findArchive(context, place);
    const { object, record } = archive;
    const file = await fileFor(place.key, wanted);
    if (archive.isReplaced) {
        const version = `version ${String(object.versionId)}, which the record describes`;
        printNote(context.stderr, `Something newer without a record is at the key. Using ${version}.`);
    }
    const startedMs = context.now();
    const isThere = await isAlreadyThere(context, archive, file, options.force === true);
    if (!isThere) await downloadWithProgress(context, archive, file);
    const loaded = options.load === true ? await load(context, file) : undefined;
    const { imageUri, imageDigest, platform } = record;
    const { sizeBytes, sha256 } = record.archive;
    const what = { imageUri, imageDigest, platform, sizeBytes, sha256, loaded };
    if (options.json === true) {
        const { bucket, key, versionId } = object;
        writeJson(context.stdout, { file, bucket, key, versionId, ...what });
        return exitCodes.success;
    }
    const done = isThere ? "already there, and verified" : "downloaded and verified";
    context.stdout.write(
        ...block([
            ["status", styled(done, "bold", "green")],
            ["file", file],
            ["record", recordKey(file)],
            ["from", uriOf(object)],
            ["image", imageUri],
            ...archiveRows(what),
            ["took", formatDuration(context.now() - startedMs)],
            ["docker", loaded],
        ]),
    );
    return exitCodes.success;
}

async function fileFor(key: string, wanted: string | undefined): Promise<string> {
    const name = path.posix.basename(key);
    const found = await stat(wanted ?? ".").catch(() => undefined);
    const isFolder = wanted?.endsWith("/") === true || found?.isDirectory() === true;
    return isFolder ? path.join(wanted ?? "", name) : (wanted ?? name);
}

/** Whether the file is the archive already. */
async function isAlreadyThere(
    { signal }: Context,
    { record }: RecordedArchive,
    file: string,
    mayReplace: boolean,
): Promise<boolean> {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return false;
    const { sha256, sizeBytes } = record.archive;
    if (found.size === sizeBytes && (await sha256Of(file, signal)) === sha256) return true;
    if (mayReplace) return false;
    throw new Failure(`${file} exists, and is not this archive.`, {
        next: "Name another file, or add --force to replace it.",
    });
}

async function downloadWithProgress(context: Context, archive: RecordedArchive, file: string): Promise<void> {
    const { object } = archive;
    const part = partOf(file);
    let line = transferLine(context, "Downloading");
    try {
        await download(context, archive, file, {
            begin: ({ bytes, isOther }) => {
                if (isOther) printNote(context.stderr, `${part} is of something else: beginning again.`);
                if (bytes > 0) context.stderr.write(`Going on at ${formatBytes(bytes)} of ${part}.\n`);
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
            context.stderr.write(
                `${part} is kept. To go on from there:\n  image-export get ${uriOf(object)} ${file}\n`,
            );
        }
        throw error;
    }
    line.clear();
}

/** @returns what Docker says that it has loaded */
async function load({ stderr, runProcess }: Context, file: string): Promise<string> {
    stderr.write(`Loading ${file} into Docker\n`);
    const kept = `The archive is good, and is ${file}.`;
    const result = await runProcess("docker", ["load", "--input", path.resolve(file)]).catch(
        explainMissing("Docker is not installed.", `${kept} Podman reads it as well: podman load --input ${file}`),
    );
    if (result.exitCode !== 0) {
        throw new Failure(`\`docker load\` failed: ${result.stderr.trim()}`, {
            next: `${kept} Check that the Docker daemon runs and this user may use it: docker info`,
        });
    }
    return result.stdout.trim();
}
