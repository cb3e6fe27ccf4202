import { stat } from "node:fs/promises";
import * as path from "node:path";

import { GetObjectCommand, S3 } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { recordKey } from "../../contract/keys";
import { baseText } from "../../exporter/archive/merge";
import { asS3Names, findArchive, type RecordedArchive, uriOf } from "../archiveObject";
import type { Context, Flags } from "../context";
import { download, hashOf } from "../download";
import { explainProgram, Failure, printNote } from "../failure";
import { archiveRows, exportOf } from "../result";
import type { StackOptions } from "../stack";
import { block, formatDuration, formatTime, type Row, styled, writeJson } from "../terminal";

export async function get(
    given: string,
    wanted: string | undefined,
    options: StackOptions & Flags<"force" | "json" | "load">,
    context: Context,
): Promise<void> {
    const { stdout, now } = context;
    const archive = await findArchive(given, options, context);
    const { object, record } = archive;
    const since = record.since ?? undefined;
    const { bucket, key, versionId } = object;
    const file = await fileFor(key, wanted);
    const startedMs = now();
    const isThere = await isAlreadyThere(context, archive, file, options.force);
    if (!isThere) await download(context, archive, file);
    const loaded = options.load === true ? await load(context, file) : undefined;
    const { sizeBytes, sha256 } = record.archive;
    const what = { ...exportOf(record), sizeBytes, sha256, loaded };
    if (options.json === true) {
        const needs = since && { sha256: since.sha256, key: since.key, versionId: since.versionId };
        writeJson(stdout, { file, bucket, key, versionId, ...what, needs });
        return;
    }
    const done = isThere ? "already there, and verified" : "downloaded and verified";
    stdout.write(
        ...block([
            ["status", styled(done, "bold", "green")],
            ["file", file],
            ["record", recordKey(file)],
            ["from", uriOf(object)],
            ...archiveRows(what),
            ["needs", since && `${baseText(since)}; whole: image-export merge BASE.tar ${file} -o FULL.tar`],
            ["took", formatDuration(now() - startedMs)],
            ...(loaded?.split("\n") ?? []).map((line, at): Row => [at === 0 ? "docker" : "", line]),
        ]),
    );
}

async function fileFor(key: string, wanted = "."): Promise<string> {
    const found = await stat(wanted).catch(() => undefined);
    const isFolder = wanted.endsWith("/") || found?.isDirectory() === true;
    return isFolder ? path.join(wanted, path.posix.basename(key)) : wanted;
}

async function isAlreadyThere({ signal }: Context, { record }: RecordedArchive, file: string, mayReplace = false) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return false;
    const { sha256, sizeBytes } = record.archive;
    if (found.size === sizeBytes && (await hashOf(file, signal)).digest("hex") === sha256) return true;
    if (mayReplace) return false;
    throw new Failure(`${file} exists, and is not this archive.`, {
        next: "Name another file, or add --force to replace it.",
    });
}

/** @returns what Docker says that it has loaded */
async function load({ stderr, runProgram }: Context, file: string): Promise<string> {
    stderr.write(`Loading ${file} into Docker\n`);
    const kept = `The archive is good, and is ${file}.`;
    const missing = `${kept} Podman reads it as well: podman load --input ${file}`;
    const failed = `${kept} Check that the Docker daemon runs and this user may use it: docker info`;
    const { stdout } = await runProgram("docker", ["load", "--input", path.resolve(file)]).catch(
        explainProgram("docker load", missing, failed),
    );
    return stdout.trim();
}

interface UrlOptions extends StackOptions, Flags<"json"> {
    /** Milliseconds. S3 takes 7 days at most: docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html */
    readonly expires: number;
}

export async function url(given: string, options: UrlOptions, context: Context): Promise<void> {
    const { stdout, stderr, now } = context;
    const { object, record } = await findArchive(given, options, context);
    const client = context.client(S3, object.region);
    const request = new GetObjectCommand({
        ...asS3Names(object),
        ResponseContentDisposition: `attachment; filename="${path.posix.basename(object.key).replace(/[^\w.+-]/g, "_")}"`,
    });
    const askedMs = now() + options.expires;
    const link = await getSignedUrl(client, request, { expiresIn: Math.floor(options.expires / 1000) });
    const { sessionToken, expiration } = await client.config.credentials();
    const expiresAt = new Date(Math.min(askedMs, expiration?.getTime() ?? Infinity));
    const { sha256, sizeBytes } = record.archive;
    if (options.json === true) writeJson(stdout, { url: link, expiresAt, ...exportOf(record), sha256, sizeBytes });
    else stdout.write(`${link}\n`);
    stderr.write(styled("expires", "dim"), ` ${formatTime(expiresAt)}\n`);
    stderr.write(styled("sha256 ", "dim"), ` ${sha256}\n`);
    if (expiresAt.getTime() < askedMs) {
        printNote(stderr, `The credentials that signed it end before ${formatTime(askedMs)}, and the link with them.`);
    } else if (sessionToken !== undefined && expiration === undefined) {
        printNote(
            stderr,
            "Temporary credentials signed it, whose end is not known here: the link ends with them, if that is earlier.",
        );
    }
}
