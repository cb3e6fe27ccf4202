import * as path from "node:path";
import { asExportError, ExportError } from "../contract/errors";
import { defaultPlatform, platformText } from "../contract/platform";
import type { Progress } from "../contract/progress";
import {
    archiveLayout,
    archiveMetadata,
    type ExportRecord,
    exportsOf,
    type ImageExport,
    missingIn,
    referrerCountOf,
    type SetExport,
    type Since,
    schemaVersion,
    setDigestOf,
} from "../contract/record";
import {
    type ArchiveResult,
    type ImageResult,
    requestDefaults,
    type RequestedImage,
    type RequestedSince,
    type SetResult,
} from "../contract/request";
import { planArchive, planParts, recordedImages, savedBytes } from "./archive/plan";
import { type Archives, findSince } from "./base";
import { type Destination, parseLocation } from "./destination/destination";
import { fileDestination } from "./destination/fileDestination";
import { kmsSigner } from "./destination/kmsSigner";
import { s3Destination } from "./destination/s3Destination";
import { defaultRetryPolicy, retry, TransientError } from "./network/retry";
import { blobSource, type FoundImage, readRequest, readSet, resolveImages } from "./images";
import type { ResolvedImage } from "./registry/image";
import { openRegistries, type RegistryOptions } from "./registry/registry";
import { transfer } from "./transfer";

/** This engine's version; it changes when the archives or records that it writes do. */
export const engineVersion = "0.1.0";

/**
 * What to export, where to, and how. By default with 8 connections, stalled after 30 s, {@link defaultRetryPolicy}, and
 * `process.env`, which also has `DOCKER_CONFIG`, execution and build id, `IMAGE_DIGEST` and `TIMEOUT_MINUTES`.
 */
export interface ExportOptions extends Partial<RegistryOptions> {
    /**
     * `HOST/REPOSITORY[:TAG][@sha256:DIGEST]`, or the images of a set, 1 to 500, which go into one archive. Refused with `InvalidInput`
     * where it is no reference, and where two images of a set have the same name and are not the same.
     */
    readonly image: string | readonly RequestedImage[];
    /** `s3://BUCKET/KEY`, or the path of a file. Refused with `InvalidInput` when it is neither. */
    readonly destination: string;
    /**
     * `os/arch[/variant]`, one of Windows with its version, or `all`; of a set, for the images that name none.
     * @default "linux/amd64"
     */
    readonly platform?: string | undefined;
    /**
     * Whether what belongs to the images comes along: signatures, SBOMs, attestations.
     * @default false
     */
    readonly referrers?: boolean | undefined;
    /**
     * What the other side has already, an archive whose layers are left out: its key or path, or `latest` for the newest of the same
     * repository and platform in the folder of the destination; with `for: "containerd"` all its layers, else the first ones of
     * its images. Refused with `InvalidInput` where it cannot be that; a delta that would save less than a tenth is made whole.
     * @default nothing
     */
    readonly since?: RequestedSince | undefined;
    /**
     * Whether to export although the same export is at the destination already.
     * @default false
     */
    readonly force?: boolean | undefined;
    /** Called after every part that has been written. */
    readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
}

/** How far an export is. */
export type ExportProgress = Omit<Progress, "seconds">;

/** What an export has come to. */
export type ExportOutcome<Result = ImageResult | SetResult> = Omit<
    ArchiveResult,
    "artifactBucket" | "artifactVersionId"
> & {
    /** Null for a file, whose path is the key. */
    readonly artifactBucket: string | null;
    /** Null for a file, and in a bucket without versions. */
    readonly artifactVersionId: string | null;
} & Result;

/**
 * Exports an image, or a set of them: registry to tar to destination, without anything in between. See docs on the archive for what
 * the tar is; the same images under the same names give the same bytes, always.
 *
 * @throws ExportError with one of the five names, and then nothing is at the destination that was not there before
 */
export async function exportImage(options: ExportOptions & { image: string }): Promise<ExportOutcome<ImageResult>>;
export async function exportImage(options: ExportOptions): Promise<ExportOutcome>;
export async function exportImage(options: ExportOptions): Promise<ExportOutcome> {
    const settings = withDefaults(options);
    const { abort, timeoutMs, progress } = settings;
    const endInTime = (): void => {
        const { writtenBytes, totalBytes } = progress;
        const done = totalBytes === 0 ? "nothing" : `${writtenBytes} of ${totalBytes} bytes`;
        const message = `The export had ${((timeoutMs ?? 0) / 60_000).toFixed(1)} minutes, and ${done} had been written. Give it more time, or a larger machine.`;
        abort.abort(new ExportError("BuildTimedOut", message));
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(endInTime, timeoutMs);
    try {
        settings.signal.throwIfAborted();
        return await runExport(settings);
    } catch (error) {
        throw asExportError(error);
    } finally {
        clearTimeout(timer);
        abort.abort(); // what is still under way after a failure
    }
}

/** An export: the options with their defaults, what stops it, and how far it is. */
type Settings = ReturnType<typeof withDefaults>;

function withDefaults(options: ExportOptions) {
    const env = options.env ?? process.env;
    const timeoutMs = timeoutIn(env);
    const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    const abort = new AbortController();
    const progress = { writtenBytes: 0, totalBytes: 0 };
    const { image, platform = defaultPlatform } = options;
    return {
        concurrency: 8,
        idleTimeoutMs: 30_000,
        ...options,
        referrers: options.referrers ?? requestDefaults.referrers,
        isSet: typeof image !== "string",
        requests: typeof image === "string" ? [readRequest(image, platform, env)] : readSet(image, platform),
        ...parseLocation(options.destination),
        signingKeyArn: idFrom(env, "SIGNING_KEY_ARN"),
        insecure: options.insecure ?? false,
        retryPolicy: { deadline, onWait: options.onNote, ...(options.retryPolicy ?? defaultRetryPolicy) },
        timeoutMs,
        env,
        abort,
        signal: AbortSignal.any([abort.signal, ...(options.signal ? [options.signal] : [])]),
        progress,
    };
}

/**
 * Milliseconds after which an export ends by itself with `BuildTimedOut`, nothing left at the destination: what the build has, less
 * what taking an upload back, and the build around it, need before CodeBuild ends the build: 5 %, between 1 and 3 minutes.
 */
function timeoutIn(env: NodeJS.ProcessEnv): number | undefined {
    const minutes = env["TIMEOUT_MINUTES"] ?? "";
    if (minutes === "") return undefined;
    if (!/^[1-9]\d{0,3}$/.test(minutes)) {
        throw new ExportError(
            "InvalidInput",
            `TIMEOUT_MINUTES is "${minutes}": expected minutes from 1 on, or nothing.`,
        );
    }
    const reserve = Math.min(Math.max(Number(minutes) * 0.05, 1), 3);
    return Math.max(Number(minutes) - reserve, 0.5) * 60_000;
}

async function runExport(settings: Settings): Promise<ExportOutcome> {
    const { requests, since, force } = settings;
    const registries = openRegistries(settings);
    const destination = openDestination(settings);
    try {
        const found = await resolveImages(requests, registries, settings);
        const images = found.map(describe);
        const there = force ? undefined : await destination.find();
        const known = there && isSameExport(there, { images, since: there.since }, settings) ? there.since : undefined;
        const archives = archivesBeside(settings, destination);
        const asked = {
            images,
            since: since === undefined ? null : await findSince(settings, since, found, archives, known),
        };
        if (there && isSameExport(there, asked, settings)) return resultOf(settings, there, true);
        const record = await writeArchive(settings, found, asked.since, destination);
        return record
            ? resultOf(settings, record, false)
            : resultOf(settings, await awaitSameExport(destination, asked, settings), true);
    } finally {
        registries.close();
        destination.close();
    }
}

/** The other archives of a destination. */
function archivesBeside(settings: Settings, destination: Destination): Archives {
    const at = async <T>(key: string, look: (there: Destination) => Promise<T>): Promise<T> => {
        const there = openDestination({ ...settings, key });
        try {
            return await look(there);
        } finally {
            there.close();
        }
    };
    const own = settings.key;
    const isOwn = (key: string): boolean =>
        settings.bucket === null ? path.resolve(key) === path.resolve(own) : key === own;
    return {
        newest: () => destination.newest(),
        recordAt: async (key) => (isOwn(key) ? undefined : await at(key, (there) => there.find())),
        expiryOf: (key) => at(key, (there) => there.expires()),
    };
}

/** What is exported of an image, as its record says it. */
type Described = Omit<ImageExport, "images">;

/** What an export is to be. */
interface Asked {
    readonly images: readonly Described[];
    readonly since: Since | null;
}

function describe({ imageUri, platform, image }: FoundImage): Described {
    const { name, documents, index, referrers } = image;
    return {
        imageUri,
        imageName: name,
        platform: platformText(platform),
        imageDigest: documents[0].descriptor.digest,
        indexDigest: index?.descriptor.digest ?? null,
        referrers: referrers?.map(({ type, digest, subject, tag }) => ({ type, digest, subject, tag })) ?? null,
    };
}

function openDestination(settings: Settings): Destination {
    const { bucket, key, signingKeyArn } = settings;
    const sign = signingKeyArn === null ? undefined : kmsSigner(signingKeyArn, settings);
    if (bucket !== null) return s3Destination(bucket, key, settings, sign);
    if (sign === undefined) return fileDestination(key);
    throw new ExportError("InvalidInput", "SIGNING_KEY_ARN is set, and only exports to S3 are signed: unset it.");
}

/**
 * Plans the archive, moves it, and makes it visible; or takes everything back.
 *
 * @returns its record; undefined when another export replaced the archive before that had its record
 */
async function writeArchive(
    settings: Settings,
    found: readonly FoundImage[],
    since: Since | null,
    destination: Destination,
): Promise<ExportRecord | undefined> {
    const { env, progress, bucket, key, signingKeyArn } = settings;
    const images = found.map(({ image }) => image);
    const plan = planArchive(images, missingIn({ since }));
    const set = found.map((each) => ({ ...describe(each), images: recordedImages(each.image, plan) }));
    const exported = exportedOf(settings, set, images);
    const registry = blobSource(found);
    const { sizeBytes } = plan;
    const parts = planParts(sizeBytes);
    progress.totalBytes = sizeBytes;
    const writer = await destination.begin(parts, archiveMetadata(exported));
    try {
        const onWritten = (writtenBytes: number): void => {
            progress.writtenBytes = writtenBytes;
            settings.onProgress?.(progress);
        };
        const { sha256, crc32 } = await transfer({ ...settings, plan, parts, registry, writer, onWritten });
        const record = {
            schemaVersion,
            layout: archiveLayout,
            engine: { name: "stream", version: engineVersion },
            ...exported,
            archive: { sha256, sizeBytes, bucket, key: bucket === null ? null : key, versionId: null },
            since,
            mergedFrom: null,
            signingKeyArn,
            executionId: idFrom(env, "EXECUTION_ID"),
            buildId: idFrom(env, "CODEBUILD_BUILD_ID"),
            time: new Date().toISOString(),
        } as const;
        return await writer.commit(record, crc32);
    } catch (error) {
        // That taking back fails as well must not hide why the export did.
        await writer.abort().catch((second: unknown) => {
            const { name, message } = asExportError(error);
            const left = `What was written could not be taken back: ${asExportError(second).message}`;
            throw new ExportError(name, `${message} ${left}`, error);
        });
        throw error;
    }
}

/** An id that the build passes on in the environment; null where it is missing or empty. */
function idFrom(env: NodeJS.ProcessEnv, name: string): string | null {
    const value = env[name] ?? "";
    return value === "" ? null : value;
}

/** The part of a record that says what was exported. */
function exportedOf(
    { isSet }: Settings,
    set: readonly ImageExport[],
    images: readonly ResolvedImage[],
): ImageExport | SetExport {
    const [first] = set;
    if (!isSet && first !== undefined) return first;
    return { setDigest: setDigestOf(set), savedBytes: savedBytes(images), set };
}

/**
 * The same images for the same platforms under the same names, with the same referrers, signed by the same key: archive and record
 * would be the same.
 */
function isSameExport(
    record: ExportRecord,
    { images: asked, since }: Asked,
    { isSet, signingKeyArn }: Settings,
): boolean {
    const there = exportsOf(record);
    return (
        JSON.stringify(record.since) === JSON.stringify(since) &&
        record.engine.name === "stream" &&
        record.signingKeyArn === signingKeyArn &&
        "set" in record === isSet &&
        there.length === asked.length &&
        there.every(({ imageName, imageDigest, platform, referrers }, at) => {
            const expected = asked[at];
            return (
                imageName === expected?.imageName &&
                imageDigest === expected.imageDigest &&
                platform === expected.platform &&
                listOf(referrers) === listOf(expected.referrers)
            );
        })
    );
}

function listOf(referrers: Described["referrers"]): string {
    return JSON.stringify(referrers?.map(({ digest, subject, tag }) => [digest, subject, tag]));
}

/**
 * Waits for the record of the export that has replaced this one's archive. Where that is the same export, what was
 * asked for is there; otherwise the two contradict each other, and only one could be at the destination.
 */
async function awaitSameExport(destination: Destination, asked: Asked, settings: Settings): Promise<ExportRecord> {
    const what = `Another export wrote ${settings.destination} at the same time, and finding its record`;
    const record = await retry(what, settings.retryPolicy, settings.signal, async () => {
        const found = await destination.find();
        if (found === undefined) throw new TransientError("archive and record do not belong together");
        return found;
    });
    if (!isSameExport(record, asked, settings)) {
        const other =
            "set" in record ? `a set of ${record.set.length} images` : `${record.imageUri} for ${record.platform}`;
        throw new ExportError(
            "ExportFailed",
            `Another export wrote ${settings.destination} at the same time: ${other}. Start this one again, or give ` +
                "it another key.",
        );
    }
    return record;
}

function resultOf({ bucket, key, env, requests }: Settings, record: ExportRecord, skipped: boolean): ExportOutcome {
    const { versionId: artifactVersionId, sizeBytes, sha256 } = record.archive;
    return {
        ...("set" in record
            ? { setDigest: record.setDigest, imageCount: record.set.length, savedBytes: record.savedBytes }
            : {
                  // As it was asked for now: another spelling may have been exported.
                  imageUri: requests[0]?.imageUri ?? record.imageUri,
                  imageDigest: record.imageDigest,
                  platform: record.platform,
              }),
        artifactBucket: bucket,
        artifactKey: key,
        artifactVersionId,
        sizeBytes,
        sha256,
        referrerCount: referrerCountOf(record),
        baseSha256: record.since?.sha256 ?? null,
        skipped,
        engine: "stream",
        buildId: idFrom(env, "CODEBUILD_BUILD_ID"),
    };
}
