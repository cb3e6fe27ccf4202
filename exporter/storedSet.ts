/** The images of a set, as the state machine has written them for a build. */
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { ExportError, messageOf } from "../contract/errors";
import { isDigest, parseReference } from "../contract/image";
import { assertExactNames, isObject, JsonError, parseJsonObject } from "../contract/json";
import { setRequestKey } from "../contract/keys";
import { setDigest } from "../contract/set";
import { parseLocation } from "./destination/destination";
import { createS3Client, sdkError, statusOf } from "./destination/s3Client";
import { defaultRetryPolicy, retry } from "./network/retry";

/** Bytes of the largest: that of 500 images with the longest names has a third. */
const limitBytes = 1024 * 1024;

/**
 * Reads the images of a set from the bucket that it is exported to. What was written is what is read: the digest covers names,
 * platforms and digests.
 *
 * @param digest what contract/set.ts gives the images as they are asked for
 * @throws ExportError `InvalidInput` when they are not there, or are others; `AccessDenied`, `ExportFailed`
 */
export async function readStoredSet(digest: string, destination: string, signal: AbortSignal) {
    const { bucket } = parseLocation(destination);
    if (bucket === null || !isDigest(digest)) {
        const expected = "expected the digest of a set whose images are in the bucket of the destination";
        throw new ExportError("InvalidInput", `--set is "${digest.slice(0, 300)}" for ${destination}: ${expected}.`);
    }
    const object = { Bucket: bucket, Key: setRequestKey(digest) };
    const what = `reading the images of the set, s3://${object.Bucket}/${object.Key}`;
    const client = createS3Client({ env: process.env, concurrency: 1, idleTimeoutMs: 30_000, signal });
    try {
        const text = await retry(what, defaultRetryPolicy, signal, async () => {
            try {
                const { Body, ContentLength = 0 } = await client.send(new GetObjectCommand(object), {
                    abortSignal: signal,
                });
                if (ContentLength > limitBytes) {
                    throw new ExportError("InvalidInput", `${what}: it has ${ContentLength} bytes, more than any set.`);
                }
                return (await Body?.transformToString()) ?? "";
            } catch (error) {
                if (statusOf(error) === 404) throw new JsonError("is not there");
                throw sdkError(error, what, "s3:GetObject there");
            }
        });
        const images = imagesIn(text);
        if (setDigest(images) === digest) return images;
        throw new JsonError(`lists images of the digest ${setDigest(images)}`);
    } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        throw new ExportError("InvalidInput", `${what}: it ${messageOf(error)}. Start the export again.`, error);
    } finally {
        client.destroy();
    }
}

function imagesIn(text: string) {
    const { images } = parseJsonObject(text, ["images"]);
    if (!Array.isArray(images)) throw new JsonError("lists no images");
    return images.map((each: unknown) => {
        const { imageUri, platform } = isObject(each) ? each : {};
        if (isObject(each)) assertExactNames(each, ["imageUri", "platform"]);
        if (typeof imageUri !== "string" || typeof platform !== "string") throw new JsonError("lists what is no image");
        const { name: imageName, digest = "" } = parseReference(imageUri);
        return { imageUri, imageName, platform, digest };
    });
}
