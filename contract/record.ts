/**
 * The export record, JSON beside each archive: what was exported, and what the archive has to be. Both engines write it;
 * docs/export-record.schema.json, its contract with other programs, says what each field is.
 */
import { type EngineName, engineNames } from "./engine";
import { messageOf } from "./errors";
import { isDigest } from "./image";
import { isObject, type JsonObject, parseJsonObject } from "./json";

/** Version of the record's schema. A reader refuses one that it does not know. */
export const schemaVersion = 1;

/** The arrangement of an archive's bytes that engine `stream` writes. A reader refuses one that it does not know. */
export const archiveLayout = 1;

/** An image in an archive. */
export interface RecordedImage {
    readonly platform: string | null;
    readonly configDigest: string;
    readonly diffIds: readonly string[] | null;
    readonly layers: readonly RecordedLayer[] | null;
}

/** A layer of an image. */
export interface RecordedLayer {
    readonly digest: string;
    readonly sizeBytes: number;
    readonly offset: number;
}

/** The export record. */
export interface ExportRecord {
    readonly schemaVersion: typeof schemaVersion;
    readonly layout: typeof archiveLayout;
    readonly engine: { readonly name: EngineName; readonly version: string };
    readonly imageUri: string;
    readonly imageName: string;
    readonly platform: string;
    readonly imageDigest: string;
    readonly indexDigest: string | null;
    readonly images: readonly RecordedImage[];
    readonly archive: { readonly sha256: string; readonly sizeBytes: number; readonly versionId: string | null };
    readonly executionId: string | null;
    readonly buildId: string | null;
    readonly time: string;
}

/**
 * Names of the metadata of the record's object: enough to report an export again without reading a body, as the state machine
 * does, which asks S3 for the heads of both objects. S3 allows 2 KB in all.
 */
export const metadataNames = {
    layout: "layout",
    engine: "engine",
    imageName: "image-name",
    imageDigest: "image-digest",
    indexDigest: "index-digest",
    platform: "platform",
    sha256: "archive-sha256",
    versionId: "archive-version-id",
    buildId: "build-id",
} as const;

/** The metadata of a record's object. What is null in the record has no entry. */
export function recordMetadata(record: ExportRecord): Record<string, string> {
    const values = { ...record, ...record.archive, layout: String(record.layout), engine: record.engine.name };
    return Object.fromEntries(
        Object.entries(metadataNames).flatMap(([field, name]) => {
            const value = values[field as keyof typeof metadataNames];
            return value === null ? [] : [[name, value]];
        }),
    );
}

/** The record as the text that is stored. */
export function recordText(record: ExportRecord): string {
    return `${JSON.stringify(record, null, 2)}\n`;
}

/**
 * Reads a stored record.
 *
 * @returns the record, or what is wrong with the text, as the second half of a sentence: "is not JSON"
 */
export function parseRecord(text: string): { record: ExportRecord } | { problem: string } {
    let fields: JsonObject;
    try {
        fields = parseJsonObject(text, Object.keys(checks));
    } catch (error) {
        return { problem: messageOf(error) };
    }
    for (const name of ["schemaVersion", "layout"] as const) {
        if (!checks[name](fields[name])) {
            return {
                problem: `has the ${name} ${JSON.stringify(fields[name])}, and this version reads ${name} 1 only`,
            };
        }
    }
    const wrong = Object.entries(checks).find(([name, check]) => !check(fields[name]));
    return wrong ? { problem: `has no usable ${wrong[0]}` } : { record: fields as unknown as ExportRecord };
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string" && value !== "";
const isDigestText: Check = (value) => typeof value === "string" && isDigest(value);
const isSha256: Check = (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const orNull =
    (check: Check): Check =>
    (value) =>
        value === null || check(value);
const listOf =
    (check: Check): Check =>
    (value) =>
        Array.isArray(value) && value.every(check);
/** An object with these fields; further ones do no harm. */
const objectOf =
    (fields: Readonly<Record<string, Check>>): Check =>
    (value) =>
        isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));

const checks: { readonly [Field in keyof ExportRecord]: Check } = {
    schemaVersion: (value) => value === schemaVersion,
    layout: (value) => value === archiveLayout,
    engine: objectOf({ name: (value) => engineNames.some((name) => name === value), version: isText }),
    imageUri: isText,
    imageName: isText,
    platform: isText,
    imageDigest: isDigestText,
    indexDigest: orNull(isDigestText),
    images: listOf(
        objectOf({
            platform: orNull(isText),
            configDigest: isDigestText,
            diffIds: orNull(listOf(isDigestText)),
            layers: orNull(listOf(objectOf({ digest: isDigestText, sizeBytes: isCount, offset: isCount }))),
        }),
    ),
    archive: objectOf({ sha256: isSha256, sizeBytes: isCount, versionId: orNull(isText) }),
    executionId: orNull(isText),
    buildId: orNull(isText),
    time: (value) => typeof value === "string" && !Number.isNaN(Date.parse(value)),
};
