import * as path from "node:path";

import { GetObjectCommand } from "@aws-sdk/client-s3";

import { findArchive, findPlace, type ObjectVersion } from "../archiveObject";
import { type Context, defineCommand, exitCodes } from "../command";
import { asFailure, UsageFailure } from "../failure";
import { stackOptions } from "../stack";
import { formatTime, styles } from "../terminal";
import { parseDuration } from "../values";

/** A signature holds no longer: docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html */
const longestMs = 7 * 24 * 3600 * 1000;

/** `image-export url KEY` */
export const command = defineCommand({
    positionals: ["KEY"],
    options: {
        expires: {
            type: "string",
            value: "TIME",
            description: "how long it holds, 1h by default, 7d at most",
        },
        json: { type: "boolean", description: "print link, end and sha256 as JSON" },
        ...stackOptions,
    } as const,
    description:
        "Prints a link with which anybody can download an archive until it expires, without credentials. KEY is a key in the stack's\n" +
        "bucket, or s3://BUCKET/KEY. The link is to the version that the archive's record describes.\n" +
        "It ends early with the credentials that signed it: those of roles and of SSO are good for some hours only.\n" +
        "Needs the stack's output readArtifactsPolicy.",
    examples: [
        {
            command: "image-export url images/nginx/1.29.tar --expires 2d",
            does: "prints a link for two days",
        },
        {
            command: 'curl -o nginx.tar "$(image-export url s3://my-bucket/images/nginx/1.29.tar)"',
            does: "downloads with curl",
        },
    ],
    async run({ values, positionals: [given = ""] }, context) {
        const expiresMs = parseDuration("--expires", values.expires ?? "1h");
        if (expiresMs > longestMs) {
            throw new UsageFailure(
                `--expires is "${values.expires ?? ""}": S3 takes links for 7 days at most.`,
                "Give 7d, or make another link later.",
            );
        }
        const { object, record } = await findArchive(context, await findPlace(given, values, context));
        const link = await presign(context, object, expiresMs);
        const { sha256, sizeBytes } = record.archive;
        const expiresAt = new Date(link.expiresAtMs);
        context.stdout.write(
            values.json === true
                ? `${JSON.stringify({ url: link.url, expiresAt: expiresAt.toISOString(), sha256, sizeBytes }, undefined, 2)}\n`
                : `${link.url}\n`,
        );
        const { dim, yellow } = styles(context.stderr, context.env);
        context.stderr.write(`${dim("expires")} ${formatTime(expiresAt)}\n${dim("sha256 ")} ${sha256}\n`);
        if (link.note !== undefined) context.stderr.write(`${yellow("Note")} ${link.note}\n`);
        return exitCodes.success;
    },
});

interface Link {
    readonly url: string;
    /** As far as it is known. */
    readonly expiresAtMs: number;
    /** What shortens it. */
    readonly note?: string;
}

async function presign(context: Context, object: ObjectVersion, expiresMs: number): Promise<Link> {
    const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner");
    const { bucket, key, versionId, region } = object;
    const client = await context.aws.client("s3", region);
    const request = new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        VersionId: versionId ?? undefined,
        ResponseContentDisposition: `attachment; filename="${path.posix.basename(key).replace(/[^\w.+-]/g, "_")}"`,
    });
    const askedMs = context.now() + expiresMs;
    try {
        const url = await getSignedUrl(client, request, { expiresIn: Math.floor(expiresMs / 1000) });
        const { sessionToken, expiration } = await client.config.credentials();
        if (sessionToken === undefined) return { url, expiresAtMs: askedMs };
        if (expiration === undefined) {
            const note =
                "Temporary credentials signed it, whose end is not known here: the link ends with them, if that is earlier.";
            return { url, expiresAtMs: askedMs, note };
        }
        if (expiration.getTime() >= askedMs) return { url, expiresAtMs: askedMs };
        const note = `The credentials that signed it end before ${formatTime(askedMs)}, and the link with them.`;
        return { url, expiresAtMs: expiration.getTime(), note };
    } catch (error) {
        throw asFailure(error);
    }
}
