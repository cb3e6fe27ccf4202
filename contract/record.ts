/**
 * The export record, JSON beside each archive: what was exported, and what the archive has to be. Both engines write it;
 * docs/export-record.schema.json, its contract with other programs, says what each field is.
 */
import { engineNames } from "./engine";
import { messageOf } from "./errors";
import { isDigest } from "./image";
import { isObject, type JsonObject, parseJsonObject } from "./json";

/** Version of the record's schema. A reader refuses one that it does not know. */
export const schemaVersion = 1;

/** The arrangement of an archive's bytes that engine `stream` writes. A reader refuses one that it does not know. */
export const archiveLayout = 1;

/** Whether a value is what a field of the record has to be. */
type Check<Value> = (value: unknown) => value is Value;
/** What a check lets pass. */
type Checked<C> = C extends Check<infer Value> ? Value : never;

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isSha256 = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isTime = (value: unknown): value is string => typeof value === "string" && !Number.isNaN(Date.parse(value));
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function oneOf<Value>(...known: readonly Value[]) {
    return (value: unknown): value is Value => known.some((each) => each === value);
}

function orNull<Value>(check: Check<Value>) {
    return (value: unknown): value is Value | null => value === null || check(value);
}

function listOf<Value>(check: Check<Value>) {
    return (value: unknown): value is readonly Value[] => Array.isArray(value) && value.every(check);
}

/** An object with these fields; further ones do no harm. */
function objectOf<Fields extends Readonly<Record<string, Check<unknown>>>>(fields: Fields) {
    return (value: unknown): value is { readonly [Name in keyof Fields]: Checked<Fields[Name]> } =>
        isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
}

const isLayer = objectOf({ digest: isDigest, sizeBytes: isCount, offset: isCount });

const isImage = objectOf({
    platform: orNull(isText),
    configDigest: isDigest,
    diffIds: orNull(listOf(isDigest)),
    layers: orNull(listOf(isLayer)),
});

const fields = {
    schemaVersion: oneOf(schemaVersion),
    layout: oneOf(archiveLayout),
    engine: objectOf({ name: oneOf(...engineNames), version: isText }),
    imageUri: isText,
    imageName: isText,
    platform: isText,
    imageDigest: isDigest,
    indexDigest: orNull(isDigest),
    images: listOf(isImage),
    // Bucket and key are null for a file.
    archive: objectOf({
        sha256: isSha256,
        sizeBytes: isCount,
        bucket: orNull(isText),
        key: orNull(isText),
        versionId: orNull(isText),
    }),
    // Of the KMS key that has signed the record; null where there is no signature.
    signingKeyArn: orNull(isText),
    executionId: orNull(isText),
    buildId: orNull(isText),
    time: isTime,
};
const isRecord = objectOf(fields);

/** A layer of an image. */
export type RecordedLayer = Checked<typeof isLayer>;

/** An image in an archive. */
export type RecordedImage = Checked<typeof isImage>;

/** The export record. */
export type ExportRecord = Checked<typeof isRecord>;

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
    signingKeyArn: "signing-key",
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
    let given: JsonObject;
    try {
        given = parseJsonObject(text, Object.keys(fields));
    } catch (error) {
        return { problem: messageOf(error) };
    }
    if (isRecord(given)) return { record: given };
    const [wrong = ""] = Object.entries(fields).find(([name, check]) => !check(given[name])) ?? [];
    const isVersion = wrong === "schemaVersion" || wrong === "layout";
    const unknown = `has the ${wrong} ${JSON.stringify(given[wrong])}, and this version reads ${wrong} 1 only`;
    return { problem: isVersion ? unknown : `has no usable ${wrong}` };
}
