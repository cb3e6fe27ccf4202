import * as path from "node:path";

import { GetObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { findArchive, findPlace, type ObjectVersion } from "../archiveObject";
import { type Context, exitCodes, type Flags } from "../context";
import { asFailure, printNote } from "../failure";
import type { StackOptions } from "../stack";
import { formatTime, styled, writeJson } from "../terminal";

interface UrlOptions extends StackOptions, Flags<"json"> {
    /** Milliseconds. S3 takes 7 days at most: docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html */
    readonly expires: number;
}

/** `image-export url KEY` */
export async function url(given: string, options: UrlOptions, context: Context): Promise<number> {
    const { object, record } = await findArchive(context, await findPlace(given, options, context));
    const link = await presign(context, object, options.expires).catch((error: unknown) => {
        throw asFailure(error);
    });
    const { sha256, sizeBytes } = record.archive;
    const expiresAt = new Date(link.expiresAtMs);
    const { stdout, stderr } = context;
    if (options.json === true) writeJson(stdout, { url: link.url, expiresAt, sha256, sizeBytes });
    else stdout.write(`${link.url}\n`);
    stderr.write(styled("expires", "dim"), ` ${formatTime(expiresAt)}\n`);
    stderr.write(styled("sha256 ", "dim"), ` ${sha256}\n`);
    if (link.note !== undefined) printNote(stderr, link.note);
    return exitCodes.success;
}

interface Link {
    readonly url: string;
    /** As far as it is known. */
    readonly expiresAtMs: number;
    /** What shortens it. */
    readonly note?: string;
}

async function presign(context: Context, object: ObjectVersion, expiresMs: number): Promise<Link> {
    const { bucket, key, versionId, region } = object;
    const client = await context.aws.client("s3", region);
    const request = new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        VersionId: versionId ?? undefined,
        ResponseContentDisposition: `attachment; filename="${path.posix.basename(key).replace(/[^\w.+-]/g, "_")}"`,
    });
    const expiresAtMs = context.now() + expiresMs;
    const signed = await getSignedUrl(client, request, { expiresIn: Math.floor(expiresMs / 1000) });
    const { sessionToken, expiration } = await client.config.credentials();
    const endMs = expiration?.getTime() ?? (sessionToken === undefined ? Infinity : undefined);
    if (endMs !== undefined && endMs >= expiresAtMs) return { url: signed, expiresAtMs };
    const note =
        endMs === undefined
            ? "Temporary credentials signed it, whose end is not known here: the link ends with them, if that is earlier."
            : `The credentials that signed it end before ${formatTime(expiresAtMs)}, and the link with them.`;
    return { url: signed, expiresAtMs: endMs ?? expiresAtMs, note };
}
